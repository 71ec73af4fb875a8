"""nompd-sync copy: a store as it is, of the same kind or the other one."""
import collections
import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import struct
import subprocess
import time
from urllib.parse import urlsplit

import pytest

import model
import stores
import web
from conftest import FILLED, KIND, Sync, folder_upstream
from stores import PATIENCE, SQLITE, few, kind_of, uri
from upstream import PLANS, Answer, activity, authorization, number, plan

PAIRS = ([(SQLITE, SQLITE)] if KIND is SQLITE else
         [(SQLITE, KIND), (KIND, SQLITE), (KIND, KIND)])
COPIED = re.compile(
    r'\{"version":\d+,"records":\d+,"copied":\d+,"runs":\d+,'
    r'"digest":"[0-9a-f]{64}","durationMs":\d+\}\n')
KEY_BYTES = 1000    # of a long key; lists of them go on beside the entry
LONG_KEYS = 300
LARGE = 6000        # records of each large collection; a batch has 5000
BATCH = 5000
MAX_STEPS = 500     # store steps of a small copy; far fewer are needed
PATHS = ("/api/v1/treatmentGroup", "/api/v1/reimbursementGroup")

ODD = {"$set": {"a.b": [{"": "$x"}]}, ".": None, "n": [
    number("1.50"), number("-0.0"), number("1E+3"),
    number("12345678901234567890123"), 2**31, -2**63, "Å\u0000💊"]}
ODD_KEYS = ["Å💊", " a b", "\"'\\", "$set", "a.b"]


def stages():
    """What upstream gives, run by run: all that can become of a record."""
    plans, activities, authorizations = FILLED
    odd = [plan(key, "a1", odd=ODD) for key in ODD_KEYS]
    long = [plan(f"{i:04}" + "l" * (KEY_BYTES - 4)) for i in range(LONG_KEYS)]
    yield plans, activities, authorizations
    yield plans[:1] + odd, activities, authorizations[1:]
    yield plans + odd[1:], activities, authorizations
    last = [plan("p1", "a3"), *plans[1:], *odd, *long]
    yield last, activities, authorizations[:2]
    yield last, activities, authorizations[:2]


def small_stages():
    yield [plan("p1")], [], [authorization("r1")]
    yield [], [activity("a1")], [authorization("r1", "2")]


Source = collections.namedtuple("Source", "store url version")


def make_source(kind, folder, lists):
    """A store that runs have made, and where its last upstream is."""
    program = Sync(folder)
    program.store = kind.new(folder)
    for i, each in enumerate(lists, 1):
        url = folder_upstream(folder / str(i), *each)
        ended = program.run("--max-delete", "100%", url=url)
        assert ended.result["version"] == i
    program.close()
    return Source(program.store, url, i)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """make(KIND, LISTS): a source that is made but once, and not written."""
    made = {}

    def make(kind, lists):
        if (kind, lists) not in made:
            made[kind, lists] = make_source(
                kind, tmp_path_factory.mktemp("source"), lists())
        return made[kind, lists]

    yield make
    for kind, lists in made:
        kind.drop(made[kind, lists].store)


def name_of(pair):
    return "-".join(kind.name for kind in pair)


@pytest.fixture(params=PAIRS, ids=name_of)
def pair(request):
    return request.param


@pytest.fixture
def source(pair, sources):
    return sources(pair[0], stages)


@pytest.fixture
def small(pair, sources):
    return sources(pair[0], small_stages)


@pytest.fixture
def target(pair, bare):
    return new(bare, pair[1], "target.db")


def new(sync, kind, name):
    """A store of any kind that ends with the test."""
    return sync.new_store(name) if kind is KIND else kind.new(
        sync.folder, name)


def own(sync, source, name="source.db"):
    """A source to write to."""
    store = new(sync, kind_of(source.store), name)
    stores.copy_store(source.store, store)
    return store


def arguments(source, target, *args):
    return ["copy", "--from", uri(source), "--to", uri(target), *args]


def copy(sync, source, target, *args, **options):
    return sync.run(*arguments(source, target, *args), **options)


def result_of(ended):
    assert ended.status == 0, (ended.status, ended.err)
    assert COPIED.fullmatch(ended.out), ended.out
    return json.loads(ended.out)


# What is the same of two stores

