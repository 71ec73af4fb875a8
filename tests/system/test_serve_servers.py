"""nompd-serve behind each web server, with the configurations of examples/."""
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import stat
import subprocess
import time

import pytest

import web
from conftest import (
    FILLED, KEY, PROGRAM, RESULT, ROOT, Sync, copy_store, dump,
    folder_upstream)
from upstream import authorization, plan
from web import KINDS, MORE_KINDS, make_key, start_server

TREATMENTS = "/api/v1/treatmentGroup"
REIMBURSEMENTS = "/api/v1/reimbursementGroup"
TRIGGER = "/api/internal/sync"
GETS, POSTS = 500, 200      # requests of one client in a row

# What a second run brings: p2 is renamed, r2 is another, r3 is gone.
CHANGED = ([FILLED[0][0], plan("p2", "a3", name="new"), FILLED[0][2]],
           FILLED[1], [FILLED[2][0], authorization("r2", "9")])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store after two runs; the upstream's URL."""
    sync = Sync(tmp_path_factory.mktemp("store"))
    for number, lists in enumerate((FILLED, CHANGED), 1):
        url = folder_upstream(sync.folder / "upstream", *lists)
        assert sync.run(url=url).result["version"] == number
    sync.close()
    return sync.store


@pytest.fixture(scope="module", params=KINDS + MORE_KINDS)
def server(request, store, tmp_path_factory):
    server = start_server(
        request.param, tmp_path_factory.mktemp("server"), store=store,
        sync_command=["/bin/false"])
    server.key = make_key(server, "hospital-a")
    yield server
    server.stop()


def items(answer):
    """(currentVersion, [(id, version, is deleted)]) of a list."""
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    content = answer.json()
    return content["currentVersion"], [
        (item["data"]["id"], item["version"], item["isDeleted"])
        for item in content["items"]]


def error_of(answer, status):
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/json"
    assert list(answer.json()) == ["error"]
    return answer.json()["error"]


# One server of each kind

def test_full_list(server):
    assert items(server.request("GET", TREATMENTS, key=server.key)) == (
        2, [("p1", 1, False), ("p3", 1, False), ("p2", 2, False)])
    assert items(server.request("GET", REIMBURSEMENTS, key=server.key)) == (
        2, [("r1", 1, False), ("r2", 2, False)])


def test_diff(server):
    path = REIMBURSEMENTS + "?sinceVersion="
    assert items(server.request("GET", path + "1", key=server.key)) == (
        2, [("r2", 2, False), ("r3", 2, True)])
    assert items(server.request("GET", path + "2", key=server.key)) == (2, [])
    assert "sinceVersion" in error_of(
        server.request("GET", path + "-1", key=server.key), 400)


def test_key_missing_or_wrong(server):
    answers = [server.request("GET", TREATMENTS),
               server.request("GET", TREATMENTS, key="nompd_" + "A" * 43)]
    for answer in answers:
        assert error_of(answer, 401) == "Invalid or missing API key."
        assert answer.headers["WWW-Authenticate"] == 'ApiKey realm="nompd"'


def test_no_such_path(server):
    for path in ("/", "/api/v1/nothing", TREATMENTS + "/x"):
        error_of(server.request("GET", path, key=server.key), 404)


def test_a_path_with_odd_characters(server):
    """Case and a slash at the end do not count; the rest does."""
    for path in (TREATMENTS.upper(), TREATMENTS + "/",
                 "/api/v1/%74reatmentGroup"):
        assert items(server.request("GET", path, key=server.key))[0] == 2
    answer = server.request("GET", "/api/v1/treatment%20Group%C3%A6")
    assert answer.status == 404


def test_other_methods(server):
    for path, method, allow in ((TREATMENTS, "POST", "GET, HEAD"),
                                (TREATMENTS, "DELETE", "GET, HEAD"),
                                (TREATMENTS, "OPTIONS", "GET, HEAD"),
                                ("/health/live", "PUT", "GET, HEAD"),
                                (TRIGGER, "GET", "POST")):
        answer = server.request(method, path, key=server.key)
        error_of(answer, 405)
        assert answer.headers["Allow"] == allow


def test_trace_gives_no_key_back(server):
    answer = server.request("TRACE", TREATMENTS, key=server.key)
    assert answer.status in (405, 501)
    assert server.key.encode() not in answer.body


