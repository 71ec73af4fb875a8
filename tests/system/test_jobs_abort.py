"""A run that is asked to end, wherever it is: 79, soon, with who and why; the
store is as its kind promises, and the next run has its turn at once."""
import random
import signal
import sqlite3
import time

import pytest

import ledger
import stores
from bulk_server import Export, File, in_progress, patient
from conftest import FILLED, KEY, KIND, folder_upstream
from ledger import listless  # noqa: F401
from stores import few, summary
from test_kill import CHANGED, MAX_STEPS, Case, generation
from upstream import (
    AUTHORIZATIONS, PLANS, Answer, activity, authorization, bundle, plan)

BY = "operator@night, process 7"
WHY = "the wrong åbjects"
SOON = 10           # seconds: far less than what the run would wait
MOMENTS = 7         # of a run, the earlier ones first
ASKED_EVERY = 1     # seconds between two looks of a run at its job


def aborted(sync, process, id="j1", stage=None):
    """Asks for the end of the run, which comes soon; its job."""
    ledger.ask_abort(sync.store, id, BY, WHY)
    started = time.monotonic()
    ended = sync.finish(process)
    assert time.monotonic() - started < SOON
    return check_aborted(sync, ended, id, stage)


def check_aborted(sync, ended, id="j1", stage=None):
    ended.failed(79, BY, WHY)
    job = ledger.find(sync.store, id)
    assert (job.state, job.error[0], job.result) == ("Aborted", 79, None)
    assert BY in job.error[1] and WHY in job.error[1]
    assert (job.abort["By"], job.abort["Reason"]) == (BY, WHY)
    assert job.ended >= job.created and not job.lost
    if stage is not None:
        assert job.stage == stage
    return job


def running(sync, upstream, *args, path=PLANS, id="j1", **options):
    """A run that has asked for a list."""
    process = sync.start("--job-id", id, *args, **options)
    upstream.wait_for(path)
    ledger.wait_for(sync.store, id, "Running")
    return process


# Fetching

HELD_UP = {
    "no answer": Answer(hang="start"),
    "half a body": Answer(bundle(FILLED[0]), cut=300, hang="body"),
    "drops": Answer(bundle(FILLED[0]), drip=0.5),
    "Retry-After": Answer(status=503, headers=[("Retry-After", "200")]),
}


@pytest.mark.parametrize("path,how", [
    *[(PLANS, how) for how in HELD_UP], (AUTHORIZATIONS, "no answer")])
def test_fetching(listless, upstream, how, path):
    good = upstream.answers[f"/api/{path}"]
    before = listless.dump()
    upstream.script(path, HELD_UP[how])
    process = running(listless, upstream, "--retries", "3", path=path)
    aborted(listless, process, stage="fetching")
    assert listless.dump() == before
    upstream.script(path, *good)
    assert listless.run().counts == (0, 0, 15, 0)


def test_between_retries(listless, upstream):
    """In a pause that the program has chosen itself."""
    upstream.script(PLANS, Answer(status=503))
    process = listless.start("--job-id", "j1", "--retries", "20")
    upstream.wait_for(PLANS, 3)
    job = aborted(listless, process, stage="fetching")
    assert job.data["Retries"] >= 2


def test_first_run(sync, upstream):
    """There is no store of this run's afterwards, but an empty one."""
    upstream.script(PLANS, Answer(hang="start"))
    process = running(sync, upstream)
    aborted(sync, process)
    assert sync.dump().records == {}
    assert sync.dump().history == []


# Waiting

def test_queued(listless, upstream):
    gate = upstream.gate()
    upstream.script(PLANS, Answer(bundle(FILLED[0]), before=gate.wait))
    first = running(listless, upstream, id="j1")
    second = listless.start("--queue", "--job-id", "j2")
    ledger.wait_for(listless.store, "j2", "Queued")
    job = aborted(listless, second, "j2", "waiting")
    assert job.started is None
    gate.set()
    assert listless.finish(first).result["version"] == 2
    assert ledger.find(listless.store, "j1").state == "Completed"


def test_running_while_one_waits(listless, upstream):
    """The next in the queue has its turn at once."""
    first = Answer(hang="start")
    upstream.script(PLANS, first, Answer(bundle(FILLED[0])))
    process = running(listless, upstream)
    second = listless.start("--queue", "--job-id", "j2")
    ledger.wait_for(listless.store, "j2", "Queued")
    aborted(listless, process)
    assert listless.finish(second).result["version"] == 2
    one, two = ledger.jobs(listless.store)
    assert two.started - one.ended < 1000 * SOON