def facts(store):
    """A store without what its kind has alone."""
    state = stores.dump(store)
    return state._replace(history=[entry[:3] for entry in state.history])


def answers(sync, store):
    """What the commands that ask say about it."""
    said = [sync.run("history", "--limit", "1000000", "--format", form,
                     "--store", uri(store)) for form in ("table", "json")]
    for where, key in (("PlanDefinitions", "p1"), ("PlanDefinitions", "p2"),
                       ("PlanDefinitions", ODD_KEYS[0]),
                       ("TreatmentGroups", ODD_KEYS[3]),
                       ("ActivityDefinitions", "a1"),
                       ("RegulatedAuthorizations", "r1"),
                       ("ReimbursementGroups", "r3")):
        said.append(sync.run("show", "--store", uri(store), where, key))
    assert [ended.status for ended in said] == len(said) * [0]
    return [ended.out for ended in said]


class Consumer:
    """Asks nompd-serve, without a web server, and takes its bytes."""

    def __init__(self, sync):
        self.sync = sync
        self.keys_file = sync.folder / "api-keys"
        self.keys = []
        self.key = web.make_key(self, "hospital-a")

    def environment(self, store="sqlite:none"):
        return self.sync.environment(
            key=None, NOMPD_STORE=store,
            NOMPD_API_KEYS_FILE=str(self.keys_file))

    def ask(self, store, path, query="", **more):
        env = {**self.environment(uri(store)), "REQUEST_METHOD": "GET",
               "GATEWAY_INTERFACE": "CGI/1.1", "SCRIPT_NAME": "",
               "PATH_INFO": path, "QUERY_STRING": query,
               "HTTP_X_API_KEY": self.key, "HTTP_X_REQUEST_ID": "same",
               **more}
        done = subprocess.run(
            [web.PROGRAM], env=env, capture_output=True, check=False,
            stdin=subprocess.DEVNULL, timeout=PATIENCE)
        assert done.returncode == 0, done
        return done.stdout

    def all(self, store, version):
        """The answers to all questions there are."""
        for path in PATHS:
            for query in ("", *(f"sinceVersion={i}"
                                for i in range(version + 2))):
                yield self.ask(store, path, query)
            etag = re.search(rb'ETag: (.*)\r\n', self.ask(store, path))
            yield self.ask(store, path, HTTP_IF_NONE_MATCH=etag[1].decode())
            yield self.ask(store, path, REQUEST_METHOD="HEAD")
        # That one tells how long ago the run was.
        ready = self.ask(store, "/health/ready").partition(b"\r\n\r\n")[2]
        yield {**json.loads(ready), "ageSeconds": None}

    def check_nothing(self, store):
        """Readers get nothing of a copy that is not finished."""
        for path in PATHS:
            for query in ("", "sinceVersion=0"):
                _, _, body = self.ask(store, path, query).partition(
                    b"\r\n\r\n")
                assert json.loads(body) == {"currentVersion": 0, "items": []}


def check_copy(ended, source, target, copied=None):
    """The command has made target the same as source."""
    result = result_of(ended)
    state = facts(source)
    assert facts(target) == state
    assert result["records"] == len(state.records)
    assert result["runs"] == len(state.history)
    assert result["version"] == (state.history or [(0,)])[-1][0]
    assert copied in (None, result["copied"])
    for store in (source, target):
        if kind_of(store) is SQLITE:
            assert digest(store) == result["digest"]
    return result


def digest(path):
    """nompd-store(7), DIGEST, once more."""
    state = hashlib.sha256()

    def add(*values):
        for value in values:
            if isinstance(value, int):
                state.update(struct.pack(">q", value))
                continue
            data = value.encode() if isinstance(value, str) else value
            state.update(struct.pack(">q", len(data)) + data)

    database = sqlite3.connect(path)
    for name in stores.record_collections(SQLITE.tables(database)):
        add(name)
        for row in sorted(database.execute(
                "SELECT BusinessKey, Version, IsDeleted, UpdatedAt,"
                f" ContentHash, Data FROM {name}"),
                key=lambda row: row[0].encode()):
            add(*row)
        for row in sorted(database.execute(
                "SELECT BusinessKey, Version, IsDeleted, UpdatedAt,"
                " ContentHash, Data, ReplacedIn FROM RecordHistory"
                " WHERE Collection = ?", [name]),
                key=lambda row: (row[0].encode(), row[1])):
            add(*row)
    add("versions", *(database.execute(
        "SELECT CurrentVersion, LastSyncAt, StatesFrom, Horizon"
        " FROM SyncMetadata").fetchone() or (0, 0, 0, 0)))
    for row in database.execute(
            "SELECT * FROM SyncHistoryKeys"
            " ORDER BY Version, Collection, Act, Part"):
        add(*row)
    for row in database.execute(
            "SELECT Version, SyncedAt, DurationMs, Tallies,"
            " coalesce(Seal, x'') FROM SyncHistory ORDER BY Version DESC"):
        add(*row)
    database.close()
    return state.hexdigest()


