"""A run as a job, from its begin to its end, in the list of jobs."""
import json
import os
import socket
import subprocess
import time

import pytest

import ledger
from bulk_server import Export, File, in_progress, patient
from conftest import FILLED, KEY, KIND, PROGRAM
from ledger import listless  # noqa: F401
from upstream import (
    ACTIVITIES, AUTHORIZATIONS, PLANS, Answer, activity, bundle, many,
    outcome)

HELD = ("--max-delete", "0")
GROUPS = ("TreatmentGroups", "ReimbursementGroups")


def version():
    done = subprocess.run([PROGRAM, "--version"], stdout=subprocess.PIPE,
                          text=True, check=True)
    return done.stdout.split()[1]


def only(sync, id=None):
    """The one job of the store, or the one of that id."""
    if id is not None:
        return ledger.find(sync.store, id)
    found = ledger.jobs(sync.store)
    assert len(found) == 1, found
    return found[0]


def now_ms():
    return int(time.time() * 1000)


def check_times(job, begun_ms):
    """They are in order, and between the test's own."""
    times = [job.created, job.started, job.ended]
    times = [moment for moment in times if moment is not None]
    assert times == sorted(times)
    # A server's clock may be a little off ours.
    slack = 0 if KIND.name == "sqlite" else 2000
    assert begun_ms - slack <= times[0]
    assert times[-1] <= job.renewed + slack <= now_ms() + 2 * slack
    assert job.created == ledger.milliseconds(job.data["CreatedAt"])


def check_who(job, process, command="run"):
    assert job.data["Command"] == command
    assert job.data["Host"] == socket.gethostname()
    assert job.data["Process"] == process.pid
    assert job.data["ProgramVersion"] == version()


def check_result(job, ended):
    """What stood on standard output."""
    wanted = {name[0].upper() + name[1:]: value
              for name, value in ended.result.items()}
    assert job.result == wanted


def ended_job(sync, *args, id="j1", status=0, command="run", **options):
    """A run to its end, and its job."""
    begun_ms = now_ms()
    process = sync.start(*args, "--job-id", id, **options)
    ended = sync.finish(process)
    assert ended.status == status, (ended.status, ended.err)
    job = only(sync, id)
    check_who(job, process, command)
    check_times(job, begun_ms)
    assert job.state not in ledger.ACTIVE
    if status == 0:
        assert (job.state, job.error, job.stage) == (
            "Completed", None, "publishing")
        check_result(job, ended)
    else:
        assert job.error[0] == status
        # Of several lines the list makes one.
        assert "\\n" not in job.error[1]
        for line in job.error[1].split("; "):
            assert line in ended.err
        assert job.result is None
    return job, ended


def test_completed(sync):
    job, _ = ended_job(sync)
    assert job.counts == {
        "PlanDefinitions": (3, None, 3, 3),
        "ActivityDefinitions": (3, None, 3, 3),
        "RegulatedAuthorizations": (3, None, 3, 3),
        "TreatmentGroups": (None, None, 3, 3),
        "ReimbursementGroups": (None, None, 3, 3)}
    assert job.abort is None
    assert job.data["Retries"] == 0
    assert not job.lost


def test_nothing_to_write(listless):
    """Processed, and not written."""
    job, _ = ended_job(listless)
    assert {counts[2:] for counts in job.counts.values()} == {(3, 0)}


def test_totals(sync, upstream):
    """What a Bundle says of its number, and several pages of one list."""
    upstream.serve_pages(ACTIVITIES, many(ACTIVITIES, 5), 2)
    upstream.script(PLANS, bundle(many(PLANS, 2), total=2))
    job, _ = ended_job(sync)
    assert job.counts["ActivityDefinitions"][:2] == (5, 5)
    assert job.counts["PlanDefinitions"][:2] == (2, 2)
    assert job.counts["RegulatedAuthorizations"][:2] == (3, None)


def test_less_than_its_total(listless, upstream):
    """The numbers of a list that ended too early stay to be seen."""
    upstream.script(PLANS, bundle(many(PLANS, 2), total=7))
    job, _ = ended_job(listless, status=76)
    assert job.counts["PlanDefinitions"] == (2, 7, 0, 0)


def test_while_it_runs(sync, upstream):
    """Stage and counts are there before the end of a list, not only after."""
    gate = upstream.gate()
    upstream.serve_pages(PLANS, many(PLANS, 4), 3)
    second = upstream.answers[f"/api/{PLANS}?page=2"][0]
    upstream.script(PLANS + "?page=2",
                    Answer(second.body, before=gate.wait))
    process = sync.start("--job-id", "j1")
    job = ledger.wait_for(sync.store, "j1", lambda job: job.counts.get(
        "PlanDefinitions", (0,))[0] == 3)
    assert (job.state, job.stage) == ("Running", "fetching")
    assert job.counts["PlanDefinitions"] == (3, 4, 0, 0)
    assert job.started and job.ended is None and job.result is None
    check_who(job, process)
    # It gives signs of life while it waits.
    ledger.wait_for(sync.store, "j1",
                    lambda later: later.renewed > job.renewed)
    gate.set()
    assert sync.finish(process).status == 0
    job = only(sync)
    assert job.counts["PlanDefinitions"] == (4, 4, 4, 4)


