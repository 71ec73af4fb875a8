"""A consumer misses nothing: simulated ones, which poll over HTTP while runs
come, fail, are killed and go on, against the model of the contract."""
import collections
import json
import random
import signal
import subprocess
import threading
import time

import pytest

import model
from conftest import KIND, Sync, folder_upstream, rows
from stores import Record, Summary, few, summary
from upstream import activity, authorization, plan
from web import KINDS, PATIENCE, make_key, start_server

PATHS = {"TreatmentGroups": "/api/v1/treatmentGroup",
         "ReimbursementGroups": "/api/v1/reimbursementGroup"}
SEED = 20250410
RUNS = few(60)      # that end well; killed ones come on top
MAX_KILLS = 3       # one after the other, over the same upstream
STEPS = 90          # store steps in which a kill is tried; a run has fewer
STOPPED_RUNS = few(8)
MAX_STOPS = 200     # of a run
KEYS = [f"k{i}" for i in range(9)] + ["Å💊", "a b", "\"'\\"]

Item = collections.namedtuple("Item", "data version")


class Consumer:
    """A copy of the two lists, kept as the contract says: by what came since
    its version.  What it is told beyond that is checked."""

    def __init__(self, name, server, key, first=None, conditional=0):
        self.name = name
        self.draw = random.Random(SEED)
        self.conditional = conditional  # so many of the requests, 0 to 1
        self.etags = {}                 # of each question
        self.unchanged = 0
        self.server, self.key = server, key
        self.items = {collection: {} for collection in PATHS}
        self.versions = dict.fromkeys(PATHS, first)
        self.seen = []      # (collection, version, items) after each poll
        self.received = 0

    def ask(self, collection):
        path = PATHS[collection]
        since = self.versions[collection]
        if since is not None:
            path += f"?sinceVersion={since}"
        etag = self.etags.get(path)
        headers = {}
        if etag and self.draw.random() < self.conditional:
            headers = {"If-None-Match": etag}
        answer = self.server.request("GET", path, headers, key=self.key)
        if headers and answer.status == 304:
            self.unchanged += 1
            return since, []
        assert answer.status == 200, (self.name, answer)
        self.etags[path] = answer.headers["ETag"]
        content = json.loads(answer.body)
        assert list(content) == ["currentVersion", "items"]
        return content["currentVersion"], content["items"]

    def poll(self):
        for collection in PATHS:
            since = self.versions[collection]
            version, items = self.ask(collection)
            self.check(since or 0, version, items)
            for item in items:
                self.take(self.items[collection], item)
            self.versions[collection] = version
            self.received += len(items)
            self.seen.append((collection, version,
                              dict(self.items[collection])))

    def check(self, since, version, items):
        """Versions never go down; nothing comes twice; all is in order."""
        assert version >= since, (self.name, since, version)
        order = [(item["version"], item["data"]["id"].encode())
                 for item in items]
        assert order == sorted(order), (self.name, since)
        assert len({key for _, key in order}) == len(order)
        assert all(since < at for at, _ in order), (self.name, since, order)
        assert all(at <= version for at, _ in order), (
            self.name, version, order)

    @staticmethod
    def take(items, item):
        key = item["data"]["id"]
        if item["isDeleted"]:
            items.pop(key, None)
        else:
            items[key] = Item(item["data"], item["version"])


class Upstream:
    """Small lists of which some records change from one run to the next."""

    MAKERS = (
        lambda key, draw: plan(key, *draw.sample(KEYS, draw.randrange(3)),
                               name=draw.choice("xyz")),
        lambda key, draw: activity(key, name=draw.choice("xy")),
        lambda key, draw: authorization(key, draw.choice("123")))

    def __init__(self, draw, folder):
        self.draw, self.folder = draw, folder
        self.lists = ({}, {}, {})
        self.gone = set()
        self.returned = 0

    def step(self):
        """Deletes, changes, adds and brings back; now and then nothing."""
        if self.draw.random() < 0.1:
            return
        for number, (records, make) in enumerate(zip(self.lists, self.MAKERS)):
            for key in KEYS:
                roll = self.draw.random()
                if key in records and roll < 0.1:
                    del records[key]
                    self.gone.add((number, key))
                elif key in records and roll < 0.3:
                    records[key] = make(key, self.draw)
                elif key not in records and roll < 0.2:
                    records[key] = make(key, self.draw)
                    self.returned += (number, key) in self.gone
        if self.draw.random() < 0.05:
            self.draw.choice(self.lists).clear()

    def resources(self):
        return [list(records.values()) for records in self.lists]

    def publish(self):
        return folder_upstream(self.folder, *self.resources())