def lists_of_keys(path):
    database = sqlite3.connect(path)
    rows = database.execute("SELECT * FROM SyncHistoryKeys ORDER BY 1, 2, 3, 4"
                            ).fetchall()
    database.close()
    return rows


# Copies

def test_sources_have_what_these_tests_need(sources):
    """Else they could not fail."""
    source = sources(SQLITE, stages)
    state = stores.dump(source.store)
    assert state.version == source.version == len(state.history)
    assert {record.deleted for record in state.records.values()} == {0, 1}
    assert len({record.version for record in state.records.values()}) == 4
    parts = lists_of_keys(source.store)
    assert {(row[1], row[3]) for row in parts} >= {
        ("PlanDefinitions", 1), ("TreatmentGroups", 2)}


def test_equal(bare, pair, source, target):
    ended = copy(bare, source.store, target)
    result = check_copy(ended, source.store, target)
    assert result["copied"] == result["records"]
    assert kind_of(target).collections(target) >= kind_of(target).made
    assert answers(bare, target) == answers(bare, source.store)
    consumer = Consumer(bare)
    wanted = list(consumer.all(source.store, source.version))
    assert len(set(map(str, wanted))) > 10
    assert list(consumer.all(target, source.version)) == wanted
    # Once more: there is nothing left to do.
    again = copy(bare, source.store, target)
    assert check_copy(again, source.store, target, 0)["digest"] == result[
        "digest"]


EXTRAS = {"Patient": 3, "Encounter": 0, "Quarantine": 1}


def add_extras(store, extras, start=0):
    """Collections beside the five, with so many records each."""
    for name, count in extras.items():
        kind_of(store).make_collection(store, name)
        for i in range(start, count):
            data = {"resourceType": name, "id": str(i)}
            kind_of(store).put(store, name, stores.Record(
                f"{name}/{i}", model.encode(data), i % 2 + 1, i % 2,
                1744273800000 + i, model.content_hash(data)))


def test_extra_collections(bare, pair, small, target):
    source = own(bare, small)
    add_extras(source, EXTRAS)
    result = check_copy(copy(bare, source, target), source, target)
    assert {name: sum(where == name for where, _ in
                      stores.dump(target).records)
            for name in EXTRAS} == EXTRAS
    consumer = Consumer(bare)
    for path in ("/api/v1/resource/Patient", "/api/v1/resource/Encounter"):
        wanted = consumer.ask(source, path, "sinceVersion=0")
        assert b"200" in wanted.split(b"\r\n")[0]
        assert consumer.ask(target, path, "sinceVersion=0") == wanted
    shown = [bare.run("show", "Patient", "Patient/1", "--store", uri(store))
             for store in (source, target)]
    assert shown[0].status == 0 and shown[0].out == shown[1].out
    # What comes later is added to what is there.
    add_extras(source, {"Patient": 5, "Device": 1}, start=3)
    again = check_copy(copy(bare, source, target), source, target, 2)
    assert again["digest"] != result["digest"]


def test_extra_collection_of_the_target(bare, small, target):
    """That the source does not have: it is a store of its own."""
    source = own(bare, small)
    result_of(copy(bare, source, target))
    add_extras(target, {"Patient": 0})
    before = stores.dump(target)
    copy(bare, source, target).failed(
        74, "a collection that is none of", "name an empty store")
    assert stores.dump(target) == before


