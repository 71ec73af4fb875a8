"""Runs that are killed, or held up for too long: their jobs count as lost, and
such a run writes nothing more.  And clocks that are put forward and back, by
which nobody who lives is lost."""
import glob
import json
import os
import signal
import subprocess

import pytest

import ledger
import stores
from conftest import FILLED, KIND
from ledger import listless  # noqa: F401
from stores import copy_store
from test_jobs_queue import Queue
from upstream import PLANS, bundle

LATER = 15          # seconds that a test waits more, on a busy machine
HOURS = 3600
FAKETIME = [f"/usr/lib*/{folder}faketime/libfaketimeMT.so.1"
            for folder in ("", "*/")]


@pytest.fixture
def queue(listless, upstream):
    return Queue(listless, upstream)


def shown(sync, id, store=None):
    """What `status` says of a job."""
    place = ("--store", stores.uri(store)) if store else ()
    ended = sync.run("status", id, "--format", "json", *place)
    assert ended.status in (0, 1), ended.err
    return json.loads(ended.out)["job"]


def is_lost(sync, id, store=None):
    job = shown(sync, id, store)
    assert not job["lost"] or job["state"] == "Failed"
    return job["lost"]


# Lost

def test_next_run_says_so(queue):
    """It has the turn: what claims to be running is lost, whenever it gave its
    last sign of life, and what has ended is not."""
    assert queue.start("whole", state="Running")
    assert queue.finish("whole").status == 0
    queue.first()
    queue.processes["first"].kill()
    queue.sync.finish(queue.processes["first"])
    queue.sync.expire_lease()
    assert queue.states()["first"] == "Running"
    queue.start("next", state="Running")
    job = ledger.wait_for(queue.sync.store, "first", "Failed")
    assert job.lost and "lost" in job.error[1]
    assert job.started <= job.ended <= job.renewed
    assert shown(queue.sync, "first")["lost"]
    queue.check_turns("next")
    assert queue.states() == {
        "whole": "Completed", "first": "Failed", "next": "Completed"}


def test_asked_to_end_and_killed(queue):
    """Nobody does what it was asked for: it is lost as well."""
    queue.first()
    process = queue.processes["first"]
    process.send_signal(signal.SIGSTOP)
    assert ledger.wait_until_stopped(process)
    ledger.ask_abort(queue.sync.store, "first", reason="tired")
    process.kill()
    queue.sync.finish(process)
    queue.sync.expire_lease()
    queue.start("next", state="Running")
    job = ledger.wait_for(queue.sync.store, "first", "Failed")
    assert job.lost and job.abort["Reason"] == "tired"
    queue.check_turns("next")


def check_over(sync, process, id, *pieces):
    """It goes on, and notices: what stands in the store stays as it is."""
    before = sync.dump()
    process.send_signal(signal.SIGCONT)
    ended = sync.finish(process)
    ended.failed(74, *pieces)
    assert sync.dump() == before
    job = ledger.find(sync.store, id)
    assert (job.state, job.lost, job.result) == ("Failed", True, None)
    return job


def test_queued_and_held_up(queue):
    """Somebody behind it has had the turn meanwhile; its own comes later."""
    queue.first()
    queue.start("a", "--queue")
    queue.start("b", "--queue")
    stopped = queue.processes["a"]
    stopped.send_signal(signal.SIGSTOP)
    assert ledger.wait_until_stopped(stopped)
    ledger.age(queue.sync.store, "a", ledger.LEASE)
    queue.check_turns("first", "b")
    # It stays one that waited: only how old its sign of life is says more.
    assert queue.states()["a"] == "Queued" and is_lost(queue.sync, "a")
    assert not queue.has_asked("a")
    stopped.send_signal(signal.SIGCONT)
    queue.check_turns("a")


STEPS = ("begin", "version", "delete", "writer end", "history ", "publish")


@pytest.mark.only_store("mongodb")
@pytest.mark.parametrize("what", STEPS)
def test_held_up_and_overtaken(queue, what):
    """Another run takes the lease; this one changes nothing any more."""
    sync = queue.sync
    url = queue.serve("slow")
    queue.gates["slow"].set()
    args = ("--max-delete", "100%")
    queue.upstream.script(f"/slow/{PLANS}", bundle(FILLED[0][:2]))
    step = step_of(sync, url, args, what)
    process = sync.start(*args, "--job-id", "slow", url=url,
                         env={"NOMPD_STORE_STOP_AT": str(step)})
    assert ledger.wait_until_stopped(process)
    sync.expire_lease()
    assert sync.run(url=queue.upstream.url).status == 0
    assert ledger.find(sync.store, "slow").lost
    check_over(sync, process, "slow", "lease|list of jobs|lost")
    assert sync.run(*args, url=url).status == 0


