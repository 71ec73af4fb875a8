"""nompd-serve when something under it or around it is amiss: a damaged
record, a signal in the middle of an answer, closed descriptors, an odd
inheritance, requests that come without their end."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time

import pytest

import web
from conftest import Sync, copy_store, folder_upstream
from test_serve_hostile import (
    END, PARAMS, STDIN, Connection, ask, begin, cgi, children, is_running,
    pairs, parse_cgi, record, records, request, serving, stream, variables,
    wait_until)
from upstream import authorization

REIMBURSEMENTS = "/api/v1/reimbursementGroup"
TRIGGER = "/api/internal/sync"
STORE_ERROR = {"error": "The store is not available; try again later."}
RESULT_LINE = ('{"version":1,"added":0,"updated":0,"unchanged":0,'
               '"deleted":0,"durationMs":0}')
PIECE = 65536       # bytes of an answer that leave at once
RUNS = 24           # of the store; each adds as much to the list
EACH = 15           # records that a run adds
ARTICLES = ["%06d" % i for i in range(2)]
BROKEN_OFF = 74     # exit status of a CGI program
MAX_TICKS = 2       # of processor time in a second in which nothing happens
SOON = 10           # seconds in which what has to be quick is done


class Workers:
    """The FastCGI workers alone, without a web server."""

    def __init__(self, folder, store, workers=1, wrap=(), env=None,
                 **options):
        self.folder = pathlib.Path(folder)
        self.keys_file = self.folder / "api-keys"
        self.socket = pathlib.Path(
            tempfile.mkdtemp(prefix="nompd-web-")) / "serve.sock"
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith("NOMPD_")}
        self.env.update({"NOMPD_STORE": f"sqlite:{store}",
                         "NOMPD_API_KEYS_FILE": str(self.keys_file),
                         "NOMPD_WORKERS": str(workers)})
        self.keys = []
        self.key = web.make_key(self, "hospital-a")
        self.log_file = self.folder / "log"
        self.env.update(env or {})
        with socket.socket(socket.AF_UNIX) as listener, open(
                self.log_file, "ab") as log:
            listener.bind(str(self.socket))
            listener.listen(128)
            self.program = subprocess.Popen(
                [*wrap, web.PROGRAM], stdin=listener, stdout=log, stderr=log,
                env=self.env, cwd=self.folder, start_new_session=True,
                **options)

    def environment(self):
        return self.env

    def log(self):
        return web.read(self.log_file)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        ended = web.end_group(self.program)
        self.socket.unlink()
        self.socket.parent.rmdir()
        assert ended, self.log()
        assert not any(sign in self.log() for sign in web.SANITIZER_SIGNS)
        assert self.key not in self.log()


# A store whose list is four pieces long, in as many versions as runs

@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grown")
    sync = Sync(folder)
    lists = []
    for number in range(1, RUNS + 1):
        lists += [authorization(f"r{len(lists) + i:04d}", *ARTICLES,
                                name="x" * 100) for i in range(EACH)]
        url = folder_upstream(folder / "upstream", [], [], lists)
        assert sync.run(url=url).result["version"] == number
    sync.close()
    return sync.store


@pytest.fixture
def store(grown, tmp_path):
    """A copy, to be damaged."""
    copy_store(grown, tmp_path / "store.db")
    return tmp_path / "store.db"


def set_data(store, where, data):
    """Damages a record of the list, or mends it; gives what it was."""
    with contextlib.closing(sqlite3.connect(store)) as database:
        key, before = database.execute(
            "SELECT BusinessKey, Data FROM ReimbursementGroups ORDER BY"
            " Version, BusinessKey LIMIT 1 OFFSET ?", (where,)).fetchone()
        database.execute("UPDATE ReimbursementGroups SET Data = ?"
                         " WHERE BusinessKey = ?", (data, key))
        database.commit()
    return before


def check_whole(answer, since=0):
    """The list behind a version, whole."""
    assert answer.status == 200, answer
    content = json.loads(answer.body)
    assert content["currentVersion"] == RUNS
    assert [item["data"]["id"] for item in content["items"]] == [
        "r%04d" % i for i in range(since * EACH, RUNS * EACH)]


# Damaged records

DAMAGES = (b"", b"\x05\0\0\0\1", b"x" * 100)
QUERIES = ("", "sinceVersion=0")
EARLY = (0, 1, 40)                  # of the first piece
LATE = (RUNS * EACH - 1, RUNS * EACH - 40)


def test_the_list_is_as_long_as_these_tests_need(grown, tmp_path):
    with Workers(tmp_path, grown) as workers:
        answer = ask(workers, REIMBURSEMENTS)
        check_whole(answer)
        size = len(answer.body)
        assert 3.5 * PIECE < size < 5 * PIECE
        assert size * max(EARLY) / (RUNS * EACH) < PIECE / 2
        assert size * min(LATE) / (RUNS * EACH) > PIECE * 2


@pytest.mark.parametrize("damage", DAMAGES, ids=len)
@pytest.mark.parametrize("kind", ("nginx-fastcgi", "lighttpd-cgi"))
def test_damage_before_anything_has_left(kind, store, tmp_path, damage):
    """A plain 503, with nothing of the list and of its headers."""
    with serving(kind, tmp_path, store=store, workers=1) as server:
        for where in EARLY:
            before = set_data(store, where, damage)
            for query in QUERIES:
                answer = server.request(
                    "GET", f"{REIMBURSEMENTS}?{query}", key=server.key)
                assert (answer.status, answer.json()) == (503, STORE_ERROR)
                assert answer.headers["Retry-After"] == "30"
                assert answer.headers["Cache-Control"] == "no-store"
                assert answer.headers.get_all("Content-Type") == [
                    "application/json"]
                for name in ("ETag", "Last-Modified"):
                    assert name not in answer.headers
                line = (answer.headers["X-Request-Id"]
                        + f": GET .*: 503, {len(answer.body)} bytes")
                wait_until(lambda: re.search(line, server.log()))
            # The same worker, and the same version of the store.
            set_data(store, where, before)
            check_whole(server.request("GET", REIMBURSEMENTS,
                                       key=server.key))
            # Else the answer that is kept would be good.
            server.program and restart(server)
        assert server.log().count("is damaged: its Data is not BSON") == (
            len(EARLY) * len(QUERIES))
        assert "broken off" not in server.log()


def restart(server):
    """Another worker, which has kept nothing."""
    assert web.end_group(server.program)
    server.socket.unlink()
    server.start_program()


@pytest.mark.parametrize("where", LATE)
@pytest.mark.parametrize("query", QUERIES)
def test_damage_late_behind_nginx(store, tmp_path, where, query):
    """The client sees that its answer is no whole one."""
    path = f"{REIMBURSEMENTS}?{query}"
    with serving("nginx-fastcgi", tmp_path, store=store,
                 workers=1) as server:
        before = set_data(store, where, DAMAGES[1])
        for _ in range(2):
            with pytest.raises((http.client.IncompleteRead,
                                ConnectionResetError)):
                server.request("GET", path, key=server.key)
        wait_until(lambda: server.log().count(
            "consumer hospital-a, broken off\n") == 2)
        assert server.request("GET", "/health/ready").status == 200
        # It was not kept either.
        set_data(store, where, before)
        check_whole(server.request("GET", path, key=server.key))
        assert server.log().count("broken off\n") == 2


@pytest.mark.parametrize("where", LATE)
def test_damage_late_on_the_socket(store, tmp_path, where):
    """What there is, and no record that says it is all."""
    with Workers(tmp_path, store) as workers:
        before = set_data(store, where, DAMAGES[2])
        for query in QUERIES:
            with Connection(workers) as connection:
                connection.send(request(workers, REIMBURSEMENTS, query))
                found = list(records(connection.read()))
            answer = parse_cgi(b"".join(content for _, _, content in found))
            assert answer.status == 200 and len(answer.body) > PIECE
            assert END not in [kind for kind, _, _ in found]
        wait_until(lambda: workers.log().count(", broken off\n") == 2)
        set_data(store, where, before)
        check_whole(ask(workers, REIMBURSEMENTS))
        assert workers.program.poll() is None


@pytest.mark.parametrize("query", QUERIES)
def test_damage_and_a_cgi_program(store, tmp_path, query):
    """Its exit status is all that it can say."""
    with Workers(tmp_path, store) as workers:
        for where, status, log in ((EARLY[1], 0, "503, .*hospital-a\n"),
                                   (LATE[0], BROKEN_OFF, "200, .*broken off\n"
                                    ".*error the answer is broken off\n")):
            before = set_data(store, where, DAMAGES[1])
            with cgi(workers, REIMBURSEMENTS, query) as process:
                out, err = process.communicate(timeout=web.PATIENCE)
            assert process.returncode == status
            assert re.search(log + "$", err.decode())
            answer = parse_cgi(out)
            assert answer.status == (200 if status else 503)
            assert len(answer.body) > PIECE or not status
            set_data(store, where, before)
        with cgi(workers, REIMBURSEMENTS, query) as process:
            out, _ = process.communicate(timeout=web.PATIENCE)
        assert process.returncode == 0
        check_whole(parse_cgi(out))


def kept_files(process):
    """The files without a name that a worker has open."""
    folder = pathlib.Path(f"/proc/{process}/fd")
    return [path for path in folder.iterdir()
            if re.search(r"/#\d+ \(deleted\)$", os.readlink(path))]


@pytest.mark.parametrize("left", (0, 1, PIECE, 2 * PIECE + 1))
def test_a_kept_list_that_cannot_be_read(grown, tmp_path, left):
    """It is made again when nothing has left yet, else broken off once."""
    with Workers(tmp_path, grown) as workers:
        check_whole(ask(workers, REIMBURSEMENTS))
        file, = kept_files(workers.program.pid)
        with open(file, "r+b") as kept:
            kept.truncate(left)
        if left == 0:
            check_whole(ask(workers, REIMBURSEMENTS))
        else:
            with Connection(workers) as connection:
                connection.send(request(workers, REIMBURSEMENTS))
                data = connection.read()
            assert END not in [kind for kind, *_ in records(data)]
            assert "cannot be read any more" in workers.log()
        check_whole(ask(workers, REIMBURSEMENTS))
        check_whole(ask(workers, REIMBURSEMENTS))



@pytest.mark.parametrize("size", (1, 1000, 2 * PIECE))
def test_a_list_whose_reader_goes_is_not_kept(grown, tmp_path, size):
    """The next one gets all of it."""
    with Workers(tmp_path, grown) as workers:
        with Connection(workers) as connection:
            connection.send(request(workers, REIMBURSEMENTS))
            connection.read(size)
        wait_until(lambda: "request" in workers.log())
        for _ in range(2):
            check_whole(ask(workers, REIMBURSEMENTS))


# A signal while an answer waits for its reader

SIGNALS = ((signal.SIGTERM,), (signal.SIGTERM, signal.SIGTERM),
           (signal.SIGTERM, signal.SIGINT))


def is_asleep(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text("latin-1")
    return stat.rpartition(")")[2].split()[0] == "S"


def take_to_its_end(workers, connection):
    """All has been handed over but for what the socket does not hold."""
    while "request" not in workers.log():
        connection.read(len(connection.received) + 2048)
        wait_until(lambda: is_asleep(workers.program.pid))


@pytest.mark.parametrize("at_its_end", (False, True),
                         ids=("at once", "at its end"))
@pytest.mark.parametrize("numbers", SIGNALS,
                         ids=lambda numbers: "+".join(map(str, numbers)))
def test_a_signal_while_an_answer_waits(grown, tmp_path, numbers,
                                        at_its_end):
    """Whole, with its end; then the worker ends.  The answers are smaller and
    larger than what the socket holds, and of the last piece there is more and
    less."""
    sizes = []
    for since in range(RUNS // 2):
        folder = tmp_path / str(since)
        folder.mkdir()
        with Workers(folder, grown) as workers:
            with Connection(workers) as connection:
                connection.send(request(workers, REIMBURSEMENTS,
                                        f"sinceVersion={since}"))
                connection.read(8)
                wait_until(lambda: is_asleep(workers.program.pid))
                if at_its_end:
                    take_to_its_end(workers, connection)
                for number in numbers:
                    workers.program.send_signal(number)
                    time.sleep(0.02)
                answer = connection.answer()
            check_whole(answer, since)
            sizes.append(len(answer.body))
            assert workers.program.wait(SOON) == 0
            assert "broken off" not in workers.log()
            assert "the client is gone" not in workers.log()
    assert max(sizes) > 220000 and min(sizes) < 160000


def test_a_signal_to_one_of_two_workers(grown, tmp_path):
    """Another one takes its place."""
    with Workers(tmp_path, grown, workers=2) as workers:
        wait_until(lambda: len(children(workers.program.pid)) == 2)
        before = children(workers.program.pid)
        with Connection(workers) as connection:
            connection.send(request(workers, REIMBURSEMENTS))
            connection.read(8)
            for pid in before:
                os.kill(pid, signal.SIGTERM)
            wait_until(lambda: len(children(workers.program.pid)
                                   & before) == 1)
            time.sleep(0.05)
            check_whole(connection.answer())
        wait_until(lambda: len(children(workers.program.pid)
                               - before) == 2)
        check_whole(ask(workers, REIMBURSEMENTS))


# What whoever starts it has done to it

CLOSED = (">&-", "2>&-", ">&- 2>&-")


def processor_ticks(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text("latin-1")
    return sum(map(int, stat.rpartition(")")[2].split()[11:13]))


def test_closed_output(grown, tmp_path):
    """As the specification has it (FastCGI 1.0, 2.2): it answers, no file
    takes the place of what is closed, and it waits without work."""
    with contextlib.ExitStack() as stack:
        all_workers = []
        for i, closed in enumerate(CLOSED):
            folder = tmp_path / str(i)
            folder.mkdir()
            all_workers.append(stack.enter_context(Workers(
                folder, grown, wrap=("/bin/sh", "-c",
                                     f'exec "$0" {closed}'))))
        for workers in all_workers:
            for _ in range(2):
                check_whole(ask(workers, REIMBURSEMENTS))
            assert ask(workers, "/nothing").status == 404
        before = [processor_ticks(w.program.pid) for w in all_workers]
        time.sleep(1)
        for workers, ticks in zip(all_workers, before):
            pid = workers.program.pid
            assert processor_ticks(pid) - ticks <= MAX_TICKS
            for number in (1, 2):
                assert os.readlink(f"/proc/{pid}/fd/{number}") in (
                    "/dev/null", str(workers.log_file))
            check_whole(ask(workers, REIMBURSEMENTS))


@pytest.mark.parametrize("workers", (1, 2))
@pytest.mark.parametrize("value", ("127.0.0.1", ""))
def test_addresses_that_it_would_not_look_at(grown, tmp_path, workers,
                                             value):
    """Better said than ignored; no restart mends it."""
    with Workers(tmp_path, grown, workers=workers,
                 env={"FCGI_WEB_SERVER_ADDRS": value}) as all_workers:
        assert all_workers.program.wait(SOON) == 64
        assert "FCGI_WEB_SERVER_ADDRS: " in all_workers.log()
        assert "takes its place" not in all_workers.log()
        assert not web.living(all_workers.program.pid)


def ignore_children():
    """What a process inherits from one that does so."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def test_children_that_nobody_waits_for(grown, tmp_path):
    mark = tmp_path / "mark"
    command = json.dumps(
        ["/bin/sh", "-c", f"echo x >>'{mark}'; echo '{RESULT_LINE}'"])
    with Workers(tmp_path, grown, workers=2, preexec_fn=ignore_children,
                 env={"NOMPD_SYNC_COMMAND": command}) as workers:
        parent = workers.program.pid
        key = web.make_key(workers, "operator", "sync")
        wait_until(lambda: len(children(parent)) == 2)
        for _ in range(3):
            answer = ask(workers, TRIGGER, method="POST", HTTP_X_API_KEY=key)
            assert (answer.status, answer.body) == (200,
                                                    RESULT_LINE.encode())
        assert mark.read_text() == "x\n" * 3
        before = children(parent)
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: len(children(parent) - before) == 1)
        assert f"worker {min(before)} was ended by signal 9" in workers.log()
        check_whole(ask(workers, REIMBURSEMENTS))
        below = children(parent)
        workers.program.send_signal(signal.SIGTERM)
        assert workers.program.wait(SOON) == 0
        assert not any(is_running(pid) for pid in below)