def test_notes_stay(bare, pair, small, target):
    """They are of a run on the source."""
    source = own(bare, small)
    kind_of(source).put_note(source, "job", {"url": "x"})
    check_copy(copy(bare, source, target), source, target)
    assert "SyncNotes" not in kind_of(target).collections(target)


def test_there_and_back(bare, sources):
    """Through the other kind: no byte of the first file's rows is lost."""
    source = sources(SQLITE, stages)
    middle, last = bare.new_store("middle.db"), SQLITE.new(
        bare.folder, "last.db")
    there = check_copy(copy(bare, source.store, middle), source.store, middle)
    back = check_copy(copy(bare, middle, last), middle, last)
    assert there["digest"] == back["digest"]
    assert stores.dump(last) == stores.dump(source.store)
    assert lists_of_keys(last) == lists_of_keys(source.store)


def test_a_run_on_the_copy(bare, source, target):
    """It finds nothing to change, and counts on."""
    result = result_of(copy(bare, source.store, target))
    bare.store = target
    state = stores.dump(target)
    live = sum(not record.deleted for record in state.records.values())
    ended = bare.run(url=source.url)
    assert ended.counts == (0, 0, live, 0)
    assert ended.result["version"] == result["version"] + 1
    assert bare.dump().records == state.records
    plans, activities, authorizations = list(stages())[-1]
    url = folder_upstream(bare.folder / "next", plans[1:], activities,
                          authorizations)
    assert bare.run(url=url).counts == (0, 0, live - 2, 2)
    # By now it is a store of its own.
    before = bare.dump()
    copy(bare, source.store, target).failed(
        74, "not a copy", "name an empty store")
    assert bare.dump() == before


def test_source_goes_on(bare, source, target):
    store = own(bare, source)
    result_of(copy(bare, store, target))
    bare.store = store
    plans, activities, authorizations = FILLED
    url = folder_upstream(bare.folder / "next", plans,
                          [activity("a1", "9"), *activities[1:]],
                          authorizations)
    changed = bare.run("--max-delete", "100%", url=url).result
    assert changed["added"] + changed["updated"] and changed["deleted"]
    check_copy(copy(bare, store, target), store, target,
               changed["added"] + changed["updated"] + changed["deleted"])
    assert bare.run(url=url).status == 0
    check_copy(copy(bare, store, target), store, target, 0)


def test_empty_source(bare, pair, target):
    bare.store = new(bare, pair[0], "source.db")
    assert bare.run("init").status == 0
    result = check_copy(copy(bare, bare.store, target), bare.store, target, 0)
    assert (result["version"], result["records"]) == (0, 0)
    Consumer(bare).check_nothing(target)
    bare.store = target
    assert bare.history() == []
    url = folder_upstream(bare.folder / "up", *FILLED)
    assert bare.run(url=url).result["version"] == 1


def test_onto_an_empty_store(bare, small, target):
    """One that init has made is as good as none."""
    bare.store = target
    assert bare.run("init").status == 0
    check_copy(copy(bare, small.store, target), small.store, target)


def test_variables(bare, small, target):
    """NOMPD_STORE, which is for the other commands, is not looked at."""
    ended = bare.run("copy", env={
        "NOMPD_COPY_FROM": uri(small.store), "NOMPD_COPY_TO": uri(target),
        "NOMPD_STORE": "sqlite:none.db"})
    check_copy(ended, small.store, target)
    assert not (bare.folder / "none.db").exists()


@pytest.mark.only_store("mongodb")
def test_what_a_died_run_left(bare, sources):
    """Records of a version that was never published are copied as well; all
    readers get the same, and the next run completes both stores alike."""
    source = sources(KIND, stages)
    store, target = own(bare, source), SQLITE.new(bare.folder, "target.db")
    bare.store = store
    url = folder_upstream(
        bare.folder / "up", [plan(f"n{i}", "a1") for i in range(9)], [], [])
    everything = ("--max-delete", "100%")
    bare.store = own(bare, source, "traced.db")
    ended = bare.run(*everything, url=url, env={"NOMPD_STORE_TRACE": "1"})
    assert ended.status == 0
    # The one with new records, and that which overwrites others.
    _, step = re.findall(r"store step (\d+): bulk PlanDefinitions", ended.err)
    bare.store = store
    ended = bare.run(*everything, url=url,
                     env={"NOMPD_STORE_KILL_AT": step})
    assert ended.status == -signal.SIGKILL
    bare.expire_lease()
    state = facts(store)
    assert state.version == source.version + 1
    assert any(record.version == state.version
               for record in state.records.values())
    assert result_of(copy(bare, store, target))["version"] == source.version
    assert facts(target) == state
    consumer = Consumer(bare)
    assert (list(consumer.all(target, state.version))
            == list(consumer.all(store, state.version)))
    for bare.store in (store, target):
        assert bare.run(*everything, url=url).result[
            "version"] == source.version + 2
    contents = [{where: stores.content(record)
                 for where, record in facts(each).records.items()}
                for each in (store, target)]
    assert contents[0] == contents[1]


