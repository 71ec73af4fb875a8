"""Runs that wait for each other: one at a time, in the order of their arrival,
whatever happens to those in front."""
import json
import signal

import pytest

import ledger
import stores
from conftest import FILLED, KIND
from ledger import listless  # noqa: F401
from test_jobs_commands import make_job
from upstream import LISTS, PLANS, Answer, bundle


class Queue:
    """A run that has its turn, and holds it until the gate is opened, and
    those that come after it, each with a gate of its own."""

    def __init__(self, sync, upstream):
        self.sync, self.upstream = sync, upstream
        self.processes = {}
        self.gates = {}
        self.asked = 0

    def has_asked(self, id):
        return len(self.upstream.requests(self.path(id))) > 0

    @staticmethod
    def path(id):
        return f"/{id}/{PLANS}"

    def serve(self, id):
        """A base URL of the run's own, whose first list waits for it."""
        self.gates[id] = self.upstream.gate()
        for path, resources in zip(LISTS, FILLED):
            self.upstream.script(f"/{id}/{path}", Answer(
                bundle(resources), before=self.gates[id].wait
                if path == PLANS else None))
        return f"{self.upstream.origin}/{id}"

    def start(self, id, *args, state="Queued", **options):
        self.processes[id] = self.sync.start(
            *args, "--job-id", id, url=self.serve(id), **options)
        ledger.wait_for(self.sync.store, id, state)
        return self.processes[id]

    def first(self, id="first"):
        process = self.start(id, state="Running")
        self.wait_for_turn(id)
        return process

    def wait_for_turn(self, id):
        """It runs, and of all others none does."""
        self.upstream.wait_for(self.path(id))
        running = [job.id for job in ledger.jobs(self.sync.store)
                   if job.state in ("Running", "AbortInitiated")]
        assert running == [id]

    def finish(self, id):
        self.gates[id].set()
        return self.sync.finish(self.processes[id])

    def check_turns(self, *ids, behind=()):
        """They get their turns in this order, none before its time."""
        waiting = [*ids, *behind]
        for id in ids:
            self.wait_for_turn(id)
            waiting.remove(id)
            for other in waiting:
                assert not self.has_asked(other)
            assert self.finish(id).status == 0

    def states(self):
        return {job.id: job.state for job in ledger.jobs(self.sync.store)}


@pytest.fixture
def queue(listless, upstream):
    return Queue(listless, upstream)


NAMES = ("m", "a", "z", "b")    # in the order of nothing but arrival


def test_in_order(queue):
    queue.first()
    for id in NAMES:
        queue.start(id, "--queue")
    queue.check_turns("first", *NAMES)
    jobs = ledger.jobs(queue.sync.store)
    assert [job.id for job in jobs] == ["first", *NAMES]
    assert {job.state for job in jobs} == {"Completed"}
    for before, after in zip(jobs, jobs[1:]):
        assert before.ended <= after.started
    assert [job.result["Version"] for job in jobs] == [2, 3, 4, 5, 6]


def test_nobody_overtakes(queue):
    """Those behind look several times, and wait: the first of them has its
    turn, though it is slow to take it."""
    queue.first()
    for id in NAMES:
        queue.start(id, "--queue")
    slow = queue.processes[NAMES[0]]
    slow.send_signal(signal.SIGSTOP)
    assert ledger.wait_until_stopped(slow)
    assert queue.finish("first").status == 0
    for _ in range(2):
        signs = {job.id: job.renewed
                 for job in ledger.jobs(queue.sync.store)}
        for id in NAMES[1:]:
            ledger.wait_for(queue.sync.store, id,
                            lambda job: job.renewed > signs[job.id])
    assert [queue.states()[id] for id in NAMES] == ["Queued"] * len(NAMES)
    slow.send_signal(signal.SIGCONT)
    queue.check_turns(*NAMES)


def test_nobody_in_front(queue):
    """Who queues and is the first has its turn at once."""
    queue.start("one", "--queue", state="Running")
    queue.check_turns("one")
    assert queue.states() == {"one": "Completed"}


def test_wait_queues_too(queue):
    """With --wait and --queue mixed it is the same queue."""
    queue.first()
    queue.start("w1", "--wait", "10m")
    queue.start("q1", "--queue")
    queue.start("w2", "--wait", "10m")
    queue.check_turns("first", "w1", "q1", "w2")


@pytest.mark.parametrize("how", ["abort", "SIGTERM"])
def test_one_in_the_middle_ends(queue, how):
    queue.first()
    for id in ("a", "b", "c"):
        queue.start(id, "--queue")
    if how == "abort":
        ledger.ask_abort(queue.sync.store, "b", reason="not needed")
        queue.sync.finish(queue.processes["b"]).failed(79, "not needed")
    else:
        queue.processes["b"].terminate()
        ended = queue.sync.finish(queue.processes["b"])
        assert ended.status in (-signal.SIGTERM, 143)
    queue.check_turns("first", "a", "c")
    assert not queue.has_asked("b")
    assert queue.states()["b"] == ("Aborted" if how == "abort" else "Failed")


def test_the_first_one_fails(queue):
    """Whoever comes next does not care how it ended."""
    queue.first()
    queue.start("a", "--queue")
    queue.upstream.script(f"/b/{PLANS}", Answer(status=404))
    queue.start("b", "--queue")
    queue.upstream.script(f"/b/{PLANS}", Answer(status=404))
    queue.start("c", "--queue")
    queue.processes["first"].terminate()
    queue.sync.finish(queue.processes["first"])
    queue.check_turns("a", behind=("c",))
    assert queue.sync.finish(queue.processes["b"]).status != 0
    queue.check_turns("c")