def test_head(server):
    whole = server.request("GET", TREATMENTS, key=server.key)
    head = server.request("HEAD", TREATMENTS, key=server.key)
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Type", "ETag", "Cache-Control"):
        assert head.headers[name] == whole.headers[name]


def test_etag(server):
    path = TREATMENTS + "?sinceVersion=1"
    etag = server.request("GET", path, key=server.key).headers["ETag"]
    for name in (etag, f'"other", {etag}', "*"):
        answer = server.request("GET", path, {"If-None-Match": name},
                                key=server.key)
        assert (answer.status, answer.body) == (304, b""), name
        assert answer.headers["ETag"] == etag
    for path, name in ((path, '"other"'), (TREATMENTS, etag)):
        answer = server.request("GET", path, {"If-None-Match": name},
                                key=server.key)
        assert answer.status == 200 and answer.headers["ETag"] != name


def test_half_an_answer_is_not_served(server):
    answer = server.request("GET", TREATMENTS, {"Range": "bytes=0-9"},
                            key=server.key)
    assert items(answer)[0] == 2


def test_a_body_is_not_in_the_way(server):
    for path, status in ((TREATMENTS, 405), (TRIGGER, 403)):
        answer = server.request("POST", path, body=b"x" * 1024,
                                key=server.key)
        error_of(answer, status)
    answer = server.request("POST", TRIGGER, body=b"x" * 65536,
                            key=server.key)
    assert answer.status == (403 if server.kind == "apache-fastcgi" else 413)


def test_a_body_that_comes_slowly(server):
    """It is not asked for; the answer is there all the same, whole, and so
    are those of others in the meantime."""
    for path, status in ((TREATMENTS, 405), (TRIGGER, 403)):
        connection = http.client.HTTPConnection("127.0.0.1", server.port,
                                                timeout=web.PATIENCE)
        try:
            connection.putrequest("POST", path)
            connection.putheader("X-API-KEY", server.key)
            connection.putheader("Content-Length", "5")
            connection.endheaders()
            for _ in range(5):
                connection.send(b"x")
                time.sleep(0.1)
                answer = server.request("GET", TREATMENTS, key=server.key)
                assert items(answer)[0] == 2
            response = connection.getresponse()
            answer = web.Answer(response.status, response.headers,
                                response.read())
        finally:
            connection.close()
        error_of(answer, status)


def test_many_requests_in_a_row(server):
    """On one connection, as the web server keeps it: the program answers
    each of them, also those whose body it does not read."""
    count = GETS + POSTS
    if not server.kind.endswith("fastcgi"):
        count //= 10    # a process each
    connection = http.client.HTTPConnection("127.0.0.1", server.port,
                                            timeout=web.PATIENCE)
    try:
        for i in range(count):
            is_post = i % (GETS + POSTS) * POSTS % (GETS + POSTS) < POSTS
            connection.request("POST" if is_post else "GET", TREATMENTS,
                               b"x" * 100 if is_post else None,
                               {"X-API-KEY": server.key})
            response = connection.getresponse()
            body = response.read()
            assert response.status == (405 if is_post else 200), (i, body)
            assert response.headers["X-Request-Id"]
    finally:
        connection.close()


def test_long_query(server):
    """The program refuses it, where the web server lets it through."""
    answer = server.request("GET", TREATMENTS + "?a=" + "x" * 8192,
                            key=server.key)
    assert answer.status == 414
    if server.kind != "apache-cgi":
        error_of(answer, 414)
    answer = server.request("GET", TREATMENTS + "?a=" + "x" * 8000,
                            key=server.key)
    assert items(answer)[0] == 2


def test_logs(server):
    """A line for each request, and the key in no log."""
    answer = server.request("GET", TREATMENTS, key=server.key)
    assert answer.status == 200
    line = (f"request {answer.headers['X-Request-Id']}: GET {TREATMENTS}:"
            r" 200, 3 items, \d+ bytes, \d+ ms, consumer hospital-a")
    assert wait_for(lambda: re.search(line, server.log())), server.log()
    if not server.kind.startswith("lighttpd"):
        assert wait_for(lambda: f"GET {TREATMENTS} " in server.access_log())
    assert server.key not in server.log() + server.access_log()