# Cut off, and taken up

def expire(*places):
    for store in places:
        kind_of(store).expire_lease(store)


def check_unfinished(consumer, source, target):
    """A part of the records is there, and readers see none of it."""
    expire(source, target)
    state = facts(target)
    whole = facts(source)
    assert state.records.items() <= whole.records.items()
    assert state.version in (0, whole.version)
    assert set(state.history) <= set(whole.history)
    if not state.history:
        consumer.check_nothing(target)
    else:
        # What makes it readable comes last.
        assert state.records == whole.records


@pytest.mark.parametrize("pair", PAIRS[:2], indirect=True, ids=name_of)
def test_every_step(bare, pair, small, target):
    consumer = Consumer(bare)
    source = own(bare, small)
    add_extras(source, EXTRAS)
    records = len(stores.dump(source).records)
    left = set()
    # Over a server every third one, which takes a minute or two as it is.
    stride = 1 if set(pair) == {SQLITE} else 3
    for step in range(1, MAX_STEPS, stride):
        kind_of(target).remove(target)
        ended = copy(bare, source, target,
                     env={"NOMPD_STORE_KILL_AT": str(step)})
        if ended.status == 0:
            break
        assert ended.status == -signal.SIGKILL, ended.err
        assert ended.out == ""
        check_unfinished(consumer, source, target)
        there = len(facts(target).records)
        check_copy(copy(bare, source, target), source, target,
                   records - there)
        left.add(there)
    else:
        pytest.fail(f"more than {MAX_STEPS} steps")
    check_copy(ended, source, target, records)
    # Killed with none, some and all of the records there.
    assert {0, records} < left


def large_lists():
    """So many records that they come in batches."""
    yield [], [], [{"resourceType": "RegulatedAuthorization",
                    "identifier": [{"value": f"r{i:05}"}]}
                   for i in range(LARGE)]


@pytest.fixture
def large(pair, sources):
    return sources(pair[0], large_lists)


def published(sync, source, target):
    """The store steps at which something of a whole copy becomes last."""
    ended = copy(sync, source, target, env={"NOMPD_STORE_TRACE": "1"})
    check_copy(ended, source, target, 2 * LARGE)
    return [int(step) for step in re.findall(
        r"store step (\d+): published", ended.err)]


def test_batches(bare, pair, large, target):
    """Killed and killed again; what was published is not copied anew."""
    consumer = Consumer(bare)
    steps = published(bare, large.store, new(bare, pair[1], "traced.db"))
    # Two collections of two batches each, three without any, the history.
    assert len(steps) == 8
    kills = [(2 * LARGE, steps[6] + 1), (LARGE + BATCH, steps[5] + 1),
             (LARGE, steps[3] + 3), (BATCH, steps[2] + 2)]
    for there, step in kills[-max(2, few(len(kills))):]:
        kind_of(target).remove(target)
        ended = copy(bare, large.store, target,
                     env={"NOMPD_STORE_KILL_AT": str(step)})
        assert ended.status == -signal.SIGKILL, ended.err
        check_unfinished(consumer, large.store, target)
        assert len(facts(target).records) == there
    # The part that is left is cut off as well.
    ended = copy(bare, large.store, target,
                 env={"NOMPD_STORE_KILL_AT": "17"})
    assert ended.status == -signal.SIGKILL, ended.err
    check_unfinished(consumer, large.store, target)
    result = check_copy(copy(bare, large.store, target), large.store, target)
    assert result["copied"] == 2 * LARGE - there


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_in_the_middle(bare, large, target, number):
    process = bare.start(*arguments(large.store, target),
                         env={"NOMPD_STORE_TRACE": "1"})
    copied = False
    for line in process.stderr:
        # It waits for somebody to read on before it can come to its end.
        copied = copied or b": copy r" in line
        if copied and b": published" in line:
            break
    process.send_signal(number)
    ended = bare.finish(process)
    assert ended.status in (-number, 128 + number), ended.err
    assert ended.out == ""
    consumer = Consumer(bare)
    check_unfinished(consumer, large.store, target)
    there = len(facts(target).records)
    assert BATCH <= there < 2 * LARGE
    # It gave its leases back: nobody has to wait.
    check_copy(copy(bare, large.store, target), large.store, target,
               2 * LARGE - there)


