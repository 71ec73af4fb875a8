"""The way to a MongoDB server: what a URI may say, what is wrong on the way,
and that nobody gets to see a password.  Most of it is tested on a server of a
few lines, so that it runs wherever the other tests run."""
import os
import pathlib
import re
import shutil
import ssl
import subprocess
from urllib.parse import quote, unquote, urlsplit

import pytest

import stores
from conftest import FILLED, KIND, PROGRAM, folder_upstream
from mongodb_wire import MongoServer
from test_tls import certificate
from upstream import Upstream, refused_port

# The program's own limits are 5 seconds to find a server; nearly all of these
# tests find none, and say less.
SOON = "serverSelectionTimeoutMS=300&connectTimeoutMS=300"
PASSWORD = "pa55-w0rd-0f-the-t3sts"
KEY_PASSWORD = "k3y-f1le-pa55-w0rd"
LOGIN = f"consumer:{PASSWORD}@"
EMPTY = "it is not there"   # what is said of a database that is reached
OLDEST = 13                 # wire version
PASSWORDS = ["p@ss/w?rd#[]:%41+&=", "Å se øre", " ", "%", ":", "'\"\\$(x)",
             "x" * 1000]


@pytest.fixture
def server():
    with MongoServer() as one:
        yield one


@pytest.fixture
def guarded():
    """One that wants a password."""
    with MongoServer(password=PASSWORD) as one:
        yield one


def ask(bare, uri, *args, secrets=(), file=None, env=None, wrap=()):
    """A command with that store; no secret may be in what it says."""
    env = dict(env or {})
    if file is not None:
        env["NOMPD_STORE_PASSWORD_FILE"] = str(file)
    ended = bare.run(*(args or ("history",)), "--log-level", "debug",
                     "--store", uri, env=env, wrap=wrap)
    for secret in (PASSWORD, KEY_PASSWORD, *secrets):
        for form in {secret, quote(secret, safe="")}:
            assert form not in ended.out + ended.err, ended.err
    return ended


def password_file(bare, content):
    file = bare.folder / "password"
    file.write_bytes(content if isinstance(content, bytes) else
                     content.encode())
    return file


# Who logs in

def test_server_without_users(bare, server):
    ask(bare, server.uri()).failed(74, EMPTY, server.host)
    assert "saslStart" not in server.names()


@pytest.mark.parametrize("password", PASSWORDS, ids=range(len(PASSWORDS)))
def test_password_in_the_uri(bare, password):
    with MongoServer(password=password) as server:
        login = f"consumer:{quote(password, safe='')}@"
        secrets = [password] if len(password) > 1 else []
        ask(bare, server.uri(login=login), secrets=secrets).failed(74, EMPTY)
        assert server.names().count("saslStart") == 1
        ask(bare, server.uri(login="consumer:other@")).failed(77)


@pytest.mark.parametrize("password", PASSWORDS + ["x" * 4096],
                         ids=range(len(PASSWORDS) + 1))
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_password_in_a_file(bare, password, end):
    with MongoServer(password=password) as server:
        file = password_file(bare, password + end)
        ask(bare, server.uri(login="consumer@"), file=file,
            secrets=[password] if len(password) > 1 else []
            ).failed(74, EMPTY)
        assert "saslStart" in server.names()


def test_one_newline_is_dropped(bare):
    """A second one belongs to no password."""
    with MongoServer(password=PASSWORD) as server:
        ask(bare, server.uri(login="consumer@"),
            file=password_file(bare, PASSWORD + "\n\n")).failed(
                64, "NOMPD_STORE_PASSWORD_FILE", "control character")
        assert server.connections == 0


def test_wrong_password(bare, guarded):
    """It is not tried again and again: an account may be locked by that."""
    ended = ask(bare, guarded.uri(login="consumer:wr0ng-pa55word@"),
                secrets=["wr0ng-pa55word"])
    ended.failed(77, guarded.host, "refuses the user or the password",
                 "NOMPD_STORE_PASSWORD_FILE")
    assert guarded.names().count("saslStart") == 1
    assert "find" not in guarded.names()


