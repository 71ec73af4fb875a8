"""Requests, clients and neighbours at their worst: after each of them
nompd-serve answers as before, and with as little memory."""
import collections
import concurrent.futures
import contextlib
import email
import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

import web
from conftest import Sync, folder_upstream
from upstream import AUTHORIZATIONS, authorization
from web import KINDS, make_key, start_server

TREATMENTS = "/api/v1/treatmentGroup"
REIMBURSEMENTS = "/api/v1/reimbursementGroup"
TRIGGER = "/api/internal/sync"
MAX_QUERY = 8192            # bytes, of the program
MAX_RECEIVE = 20            # seconds that a silent connection may hold it
MAX_MEMORY = 32 * 2**20     # bytes of a process that answers with a long list
LARGE = 100000              # records of such a list
MANY, LAST_RUN = 300, 15    # records, and runs that change all of them
SOON = 10                   # seconds in which a free worker answers

# One entry of its list; two articles make it long enough.
LARGE_ENTRY = (
    '{"resource":{"resourceType":"RegulatedAuthorization",'
    '"identifier":[{"value":"r%06d"}],"articleNumbers":["000001","000002"]}}')

SANITIZED = b"__asan_init" in pathlib.Path(web.PROGRAM).read_bytes() if (
    os.path.exists(web.PROGRAM)) else False

# FastCGI 1.0
BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA, GET_VALUES = range(
    1, 10)
RESPONDER, AUTHORIZER, FILTER = 1, 2, 3
KEEP = 1


# FastCGI from a web server's side

def record(kind, content=b"", request=1, version=1, padding=0):
    return struct.pack(">BBHHBx", version, kind, request, len(content),
                       padding) + content + b"\0" * padding


def stream(kind, content, size=65535, **options):
    """The content in records of that size, and the one that ends it."""
    return b"".join(record(kind, content[i:i + size], **options)
                    for i in range(0, len(content), size)) + record(
                        kind, **options)


def begin(role=RESPONDER, flags=0, **options):
    return record(BEGIN, struct.pack(">HB5x", role, flags), **options)


def length(number):
    return bytes([number]) if number < 128 else struct.pack(
        ">I", number | 1 << 31)


def pairs(variables):
    out = []
    for name, value in variables.items():
        name, value = to_bytes(name), to_bytes(value)
        out.append(length(len(name)) + length(len(value)) + name + value)
    return b"".join(out)


def to_bytes(text):
    return text if isinstance(text, bytes) else text.encode()


def variables(server, path=TREATMENTS, query="", method="GET", **more):
    found = {"REQUEST_METHOD": method, "SCRIPT_NAME": path,
             "QUERY_STRING": query, "HTTP_X_API_KEY": server.key, **more}
    return {name: value for name, value in found.items()
            if value is not None}


def request(server, path=TREATMENTS, query="", **more):
    """All that a web server sends for one request."""
    return (begin() + stream(PARAMS, pairs(variables(server, path, query,
                                                     **more)))
            + record(STDIN))


class Connection:
    """One to the workers' socket, past the web server."""

    def __init__(self, server):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(web.PATIENCE)
        self.socket.connect(str(server.socket))
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def send(self, *pieces):
        """The worker may have had enough before the end."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(b"".join(pieces))

    def end(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def read(self, size=None):
        """To the end, or until size bytes are there."""
        parts = [self.received]
        have = len(self.received)
        while size is None or have < size:
            try:
                part = self.socket.recv(65536)
            except ConnectionResetError:
                break
            if not part:
                break
            parts.append(part)
            have += len(part)
        self.received = b"".join(parts)
        return self.received

    def answer(self):
        """The one that came, whole and well-formed."""
        return parse_answer(self.read())


def records(data):
    at = 0
    while at < len(data):
        version, kind, number, size, padding = struct.unpack_from(
            ">BBHHB", data, at)
        assert version == 1
        at += 8 + size + padding
        assert at <= len(data)
        yield kind, number, data[at - size - padding:at - padding]


def parse_answer(data):
    found = list(records(data))
    assert [kind for kind, _, _ in found].count(END) == 1
    assert found[-1][0] == END
    assert found[-1][2][:5] == struct.pack(">IB", 0, 0)
    assert {kind for kind, _, _ in found} <= {STDOUT, STDERR, END}
    assert not b"".join(c for kind, _, c in found if kind == STDERR)
    return parse_cgi(b"".join(c for kind, _, c in found if kind == STDOUT))


def parse_cgi(data):
    head, _, body = data.partition(b"\r\n\r\n")
    headers = email.message_from_bytes(head)
    return web.Answer(int(headers["Status"].split()[0]), headers, body)


def ask(server, *args, **more):
    """One request past the web server."""
    with Connection(server) as connection:
        connection.send(request(server, *args, **more))
        return connection.answer()


# Processes

def children(pid):
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return set(map(int, path.read_text().split()))


def memory(pid, name="VmHWM"):
    """In bytes; the highest there was, unless name says otherwise."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", text).group(1)) * 1024