# The step of either store in which a copy is stopped: the target's version is
# set, and, behind the last record, the source's lease is looked at.
STOP_AT = 3


def wait_until_stopped(process):
    deadline = time.monotonic() + stores.PATIENCE
    while not os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.only_store("mongodb")
def test_held_up_while_the_source_goes_on(bare, sources):
    """Stopped behind the last record until its lease has gone to a run: what
    that run publishes is no part of the copy, whose records are older."""
    source = sources(KIND, small_stages)
    store, target = own(bare, source), SQLITE.new(bare.folder, "target.db")
    process = bare.start(*arguments(store, target),
                         env={"NOMPD_STORE_STOP_AT": str(STOP_AT)})
    wait_until_stopped(process)
    assert facts(target).records == {}
    process.send_signal(signal.SIGCONT)
    wait_until_stopped(process)
    before = facts(store)
    assert facts(target).records == before.records
    expire(store)
    bare.store = store
    url = folder_upstream(bare.folder / "next", [plan("p9")], [], [])
    changed = bare.run("--max-delete", "100%", url=url).result
    assert changed["added"] and changed["deleted"]
    process.send_signal(signal.SIGCONT)
    bare.finish(process).failed(74, "has taken the lease")
    assert facts(target).records == before.records
    assert facts(target).history == []
    check_copy(copy(bare, store, target), store, target,
               changed["added"] + changed["deleted"])


def test_deadline(bare, large, target):
    copy(bare, large.store, target, "--deadline", "1ms").failed(
        74, "deadline")
    check_unfinished(Consumer(bare), large.store, target)
    check_copy(copy(bare, large.store, target), large.store, target)


# What is refused

def refused(sync, source, target, status, *pieces):
    """With the words, and the target stays as it is."""
    before = stores.dump(target)
    copy(sync, source, target).failed(status, *pieces)
    assert stores.dump(target) == before


def test_missing_source(bare, pair, target):
    source = new(bare, pair[0], "source.db")
    copy(bare, source, target).failed(74, "it is not there")
    assert not kind_of(target).exists(target)
    assert not kind_of(source).exists(source)


def test_the_same_store(bare, small):
    store = own(bare, small)
    refused(bare, store, store, 64, "--to: want another store than --from")


def test_the_same_store_under_another_name(bare, small):
    """It neither waits for itself nor speaks of another run."""
    store = own(bare, small)
    if kind_of(store) is SQLITE:
        (bare.folder / "link.db").symlink_to(store)
        other = uri(bare.folder / "link.db")
    else:
        host = urlsplit(uri(store)).hostname
        other = uri(store).replace(host, (
            "localhost" if host == "127.0.0.1" else
            socket.gethostbyname(host)))
    assert other != uri(store)
    before = stores.dump(store)
    bare.run("copy", "--from", uri(store), "--to", other, "--wait", "1h"
             ).failed(64, "--to: want another store than --from")
    assert stores.dump(store) == before


def test_target_with_other_runs(bare, pair, small, target):
    bare.store = target
    url = folder_upstream(bare.folder / "up", *list(small_stages())[0])
    assert bare.run(url=url).status == 0
    refused(bare, small.store, target, 74, "it has a run that is none of",
            "name an empty store")


def test_target_with_other_records(bare, pair, sources, small, target):
    """Those of a run that was never published, for one."""
    result_of(copy(bare, small.store, target))
    kind = kind_of(target)
    record = stores.dump(target).records["RegulatedAuthorizations", "r1"]
    kind.put(target, "RegulatedAuthorizations", record._replace(key="r0"))
    refused(bare, small.store, target, 74, "it has a record that is none of")
    kind.delete(target, "RegulatedAuthorizations", "r0")
    kind.put(target, "ReimbursementGroups", record._replace(key="r9"))
    refused(bare, small.store, target, 74, "it has a record that is none of")
    kind.delete(target, "ReimbursementGroups", "r9")
    check_copy(copy(bare, small.store, target), small.store, target, 0)