def wait_for(question):
    """A line may be written a little after the answer."""
    end = time.monotonic() + web.PATIENCE
    while not question():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


# Servers of their own

@pytest.mark.parametrize("kind", KINDS + MORE_KINDS)
def test_trigger(kind, tmp_path):
    """A run on a store that is not there yet, and what it brings."""
    url = folder_upstream(tmp_path / "up stream", *FILLED)
    store = tmp_path / "a store.db"
    command = [PROGRAM, "--upstream", url, "--store", f"sqlite:{store}"]
    with start_server(kind, tmp_path, store=store,
                      sync_command=command) as server:
        key = make_key(server, "operator", "sync")
        answer = server.request("GET", TREATMENTS, key=key)
        error_of(answer, 503)
        assert int(answer.headers["Retry-After"]) > 0
        answer = server.request("POST", TRIGGER, key=key)
        assert answer.status == 200, (answer, server.log())
        assert RESULT.fullmatch(answer.body.decode() + "\n")
        assert answer.json()["added"] == 15
        assert items(server.request("GET", TREATMENTS, key=key))[0] == 1
        other = make_key(server, "reader")
        error_of(server.request("POST", TRIGGER, key=other), 403)


@pytest.mark.parametrize("kind", KINDS + MORE_KINDS)
def test_trigger_as_in_the_examples(kind, tmp_path, upstream):
    """An upstream that wants a key, which comes from a file; of the settings
    of a run nothing but the command reaches it."""
    for name in ("examples/nompd-serve.env", "examples/apache/nompd-cgi.conf",
                 "man/nompd-serve.8"):
        text = (ROOT / name).read_text(encoding="utf-8")
        text = re.sub(r"\\e\n +", "", text)
        assert web.SYNC_COMMAND in text, name
    key_file, store = tmp_path / "upstream.key", tmp_path / "store.db"
    key_file.write_text(KEY + "\n", encoding="ascii")
    key_file.chmod(0o600)
    command = web.SYNC_COMMAND
    for old, new in (("/etc/nompd/upstream.key", key_file),
                     ("/usr/local/bin/nompd-sync", PROGRAM),
                     ("https://nompd.example.org/fhir", upstream.url),
                     ("/var/lib/nompd/nompd.db", store)):
        assert command.count(old) == 1
        command = command.replace(old, str(new))
    with start_server(kind, tmp_path, store=store,
                      sync_command=command) as server:
        server.keys.append(KEY)     # in no log
        key = make_key(server, "operator", "sync")
        answer = server.request("POST", TRIGGER, key=key)
        assert answer.status == 200, (answer, server.log())
        assert answer.json()["added"] == 15
        asked = upstream.requests()
        assert len(asked) == 3
        assert {r.headers["x-api-key"] for r in asked} == {KEY}
        assert items(server.request("GET", TREATMENTS, key=key))[0] == 1
        # Without its file there is no key, and so no question.
        key_file.unlink()
        error_of(server.request("POST", TRIGGER, key=key), 500)
        assert len(upstream.requests()) == 3
        assert str(key_file) in server.log()


@pytest.mark.parametrize("kind", KINDS + MORE_KINDS)
def test_without_a_trigger(kind, store, tmp_path):
    with start_server(kind, tmp_path, store=store) as server:
        key = make_key(server, "operator", "sync")
        error_of(server.request("POST", TRIGGER, key=key), 404)


def below_prefix(text):
    """The variant that an example has in comments, instead of the other."""
    if "server {" in text:
        text = re.sub(r"^\tlocation .*?^\t}\n", "", text, flags=re.M | re.S)
        return re.sub(r"^\t#(fastcgi_split|location|\t|})", r"\t\1", text,
                      flags=re.M)
    if "fastcgi.server" in text:
        return re.sub(r'\( "/" =>(.*?),\n[^\n]*fix-root[^\n]*',
                      r'( "/nompd" =>\1', text, flags=re.S)
    text = re.sub(r"^\t<LocationMatch.*?^\t</LocationMatch>\n", "", text,
                  flags=re.M | re.S)
    text = re.sub(r"^\t#(</?LocationMatch|\t)", r"\t\1", text, flags=re.M)
    names = ("(ProxyPass(?:Match)?|ProxyFCGISetEnvIf|ScriptAlias|"
             "alias.url)")
    text = re.sub(rf"^\s*{names} .*\n", "", text, flags=re.M)
    return re.sub(rf"^(\s*)#{names} ", r"\1\2 ", text, flags=re.M)


