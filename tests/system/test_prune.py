"""Taking away what is old: what is left answers as before, or says that it
cannot."""
import itertools
import json
import random
import signal

import pytest

import model
import stores
from conftest import EMPTY, FILLED, KIND, folder_upstream, rows
from story import LET, QUIET, SEEDS, Story, check_all, check_chain
from test_bulk_since import asked, auto
from test_consumer import PATHS
from test_jobs_lost import Clock
from test_kill import MAX_STEPS
from web import make_key, start_server

DAY = 86400
STEPS = 10
MEMBERS = ["version", "tombstones", "states", "entries", "horizon",
           "statesFrom", "durationMs"]
KINDS = ("tombstones", "states", "history")


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path)


def prune(sync, *args, status=0, **options):
    ended = sync.run("prune", *args, *QUIET, **options)
    assert ended.status == status, ended.err
    if status:
        return ended
    result = json.loads(ended.out)
    assert list(result) == MEMBERS
    return result


def ages(days):
    """Options: a number of days for some of the kinds."""
    return [word for kind, age in days.items()
            for word in (f"--{kind}-older-than", f"{age}d")]


def numbers(result):
    return {name: result[name] for name in MEMBERS[1:-1]}


class Old(Story):
    """A story that began long ago: a run a day, the last one today."""

    def __init__(self, sync, clock, seed, days=STEPS):
        super().__init__(sync, seed, clock.env)
        self.clock = clock
        self.horizon = self.states_from = 0
        self.entries = []
        for day in range(days - 1, -1, -1):
            clock.put(-day * DAY)
            if self.version and self.chance.random() < 0.3:
                self.go_back(self.chance.randrange(1, self.version + 1))
            else:
                self.run()
            self.entries.append(self.version)

    def prune(self, days):
        """By the ages in days, which lie between two runs; gives what it
        printed, and the model does the same."""
        to = {kind: max(0, STEPS - age) for kind, age in days.items()}
        tombstones = {
            where for where, row in self.model.rows.items()
            if row.deleted and row.version <= to.get("tombstones", 0)}
        entries = [version for version in self.entries[:-1]
                   if version <= to.get("history", 0)]
        # The oldest version that can still be told.
        told = max([to.get("states", 0),
                    *([self.entries[len(entries)]] if entries else [])])
        states = [state for state in self.states if state.replaced <= told]
        result = prune(self.sync, *ages(days))
        if not (tombstones or states or entries):
            assert result["version"] == self.version
            return result
        self.horizon = max([self.horizon, *(
            self.model.rows[where].version for where in tombstones)])
        self.states_from = max(self.states_from, told)
        for where in tombstones:
            del self.model.rows[where]
        self.states = [state for state in self.states
                       if state not in states]
        self.entries = [version for version in self.entries
                        if version not in entries]
        self.model.version += 1
        self.entries.append(self.version)
        self.then[self.version] = dict(self.model.rows)
        assert result.pop("durationMs") >= 0
        assert result == {
            "version": self.version, "tombstones": len(tombstones),
            "states": len(states), "entries": len(entries),
            "horizon": self.horizon, "statesFrom": self.states_from}
        self.check()
        self.check_history()
        return result

    def check_history(self):
        assert [entry["Version"] for entry in self.sync.history(
            "--limit", "100")] == self.entries[::-1]


def some_ages(chance):
    return {kind: chance.randrange(1, STEPS + 2) for kind in KINDS
            if chance.random() < 0.7} or {"states": 3}


@pytest.mark.parametrize("seed", SEEDS)
def test_model(bare, clock, seed):
    """Three prunes with runs between; what is left of the past can be gone
    back to exactly, and what is not is refused."""
    story = Old(bare, clock, seed)
    story.prune(some_ages(story.chance))
    story.run()
    story.entries.append(story.version)
    story.prune(some_ages(story.chance))
    check_past(story)
    check_api(story)
    # It is a store like any other: what was there is of its version still.
    story.run()
    story.entries.append(story.version)
    story.prune({kind: 1 for kind in KINDS})
    story.run()
    story.go_back(story.version - 1)
    check_all(bare)