def test_an_id_of_its_own(sync):
    """Two runs, two ids, which stand in the log."""
    errs = [sync.run().err for _ in range(2)]
    jobs = ledger.jobs(sync.store)
    assert len({job.id for job in jobs}) == 2
    for job, err in zip(jobs, errs):
        assert f"job {job.id} is running" in err
        assert len(job.id) <= 64
        assert all(c.isalnum() or c in ".-_" for c in job.id)


def test_retries(sync, upstream):
    upstream.script(ACTIVITIES, *[Answer(
        status=503, headers=[("Retry-After", "0")])] * 2, Answer(
            bundle(FILLED[1])))
    upstream.script(PLANS, Answer(bundle(FILLED[0]), cut=300),
                    Answer(bundle(FILLED[0])))
    job, _ = ended_job(sync, "--retries", "2")
    assert job.data["Retries"] == 3
    # What was begun again counts once.
    assert job.counts["PlanDefinitions"][0] == 3


def test_failed(listless, upstream):
    before = listless.dump()
    upstream.script(AUTHORIZATIONS, Answer(status=503))
    job, _ = ended_job(listless, status=69)
    assert (job.state, job.stage, job.lost) == ("Failed", "fetching", False)
    assert "RegulatedAuthorization" in job.error[1]
    assert listless.dump() == before


def test_failed_deadline(listless, upstream):
    upstream.script(PLANS, Answer(hang="start"))
    job, _ = ended_job(listless, "--deadline", "300ms", status=69)
    assert job.state == "Failed"
    assert "--deadline" in job.error[1]


def test_held(listless, upstream):
    upstream.serve(*FILLED[:2], FILLED[2][:2])
    job, _ = ended_job(listless, *HELD, status=65)
    assert (job.state, job.stage) == ("Held", "comparing")
    assert "--max-delete" in job.error[1]
    assert job.counts["RegulatedAuthorizations"] == (2, None, 3, 0)


def test_interrupted(listless, upstream):
    upstream.script(PLANS, Answer(hang="start"))
    process = listless.start("--job-id", "j1")
    upstream.wait_for(PLANS)
    process.terminate()
    assert listless.finish(process).status in (-15, 143)
    job = only(listless)
    assert (job.state, job.lost) == ("Failed", False)
    assert "signal 15" in job.error[1]


def test_aborted(listless, upstream):
    upstream.script(PLANS, Answer(hang="start"))
    process = listless.start("--job-id", "j1")
    upstream.wait_for(PLANS)
    ledger.wait_for(listless.store, "j1", "Running")
    ledger.ask_abort(listless.store, "j1", "me@there", "wrong list")
    ended = listless.finish(process)
    ended.failed(79, "me@there", "wrong list")
    job = only(listless)
    assert (job.state, job.error[0]) == ("Aborted", 79)
    assert "me@there" in job.error[1] and "wrong list" in job.error[1]
    assert (job.abort["By"], job.abort["Reason"]) == (
        "me@there", "wrong list")
    assert job.created <= job.abort["At"] + 2000


def test_no_secret(listless, upstream):
    """Not even where the upstream sends the key back."""
    upstream.script(PLANS, Answer(
        outcome(f"no such key: {KEY}"), status=400))
    job, _ = ended_job(listless, status=69)
    assert "no such key: [secret]" in job.error[1]
    stored = ledger.everything(listless.store)
    assert b"no such key" in stored
    assert KEY.encode() not in stored


def test_texts_of_others(listless, upstream):
    """Control characters and half a character do not get into the list."""
    upstream.script(PLANS, Answer(
        outcome("bad\x1b[31m\u202e\nline " + "å" * 3000), status=400))
    ended = listless.run("--job-id", "j1")
    assert ended.status == 69
    job = only(listless)
    assert "\x1b" not in job.error[1] and "\n" not in job.error[1]
    assert "\ufffd" not in job.error[1]


# What is no job

@pytest.mark.parametrize("args", [
    ("--max-delete", "lots"), ("--job-id", "a b"), ("--job-id", ""),
    ("--job-id", "x" * 65), ("--job-id", "../x"), ("--queue=maybe",)])
def test_usage(listless, args):
    assert listless.run(*args).status == 64
    assert ledger.jobs(listless.store) == []


def test_dry_run(listless):
    assert listless.run("--dry-run").status == 0
    assert listless.run("reconvert", "--dry-run").status == 0
    assert ledger.jobs(listless.store) == []


def test_questions(listless):
    for args in (("history",), ("show", "PlanDefinitions", "p1"), ("init",)):
        assert listless.run(*args).status == 0
    assert ledger.jobs(listless.store) == []