def impatient(text):
    """With a second for each answer but those that have a limit of their
    own."""
    if "CGIDScriptTimeout" in text:
        return re.sub("^\tScriptAlias", "\tCGIDScriptTimeout 1s\n\\g<0>",
                      text, flags=re.M)
    assert "timeout=60\n" in text or "read_timeout 60s;" in text
    return text.replace("timeout=60\n", "timeout=1\n").replace(
        "read_timeout 60s;", "read_timeout 1s;")


@pytest.mark.parametrize("prefix", ("", "/nompd"))
@pytest.mark.parametrize("kind", ("nginx-fastcgi", "apache-cgi",
                                  "apache-fastcgi"))
def test_the_trigger_has_its_time(kind, prefix, store, tmp_path):
    """However its path is written."""
    def edit(text):
        return impatient(below_prefix(text) if prefix else text)

    command = ["sh", "-c", 'sleep 2.5; echo "{\\"version\\":7}"']
    paths = (TRIGGER, TRIGGER.upper() + "/", "/Api/INTERNAL/sync")
    with start_server(kind, tmp_path, store=store, edit=edit, workers=3,
                      sync_command=command) as server:
        key = make_key(server, "operator", "sync")
        with concurrent.futures.ThreadPoolExecutor(len(paths)) as pool:
            answers = list(pool.map(
                lambda path: server.request("POST", prefix + path, key=key),
                paths))
        for answer in answers:
            assert answer.status == 200, (answer, server.log())
            assert answer.json() == {"version": 7}


@pytest.mark.parametrize("kind", KINDS + MORE_KINDS)
def test_below_a_prefix(kind, store, tmp_path):
    with start_server(kind, tmp_path, store=store, edit=below_prefix,
                      sync_command=["/bin/false"]) as server:
        key = make_key(server, "hospital-a")
        for path in (TREATMENTS, TREATMENTS + "/?sinceVersion=1"):
            assert items(server.request("GET", "/nompd" + path,
                                        key=key))[0] == 2
        error_of(server.request("GET", "/nompd/nothing", key=key), 404)
        error_of(server.request("POST", "/nompd" + TRIGGER, key=key), 403)
        assert server.request("GET", TREATMENTS, key=key).status != 200


# The harness

