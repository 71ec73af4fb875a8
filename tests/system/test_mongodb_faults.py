"""A MongoDB store whose server dies, whose network fails, whose disk is full,
and runs that are held up or told to stop.  However it goes, a run ends well or
with one line that says what is amiss; nobody who reads misses a change, and
the next run makes the store what it would have been."""
import contextlib
import random
import re
import signal
import socket
import sqlite3
import sys
import time
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest

import model
import stores
from conftest import ROOT, folder_upstream
from proxy import PIECE, Fault, Proxy
from stores import KIND, SQLITE
from test_serve_faults import Workers
from test_serve_hostile import ask, wait_until
from upstream import PLANS, Answer, activity, authorization, bundle, plan

pytestmark = pytest.mark.only_store("mongodb")

SEED = 20250410
MANY = 400          # plans of a store that takes long, as many of all else
KILLS = 12         # of a server, spread over a run
CUTS = 4            # of a connection, likewise
END = 10            # messages of a run, of which one publishes it
SIGNS = 3           # of life, that a run gives or does not
BEHIND = 5          # those behind which it is published: the list of jobs hears
# Large messages, of which each collection has two.
STATES_OF_AUTHORIZATIONS, AUTHORIZATIONS = 5, 6
# A server that has gone is not waited for.
IMPATIENT = {"serverSelectionTimeoutMS": 1500, "connectTimeoutMS": 2000,
             "socketTimeoutMS": 2000}
LEASE = 30          # seconds for which a run that died keeps others out
LATER = 2           # and what a test waits more
LONG_FETCH = 35     # seconds for which an upstream keeps a run waiting
MIB = 1024 * 1024
ROOM = 400 * MIB    # on a disk, for all that a test writes
JOURNAL = 16 * MIB  # of a file of PostgreSQL's journal
JOURNALS = 3        # more than there are at first
PATIENCE = 60       # seconds until what does not happen is a failure
MAX_LINE = 600      # characters of a message
STEP = re.compile(r"store step \d+: (\w+)")
IN_TROUBLE = "the server starts, ends or is in trouble"
NOT_KNOWN = "is published is not known"
STOLEN = "another run has taken the lease"


