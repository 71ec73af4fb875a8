"""Random worlds, run after run, whole and in part, killed and gone on with:
the store against a model, and what a consumer of its versions sees."""
import random
import signal

import pytest

import model
from conftest import KIND, rows
from stores import few
from upstream import Answer, number

RUNS = 14
TYPES = ("Patient", "Condition", "Basic")
MAX_KILL_STEP = 40
MAX_KILLS = 3       # in a row


class Expectation:
    """The records that an export leads to."""

    def __init__(self):
        self.rows = {}
        self.version = 0

    def apply(self, export, is_full, version):
        """Gives the counts of the result."""
        assert version > self.version
        self.version = version
        counts = dict.fromkeys(model.COUNTS, 0)
        found = set()
        for file in export.files["output"]:
            for line in file.body.decode().splitlines():
                data = model.parse(line)
                type = data["resourceType"]
                where = type, f"{type}/{data['id']}"
                assert where not in found
                found.add(where)
                counts[self.put(where, data)] += 1
        gone = {where for where, row in self.rows.items()
                if is_full and not row.deleted and where not in found}
        for file in export.files["deleted"]:
            for line in file.body.decode().splitlines():
                gone |= {(e["request"]["url"].split("/")[0],
                          e["request"]["url"])
                         for e in model.parse(line)["entry"]}
        for where in gone:
            counts["deleted"] += self.delete(where)
        return tuple(counts[name] for name in model.COUNTS)

    def put(self, where, data):
        old = self.rows.get(where)
        digest = model.content_hash(data)
        if old and not old.deleted and old.hash == digest:
            return "unchanged"
        self.rows[where] = model.Row(
            model.encode(data), self.version, False, digest)
        return "updated" if old else "added"

    def delete(self, where):
        old = self.rows.get(where)
        if old is None or old.deleted:
            return 0
        self.rows[where] = old._replace(version=self.version, deleted=True)
        return 1

    def live(self):
        return {where: row.data for where, row in self.rows.items()
                if not row.deleted}


class Consumer:
    """Takes what is newer than what it has, now and then."""

    def __init__(self, every):
        self.every = every
        self.version = 0
        self.items = {}

    def poll(self, state):
        for where, record in state.records.items():
            if record.version > self.version:
                if record.deleted:
                    self.items.pop(where, None)
                else:
                    self.items[where] = record.data
        self.version = state.version


class Case:
    def __init__(self, bulk, server, seed):
        self.bulk = bulk
        self.server = server
        self.chance = random.Random(seed)
        self.world = server.world
        self.world.size = self.chance.choice([2, 5, 1000])
        self.world.lists_deleted = seed % 3 != 0
        self.expectation = Expectation()
        self.consumers = [Consumer(1), Consumer(3)]
        self.published = 0
        self.kills = 0
        self.way = []
        self.since = ["--since", "auto"]
        self.args = ["--max-delete", "100%", "--log-level", "error",
                     "--max-downloads", str(self.chance.choice([1, 4]))]
        if seed % 2:
            self.since += ["--reconcile-every", "4"]

    def change(self):
        """Something happens in the world."""
        for _ in range(self.chance.randrange(6)):
            there = list(self.world.resources)
            if there and self.chance.random() < 0.3:
                self.world.delete(self.chance.choice(there))
                continue
            members = {name: self.chance.choice([
                1, "x", None, number("1.50"), ["Å💊"], {"b": {}}])
                for name in "ab" if self.chance.random() < 0.8}
            self.world.put(self.chance.choice(TYPES),
                           str(self.chance.randrange(9)), **members)
        self.world.pass_time(self.chance.choice([1, 300, 3600]))

    def choose_way(self):
        """Whatever a killed run has left, any other may come next."""
        way = self.chance.random()
        overlap = self.chance.choice(["0s", "10m"])
        self.way = ([*self.since, "--overlap", overlap] if way < 0.7
                    else ["--save", "merge"] if way < 0.8 else [])

    def run(self):
        """A run in one of the ways; it may be killed, or fail."""
        self.choose_way()
        args = [*self.args, *self.way]
        env = {}
        self.was_killed = self.kills > 0
        if self.kills < MAX_KILLS and self.chance.random() < 0.4:
            env["NOMPD_STORE_KILL_AT"] = str(
                self.chance.randrange(1, MAX_KILL_STEP))
            self.kills += 1
        else:
            if not self.kills and self.chance.random() < 0.2:
                self.server.polls = [Answer(status=500)]
        ended = self.bulk.run(*args, env=env)
        self.server.polls = []
        assert ended.status in (0, 69, -signal.SIGKILL), ended.err
        if ended.status == 0:
            self.kills = 0
        self.bulk.expire_lease()
        return ended

    def check(self, ended):
        history = self.bulk.history("--limit", "1000")
        if len(history) == self.published:
            assert ended.status != 0
            return
        self.published += 1
        assert len(history) == self.published
        said = history[0]["Bulk"]
        job = next(job for job in self.server.jobs
                   if job.export.time == said["TransactionTime"])
        assert said["Full"] is (job.since() is None)
        counts = self.expectation.apply(
            job.export, said["Save"] == "overwrite", history[0]["Version"])
        if ended.status == 0:
            assert ended.counts == counts
        state = self.bulk.dump()
        assert rows(state) == self.expectation.rows
        if said["Save"] == "overwrite":
            self.check_mirror(job)
        for consumer in self.consumers:
            if self.published % consumer.every == 0:
                consumer.poll(state)
                assert consumer.items == self.expectation.live()

    def check_mirror(self, job):
        """The store is what the server had then."""
        if job is self.server.job and job.export.time == self.world.instant(
                self.world.now):
            assert {key for _, key in self.expectation.live()
                    } == self.world.resources.keys()


@pytest.mark.parametrize("seed", range(few(12)))
def test_runs(bulk, server, seed):
    case = Case(bulk, server, seed)
    while case.published < RUNS:
        case.change()
        case.check(case.run())
    assert {job.since() is None for job in server.jobs} == {True, False}