def descriptors(pid):
    """What it has open, once the socket it listens on is its only one."""
    found = []

    def is_idle():
        nonlocal found
        with contextlib.suppress(FileNotFoundError):
            found = [os.readlink(path) for path
                     in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
            return sum(name.startswith("socket:") for name in found) == 1

    wait_until(is_idle)
    return len(found)


def wait_until(question, seconds=web.PATIENCE):
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end
        time.sleep(0.01)


# Stores and servers

@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A store whose list is longer than a process may be large."""
    folder = tmp_path_factory.mktemp("large")
    sync = Sync(folder)
    url = folder_upstream(folder / "upstream", [], [], [])
    (folder / "upstream" / f"{AUTHORIZATIONS}.json").write_text(
        '{"resourceType":"Bundle","type":"searchset","entry":['
        + ",".join(LARGE_ENTRY % i for i in range(LARGE)) + "]}")
    assert sync.run(url=url).counts == (2 * LARGE, 0, 0, 0)
    sync.close()
    return sync.store


@contextlib.contextmanager
def serving(kind, folder, **options):
    server = start_server(kind, folder, **options)
    try:
        server.key = make_key(server, "hospital-a")
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def one(filled_store, tmp_path_factory):
    """One worker, which is the process that was started."""
    folder = tmp_path_factory.mktemp("one")
    # libfcgi 2.4.2 forgets 48 bytes for each unknown management record; a
    # sanitizer is not to speak of that.
    known = folder / "suppressions"
    known.write_text("leak:libfcgi\n")
    options = ":".join((os.environ.get("LSAN_OPTIONS", ""),
                        f"suppressions={known}", "print_suppressions=0"))
    with serving("nginx-fastcgi", folder, store=filled_store, workers=1,
                 env={"LSAN_OPTIONS": options}) as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def server(request, filled_store, tmp_path_factory):
    with serving(request.param, tmp_path_factory.mktemp("server"),
                 store=filled_store) as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def long_server(request, large, tmp_path_factory):
    """With the long list."""
    with serving(request.param, tmp_path_factory.mktemp("long"),
                 store=large) as server:
        yield server


@pytest.fixture(scope="module")
def long_workers(large, tmp_path_factory):
    """Two workers with the long list."""
    with serving("nginx-fastcgi", tmp_path_factory.mktemp("workers"),
                 store=large, workers=2) as server:
        yield server


def check_serves(server):
    """Through the web server, with the right content."""
    answer = server.request("GET", TREATMENTS, key=server.key)
    assert answer.status == 200
    assert [item["data"]["id"] for item in answer.json()["items"]] == [
        "p1", "p2", "p3"]


@pytest.fixture
def lives(one):
    """The worker is the one it was, with as many files open as before."""
    check_serves(one)
    before = descriptors(one.program.pid)
    yield
    check_serves(one)
    assert one.program.poll() is None
    assert descriptors(one.program.pid) == before


# Queries

def shown(value):
    """A parameter in the name of a test."""
    return ascii(value)[:30]


def query_of(size):
    return "a=" + "x" * (size - 2)


def test_query_at_its_limit(server, one):
    for each in (server, one):
        answer = each.request("GET", f"{TREATMENTS}?{query_of(MAX_QUERY)}",
                              key=each.key)
        assert answer.status == 200
        for size in (MAX_QUERY + 1, MAX_QUERY + 2, 15000):
            answer = each.request("GET", f"{TREATMENTS}?{query_of(size)}",
                                  key=each.key)
            assert answer.status == 414
            assert answer.json() == {
                "error": "The query string is too long."}
        check_serves(each)


def test_query_longer_than_a_web_server_lets_through(server):
    for size in (70000, 1000000):
        try:
            answer = server.request("GET", f"{TREATMENTS}?{query_of(size)}",
                                    key=server.key)
            assert answer.status in (400, 413, 414, 431)
        except (ConnectionError, http.client.HTTPException):
            pass        # closed while the rest was on its way
        check_serves(server)


@pytest.mark.parametrize("size", (MAX_QUERY + 1, 65535, 65536, 10**6, 10**7))
def test_query_past_the_web_server(one, lives, size):
    answer = ask(one, query=query_of(size))
    assert answer.status == 414
    assert ask(one, query=query_of(MAX_QUERY)).status == 200
    assert ask(one, "/nothing", query=query_of(size)).status == 404


@pytest.mark.parametrize("query, status", (
    ("%", 200), ("%%", 200), ("%4", 200), ("%zz=%zz", 200), ("=", 200),
    ("&" * MAX_QUERY, 200), ("=" * MAX_QUERY, 200), ("%" * MAX_QUERY, 200),
    ("%00" * 2000, 200), ("\xff" * 4000, 200), (b"\xff\xfe=\x80", 200),
    ("sinceVersion=%", 400), ("sinceVersion=%3", 400),
    ("sinceVersion=%g1", 400), ("sinceVersion=1%", 400),
    ("sinceVersion=%%31", 400), ("sinceVersion=" + "%30" * 2000, 200),
    ("sinceVersion=" * 600, 400), ("sinceVersion&" * 600, 400),
    ("sinceVersion%=1", 200), ("sinceVersion=%31", 200),
    ("\x7f\x1b[2J\r\nX-Forged: 1", 200), ("sinceVersion=1\r\nX-A: b", 400)),
    ids=shown)
def test_broken_escapes(one, lives, query, status):
    answer = ask(one, query=query)
    assert answer.status == status
    assert answer.headers["X-Forged"] is None


def test_a_nul_in_a_variable(one, lives):
    """No web server sends one; what stands behind it is not there."""
    assert ask(one, query=b"sinceVersion=0\0x").status == 200
    assert ask(one, query=b"\0sinceVersion=x").status == 200
    assert ask(one, HTTP_X_API_KEY=b"\0" + one.key.encode()).status == 401
    assert ask(one, TREATMENTS + "\0").status == 200
    assert ask(one, "\0" + TREATMENTS).status == 404


def test_paths_past_the_web_server(one, lives):
    for path in (TREATMENTS + "//", "/" + TREATMENTS, "//", "", "/" * 10000,
                 TREATMENTS + "/" * 2000, "x" * 10**6, b"\xff" * 100,
                 "/api//v1/treatmentGroup", TREATMENTS + "/.."):
        assert ask(one, path).status == 404
    for method in ("", "GARBAGE", "get", "M" * 10**6, "\n", b"\xff\xfe"):
        answer = ask(one, method=method)
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD"


# Headers

def test_many_headers(server):
    """A web server may refuse them; the next request is answered."""
    headers = {f"X-H{i}": "x" for i in range(10000)}
    try:
        answer = server.request("GET", TREATMENTS, headers, key=server.key)
        assert answer.status in (200, 400, 413, 414, 431)
    except (ConnectionError, http.client.HTTPException):
        pass            # closed while the rest was on its way
    check_serves(server)


def test_headers_of_every_size(server):
    for name in ("X-API-KEY", "X-Request-Id", "If-None-Match", "Accept"):
        for size in (100, 4000, 100000):
            with contextlib.suppress(ConnectionError,
                                     http.client.HTTPException):
                answer = server.request("GET", TREATMENTS,
                                        {name: "x" * size})
                assert answer.status in (400, 401, 413, 431)
    check_serves(server)


@pytest.mark.parametrize("count", (1000, 10000, 100000))
def test_many_variables_past_the_web_server(one, lives, count):
    more = {f"HTTP_X_{i}": str(i) for i in range(count)}
    assert ask(one, **more).status == 200
    # Those that count come first, last, and not at all.
    fields = {**more, **variables(one)}
    with Connection(one) as connection:
        connection.send(begin(), stream(PARAMS, pairs(fields)),
                        record(STDIN))
        assert connection.answer().status == 200
    assert ask(one, **more, HTTP_X_API_KEY=None).status == 401


def test_variables_in_the_smallest_records(one, lives):
    content = pairs(variables(one))
    with Connection(one) as connection:
        connection.send(begin(), stream(PARAMS, content, size=1),
                        record(STDIN))
        assert connection.answer().status == 200
    with Connection(one) as connection:
        connection.send(begin(),
                        stream(PARAMS, content, size=3, padding=255),
                        record(STDIN, padding=7))
        assert connection.answer().status == 200


def test_variables_piece_by_piece(one, lives):
    """As a network may deliver them."""
    data = request(one)
    with Connection(one) as connection:
        for i in range(len(data)):
            connection.send(data[i:i + 1])
        assert connection.answer().status == 200


def test_long_variables(one, lives):
    for name in ("HTTP_X_API_KEY", "HTTP_IF_NONE_MATCH", "REQUEST_URI",
                 "HTTP_X_REQUEST_ID", "x" * 10**6):
        status = 401 if name == "HTTP_X_API_KEY" else 200
        assert ask(one, **{name: "y" * 10**6}).status == status
        assert ask(one, **{name: ""}).status == status


# Nonsense on the socket

def broken(one):
    """Name, and what is sent; the sender then waits for the end."""
    good = request(one)
    content = pairs(variables(one))
    noise = random.Random(1)
    cases = {
        "nothing": b"",
        "http": b"GET / HTTP/1.0\r\n\r\n",
        "zeros": b"\0" * 1000,
        "ones": b"\xff" * 1000,
        "half a header": good[:4],
        "a header alone": begin()[:8],
        "half a beginning": begin()[:12],
        "a beginning alone": begin(),
        "half a variable": begin() + record(PARAMS, content)[:20],
        "no end of the variables": begin() + record(PARAMS, content),
        "no variables": begin() + record(PARAMS) + record(STDIN),
        "no input": begin() + stream(PARAMS, content),
        "no beginning": stream(PARAMS, content) + record(STDIN),
        "input first": begin() + record(STDIN) + stream(PARAMS, content),
        "two beginnings": begin() + begin() + stream(PARAMS, content),
        "other number": begin() + stream(PARAMS, content, request=2),
        "number 0": begin(request=0) + stream(PARAMS, content, request=0),
        "a long beginning": record(BEGIN, b"\0\1" + b"\0" * 1000) + good,
        "a short beginning": record(BEGIN, b"\0\1") + good,
        "an empty beginning": record(BEGIN) + good,
        "no length": begin() + stream(PARAMS, b"\x80"),
        "a length alone": begin() + stream(PARAMS, b"\x05\x05"),
        "too short": begin() + stream(PARAMS, content[:-3]) + record(STDIN),
        "text": begin() + stream(PARAMS, b"REQUEST_METHOD=GET&x=y"),
        "results": record(10, b"x" * 100) + good,
        "an end": record(END, b"\0" * 8) + good,
        "output": record(STDOUT, b"x" * 100) + good,
        "data": begin() + record(DATA, b"x") + stream(PARAMS, content),
        "unknown kind": record(99, b"x" * 100, request=0) + good,
        "unknown kind within": begin() + record(77) + stream(PARAMS, content),
        "abort first": record(ABORT),
        "abort at once": begin() + record(ABORT),
        "abort within": begin() + record(PARAMS, content[:9]) + record(ABORT),
        "abort late": good[:-8] + record(ABORT),
        "abort another": begin() + record(ABORT, request=9) + good[16:],
    }
    for number in (0, 2, 255):
        cases[f"version {number}"] = (
            begin(version=number) + good[16:])
        cases[f"version {number} within"] = begin() + record(
            PARAMS, content, version=number) + record(PARAMS)
    for role in (0, AUTHORIZER, FILTER, 4, 99, 65535):
        cases[f"role {role}"] = begin(role) + good[16:]
    for what, start in sizes(2**24).items():
        cases[f"{what} that does not come"] = begin() + stream(
            PARAMS, start + b"x" * 100) + record(STDIN)
    for i in range(20):
        cases[f"noise {i}"] = noise.randbytes(noise.randrange(1, 3000))
        data = bytearray(good)
        for _ in range(noise.randrange(1, 5)):
            data[noise.randrange(len(data))] = noise.randrange(256)
        cases[f"bent {i}"] = bytes(data)
        cases[f"cut {i}"] = good[:noise.randrange(len(good))]
    return cases


def sizes(size):
    """What a variable of such a length begins with."""
    big = struct.pack(">I", size | 1 << 31)
    return {"name": big + b"\1", "value": b"\1" + big, "both": big + big}


Nobody = collections.namedtuple("Nobody", "key")
BROKEN = tuple(broken(Nobody("nompd_" + "x" * 43)))


@pytest.mark.parametrize("name", BROKEN)
def test_broken_records(one, lives, name):
    """The connection ends, at once, whatever is answered."""
    started = time.monotonic()
    with Connection(one) as connection:
        connection.send(broken(one)[name])
        connection.end()
        data = connection.read()
    assert time.monotonic() - started < SOON
    if data:
        assert all(kind in (STDOUT, STDERR, END, 10, 11)
                   for kind, _, _ in records(data))
    # And a sender that does not wait.
    with Connection(one) as connection:
        connection.send(broken(one)[name])
    assert ask(one).status == 200


def test_memory_of_broken_records_is_given_back(one, lives):
    """What they had asked for."""
    before = memory(one.program.pid, "VmSize")
    for name in BROKEN:
        with Connection(one) as connection:
            connection.send(broken(one)[name])
            connection.end()
            connection.read()
    assert ask(one).status == 200
    assert memory(one.program.pid, "VmSize") < before + MAX_MEMORY


@pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps freed memory")
def test_many_broken_connections_leave_nothing(one, lives):
    content = pairs(variables(one, HTTP_X_FILLER="x" * 50000))
    pieces = (begin() + record(PARAMS, content[:30000]),
              begin() + stream(PARAMS, content)[:-8] + record(ABORT),
              begin(AUTHORIZER) + stream(PARAMS, content))
    for count in (50, 500):
        for i in range(count):
            with Connection(one) as connection:
                connection.send(pieces[i % len(pieces)])
                connection.end()
                connection.read()
        assert ask(one).status == 200
        if count == 50:
            before = memory(one.program.pid, "VmRSS")
    # Each of them would have left 30 kB.
    assert memory(one.program.pid, "VmRSS") < before + 3 * 2**20


def test_questions_of_the_web_server(one, lives):
    """Management records: known names are answered, others are not."""
    names = pairs({"FCGI_MAX_CONNS": "", "FCGI_MPXS_CONNS": "", "X": ""})
    for content in (names, b"", b"\xff" * 50):
        with Connection(one) as connection:
            connection.send(record(GET_VALUES, content, request=0),
                            request(one))
            connection.end()
            connection.read()
    assert ask(one).status == 200


def test_a_connection_that_is_to_be_kept(one, lives):
    """It is not: it would keep the worker from all others."""
    data = request(one)
    data = begin(flags=KEEP) + data[16:]
    with Connection(one) as connection:
        connection.send(data)
        assert connection.answer().status == 200
        assert connection.socket.recv(1) == b""
    with Connection(one) as connection:
        connection.send(data, data)
        found = list(records(connection.read()))
        assert [kind for kind, _, _ in found].count(END) == 1


def test_input_that_nobody_reads(one, lives):
    with Connection(one) as connection:
        connection.send(request(one)[:-8], stream(STDIN, b"x" * 2**20))
        data = connection.read()
    if data.endswith(record(END, b"\0" * 8)):
        assert parse_answer(data).status == 200
    assert ask(one).status == 200


@pytest.mark.skipif(SANITIZED, reason="a sanitizer ends a process that asks"
                    " for so much")
@pytest.mark.parametrize("name", ("name", "value", "both"))
@pytest.mark.parametrize("size", (2**30, 2**31 - 1))
def test_lengths_that_no_memory_holds(pair, name, size):
    """They may end one worker; the service goes on."""
    parent = pair.program.pid
    for _ in range(2):
        with Connection(pair) as connection:
            connection.send(begin(), stream(PARAMS, sizes(size)[name]
                                            + b"x" * 100), record(STDIN))
            connection.end()
            connection.read()
        check_serves(pair)
        wait_until(lambda: len(children(parent)) == 2)
        check_serves(pair)


def test_half_a_request_starts_no_run(filled_store, tmp_path):
    """One whose variables have not come to their end is not carried out."""
    mark = tmp_path / "mark"
    with serving("nginx-fastcgi", tmp_path, store=filled_store, workers=1,
                 sync_command=["touch", mark]) as server:
        key = make_key(server, "operator", "sync")
        content = pairs({"REQUEST_METHOD": "POST", "SCRIPT_NAME": TRIGGER,
                         "HTTP_X_API_KEY": key})
        for rest in (b"", pairs({"CONTENT_LENGTH": "0"})[:5],
                     b"\0" * 8, record(PARAMS)[:4]):
            with Connection(server) as connection:
                connection.send(begin(), record(PARAMS, content), rest)
                connection.end()
                connection.read()
            assert ask(server).status == 200
        assert not mark.exists()
        # It is the end that they wanted.
        with Connection(server) as connection:
            connection.send(begin(), stream(PARAMS, content),
                            record(STDIN))
            connection.read()
        assert mark.exists()


# Connections on which nothing happens

SILENT = {
    "nothing": lambda server: b"",
    "a beginning": lambda server: begin(),
    "half a variable": lambda server: request(server)[:30],
}


def test_a_silent_connection_holds_one_worker_only(long_workers):
    """Until the time limit; the other one serves at once."""
    for name, part in SILENT.items():
        with Connection(long_workers) as silent:
            silent.send(part(long_workers))
            time.sleep(0.1)
            for _ in range(5):
                started = time.monotonic()
                assert ask(long_workers).status == 200
                assert time.monotonic() - started < SOON, name


@pytest.fixture(scope="module", autouse=True)
def silence(filled_store, tmp_path_factory):
    """A silent connection to a single worker, and how long a request behind
    it waits: as long as this takes, the other tests go on."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(
            "nginx-fastcgi", tmp_path_factory.mktemp("silence"),
            store=filled_store, workers=1))
        check_serves(server)
        silent = stack.enter_context(Connection(server))
        silent.send(begin())
        time.sleep(0.1)
        pool = stack.enter_context(
            concurrent.futures.ThreadPoolExecutor(1))
        yield server, silent, pool.submit(seconds_of, check_serves, server)