def test_wrong_password_in_a_file(bare, guarded):
    ask(bare, guarded.uri(login="consumer@"), secrets=["wr0ng-pa55word"],
        file=password_file(bare, "wr0ng-pa55word")).failed(
            77, "refuses the user or the password")


def test_no_user(bare, guarded):
    ask(bare, guarded.uri()).failed(
        77, "wants a user and a password", "NOMPD_STORE_PASSWORD_FILE")


def test_user_without_a_password(bare, guarded):
    for options in ("", "authMechanism=SCRAM-SHA-256", "authMechanism=PLAIN"):
        ask(bare, guarded.uri(login="consumer@", options=options)).failed(
            64, "names a user, but there is no password",
            "NOMPD_STORE_PASSWORD_FILE")
    assert guarded.connections == 0


def test_password_of_the_uri_wins(bare, guarded):
    ask(bare, guarded.uri(login=LOGIN),
        file=password_file(bare, "other")).failed(74, EMPTY)


def test_file_without_a_user(bare, server):
    """It is not looked at, as one for another command's store."""
    ask(bare, server.uri(), file=bare.folder / "none").failed(74, EMPTY)


@pytest.mark.parametrize("content,words", [
    (None, "No such file"), (b"", "it is empty"), (b"\n", "it is empty"),
    (b"x" * 4097, "at most 4096 bytes"), (b"a\0b", "control character"),
    (b"a\tb", "control character"), (b"\xff\xfe", "UTF-8"),
    ("folder", "is a directory")])
def test_password_file_that_will_not_do(bare, guarded, content, words):
    file = bare.folder / "password"
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_bytes(content)
    ended = ask(bare, guarded.uri(login="consumer@"), file=file)
    ended.failed(64, words)
    assert words == "UTF-8" or "NOMPD_STORE_PASSWORD_FILE" in ended.err
    assert guarded.connections == 0


def test_file_for_a_store_of_a_copy(bare, guarded):
    uri = guarded.uri(login="consumer@")
    file = str(password_file(bare, PASSWORD))
    for ends in ((uri, "sqlite:x.db"), (guarded.uri("a", LOGIN), uri)):
        ended = bare.run("copy", "--from", ends[0], "--to", ends[1],
                         env={"NOMPD_STORE_PASSWORD_FILE": file})
        ended.failed(74, EMPTY)
        assert PASSWORD not in ended.err


def test_files_for_both_stores_of_a_copy(bare, guarded):
    """One password goes to two servers only by two names."""
    uri = guarded.uri(login="consumer@")
    file = str(password_file(bare, PASSWORD))
    ends = "--from", guarded.uri("a", "consumer@"), "--to", uri
    bare.run("copy", *ends, env={"NOMPD_STORE_PASSWORD_FILE": file}).failed(
        64, "NOMPD_COPY_FROM_PASSWORD_FILE", "NOMPD_COPY_TO_PASSWORD_FILE")
    assert guarded.connections == 0
    bare.run("copy", *ends, env={
        "NOMPD_COPY_FROM_PASSWORD_FILE": file,
        "NOMPD_COPY_TO_PASSWORD_FILE": file}).failed(74, EMPTY)
    assert guarded.connections > 0


@pytest.mark.parametrize("database,wanted", [
    ("p_uri", "p_uri"), ("", "nompd"), ("%C3%85", "Å")])
def test_database(bare, server, database, wanted):
    ask(bare, server.uri(database)).failed(
        74, f"store mongodb://{server.host}/{wanted}: ")
    assert server.databases() == {wanted}


def test_uri_without_a_slash(bare, server):
    ask(bare, f"mongodb://{server.host}").failed(74, "/nompd: ")
    assert server.databases() == {"nompd"}


# Secrets

def cmdline(process):
    return pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()