def step_of(sync, url, args, what):
    """The number of the first such step of a run over this store."""
    store = sync.store
    sync.store = sync.new_store("probe.db")
    copy_store(store, sync.store)
    traced = sync.run(*args, url=url, env={"NOMPD_STORE_TRACE": "1"})
    assert traced.status == 0
    sync.store = store
    return next(int(line.split("store step ")[1].split(":")[0])
                for line in traced.err.splitlines()
                if f": {what}" in line and "store step" in line)


class Other:
    """A run over a store of its own, which something happens to."""

    def __init__(self, queue, source, name, *args, **options):
        self.sync, self.name = queue.sync, name
        self.store = self.sync.new_store(f"{name}.db")
        copy_store(source, self.store)
        self.before = stores.summary(stores.dump(source))
        self.process = self.sync.start(
            *args, "--max-delete", "100%", "--job-id", name,
            "--store", stores.uri(self.store), **options)

    def stop(self):
        assert ledger.wait_until_stopped(self.process)

    def is_lost(self):
        return is_lost(self.sync, self.name, self.store)

    def run(self, *args):
        return self.sync.run(*args, "--store", stores.uri(self.store),
                             url=self.sync.url)


def test_the_time_of_the_lease(queue):
    """All of it, and for several runs at the same time, as it takes so long:
    killed; stopped in its turn, at several steps; stopped in the queue."""
    sync, source = queue.sync, queue.sync.store
    url = queue.serve("less")
    queue.gates["less"].set()
    queue.upstream.script(f"/less/{PLANS}", bundle(FILLED[0][:2]))
    steps = {what: step_of(sync, url, ("--max-delete", "100%"), what)
             for what in ("begin", "delete", "history ")}
    stopped = [Other(queue, source, what.strip(), url=url, env={
        "NOMPD_STORE_STOP_AT": str(step)}) for what, step in steps.items()]
    hung = queue.serve("hung")
    fetching = Other(queue, source, "fetching", url=hung)
    killed = Other(queue, source, "killed", url=hung)
    queue.upstream.wait_for(f"/hung/{PLANS}", 2)
    for other in (fetching, killed):
        ledger.wait_for(other.store, other.name, "Running")
    queue.first()
    queue.start("a", "--queue")
    queue.start("b", "--queue")
    fetching.process.send_signal(signal.SIGSTOP)
    for other in (*stopped, fetching):
        other.stop()
    killed.process.kill()
    sync.finish(killed.process)
    queue.processes["a"].kill()
    sync.finish(queue.processes["a"])
    # Nobody can know yet.
    others = [*stopped, fetching, killed]
    for other in others:
        assert ledger.find(other.store, other.name).state == "Running"
    assert not is_lost(sync, "a")
    age = ledger.find(killed.store, "killed").renewed
    for other in others:
        ledger.wait_until(other.is_lost, other.name, ledger.LEASE + LATER)
    ledger.wait_until(lambda: is_lost(sync, "a"), "a", LATER)
    assert shown(sync, "killed", killed.store)["state"] == "Failed"
    assert age == ledger.find(killed.store, "killed").renewed
    # One that is asked to end has ended; readers do not write.
    killed_job = ledger.find(killed.store, "killed")
    assert killed_job.state == "Running"
    sync.run("abort", "killed", "--store", stores.uri(killed.store)).failed(
        66, "lost")
    # Those that live have not been lost all the while.
    assert not is_lost(sync, "first") and not is_lost(sync, "b")
    queue.check_turns("first", "b")
    # It stays one that waited: only how old its sign of life is says more.
    assert queue.states()["a"] == "Queued" and is_lost(sync, "a")
    assert killed.run().status == 0
    assert ledger.find(killed.store, "killed").lost
    for other in (*stopped, fetching):
        check_held_up(other)


def check_held_up(other):
    """Though nobody has taken over, it writes nothing more."""
    stopped_at = stores.dump(other.store)
    other.process.send_signal(signal.SIGCONT)
    ended = other.sync.finish(other.process)
    ended.failed(74)
    assert "counts as lost" in ended.err or "lease" in ended.err
    left = stores.dump(other.store)
    assert left == stopped_at
    KIND.check_unfinished(other.before, stores.summary(left))
    assert other.is_lost()
    assert other.run().status == 0
    assert other.is_lost()


# Two machines

def on_host(name):
    """The start of a command that is to run on another host, or so it says."""
    return ("unshare", "--uts", "sh", "-c",
            f'hostname {name} && exec "$@"', "sh")


def needs(*command):
    if subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip(f"{command[0]} is not allowed here")