def lists(number, count):
    """What the upstream has at one time; the next time it has some more, lacks
    others, and all that it has in common is another."""
    step = max(1, count // 20)
    keys = [f"k{i:05}" for i in range(number * step, number * step + count)]
    return ([plan(key, key, name=f"Plan {number}") for key in keys],
            [activity(key, str(number), description="x" * 300)
             for key in keys],
            [authorization(key, str(number), "1") for key in keys])


class Reader:
    """A consumer that keeps a copy of all collections by what has changed
    since the version it knows.  It reads as nompd-serve does: the version
    first, and then what it had above the one that the copy knew."""

    def __init__(self):
        self.version = 0
        self.copy = {}

    def poll(self, trial):
        version = max(trial.finished(), default=0)
        assert version >= self.version
        self.copy.update(trial.changes(self.version, version))
        self.version = version


class Trial:
    """A store to which something happens, one to which nothing does, and
    readers of the first: one that polls after all that happens, one that
    polls now and then.  Records are (Data, IsDeleted, ContentHash)."""

    FLAGS = ("--max-delete", "100%")

    def __init__(self, sync, kind=KIND, count=200):
        self.sync, self.kind, self.count = sync, kind, count
        self.store = kind.new()
        if kind is KIND:
            sync.made.append(self.store)
        self.twin = sync.folder / f"{self.store.name}.db"
        self.number = 0
        self.url = None
        self.each, self.seldom = Reader(), Reader()
        self.turn()
        assert self.run().status == 0
        self.settle()

    def turn(self, number=None):
        """The upstream has something else, or what it had at another time;
        the other store has it already."""
        self.number = number or self.number + 1
        self.url = folder_upstream(
            self.sync.folder / f"{self.store.name}-{self.number}",
            *lists(self.number, self.count))
        done = self.sync.run("--store", SQLITE.uri(self.twin), *self.FLAGS,
                             url=self.url)
        assert done.status == 0, done.err

    def start(self, *more, options=None, proxy=None, url=None, **popen):
        uri = with_options(self.kind.uri(self.store), options or {},
                           proxy and proxy.port)
        return self.sync.start("--store", uri, *self.FLAGS, *more,
                               url=url or self.url, **popen)

    def run(self, *more, **options):
        return self.sync.finish(self.start(*more, **options))

    # What is in the store

    @property
    def database(self):
        return self.kind.database(self.store)

    def records(self, selector=None):
        return {(name, found["_id"]): (
                    found["Data"].raw, found["IsDeleted"],
                    found["ContentHash"])
                for name in model.COLLECTIONS
                for found in self.database[name].find(selector)}

    def changes(self, since, version):
        """Above since, as the version had it: a run may have rewritten some
        of the records by now."""
        bounds = {"$gt": since, "$lte": version}
        return {**self.records({"Version": bounds}), **{
            (found["Collection"], found["BusinessKey"]): (
                found["Data"].raw, found["IsDeleted"], found["ContentHash"])
            for found in self.database.RecordHistory.find(
                {"Version": bounds, "ReplacedIn": {"$gt": version}})}}

    def twins(self):
        with contextlib.closing(sqlite3.connect(self.twin)) as database:
            return {(name, key): (data, bool(deleted), digest)
                    for name in model.COLLECTIONS
                    for key, data, deleted, digest in database.execute(
                        "SELECT BusinessKey, Data, IsDeleted, ContentHash"
                        f" FROM {name}")}

    def finished(self):
        """The versions that were published."""
        return [found["_id"] for found in self.database.SyncHistory.find()]

    def raised(self):
        return self.database.SyncMetadata.find_one()["CurrentVersion"]

    def lease(self):
        return self.database.SyncLease.find_one({"_id": "lease"})

    def all(self):
        """Every document, byte for byte."""
        return {name: sorted(found.raw for found in self.database[name].find())
                for name in self.database.list_collection_names()}

    # What has to hold

    def ended(self, outcome):
        """Well, or with one line that says what is amiss; True: well."""
        if outcome.status == 0:
            assert outcome.result["version"] == self.raised()
            return True
        failed(outcome)
        return False

    def check_next_run(self, is_taken_over=False):
        """It needs no help, and ends where nothing has happened."""
        self.each.poll(self)
        raised = self.raised()
        assert self.run().result["version"] == raised + 1
        self.settle(is_taken_over)

    def check_next_run_later(self):
        """When the lease of one that cannot give it back is over."""
        self.kind.expire_lease(self.store)
        self.check_next_run()

    def settle(self, is_taken_over=False):
        """After a run that has ended well; is_taken_over: where another one
        was cut short, which tombstones may show."""
        found, wanted = self.records(), self.twins()
        if is_taken_over:
            assert without_tombstones(found) == without_tombstones(wanted)
        else:
            assert found == wanted
        assert max(self.finished()) == self.raised()
        readers = [self.each]
        if self.number % 3 == 0:
            readers.append(self.seldom)
        for reader in readers:
            reader.poll(self)
            assert reader.copy == found


def without_tombstones(records):
    return {where: record for where, record in records.items()
            if not record[1]}


def failed(outcome, *pieces):
    """One line, which an operator can do something with."""
    assert outcome.status == 74, (outcome.status, outcome.err)
    assert outcome.out == ""
    lines = [line for line in outcome.err.splitlines()
             if " info " not in line]
    assert len(lines) == 1, outcome.err
    assert len(lines[0]) < MAX_LINE
    assert re.match(r"\S+Z error store mongodb://[^@/ ]+/nompd_test_\w+: ",
                    lines[0]), lines[0]
    for piece in pieces:
        assert re.search(piece, lines[0]), (piece, lines[0])


def with_options(uri, options, port=None):
    """The URI with options, and a proxy in the place of its one server."""
    parts = urlsplit(uri)
    place = parts.netloc
    if port is not None:
        user, mark, hosts = place.rpartition("@")
        assert "," not in hosts
        place = f"{user}{mark}127.0.0.1:{port}"
        options = {"directConnection": "true", **options}
    query = dict(parse_qsl(parts.query))
    query.update({name: str(value) for name, value in options.items()})
    return urlunsplit((parts.scheme, place, parts.path, urlencode(query), ""))


# A server of our own, that dies

def own_server(**options):
    sys.path.insert(0, str(ROOT / "tests" / "servers"))
    import mongodb
    try:
        return mongodb.start(own=True, **options)
    except mongodb.ServerError as error:
        pytest.skip(f"no server that may be harmed can be had here: {error}")


def restart(server):
    """The tests' own connections are new ones, too: a read tries again on one
    that has gone, and a write does not."""
    server.restart()
    server.kind.client.list_database_names()


@pytest.fixture(scope="module")
def own():
    """Another server than that of the other tests, and its kind of store."""
    with own_server() as server:
        server.kind = stores.MongoDB(server.uri)
        yield server
        server.kind.client.close()


def test_server_killed(bare, own):
    """At moments that are spread over a run."""
    trial = Trial(bare, own.kind, MANY)
    trial.turn()
    started = time.monotonic()
    assert trial.run().status == 0
    seconds = time.monotonic() - started
    trial.settle()
    chance = random.Random(SEED)
    failures = 0
    for number in range(KILLS):
        trial.turn()
        process = trial.start(options=IMPATIENT)
        time.sleep((number + chance.random()) * seconds / KILLS)
        own.kill()
        outcome = bare.finish(process)
        restart(own)
        failures += not trial.ended(outcome)
        trial.check_next_run_later()
    assert failures


def test_server_that_is_not_there(bare, own):
    """Nothing waits for it longer than the URI says."""
    trial = Trial(bare, own.kind, 10)
    own.kill()
    try:
        failed(trial.run(options=IMPATIENT), "nobody answers there")
        failed(trial.run("--dry-run", options=IMPATIENT),
               "nobody answers there")
    finally:
        restart(own)
    trial.turn()
    trial.check_next_run()


def test_serve_while_the_server_is_away(bare, own, tmp_path):
    """503 meanwhile, and then the same worker answers again."""
    trial = Trial(bare, own.kind, 10)
    uri = with_options(own.kind.uri(trial.store), IMPATIENT)
    with Workers(tmp_path, None, env={"NOMPD_STORE": uri}) as workers:
        check_serves(workers, trial)
        own.kill()
        try:
            for path in ("/api/v1/treatmentGroup", "/health/ready") * 2:
                answer = ask(workers, path)
                assert answer.status == 503, (path, answer)
                assert int(answer.headers["Retry-After"]) > 0
        finally:
            restart(own)
        check_serves(workers, trial)
        trial.turn()
        trial.check_next_run()
        check_serves(workers, trial)
        assert workers.program.poll() is None


def check_serves(workers, trial):
    """The same answer as of the store to which nothing happens."""
    answer = ask(workers, "/api/v1/treatmentGroup", "sinceVersion=0")
    assert answer.status == 200
    content = answer.json()
    assert content["currentVersion"] == trial.raised()
    found = {item["data"]["id"]: (item["data"], item["isDeleted"])
             for item in content["items"]}
    assert found == {
        key: (model.decode(data), deleted)
        for (name, key), (data, deleted, _) in trial.twins().items()
        if name == "TreatmentGroups"}


# A disk of its own, that is full

@pytest.fixture
def filling():
    """A server with so much room that another one can be made."""
    with own_server(disk="200m") as server:
        server.kind = stores.MongoDB(server.uri)
        yield server
        server.kind.client.close()


def test_full_disk(bare, filling):
    """The server says so, and lives."""
    trial = Trial(bare, filling.kind)
    trial.count = MANY
    trial.turn()
    filling.disk.leave(MIB)
    failed(trial.run(options=IMPATIENT), "the server's disk is full")
    filling.disk.leave(ROOM)
    trial.check_next_run_later()


def test_full_disk_of_which_the_server_dies(bare, filling):
    """There is no room for its journal: it ends, and cannot start."""
    trial = Trial(bare, filling.kind)
    trial.count = 5 * MANY
    trial.turn()
    for _ in range(JOURNALS):
        filling.postgres.sql("SELECT pg_switch_wal()")
    filling.disk.leave(JOURNAL - 2 * MIB)
    failed(trial.run(options=IMPATIENT),
           f"the server's disk is full|{IN_TROUBLE}")
    filling.postgres.process.wait(PATIENCE)
    failed(trial.run(options=IMPATIENT), IN_TROUBLE)
    filling.disk.leave(ROOM)
    filling.kill()
    restart(filling)
    trial.check_next_run_later()


# The network between a run and its server

def network(**options):
    return Proxy(*KIND.client.address, **options)


@pytest.fixture
def proxy():
    with network() as proxy:
        yield proxy


def befall(proxy, *args, **options):
    """The network is whole again, and then this happens to it."""
    proxy.mend()
    proxy.fault = Fault(*args, **options)
    return proxy.fault


def reach(fault, process):
    """The process has come to where it happens."""
    wait_until(lambda: fault.reached.is_set() or process.poll() is not None)
    assert fault.reached.is_set()


def count_messages(trial, proxy):
    """Of a run to which nothing happens, and their bytes."""
    trial.turn()
    proxy.mend()
    assert trial.run(proxy=proxy).status == 0
    trial.settle()
    return len(proxy.sizes), sum(proxy.sizes)


TRACED = {"NOMPD_STORE_TRACE": "1"}


def test_cut_at_every_command(bare, proxy):
    """Before the server has it, or before its answer has come."""
    trial = Trial(bare, count=20)
    count, _ = count_messages(trial, proxy)
    chance = random.Random(SEED)
    last_steps = set()
    for message in range(1, count + 1):
        trial.turn()
        fault = befall(proxy, "cut", message,
                       where=chance.choice(("question", "answer")),
                       reset=chance.random() < 0.5,
                       stays=chance.random() < 0.3)
        outcome = trial.run(proxy=proxy, options=IMPATIENT, env=TRACED)
        # A run that is quicker gives fewer signs of life.
        assert fault.reached.is_set() or message > count - SIGNS
        if not trial.ended(outcome):
            last_steps.add((STEP.findall(outcome.err) or [None])[-1])
        trial.check_next_run_later()
    assert last_steps > {"version", "bulk", "publish"}, last_steps


@pytest.mark.parametrize("stays", (False, True))
def test_cut_while_it_publishes(bare, proxy, stays):
    """It looks whether it has, and says so where it cannot."""
    trial = Trial(bare, count=20)
    count, _ = count_messages(trial, proxy)
    outcomes = []
    for message in range(count - END, count + 1):
        trial.turn()
        befall(proxy, "cut", message, where="answer", stays=stays)
        outcome = trial.run(proxy=proxy, options=IMPATIENT if stays else None)
        is_published = trial.raised() in trial.finished()
        outcomes.append((is_published, trial.ended(outcome),
                         NOT_KNOWN in outcome.err))
        trial.check_next_run_later()
    # Before; when it publishes; after.
    assert set(outcomes) == {(False, False, False), (True, True, False)} | (
        {(True, False, True)} if stays else set())


@pytest.mark.parametrize("reset", (False, True))
def test_cut_within_a_message(bare, proxy, reset):
    trial = Trial(bare)
    _, size = count_messages(trial, proxy)
    chance = random.Random(SEED)
    for number in range(CUTS):
        trial.turn()
        fault = befall(
            proxy, "cut", reset=reset,
            size=int((number + chance.random()) * size / CUTS))
        outcome = trial.run(proxy=proxy, options=IMPATIENT)
        assert fault.reached.is_set()
        trial.ended(outcome)
        trial.check_next_run_later()


@pytest.mark.parametrize("pause,piece,count", [
    (0.03, PIECE, 20), (0.05, PIECE, 200), (0.001, 1000, 20)])
def test_slow_network(bare, pause, piece, count):
    trial = Trial(bare, count=count)
    trial.turn()
    with network(pause=pause, piece=piece) as proxy:
        assert trial.run(proxy=proxy).status == 0
    trial.settle()


@pytest.mark.parametrize("where", [
    {"message": 1}, {"large": 2}, {"large": 2, "where": "answer"}])
def test_no_answers_any_more(bare, proxy, where):
    """The message comes after the time limits."""
    trial = Trial(bare)
    trial.turn()
    fault = befall(proxy, "swallow", **where)
    process = trial.start(proxy=proxy, options=IMPATIENT)
    reach(fault, process)
    failed(bare.finish(process))
    trial.check_next_run_later()


# Held up

def stop_at(trial, proxy, *args, **options):
    """A run that is stopped there, with all on its way having arrived."""
    fault = befall(proxy, "hold", *args, where="answer", **options)
    process = trial.start(proxy=proxy)
    reach(fault, process)
    process.send_signal(signal.SIGSTOP)
    fault.released.set()
    return process


def check_stopped(trial, process, *pieces):
    """Another one has taken over: the run writes nothing more."""
    before = trial.all()
    process.send_signal(signal.SIGCONT)
    outcome = trial.sync.finish(process)
    failed(outcome, *pieces)
    assert trial.all() == before
    return outcome


@pytest.mark.parametrize("large,last", [
    (4, "ActivityDefinitions"), (10, "ReimbursementGroups")])
def test_stopped_while_it_writes(bare, proxy, large, last):
    """In the middle, and just before the history entry."""
    trial = Trial(bare, count=MANY)
    trial.turn()
    process = stop_at(trial, proxy, large=large)
    version = trial.raised()
    trial.kind.expire_lease(trial.store)
    trial.turn()
    trial.check_next_run(is_taken_over=True)
    outcome = check_stopped(trial, process, STOLEN)
    assert re.findall(r"info +(\w+): \d+ added", outcome.err)[-1] == last
    assert trial.finished() == [1, version + 1]
    trial.turn()
    trial.check_next_run(is_taken_over=True)


def test_stopped_while_it_fetches(bare, upstream):
    trial = Trial(bare, count=20)
    process, gate = fetching(trial, upstream)
    process.send_signal(signal.SIGSTOP)
    trial.kind.expire_lease(trial.store)
    trial.turn()
    trial.check_next_run()
    gate.set()
    check_stopped(trial, process, STOLEN)
    assert trial.finished() == [1, 2]
    assert trial.raised() == 2


def fetching(trial, upstream):
    """A run that waits for its first list, and what lets it have that."""
    gate = upstream.gate()
    upstream.serve(*lists(100, 20))
    upstream.script(PLANS, Answer(bundle(lists(100, 20)[0]),
                                  before=gate.wait))
    process = trial.start(url=upstream.url)
    upstream.wait_for(PLANS)
    return process, gate


def hold_batch(trial, proxy, large):
    """A run of which a batch is on its way, and the fault: of each collection
    the former states go first, and then the records."""
    trial.turn()
    fault = befall(proxy, "hold", large=large)
    process = trial.start(proxy=proxy)
    reach(fault, process)
    trial.kind.expire_lease(trial.store)
    return process, fault


@pytest.mark.parametrize("large,message", [
    (STATES_OF_AUTHORIZATIONS,
     "writing RecordHistory: somebody else has written"),
    (AUTHORIZATIONS, f"has changed {MANY} of {MANY} records")])
def test_a_late_batch_after_another_run(bare, proxy, large, message):
    """It was sent while the lease was held, and the server has it when that
    is another's: what the other run has changed stays."""
    trial = Trial(bare, count=MANY)
    process, fault = hold_batch(trial, proxy, large)
    trial.turn()
    trial.check_next_run(is_taken_over=True)
    before = trial.all()
    fault.released.set()
    failed(bare.finish(process), message)
    assert trial.all() == before
    assert trial.finished() == [1, 3]
    trial.turn()
    trial.check_next_run(is_taken_over=True)


@pytest.mark.parametrize("number", (1, 2))
def test_a_late_batch_after_a_run_that_changed_nothing(bare, proxy, number):
    """What it has written is nowhere else, and at an old version: the next
    run puts it right, or tells of it when it was right."""
    trial = Trial(bare)
    process, fault = hold_batch(trial, proxy, AUTHORIZATIONS)
    trial.turn(1)
    trial.check_next_run(is_taken_over=True)
    before = trial.all()
    fault.released.set()
    failed(bare.finish(process), STOLEN)
    assert trial.all() != before
    assert trial.finished() == [1, 3]
    trial.turn(number)
    trial.check_next_run(is_taken_over=True)


def test_held_up_at_the_end(bare, proxy):
    """At each of the last messages: published, or never heard of again."""
    trial = Trial(bare, count=20)
    # Later runs look for what one that died has left, in more messages.
    trial.turn()
    trial.run(env={"NOMPD_STORE_KILL_AT": "5"})
    trial.check_next_run_later()
    count, _ = count_messages(trial, proxy)
    published = []
    for message in range(count - END, count + 1):
        trial.turn()
        fault = befall(proxy, "hold", message)
        process = trial.start(proxy=proxy)
        reach(fault, process)
        version = trial.raised()
        trial.kind.expire_lease(trial.store)
        trial.turn()
        trial.check_next_run(is_taken_over=True)
        fault.released.set()
        outcome = bare.finish(process)
        published.append(outcome.status == 0)
        if not published[-1]:
            failed(outcome, "another run has|somebody else has written")
        assert (version in trial.finished()) == published[-1]
        trial.turn()
        trial.check_next_run(is_taken_over=True)
    # It is when it has seen, behind its last write, that the lease is its own.
    assert published == [False] * (END + 1 - BEHIND) + [True] * BEHIND


def test_a_lease_by_the_clock(bare, upstream, proxy):
    """A run that fetches for long keeps its lease, one that was stopped has
    lost it; nobody helps the time to pass."""
    slow, stopped = Trial(bare, count=20), Trial(bare)
    held, gate = fetching(slow, upstream)
    stopped.turn()
    process = stop_at(stopped, proxy, large=2)
    started = time.monotonic()
    stopped.turn()
    busy(stopped.run(), process)
    time.sleep(LEASE + LATER)
    busy(slow.run(), held)
    stopped.check_next_run(is_taken_over=True)
    check_stopped(stopped, process, STOLEN)
    time.sleep(max(0, started + LONG_FETCH - time.monotonic()))
    gate.set()
    assert bare.finish(held).result["version"] == 2


def busy(outcome, process):
    """75, with who it is."""
    outcome.failed(75, f"another run is active .*process {process.pid} on"
                   f" {re.escape(socket.gethostname())}, since ")


# Signals, and two at once

@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT))
@pytest.mark.parametrize("large", (1, 4))
def test_signal_while_it_writes(bare, proxy, number, large):
    trial = Trial(bare)
    trial.turn()
    fault = befall(proxy, "hold", large=large, where="answer")
    process = trial.start(proxy=proxy)
    reach(fault, process)
    process.send_signal(number)
    fault.released.set()
    outcome = bare.finish(process)
    assert outcome.status in (-number, 128 + number)
    assert outcome.out == ""
    assert trial.lease()["ExpiresAt"] == KIND.EPOCH
    assert trial.finished() == [1]
    trial.check_next_run()


def test_two_at_once(bare, proxy):
    """The second says who the first is, or follows it."""
    trial = Trial(bare, count=20)
    count, _ = count_messages(trial, proxy)
    trial.turn()
    fault = befall(proxy, "hold", count - END)
    first = trial.start(proxy=proxy)
    reach(fault, first)
    busy(trial.run(), first)
    second = trial.start("--wait", "60s")
    while b"waiting for another run" not in second.stderr.readline():
        assert second.poll() is None
    assert second.poll() is None
    fault.released.set()
    version = bare.finish(first).result["version"]
    assert bare.finish(second).result["version"] == version + 1
    trial.settle()