def test_next_run_needs_no_patience(listless, upstream):
    """Who sees that the job has ended gets the lease."""
    good = upstream.answers[f"/api/{PLANS}"]
    for number in range(few(4)):
        upstream.script(PLANS, Answer(hang="start"))
        asked = len(upstream.requests(PLANS))
        process = listless.start("--job-id", f"j{number}")
        upstream.wait_for(PLANS, asked + 1)
        upstream.script(PLANS, *good)
        ledger.wait_for(listless.store, f"j{number}", "Running")
        ledger.ask_abort(listless.store, f"j{number}")
        ledger.wait_for(listless.store, f"j{number}", "Aborted")
        assert listless.run().counts == (0, 0, 15, 0)
        assert listless.finish(process).status == 79


# Bulk Data

@pytest.fixture
def patients(server):
    server.exports = [Export([
        File("Patient", [patient(str(i)) for i in range(20)])
        for _ in range(3)])]
    return server


def bulk_aborted(bulk, server, wait, *args):
    process = bulk.start("--job-id", "j1", "--max-poll-wait", "10m",
                         "--deadline", "1h", *args)
    wait()
    job = aborted(bulk, process, stage="fetching")
    assert bulk.dump().records == {}
    assert bulk.spooled() == []
    return job


def test_bulk_poll_wait(bulk, patients):
    patients.polls = [in_progress(retry_after=300)]
    bulk_aborted(bulk, patients, patients.wait_for_poll)
    assert patients.job.is_deleted
    patients.polls = []
    assert bulk.run().result["added"] == 20


def test_bulk_poll_without_answer(bulk, patients):
    patients.polls = [Answer(hang="start")]
    bulk_aborted(bulk, patients, patients.wait_for_poll)
    assert patients.job.is_deleted


def test_bulk_kick_off(bulk, patients):
    patients.kick_offs = [Answer(
        status=429, headers=[("Retry-After", "300")])]
    bulk_aborted(bulk, patients, lambda: patients.wait_for_request(
        lambda request: "$export" in request.target))
    assert patients.jobs == []


@pytest.mark.parametrize("how", ["no answer", "Retry-After"])
def test_bulk_download(bulk, patients, how):
    patients.exports[0].files["output"][2].script = [
        Answer(hang="start") if how == "no answer" else Answer(
            status=503, headers=[("Retry-After", "200")])]
    bulk_aborted(bulk, patients, lambda: patients.wait_for_file(2),
                 "--retries", "3")
    assert patients.job.is_deleted


# Between fetching and publishing

@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Lists that take a while to convert, compare and write."""
    folder = tmp_path_factory.mktemp("large")
    keys = [f"k{i:05}" for i in range(few(1500))]
    return folder_upstream(
        folder, [plan(k, *[f"k{j:05}" for j in range(i % 7)])
                 for i, k in enumerate(keys)],
        [activity(k) for k in keys], [authorization(k) for k in keys])


def stop_after(process, seconds):
    """Stops it in the middle of whatever it does; False: it has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            return False
    process.send_signal(signal.SIGSTOP)
    return ledger.wait_until_stopped(process)


def find_at_rest(store, id):
    """None also of a run that was stopped while it kept others off the file."""
    try:
        return ledger.find(store, id)
    except sqlite3.OperationalError as error:
        assert "locked" in str(error)
        return None


def test_any_moment(listless, large):
    """However far it had come: nothing of it, or, too late, all of it."""
    chance = random.Random(20261122)
    old = summary(listless.dump())
    started = time.monotonic()
    args = ("--max-delete", "100%", "--log-level", "error")
    store = listless.store
    listless.store = listless.new_store("timed.db")
    assert listless.run(*args, url=large).status == 0
    seconds = time.monotonic() - started
    listless.store = store
    stages = set()
    for number in range(MOMENTS):
        process = listless.start(*args, "--job-id", f"j{number}", url=large)
        is_there = stop_after(process, seconds * (
            number + chance.random()) / MOMENTS)
        job = find_at_rest(listless.store, f"j{number}")
        if is_there and (job is None or job.state != "Running"):
            process.kill()      # it has not come to where it could be asked
            listless.finish(process)
            listless.expire_lease()
            continue
        if is_there:
            ledger.ask_abort(listless.store, job.id, BY, WHY)
        process.send_signal(signal.SIGCONT)
        ended = listless.finish(process)
        if ended.status == 0:
            break
        stages.add(check_aborted(listless, ended, job.id).stage)
        seen = summary(listless.dump())
        KIND.check_unfinished(old, seen, most=number + 1)
    assert stages - {"fetching"}, stages


def stopped_at(case, step, id):
    """A run that stands before that step of the store; None: it has ended."""
    process = case.sync.start(*case.args, "--job-id", id, url=case.url,
                              env={"NOMPD_STORE_STOP_AT": str(step)})
    return process, ledger.wait_until_stopped(process)