def test_children_that_nobody_waits_for_of_a_cgi_program(grown, tmp_path):
    with Workers(tmp_path, grown) as workers:
        key = web.make_key(workers, "operator", "sync")
        env = {**workers.environment(), "GATEWAY_INTERFACE": "CGI/1.1",
               "REQUEST_METHOD": "POST", "PATH_INFO": TRIGGER,
               "HTTP_X_API_KEY": key, "NOMPD_SYNC_COMMAND":
               json.dumps(["echo", RESULT_LINE])}
        done = subprocess.run(
            [web.PROGRAM], env=env, stdin=subprocess.DEVNULL,
            capture_output=True, preexec_fn=ignore_children,
            timeout=web.PATIENCE, check=True)
        answer = parse_cgi(done.stdout)
        assert (answer.status, answer.body) == (200, RESULT_LINE.encode())


# Requests without their end

MAX_BODY = 4        # seconds that a CGI program may go on for a body
MAX_BODY_WAIT = 0.9     # less than it does when some of a body is missing
TRIES = 5           # on a machine that is busy
MAX_ANSWER = 2      # seconds until an answer is there
MAX_CLOSE = 6       # seconds until the worker is free again


@pytest.mark.parametrize("variable", (
    {"CONTENT_LENGTH": "1000"}, {"HTTP_TRANSFER_ENCODING": "chunked"}),
    ids=lambda variable: next(iter(variable)))