class World:
    """A store with a web server in front, and what it should hold."""

    def __init__(self, kind, folder, seed):
        self.draw = random.Random(seed)
        self.sync = Sync(folder)
        self.upstream = Upstream(self.draw, folder / "upstream")
        self.model = model.Model()
        self.finished = 0       # version of the last run that ended well
        self.states = {(c, 0): {} for c in PATHS}
        self.changes = dict.fromkeys(PATHS, 0)
        self.kills = collections.Counter()
        assert self.sync.run("init").status == 0
        self.server = start_server(kind, folder, store=self.sync.store)
        self.key = make_key(self.server, "consumer")
        self.witness = self.consumer("witness")

    def consumer(self, name, *options):
        return Consumer(name, self.server, self.key, *options)

    def run(self, url, **options):
        return self.sync.run("--max-delete", "100%", "--log-level", "error",
                             url=url, **options)

    def published(self):
        """A run has ended well: the model does the same."""
        before = self.finished
        self.model.run(*self.upstream.resources(), let_through=True)
        self.finished = self.model.version
        for collection in PATHS:
            self.states[collection, self.model.version] = {
                key: Item(model.decode(row.data), row.version)
                for key, row in self.model.live(collection).items()}
            self.changes[collection] += sum(
                row.version > before
                for (c, _), row in self.model.rows.items() if c == collection)

    def next_run(self):
        """Some are killed before one ends; each shows the old or the new."""
        self.upstream.step()
        url = self.upstream.publish()
        for _ in range(self.draw.randrange(MAX_KILLS + 1)):
            self.killed_run(url)
            if self.draw.random() < 0.2:
                self.upstream.step()
                url = self.upstream.publish()
        ended = self.run(url)
        assert ended.result["version"] == self.model.version + 1
        self.published()

    def killed_run(self, url):
        if self.draw.random() < 0.5:
            step = self.draw.randrange(1, STEPS)
            ended = self.run(url, env={"NOMPD_STORE_KILL_AT": str(step)})
        else:
            process = self.sync.start(
                "--max-delete", "100%", "--log-level", "error", url=url)
            try:
                process.wait(self.draw.uniform(0, KIND.run_seconds))
            except subprocess.TimeoutExpired:
                process.kill()
            ended = self.sync.finish(process)
        assert ended.status in (0, -signal.SIGKILL), ended.err
        self.sync.expire_lease()
        version, _ = self.witness.ask("TreatmentGroups")
        is_published = version != self.finished
        if is_published:
            assert version == self.model.version + 1
            self.published()
        else:
            self.take_unfinished()
        assert is_published or ended.status != 0
        if ended.status != 0:
            self.kills[is_published] += 1

    def take_unfinished(self):
        """Whatever killed runs have left, the next one begins at what the
        last finished one has."""
        seen = self.sync.dump()
        old = Summary(
            {where: Record(where[1], row.data, row.version,
                           int(row.deleted), None, row.hash)
             for where, row in self.model.rows.items()},
            self.finished, len(seen.history), self.finished)
        most = self.model.version + 1 - self.finished
        KIND.check_unfinished(old, summary(seen), most=most)
        self.model.version = seen.version

    def check_full_lists(self):
        for collection in PATHS:
            version, items = self.consumer("new").ask(collection)
            assert version == self.model.version
            assert not any(item["isDeleted"] for item in items)
            assert {item["data"]["id"]: Item(item["data"], item["version"])
                    for item in items} == self.states[collection, version]
            self.check_history(collection)

    def check_history(self, collection):
        """All that ever was, with its tombstones."""
        version, items = self.consumer("historian", 0).ask(collection)
        found = {item["data"]["id"]: (item["data"], item["version"],
                                      item["isDeleted"]) for item in items}
        assert len(found) == len(items)
        assert found == {
            key: (model.decode(row.data), row.version, row.deleted)
            for (c, key), row in self.model.rows.items() if c == collection}

    def check_consumer(self, consumer):
        """It stands where the store stands, and never was in between."""
        for collection in PATHS:
            assert consumer.versions[collection] == self.model.version
            assert consumer.items[collection] == self.states[
                collection, self.model.version], consumer.name
        for collection, version, items in consumer.seen:
            assert items == self.states[collection, version], (
                consumer.name, collection, version)
        consumer.seen.clear()

    def stop(self):
        try:
            self.server.stop()
        finally:
            self.server.end()
            self.sync.close()


