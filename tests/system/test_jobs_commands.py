"""status, jobs and abort: who asks about a run, and who ends it."""
import contextlib
import datetime
import itertools
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from conftest import KIND, PATIENCE, PROGRAM
from stores import Job
from upstream import PLANS, Answer

LEASE = 30          # seconds that a job lives on after a sign of life
COUNTS = ["collection", "fetched", "expected", "processed", "written"]
MEMBERS = ["id", "state", "lost", "stage", "command", "host", "process",
           "programVersion", "createdAt", "startedAt", "renewedAt", "endedAt",
           "retries", "collections", "abort", "error", "result"]
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z"
HOSTILE = "a\x1b[31mb\x07\x7f\u009b\u202ec\r\nd"
CONTROL = re.compile(r"[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
SYNC = re.compile(r"job (\S+) is asked to end, since " + TIME + r" by (.+)\n")
numbers = itertools.count()


def now():
    return int(time.time() * 1000)


def date(milliseconds):
    return datetime.datetime.fromtimestamp(
        milliseconds / 1000, datetime.timezone.utc)


def make_job(name, state="Running", age=0, ended=None, abort=None, **data):
    """A job that was created a minute ago; age: seconds since its last sign of
    life."""
    created = now() - 60_000 + next(numbers)
    renewed = now() - int(age * 1000)
    data = {"Command": "run", "Host": "elsewhere", "Process": 4711,
            "ProgramVersion": "0.1.0", "CreatedAt": date(created),
            "Stage": "fetching", "Retries": 3, "Collections": {}, **data}
    if state != "Queued":
        data.setdefault("StartedAt", date(created + 1000))
    if ended is not None:
        data["EndedAt"] = date(ended)
    return Job(name, state, created, renewed, data, abort)


def completed(name, version=7):
    return make_job(name, "Completed", ended=now(), Result={
        "Version": version, "Added": 1, "Updated": 2, "Unchanged": 3,
        "Deleted": 4, "DurationMs": 5})


def failed(name, text="no answer", status=69):
    return make_job(name, "Failed", ended=now(),
                    Error={"Status": status, "Text": text})


def fields(text):
    """A block's lines by their names."""
    found = {}
    for line in text.split("\n\n")[0].splitlines():
        name, value = line[:12].strip(), line[12:]
        if name:
            assert name not in found, text
            found[name] = value
        else:
            found[list(found)[-1]] += "\n" + value
    return found


@pytest.fixture
def ledger(filled):
    """Writes jobs beside the filled store, which has none yet."""
    KIND.drop_jobs(filled.store)
    return lambda *jobs: KIND.put_jobs(filled.store, jobs)


def status(program, *args, ends=0):
    """What status says as JSON."""
    ended = program.run("status", "--format", "json", *args)
    assert ended.status == ends, ended.err
    assert ended.out.count("\n") == 1
    answer = json.loads(ended.out)
    assert list(answer) == ["job", "queued", "lastFinished", "isFresh"]
    assert answer["isFresh"] is (ends == 0)
    return answer


def jobs(program, *args):
    """The list of jobs, an object on each line."""
    ended = program.run("jobs", "--format", "json", *args)
    assert ended.status == 0, ended.err
    lines = ended.out.splitlines()
    assert (lines[0], lines[-1]) == ("[", "]")
    found = json.loads(ended.out)
    assert [json.loads(line.rstrip(",")) for line in lines[1:-1]] == found
    for job in found:
        assert list(job) == MEMBERS
        assert all(list(count) == COUNTS for count in job["collections"])
    return found


@pytest.fixture
def held(filled, upstream):
    """A run that waits for its first list until the gate is opened."""
    filled.gate = upstream.gate()
    answer = upstream.answers[f"/api/{PLANS}"][0]
    upstream.script(PLANS, Answer(answer.body, before=filled.gate.wait),
                    answer)
    process = filled.start("--job-id", "held-1")
    upstream.wait_for(PLANS)
    return process


# A store without a job

@pytest.mark.parametrize("args", [
    ("status",), ("status", "x"), ("status", "--watch"), ("jobs",),
    ("abort",), ("abort", "x", "--wait")], ids=" ".join)
def test_without_a_store(sync, args):
    """No question makes a store, or a ledger."""
    sync.run(*args).failed(74, sync.store.name)
    assert not KIND.exists(sync.store)
    assert not list(sync.folder.glob("store.db*"))


def test_never_run(sync):
    assert sync.run("init").status == 0
    ended = sync.run("status")
    assert ended.status == 1
    assert fields(ended.out) == {
        "job": "none yet", "in queue": "0",
        "last run": "none has finished yet"}
    assert "no run has finished yet" in ended.err
    assert status(sync, ends=1) == {
        "job": None, "queued": 0, "lastFinished": None, "isFresh": False}
    assert sync.run("status", "--watch").out == ended.out
    assert jobs(sync) == []
    assert len(sync.run("jobs").out.splitlines()) == 1
    sync.run("abort").failed(66, "no job is active")
    sync.run("status", "x").failed(66, "no job x", "nompd-sync jobs")
    assert not list(sync.folder.glob("*-jobs*"))


# status

def test_status_of_a_run(sync):
    ended = sync.run()
    answer = status(sync)
    job = answer["job"]
    assert list(job) == MEMBERS
    assert (job["state"], job["lost"], job["stage"], job["error"],
            job["abort"]) == ("Completed", False, "publishing", None, None)
    assert job["result"] == ended.result
    assert [count["collection"] for count in job["collections"]] == [
        "PlanDefinitions", "ActivityDefinitions", "RegulatedAuthorizations",
        "TreatmentGroups", "ReimbursementGroups"]
    assert answer["queued"] == 0
    assert answer["lastFinished"]["version"] == 1
    assert re.fullmatch(TIME, answer["lastFinished"]["at"])
    assert 0 <= answer["lastFinished"]["ageSeconds"] < PATIENCE
    assert jobs(sync) == [job]
    assert status(sync, job["id"]) == answer | {
        "lastFinished": status(sync)["lastFinished"]}


def test_status_table(filled):
    assert filled.run("--job-id", "night-1").status == 0
    ended = filled.run("status", key=None)
    assert (ended.status, ended.err) == (0, "")
    found = fields(ended.out)
    assert found["job"] == "night-1"
    assert found["state"] == "Completed"
    assert re.fullmatch(r"run, process \d+ on \S+, version [\d.]+",
                        found["command"])
    for name in ("created at", "started at", "ended at"):
        assert re.fullmatch(TIME, found[name])
    assert re.fullmatch(r"\d+\.\d s", found["took"])
    assert found["result"] == (
        "version 2: 0 added, 0 updated, 15 unchanged, 0 deleted")
    assert re.fullmatch(
        rf"version 2, finished at {TIME}, (\d+\.\d s|\d+ min \d+ s) ago",
        found["last run"])
    table = [line.split() for line in
             ended.out.split("\n\n")[1].splitlines()]
    assert table[0] == ["COLLECTION", "FETCHED", "EXPECTED", "PROCESSED",
                        "WRITTEN"]
    assert table[1][:2] == ["PlanDefinitions", "3"]
    assert table[4] == ["TreatmentGroups", "-", "-", "3", "0"]
    assert len(table) == 6
    assert len({len(line) for line in
                ended.out.split("\n\n")[1].splitlines()}) == 1


def test_status_of_a_failed_run(filled, upstream):
    upstream.script(PLANS, "x")
    text = filled.run().err.splitlines()[-1]
    answer = status(filled)    # the run before it is new enough
    assert answer["job"]["state"] == "Failed"
    assert answer["job"]["error"]["status"] == 76
    assert answer["job"]["error"]["text"] in text
    assert answer["lastFinished"]["version"] == 1
    found = fields(filled.run("status").out)
    assert found["error"] == "status 76: " + answer["job"]["error"]["text"]
    assert "result" not in found


def test_status_of_a_held_run(filled, upstream):
    """An error of several lines is one in the list."""
    upstream.serve([], [], [])
    assert filled.run().status == 65
    found = fields(filled.run("status").out)
    assert found["state"] == "Held"
    assert found["error"].startswith("status 65: ")
    assert "; PlanDefinitions: " in found["error"]
    assert "\n" not in found["error"]
    table = filled.run("jobs").out.splitlines()
    assert "65: " in table[1]
    assert len(table) == 1 + len(jobs(filled))


def test_status_of_a_dry_run(filled):
    """It is no job."""
    before = jobs(filled)
    assert filled.run("--dry-run").status == 0
    assert jobs(filled) == before


@pytest.mark.parametrize("how", [
    ("--max-age", "1h"), ("--max-age=3600",), "1h", None])
def test_max_age(filled, how):
    """None: the default of 26 hours."""
    limit = 26 if how is None else 1
    args = how if isinstance(how, tuple) else ()
    env = {"NOMPD_MAX_AGE": how} if isinstance(how, str) else {}
    margin = 1 / 30
    for age, ends in ((limit - margin, 0), (limit + margin, 1)):
        KIND.set_synced_at(filled.store, 1, now() - int(age * 3_600_000))
        ended = filled.run("status", *args, env=env)
        assert ended.status == ends, ended.err
        assert "last run" in fields(ended.out)
        if ends:
            assert re.search(r"the last finished run, version 1, is .+ old; "
                             r"--max-age allows ", ended.err)
        else:
            assert ended.err == ""


def test_max_age_of_nothing(filled):
    KIND.set_synced_at(filled.store, 1, now() - 1000)
    assert status(filled, "--max-age", "0s",
                  ends=1)["lastFinished"]["version"] == 1


def test_clock_in_the_future(filled):
    KIND.set_synced_at(filled.store, 1, now() + 3_600_000)
    answer = status(filled, "--max-age", "0s")
    assert answer["lastFinished"]["ageSeconds"] == 0
    assert "0.0 s ago" in filled.run("status").out


def test_status_prefers_the_active_job(filled, ledger):
    ledger(completed("c"), make_job("q1", "Queued"), make_job("r"),
           make_job("q2", "Queued"), failed("f"))
    answer = status(filled)
    assert (answer["job"]["id"], answer["queued"]) == ("r", 2)
    assert answer["job"]["collections"] == []
    found = fields(filled.run("status", "q2").out)
    assert (found["state"], found["in queue"]) == ("Queued, 1 before it", "2")
    assert re.fullmatch(r"1 min \d+ s|5\d\.\d s", found["waiting"])
    assert fields(filled.run("status", "q1").out)["state"] == (
        "Queued, 0 before it")
    assert re.fullmatch(r"\d+\.\d s|1 min \d+ s",
                        fields(filled.run("status").out)["running"])


def test_lost_job(filled, ledger):
    ledger(completed("c"), make_job("gone", age=LEASE + 1))
    job = status(filled)["job"]
    assert (job["id"], job["state"], job["lost"]) == ("gone", "Failed", True)
    found = fields(filled.run("status").out)
    assert found["state"] == "Failed (lost)"
    assert "lost" in found["error"]
    assert "Failed (lost)" in filled.run("jobs").out
    filled.run("abort", "gone").failed(66, "ended already", r"Failed \(lost")
    filled.run("abort").failed(66, "no job is active")


def test_status_of_an_unknown_job(filled, ledger):
    ledger(completed("c"))
    for args in (("x",), ("C",), ("x", "--watch"), ("x", "--format=json")):
        filled.run("status", *args).failed(66, "no job [xC]")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "å", "a\x1b", "x" * 65,
                                  "'; --"])