def seconds_of(function, *args):
    started = time.monotonic()
    function(*args)
    return time.monotonic() - started


# Workers

@pytest.fixture
def pair(filled_store, tmp_path):
    """Two workers of its own."""
    with serving("nginx-fastcgi", tmp_path, store=filled_store,
                 workers=2) as server:
        wait_until(lambda: len(children(server.program.pid)) == 2)
        check_serves(server)
        yield server


@pytest.mark.parametrize("number", (signal.SIGKILL, signal.SIGABRT,
                                    signal.SIGTERM))
def test_a_worker_that_ends_is_replaced(pair, number):
    parent = pair.program.pid
    for _ in range(2):
        before = children(parent)
        victim = min(before)
        os.kill(victim, number)
        wait_until(lambda: victim not in children(parent))
        check_serves(pair)      # the other one does
        wait_until(lambda: len(children(parent)) == 2)
        assert before - children(parent) == {victim}
        assert re.search(rf"worker {victim} (was ended by signal {number:d}|"
                         "ended with status)", pair.log())
        check_serves(pair)


def test_both_workers_end(pair):
    parent = pair.program.pid
    before = children(parent)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(children(parent) - before) == 2)
    check_serves(pair)


def test_a_worker_that_is_killed_while_it_answers(large, tmp_path):
    """The client sees it, and the next one is served."""
    with serving("nginx-fastcgi", tmp_path, store=large,
                 workers=2) as server:
        parent = server.program.pid
        with Connection(server) as connection:
            connection.send(request(server, REIMBURSEMENTS))
            connection.read(10000)
            for pid in children(parent):
                os.kill(pid, signal.SIGKILL)
            data = connection.read()
        assert not data.endswith(record(END, b"\0" * 8))
        wait_until(lambda: len(children(parent)) == 2)
        assert ask(server).status == 200