def check_past(story):
    """Each version there was, on a copy."""
    sync = story.sync
    copy = sync.new_store("past.db")
    for to, then in story.then.items():
        KIND.remove(copy)
        KIND.copy(sync.store, copy)
        ended = sync.run("rollback", "--to", to, "--reason", "look", *LET,
                         *QUIET, "--store", KIND.uri(copy))
        if to not in story.entries or to < story.states_from:
            ended.failed(66, f"version {to}")
            continue
        assert ended.status == 0, ended.err
        assert contents(rows(KIND.dump(copy))) == contents(then)


def check_api(story):
    """Each question, for all and for what has changed, as of each version, is
    answered as before, or is gone."""
    server = start_server("lighttpd-cgi", story.sync.folder,
                          store=story.sync.store)
    try:
        key = make_key(server, "consumer")
        for name, path in PATHS.items():
            for at, since in itertools.product(
                    story.then, [None, *range(story.version + 1)]):
                question = f"{path}?asOfVersion={at}"
                if since is not None:
                    question += f"&sinceVersion={since}"
                answer = server.request("GET", question, key=key)
                if at < story.states_from or (
                        since is not None and since < story.horizon):
                    assert answer.status == 410, (at, since)
                    continue
                assert answer.status == 200, (at, since)
                assert changes(answer) == {
                    (key, row.version, row.deleted)
                    for (c, key), row in story.then[at].items()
                    if c == name and row.version > (since or 0)
                    and (since is not None or not row.deleted)}, (at, since)
    finally:
        server.stop()
        server.end()


def changes(answer):
    content = json.loads(answer.body)
    return {(item["data"]["id"], item["version"], item["isDeleted"])
            for item in content["items"]}


# What is said, and what stays

def test_nothing_is_old(bare, clock):
    story = Old(bare, clock, 1)
    before = bare.dump()
    for dry in ((), ("--dry-run",)):
        result = prune(bare, *ages(dict.fromkeys(KINDS, 100)), *dry)
        assert result["version"] == story.version
        assert numbers(result) == dict.fromkeys(MEMBERS[1:-1], 0)
        assert bare.dump() == before


def test_dry_run_is_the_later_run(bare, clock):
    Old(bare, clock, 2)
    before = bare.dump()
    words = ages(dict.fromkeys(KINDS, 1))
    dry = prune(bare, *words, "--dry-run")
    assert bare.dump() == before
    real = prune(bare, *words)
    dry.pop("durationMs"), real.pop("durationMs")
    assert real == dry
    assert min(dry["tombstones"], dry["states"], dry["entries"]) > 0


def test_entry(bare, clock):
    story = Old(bare, clock, 3)
    story.prune({"states": 4, "history": 2})
    entry = bare.history("--limit", "1")[0]
    note = entry["Prune"]
    assert len(note.pop("Anchor")) == 64
    assert note == {
        "TombstonesTo": 0, "StatesTo": story.entries[0],
        "HistoryTo": STEPS - 2,
        "Tombstones": 0, "States": note["States"], "Entries": STEPS - 2,
        "Horizon": 0, "StatesFrom": story.states_from}
    assert note["States"] > 0
    assert not set(entry) & set(model.COLLECTIONS)
    assert bare.run("history").status == 0


def test_last_entry_stays(bare, clock):
    """Whatever the age."""
    story = Old(bare, clock, 4)
    words = ["--history-older-than", "1ms"]
    assert prune(bare, *words)["entries"] == STEPS - 1
    for _ in range(3):
        assert prune(bare, *words)["entries"] == 1
        assert len(bare.history()) == 2
    assert rows(bare.dump()) == story.model.rows


def test_jobs(bare, clock):
    Old(bare, clock, 5, 3)
    prune(bare, "--states-older-than", "1d", "--job-id", "monthly")
    job = json.loads(bare.run("status", "monthly", "--format",
                              "json").out)["job"]
    assert (job["command"], job["state"]) == ("prune", "Completed")
    prune(bare, "--states-older-than", "1d", "--plan", status=64)


def test_no_store(bare):
    prune(bare, "--states-older-than", "1d", status=74)
    assert bare.dump() == EMPTY
    assert bare.run("init").status == 0
    result = prune(bare, "--states-older-than", "1d")
    assert (result["version"], result["states"]) == (0, 0)