@pytest.mark.parametrize("command", ["status", "abort"])
def test_hostile_ids(filled, command, name):
    ended = filled.run(command, "--", name, "--store")
    ended.failed(64, rf"{command}: want \[JOB\] behind it; have 2")
    process = subprocess.run(
        [PROGRAM, command, "--store", f"sqlite:{filled.folder}/x", "--",
         name], env=filled.environment(), capture_output=True, timeout=60)
    assert process.returncode == 64
    assert b"want the id of a job" in process.stderr
    assert not CONTROL.search(process.stderr.decode())


def test_odd_id(filled, ledger):
    ledger(completed("--wait"))
    ended = subprocess.run(
        [PROGRAM, "status", "--store", KIND.uri(filled.store), "--",
         "--wait"], env=filled.environment(), capture_output=True, timeout=60)
    assert ended.returncode == 0
    assert fields(ended.stdout.decode())["job"] == "--wait"


def test_hostile_ledger(filled, ledger):
    """A terminal obeys nothing of what stands in a ledger."""
    ledger(make_job("bad", "Failed", ended=now(), Command=HOSTILE,
                    Host=HOSTILE, ProgramVersion=HOSTILE, Stage=HOSTILE,
                    Collections={HOSTILE: {"Fetched": -7}, "": 1},
                    Error={"Status": 74, "Text": HOSTILE},
                    abort={"At": date(now()), "By": HOSTILE,
                           "Reason": HOSTILE}),
           make_job("\x1bodd", "Failed", ended=now()),
           make_job("none", "Nonsense", Command=1, Collections="x",
                    StartedAt="x", CreatedAt=7, Retries="x"))
    for args in (("status",), ("status", "bad"), ("status", "none"),
                 ("jobs",)):
        ended = filled.run(*args)
        assert ended.status == 0, ended.err
        assert not CONTROL.search(ended.out), ended.out
    assert fields(filled.run("status", "bad").out)["error"] == (
        "status 74: a?[31mb????c?\nd")
    assert "bad" in {job["id"] for job in jobs(filled)}