class Poller:
    """A consumer that polls all the time, in a thread."""

    def __init__(self, consumer):
        self.consumer = consumer
        self.polls = 0
        self.failure = None
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        try:
            while not self.ending.is_set():
                self.consumer.poll()
                self.polls += 1
        except BaseException as failure:
            self.failure = failure

    def stop(self):
        self.ending.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()

    def end(self):
        self.stop()
        if self.failure is not None:
            raise self.failure


@pytest.fixture(params=KINDS)
def world(request, tmp_path):
    world = World(request.param, tmp_path, SEED)
    yield world
    world.stop()


def test_no_change_is_missed(world):
    """One polls after every run, one with ETags, one seldom, one from 0 on,
    and one always."""
    each = world.consumer("each")
    seldom = world.consumer("seldom")
    from_zero = world.consumer("from zero", 0)
    polite = world.consumer("polite", None, 1)
    always = world.consumer("always", None, 0.5)
    poller = Poller(always)
    try:
        for number in range(RUNS):
            world.next_run()
            each.poll()
            world.check_consumer(each)
            polite.poll()
            world.check_consumer(polite)
            polite.poll()       # for an ETag that the next run makes old
            if world.draw.random() < 0.3:
                from_zero.poll()
                world.check_consumer(from_zero)
            if world.draw.random() < 0.08:
                seldom.poll()
                world.check_consumer(seldom)
            if number % 5 == 0:
                world.check_full_lists()
            assert poller.failure is None
        poller.end()
        for consumer in (each, polite, seldom, from_zero, always):
            consumer.poll()
            world.check_consumer(consumer)
        world.check_full_lists()
    except BaseException:
        print(f"seed {SEED}, version {world.model.version},"
              f" upstream {world.upstream.lists}")
        raise
    finally:
        poller.stop()
    check_it_was_a_trial(world, each, poller)


def check_it_was_a_trial(world, each, poller):
    """Enough has happened for the rest to mean something."""
    assert poller.consumer.unchanged > few(20)
    assert world.upstream.returned > few(10)
    assert world.kills[False] > few(20)
    assert poller.polls > RUNS
    # Every change came once to who polls after every run: it is a diff.
    live = sum(world.changes.values())
    assert 0 < each.received <= live
    tombstones = [row for row in world.model.rows.values() if row.deleted]
    assert len(tombstones) > 5


def test_polls_within_a_run(world):
    """A run that halts again and again shows nothing of itself until it is
    published, and keeps nobody waiting for longer than it halts."""
    consumer = world.consumer("patient")
    poller = Poller(consumer)
    stops = 0
    try:
        for _ in range(STOPPED_RUNS):
            world.upstream.step()
            stops += run_with_stops(world, world.upstream.publish())
    finally:
        poller.stop()
    poller.end()
    consumer.poll()
    world.check_consumer(consumer)
    assert poller.polls > STOPPED_RUNS
    # On a busy machine a run may get through between two of them.
    assert stops > STOPPED_RUNS


def run_with_stops(world, url):
    """The number of times that the run was halted."""
    process = world.sync.start(
        "--max-delete", "100%", "--log-level", "error", url=url)
    stops = 0
    while process.poll() is None and stops < MAX_STOPS:
        process.send_signal(signal.SIGSTOP)
        stops += 1
        time.sleep(world.draw.uniform(0, 0.03))
        process.send_signal(signal.SIGCONT)
        time.sleep(world.draw.uniform(0, 0.003))
    ended = world.sync.finish(process)
    assert ended.result["version"] == world.model.version + 1
    world.published()
    return stops