@pytest.mark.parametrize("form", ["{}", "--store={}"])
def test_arguments_of_the_process(bare, form):
    """What others on the machine can read, while it talks to the server."""
    with MongoServer(is_silent=True) as server:
        uri = server.uri(login=LOGIN, options="&".join((
            SOON, f"tlsCertificateKeyFilePassword={KEY_PASSWORD}",
            "tls=false")))
        argument = form.format(uri)
        words = [argument] if "=" in form else ["--store", argument]
        if "=" in form:
            words += ["--store", uri]       # the last one counts
        process = bare.start("history", *words)
        server.wait_for_connection()
        line = cmdline(process)
        assert server.host.encode() in line
        assert PASSWORD.encode() not in line
        assert KEY_PASSWORD.encode() not in line
        ended = bare.finish(process)
        ended.failed(74)
        for secret in (PASSWORD, KEY_PASSWORD):
            assert secret not in ended.err


def test_arguments_of_a_copy(bare):
    with MongoServer(is_silent=True) as server:
        process = bare.start(
            "copy", "--from", server.uri(login=LOGIN, options=SOON),
            "--to", f"mongodb+srv://{LOGIN}db.invalid/x")
        server.wait_for_connection()
        line = cmdline(process)
        assert line.count(b"consumer:") == 2
        assert PASSWORD.encode() not in line
        bare.finish(process).failed(74)


# The server

@pytest.mark.parametrize("wire,piece", [
    (0, "too old"), (5, "too old"), (9, "MongoDB 5.0"), (12, "MongoDB 5.0")])
def test_old_server(bare, wire, piece):
    with MongoServer({"maxWireVersion": wire}) as server:
        ask(bare, server.uri(options=SOON)).failed(
            74, server.host, "too old", piece)
        assert "find" not in server.names()


def test_oldest_server(bare):
    with MongoServer({"maxWireVersion": OLDEST}) as server:
        ask(bare, server.uri()).failed(74, EMPTY)


def test_server_of_the_future(bare):
    with MongoServer({"minWireVersion": 1000,
                      "maxWireVersion": 1001}) as server:
        ask(bare, server.uri(options=SOON)).failed(74, "too new")


def test_server_that_knows_no_time(bare):
    with MongoServer({"localTime": None}) as server:
        ask(bare, server.uri()).failed(74, "does not tell its time")


@pytest.mark.parametrize("options", [SOON, ""])
def test_server_that_says_nothing(bare, options):
    """Also within the limits that hold without a word in the URI."""
    with MongoServer(is_silent=True) as server:
        ask(bare, server.uri(login=LOGIN, options=options)).failed(
            74, server.host, "says nothing")


@pytest.mark.parametrize("options", [SOON, ""])
def test_closed_port(bare, options):
    held, port = refused_port()
    ask(bare, f"mongodb://{LOGIN}127.0.0.1:{port}/x?{options}").failed(
        74, f"127.0.0.1:{port}", "nobody answers there")
    held.close()


def test_unknown_host(bare):
    ask(bare, f"mongodb://{LOGIN}db.invalid/x?{SOON}").failed(
        74, "db.invalid", "no address for the server's name")


def test_unknown_service(bare):
    ask(bare, f"mongodb+srv://{LOGIN}db.nompd.invalid/x?{SOON}").failed(
        74, "db.nompd.invalid", "no address for the server's name")


def test_web_server(bare):
    upstream = Upstream()
    ended = ask(bare, f"mongodb://{LOGIN}127.0.0.1:{upstream.port}/x?{SOON}")
    upstream.stop()
    ended.failed(74, str(upstream.port), "MongoDB server")


def test_replica_set_of_another_name(bare):
    for hello in ({}, {"setName": "other", "hosts": ["127.0.0.1:1"]}):
        with MongoServer(hello) as server:
            ask(bare, server.uri(options=f"replicaSet=ours&{SOON}")).failed(
                74, "replica set ours", "does it run")