@pytest.mark.parametrize("workers", (1, 2))
@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT))
def test_a_signal_ends_all(filled_store, tmp_path, workers, number):
    with serving("nginx-fastcgi", tmp_path, store=filled_store,
                 workers=workers) as server:
        check_serves(server)
        below = children(server.program.pid)
        assert len(below) == (workers if workers > 1 else 0)
        server.program.send_signal(number)
        assert server.program.wait(SOON) in (0, -number, 128 + number)
        assert not any(os.path.exists(f"/proc/{pid}") for pid in below)
        assert server.request("GET", TREATMENTS,
                              key=server.key).status == 502


def test_workers_do_not_outlive_the_first_process(filled_store, tmp_path):
    with serving("nginx-fastcgi", tmp_path, store=filled_store,
                 workers=2) as server:
        check_serves(server)
        below = children(server.program.pid)
        assert len(below) == 2
        server.program.kill()
        server.program.wait()
        wait_until(lambda: not any(is_running(pid) for pid in below), SOON)


def is_running(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("workers", (1, 2))
def test_a_signal_while_an_answer_is_on_its_way(large, tmp_path, workers):
    """The request in hand is finished first."""
    with serving("nginx-fastcgi", tmp_path, store=large,
                 workers=workers) as server:
        with Connection(server) as connection:
            connection.send(request(server, REIMBURSEMENTS))
            connection.read(10000)
            server.program.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            assert server.program.poll() is None
            check_long(connection.answer())
        assert server.program.wait(SOON) in (0, -signal.SIGTERM, 143)


# Long lists

def check_long(answer):
    """The whole list, and longer than the memory it may take."""
    assert answer.status == 200
    assert len(answer.body) > MAX_MEMORY
    assert answer.body.startswith(b'{"currentVersion":1,"items":[{"data":')
    assert answer.body.endswith(b'"isDeleted":false}]}')
    assert re.findall(rb'"data":{"id":"(r\d+)"', answer.body) == [
        b"r%06d" % i for i in range(LARGE)]


def test_long_list(long_server):
    answer = long_server.request("GET", REIMBURSEMENTS, key=long_server.key)
    check_long(answer)
    assert len(json.loads(answer.body)["items"]) == LARGE
    wait_until(lambda: f" {LARGE} items," in long_server.log())


def kept_files(pid):
    """The files without a name that a process has open."""
    names = [os.readlink(path) for path in
             pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    return [name for name in names if name.endswith("(deleted)")]


def test_lists_that_are_kept(large, tmp_path):
    """A large one is made again each time, a small one is not."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with serving("nginx-fastcgi", tmp_path, store=large, workers=1,
                 env={"TMPDIR": temporary}) as server:
        pid = server.program.pid
        for _ in range(2):
            check_long(ask(server, REIMBURSEMENTS))
            assert kept_files(pid) == []
        first = ask(server, TREATMENTS)
        assert first.body == b'{"currentVersion":1,"items":[]}'
        [name] = kept_files(pid)
        assert name.startswith(str(temporary))
        for _ in range(3):
            answer = ask(server, TREATMENTS)
            assert answer.body == first.body
            assert answer.headers["ETag"] == first.headers["ETag"]
            assert kept_files(pid) == [name]
        check_long(ask(server, REIMBURSEMENTS))
        assert kept_files(pid) == [name]
        assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("folder", ("/nonexistent", "/proc"))
def test_lists_that_cannot_be_kept(filled_store, tmp_path, folder):
    with serving("nginx-fastcgi", tmp_path, store=filled_store, workers=1,
                 env={"TMPDIR": folder}) as server:
        for _ in range(3):
            check_serves(server)
        assert kept_files(server.program.pid) == []


def runs_in_a_row(sync, first, last):
    """Each changes every record; gives the versions as they are finished."""
    for number in range(first, last + 1):
        url = folder_upstream(
            sync.folder / "upstream", [],
            [], [authorization(f"r{i}", str(number), "9" * 200)
                 for i in range(MANY)])
        assert sync.run(url=url).result["version"] == number
        yield number


def check_version(answer):
    """All of it is of one version, which is given."""
    assert answer.status == 200
    content = json.loads(answer.body)
    version = content["currentVersion"]
    assert answer.headers["ETag"].startswith(f'W/"{version}.')
    assert len(content["items"]) == MANY
    for item in content["items"]:
        assert item["version"] == version
        medicine = item["data"]["medicines"][0]
        assert medicine["identifier"]["value"] == str(version)
    return version


def test_kept_lists_are_never_old(tmp_path):
    """While one run follows the other: all of an answer is of one version,
    no older than the last one that was finished before it was asked for."""
    sync = Sync(tmp_path)
    versions = runs_in_a_row(sync, 1, LAST_RUN)
    finished, bodies, ends = [next(versions)], {}, threading.Event()
    with serving("nginx-fastcgi", tmp_path, store=sync.store,
                 workers=2) as server:
        def read():
            count = 0
            while not ends.is_set() or count == 0:
                at_least = finished[-1]
                answer = ask(server, REIMBURSEMENTS)
                version = check_version(answer)
                assert version >= at_least
                # Made or kept, by one worker or the other.
                assert bodies.setdefault(version, answer.body) == answer.body
                count += 1
            return count

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            readers = [pool.submit(read) for _ in range(2)]
            try:
                for version in versions:
                    finished.append(version)
            finally:
                ends.set()
            assert all(reader.result() for reader in readers)
        for _ in range(4):
            answer = ask(server, REIMBURSEMENTS)
            assert check_version(answer) == LAST_RUN
            assert bodies.setdefault(LAST_RUN, answer.body) == answer.body
    sync.close()
    # Else they have seen nothing change.
    assert len(bodies) > 3


@pytest.mark.skipif(SANITIZED, reason="a sanitizer needs memory of its own")
def test_memory_of_a_worker(large, tmp_path):
    """It does not grow with the answer, nor with the number of them."""
    with serving("nginx-fastcgi", tmp_path, store=large,
                 workers=1) as server:
        for path in (REIMBURSEMENTS, REIMBURSEMENTS + "?sinceVersion=0",
                     "/metrics"):
            answer = server.request("GET", path, key=server.key)
            assert answer.status == 200
        check_long(ask(server, REIMBURSEMENTS))
        assert memory(server.program.pid) < MAX_MEMORY


@pytest.mark.skipif(SANITIZED, reason="a sanitizer needs memory of its own")
def test_memory_of_a_cgi_program(long_workers):
    with cgi(long_workers, REIMBURSEMENTS) as process:
        parts, highest = [], 0
        while part := os.read(process.stdout.fileno(), 65536):
            parts.append(part)
            with contextlib.suppress(OSError, AttributeError):
                highest = memory(process.pid)
        check_long(parse_cgi(b"".join(parts)))
    assert process.returncode == 0
    assert 0 < highest < MAX_MEMORY


def cgi(server, path, query="", arguments=(), **more):
    """The program as a CGI program without a web server before it."""
    env = {**server.environment(), "GATEWAY_INTERFACE": "CGI/1.1",
           "REQUEST_METHOD": "GET", "PATH_INFO": path,
           "QUERY_STRING": query, "HTTP_X_API_KEY": server.key, **more}
    return subprocess.Popen(
        [web.PROGRAM, *arguments], env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)


# Slow clients, and those that go

class Client:
    """A client of the web server that takes its time."""

    def __init__(self, server, path):
        self.socket = socket.create_connection(("127.0.0.1", server.port),
                                               timeout=web.PATIENCE)
        self.socket.sendall(
            (f"GET {path} HTTP/1.0\r\nHost: x\r\n"
             f"X-API-KEY: {server.key}\r\n\r\n").encode())

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def read(self):
        parts = []
        while part := self.socket.recv(65536):
            parts.append(part)
        return b"".join(parts)


def test_slow_readers(long_server):
    """More of them than there are workers; others are served meanwhile."""
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(Client(long_server, REIMBURSEMENTS))
                for _ in range(3)]
        heads = [b""] * len(slow)
        for _ in range(20):
            for i, client in enumerate(slow):
                for _ in range(10):
                    heads[i] += client.socket.recv(1)
            started = time.monotonic()
            answer = long_server.request("GET", TREATMENTS,
                                         key=long_server.key)
            assert answer.status == 200
            assert time.monotonic() - started < SOON
        # One of them to its end, the others go.
        data = heads[0] + slow[0].read()
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.split()[1] == b"200"
    check_long(web.Answer(200, None, body))


def test_a_slow_reader_past_the_web_server(long_workers):
    """It holds one worker; its list is whole in the end."""
    with Connection(long_workers) as slow:
        slow.send(request(long_workers, REIMBURSEMENTS))
        for i in range(500):
            slow.received += slow.socket.recv(1)
            if i % 50 == 0:
                started = time.monotonic()
                assert ask(long_workers).status == 200
                assert time.monotonic() - started < SOON
        check_long(slow.answer())


def test_hang_up(long_server):
    """In the middle of an answer, and again and again."""
    for size in (1, 1000, 100000):
        with Client(long_server, REIMBURSEMENTS) as client:
            assert client.socket.recv(size)
    answer = long_server.request("GET", TREATMENTS, key=long_server.key)
    assert answer.status == 200
    check_long(long_server.request("GET", REIMBURSEMENTS,
                                   key=long_server.key))


def test_hang_up_past_the_web_server(long_workers):
    """The log says so, and the worker is the one it was."""
    before = children(long_workers.program.pid)
    for number, size in enumerate((1, 1000, 100000)):
        with Connection(long_workers) as connection:
            connection.send(request(long_workers, REIMBURSEMENTS,
                                    HTTP_X_REQUEST_ID=f"gone-{number}"))
            connection.read(size)
        wait_until(lambda: re.search(
            rf"request gone-{number}: GET {REIMBURSEMENTS}: 200,.*, the"
            " client is gone\n", long_workers.log()))
        assert ask(long_workers).status == 200
    check_long(ask(long_workers, REIMBURSEMENTS))
    assert children(long_workers.program.pid) == before


def test_abort_while_an_answer_is_on_its_way(long_workers):
    """Ended early or whole, then the next is served."""
    before = children(long_workers.program.pid)
    with Connection(long_workers) as connection:
        connection.send(request(long_workers, REIMBURSEMENTS))
        connection.read(1000)
        connection.send(record(ABORT))
        connection.read()
    assert ask(long_workers).status == 200
    assert children(long_workers.program.pid) == before


def test_hang_up_on_a_cgi_program(long_workers):
    """It ends, and does not write to nobody."""
    with cgi(long_workers, REIMBURSEMENTS) as process:
        os.read(process.stdout.fileno(), 1000)
        process.stdout.close()
        log = process.stderr.read().decode()
        assert process.wait(SOON) == 0
    assert re.search(": 200,.*, the client is gone\n$", log)


# The command line of a CGI program comes from the query (RFC 3875, 4.4)

QUERIES = ("--version", "--help", "key+list", "--version+--store+sqlite:x",
           "--store%3Dsqlite:/nonexistent", "-", "--", "--nonsense",
           "key+add+forged", "key+revoke+hospital-a")


@pytest.mark.parametrize("kind", ("apache-cgi", "lighttpd-cgi"))
def test_a_query_is_no_command_line(kind, filled_store, tmp_path):
    with serving(kind, tmp_path, store=filled_store) as server:
        keys = server.keys_file.read_bytes()
        for query in QUERIES:
            answer = server.request("GET", f"{TREATMENTS}?{query}",
                                    key=server.key)
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "application/json"
            assert len(answer.json()["items"]) == 3
        assert server.keys_file.read_bytes() == keys


def test_arguments_of_a_cgi_program(one):
    keys = one.keys_file.read_bytes()
    for query in QUERIES:
        with cgi(one, TREATMENTS, query, query.split("+")) as process:
            out, _ = process.communicate(timeout=web.PATIENCE)
        answer = parse_cgi(out)
        assert process.returncode == 0 and answer.status == 200
        assert len(json.loads(answer.body)["items"]) == 3
    assert one.keys_file.read_bytes() == keys


# The last one, since it waits

def test_a_silent_connection_ends_in_time(silence):
    """It holds a single worker no longer than the limit says."""
    server, silent, waiting = silence
    assert waiting.result() < MAX_RECEIVE + SOON
    silent.read()
    assert server.program.poll() is None
    assert ask(server).status == 200