# Clocks that were wrong

def test_a_run_from_the_past(bare, clock):
    """One entry with the time of a clock without a battery does not make those
    before it old."""
    story = Old(bare, clock, 6, 2)
    clock.put(-20000 * DAY)
    story.run()
    clock.put(0)
    story.run()
    before = bare.dump()
    assert prune(bare, *ages(dict.fromkeys(KINDS, 30)))["version"] == 4
    assert bare.dump() == before


def test_a_run_from_the_future(bare, clock):
    """It does not keep those around it for ever."""
    clock.put(-40 * DAY)
    url = folder_upstream(bare.folder / "up", *FILLED)
    for seconds in (-40 * DAY, 4000 * DAY, -35 * DAY, 0):
        clock.put(seconds)
        assert bare.run(url=url, env=clock.env).status == 0
    assert prune(bare, *ages({"history": 30}))["entries"] == 3


# Prunes that are killed

def test_every_step(bare, clock):
    """What is left of one that was killed the next one ends; a run between
    them finds nothing amiss."""
    story = Old(bare, clock, 7, 5)
    store = bare.new_store("before.db")
    KIND.copy(bare.store, store)
    words = ages(dict.fromkeys(KINDS, 2))
    prune(bare, *words)
    check_left(story, bare)
    end = state_of(bare)
    for step in range(1, MAX_STEPS):
        KIND.remove(bare.store)
        KIND.copy(store, bare.store)
        ended = bare.run("prune", *words, *QUIET,
                         env={"NOMPD_STORE_KILL_AT": str(step)})
        if ended.status == 0:
            break
        assert ended.status == -signal.SIGKILL, ended.err
        bare.expire_lease()
        ended = bare.run("verify")
        assert ended.status == 0, ended.out
        if KIND is stores.SQLITE:
            check_left(story, bare)
        if step % 2:
            assert bare.run(*LET, *QUIET,
                            url=story.upstream.publish()).status == 0
            check_left(story, bare)
        prune(bare, *words)
        check_left(story, bare)
        assert step % 2 or state_of(bare) == end
        ended = bare.run("verify")
        assert ended.status == 0, ended.out
    else:
        pytest.fail(f"more than {MAX_STEPS} steps")
    assert step > 4


def check_left(story, sync):
    """Nothing that is live is touched, and what is gone is told of."""
    check_chain(sync)
    assert contents(rows(sync.dump())) == contents(story.model.rows)


def contents(records):
    return {where: row.data for where, row in records.items()
            if not row.deleted}


def state_of(sync):
    """What must be the same after all; numbers of versions are not, for one
    that was killed may have taken one."""
    entries = [entry["Version"] for entry in sync.history()
               if "Prune" not in entry]
    return rows(sync.dump()), entries


# Bulk mode

def test_bookmark(bulk, server, clock):
    """With the entries of all exports the bookmark goes: the next one is a
    full export, and no change is missed."""
    chance = random.Random(1)
    for day in (40, 35, 3):
        clock.put(-day * DAY)
        server.world.put("Patient", f"p{day}", name=chance.choice("ab"))
        server.world.pass_time()
        assert auto(bulk, env=clock.env).status == 0
    prune(bulk, "--history-older-than", "30d")
    assert auto(bulk).status == 0
    assert asked(server)[3] is not None
    prune(bulk, "--history-older-than", "1ms")
    prune(bulk, "--history-older-than", "1ms")
    assert auto(bulk).status == 0
    assert asked(server)[4] is None
    assert set(bulk.records("Patient")) == {"p40", "p35", "p3"}


def test_copy(bare, clock):
    """Of what is left, as often as one likes; it is sound."""
    story = Old(bare, clock, 5)
    story.prune({"history": 3, "tombstones": 5})
    target = bare.new_store("copy.db")
    for copied in (len(story.model.rows), 0):
        ended = bare.run("copy", "--from", stores.uri(bare.store), "--to",
                         stores.uri(target), *QUIET)
        assert ended.status == 0, ended.err
        assert json.loads(ended.out)["copied"] == copied
    bare.store = target
    story.check()
    story.check_history()
    assert bare.run("verify").status == 0
    assert bare.run("verify", "--history").status == 0