def test_busy(listless, upstream):
    upstream.script(PLANS, Answer(hang="start"))
    process = listless.start("--job-id", "j1")
    upstream.wait_for(PLANS)
    listless.run("--job-id", "j2").failed(75)
    listless.run("reconvert", "--job-id", "j3").failed(75)
    assert [job.id for job in ledger.jobs(listless.store)] == ["j1"]
    process.terminate()
    listless.finish(process)


def test_the_same_id(listless):
    """It is of one job for ever, and the one that has it stays as it was."""
    assert listless.run("--job-id", "j1").status == 0
    before = listless.dump(), ledger.jobs(listless.store)
    listless.run("--job-id", "j1").failed(64, "--job-id", "j1")
    assert (listless.dump(), ledger.jobs(listless.store)) == before
    assert listless.run("--job-id", "J1").status == 0


def test_id_from_the_environment(listless):
    assert listless.run(env={"NOMPD_JOB_ID": "from-env.1_x"}).status == 0
    assert only(listless).id == "from-env.1_x"


# Other runs

def test_reconvert(listless):
    job, _ = ended_job(listless, "reconvert", command="reconvert")
    assert job.counts == {name: (None, None, 3, 0) for name in GROUPS}


def test_reconvert_failed(sync):
    """There is no store, so there is no list of its jobs."""
    sync.run("reconvert").failed(74)
    assert ledger.jobs(sync.store) == []


def test_bulk(bulk, server):
    server.exports = [Export([
        File("Patient", [patient(str(i)) for i in range(4)]),
        File("Patient", [patient("x")], count=False)])]
    server.polls = [in_progress("10 %")] * 2
    job, _ = ended_job(bulk)
    assert job.counts["Patient"][0] == 5
    assert job.counts["Patient"][2:] == (5, 5)


def test_bulk_totals(bulk, server):
    """The manifest's counts, when each of its files has one."""
    server.exports = [Export([
        File("Patient", [patient(str(i)) for i in range(4)]),
        File("Patient", [patient("x")])])]
    job, _ = ended_job(bulk)
    assert job.counts["Patient"] == (5, 5, 5, 5)


def test_bulk_failed(bulk, server):
    server.polls = [Answer(outcome("broken"), status=404)]
    process = bulk.start("--job-id", "j1")
    ended = bulk.finish(process)
    assert ended.status in (69, 76)
    job = only(bulk)
    assert (job.state, job.error[0]) == ("Failed", ended.status)
    assert job.error[1] in ended.err


def test_bulk_retries(bulk, server):
    server.exports = [Export([File("Patient", [patient("1")], script=[
        Answer(status=500), Answer(status=503)])])]
    server.polls = [Answer(status=502)]
    job, _ = ended_job(bulk, "--retries", "3")
    assert job.data["Retries"] == 3


# The list

def test_order(listless):
    for i in range(5):
        assert listless.run("--job-id", f"j{4 - i}").status == 0
    assert [job.id for job in ledger.jobs(listless.store)] == [
        f"j{4 - i}" for i in range(5)]


@pytest.mark.only_store("sqlite")
def test_list_of_a_link(listless):
    """One store has one list, whichever link leads to it."""
    link = listless.folder / "link.db"
    link.symlink_to(listless.store)
    assert listless.run("--store", f"sqlite:{link}",
                      "--job-id", "j1").status == 0
    assert only(listless).id == "j1"
    assert not os.path.lexists(f"{link}-jobs")


def test_lists_of_two_stores(listless):
    other = listless.new_store("other.db")
    mine, listless.store = listless.store, other
    assert listless.run("--job-id", "j1").status == 0
    listless.store = mine
    assert ledger.jobs(mine) == []
    assert listless.run("--job-id", "j1").status == 0
    assert [job.id for job in ledger.jobs(other)] == ["j1"]


def test_dump_is_the_same(listless, upstream):
    """A job is no part of the store: a run that fails leaves that alone."""
    before = listless.dump()
    upstream.script(ACTIVITIES, Answer(status=404))
    assert listless.run().status != 0
    assert listless.dump() == before
    upstream.script(ACTIVITIES, bundle([activity("a1")]))
    assert listless.run("--max-delete", "100%").status == 0


def test_each_json_line_names_it(listless, upstream):
    """From the moment on in which there is a job to the line that says why it
    failed, which comes when all is over."""
    upstream.script(f"/{PLANS}", Answer(status=404))
    ended = listless.run("--log-format", "json", "--job-id", "it",
                         url=upstream.origin)
    assert ended.status == 69
    lines = [json.loads(line) for line in ended.err.splitlines()]
    assert lines[-1]["level"] == "error" and "404" in lines[-1]["message"]
    for line in lines:
        assert list(line) == ["time", "level", "job", "stage", "message"]
        assert line["job"] == "it"
    assert [lines[0]["stage"], lines[-1]["stage"]] == ["waiting", "fetching"]
