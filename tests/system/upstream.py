"""A scriptable upstream: HTTP/1.1 over raw sockets on 127.0.0.1.

Each path has a list of answers; a request takes the next one and the last one
stays.  An answer may be whole or go wrong in every way that the tests need.
Below it stand the builders of resources and of response bodies.
"""
import contextlib
import gzip
import json
import re
import socket
import ssl
import struct
import threading
import time

PLANS = "HreseptGuidelines/PlanDefinition"
ACTIVITIES = "HreseptGuidelines/ActivityDefinition"
AUTHORIZATIONS = "HreseptReimbursement/RegulatedAuthorization"
LISTS = (PLANS, ACTIVITIES, AUTHORIZATIONS)

BASE = "/api"
PATIENCE = 60       # seconds until a test that waits for nothing gives up


class Answer:
    """What one request gets.

    cut      bytes of the (encoded) body that are sent before the end
    reset    the end is a RST instead of a FIN
    drip     seconds before each byte of the body
    hang     "start" or "body": silence there until the client has gone
    before   called before anything is sent (an event's wait, a barrier's)
    length   a Content-Length other than the true one
    raw      bytes that stand for the whole answer, headers included
    """

    def __init__(self, body=b"", status=200, headers=(), *, chunked=False,
                 gzipped=False, cut=None, reset=False, drip=None, hang=None,
                 before=None, length=None, raw=None):
        self.body = to_bytes(body)
        self.status = status
        self.headers = list(headers)
        if gzipped:
            self.body = gzip.compress(self.body)
            self.headers.append(("Content-Encoding", "gzip"))
        self.chunked = chunked
        self.cut = cut
        self.reset = reset
        self.drip = drip
        self.hang = hang
        self.before = before
        self.length = length
        self.raw = raw

    def head(self):
        headers = list(self.headers)
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.insert(0, ("Content-Type", "application/fhir+json"))
        if self.chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        else:
            length = len(self.body) if self.length is None else self.length
            headers.append(("Content-Length", str(length)))
        lines = [f"HTTP/1.1 {self.status} Scripted"]
        lines += [f"{name}: {value}" for name, value in headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def encoded(self):
        if not self.chunked:
            return self.body
        parts = [self.body[i:i + 1000] for i in range(0, len(self.body), 1000)]
        return b"".join(b"%x\r\n%s\r\n" % (len(p), p)
                        for p in parts) + b"0\r\n\r\n"

    def send(self, conn, stopping):
        """True when the connection may carry another request."""
        if self.before:
            self.before()
        if self.hang == "start":
            wait_for_end(conn)
            return False
        if self.raw is not None:
            conn.sendall(self.raw)
            return False
        body = self.encoded()[:self.cut]
        if self.drip is None:
            conn.sendall(self.head() + body)
        else:
            conn.sendall(self.head())
            for i in range(len(body)):
                if stopping.wait(self.drip):
                    return False
                conn.sendall(body[i:i + 1])
        if self.hang == "body":
            wait_for_end(conn)
        if self.reset:
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
        return self.cut is None and self.hang is None and not self.reset


class Request:
    """One line of the log."""

    def __init__(self, method, target, headers):
        self.method = method
        self.target = target
        self.headers = headers          # names in lower case
        self.body = b""
        self.answer = None
        self.started = time.monotonic()
        self.ended = None


class Upstream:
    def __init__(self, tls=None):
        self.tls = tls
        self.answers = {}
        self.log = []
        self.connections = 0
        self.changed = threading.Condition()
        self.stopping = threading.Event()
        self.gates = []
        self.threads = []
        self.open = set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.scheme = "https" if tls else "http"
        self.origin = f"{self.scheme}://127.0.0.1:{self.port}"
        self.url = self.origin + BASE
        self._spawn(self._accept)

    # what tests call

    def script(self, path, *answers):
        """Answers of path: below the base, or absolute with a slash."""
        self.answers[absolute(path)] = [
            a if isinstance(a, Answer) else Answer(a) for a in answers]

    def serve(self, plans=(), activities=(), authorizations=(), shape=None):
        """The three lists, each as one page unless shape says otherwise."""
        shape = shape or bundle
        for path, resources in zip(LISTS, (plans, activities, authorizations)):
            self.script(path, Answer(shape(list(resources))))

    def serve_pages(self, path, resources, size, total=True, absolute_=False):
        chunks = [resources[i:i + size]
                  for i in range(0, len(resources), size)]
        for i, chunk in enumerate(chunks):
            target = path if i == 0 else f"{path}?page={i + 1}"
            link = None
            if i + 1 < len(chunks):
                link = f"?page={i + 2}"
                if absolute_:
                    link = f"{self.url}/{path}{link}"
            self.script(target, bundle(
                chunk, next=link, total=len(resources) if total else None))

    def requests(self, path=None):
        with self.changed:
            return [r for r in self.log
                    if path is None or r.target == absolute(path)]

    def wait_for(self, path, count=1):
        """Waits until path was asked for count times."""
        target = absolute(path)
        self.wait_for_request(lambda r: r.target == target, count, path)

    def wait_for_request(self, is_one, count=1, what="what is waited for"):
        with self.changed:
            assert self.changed.wait_for(
                lambda: sum(bool(is_one(r)) for r in self.log) >= count,
                PATIENCE), f"no request number {count} for {what}"

    def gate(self):
        """An event that is set by the test, or by the server's end."""
        event = threading.Event()
        self.gates.append(event)
        return event

    def stop(self):
        self.stopping.set()
        for gate in self.gates:
            gate.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.changed:
            conns = list(self.open)
        for conn in conns:
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a server thread did not end"

    # the server

    def _spawn(self, work, *args):
        thread = threading.Thread(target=work, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            with self.changed:
                self.connections += 1
                self.open.add(conn)
            self._spawn(self._serve, conn)

    def _serve(self, conn):
        plain = conn
        try:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                conn = self.tls.wrap_socket(conn, server_side=True)
            while self._serve_one(conn):
                pass
        except (OSError, ssl.SSLError, threading.BrokenBarrierError):
            pass
        finally:
            with self.changed:
                self.open.discard(plain)
            conn.close()

    def _serve_one(self, conn):
        head = b""
        while b"\r\n\r\n" not in head:
            part = conn.recv(65536)
            if not part:
                return False
            head += part
            if not head[:1].isalpha():
                return False    # TLS to a plain port, for one
        head, body = head.split(b"\r\n\r\n", 1)
        request = parse_head(head)
        missing = int(request.headers.get("content-length", 0)) - len(body)
        request.body = body + receive(conn, missing)
        with self.changed:
            self.log.append(request)
            answer = request.answer = self.answer_to(request)
            self.changed.notify_all()
        try:
            return answer.send(conn, self.stopping)
        finally:
            request.ended = time.monotonic()

    def answer_to(self, request):
        """What a request gets; called for one after the other."""
        answers = self.answers.get(request.target)
        if not answers:
            return Answer({"resourceType": "OperationOutcome"}, status=404)
        return answers.pop(0) if len(answers) > 1 else answers[0]


def absolute(path):
    return path if path.startswith("/") else f"{BASE}/{path}"


def parse_head(head):
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ")
    pairs = (line.split(":", 1) for line in lines[1:])
    return Request(method, target,
                   {name.lower(): value.strip() for name, value in pairs})


def receive(conn, size):
    """The rest of a request's body."""
    parts = []
    while size > 0:
        part = conn.recv(min(size, 65536))
        if not part:
            raise ConnectionError("a request's body is cut")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def wait_for_end(conn):
    while conn.recv(65536):
        pass


def refused_port():
    """A bound socket nobody listens on: keep it, its port refuses."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock, sock.getsockname()[1]


# Texts

def number(digits):
    """A number that dumps() writes with exactly these digits."""
    return f"@@{digits}@@"


def dumps(value, **options):
    options.setdefault("ensure_ascii", False)
    text = json.dumps(value, **options)
    return re.sub(r'"@@([^"@]+)@@"', r"\1", text)


def to_bytes(body):
    if isinstance(body, bytes):
        return body
    if not isinstance(body, str):
        body = dumps(body)
    return body.encode("utf-8", "surrogatepass")


def bundle(resources, type="searchset", next=None, total=None, **members):
    page = {"resourceType": "Bundle"}
    if type is not None:
        page["type"] = type
    if total is not None:
        page["total"] = total
    page["link"] = [{"relation": "self", "url": "http://elsewhere/self"}]
    if next is not None:
        page["link"].append({"relation": "next", "url": next})
    page["entry"] = [{"fullUrl": f"urn:x:{i}", "resource": r,
                      "search": {"mode": "match"}}
                     for i, r in enumerate(resources)]
    page.update(members)
    return page


def array(resources):
    return "[" + ",\n".join(dumps(r) for r in resources) + "]"


def ndjson(resources):
    return "".join(dumps(r) + "\n" for r in resources)


def outcome(text):
    return {"resourceType": "OperationOutcome", "issue": [
        {"severity": "error", "code": "processing", "diagnostics": text}]}


# Resources

ATC = "http://www.whocc.no/atc"
JURISDICTION = "urn:oid:2.16.578.1.12.4.1.102"


def concept(code, text=None):
    return {"coding": [{"system": "urn:oid:2.16.578.1.12.4.1.1.7110",
                        "code": code, "display": f"Diagnose {code}"}],
            **({"text": text} if text else {})}


def plan(key, *activities, **members):
    resource = {
        "resourceType": "PlanDefinition",
        "id": f"id-{key}",
        "meta": {"versionId": "1", "lastUpdated": "2025-04-10T08:30:00Z"},
        "extension": [{"url": "http://nompd/diseaseGroup",
                       "valueString": "Multippel sklerose"}],
        "identifier": [{"system": "urn:nompd", "value": key}],
        "name": f"Plan {key}",
        "description": "Første linje",
        "status": "active",
        "useContext": [{
            "code": {"code": "jurisdiction"},
            "valueCodeableConcept": {"coding": [
                {"system": JURISDICTION, "code": "1", "display": "Helse Nord"},
                {"system": "urn:other", "code": "2"}]}}],
        "effectivePeriod": {"start": "2025-01-01T00:00:00+01:00"},
        "lastReviewDate": "2025-03-01",
        "goal": [{"description": {"text": "mål"},
                  "addresses": [concept("G35", "MS")]}],
        "action": [action(a, i + 1) for i, a in enumerate(activities)],
    }
    resource.update(members)
    return resource


def action(activity, rank):
    return {"extension": [{"url": "http://nompd/rank", "valueInteger": rank}],
            "description": f"Behandling {activity}",
            "definitionCanonical":
                f"http://nompd/ActivityDefinition/{activity}|1.0"}


def activity(key, *articles, **members):
    resource = {
        "resourceType": "ActivityDefinition",
        "id": f"id-{key}",
        "identifier": [{"value": key}],
        "name": f"Aktivitet {key}",
        "description": "Tablett 10 mg",
        "dosage": [{"doseAndRate": [{"doseQuantity": {
            "value": number("1.50"), "unit": "mg"}}]}],
        "articleNumbers": list(articles) or ["012345", "678901"],
    }
    resource.update(members)
    return resource


def authorization(key, *articles, **members):
    resource = {
        "resourceType": "RegulatedAuthorization",
        "id": f"id-{key}",
        "identifier": [{"value": key}],
        "extension": [{"url": "http://nompd/ReimbursementRegulation",
                       "valueCodeableConcept": concept("2", "§ 2")}],
        "basis": [concept("G35"), concept("M05")],
        "articleNumbers": list(articles) or ["098765"],
    }
    resource.update(members)
    return resource


RESOURCES = {PLANS: plan, ACTIVITIES: activity, AUTHORIZATIONS: authorization}


def many(path, count, prefix="r"):
    return [RESOURCES[path](f"{prefix}{i:05}") for i in range(count)]