def abort_at(case, step, late=False):
    """What the run came to that was asked to end before that step; "" when it
    has no such step.  late: it looks whether it was as soon as it goes on."""
    case.reset()
    id = f"at-{step}"
    process, is_there = stopped_at(case, step, id)
    job = ledger.find(case.sync.store, id)
    if is_there and job is not None:
        ledger.ask_abort(case.sync.store, id, BY, WHY)
    if late:
        then = time.monotonic() + ASKED_EVERY
        ledger.wait_until(lambda: time.monotonic() > then)
    process.send_signal(signal.SIGCONT)
    ended = case.sync.finish(process)
    if not is_there or job is None:
        assert ended.status == 0
        return "" if not is_there else "too early"
    job = ledger.find(case.sync.store, id)
    assert job.abort["Reason"] == WHY
    if ended.status == 0:
        assert case.peek() == case.new
        assert (job.state, job.error) == ("Completed", None)
        assert job.result["Version"] == ended.result["version"]
        return "too late"
    check_aborted(case.sync, ended, id)
    seen = case.peek()
    KIND.check_unfinished(case.old, seen, case.new)
    assert case.sync.run(*case.args, url=case.url).status == 0
    stores.check_repaired(case.new, seen, case.peek(), case.old)
    return job.stage


def test_every_step(bare, filled_store):
    """Before there is a job, while there is one, and when it is published."""
    url = folder_upstream(bare.folder / "up", *CHANGED)
    case = Case(bare, filled_store, url)
    came = []
    for step in range(1, MAX_STEPS):
        outcome = abort_at(case, step)
        if not outcome:
            break
        # How far it comes before it looks is chance.
        if outcome not in ("too early", "too late"):
            outcome = "aborted"
        if not came or came[-1] != outcome:
            came.append(outcome)
    assert came == ["too early", "aborted", "too late"]


def test_a_part_is_written(bare, filled_store):
    """In the middle of many records; on some kinds of store whole batches of
    them stay, which the next run goes over again."""
    first = folder_upstream(bare.folder / "first", *generation(0))
    second = folder_upstream(bare.folder / "second", *generation(1))
    store = bare.new_store("first.db")
    assert bare.run("--store", stores.uri(store), url=first).status == 0
    case = Case(bare, store, second, "--log-level", "error")
    stages = [abort_at(case, step, late=True) for step in
              (100, 300, 20)[:few(3)]]
    assert "writing" in stages
    assert set(stages) <= {"writing", "publishing"}


def test_reconvert(listless):
    before = listless.dump()
    for step in range(2, MAX_STEPS):
        process = listless.start("reconvert", "--job-id", f"j{step}", env={
            "NOMPD_STORE_STOP_AT": str(step)})
        is_there = ledger.wait_until_stopped(process)
        if is_there:
            ledger.ask_abort(listless.store, f"j{step}", BY, WHY)
        process.send_signal(signal.SIGCONT)
        ended = listless.finish(process)
        if ended.status == 0:
            break
        check_aborted(listless, ended, f"j{step}")
        if KIND is stores.SQLITE:
            assert listless.dump() == before
    assert step > 4


# How it is asked

def test_asked_twice(listless, upstream):
    """The first one counts."""
    upstream.script(PLANS, Answer(hang="start"))
    process = running(listless, upstream)
    process.send_signal(signal.SIGSTOP)
    ledger.wait_until_stopped(process)
    asker = listless.start("abort", "j1", "--reason", "one")
    assert listless.finish(asker).status == 0
    assert listless.run("abort", "j1", "--reason", "two").status == 0
    process.send_signal(signal.SIGCONT)
    listless.finish(process).failed(79, "one")
    job = ledger.find(listless.store, "j1")
    assert job.abort["Reason"] == "one"
    assert f"process {asker.pid}" in job.abort["By"]
    listless.run("abort", "j1").failed(66, "ended", "Aborted")
    assert ledger.find(listless.store, "j1") == job


def test_longest_reason(listless, upstream):
    """It is in the message as a whole."""
    why = "ø" * 250
    upstream.script(PLANS, Answer(hang="start"))
    process = running(listless, upstream)
    assert listless.run("abort", "--reason", why).status == 0
    listless.finish(process).failed(79, why)
    assert ledger.find(listless.store, "j1").abort["Reason"] == why


def test_reason_with_the_key(listless, upstream):
    """A secret that stands there is nowhere else (finish() looks)."""
    upstream.script(PLANS, Answer(hang="start"))
    process = running(listless, upstream)
    ledger.ask_abort(listless.store, "j1", BY, f"key {KEY} is wrong")
    ended = listless.finish(process)
    ended.failed(79, r"key \[secret\] is wrong")
    assert KEY not in ledger.find(listless.store, "j1").error[1]


def test_signal_and_abort(listless, upstream):
    """Whichever comes first: it ends, and its job has."""
    upstream.script(PLANS, Answer(hang="start"))
    process = running(listless, upstream)
    process.send_signal(signal.SIGSTOP)
    ledger.wait_until_stopped(process)
    ledger.ask_abort(listless.store, "j1", BY, WHY)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    assert listless.finish(process).status in (79, -15, 143)
    job = ledger.find(listless.store, "j1")
    assert job.state in ("Aborted", "Failed")
    assert job.abort["Reason"] == WHY
