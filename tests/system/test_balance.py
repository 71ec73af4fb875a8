"""The end-of-run check from outside: a store that loses one write."""
import re

import pytest

import stores
from conftest import FILLED, KIND, folder_upstream
from stores import check_killed, check_repaired, copy_store, summary
from upstream import activity, authorization, plan

CHANGED = (
    [plan("p0"), FILLED[0][0], plan("p2", "a1", name="new")],
    [activity("a0"), *FILLED[1][:2]],
    [authorization("r0"), FILLED[2][1], authorization("r3", "9")],
)
# The steps of a store that the switch can lose.
WRITES = re.compile(r"store step (\d+): (put|delete|history)\b")


@pytest.fixture
def changing(bare, filled_store):
    """A function that runs over a changed upstream, on the filled store."""
    url = folder_upstream(bare.folder / "up", *CHANGED)

    def run(lose_at=0):
        KIND.remove(bare.store)
        copy_store(filled_store, bare.store)
        return bare.run(url=url, env={"NOMPD_STORE_TRACE": "1",
                                      "NOMPD_STORE_LOSE_AT": str(lose_at)})
    return url, run


def test_every_lost_write_is_noticed(bare, filled_store, changing):
    url, run = changing
    old = summary(stores.dump(filled_store))
    ended = run()
    assert ended.status == 0
    writes = WRITES.findall(ended.err)
    assert {what for _, what in writes} == {"put", "delete", "history"}
    new = summary(KIND.peek(bare.store))
    KIND.remove(bare.store)
    for step, what in writes:
        ended = run(step)
        assert ended.status == 70, ended.err
        assert ended.out == ""
        message = ended.err.splitlines()[-1]
        wanted = (r"history: 1 records were to be written and 0 were"
                  if what == "history" else
                  r"\w+: (\d+) records were to be written and \d+ were")
        assert re.search(wanted, message), message
        assert "report it with the log" in message
        bare.expire_lease()
        seen = summary(KIND.peek(bare.store))
        assert seen.finished == new.finished - 1
        if KIND.name == "sqlite":
            assert seen.version == new.version - 1
        assert bare.run(url=url).status == 0
        check_repaired(new, seen, summary(KIND.peek(bare.store)), old)


def test_nothing_of_it_is_seen(bare, filled_store, changing):
    _, run = changing
    old = summary(KIND.peek(filled_store))
    ended = run()
    new = summary(KIND.peek(bare.store))
    steps = [step for step, what in WRITES.findall(ended.err)]
    for step in steps[:1] + steps[-1:]:
        assert run(step).status == 70
        assert not check_killed(old, new, summary(KIND.peek(bare.store)))


def test_a_step_that_writes_nothing_cannot_be_lost(changing):
    _, run = changing
    ended = run()
    lost = {int(step) for step, _ in WRITES.findall(ended.err)}
    last = max(lost)
    for step in set(range(1, last + 1)) - lost:
        assert run(step).status == 0
