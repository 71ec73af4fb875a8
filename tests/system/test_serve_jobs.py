"""/api/v1/jobs: what runs are shown as, started and ended over the API."""
import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.parse

import pytest

import web
from conftest import FILLED, KEY, PROGRAM, dump
from test_serve_servers import below_prefix
from test_serve_trigger import (
    GUARD, LOOK, NONE, REFUSED, RESULT_LINE, SOON, WRONG, Look, Service,
    real, refusal, script, serving, starts, wait_until)
from test_store_faults import unprivileged  # noqa: F401
from upstream import PLANS, Answer
from web import KINDS, MORE_KINDS, make_key, start_server

JOBS = "/api/v1/jobs"
TRIGGER = "/api/internal/sync"
MAX_KEPT = 1000         # jobs that one answer may have
MAX_REASON = 500        # bytes
START_SECONDS = 10      # that a command has to show its job
NEW_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
ENDS = ("Completed", "Held", "Failed", "Aborted")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


class Jobs(Service):
    """A service, and what its API says of jobs."""

    def ask(self, method, path="", key=None, **options):
        return self.server.request(method, JOBS + path,
                                   key=key or self.key, **options)

    def list(self, query="", **options):
        answer = self.ask("GET", query, key=self.reader, **options)
        assert answer.status == 200, answer.body
        check_headers(answer)
        assert list(answer.json()) == ["jobs"]
        return answer.json()["jobs"]

    def get(self, name):
        answer = self.ask("GET", f"/{name}", key=self.reader)
        assert answer.status == 200, answer.body
        check_headers(answer)
        assert answer.json()["id"] == name
        return answer.json()

    def start(self):
        """The job that a POST began."""
        answer = self.ask("POST")
        assert answer.status == 202, (answer.body, self.server.log())
        check_headers(answer)
        job = answer.json()
        assert NEW_ID.fullmatch(job["id"])
        assert answer.headers["Location"] == f"{JOBS}/{job['id']}"
        return job

    def abort(self, name, reason=None):
        query = "" if reason is None else \
            "?reason=" + urllib.parse.quote(reason)
        return self.ask("DELETE", f"/{name}{query}")

    def end_of(self, name):
        """The job when it has ended."""
        wait_until(lambda: self.get(name)["state"] in ENDS)
        return self.get(name)

    def ledger(self):
        return self.store.with_name(self.store.name + "-jobs")

    @contextlib.contextmanager
    def database(self):
        with contextlib.closing(sqlite3.connect(self.ledger())) as database:
            yield database
            database.commit()


def check_headers(answer):
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "ETag" not in answer.headers


@contextlib.contextmanager
def jobs_of(kind, folder, command=real, **options):
    service = Jobs(kind, folder, command, **options)
    try:
        yield service
    finally:
        service.stop()


@pytest.fixture
def service(kind, tmp_path):
    with jobs_of(kind, tmp_path) as service:
        yield service


@pytest.fixture(scope="module", params=KINDS)
def scripted(request, tmp_path_factory):
    """The command is a shell script that a test writes."""
    def command(service):
        path = service.folder / "a script"
        path.touch()
        return ["/bin/sh", path, service.folder / "marks"]
    with jobs_of(request.param, tmp_path_factory.mktemp("scripted"),
                 command) as service:
        yield service


@pytest.fixture(scope="module", params=KINDS)
def history(request, tmp_path_factory):
    """A service whose store had two runs; they are in .ids, the oldest first.
    Nothing may change it."""
    with jobs_of(request.param, tmp_path_factory.mktemp("history")) as service:
        service.ids = ["first", "Second_run-2.0"]
        for name in service.ids:
            assert service.sync.run("--job-id", name).status == 0
        service.before = dump(service.store)
        yield service
        assert dump(service.store) == service.before
        assert [job["id"] for job in service.list()] == service.ids[::-1]


# Reading