def test_replica_set(bare):
    with MongoServer() as server:
        server.hello = {"setName": "ours", "hosts": [server.host],
                        "me": server.host, "setVersion": 1}
        ask(bare, server.uri(options="replicaSet=ours")).failed(74, EMPTY)
        server.hello.update(ismaster=False, isWritablePrimary=False,
                            secondary=True)
        ask(bare, server.uri(options=f"replicaSet=ours&{SOON}"), "init"
            ).failed(74, "replica set")
        # A reader may go to the others, when its URI says so.
        ask(bare, server.uri(options="replicaSet=ours&readPreference="
                             "secondaryPreferred")).failed(74, EMPTY)


# The words of a URI

@pytest.mark.parametrize("uri,words", [
    ("mongodb://", "Invalid host"),
    (f"mongodb://{LOGIN}/x", "Invalid host"),
    (f"mongodb://{LOGIN}127.0.0.1:99999/x", "Invalid host"),
    (f"mongodb://{LOGIN}127.0.0.1:port/x", "Invalid host"),
    (f"mongodb://{LOGIN}[::1/x", "Invalid host"),
    (f"mongodb://{LOGIN}127.0.0.1:1/a b$c.d", "Invalid database"),
    (f"mongodb://{LOGIN}127.0.0.1:1/x?tls", 'contains no "=" sign'),
    (f"mongodb://{LOGIN}127.0.0.1:1/x?tls=perhaps", '"perhaps"'),
    (f"mongodb://{LOGIN}127.0.0.1:1/x?tlsInsecure=true&"
     "tlsAllowInvalidHostnames=true", "tlsinsecure"),
    (f"mongodb://{LOGIN}127.0.0.1:1/x?"
     f"tlsCertificateKeyFilePassword={KEY_PASSWORD}%zz", "UTF-8"),
    (f"mongodb+srv://{LOGIN}127.0.0.1:27017/x", "."),
    (f"mongodb+srv://{LOGIN}a,b/x", "."),
    (f"mongodb+srv://{LOGIN}localhost/x", "service name"),
    ("mongodb://consumer:@h/x", "--store: want a password"),
    (f"mongodb://:{PASSWORD}@h/x", "--store: want a user's name"),
    (f"mongodb://consumer:{PASSWORD}%@h/x", "--store: want two hex digits"),
    (f"mongodb://consumer:{PASSWORD}%00@h/x", "no %00"),
    (f"mongodb://consumer:{PASSWORD}%0a@h/x", "control characters"),
    (f"mongodb://consumer:{PASSWORD}%ff@h/x", "UTF-8"),
    (f"mongodb://consumer:{PASSWORD}/y@h/x", "written as %XX"),
    (f"mongodb://consumer:{PASSWORD}@y@h/x", "written as %XX"),
    ("mongodb://h/" + "x" * 5000, "4096 bytes"),
    # Somebody forgot the server: what stands there may be the password.
    (f"mongodb://consumer:{PASSWORD}/x", "want a URI"),
])
def test_malformed_uri(bare, uri, words):
    ask(bare, uri).failed(64, words)


def test_unknown_mechanism(bare, server):
    ask(bare, server.uri(login=LOGIN, options="authMechanism=NOPE")).failed(
        64, "authMechanism", "NOPE")


def test_unknown_option(bare, server):
    """Refused, and named, so that a misspelt one is found; its value is
    not."""
    ended = ask(bare, server.uri(options="tslCAFile=nothing-to-see"))
    ended.failed(64, "tslcafile")
    assert "nothing-to-see" not in ended.err


# TLS

@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificate(folder, "right", "IP:127.0.0.1")
    certificate(folder, "wrong", "DNS:nompd.example")
    return folder


def serving_tls(certificates, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{name}.pem",
                            certificates / f"{name}.key")
    return MongoServer(password=PASSWORD, tls=context)


def test_tls(bare, certificates):
    with serving_tls(certificates, "right") as server:
        ask(bare, server.uri(login=LOGIN, options="tls=true&tlsCAFile="
                             f"{certificates}/right.pem")).failed(74, EMPTY)
        assert server.databases() == {"p_uri"}