def test_backslashes(filled, ledger):
    """They stand for nothing."""
    ledger(failed("f", r"cannot read C:\new\x"))
    text = r"cannot read C:\new\x"
    assert fields(filled.run("status").out)["error"] == f"status 69: {text}"
    assert filled.run("jobs").out.endswith(f"  69: {text}\n")


def test_hostile_asker(filled, ledger):
    """Who has asked before, by the ledger."""
    ledger(make_job("deaf", "AbortInitiated", age=-20,
                    abort={"At": date(now()), "By": HOSTILE,
                           "Reason": HOSTILE}))
    for args in ((), ("deaf", "--reason", "x")):
        ended = filled.run("abort", *args)
        assert ended.status == 0, ended.err
        assert SYNC.fullmatch(ended.out).groups() == (
            "deaf", "a?[31mb????c??d")
        assert not CONTROL.search(ended.out + ended.err)
    ended = filled.run("abort", "--wait=0s")
    ended.failed(75, "job deaf is asked to end")
    assert not CONTROL.search(ended.err)


def garbage(file):
    file.write_bytes(b"not a database\n" * 500)


def damaged_table(file):
    """It opens, and then no row is right."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("ALTER TABLE SyncJobs RENAME COLUMN Data TO Songs")


@pytest.mark.only_store("sqlite")
@pytest.mark.parametrize("spoil, words", [
    (garbage, r" warn  list of jobs .*/store\.db-jobs: "),
    (damaged_table, r" warn  store .*/store\.db: jobs: "),
])
def test_status_without_a_list(filled, ledger, spoil, words):
    """A probe judges the data, which is there; who names a job wants that."""
    ledger(make_job("r", age=-20))
    file = filled.store.with_name(filled.store.name + "-jobs")
    spoil(file)
    for path in filled.folder.glob("store.db-jobs-*"):
        path.unlink()
    for args in ((), ("--watch",)):
        ended = filled.run("status", *args)
        assert ended.status == 0, ended.err
        found = fields(ended.out)
        assert list(found) == ["job", "in queue", "last run"]
        assert (found["job"], found["in queue"]) == ("unknown", "unknown")
        assert found["last run"].startswith("version 1, ")
        assert ended.err.count("\n") == 1
        assert re.search(words, ended.err)
    answer = status(filled)
    assert (answer["job"], answer["queued"]) == (None, None)
    assert answer["lastFinished"]["version"] == 1
    time.sleep(1.1)
    stale = filled.run("status", "--max-age=1s")
    assert (stale.status, "unknown" in stale.out) == (1, True)
    assert " warn " in stale.err and "--max-age allows" in stale.err
    assert status(filled, "--max-age=1s", ends=1)["job"] is None
    for args in (("status", "r"), ("status", "r", "--watch"), ("jobs",),
                 ("abort",)):
        filled.run(*args).failed(74, "store.db")


@pytest.mark.only_store("sqlite")
def test_list_that_is_lost_while_it_is_watched(filled, ledger):
    ledger(make_job("r", age=-20))
    process = filled.start("status", "--watch", "--format=json")
    assert json.loads(process.stdout.readline())["job"]["id"] == "r"
    damaged_table(filled.store.with_name(filled.store.name + "-jobs"))
    filled.finish(process).failed(74, "store.db")


# jobs

def test_jobs(filled, ledger):
    ledger(*(completed(f"c{i}", i) for i in range(12)), failed("f"),
           make_job("r"))
    assert [job["id"] for job in jobs(filled)] == [
        "r", "f", *(f"c{i}" for i in range(11, 3, -1))]
    assert [job["id"] for job in jobs(filled, "--limit", "1")] == ["r"]
    assert len(jobs(filled, "--limit=1000000")) == 14
    lines = filled.run("jobs", "--limit", "3").out.splitlines()
    assert lines[0].split() == ["JOB", "STATE", "STAGE", "CREATED", "AT",
                                "TOOK", "VERSION", "ERROR"]
    assert re.fullmatch(rf"r +Running +fetching +{TIME} .+ s +-", lines[1])
    assert re.fullmatch(rf"f +Failed +fetching +{TIME} .+ s +-  69: no answer",
                        lines[2])
    assert re.fullmatch(rf"c11 +Completed +fetching +{TIME} .+ s +11",
                        lines[3])
    assert len(lines) == 4


@pytest.fixture
def long_list(filled, ledger):
    ledger(*(failed(f"job-{i}", "x" * 4000) for i in range(1500)))
    return filled


def test_a_huge_list(long_list):
    found = jobs(long_list, "--limit", "1000000")
    assert [job["id"] for job in found] == [
        f"job-{i}" for i in range(1499, -1, -1)]


@pytest.mark.parametrize("form", ["table", "json"])
def test_nobody_reads(long_list, form):
    process = long_list.start("jobs", "--limit", "1500", "--format", form)
    assert process.stdout.read(1) == b"[" if form == "json" else b"J"
    process.stdout.close()
    error = process.stderr.read().decode()
    assert process.wait(PATIENCE) == 74
    assert "cannot write to standard output" in error


@pytest.mark.parametrize("args", [("status",), ("status", "--watch"),
                                  ("jobs",), ("abort",)], ids=" ".join)
@pytest.mark.parametrize("form", ["table", "json"])
def test_full_disk(filled, ledger, args, form):
    ledger(make_job("r", age=-20))
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [PROGRAM, *args, "--format", form, "--store",
             KIND.uri(filled.store)], stdout=full, stderr=subprocess.PIPE,
            env=filled.environment(), timeout=PATIENCE)
    assert ended.returncode == 74
    assert b"cannot write to standard output" in ended.stderr


# abort

def test_abort(filled, held):
    """The run ends by itself, and says who wanted that."""
    before = filled.dump()
    ended = filled.run("abort", "--reason", "wrong upstream")
    assert ended.status == 0, ended.err
    name, by = SYNC.fullmatch(ended.out).groups()
    assert name == "held-1"
    assert re.fullmatch(r"\S+@\S+, process \d+", by)
    run = filled.finish(held)
    assert (run.status, run.out) == (79, "")
    assert filled.dump() == before
    job = status(filled)["job"]
    assert (job["id"], job["state"]) == ("held-1", "Aborted")
    assert (job["abort"]["by"], job["abort"]["reason"]) == (
        by, "wrong upstream")
    assert job["error"]["status"] == 79
    found = fields(filled.run("status").out)
    assert re.fullmatch(rf"asked for at {TIME} by {re.escape(by)}: "
                        "wrong upstream", found["abort"])
    filled.run("abort").failed(66, "no job is active")
    filled.run("abort", name).failed(66, "held-1 has ended already", "Aborted")
    filled.gate.set()
    assert filled.run().result["version"] == 2


@pytest.mark.parametrize("args", [("--wait",), ("--wait=60s",),
                                  ("held-1", "--wait")], ids=" ".join)
def test_abort_and_wait(filled, held, args):
    ended = filled.run("abort", *args)
    assert (ended.status, ended.out) == (
        0, "job held-1 has ended: Aborted\n"), ended.err
    assert "waiting" in ended.err
    assert filled.finish(held).status == 79


def test_abort_json(filled, held):
    ended = filled.run("abort", "--wait", "--format=json")
    assert ended.status == 0, ended.err
    job = json.loads(ended.out)
    assert list(job) == MEMBERS
    assert job == status(filled)["job"]
    assert job["abort"]["reason"] == ""


def test_abort_of_one_that_waits(filled, held):
    """Of several jobs the one that is named; the others go on."""
    waits = filled.start("--queue", "--job-id", "waits")
    deadline = time.monotonic() + PATIENCE
    while status(filled)["queued"] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ended = filled.run("abort", "waits", "--wait")
    assert ended.out == "job waits has ended: Aborted\n"
    assert filled.finish(waits).status == 79
    assert held.poll() is None
    filled.gate.set()
    assert filled.finish(held).result["version"] == 2


def test_abort_in_vain(filled, ledger):
    """A job that does not listen; nothing stands on standard output."""
    ledger(make_job("deaf", age=-20))
    start = time.monotonic()
    filled.run("abort", "--wait=1200ms", "--reason", "tired").failed(
        75, "job deaf is asked to end, but has not ended within 1.2 s")
    assert 1.2 <= time.monotonic() - start < PATIENCE
    filled.run("abort", "--wait=0s").failed(75, "has not ended within 0.0 s")
    filled.run("abort", env={"NOMPD_ABORT_WAIT": "10ms"}).failed(75, "deaf")
    job = status(filled)["job"]
    assert (job["state"], job["abort"]["reason"]) == (
        "AbortInitiated", "tired")


def test_abort_twice(filled, ledger):
    """The first one has asked."""
    ledger(make_job("deaf", age=-20))
    first = filled.run("abort", env={"NOMPD_ABORT_REASON": "one"})
    second = filled.run("abort", "--reason", "two")
    assert first.out == second.out
    assert SYNC.fullmatch(first.out)
    assert status(filled)["job"]["abort"]["reason"] == "one"


def test_wait_for_a_lost_job(filled, ledger):
    ledger(make_job("dying", age=LEASE - 2))
    ended = filled.run("abort", "--wait")
    assert (ended.status, ended.out) == (
        0, "job dying has ended: Failed (lost)\n")


def test_wait_for_one_that_gets_done(filled, ledger):
    """It was faster than the question; that is said, and no failure."""
    ledger(make_job("quick", age=-20))
    process = filled.start("abort", "--wait")
    assert process.stderr.readline()
    ledger(completed("quick"))
    ended = filled.finish(process)
    assert (ended.status, ended.out) == (0, "job quick has ended: Completed\n")


@pytest.mark.only_store("sqlite")
def test_abort_of_one_that_goes(filled, ledger):
    """Taken from the list by another hand, at the question or in the wait."""
    ledger(make_job("r", age=-20))
    file = filled.store.with_name(filled.store.name + "-jobs")
    process = filled.start("abort", "--wait")
    assert process.stderr.readline()
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("DELETE FROM SyncJobs")
        database.commit()
    filled.finish(process).failed(66, "job r has gone from the list of jobs")
    ledger(make_job("r", age=-20))
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TRIGGER hand AFTER UPDATE ON SyncJobs"
                         " BEGIN DELETE FROM SyncJobs; END")
    filled.run("abort", "r").failed(66, "job r has gone from the list of jobs")


def test_interrupted_wait(filled, ledger):
    ledger(make_job("deaf", age=-20))
    process = filled.start("abort", "--wait")
    assert process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    ended = filled.finish(process)
    assert (ended.status, ended.out) == (-signal.SIGTERM, "")


def test_abort_of_an_unknown_job(filled, ledger):
    ledger(make_job("r"))
    for args in (("x",), ("R", "--wait"), ("x", "--format=json")):
        ended = filled.run("abort", *args)
        ended.failed(66, "no job [xR]; see nompd-sync jobs")
        assert "for a time" not in ended.err
    assert status(filled)["job"]["state"] == "Running"


def test_time_that_is_taken_for_a_job(filled, ledger):
    """Unless there is such a job."""
    ledger(make_job("5m", age=LEASE - 2))
    filled.run("abort", "--wait", "1m").failed(
        66, "no job 1m; see nompd-sync jobs; for a time write --wait=1m")
    for args in (("1m",), ("--wait=2m", "1m"), ("--wait", "8d")):
        ended = filled.run("abort", *args)
        ended.failed(66, "no job (1m|8d)")
        assert "for a time" not in ended.err
    assert filled.run("abort", "--wait", "5m").out.startswith("job 5m has")


@pytest.mark.parametrize("reason", ["å" * 250, "a\u00a0b\u200d💊", "'\"\\"])
def test_reasons(filled, ledger, reason):
    ledger(make_job("r", age=-20))
    assert filled.run("abort", "--reason", reason).status == 0
    assert status(filled)["job"]["abort"]["reason"] == reason
    assert not CONTROL.search(filled.run("status").out)


@pytest.mark.parametrize("reason", [
    "å" * 250 + "x", b"\xff", b"a\xc0\x80", "a\nb", "\x1b[2J", "\x7f",
    "a\u009bb", "a\u202eb", "\u2066", "\u200f"])
def test_bad_reasons(filled, ledger, reason):
    ledger(make_job("r"))
    ended = subprocess.run(
        [PROGRAM, "abort", "--store", KIND.uri(filled.store), "--reason",
         reason], capture_output=True, timeout=60, env=filled.environment())
    assert ended.returncode == 64
    assert b"--reason: want a text in UTF-8 of at most 500" in ended.stderr
    assert not CONTROL.search(ended.stderr.decode())
    assert status(filled)["job"]["abort"] is None


@pytest.mark.only_store("sqlite")
def test_abort_without_the_right(filled, ledger):
    """A ledger that cannot be written can still be read."""
    ledger(make_job("r", age=-20))
    wrap = (["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
            if os.geteuid() == 0 else [])
    for path in filled.folder.glob("store.db-jobs*"):
        path.chmod(0o444)
    ended = filled.finish(filled.start("abort", wrap=wrap))
    ended.failed(74, "list of jobs .*store.db-jobs", "may only read it")
    ended = filled.finish(filled.start("status", "--format=json", wrap=wrap))
    assert json.loads(ended.out)["job"]["state"] == "Running"


# status --watch

def test_watch_without_an_active_job(filled, ledger):
    ledger(completed("c"))
    ended = filled.run("status", "--watch")
    assert ended.status == 0
    assert fields(ended.out)["job"] == "c"
    assert ended.out.count("last run") == 1


def watch(filled, ledger, *args):
    """What is said of a job that gets on, and ends."""
    job = make_job("w", age=-20, Stage="fetching")
    ledger(job)
    process = filled.start("status", "--watch", *args)
    out = []
    reader = threading.Thread(
        target=lambda: out.append(process.stdout.read()))

    def read_to(sign):
        line = b""
        while sign not in line:
            line = process.stdout.readline()
            assert line
            out.append(line)
    read_to(b"fetching")
    ledger(job._replace(renewed=job.renewed + 1000))    # a sign of life
    time.sleep(2.5)
    ledger(job._replace(data=job.data | {"Stage": "writing"}),
           make_job("later", "Queued"))
    read_to(b"writing")
    ledger(completed("w"))
    reader.start()
    reader.join(PATIENCE)
    process.wait(PATIENCE)
    error = process.stderr.read().decode()
    assert process.returncode == 0, error
    return b"".join(out).decode()


def test_watch_json(filled, ledger):
    """A line whenever something has changed, which a sign of life is not."""
    lines = [json.loads(line) for line in
             watch(filled, ledger, "--format=json").splitlines()]
    assert [(line["job"]["id"], line["job"]["state"], line["job"]["stage"])
            for line in lines] == [
        ("w", "Running", "fetching"), ("w", "Running", "writing"),
        ("w", "Completed", "fetching")]
    assert [line["queued"] for line in lines] == [0, 1, 1]


def test_watch_in_a_pipe(filled, ledger):
    """Blocks, with a blank line between, and nothing for a terminal."""
    out = watch(filled, ledger)
    assert not CONTROL.search(out)
    blocks = [fields(block) for block in out.split("\n\n")]
    assert [(block["state"], block["stage"]) for block in blocks] == [
        ("Running", "fetching"), ("Running", "writing"),
        ("Completed", "fetching")]


def test_watch_a_run(filled, held):
    process = filled.start("status", "--watch", "--format", "json")
    first = json.loads(process.stdout.readline())
    assert first["job"]["state"] == "Running"
    filled.gate.set()
    assert filled.finish(held).status == 0
    ended = filled.finish(process)
    last = json.loads(ended.out.splitlines()[-1])
    assert (ended.status, last["job"]["state"]) == (0, "Completed")
    assert last["lastFinished"]["version"] == 2


class Terminal:
    """A program whose standard output is a terminal of 80 columns."""

    def __init__(self, program, *args, rows=24):
        self.main, terminal = pty.openpty()
        subprocess.run(["stty", "rows", str(rows), "cols", "80", "-onlcr"],
                       stdin=terminal, check=True)
        self.process = subprocess.Popen(
            [PROGRAM, *args, "--store", KIND.uri(program.store)],
            stdin=subprocess.DEVNULL, stdout=terminal,
            stderr=subprocess.PIPE, env=program.environment())
        os.close(terminal)
        program.processes.append(self.process)
        self.process.stdout = self.process.stderr    # for its close()
        self.text = ""

    def read_to(self, sign):
        while sign not in self.text:
            self.text += os.read(self.main, 65536).decode()

    def close(self):
        try:
            while True:
                data = os.read(self.main, 65536)
                if not data:
                    break
                self.text += data.decode()
        except OSError:     # nobody has the other end any more
            pass
        os.close(self.main)
        return self.process.wait(PATIENCE)


def screen_of(text):
    """The lines that stand there after text, and how often they were drawn."""
    lines, row, draws = [""], 0, 0
    for part in re.findall(r"\x1b\[\?7[lh]|\x1b\[\d+A|\x1b\[J|\r|\n|[^\x1b\r\n]+",
                           text):
        if part == "\x1b[?7l":
            draws += 1
        elif part.endswith("A") and part[0] == "\x1b":
            row -= int(part[2:-1])
            assert row >= 0
        elif part == "\x1b[J":
            del lines[row:]
            lines.append("")
        elif part == "\n":
            row += 1
            lines[row:row + 1] = lines[row:row + 1] or [""]
        elif part[0] not in "\r\x1b":
            lines[row] += part
    return lines, draws


def test_watch_on_a_terminal(filled, ledger):
    """One block, drawn in place each second; the last one stays."""
    ledger(make_job("w", age=-20))
    terminal = Terminal(filled, "status", "--watch")
    terminal.read_to("fetching")
    terminal.read_to("\x1b[J")      # it was drawn again
    ledger(make_job("w", age=-20, Stage="writing"))
    terminal.read_to("writing")
    ledger(completed("w"))
    assert terminal.close() == 0
    lines, draws = screen_of(terminal.text)
    assert draws >= 3
    found = fields("\n".join(lines))
    assert (found["job"], found["state"]) == ("w", "Completed")
    assert sum(line.startswith("job ") for line in lines) == 1
    assert terminal.text.count("\x1b[?7l") == terminal.text.count("\x1b[?7h")


def test_watch_on_a_low_terminal(filled, ledger):
    """What has scrolled away could not be replaced: less is drawn."""
    ledger(make_job("w", age=-20, Collections={
        f"C{'x' * i}": {"Fetched": i} for i in range(20)}))
    terminal = Terminal(filled, "status", "--watch", rows=5)
    terminal.read_to("\x1b[J")
    drawn = terminal.text.split("\x1b[?7h")[0]
    assert drawn.count("\n") == 4
    assert "\x1b[4A" in terminal.text
    ledger(completed("w"))
    assert terminal.close() == 0
    assert screen_of(terminal.text)[0][-2].startswith("last run")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("is_terminal", [True, False])
def test_end_of_a_watch(filled, ledger, how, is_terminal):
    ledger(make_job("w", age=-20))
    if is_terminal:
        terminal = Terminal(filled, "status", "--watch")
        terminal.read_to("fetching")
        terminal.process.send_signal(how)
        assert terminal.close() == -how
    else:
        process = filled.start("status", env={"NOMPD_WATCH": "1"})
        while b"fetching" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(how)
        assert filled.finish(process).status == -how
    assert status(filled)["job"]["state"] == "Running"


def test_json_on_a_terminal(filled, ledger):
    """Lines, as elsewhere."""
    ledger(make_job("w", age=-20))
    terminal = Terminal(filled, "status", "--watch", "--format", "json")
    terminal.read_to("\n")
    ledger(completed("w"))
    assert terminal.close() == 0
    assert "\x1b" not in terminal.text
    assert len(terminal.text.splitlines()) == 2
