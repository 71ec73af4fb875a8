"""POST /api/internal/sync: what it starts, what it answers, what goes on."""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from conftest import FILLED, KEY, PROGRAM, RESULT, Sync, dump
from upstream import PLANS, Answer, Upstream, bundle, refused_port
from web import KINDS, PASSED_ON, PATIENCE, make_key, start_server
from web import PROGRAM as SERVE

TRIGGER = "/api/internal/sync"
TREATMENTS = "/api/v1/treatmentGroup"
RESULT_LINE = ('{"version":1,"added":0,"updated":0,"unchanged":0,'
               '"deleted":0,"durationMs":0}')
OF_THE_C_LIBRARY = 0b11 << 31    # signals 32 and 33, which glibc hides
MUCH = 200_000_000  # bytes that no run prints
MAX_OUTPUT = 65536  # bytes that are taken of what a command prints
SOON = 10           # seconds in which what has to be quick is done

# What a command may have in its environment, and what a shell adds to it.
KEPT = re.compile(r"(PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR"
                  r"|SSL_CERT_FILE|SSL_CERT_DIR|https?_proxy|all_proxy"
                  r"|no_proxy|NOMPD_\w+)")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


class Service:
    """nompd-serve with a command, and an upstream that the test scripts."""

    def __init__(self, kind, folder, command, env=(), **options):
        self.folder = folder
        self.upstream = Upstream()
        self.upstream.serve(*FILLED)
        self.sync = Sync(folder)
        self.store = self.sync.store
        self.sync.url = self.upstream.url
        try:
            self.server = start_server(
                kind, folder, store=self.store, sync_command=command(self),
                env={"NOMPD_UPSTREAM_API_KEY": KEY, "NOMPD_RETRIES": "0",
                     "NOMPD_UPSTREAM_URL": self.upstream.url, **dict(env)},
                **options)
        except BaseException:
            self.upstream.stop()
            raise
        self.reader = make_key(self.server, "reader")
        self.key = make_key(self.server, "operator", "sync")
        self.threads = []

    def post(self, path=TRIGGER, key=None, **options):
        return self.server.request("POST", path, key=key or self.key,
                                   **options)

    def post_aside(self):
        """A request of its own thread; gives a list for its answer."""
        answers = []

        def work():
            try:
                answers.append(self.post())
            except OSError as error:
                answers.append(error)
        thread = threading.Thread(target=work, daemon=True)
        self.threads.append(thread)
        thread.start()
        return answers

    def slow(self):
        """The next run stays in its fetch until the event is set."""
        gate = self.upstream.gate()
        self.upstream.script(PLANS, Answer(
            bundle(list(FILLED[0])), before=gate.wait))
        return gate

    def wait_for_run(self, count=1):
        self.upstream.wait_for(PLANS, count)

    def join(self):
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def stop(self):
        try:
            self.upstream.stop()
            self.join()
            self.server.stop()
            assert KEY not in self.server.log() + self.server.access_log()
        finally:
            self.server.end()
            self.sync.close()


@contextlib.contextmanager
def serving(kind, folder, command, **options):
    service = Service(kind, folder, command, **options)
    try:
        yield service
    finally:
        service.stop()


def real(service):
    """The program itself; its upstream and its key are in variables."""
    return [PROGRAM, "--store", f"sqlite:{service.store}"]


@pytest.fixture
def service(kind, tmp_path):
    with serving(kind, tmp_path, real) as service:
        yield service


@pytest.fixture(scope="module", params=KINDS)
def scripted(request, tmp_path_factory):
    """The command is a shell script that a test writes."""
    def command(service):
        script = service.folder / "a script"
        script.touch()
        return ["/bin/sh", script, service.folder / "marks"]
    with serving(request.param, tmp_path_factory.mktemp("scripted"),
                 command) as service:
        yield service


def script(service, text):
    """Has the next command run text; what it wrote before is forgotten."""
    (service.folder / "marks").unlink(missing_ok=True)
    (service.folder / "a script").write_text(
        'echo started >>"$1"\n' + text + "\n", encoding="utf-8")


def starts(service):
    try:
        return (service.folder / "marks").read_text().count("started")
    except FileNotFoundError:
        return 0