@pytest.mark.parametrize("name,options", [
    ("right", "tls=true"), ("right", "tls=true&tlsCAFile={}/wrong.pem"),
    ("wrong", "tls=true&tlsCAFile={}/wrong.pem"),
    ("right", "tlsCAFile={}/wrong.pem")])
def test_certificate_that_is_not_trusted(bare, certificates, name, options):
    with serving_tls(certificates, name) as server:
        ask(bare, server.uri(login=LOGIN, options="&".join((
            options.format(certificates), SOON)))).failed(
                74, server.host, "no TLS connection", "tlsCAFile")
        assert server.names() == []


def test_tls_to_a_plain_port(bare, server):
    ask(bare, server.uri(login=LOGIN, options=f"tls=true&{SOON}")).failed(
        74, server.host, "does it speak TLS")


def test_plain_to_a_tls_port(bare, certificates):
    with serving_tls(certificates, "right") as server:
        ask(bare, server.uri(login=LOGIN, options=SOON)).failed(
            74, server.host, "does it speak TLS only")


@pytest.mark.parametrize("option", ["tlsCAFile", "tlsCertificateKeyFile"])
def test_file_that_is_missing(bare, server, option):
    ask(bare, server.uri(login=LOGIN, options="tls=true&"
                         f"{option}=/nonexistent.pem&"
                         f"tlsCertificateKeyFilePassword={KEY_PASSWORD}")
        ).failed(64, option, "/nonexistent.pem: No such file")
    assert server.connections == 0


@pytest.mark.parametrize("option", ["tlsCAFile", "tlsCertificateKeyFile"])
def test_file_that_is_none(bare, server, option):
    file = bare.folder / "not.pem"
    file.write_text("nothing\n", encoding="utf-8")
    ask(bare, server.uri(login=LOGIN, options=f"tls=true&{option}={file}&"
                         f"tlsCertificateKeyFilePassword={KEY_PASSWORD}&"
                         + SOON)).failed(
        74, "no TLS connection can be begun", rf"warn .*{file}", "tlsCAFile")


def encrypted_key(folder, certificates):
    """A client's certificate and its key under KEY_PASSWORD, in one file."""
    done = subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", certificates / "right.key",
         "-passout", f"pass:{KEY_PASSWORD}"], check=True, timeout=60,
        capture_output=True, stdin=subprocess.DEVNULL)
    file = folder / "client.pem"
    file.write_bytes(done.stdout + (certificates / "right.pem").read_bytes())
    return file


@pytest.mark.parametrize("given,is_right", [
    (KEY_PASSWORD, True), ("wr0ng-k3y-pa55word", False)])
def test_client_certificate(bare, certificates, given, is_right):
    file = encrypted_key(bare.folder, certificates)
    with serving_tls(certificates, "right") as server:
        server.tls.verify_mode = ssl.CERT_REQUIRED
        server.tls.load_verify_locations(certificates / "right.pem")
        options = (f"tls=true&tlsCAFile={certificates}/right.pem&"
                   f"tlsCertificateKeyFile={file}&"
                   f"tlsCertificateKeyFilePassword={given}&{SOON}")
        ended = ask(bare, server.uri(login=LOGIN, options=options),
                    secrets=[given])
        if is_right:
            ended.failed(74, EMPTY)
        else:
            ended.failed(74, "no TLS connection can be begun",
                         "tlsCertificateKeyFile")
            assert server.names() == []


# The module

