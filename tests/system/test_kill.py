"""A run that is killed anywhere: readers see the old state or the new one,
and the next run ends where a run that was never killed ends."""
import random
import signal
import subprocess
import time

import pytest

from conftest import FILLED, KIND, Sync, folder_upstream
from stores import (
    check_killed, check_repaired, copy_store, few, summary)
from upstream import activity, authorization, plan

MAX_STEPS = 2000    # store steps of a small run; far fewer are needed

CHANGED = (
    [plan("p0"), FILLED[0][0], plan("p2", "a1", name="new")],
    [activity("a0"), *FILLED[1][:2]],
    [authorization("r0"), FILLED[2][1], authorization("r3", "9")],
)


class Case:
    """Before, a run over url, and after it."""

    def __init__(self, sync, store, url, *args):
        self.sync, self.store, self.url, self.args = sync, store, url, args
        self.reset()
        self.old = self.peek()
        started = time.monotonic()
        assert self.run().status == 0
        self.seconds = time.monotonic() - started
        self.new = self.peek()
        assert self.old[1:] != self.new[1:]

    def reset(self):
        KIND.remove(self.sync.store)
        if self.store:
            copy_store(self.store, self.sync.store)

    def peek(self):
        """What a reader sees; what was left stays as it is."""
        return summary(KIND.peek(self.sync.store))

    def run(self, *args, **options):
        return self.sync.run(*self.args, *args, url=self.url, **options)

    def check_killed(self):
        """What was left, for check_next_run()."""
        self.sync.expire_lease()
        seen = self.peek()
        return seen, check_killed(self.old, self.new, seen)

    def check_next_run(self, seen):
        """It is also the run that a dry run has foretold."""
        dry, real = self.run("--dry-run"), self.run()
        assert dry.result["version"] == real.result["version"]
        assert dry.counts == real.counts
        check_repaired(self.new, seen, self.peek(), self.old)


def kill_at_every_step(case):
    outcomes = set()
    for step in range(1, MAX_STEPS):
        case.reset()
        ended = case.run(env={"NOMPD_STORE_KILL_AT": str(step)})
        if ended.status == 0:
            assert case.peek() == case.new
            break
        assert ended.status == -signal.SIGKILL, ended.err
        assert ended.out == ""
        seen, done = case.check_killed()
        case.check_next_run(seen)
        outcomes.add(done)
    else:
        pytest.fail(f"more than {MAX_STEPS} steps")
    assert step > 2
    assert False in outcomes


def test_every_step_of_a_changing_run(bare, filled_store):
    url = folder_upstream(bare.folder / "up", *CHANGED)
    kill_at_every_step(Case(bare, filled_store, url))


def test_every_step_of_the_first_run(bare):
    url = folder_upstream(bare.folder / "up", [FILLED[0][0]], [FILLED[1][0]],
                          [FILLED[2][0]])
    kill_at_every_step(Case(bare, None, url))


def test_every_step_of_an_unchanged_run(bare, filled_store):
    url = folder_upstream(bare.folder / "up", *FILLED)
    kill_at_every_step(Case(bare, filled_store, url))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A store of some thousand records and an upstream that differs."""
    folder = tmp_path_factory.mktemp("large")
    program = Sync(folder)
    first = folder_upstream(folder / "first", *generation(0))
    assert program.run(url=first).status == 0
    yield program.store, folder_upstream(folder / "second", *generation(1))
    program.close()


def generation(number):
    keys = [f"k{i:04}" for i in range(number * 50, 600 + number * 50)]

    def articles(i):
        return [str(number * (i % 3)), "1"]
    return ([plan(k, k, f"gone{i}") for i, k in enumerate(keys)],
            [activity(k, *articles(i)) for i, k in enumerate(keys)],
            [authorization(k, *articles(i)) for i, k in enumerate(keys)])


def test_any_moment(bare, large):
    store, url = large
    case = Case(bare, store, url, "--log-level", "error")
    chance = random.Random(20250410)
    for _ in range(few(15)):
        case.reset()
        process = bare.start(*case.args, url=url)
        try:
            process.wait(chance.uniform(0, case.seconds))
        except subprocess.TimeoutExpired:
            process.kill()
        assert bare.finish(process).status in (0, -signal.SIGKILL)
        case.check_next_run(case.check_killed()[0])


def test_killed_again_and_again(bare, large):
    """Runs that follow each other over what the one before left."""
    store, url = large
    case = Case(bare, store, url, "--log-level", "error")
    case.reset()
    seen = case.old
    chance = random.Random(20250411)
    for count in range(1, 9):
        process = bare.start(*case.args, url=url)
        try:
            process.wait(chance.uniform(0, case.seconds))
        except subprocess.TimeoutExpired:
            process.kill()
        bare.finish(process)
        bare.expire_lease()
        before, seen = seen, case.peek()
        if seen.runs == case.new.runs:
            check_repaired(case.new, before, seen, case.old)
            break
        KIND.check_unfinished(case.old, seen, most=count)
        assert seen.version <= before.version + 1
    case.check_next_run(seen)


def test_readers_during_a_run(bare, large):
    """A reader sees one whole state, or what its kind of store promises."""
    store, url = large
    case = Case(bare, store, url, "--log-level", "error")
    case.reset()
    seen = [case.peek()]
    process = bare.start(*case.args, url=url)
    while process.poll() is None:
        seen.append(summary(bare.dump()))
    assert bare.finish(process).status == 0
    seen.append(summary(bare.dump()))
    for state in seen:
        check_killed(case.old, case.new, state)
    assert seen[0] == case.old and seen[-1] == case.new