def wait_until(question, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def refusal(answer, status):
    """The error's sentence; no answer tells what is behind it."""
    assert answer.status == status, (answer, answer.body)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert list(answer.json()) == ["error"]
    sentence = answer.json()["error"]
    for piece in ("127.0.0.1", "/", KEY, "store.db"):
        assert piece not in sentence
    return sentence


# Who may

def test_without_a_command(kind, tmp_path):
    """There is no such path: before the method, before the key."""
    with start_server(kind, tmp_path) as server:
        key = make_key(server, "operator", "sync")
        for given in (None, "nompd_x", key):
            for method in ("POST", "GET", "PUT"):
                answer = server.request(method, TRIGGER, key=given)
                assert refusal(answer, 404) == "No such path."
                assert "Allow" not in answer.headers


def test_other_methods(scripted):
    script(scripted, "echo x")
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        for key in (None, scripted.reader, scripted.key):
            answer = scripted.server.request(method, TRIGGER, key=key)
            assert answer.status == 405
            assert answer.headers["Allow"] == "POST"
    assert starts(scripted) == 0


def test_keys(scripted):
    """No run before the key is known to be good."""
    script(scripted, f"echo '{RESULT_LINE}'")
    for key in (None, "", "nompd_x", scripted.key[:-1]):
        answer = scripted.server.request("POST", TRIGGER, key=key)
        assert refusal(answer, 401) == "Invalid or missing API key."
    answer = scripted.post(key=scripted.reader)
    assert refusal(answer, 403) == "This API key may not start a run."
    assert starts(scripted) == 0
    assert scripted.post().status == 200
    assert scripted.post(TRIGGER.upper() + "/?x=1").status == 200
    assert starts(scripted) == 2


def test_keys_file_that_is_open(scripted):
    script(scripted, f"echo '{RESULT_LINE}'")
    scripted.server.keys_file.chmod(0o644)
    try:
        refusal(scripted.post(), 503)
    finally:
        scripted.server.keys_file.chmod(0o600)
    assert starts(scripted) == 0


# What a run answers

def test_result(scripted):
    """Byte for byte the line that the program prints."""
    line = scripted.folder / "line"
    script(scripted, f'"{PROGRAM}" --store "sqlite:{scripted.store}"'
           f' >"{line}"; status=$?; cat "{line}"; exit $status')
    scripted.upstream.serve(*FILLED)
    for number in (1, 2):
        answer = scripted.post(body=b"{}")
        assert answer.status == 200, scripted.server.log()
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        said = line.read_bytes()
        assert RESULT.fullmatch(said.decode())
        assert answer.body + b"\n" == said
        assert answer.json()["version"] == number
        assert dump(scripted.store).version == number
    assert answer.json()["unchanged"] == 15


def test_the_log(service):
    """That of the run goes on ours; one line tells how it ended."""
    answer = service.post(headers={"X-Request-Id": "night-7"})
    assert answer.status == 200
    assert answer.headers["X-Request-Id"] == "night-7"
    line = re.compile(r"request night-7: POST " + TRIGGER +
                      r": 200, \d+ bytes, \d+ ms, consumer operator\n")
    wait_until(lambda: line.search(service.server.log()))
    log = service.server.log()
    assert "version 1 is published" in log
    assert "request night-7: the run ended with status 0" in log
    # stop() looks for the keys.


def test_another_run(service):
    """A run from the outside and one from the trigger are alike."""
    gate = service.slow()
    first = service.post_aside()
    service.wait_for_run()
    answer = service.post()
    assert refusal(answer, 409) == "Another run is active."
    service.sync.run().failed(75)
    gate.set()
    service.join()
    assert first[0].status == 200 and first[0].json()["version"] == 1
    service.slow()
    process = service.sync.start()
    service.wait_for_run(2)
    refusal(service.post(), 409)
    service.upstream.gates[-1].set()
    assert service.sync.finish(process).result["version"] == 2
    assert service.post().json()["version"] == 3


def test_other_requests_during_a_run(service):
    service.sync.run()
    gate = service.slow()
    before = len(service.upstream.requests(PLANS))
    answers = service.post_aside()
    service.wait_for_run(before + 1)
    started = time.monotonic()
    for path in (TREATMENTS, TREATMENTS + "?sinceVersion=0", "/health/live",
                 "/health/ready", "/metrics", TREATMENTS):
        answer = service.server.request("GET", path, key=service.reader)
        assert answer.status == 200, path
    assert time.monotonic() - started < SOON
    assert answer.json()["currentVersion"] == 1
    assert not answers
    gate.set()
    service.join()
    assert answers[0].json()["version"] == 2


def hold(service):
    service.upstream.serve()


def break_off(service):
    service.upstream.script(PLANS, Answer(bundle([]), cut=5))


def answer_rubbish(service):
    service.upstream.script(PLANS, Answer("<html>"))


def answer_outcome(service):
    service.upstream.script(PLANS, Answer(
        {"resourceType": "OperationOutcome"}))


def refuse_key(service):
    service.upstream.script(PLANS, Answer(status=401))


def forbid(service):
    service.upstream.script(PLANS, Answer(status=403))


def fail(service):
    service.upstream.script(PLANS, Answer(status=500))


GUARD = "The guard held the run: it would delete too much."
NONE = "The upstream gave no usable answer."
WRONG = "The upstream gave a wrong answer."
REFUSED = "The key or password was refused."


def test_runs_that_fail(service):
    """Each with its status; the store stays as it is."""
    assert service.post().status == 200
    before = dump(service.store)
    for spoil, status, sentence, exited in (
            (hold, 422, GUARD, 65), (break_off, 502, NONE, 69),
            (fail, 502, NONE, 69), (answer_rubbish, 502, WRONG, 76),
            (answer_outcome, 502, WRONG, 76), (refuse_key, 502, REFUSED, 77),
            (forbid, 502, REFUSED, 77)):
        service.upstream.serve(*FILLED)
        spoil(service)
        answer = service.post(headers={"X-Request-Id": spoil.__name__})
        assert refusal(answer, status) == sentence, spoil
        assert (f"request {spoil.__name__}: the run ended with status"
                f" {exited}") in service.server.log()
        assert dump(service.store) == before
    service.upstream.serve(*FILLED)
    assert service.post().json()["version"] == 2


def test_upstream_that_is_down(kind, tmp_path):
    sock, port = refused_port()
    with sock, serving(kind, tmp_path, lambda service: [
            *real(service), "--upstream", f"http://127.0.0.1:{port}"
            ]) as service:
        assert refusal(service.post(), 502) == NONE
        assert f":{port}" in service.server.log()


def test_store_that_fails(service):
    service.store.write_bytes(b"not a database\n" * 500)
    assert refusal(service.post(), 500) == "The store failed."
    service.store.unlink()
    assert service.post().status == 200


def test_command_that_is_misconfigured(kind, tmp_path):
    """A status of no meaning for a client."""
    with serving(kind, tmp_path, lambda service: [
            *real(service), "--retries", "many"]) as service:
        assert refusal(service.post(), 500) == "The run failed."
        assert "--retries: want" in service.server.log()


@pytest.mark.parametrize("command", [
    "/nonexistent/nompd-sync", "nompd-no-such-program", "/", "/dev/null"])
def test_command_that_cannot_be_started(kind, tmp_path, command):
    with serving(kind, tmp_path, lambda service: [command]) as service:
        for _ in range(2):
            refusal(service.post(), 500)
        assert f"cannot start {command}" in service.server.log()
        answer = service.server.request("GET", "/health/live")
        assert answer.status == 200


@pytest.mark.parametrize("text", [
    "", "echo", "echo done", "echo '{}'", "echo '[1]'", "echo '\"version\"'",
    "echo '{\"version\":\"1\"}'", "echo '{\"version\":1.5}'",
    f"echo '{RESULT_LINE}' x", f"echo '{RESULT_LINE}{RESULT_LINE}'",
    f"echo '{RESULT_LINE[:-1]}'", "printf '\\377\\000\\001'",
    "head -c 10000000 /dev/zero", "yes '{\"version\":1}' | head -c 10000000",
    f"echo '{RESULT_LINE}'; head -c 10000000 /dev/zero",
    f"echo '{RESULT_LINE}'; exit 1", f"echo '{RESULT_LINE}'; exit 64",
    "exit 71", "exit 99", f"echo '{RESULT_LINE}'; kill -KILL $$",
    "kill -TERM $$", "kill -SEGV $$", "exec >&-", "exec >&-; exit 3"],
    ids=lambda text: "script")
def test_command_that_is_no_run(scripted, text):
    """500, whatever it prints; and the next one is answered as ever."""
    script(scripted, text)
    started = time.monotonic()
    answer = scripted.post()
    assert refusal(answer, 500) in ("Internal error.", "The run failed.")
    assert time.monotonic() - started < PATIENCE / 2
    assert starts(scripted) == 1
    script(scripted, f"echo '{RESULT_LINE}'")
    assert scripted.post().body == RESULT_LINE.encode()


def peak(pid):
    """The most memory that the process ever had, in bytes."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.M)[1]) * 1024


def test_much_output_takes_no_memory(tmp_path):
    with serving("nginx-fastcgi", tmp_path, lambda service: [
            "/bin/sh", "-c", f"head -c {MUCH} /dev/zero"],
            workers=1) as service:
        pid = service.server.program.pid
        refusal(service.server.request("POST", TRIGGER), 401)
        before = peak(pid)
        refusal(service.post(), 500)
        assert peak(pid) - before < MUCH / 10


@pytest.mark.parametrize("status, answered", [
    (65, 422), (69, 502), (70, 500), (74, 500), (75, 409), (76, 502),
    (77, 502)])
def test_status_counts_not_output(scripted, status, answered):
    script(scripted, f"echo '{RESULT_LINE}'; exit {status}")
    refusal(scripted.post(), answered)


def test_command_that_leaves_a_child(scripted):
    """One without our pipe; the answer does not wait for its end."""
    gate = scripted.folder / "gate"
    gate.touch()
    script(scripted, f"(exec >/dev/null; while [ -e '{gate}' ]; do"
           f" sleep 0.1; done; echo over >>\"$1\") & echo '{RESULT_LINE}'")
    marks = scripted.folder / "marks"
    assert scripted.post(timeout=SOON).status == 200
    assert "over" not in marks.read_text()
    gate.unlink()
    wait_until(lambda: "over" in marks.read_text())


def test_command_that_closes_its_output(scripted):
    """It is waited for all the same, to its end."""
    gate = scripted.folder / "gate"
    gate.touch()
    script(scripted, f"echo '{RESULT_LINE}'; exec >&-; while [ -e '{gate}' ];"
           ' do sleep 0.1; done; echo over >>"$1"')
    marks = scripted.folder / "marks"
    answers = scripted.post_aside()
    wait_until(lambda: starts(scripted) == 1)
    time.sleep(0.3)
    assert not answers
    gate.unlink()
    scripted.join()
    assert answers[0].status == 200
    assert answers[0].body == RESULT_LINE.encode()
    assert "over" in marks.read_text()


def test_command_whose_child_keeps_its_output(scripted):
    """What counts is the end of the command, not that of its output."""
    gate = scripted.folder / "gate"
    gate.touch()
    script(scripted, f"(while [ -e '{gate}' ]; do sleep 0.1; done;"
           ' echo "too late"; echo over >>"$1") & echo \'' + RESULT_LINE
           + "\'")
    marks = scripted.folder / "marks"
    try:
        answer = scripted.post(timeout=SOON)
        assert (answer.status, answer.body) == (200, RESULT_LINE.encode())
        assert "over" not in marks.read_text()
    finally:
        gate.unlink()
    wait_until(lambda: "over" in marks.read_text())


@pytest.mark.parametrize("text, status", [
    (f"head -c {MAX_OUTPUT} /dev/zero", 500),
    (f"head -c {MAX_OUTPUT + 1} /dev/zero; exit 0", 500),
    (f"echo '{RESULT_LINE}'; head -c {MAX_OUTPUT} /dev/zero; exit 0", 500),
    (f"head -c {MAX_OUTPUT + 1} /dev/zero | tr '\\0' x; exit 0", 500),
    # Blanks before the result: as much as there is room for.
    (f"printf '%{MAX_OUTPUT - len(RESULT_LINE)}s' ''; printf %s"
     f" '{RESULT_LINE}'", 200),
    (f"printf '%{MAX_OUTPUT - len(RESULT_LINE) + 1}s' ''; printf %s"
     f" '{RESULT_LINE}'; exit 0", 500)], ids=lambda text: "script")
def test_command_that_prints_much(scripted, text, status):
    """No more is taken than there is room for."""
    script(scripted, text)
    answer = scripted.post()
    assert answer.status == status, answer
    if status == 200:
        assert answer.body.lstrip(b" ") == RESULT_LINE.encode()
        assert len(answer.body) == MAX_OUTPUT
    else:
        refusal(answer, status)


# How the command is started

ODD = ["a b", "", "$HOME", "`id`", "$(id)", "*", ";", "|", "&", ">x", "~",
       "'", '"', "\\", "\\n", "#", "å💊", "\t", "--", "-x", "%s", "{a,b}"]


def mark_arguments(service):
    return ["/bin/sh", "-c", 'printf "%s\\0" "$@" >"$0"; echo \'' +
            RESULT_LINE + "'", str(service.folder / "the arguments")]


def test_words_of_a_json_array(kind, tmp_path):
    """Each is an argument as it stands; nothing expands it."""
    with serving(kind, tmp_path, lambda service: [
            *mark_arguments(service), *ODD]) as service:
        assert service.post().status == 200
        found = (tmp_path / "the arguments").read_bytes()
        assert found.decode().split("\0") == [*ODD, ""]


def test_words_between_blanks(kind, tmp_path):
    script = tmp_path / "command"
    script.write_text('#!/bin/sh\nprintf "%s\\0" "$@" >"$1"\n'
                      f"echo '{RESULT_LINE}'\n")
    script.chmod(0o755)
    with serving(kind, tmp_path, lambda service:
                 f"  {script} {tmp_path}/words\t$HOME  * ; `id` \"a b\" \\ "
                 ) as service:
        assert service.post().status == 200
        found = (tmp_path / "words").read_bytes()
        assert found.decode().split("\0") == [
            f"{tmp_path}/words", "$HOME", "*", ";", "`id`", '"a', 'b"', "\\",
            ""]


def test_command_is_found_in_the_path(kind, tmp_path):
    """Where the web server hands a PATH on; the system's own otherwise."""
    with serving(kind, tmp_path, lambda service: [
            "echo", RESULT_LINE]) as service:
        assert service.post().body == RESULT_LINE.encode()


LOOK = r"""
import json, os, sys
def link(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return None
with open("/proc/self/environ", encoding="utf-8") as file:
    environ = file.read().split("\0")[:-1]
look = {
    "environ": dict(entry.split("=", 1) for entry in environ),
    "fds": {fd: link(fd) for fd in range(1024) if link(fd) is not None},
    "pid": os.getpid(), "group": os.getpgid(0), "session": os.getsid(0),
    "stdin": sys.stdin.read(),
}
with open(sys.argv[1], "w", encoding="utf-8") as file:
    json.dump(look, file)
""" + f"print('{RESULT_LINE}')"


class Look:
    """What a command saw of the world."""

    def __init__(self, service, found):
        self.service = service
        self.environ = found["environ"]
        self.fds = found["fds"]
        self.stdin = found["stdin"]
        self.pid, self.group, self.session = (
            found[name] for name in ("pid", "group", "session"))


@pytest.fixture
def look(kind, tmp_path):
    """A request with all that a client may send, and what came of it."""
    with serving(kind, tmp_path, lambda service: [
            sys.executable, "-I", "-c", LOOK, tmp_path / "look"]) as service:
        answer = service.server.request(
            "POST", TRIGGER + "?query=evil", key=service.key,
            headers={"X-API-KEY": service.key, "Cookie": "evil=1",
                     "Authorization": "Basic evil", "Proxy": "http://evil/",
                     "Nompd-Store": "evil", "Path": "evil", "User": "evil",
                     "X-Request-Id": "evil", "Content-Type": "text/evil"},
            body=b"evil body")
        assert answer.status == 200, service.server.log()
        yield Look(service, json.loads((tmp_path / "look").read_text()))


def test_environment_of_the_command(look):
    """The settings and PATH; nothing that a client sent, nor its key."""
    for name, value in look.environ.items():
        assert KEPT.fullmatch(name), name
        assert "evil" not in value and look.service.key not in value
    assert look.environ["NOMPD_STORE"] == f"sqlite:{look.service.store}"
    assert look.environ["NOMPD_UPSTREAM_URL"] == look.service.upstream.url
    if look.service.server.kind == "nginx-fastcgi":
        assert look.environ["PATH"] == os.environ["PATH"]


def test_descriptors_of_the_command(look):
    """The three; nothing on the first; our log is the last."""
    assert sorted(look.fds) == ["0", "1", "2"]
    assert look.fds["0"] == "/dev/null" and look.stdin == ""
    # A file in memory: whoever prints into a pipe dies with its reader.
    assert look.fds["1"].startswith("/memfd:")
    assert look.fds["2"] == str(look.service.server.log_file)


class Bare:
    """nompd-serve as a CGI program, without a web server."""

    def __init__(self, folder):
        self.env = {"PATH": os.environ["PATH"],
                    "NOMPD_API_KEYS_FILE": str(folder / "keys"),
                    **{name: os.environ[name] for name in PASSED_ON
                       if name in os.environ}}
        self.key = self.program(["key", "add", "operator", "--scope", "sync"])

    def program(self, args=(), env=None, stdin=subprocess.DEVNULL, **options):
        done = subprocess.run(
            [SERVE, *args], env={**self.env, **(env or {})}, stdin=stdin,
            stdout=subprocess.PIPE, timeout=PATIENCE, check=True, text=True,
            **options)
        return done.stdout.removesuffix("\n")

    def run(self, command, **options):
        return self.program(env={
            "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": TRIGGER, "HTTP_X_API_KEY": self.key,
            "NOMPD_SYNC_COMMAND": json.dumps(command)}, **options)


def test_no_other_descriptor_goes_along(tmp_path):
    """What a web server forgot to close, and what the request came on."""
    service = Bare(tmp_path)
    body = tmp_path / "body"
    body.write_text("evil body")
    with open(body, "rb") as stdin, open(body, "rb") as forgotten:
        out = service.run(
            [sys.executable, "-I", "-c", LOOK, str(tmp_path / "look")],
            stdin=stdin, pass_fds=[forgotten.fileno()])
    assert out.startswith("Status: 200 ") and out.endswith(RESULT_LINE)
    look = Look(service, json.loads((tmp_path / "look").read_text()))
    assert sorted(look.fds) == ["0", "1", "2"]
    assert look.fds["0"] == "/dev/null" and look.stdin == ""


def test_session_of_the_command(look):
    assert look.pid == look.group == look.session


def test_signals_of_the_command(kind, tmp_path):
    """None is blocked or ignored.  A shell would have its own."""
    status = tmp_path / "status"
    with serving(kind, tmp_path, lambda service: [
            "cp", "/proc/self/status", status]) as service:
        refusal(service.post(), 500)
    for name in ("SigBlk", "SigIgn"):
        found = re.search(rf"^{name}:\t([0-9a-f]+)$", status.read_text(), re.M)
        signals = int(found.group(1), 16) & ~OF_THE_C_LIBRARY
        assert signals == 0, (name, hex(signals))


# What goes on when nobody waits any more

def send_trigger(service):
    """A request whose answer is not awaited; gives the socket."""
    conn = socket.create_connection(("127.0.0.1", service.server.port))
    conn.sendall(f"POST {TRIGGER} HTTP/1.1\r\nHost: x\r\nContent-Length: 0"
                 f"\r\nX-API-KEY: {service.key}\r\n\r\n".encode())
    return conn


def children(pid):
    """(number, name) of the processes that pid has started."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text("latin-1")
        except OSError:
            continue
        name, _, fields = text.partition("(")[2].rpartition(")")
        if int(fields.split()[1]) == pid and fields.split()[0] != "Z":
            found.append((int(path.parent.name), name))
    return found


def waiting_process(service):
    """The nompd-serve that waits for the run."""
    server = service.server
    parent = server.program or server.web
    found = [pid for pid, name in children(parent.pid)
             if name == "nompd-serve" and
             "nompd-sync" in (child for _, child in children(pid))]
    assert len(found) == 1, found
    return found[0]


def has_ended(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text("latin-1")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def check_run_goes_on(service, gate):
    """It has the lease until the upstream answers; then it publishes."""
    service.sync.run().failed(75)
    assert dump(service.store).version == 0
    gate.set()
    wait_until(lambda: dump(service.store).version == 1)
    assert len(dump(service.store).history) == 1
    wait_until(lambda: service.sync.run("--wait", "10s").status == 0)


def test_client_that_hangs_up(service):
    gate = service.slow()
    conn = send_trigger(service)
    service.wait_for_run()
    conn.close()
    time.sleep(0.5)     # for the web server to do what it does then
    check_run_goes_on(service, gate)
    assert service.post().status == 200
    answer = service.server.request("GET", TREATMENTS, key=service.reader)
    assert answer.json()["currentVersion"] == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_waiting_process_that_is_killed(service, number):
    """As web servers do with a CGI program nobody waits for."""
    gate = service.slow()
    conn = send_trigger(service)
    service.wait_for_run()
    pid = waiting_process(service)
    os.kill(pid, number)
    wait_until(lambda: has_ended(pid), SOON)
    conn.settimeout(PATIENCE)
    assert conn.recv(65536)[:12] in (b"", b"HTTP/1.1 500", b"HTTP/1.1 502")
    conn.close()
    check_run_goes_on(service, gate)
    # Another worker takes the place of a killed one.
    wait_until(lambda: service.post().status == 200)


def test_end_of_the_service(tmp_path):
    """SIGTERM to the workers' parent: it ends soon, and the run does not."""
    with serving("nginx-fastcgi", tmp_path, real) as service:
        gate = service.slow()
        answers = service.post_aside()
        service.wait_for_run()
        program = service.server.program
        program.send_signal(signal.SIGTERM)
        assert program.wait(SOON) == 0
        service.join()
        assert refusal(answers[0], 500)
        assert "it goes on" in service.server.log()
        check_run_goes_on(service, gate)


PRINTER = f"""
while [ -e '%s' ]; do echo x; echo x >>"$1"; sleep 0.02; done
echo '{RESULT_LINE}' && echo over >>"$1"
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("kind", KINDS)
def test_command_that_prints_when_nobody_listens(kind, tmp_path, number):
    """It goes on to its own end."""
    gate = tmp_path / "gate"
    gate.touch()
    with serving(kind, tmp_path, lambda service: [
            "/bin/sh", "-c", PRINTER % gate, "sh", tmp_path / "marks"],
            workers=1) as service:
        marks = tmp_path / "marks"
        conn = send_trigger(service)
        wait_until(marks.exists)
        server = service.server
        pid = (server.program or server.web).pid
        if server.program is None:
            [pid] = [child for child, name in children(pid)
                     if name == "nompd-serve"]
        os.kill(pid, number)
        wait_until(lambda: has_ended(pid), SOON)
        before = marks.read_text().count("x")
        wait_until(lambda: marks.read_text().count("x") > before + 5)
        gate.unlink()
        wait_until(lambda: "over" in marks.read_text())
        conn.close()


def test_keys_are_in_no_log(service):
    """Neither that of a client nor that of the upstream, at any level."""
    service.upstream.script(PLANS, Answer(
        f"no such key: {KEY}", status=403))
    refusal(service.post(), 502)
    service.upstream.serve(*FILLED)
    assert service.post().status == 200
    log = service.server.log() + service.server.access_log()
    for key in (KEY, service.key, service.reader):
        assert key not in log
    files = [path for path in service.folder.rglob("*") if path.is_file()]
    assert service.store in files
    for path in files:
        text = path.read_bytes()
        for key in (KEY, service.key, service.reader):
            assert key.encode() not in text, path