def test_without_a_run(kind, tmp_path):
    """No job, and nothing is made by asking."""
    with jobs_of(kind, tmp_path) as service:
        assert service.list() == []
        for method in ("GET", "DELETE"):
            answer = service.ask(method, "/x")
            assert refusal(answer, 404) == "No such job."
        assert not list(tmp_path.glob("store.db*"))


def test_a_job(history):
    """All that the run was."""
    job = history.get("first")
    assert job == history.list()[1]
    assert (job["state"], job["lost"], job["stage"], job["command"]) == (
        "Completed", False, "publishing", "run")
    assert job["host"] == os.uname().nodename and job["process"] > 1
    times = [job[name] for name in ("createdAt", "startedAt", "endedAt")]
    assert times == sorted(times)
    for when in (*times, job["renewedAt"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", when)
    assert (job["abort"], job["error"]) == (None, None)
    assert {**job["result"], "durationMs": 0} == {
        "version": 1, "added": 15, "updated": 0, "unchanged": 0,
        "deleted": 0, "durationMs": 0}
    counts = {count["collection"]: count for count in job["collections"]}
    assert len(counts) == 5
    assert counts["PlanDefinitions"]["fetched"] == 3
    assert counts["TreatmentGroups"]["fetched"] is None
    assert counts["TreatmentGroups"]["written"] == 3
    assert KEY not in json.dumps(history.list())


@pytest.mark.parametrize("query, count", [
    ("", 2), ("?limit=1", 1), ("?limit=2", 2), ("?limit=3", 2),
    (f"?limit={MAX_KEPT}", 2), ("?LIMIT=001", 1), ("?x=y&limit=%31", 1),
    ("/", 2), ("/?limit=1", 1)])
def test_list(history, query, count):
    """The newest first."""
    expected = history.ids[::-1][:count]
    assert [job["id"] for job in history.list(query)] == expected
    head = history.ask("HEAD", query)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == \
        history.ask("GET", query).headers["Content-Length"]


@pytest.mark.parametrize("query", [
    "0", "-1", "", "x", "1.0", "1e1", "+1", "0x1", "%201", "1%20", "1,2",
    str(MAX_KEPT + 1), "9223372036854775808", "1&limit=1", "1&Limit=2",
    "%D9%A1", "limit"])
def test_bad_limit(history, query):
    answer = history.ask("GET", f"?limit={query}")
    assert refusal(answer, 400) == \
        "limit: want a whole number from 1 to 1000, once."


def test_many_jobs(service):
    """Twenty of them, unless more are asked for."""
    service.sync.run()
    with service.database() as database:
        database.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
            " WHERE i < 1500) INSERT INTO SyncJobs (_id, State, CreatedAt,"
            " RenewedAt, Data) SELECT 'copy-' || i, State, CreatedAt,"
            " RenewedAt, Data FROM n, SyncJobs")
    for query, count in (("", 20), ("?limit=7", 7),
                         (f"?limit={MAX_KEPT}", MAX_KEPT)):
        jobs = service.list(query)
        assert [job["id"] for job in jobs] == [
            f"copy-{1500 - i}" for i in range(count)]
        answer = service.ask("GET", query)
        assert f"200, {count} items," in service.server.log()
        assert len(answer.body) == int(answer.headers["Content-Length"])


def test_ids(history):
    """The case of an id counts, that of the path does not."""
    name = history.ids[1]
    for path in (f"{JOBS}/{name}", f"{JOBS}/{name}/", f"/API/V1/Jobs/{name}",
                 f"{JOBS}/{name}/?x=1"):
        for method in ("GET", "HEAD"):
            answer = history.server.request(method, path, key=history.reader)
            assert answer.status == 200, path
    for other in (name.lower(), name[:-1], name + "0", "x" * 64, "%73",
                  "_", "-", "..."):
        answer = history.ask("GET", "/" + other)
        assert refusal(answer, 404) == "No such job.", other


@pytest.mark.parametrize("path", [
    "/" + "x" * 65, "/a%20b", "/a%2Fb", "/a/b", "/%C3%A5",
    "/first%3B", "/'", "/%22", "/*", "/first,", "s"])
def test_no_ids(history, path):
    """What is no id is no path, whatever the method and the key."""
    for method in ("GET", "DELETE", "PUT"):
        for key in (None, history.key):
            answer = history.server.request(method, JOBS + path, key=key)
            assert refusal(answer, 404) == "No such path."


def test_an_id_is_logged_when_it_is_one(history):
    """Any other may be a secret."""
    history.ask("GET", "/no-job-has-this-name")
    history.get("first")
    log = history.server.log()
    assert "no-job-has-this-name" not in log
    assert "GET /api/v1/jobs/{id} id=first: 200," in log
    assert "GET /api/v1/jobs/{id}: 404," in log


def test_a_refused_abort_is_logged_with_its_job(history):
    """With the id of a job, that is, and also when the ledger is not needed
    for the answer."""
    for name in ("first", "no-job-has-that-name"):
        assert history.abort(name).status in (404, 409)
        answer = history.ask("DELETE", f"/{name}?reason=x&reason=y")
        assert answer.status == 400
    log = history.server.log()
    assert "no-job-has-that-name" not in log
    for line in (" id=first: 409,", " id=first: 400,", ": 404,", ": 400,"):
        assert f"DELETE /api/v1/jobs/{{id}}{line}" in log


# Who may

def test_methods(history):
    for path, allowed in (("", "GET, HEAD, POST"),
                          ("/first", "GET, HEAD, DELETE"),
                          ("/no-such", "GET, HEAD, DELETE")):
        for method in ("PUT", "PATCH", "OPTIONS", "POST", "DELETE"):
            if method in allowed:
                continue
            for key in (None, "nompd_x", history.key):
                answer = history.server.request(method, JOBS + path, key=key)
                assert refusal(answer, 405) == "Method not allowed."
                assert answer.headers["Allow"] == allowed


def test_keys(history):
    """The key comes before the parameters and the job."""
    for method, path, needs in (
            ("GET", "?limit=x", "read"), ("POST", "", "sync"),
            ("GET", "/no-such", "read"), ("GET", "/first", "read"),
            ("DELETE", "/first?reason=x&reason=x", "sync"),
            ("DELETE", "/no-such", "sync")):
        for key in ("", "nompd_x", history.key[:-1]):
            answer = history.server.request(method, JOBS + path, key=key)
            assert refusal(answer, 401) == "Invalid or missing API key."
        if needs == "sync":
            answer = history.ask(method, path, key=history.reader)
            assert refusal(answer, 403) == (
                "This API key may not start a run." if method == "POST"
                else "This API key may not end a run.")


def test_without_a_command(kind, tmp_path):
    """Jobs are shown and ended; none is started."""
    with start_server(kind, tmp_path) as server:
        key = make_key(server, "operator", "sync")
        assert server.request("GET", JOBS, key=key).json() == {"jobs": []}
        for given in (None, key):
            answer = server.request("POST", JOBS, key=given)
            assert refusal(answer, 405) == "Method not allowed."
            assert answer.headers["Allow"] == "GET, HEAD"
        answer = server.request("DELETE", JOBS + "/x", key=key)
        assert refusal(answer, 404) == "No such job."


def test_keys_file_that_is_open(history):
    history.server.keys_file.chmod(0o644)
    try:
        for method, path in (("GET", ""), ("POST", ""), ("GET", "/first"),
                             ("DELETE", "/first")):
            refusal(history.ask(method, path), 503)
    finally:
        history.server.keys_file.chmod(0o600)


# Starting

def test_start(service):
    """The answer does not wait for the run."""
    gate = service.slow()
    job = service.start()
    assert (job["state"], job["lost"], job["command"]) == (
        "Running", False, "run")
    assert job["endedAt"] is job["result"] is job["error"] is None
    service.wait_for_run()
    wait_until(lambda: service.get(job["id"])["stage"] == "fetching", SOON)
    assert dump(service.store).version == 0
    # Signs of life go on.
    renewed = service.get(job["id"])["renewedAt"]
    wait_until(lambda: service.get(job["id"])["renewedAt"] > renewed, SOON)
    gate.set()
    ended = service.end_of(job["id"])
    assert (ended["state"], ended["result"]["version"]) == ("Completed", 1)
    assert dump(service.store).version == 1
    assert [job["id"] for job in service.list()] == [ended["id"]]
    log = service.server.log()
    assert re.search(r": POST /api/v1/jobs id=" + job["id"] +
                     r": 202, \d+ bytes, \d+ ms, consumer operator\n", log)


def test_two_starts(service):
    """While a run goes on there is no other, and no job of another."""
    gate = service.slow()
    first = service.start()
    service.wait_for_run()
    for path in (JOBS, TRIGGER):
        answer = service.post(path)
        assert refusal(answer, 409) == "Another run is active."
        assert "Location" not in answer.headers
    assert [job["id"] for job in service.list()] == [first["id"]]
    gate.set()
    service.end_of(first["id"])
    second = service.start()
    assert service.end_of(second["id"])["result"]["version"] == 2
    assert [job["id"] for job in service.list()] == [second["id"],
                                                     first["id"]]


def test_queue(kind, tmp_path):
    """A job that waits for its turn is there at once, and may be ended."""
    with jobs_of(kind, tmp_path, lambda service: [
            *real(service), "--queue"]) as service:
        gate = service.slow()
        first = service.start()
        service.wait_for_run()
        second, third = service.start(), service.start()
        for job in (second, third):
            assert job["state"] == "Queued" and job["startedAt"] is None
        answer = service.abort(second["id"])
        assert answer.status == 202
        assert answer.json()["state"] == "AbortInitiated"
        assert service.end_of(second["id"])["state"] == "Aborted"
        gate.set()
        for number, job in enumerate((first, third), 1):
            assert service.end_of(job["id"])["result"]["version"] == number


@pytest.mark.parametrize("status, answered", [
    (65, 422), (69, 502), (74, 500), (75, 409), (76, 502), (77, 502),
    (79, 500), (64, 500), (1, 500), (255, 500)])
def test_command_that_ends_before_there_is_a_job(scripted, status, answered):
    script(scripted, f"echo '{RESULT_LINE}'; exit {status}")
    started = time.monotonic()
    sentence = refusal(scripted.ask("POST"), answered)
    assert time.monotonic() - started < SOON / 2
    assert sentence == {65: GUARD, 69: NONE, 74: "The store failed.",
                        75: "Another run is active.", 76: WRONG, 77: REFUSED,
                        79: "The run was asked to end."}.get(
                            status, "The run failed.")
    assert starts(scripted) == 1
    assert f"the run ended with status {status}, before there was a job" in \
        scripted.server.log()


@pytest.mark.parametrize("text", [
    f"echo '{RESULT_LINE}'", "exit 0",
    'env -u NOMPD_JOB_ID "{program}" --store "sqlite:{store}" --log-level'
    " error", '"{program}" --store "sqlite:{store}.other" --log-level error'])
def test_command_that_makes_no_such_job(scripted, text):
    """It ended well, but not as the job that it was to be."""
    scripted.upstream.serve(*FILLED)
    script(scripted, text.replace("{program}", PROGRAM).replace(
        "{store}", str(scripted.store)))
    assert refusal(scripted.ask("POST"), 500) == "Internal error."
    assert "but the store has no job" in scripted.server.log()


@pytest.mark.parametrize("command", [
    "/nonexistent/nompd-sync", "nompd-no-such-program", "/dev/null"])
def test_command_that_cannot_be_started(kind, tmp_path, command):
    with jobs_of(kind, tmp_path, lambda service: [command]) as service:
        assert refusal(service.ask("POST"), 500) == "Internal error."
        assert f"cannot start {command}" in service.server.log()


def test_runs_that_fail_later(service):
    """Their jobs say so."""
    def hold():
        service.upstream.serve()

    def forbid():
        service.upstream.script(PLANS, Answer(f"bad key: {KEY}", status=403))

    def rubbish():
        service.upstream.script(PLANS, Answer("<html>"))
    assert service.end_of(service.start()["id"])["state"] == "Completed"
    before = dump(service.store)
    for spoil, state, status in ((hold, "Held", 65), (forbid, "Failed", 77),
                                 (rubbish, "Failed", 76)):
        service.upstream.serve(*FILLED)
        spoil()
        job = service.end_of(service.start()["id"])
        assert (job["state"], job["lost"]) == (state, False)
        assert job["error"]["status"] == status and job["error"]["text"]
        assert job["result"] is None and KEY not in json.dumps(job)
        assert dump(service.store) == before


def test_command_that_takes_its_time(scripted):
    """The answer has the id alone; the job comes under it."""
    scripted.upstream.serve(*FILLED)
    gate = scripted.folder / "gate"
    gate.touch()
    script(scripted, f'while [ -e "{gate}" ]; do sleep 0.1; done; exec'
           f' "{PROGRAM}" --store "sqlite:{scripted.store}"')
    started = time.monotonic()
    answer = scripted.ask("POST")
    assert START_SECONDS <= time.monotonic() - started < START_SECONDS + SOON
    assert answer.status == 202
    name = answer.json()["id"]
    assert answer.json() == {"id": name}
    location = answer.headers["Location"]
    assert location == f"{JOBS}/{name}"
    answer = scripted.server.request("GET", location, key=scripted.key)
    assert refusal(answer, 404) == "No such job."
    gate.unlink()
    wait_until(lambda: scripted.ask("GET", "/" + name).status == 200)
    assert scripted.end_of(name)["state"] == "Completed"


# How it is started

def test_what_the_command_sees(kind, tmp_path):
    """As with the trigger, and the id of its job.  It gets time enough to
    write: it ends without a job."""
    with jobs_of(kind, tmp_path, lambda service: [
            sys.executable, "-I", "-c", LOOK, tmp_path / "look"],
            env={"NOMPD_JOB_ID": "that-of-another"}) as service:
        service.server.request(
            "POST", JOBS + "?reason=evil", key=service.key, body=b"evil",
            headers={"Cookie": "evil=1", "Nompd-Job-Id": "evil"})
        look = Look(service, json.loads((tmp_path / "look").read_text()))
        assert look.pid == look.group == look.session
        assert sorted(look.fds) == ["0", "1", "2"]
        assert look.fds["1"].startswith("/memfd:") and look.stdin == ""
        name = look.environ["NOMPD_JOB_ID"]
        assert NEW_ID.fullmatch(name)
        assert f"no job {name} " in service.server.log()
        for value in look.environ.values():
            assert "evil" not in value and service.key not in value


def test_id_that_the_service_was_given(kind, tmp_path):
    """It is not for the runs: a job has but one."""
    with jobs_of(kind, tmp_path,
                 env={"NOMPD_JOB_ID": "that-of-another"}) as service:
        for _ in range(2):
            assert service.post().status == 200
            service.end_of(service.start()["id"])
        ids = [job["id"] for job in service.list()]
        assert len(set(ids)) == 4
        assert all(NEW_ID.fullmatch(name) for name in ids)


def zombies():
    """The numbers of the processes named as ours that nobody has taken."""
    found = set()
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{int(entry)}/stat", encoding="latin-1") as file:
                name, _, rest = file.read().partition("(")[2].rpartition(")")
        except (ValueError, OSError):
            continue
        if name.startswith("nompd-") and rest.split()[0] == "Z":
            found.add((int(entry), int(rest.split()[1])))
    return found


def test_no_zombie(tmp_path):
    """A worker that started a run takes its end, without another request."""
    with jobs_of("nginx-fastcgi", tmp_path, workers=1) as service:
        gate = service.slow()
        job = service.start()
        service.wait_for_run()
        gate.set()
        process = job["process"]
        wait_until(lambda: not os.path.exists(f"/proc/{process}"), SOON)
        # And when the run was over before the answer was.
        service.upstream.serve()
        for _ in range(3):
            process = service.start()["process"]
            wait_until(lambda: not os.path.exists(f"/proc/{process}"), SOON)
        assert service.ask("GET").status == 200


@pytest.mark.parametrize("kind", KINDS + MORE_KINDS)
def test_end_of_the_servers(kind, tmp_path):
    """Killed with all their processes; the run is not."""
    with jobs_of(kind, tmp_path) as service:
        gate = service.slow()
        job = service.start()
        service.wait_for_run()
        for process in (service.server.web, service.server.program):
            if process is not None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(SOON)
        assert dump(service.store).version == 0
        gate.set()
        wait_until(lambda: dump(service.store).version == 1)
        wait_until(lambda: not os.path.exists(f"/proc/{job['process']}")
                   or (job["process"], 1) in zombies())


@pytest.mark.parametrize("kind", KINDS + MORE_KINDS)
@pytest.mark.parametrize("prefix", ["", "/nompd"])
def test_location(kind, prefix, tmp_path):
    """It leads to the job, also below a prefix."""
    with jobs_of(kind, tmp_path,
                 edit=below_prefix if prefix else None) as service:
        for path in (JOBS, JOBS.upper() + "/"):
            answer = service.post(prefix + path)
            assert answer.status == 202, service.server.log()
            job = answer.json()
            assert answer.headers["Location"] == f"{prefix}{JOBS}/{job['id']}"

            def state():
                found = service.server.request(
                    "GET", answer.headers["Location"], key=service.reader)
                assert found.status == 200
                return found.json()["state"]
            wait_until(lambda: state() == "Completed")
        answer = service.server.request(
            "DELETE", answer.headers["Location"], key=service.key)
        assert refusal(answer, 409) == "The job has ended: Completed."


# Ending

REASON = "feil oppstrøm 💊 \"'\\<&>"


def test_abort(service):
    """A run that goes on, of which nothing is published."""
    assert service.post().json()["version"] == 1
    before = dump(service.store)
    service.slow()
    job = service.start()
    service.wait_for_run(2)
    answer = service.abort(job["id"], REASON)
    assert answer.status == 202
    check_headers(answer)
    assert "Location" not in answer.headers
    asked = answer.json()
    assert (asked["id"], asked["state"]) == (job["id"], "AbortInitiated")
    assert (asked["abort"]["by"], asked["abort"]["reason"]) == (
        "consumer operator", REASON)
    ended = service.end_of(job["id"])
    assert (ended["state"], ended["lost"]) == ("Aborted", False)
    assert ended["abort"] == asked["abort"] and ended["result"] is None
    assert ended["error"]["status"] == 79
    assert "consumer operator" in ended["error"]["text"]
    assert dump(service.store) == before
    assert refusal(service.abort(job["id"]), 409) == \
        "The job has ended: Aborted."
    assert service.get(job["id"]) == ended
    assert f"job {job['id']} is asked to end" in service.server.log()
    service.upstream.serve(*FILLED)
    assert service.end_of(service.start()["id"])["result"]["version"] == 2


def test_abort_of_a_run_from_elsewhere(service):
    """And of one that a client of the trigger waits for."""
    service.slow()
    process = service.sync.start("--job-id", "by-hand")
    service.wait_for_run()
    assert service.abort("by-hand").status == 202
    ended = service.sync.finish(process)
    ended.failed(79, "consumer operator")
    assert service.get("by-hand")["abort"]["reason"] == ""
    service.slow()
    answers = service.post_aside()
    service.wait_for_run(2)
    assert service.abort(service.list()[0]["id"]).status == 202
    service.join()
    assert refusal(answers[0], 500) == "The run was asked to end."


def held_up(service, process):
    """The run, stopped while it fetches; it does not see who asks."""
    service.wait_for_run()
    os.kill(process, signal.SIGSTOP)


def test_second_abort(service):
    """Who asked first, and why, stays."""
    service.slow()
    job = service.start()
    held_up(service, job["process"])
    first = service.abort(job["id"], "one")
    for _ in range(2):
        again = service.abort(job["id"], "two")
        assert again.status == 202
        assert again.json() == first.json()
    assert service.get(job["id"])["abort"]["reason"] == "one"
    os.kill(job["process"], signal.SIGCONT)
    assert service.end_of(job["id"])["abort"]["reason"] == "one"


def test_lost_job(service):
    """Its process was killed; it is not ended a second time."""
    service.slow()
    job = service.start()
    service.wait_for_run()
    os.kill(job["process"], signal.SIGKILL)
    wait_until(lambda: service.sync.run("--dry-run", "--upstream",
                                        "file:///nonexistent").status == 69)
    assert service.get(job["id"])["state"] == "Running"
    with service.database() as database:
        database.execute("UPDATE SyncJobs SET RenewedAt = RenewedAt - 30000")
    lost = service.get(job["id"])
    assert (lost["state"], lost["lost"]) == ("Failed", True)
    assert lost["error"]["status"] == 74 and lost["endedAt"] is not None
    assert refusal(service.abort(job["id"]), 409) == \
        "The job has ended: Failed (lost)."
    with service.database() as database:
        assert database.execute("SELECT State, Abort FROM SyncJobs"
                                ).fetchall() == [("Running", None)]


def test_abort_of_one_that_goes(service):
    """Taken from the list by another hand while it is asked."""
    assert service.post().status == 200
    name = service.list()[0]["id"]
    with service.database() as database:
        database.execute("UPDATE SyncJobs SET State = 'Running', RenewedAt ="
                         " ?", (int(time.time() * 1000),))
        database.execute("CREATE TRIGGER hand AFTER UPDATE ON SyncJobs"
                         " BEGIN DELETE FROM SyncJobs; END")
    assert refusal(service.abort(name), 404) == "No such job."
    assert service.list() == []


@pytest.mark.parametrize("reason", [
    "", "x", "x" * MAX_REASON, "å" * (MAX_REASON // 2), "+", " ", "\u00a0"])
def test_reasons(service, reason):
    service.slow()
    job = service.start()
    held_up(service, job["process"])
    try:
        answer = service.abort(job["id"], reason)
        assert answer.status == 202
        assert answer.json()["abort"]["reason"] == reason
        assert service.get(job["id"])["abort"]["reason"] == reason
    finally:
        os.kill(job["process"], signal.SIGCONT)


BAD_REASONS = ["x" * (MAX_REASON + 1), "%C3%A5" * (MAX_REASON // 2) + "x",
               "%80", "%C3", "%ED%A0%80", "%C2%85", "x%E2%80%AEy", "%E2%81%A9",
               "x&reason=x", "x&Reason="]
# lighttpd answers these with a 400 of its own.
CONTROL_REASONS = ["%00", "a%0Ab", "%1B[2J", "%1f", "%7F"]


def test_bad_reasons(service):
    """The job goes on; parameters come before the store."""
    gate = service.slow()
    job = service.start()
    service.wait_for_run()
    reasons = list(BAD_REASONS)
    if service.server.kind != "lighttpd-cgi":
        reasons += CONTROL_REASONS
    for name in (job["id"], "no-such-job"):
        for reason in reasons:
            answer = service.ask("DELETE", f"/{name}?reason={reason}")
            assert refusal(answer, 400) == (
                "reason: want at most 500 bytes of UTF-8 without control"
                " characters, once."), reason
    assert service.get(job["id"])["abort"] is None
    gate.set()
    assert service.end_of(job["id"])["state"] == "Completed"


# The ledger

def test_ledger_that_is_damaged(service):
    """503, with the reason in the log; nothing is put in its place."""
    service.start()
    wait_until(lambda: service.list()[0]["state"] == "Completed")
    name = service.list()[0]["id"]
    for path in service.folder.glob("store.db-jobs*"):
        path.unlink()
    service.ledger().write_bytes(b"not a database\n" * 500)
    assert refusal(service.ask("DELETE", f"/{name}?reason=%80"), 400)
    for method, path in (("GET", ""), ("GET", "/" + name),
                         ("DELETE", "/" + name)):
        answer = service.ask(method, path)
        assert refusal(answer, 503) == \
            "The store is not available; try again later."
        assert answer.headers["Retry-After"] == "30"
    # A run does not begin without it.
    assert refusal(service.ask("POST"), 500) == "The store failed."
    log = service.server.log()
    assert f"list of jobs {service.ledger()}" in log
    assert service.ledger().read_bytes() == b"not a database\n" * 500


class Nobody:
    """nompd-serve as a CGI program of an ordinary user, who may read."""

    def __init__(self, program):
        self.wrap = program.wrap
        self.folder = program.folder
        self.env = {"PATH": os.environ["PATH"],
                    "NOMPD_STORE": f"sqlite:{program.store}",
                    "NOMPD_API_KEYS_FILE": str(self.folder / "keys"),
                    **{name: os.environ[name] for name in web.PASSED_ON
                       if name in os.environ}}
        self.key = subprocess.run(
            [web.PROGRAM, "key", "add", "operator", "--scope", "sync"],
            env=self.env, check=True, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE).stdout.rstrip("\n")
        for path in self.folder.glob("keys"):
            shutil.chown(path, group=65534) if self.wrap else None
            path.chmod(0o640)

    def ask(self, method, path):
        """(status, body, log)"""
        done = subprocess.run(
            [*self.wrap, web.PROGRAM], text=True, check=True,
            stdin=subprocess.DEVNULL, capture_output=True,
            timeout=web.PATIENCE, env={
                **self.env, "GATEWAY_INTERFACE": "CGI/1.1",
                "REQUEST_METHOD": method, "PATH_INFO": JOBS + path,
                "HTTP_X_API_KEY": self.key})
        head, _, body = done.stdout.partition("\n\n")
        return int(head.split()[1]), json.loads(body), done.stderr


def test_ledger_that_may_not_be_written(unprivileged):  # noqa: F811
    """It is shown; a job of it is not ended, and the log says why."""
    assert unprivileged.run("--job-id", "a").status == 0
    ledger = unprivileged.folder / "store.db-jobs"
    with contextlib.closing(sqlite3.connect(ledger)) as database:
        database.execute("UPDATE SyncJobs SET State = 'Running', RenewedAt ="
                         " ?", (int(time.time() * 1000),))
        database.commit()
        # Open, so that -wal and -shm stay, as they do between runs.
        for path in unprivileged.folder.glob("store.db-jobs*"):
            path.chmod(0o444)
        unprivileged.folder.chmod(0o555)
        nobody = Nobody(unprivileged)
        status, body, _ = nobody.ask("GET", "/a")
        assert (status, body["state"]) == (200, "Running")
        status, body, log = nobody.ask("DELETE", "/a")
        assert (status, body) == (503, {
            "error": "The store is not available; try again later."})
        assert re.search(r"error request \w+: list of jobs \S+store\.db-jobs"
                         ": this user may only read it", log)
        assert nobody.ask("GET", "/a")[1]["abort"] is None
