"""A MongoDB server of a few lines, on 127.0.0.1: hello, the login
(SCRAM-SHA-256) and an empty database, or what a server should not be like."""
import base64
import contextlib
import datetime
import hashlib
import hmac
import secrets
import socket
import ssl
import struct
import threading
import unicodedata

import bson

PATIENCE = 60       # seconds until a test that waits for nothing gives up
ITERATIONS = 4096
SALT_BYTES = 28     # what the driver takes

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
UNAUTHORIZED, AUTHENTICATION_FAILED = 13, 18


def hmac_of(key, text):
    return hmac.new(key, text, hashlib.sha256).digest()


def fields_of(text):
    return dict(part.split("=", 1) for part in text.split(","))


class Login:
    """The server's side of one SCRAM-SHA-256 (RFC 5802, 7677)."""

    def __init__(self, password, first):
        self.bare = first.removeprefix("n,,")
        nonce = fields_of(self.bare)["r"] + secrets.token_hex(12)
        salt = secrets.token_bytes(SALT_BYTES)
        self.first = (f"r={nonce},s={base64.b64encode(salt).decode()},"
                      f"i={ITERATIONS}")
        self.salted = hashlib.pbkdf2_hmac(
            "sha256", unicodedata.normalize("NFKC", password).encode(), salt,
            ITERATIONS)

    def final(self, text):
        """The last word; None for a wrong password."""
        without_proof, _, proof = text.rpartition(",p=")
        said = ",".join((self.bare, self.first, without_proof)).encode()
        key = hmac_of(self.salted, b"Client Key")
        signature = hmac_of(hashlib.sha256(key).digest(), said)
        wanted = bytes(a ^ b for a, b in zip(key, signature))
        if not hmac.compare_digest(wanted, base64.b64decode(proof)):
            return None
        signed = hmac_of(hmac_of(self.salted, b"Server Key"), said)
        return "v=" + base64.b64encode(signed).decode()


class MongoServer:
    """hello: members of the answer to hello, None to leave one out.
    password: of any user, who has to log in; None: nobody has to.
    tls: a context.  is_silent: takes what comes and says nothing."""

    def __init__(self, hello=None, password=None, tls=None, is_silent=False):
        self.hello = hello or {}
        self.password = password
        self.tls = tls
        self.is_silent = is_silent
        self.changed = threading.Condition()
        self.connections = 0
        self.commands = []              # (name, database)
        self.open = set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.host = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.threads = []
        self.spawn(self.accept)

    def uri(self, database="p_uri", login="", options=""):
        return f"mongodb://{login}{self.host}/{database}?{options}"

    def names(self):
        with self.changed:
            return [name for name, _ in self.commands]

    def databases(self):
        """Those that were asked for records."""
        with self.changed:
            return {database for name, database in self.commands
                    if name == "find"}

    def wait_for_connection(self):
        with self.changed:
            assert self.changed.wait_for(lambda: self.connections, PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.changed:
            connections = list(self.open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a server thread did not end"

    def spawn(self, work, *args):
        self.threads.append(threading.Thread(target=work, args=args,
                                             daemon=True))
        self.threads[-1].start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with self.changed:
                    self.connections += 1
                    self.open.add(connection)
                    self.changed.notify_all()
                self.spawn(self.serve, connection)

    def serve(self, plain):
        connection, session = plain, {}
        try:
            if self.tls:
                connection = self.tls.wrap_socket(plain, server_side=True)
            while self.serve_one(connection, session):
                pass
        except (OSError, ssl.SSLError):
            pass
        finally:
            with self.changed:
                self.open.discard(plain)
            connection.close()

    def serve_one(self, connection, session):
        if self.is_silent:
            return connection.recv(65536)
        head = connection.recv(16, socket.MSG_WAITALL) if not self.tls else \
            read(connection, 16)
        if len(head) < 16:
            return False
        size, number, _, kind = struct.unpack("<iiii", head)
        if kind not in (OP_QUERY, OP_MSG):
            while connection.recv(65536):   # TLS to a plain port, for one
                pass
            return False
        body = read(connection, size - 16)
        if kind == OP_MSG:
            command = bson.decode(body[5:])
        else:
            at = body.index(0, 4) + 9
            command = bson.decode(body[at:])
        answer = bson.encode(self.answer(command, session))
        if kind == OP_MSG:
            answer = struct.pack("<iB", 0, 0) + answer
        else:
            answer = struct.pack("<iqii", 8, 0, 0, 1) + answer
        connection.sendall(struct.pack(
            "<iiii", 16 + len(answer), 1, number,
            OP_MSG if kind == OP_MSG else OP_REPLY) + answer)
        return True

    def answer(self, command, session):
        name = next(iter(command))
        with self.changed:
            self.commands.append((name, command.get("$db")))
        if name.lower() in ("hello", "ismaster"):
            return self.say_hello()
        if name == "saslStart":
            session["login"] = Login(self.password or "",
                                     command["payload"].decode())
            return self.sasl(session["login"].first, False)
        if name == "saslContinue":
            if command["payload"]:
                text = session["login"].final(command["payload"].decode())
                if text is None:
                    return fail(AUTHENTICATION_FAILED,
                                "Authentication failed.")
            else:
                text = ""
            session["is_in"] = True
            return self.sasl(text, True)
        if self.password is not None and not session.get("is_in"):
            return fail(UNAUTHORIZED,
                        f"command {name} requires authentication")
        if name == "find":
            return {"ok": 1.0, "cursor": {
                "id": bson.Int64(0), "firstBatch": [],
                "ns": f"{command['$db']}.{command['find']}"}}
        return {"ok": 1.0}

    def say_hello(self):
        members = {
            "ok": 1.0, "ismaster": True, "isWritablePrimary": True,
            "helloOk": True, "maxBsonObjectSize": 16777216,
            "maxMessageSizeBytes": 48000000, "maxWriteBatchSize": 100000,
            "localTime": datetime.datetime.utcnow(), "minWireVersion": 0,
            "maxWireVersion": 21, "saslSupportedMechs": ["SCRAM-SHA-256"],
            **self.hello}
        return {name: value for name, value in members.items()
                if value is not None}

    @staticmethod
    def sasl(text, is_done):
        return {"ok": 1.0, "conversationId": 1, "done": is_done,
                "payload": text.encode()}


def fail(code, message):
    return {"ok": 0.0, "code": code, "errmsg": message}


def read(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            break
        data += part
    return data
