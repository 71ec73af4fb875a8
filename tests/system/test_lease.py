"""One run at a time, and what a signal does."""
import signal
import subprocess

import pytest

import stores
from conftest import EMPTY, FILLED, KIND, essence
from upstream import (
    ACTIVITIES, LISTS, PLANS, Answer, activity, bundle)


@pytest.fixture
def held_run(filled, upstream):
    """A run that waits for its first list until the gate is opened."""
    filled.gate = upstream.gate()
    answer = upstream.answers[f"/api/{PLANS}"][0]
    upstream.script(PLANS, Answer(answer.body, before=filled.gate.wait),
                    answer)
    process = filled.start()
    upstream.wait_for(PLANS)
    return process


def test_second_run(filled, upstream, held_run):
    before = filled.dump()
    asked = len(upstream.requests())
    filled.run().failed(75, "another|running|active")
    filled.run("--wait", "0s").failed(75)
    filled.run("reconvert").failed(75)
    assert len(upstream.requests()) <= max(asked, 3)
    assert filled.dump() == before
    filled.gate.set()
    assert filled.finish(held_run).result["version"] == 2
    assert filled.run().result["version"] == 3


def test_wait_in_vain(filled, held_run):
    filled.run("--wait", "300ms").failed(75)
    assert held_run.poll() is None


def test_wait(filled, upstream, held_run):
    """The second waits, so it ends after the first and sees its version."""
    second = filled.start("--wait", "60s", "--log-level", "debug")
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.3)
    assert len(upstream.requests(PLANS)) == 1
    filled.gate.set()
    assert filled.finish(held_run).result["version"] == 2
    assert filled.finish(second).result["version"] == 3


def test_questions_beside_a_run(filled, held_run):
    assert [e["Version"] for e in filled.history()] == [1]
    assert '"p1"' in filled.show("PlanDefinitions", "p1")
    assert held_run.poll() is None


def test_other_store_beside_a_run(filled, held_run):
    other = stores.uri(filled.new_store("other.db"))
    assert filled.run("--store", other).result["version"] == 1
    assert held_run.poll() is None


@pytest.mark.only_store("sqlite")
def test_other_name_of_the_store(filled, held_run):
    """A link to the folder is no way around the lease."""
    link = filled.folder / "link"
    link.symlink_to(filled.folder)
    filled.run("--store", f"sqlite:{link}/store.db").failed(75)


def test_killed_run_leaves_no_lease(filled, held_run):
    before = filled.dump()
    held_run.kill()
    assert filled.finish(held_run).status == -signal.SIGKILL
    assert filled.dump() == before
    filled.gate.set()
    filled.expire_lease()
    assert filled.run().result["version"] == 2


@pytest.mark.only_store("mongodb")
def test_killed_run_keeps_its_lease_for_a_while(filled, held_run):
    """Nobody can know that it is dead before the time of its lease is up."""
    held_run.kill()
    assert filled.finish(held_run).status == -signal.SIGKILL
    filled.gate.set()
    filled.run().failed(75)
    filled.run("reconvert").failed(75)
    filled.run("--dry-run").result
    filled.expire_lease()
    assert filled.run().result["version"] == 2


def test_failed_run_leaves_no_lease(filled, upstream):
    good = upstream.answers[f"/api/{ACTIVITIES}"]
    upstream.script(ACTIVITIES, "x")
    filled.run().failed(76)
    upstream.script(ACTIVITIES, *good)
    assert filled.run().status == 0


# Signals

SIGNALS = [signal.SIGTERM, signal.SIGINT]


def interrupted(sync, process, number):
    process.send_signal(number)
    ended = sync.finish(process)
    assert ended.status in (-number, 128 + number), (ended.status, ended.err)
    assert ended.out == ""


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("path", LISTS)
def test_during_fetch(filled, upstream, number, path):
    good = upstream.answers[f"/api/{path}"]
    upstream.script(path, Answer(hang="start"))
    before = filled.dump()
    process = filled.start()
    upstream.wait_for(path)
    interrupted(filled, process, number)
    assert filled.dump() == before
    upstream.script(path, *good)
    assert filled.run().counts == (0, 0, 15, 0)


@pytest.mark.parametrize("number", SIGNALS)
def test_during_the_first_fetch(sync, upstream, number):
    upstream.script(PLANS, Answer(bundle(FILLED[0]), cut=300, hang="body"))
    process = sync.start()
    upstream.wait_for(PLANS)
    interrupted(sync, process, number)
    assert sync.dump() == EMPTY


@pytest.mark.parametrize("number", SIGNALS)
def test_during_a_pause(filled, upstream, number):
    upstream.script(PLANS, Answer(
        status=503, headers=[("Retry-After", "200")]))
    before = filled.dump()
    process = filled.start("--retries", "3")
    upstream.wait_for(PLANS)
    interrupted(filled, process, number)
    assert filled.dump() == before
    assert len(upstream.requests(PLANS)) == 1


@pytest.mark.parametrize("number", SIGNALS)
def test_during_a_wait(filled, upstream, held_run, number):
    second = filled.start("--wait", "10m")
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.5)
    interrupted(filled, second, number)
    filled.gate.set()
    assert filled.finish(held_run).status == 0


def test_during_a_dry_run(filled, upstream):
    upstream.script(PLANS, Answer(hang="start"))
    before = filled.dump()
    process = filled.start("--dry-run")
    upstream.wait_for(PLANS)
    interrupted(filled, process, signal.SIGTERM)
    assert filled.dump() == before


def test_other_signals(filled, held_run):
    """SIGHUP and SIGPIPE leave the store whole as well."""
    before = filled.dump()
    held_run.send_signal(signal.SIGPIPE)
    held_run.send_signal(signal.SIGHUP)
    filled.gate.set()
    ended = filled.finish(held_run)
    after = filled.dump()
    if ended.status == 0:
        assert after.version == 2
    else:
        assert after == before


def test_anywhere(filled, upstream):
    """A run that is told to stop leaves the old state, as far as the kind
    of store has one, or the new one."""
    upstream.serve([], [activity(f"x{i:04}") for i in range(1500)], [])
    held, raised = stores.summary(filled.dump()), 0
    for delay in (0.005, 0.02, 0.04, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2):
        process = filled.start("--max-delete", "100%")
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
        ended = filled.finish(process)
        after = filled.dump()
        if ended.status == 0:
            assert ended.result["version"] == held.version + raised + 1
            assert after.version == held.version + raised + 1
            assert after.version in [h[0] for h in after.history]
            held, raised = stores.summary(after), 0
        else:
            assert ended.status in (-15, 143)
            KIND.check_unfinished(held, stores.summary(after),
                                  most=raised + 1)
            raised = after.version - held.version
    assert filled.run("--max-delete", "100%").status == 0
    whole = essence(filled.dump())
    assert sum(not r.deleted for r in whole.values()) == 1500