@pytest.mark.parametrize("content", [None, b"no module\n"])
def test_module_that_is_missing(bare, content):
    """The program alone serves files, and says what it lacks for more."""
    folder = bare.folder / "alone"
    folder.mkdir()
    program = folder / "nompd-sync"
    shutil.copy2(PROGRAM, program)
    if content is not None:
        (folder / "nompd-mongodb.so").write_bytes(content)

    def run(*args):
        return subprocess.run([program, *args], env=bare.environment(),
                              capture_output=True, text=True, cwd=folder,
                              timeout=stores.PATIENCE, check=False,
                              stdin=subprocess.DEVNULL)

    done = run("history", "--store", f"mongodb://{LOGIN}h/x")
    assert done.returncode == 64, done.stderr
    assert done.stdout == ""
    assert "needs the module nompd-mongodb.so" in done.stderr
    assert "install it in" in done.stderr
    assert PASSWORD not in done.stderr
    assert run("init", "--store", "sqlite:x.db").returncode == 0


def test_module_of_an_installation(bare, server):
    """It is found in the lib beside the program's bin, wherever that is."""
    for path in ("bin", "lib/nompd-sync"):
        (bare.folder / "root" / path).mkdir(parents=True)
    program = bare.folder / "root/bin/nompd-sync"
    shutil.copy2(PROGRAM, program)
    shutil.copy2(pathlib.Path(PROGRAM).with_name("nompd-mongodb.so"),
                 bare.folder / "root/lib/nompd-sync")
    done = subprocess.run(
        [program, "history", "--store", server.uri()],
        env=bare.environment(), capture_output=True, text=True, check=False,
        timeout=stores.PATIENCE, stdin=subprocess.DEVNULL)
    assert done.returncode == 74, done.stderr
    assert re.search(EMPTY, done.stderr), done.stderr


# A true server

def true_password():
    return unquote(urlsplit(os.environ["NOMPD_TEST_MONGODB_URI"]).password)


@pytest.mark.only_store("mongodb")
def test_wrong_password_of_a_true_server(bare):
    uri = stores.uri(bare.store)
    password = urlsplit(uri).password
    ask(bare, uri.replace(f":{password}@", ":wr0ng-pa55word@"),
        secrets=["wr0ng-pa55word"]).failed(
            77, "refuses the user or the password")


@pytest.mark.only_store("mongodb")
def test_password_file_with_a_true_server(bare):
    uri = stores.uri(bare.store)
    password = urlsplit(uri).password
    uri = uri.replace(f":{password}@", "@")
    file = password_file(bare, true_password() + "\n")
    assert ask(bare, uri, "init", file=file).status == 0
    assert bare.run("history").status == 0


@pytest.mark.only_store("mongodb")
def test_nothing_secret_in_the_store(bare):
    url = folder_upstream(bare.folder / "up", *FILLED)
    assert bare.run("--log-level", "debug", url=url).status == 0
    database = KIND.database(bare.store)
    assert set(database.list_collection_names()) >= {
        "SyncLease", "SyncHistory", "SyncMetadata"}
    for name in ("SyncLease", "SyncHistory", "SyncMetadata"):
        for document in database[name].find():
            assert true_password().encode() not in document.raw


@pytest.mark.only_store("mongodb")
def test_no_login_at_a_true_server(bare):
    uri = stores.uri(bare.store)
    parts = urlsplit(uri)
    login = f"{parts.username}:{parts.password}@"
    ask(bare, uri.replace(login, "")).failed(
        77, "wants a user and a password")


@pytest.mark.only_store("mongodb")
def test_tls_to_a_true_server(bare):
    address = os.environ.get("NOMPD_TEST_MONGODB_TLS_URI")
    if not address:
        pytest.skip("NOMPD_TEST_MONGODB_TLS_URI is not set")
    base, _, options = address.partition("?")
    ca = os.environ["NOMPD_TEST_MONGODB_CA"]
    options = [option for option in options.split("&") if option
               and not option.startswith("tls")]
    uri = f"{base.rstrip('/')}/{bare.store.name}?" + "&".join(
        [*options, "tls=true", f"tlsCAFile={ca}"])
    assert ask(bare, uri, "init").status == 0
    ask(bare, uri.replace(ca, "/etc/ssl/certs/ca-certificates.crt")
        + "&" + SOON).failed(74, "no TLS connection")