def test_target_with_a_newer_version(bare, small, target):
    store = own(bare, small)
    result_of(copy(bare, store, target))
    bare.store = target
    assert bare.run(url=small.url).status == 0
    refused(bare, store, target, 74, "its version is above that of")


def test_target_that_was_tampered_with(bare, small, target):
    """In a way that its hash does not show: only the digest can tell."""
    result_of(copy(bare, small.store, target))
    where = ("RegulatedAuthorizations", "r1")
    record = stores.dump(target).records[where]
    members = model.decode(record.data).items()
    kind_of(target).put(target, where[0], record._replace(
        data=model.encode(dict(reversed(members)))))
    refused(bare, small.store, target, 74, "it is not the same",
            "its digest is [0-9a-f]{64}, that of store .* is [0-9a-f]{64}",
            "copy again")
    kind_of(target).remove(target)
    check_copy(copy(bare, small.store, target), small.store, target)


@pytest.mark.parametrize("end", ["source", "target"])
def test_beside_a_run(sync, upstream, pair, small, target, end):
    store = own(sync, small)
    result_of(copy(sync, store, target))
    sync.store = store if end == "source" else target
    gate = upstream.gate()
    answer = upstream.answers[f"/api/{PLANS}"][0]
    upstream.script(PLANS, Answer(answer.body, before=gate.wait))
    run = sync.start("--max-delete", "100%")
    upstream.wait_for(PLANS)
    refused(sync, store, target, 75, "another run is active on store",
            r"process \d+")
    waiting = sync.start(*arguments(store, target, "--wait", "60s"))
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.5)
    gate.set()
    assert sync.finish(run).result["version"] == small.version + 1
    ended = sync.finish(waiting)
    if end == "source":
        check_copy(ended, store, target)
    else:
        ended.failed(74, "its version is above that of")


def test_beside_a_copy(sync, upstream, small, large, target):
    """No run may begin while a copy reads or writes."""
    process = sync.start(*arguments(large.store, target),
                         env={"NOMPD_STORE_TRACE": "1"})
    for line in process.stderr:
        if b": copy r" in line:
            break
    for sync.store in (large.store, target):
        sync.run().failed(75, "another run is active on store")
    assert sync.finish(process).status == 0
    assert facts(target) == facts(large.store)


def test_folder_that_nobody_may_write(bare, small):
    """Not even root."""
    bare.run("copy", "--from", uri(small.store), "--to",
             "sqlite:/proc/nompd.db").failed(
                 74, "/proc/nompd.db", "may write")


def test_target_of_somebody_else(bare, small):
    path = bare.folder / "songs.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE songs (title TEXT)")
    database.commit()
    database.close()
    before = path.read_bytes()
    bare.run("copy", "--from", uri(small.store), "--to", f"sqlite:{path}"
             ).failed(74, "not a store of ours")
    assert path.read_bytes() == before


def test_damaged_record(bare, pair, small, target):
    """It is named, and nothing that is damaged is published."""
    store = own(bare, small)
    if kind_of(store) is SQLITE:
        SQLITE.change(store, "UPDATE RegulatedAuthorizations"
                      " SET Data = x'0600000012ff'")
    else:
        KIND.client[store.name].RegulatedAuthorizations.update_many(
            {}, {"$unset": {"Data": 1}})
    copy(bare, store, target).failed(
        74, 'the record "r1" of RegulatedAuthorizations is damaged')
    Consumer(bare).check_nothing(target)


def test_leases_are_given_back(bare, small, target):
    """After a failure, too."""
    store = own(bare, small)
    bare.store = target
    url = folder_upstream(bare.folder / "up", *list(small_stages())[0])
    assert bare.run(url=url).status == 0
    for _ in range(2):
        copy(bare, store, target).failed(74, "not a copy")
    for bare.store in (store, target):
        assert bare.run(url=small.url, *("--max-delete", "100%")).status == 0