def test_a_body_that_trickles_into_a_cgi_program(grown, tmp_path, variable):
    """A byte now and then does not hold it."""
    with Workers(tmp_path, grown) as workers:
        env = {**workers.environment(), "GATEWAY_INTERFACE": "CGI/1.1",
               "REQUEST_METHOD": "POST", "PATH_INFO": REIMBURSEMENTS,
               "HTTP_X_API_KEY": workers.key, **variable}
        with subprocess.Popen([web.PROGRAM], env=env, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as process:
            started = time.monotonic()
            while process.poll() is None:
                assert time.monotonic() - started < MAX_BODY
                with contextlib.suppress(BrokenPipeError):
                    os.write(process.stdin.fileno(), b"x")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.5)
            assert process.returncode == 0
            assert parse_cgi(process.stdout.read()).status == 405


@pytest.mark.parametrize("length, taken", (
    ("10", 10), ("0010", 10), ("1", 1), ("0", 0), ("", 0), (None, 0),
    ("5000", 5000), ("x", 20000), ("18446744073709551617", 20000)))
def test_a_body_without_an_end_of_a_cgi_program(grown, tmp_path, length,
                                                taken):
    """What was announced is taken, nothing behind it, and then it ends
    though its standard input does not (RFC 3875, 4.2)."""
    sent = b"x" * 20000
    with Workers(tmp_path, grown) as workers:
        env = {**workers.environment(), "GATEWAY_INTERFACE": "CGI/1.1",
               "REQUEST_METHOD": "POST", "PATH_INFO": REIMBURSEMENTS}
        if length is not None:
            env["CONTENT_LENGTH"] = length
        for i in range(TRIES):
            reader, writer = os.pipe()
            with open(reader, "rb") as stdin, open(writer, "wb") as body:
                body.write(sent)
                body.flush()
                started = time.monotonic()
                done = subprocess.run([web.PROGRAM], env=env, stdin=stdin,
                                      stdout=subprocess.PIPE, check=True,
                                      stderr=subprocess.DEVNULL,
                                      timeout=web.PATIENCE)
                took = time.monotonic() - started
                body.close()
                assert len(stdin.read()) == len(sent) - taken
            assert parse_cgi(done.stdout).status == 405
            # It waits only for what is announced and does not come.
            if took < MAX_BODY_WAIT or taken == len(sent):
                break
        else:
            pytest.fail(f"it waited for {took} s")


def test_a_request_without_the_end_of_its_input(grown, tmp_path):
    """Nothing of the input is wanted, so it is not waited for."""
    with Workers(tmp_path, grown) as workers:
        content = pairs(variables(workers, REIMBURSEMENTS))
        for rest in (b"", record(STDIN, b"x" * 10)):
            with Connection(workers) as connection:
                started = time.monotonic()
                connection.send(begin(), stream(PARAMS, content), rest)
                while not connection.received.endswith(
                        record(END, b"\0" * 8)):
                    have = len(connection.received)
                    assert len(connection.read(have + 1)) > have
                assert time.monotonic() - started < MAX_ANSWER
                check_whole(connection.answer())
                # The connection is open at our end still.
                check_whole(ask(workers, REIMBURSEMENTS))
                assert time.monotonic() - started < MAX_CLOSE