def test_wait_bounds_the_queue(queue):
    queue.first()
    queue.start("a", "--queue", "--wait", "2s")
    queue.sync.finish(queue.processes["a"]).failed(75, "first|active|process")
    assert queue.states()["a"] == "Failed"
    assert not queue.has_asked("a")


def test_full_queue(queue):
    """A place in it is not for ever, but there are only so many."""
    queue.first()
    KIND.put_jobs(queue.sync.store, [
        make_job(f"w{number}", "Queued") for number in range(99)])
    queue.start("a", "--queue")
    queue.sync.run("--queue", "--job-id", "b", url=queue.serve("b")).failed(
        75, "100 runs are in the queue")
    assert "b" not in queue.states()


def test_killed_ones(queue):
    """Nobody waits for a killed one longer than its lease: the first of the
    queue and the third are, then the running one."""
    queue.first()
    for id in ("a", "b", "c", "d"):
        queue.start(id, "--queue")
    for id in ("a", "c", "first"):
        queue.processes[id].kill()
        queue.sync.finish(queue.processes[id])
        # As if that had been a while ago: the test below waits for it.
        ledger.age(queue.sync.store, id, ledger.LEASE)
    queue.sync.expire_lease()
    queue.check_turns("b", "d")
    listed = queue.sync.run("jobs", "--format", "json")
    jobs = {job["id"]: job for job in json.loads(listed.out)}
    for id in ("a", "c", "first"):
        assert (jobs[id]["state"], jobs[id]["lost"]) == ("Failed", True)
        assert not queue.has_asked(id) or id == "first"


def test_plain_run_gives_way(queue):
    """Also in the moment between two turns."""
    queue.first()
    queue.start("a", "--queue")
    sync = queue.sync
    sync.run(url=queue.serve("p")).failed(75, "queue|active")
    # The turn is free, and the one that is to have it does not know yet.
    queue.processes["a"].send_signal(signal.SIGSTOP)
    assert ledger.wait_until_stopped(queue.processes["a"])
    assert queue.finish("first").status == 0
    sync.run(url=queue.serve("p")).failed(75, "1 run is in its queue")
    sync.run("reconvert").failed(75, "queue")
    assert set(queue.states()) == {"first", "a"}
    assert not queue.has_asked("p")
    queue.processes["a"].send_signal(signal.SIGCONT)
    queue.check_turns("a")
    queue.gates["p"].set()
    assert sync.run(url=f"{queue.upstream.origin}/p").status == 0


def test_dry_run_takes_no_place(queue):
    queue.first()
    queue.start("a", "--queue")
    ended = queue.sync.run("--dry-run", url=queue.upstream.url)
    assert ended.status == 0
    queue.check_turns("first", "a")


def test_wait_in_vain(queue):
    queue.first()
    ended = queue.sync.run("--wait", "1s", "--job-id", "w",
                           url=queue.serve("w"))
    ended.failed(75, "another run is active", "first|process")
    job = ledger.find(queue.sync.store, "w")
    assert (job.state, job.error[0], job.stage, job.started) == (
        "Failed", 75, "waiting", None)
    assert not queue.has_asked("w")
    queue.check_turns("first")


@pytest.mark.parametrize("flag", [("--queue",), ("--wait", "10m")])
def test_deadline(queue, flag):
    queue.first()
    ended = queue.sync.run(*flag, "--deadline", "1s", "--job-id", "q",
                           url=queue.serve("q"))
    ended.failed(75, "deadline")
    job = ledger.find(queue.sync.store, "q")
    assert (job.state, job.error[0]) == ("Failed", 75)
    queue.start("r", "--queue")
    queue.check_turns("first", "r")


def test_same_id_in_the_queue(queue):
    queue.first()
    queue.start("a", "--queue")
    sync = queue.sync
    for id in ("a", "first"):
        sync.run("--queue", "--job-id", id, url=queue.serve("x")).failed(
            64, "--job-id", id)
    queue.check_turns("first", "a")


def test_reconvert_queues(queue):
    queue.first()
    process = queue.sync.start("reconvert", "--queue", "--job-id", "r")
    ledger.wait_for(queue.sync.store, "r", "Queued")
    queue.start("a", "--queue")
    assert queue.finish("first").status == 0
    assert queue.sync.finish(process).status == 0
    queue.check_turns("a")
    one, two, three = ledger.jobs(queue.sync.store)
    assert one.ended <= two.started <= two.ended <= three.started


def test_many_at_once(queue):
    """They come as they come; one runs at a time, and each does."""
    sync = queue.sync
    ids = [f"j{number}" for number in range(stores.few(12))]
    processes = [sync.start("--queue", "--job-id", id,
                            url=queue.upstream.url) for id in ids]
    for process in processes:
        assert sync.finish(process).status == 0
    jobs = ledger.jobs(sync.store)
    assert {job.id for job in jobs} == set(ids)
    assert {job.state for job in jobs} == {"Completed"}
    turns = sorted(jobs, key=lambda job: job.started)
    for before, after in zip(turns, turns[1:]):
        assert before.ended <= after.started
    versions = [job.result["Version"] for job in turns]
    assert versions == list(range(2, len(ids) + 2))