def test_two_hosts(queue):
    """Each is named, in the list and where one waits for the other."""
    needs(*on_host("probe"))
    queue.start("one", state="Running", wrap=on_host("oslo"))
    queue.start("two", "--queue", wrap=on_host("bergen"))
    assert shown(queue.sync, "one")["host"] == "oslo"
    assert shown(queue.sync, "two")["host"] == "bergen"
    process = queue.sync.start("abort", "two", wrap=on_host("voss"))
    assert queue.sync.finish(process).status == 0
    queue.sync.finish(queue.processes["two"]).failed(
        79, f"@voss, process {process.pid}")
    queue.check_turns("one")


def test_other_boot_time(queue):
    """Machines have been up for different times; nobody compares these."""
    away = ("unshare", "--time", "--boottime", "10000000",
            "--monotonic", "9000000", "--fork", "--kill-child")
    needs(*away)
    queue.start("one", state="Running", wrap=away)
    queue.start("two", "--queue")
    queue.start("three", "--queue", wrap=away)
    assert not is_lost(queue.sync, "one")
    queue.check_turns("one", "two", "three")


# Clocks

class Clock:
    """One that is put by somebody while programs look at it."""

    def __init__(self, folder, name="clock"):
        found = [path for name in FAKETIME for path in glob.glob(name)]
        assert found, "libfaketime is not there; see tools/deps"
        self.file = folder / name
        self.put(0)
        options = os.environ.get("ASAN_OPTIONS")
        self.env = {
            "LD_PRELOAD": found[0], "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1",
            "ASAN_OPTIONS": ":".join(filter(None, (
                options, "verify_asan_link_order=0")))}

    def put(self, seconds):
        """Seen by all that look at it next, as a whole."""
        other = self.file.with_suffix(".new")
        other.write_text(f"{seconds:+}\n")
        other.replace(self.file)

    def shown(self, sync, id):
        ended = sync.run("status", id, "--format", "json", env=self.env)
        return json.loads(ended.out)["job"]

    def wait_for_signs(self, sync, *ids):
        """Of each one, by the clock as it is now; one that was on its way has
        the time of before."""
        for id in ids:
            ledger.wait_until(
                lambda name=id: not self.shown(sync, name)["lost"], id)


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path)


JUMPS = [5 * HOURS, -5 * HOURS]


@pytest.mark.parametrize("jump", JUMPS)
def test_clock_during_runs(queue, clock, jump):
    """A queue, and one that came after the change."""
    sync = queue.sync
    queue.start("one", state="Running", env=clock.env)
    for id in ("two", "three"):
        queue.start(id, "--queue", env=clock.env)
    clock.put(jump)
    sync.run(env=clock.env).failed(75)
    clock.wait_for_signs(sync, "one", "two", "three")
    queue.start("four", "--queue", env=clock.env)
    sync.run(env=clock.env).failed(75)
    queue.check_turns("one", "two", "three", "four")
    jobs = ledger.jobs(sync.store)
    assert [job.id for job in jobs] == ["one", "two", "three", "four"]
    assert {(job.state, job.lost) for job in jobs} == {("Completed", False)}


@pytest.mark.parametrize("jump", JUMPS)
def test_clock_between_runs(queue, clock, jump):
    """Order is that of arrival; what was killed does not stay as running, and
    an abort reaches who is meant."""
    sync = queue.sync
    queue.start("one", state="Running", env=clock.env)
    queue.finish("one")
    queue.start("two", state="Running", env=clock.env)
    queue.processes["two"].kill()
    sync.finish(queue.processes["two"])
    sync.expire_lease()
    clock.put(jump)
    if KIND is stores.SQLITE:       # the server's clock is as it was
        assert clock.shown(sync, "two")["lost"]
    queue.start("three", state="Running", env=clock.env)
    ledger.wait_for(sync.store, "two", lambda job: job.lost)
    done = sync.run("abort", "--format", "json", env=clock.env)
    assert json.loads(done.out)["id"] == "three"
    assert sync.finish(queue.processes["three"]).status == 79
    assert queue.states() == {
        "one": "Completed", "two": "Failed", "three": "Aborted"}
    assert [job.id for job in ledger.jobs(sync.store)][:2] == ["one", "two"]


@pytest.mark.only_store("mongodb")
def test_clocks_that_differ(queue, tmp_path):
    """It is the server's that counts."""
    ahead, behind = Clock(tmp_path, "ahead"), Clock(tmp_path, "behind")
    ahead.put(3 * HOURS)
    behind.put(-3 * HOURS)
    queue.start("one", state="Running", env=ahead.env)
    queue.start("two", "--queue", env=behind.env)
    queue.start("three", "--queue", env=ahead.env)
    queue.start("four", "--queue")
    for clock in (ahead, behind):
        for id in ("one", "two", "three", "four"):
            assert not clock.shown(queue.sync, id)["lost"]
    queue.check_turns("one", "two", "three", "four")
    assert [job.id for job in ledger.jobs(queue.sync.store)] == [
        "one", "two", "three", "four"]