def test_a_port_that_is_taken(store, tmp_path, monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = [taken, web.free_port()]
        monkeypatch.setattr(web, "free_port", lambda: ports.pop(0))
        with start_server("lighttpd-cgi", tmp_path, store=store) as server:
            assert server.port != taken and not ports
            assert server.request("GET", "/health/live").status == 200


@pytest.mark.parametrize("kind", KINDS + MORE_KINDS)
def test_a_bad_configuration(kind, tmp_path, monkeypatch):
    """The error has the log, and nothing stays behind."""
    started = []
    spawn = web.Server.spawn

    def note(self, *args, **options):
        process = spawn(self, *args, **options)
        started.append((self, process))
        return process

    monkeypatch.setattr(web.Server, "spawn", note)
    with pytest.raises(web.ServerError, match=r"(?s):\n.*site\.conf"):
        start_server(kind, tmp_path, edit=lambda text: text + "\nnonsense\n")
    assert len(started) == (2 if kind.endswith("fastcgi") else 1)
    for server, process in started:
        assert not web.living(process.pid)
        assert not server.run.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_ends_with_its_server(kind, store, tmp_path):
    """A triggered run has a session of its own, and is ended all the same."""
    number = tmp_path / "number"
    server = start_server(kind, tmp_path, store=store, sync_command=[
        "sh", "-c", 'echo $$ >"$0"; exec sleep 1000', number])
    key = make_key(server, "operator", "sync")
    with pytest.raises(TimeoutError):
        server.request("POST", TRIGGER, key=key, timeout=0.5)
    assert wait_for(lambda: web.read(number).endswith("\n"))
    run = int(number.read_text())
    assert is_alive(run)
    server.stop()
    assert not is_alive(run)


def test_what_a_log_must_not_have(store, tmp_path):
    """A sanitizer's report or a key fails the test that stops the server."""
    for text in ("==1==ERROR: AddressSanitizer: heap-use-after-free\n",
                 "src/a.c:1:2: runtime error: signed integer overflow\n",
                 None):
        server = start_server("lighttpd-cgi", tmp_path, store=store)
        key = make_key(server, "hospital-a")
        with server.log_file.open("a") as log:
            log.write(text or key)
        with pytest.raises(AssertionError):
            server.stop()


# tools/serve

class Demo:
    """tools/serve in a folder, as a user starts it."""

    def __init__(self, cwd, build=pathlib.Path(PROGRAM).parent, port=None):
        self.cwd = cwd
        self.port = port or web.free_port()
        env = dict(os.environ, PORT=str(self.port), NOMPD_STORE="sqlite:/no")
        # A terminal would not ignore Ctrl-C, as a job of a script does.
        self.process = subprocess.Popen(
            ["sh", str(ROOT / "tools" / "serve"), str(build), "a demo"],
            cwd=cwd, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=(cwd / "log").open("ab"),
            text=True, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.rstrip().endswith("The log:"):
                break

    def log(self):
        return (self.cwd / "log").read_text(encoding="utf-8")

    def commands(self):
        """The curl lines as they are printed."""
        return [line.strip() for line in self.lines
                if line.startswith("    ")]

    def run(self, command):
        """What a printed line gives in a shell."""
        done = subprocess.run(["sh", "-c", command], cwd=self.cwd, text=True,
                              capture_output=True, check=False,
                              timeout=web.PATIENCE)
        assert done.returncode == 0, (command, done.stderr)
        return json.loads(done.stdout)

    def press_control_c(self):
        os.killpg(self.process.pid, signal.SIGINT)
        return self.finish()

    def finish(self):
        status = self.process.wait(timeout=web.PATIENCE)
        self.process.stdout.close()
        return status

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.finish()


@pytest.fixture
def demo(tmp_path):
    """Starts demos, which end with the test."""
    started = []

    def start(**options):
        started.append(Demo(tmp_path, **options))
        return started[-1]

    yield start
    for one in started:
        one.end()


def refused(port):
    """Nothing listens there any more."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_tools_serve(demo, tmp_path):
    """The printed lines do what is said, and a second start keeps all."""
    one = demo()
    full, diff, trigger, _, _, _, openapi, ready = one.commands()
    assert all(line.startswith("curl ") for line in one.commands())
    assert str(one.port) in full
    content = one.run(full)
    assert content["currentVersion"] == 2
    assert len(content["items"]) == 8
    content = one.run(diff)
    assert content["currentVersion"] == 2
    assert any(item["isDeleted"] for item in content["items"])
    assert all(item["version"] == 2 for item in content["items"])
    result = one.run(trigger)
    assert result["version"] == 3 and result["added"] > 0
    assert one.run(full)["currentVersion"] == 3
    assert one.run(openapi)["openapi"].startswith("3.1")
    assert one.run(ready)["version"] == 3

    folder = tmp_path / "a demo"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [path for path in folder.iterdir() if path.suffix != ".pid"]
    assert {"nompd.db", "demo.key", "api-keys"} <= {f.name for f in files}
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    key = (folder / "demo.key").read_text(encoding="ascii")
    assert web.KEY_FORM.fullmatch(key.rstrip("\n"))
    assert one.press_control_c() == 130
    assert refused(one.port)

    two = demo()
    assert two.run(two.commands()[0])["currentVersion"] == 3
    assert (folder / "demo.key").read_text(encoding="ascii") == key
    assert key.strip() not in one.log() + "\n".join(one.lines + two.lines)


def test_tools_serve_jobs(demo):
    """A run is started, looked at, and would be ended."""
    one = demo()
    start, look, end = one.commands()[3:6]
    job = one.run(start)
    # It may be over before it is answered.
    assert job["state"] in ("Queued", "Running", "Completed")
    limit = time.monotonic() + web.PATIENCE
    while (shown := one.run(look)["jobs"][0])["state"] != "Completed":
        assert shown["state"] in ("Queued", "Running"), shown
        assert time.monotonic() < limit
        time.sleep(0.05)
    assert shown["id"] == job["id"]
    assert shown["result"]["version"] == 3
    assert end.endswith("/ID")
    assert one.run(end[:-len("ID")] + job["id"]) == {
        "error": "The job has ended: Completed."}


@pytest.mark.parametrize("count", [2, 9, 10, 12])
def test_tools_serve_keeps_a_store(demo, tmp_path, count):
    """One that is there, whatever its version, is served as it is."""
    sync = Sync(tmp_path)
    for number in range(1, count + 1):
        url = folder_upstream(tmp_path / "upstream",
                              *(CHANGED if number % 2 else FILLED))
        assert sync.run("--max-delete", "100%",
                        url=url).result["version"] == number
    sync.close()
    path = tmp_path / "a demo" / "nompd.db"
    path.parent.mkdir()
    copy_store(sync.store, path)
    before = dump(path)
    assert before.version == count
    for _ in range(2):
        one = demo()
        assert one.run(one.commands()[0])["currentVersion"] == count
        assert one.press_control_c() == 130
        assert dump(path) == before
    assert "filling" not in one.log()


@pytest.mark.parametrize("runs", [0, 1])
def test_tools_serve_fills_a_store_without_runs(demo, tmp_path, runs):
    """As `init` leaves it, or a first start that was cut off."""
    folder = tmp_path / "a demo"
    folder.mkdir()
    sync = Sync(tmp_path)
    sync.store = folder / "nompd.db"
    assert sync.run("init").status == 0
    assert dump(sync.store).history == []
    for _ in range(runs):
        url = (ROOT / "examples" / "upstream-earlier").as_uri()
        assert sync.run(url=url).result["version"] == 1
    sync.close()
    one = demo()
    content = one.run(one.commands()[0])
    assert content["currentVersion"] == 2 and len(content["items"]) == 8
    content = one.run(one.commands()[1])
    assert any(item["isDeleted"] for item in content["items"])
    assert "filling a demo/nompd.db" in one.log()


@pytest.mark.parametrize("text", [None, "", "nompd_" + "A" * 43])
def test_tools_serve_mends_its_key(demo, tmp_path, text):
    """A key that was lost or is not the store's is made anew."""
    one = demo()
    assert one.press_control_c() == 130
    path = tmp_path / "a demo" / "demo.key"
    if text is None:
        path.unlink()
    else:
        path.write_text(text, encoding="ascii")
    two = demo()
    assert two.run(two.commands()[0])["currentVersion"] == 2
    hashes = (tmp_path / "a demo" / "api-keys").read_text(encoding="ascii")
    assert hashes.count("\ndemo sync ") == 1


def test_tools_serve_ends_a_run_too(demo, tmp_path):
    """Ctrl-C in the middle of a triggered run leaves no process."""
    build = tmp_path / "build"
    build.mkdir()
    (build / "nompd-serve").symlink_to(web.PROGRAM)
    program = build / "nompd-sync"
    program.write_text("#!/bin/sh\n"
                       "case \"$*\" in *upstream-later*)\n"
                       f"\techo $$ >{shlex.quote(str(tmp_path / 'run'))}\n"
                       "\texec sleep 1000\n"
                       "esac\n"
                       f"exec {shlex.quote(PROGRAM)} \"$@\"\n",
                       encoding="utf-8")
    program.chmod(0o755)
    one = demo(build=build)
    with subprocess.Popen(["sh", "-c", one.commands()[2]], cwd=tmp_path,
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as trigger:
        assert wait_for(lambda: web.read(tmp_path / "run").endswith("\n"))
        run = int((tmp_path / "run").read_text())
        assert is_alive(run)
        assert one.press_control_c() == 130
        trigger.wait(timeout=web.PATIENCE)
    assert wait_for(lambda: not is_alive(run))
    assert refused(one.port)


def is_alive(process):
    try:
        text = pathlib.Path(f"/proc/{process}/stat").read_text("latin-1")
    except FileNotFoundError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def test_tools_serve_port_is_taken(demo):
    one = demo()
    other = demo(port=one.port)
    assert other.finish() == 1
    assert other.commands() == []
    assert "Address already in use" in one.log()
    assert re.search(r"serve: .* PORT=", one.log())


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1", "123456"])
def test_tools_serve_bad_port(demo, port, tmp_path):
    one = demo(port=port)
    assert one.finish() == 64
    assert "want a number from 1 to 65535" in one.log()
    assert not (tmp_path / "a demo").exists()
