"""The example client proves by digests that it holds what the service has: it
notices every copy that is another one, and no copy that is right."""
import contextlib
import importlib.util
import json
import math
import random
import re
import shutil
import sqlite3
import subprocess
import types

import pytest

import digests
import documents
import stores
import web
from conftest import ROOT, Sync, folder_upstream
from test_client import (  # noqa: F401
    FIRST, PATHS, PATIENCE, PROGRAM, SECOND, Client, asked, client, item,
    lists, scripted, service, whole)
from upstream import Answer, activity, authorization, number, plan

SEED = 20251124
SEQUENCES = 1000    # of answers that a copy is made of
RUNS = 40
KEYS = [f"k{i:02}" for i in range(12)] + [
    "Å💊", "a b\n", "\"'\\", "\uffffz", "\U00010000z", "K", "7 7 7"]

spec = importlib.util.spec_from_file_location("client_program", PROGRAM)
program = importlib.util.module_from_spec(spec)
spec.loader.exec_module(program)


# Canonical JSON

def finite(chance):
    """A document that has a canonical text, and that text."""
    while True:
        value = documents.document_by_chance(chance)
        with contextlib.suppress(ValueError):
            return value, documents.canonical(documents.plain(value))


def test_canonical():
    """As others make it, whatever digits and order it came with."""
    chance = random.Random(SEED)
    for _ in range(2000):
        value, wanted = finite(chance)
        came = documents.written(value, chance)
        kept = program.dump(json.loads(came, parse_float=program.Digits))
        for text in (came, kept):
            assert program.canonical(
                json.loads(text, parse_int=float)) == wanted


def test_canonical_numbers():
    chance = random.Random(SEED)
    for bits in (*(exponent << 52 for exponent in range(2048)),
                 *(documents.bits_by_chance(chance) for _ in range(10000))):
        value = documents.double(bits)
        if math.isfinite(value):
            assert program.canonical(value) == documents.number_text(value)
        else:
            with pytest.raises(ValueError):
                program.canonical(value)


def test_example_of_the_manual(tmp_path):
    """The list, the shell's lines and the digest in nompd-api(7) agree."""
    page = (ROOT / "man" / "nompd-api.7").read_text(encoding="utf-8")
    section = re.search(r"^\.Ss Digests\n(.*?)^\.Ss ", page,
                        re.M | re.S).group(1)
    answer, script, shown = (
        text.replace("\\e", "\\") for text in re.findall(
            r"^\.Bd -literal -offset indent\n(.*?)^\.Ed\n", section,
            re.M | re.S))
    items = answer.replace(",...}", ',"isDeleted":false}').splitlines()
    whole = digests.of_answer('{"items":[%s]}' % ",".join(items))
    told = subprocess.run(["sh", "-c", script], cwd=tmp_path, check=True,
                          capture_output=True, text=True).stdout
    assert told.split()[0] == whole
    lines, _, digest = shown.partition("\n\n")
    assert digest == whole + "\n"
    assert lines.replace("\n ", " ") + "\n" == (
        tmp_path / "lines").read_text(encoding="utf-8")


# Sequences of answers

class Past:
    """A store after many runs, in which records come, change and go, behind a
    server; any of its versions can be asked for."""

    def __init__(self, folder):
        self.chance = random.Random(SEED)
        self.sync = Sync(folder)
        self.records = ({}, {}, {})
        for _ in range(RUNS):
            self.publish(folder / "upstream")
        self.server = web.start_server("nginx-fastcgi", folder,
                                       store=self.sync.store)
        self.key = web.make_key(self.server, "hospital")

    def publish(self, folder):
        makers = (self.plan, activity,
                  lambda key: authorization(key, self.chance.choice("123")))
        for records, make in zip(self.records, makers):
            for key in KEYS:
                roll = self.chance.random()
                if key in records and roll < 0.15:
                    del records[key]
                elif roll < 0.3:
                    records[key] = make(key)
        if self.chance.random() < 0.05:
            self.chance.choice(self.records).clear()
        url = folder_upstream(folder, *(
            list(records.values()) for records in self.records))
        assert self.sync.run("--max-delete", "100%", "--log-level", "error",
                             url=url).status == 0

    def plan(self, key):
        return plan(key, *self.chance.sample(KEYS, 2),
                    name=documents.text_by_chance(self.chance),
                    description=documents.text_by_chance(self.chance))

    def close(self):
        self.server.stop()
        self.sync.close()


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    made = Past(tmp_path_factory.mktemp("past"))
    yield made
    made.close()


@pytest.fixture
def asking(past, monkeypatch):
    """The service as the client's code has it."""
    monkeypatch.setenv("NOMPD_API_KEY", past.key)
    monkeypatch.delenv("NOMPD_API_KEY_FILE", raising=False)
    return program.Service(types.SimpleNamespace(
        url=f"http://127.0.0.1:{past.server.port}", plain_http=False, tries=3,
        max_wait=1))


def copy_of(asking, collection, version):
    """A copy made of the full list of that version, which it is."""
    copy = program.open_copy(":memory:")
    answer = asking.ask(f"/api/v1/{collection}?asOfVersion={version}", None)
    program.write(copy, asking, collection, answer, None)
    assert answer.version == version
    assert answer.digest == program.digest_of(copy, collection)
    return copy


def take(copy, asking, collection, since, version):
    """Takes over what has changed; says whether that was anything."""
    answer = asking.ask(f"/api/v1/{collection}?sinceVersion={since}"
                        f"&asOfVersion={version}", None)
    assert (answer.version, answer.digest) == (version, None)
    program.write(copy, asking, collection, answer, None)
    return bool(answer.rows)


def is_right(copy, asking, collection, version):
    status, _ = program.check(copy, asking, collection)
    digest = asking.ask_digest(f"/api/v1/{collection}", version)
    assert digest is not None
    assert status == (digest != program.digest_of(copy, collection))
    return status == 0


def test_right_copies(past, asking):
    """However they came to be."""
    chance = random.Random(SEED)
    steps = 0
    for _ in range(SEQUENCES):
        collection = chance.choice(list(PATHS))
        version = chance.randrange(1, RUNS + 1)
        with contextlib.closing(copy_of(asking, collection, version)) as copy:
            while version < RUNS and chance.random() < 0.6:
                since, version = version, chance.randrange(version + 1,
                                                           RUNS + 1)
                take(copy, asking, collection, since, version)
                assert is_right(copy, asking, collection, version)
                steps += 1
    assert steps > SEQUENCES / 2


def drop_one(copy, chance):
    copy.execute("DELETE FROM record WHERE (collection, id) = (?, ?)",
                 any_of(copy, chance)[:2])


def add_one(copy, chance):
    collection, key, version, when, data = any_of(copy, chance)
    copy.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?)",
                 (collection, key + "'", version, when, data))


def rename_one(copy, chance):
    collection, key = any_of(copy, chance)[:2]
    copy.execute("UPDATE record SET id = id || ' ' WHERE"
                 " (collection, id) = (?, ?)", (collection, key))


def change_version(copy, chance):
    copy.execute("UPDATE record SET version = version + 1 WHERE"
                 " (collection, id) = (?, ?)", any_of(copy, chance)[:2])


def change_data(copy, chance):
    """One member at one place in it."""
    collection, key, _, _, text = any_of(copy, chance)
    data = json.loads(text)
    place, name = chance.choice(list(places(data)))
    place[name] = [place[name]]
    set_data(copy, collection, key, json.dumps(data))


def add_member(copy, chance):
    collection, key, _, _, text = any_of(copy, chance)
    set_data(copy, collection, key, json.dumps({**json.loads(text), "": None}))


def no_json(copy, chance):
    collection, key, _, _, text = any_of(copy, chance)
    set_data(copy, collection, key, chance.choice((
        text[:-1], "", "NaN", text + "x", text.replace("{", '{"x":1e999,', 1),
        "[" * 100000)))


def another_type(copy, chance):
    collection, key = any_of(copy, chance)[:2]
    set_data(copy, collection, key, chance.choice((7, b"\xff", b"{}", 1.5)))


def no_number(copy, chance):
    copy.execute("UPDATE record SET version = 'x' WHERE"
                 " (collection, id) = (?, ?)", any_of(copy, chance)[:2])


def any_of(copy, chance):
    """A record, whole."""
    rows = copy.execute("SELECT * FROM record").fetchall()
    return chance.choice(rows)


def set_data(copy, collection, key, data):
    copy.execute("UPDATE record SET data = ? WHERE (collection, id) = (?, ?)",
                 (data, collection, key))


def places(value):
    """(container, name) of all that is in a value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for name, member in pairs:
        yield value, name
        if isinstance(member, (dict, list)):
            yield from places(member)


DAMAGES = (drop_one, add_one, rename_one, change_version, change_data,
           add_member, no_json, another_type, no_number)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__)
def test_damaged_copies(past, asking, damage):
    chance = random.Random(SEED)
    seen = 0
    while seen < 30:
        collection = chance.choice(list(PATHS))
        version = chance.randrange(1, RUNS + 1)
        with contextlib.closing(copy_of(asking, collection, version)) as copy:
            if copy.execute("SELECT 1 FROM record").fetchone():
                assert is_right(copy, asking, collection, version)
                damage(copy, chance)
                assert not is_right(copy, asking, collection, version)
                seen += 1


def test_stale_copies(past, asking):
    """The version is that of the service, and what came with it is not."""
    chance = random.Random(SEED)
    seen = 0
    while seen < 100:
        collection = chance.choice(list(PATHS))
        since, between, version = sorted(
            chance.sample(range(1, RUNS + 1), 3))
        copy, other = (copy_of(asking, collection, since) for _ in range(2))
        is_missing = take(copy, asking, collection, since, between)
        take(copy, asking, collection, between, version)
        take(other, asking, collection, between, version)
        assert is_right(copy, asking, collection, version)
        if is_missing and rows(copy) != rows(other):
            assert not is_right(other, asking, collection, version)
            seen += 1
        for each in (copy, other):
            each.close()


def rows(copy):
    return copy.execute("SELECT * FROM record ORDER BY 1, 2").fetchall()


# The program

@contextlib.contextmanager
def opened(path):
    database = sqlite3.connect(path, timeout=PATIENCE)
    try:
        yield database
        database.commit()
    finally:
        database.close()


def said(name, version):
    return (f"nompd-client: {name}: the copy is not what the service has at"
            f" version {version}; a full list follows")


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__)
def test_a_damaged_copy_is_made_anew(service, damage):
    """With the next change; of the one collection that is damaged."""
    service.publish(*lists("a", "b", "c"))
    service.client.done()
    with opened(service.client.copy) as database:
        database.execute("CREATE TABLE aside AS SELECT * FROM record"
                         " WHERE collection = 'treatmentGroup'")
        database.execute("DELETE FROM record"
                         " WHERE collection = 'treatmentGroup'")
        damage(database, random.Random(SEED))
        database.execute("INSERT INTO record SELECT * FROM aside")
        database.execute("DROP TABLE aside")
    ended = service.client.run("--check")
    assert ended.out.splitlines() == [
        "treatmentGroup: version 1, as the service has it",
        "reimbursementGroup: version 1, not what the service has"]
    assert (ended.status, ended.err) == (1, "")
    service.publish(*lists("a", "b", "c", "d"))
    ended = service.client.run()
    assert ended.status == 0
    assert ended.err.splitlines() == [said("reimbursementGroup", 2)]
    first, second = ended.out.splitlines()
    assert first == "treatmentGroup: version 1 to 2, 1 written, 0 removed"
    assert second.startswith("reimbursementGroup: version 2, full list,"
                             " 4 written, ")
    service.check()
    assert service.client.done("--check") == [
        "version 2, as the service has it"] * 2


def test_check(service):
    """It compares the version that the copy has, and changes nothing."""
    ended = service.client.run("--check")
    ended.failed(74, "copy.db: there is no copy to check")
    assert not service.client.copy.exists()
    service.publish(*lists("a", "b"))
    service.client.done()
    before = service.client.records()
    for _ in range(2):
        assert service.client.done("--check") == [
            "version 1, as the service has it"] * 2
        service.publish(*lists("a", "c"))
    assert service.client.records() == before
    with opened(service.client.copy) as database:
        database.execute("DELETE FROM state"
                         " WHERE collection = 'treatmentGroup'")
    ended = service.client.run("--check")
    assert (ended.status, ended.err) == (1, "")
    assert ended.out.splitlines() == [
        "treatmentGroup: no copy",
        "reimbursementGroup: version 1, as the service has it"]
    service.client.done()
    service.check()


def test_check_of_a_version_without_a_digest(service):
    """Never synchronised; without a seal; not kept any more; not there yet."""
    store = service.sync.store

    def unknown(version):
        ended = service.client.run("--check")
        assert (ended.status, ended.err) == (69, "")
        assert ended.out.splitlines() == [
            f"{name}: version {version}, the service tells no digest of it"
            for name in PATHS]
    service.client.done()
    unknown(0)
    for keys in ("a", "ab", "abc"):
        service.publish(*lists(*keys))
    service.client.done()
    seal = stores.SQLITE.seal(store, 3)
    stores.SQLITE.put_seal(store, 3, None)
    unknown(3)
    stores.SQLITE.put_seal(store, 3, seal)
    assert service.client.done("--check") == [
        "version 3, as the service has it"] * 2
    service.publish(*lists("a"))
    stores.SQLITE.set_reach(store, 4, 0)
    unknown(3)
    with opened(service.client.copy) as database:
        database.execute("UPDATE state SET version = 5")
    unknown(5)


def test_two_ends(service):
    """One collection differs, and of the other no digest is told."""
    service.publish(*lists("a"))
    service.client.done()
    seal = stores.SQLITE.seal(service.sync.store, 1)
    del seal["Collections"]["TreatmentGroups"]["Data"]
    stores.SQLITE.put_seal(service.sync.store, 1, seal)
    with opened(service.client.copy) as database:
        database.execute("DELETE FROM record"
                         " WHERE collection = 'reimbursementGroup'")
    ended = service.client.run("--check")
    assert (ended.status, ended.err) == (1, "")
    assert [line.split(", ")[1] for line in ended.out.splitlines()] == [
        "the service tells no digest of it", "not what the service has"]


def test_beyond_the_horizon(service):
    """What has gone since is not known any more: a full list."""
    service.publish(*lists("a", "b"))
    service.client.done()
    service.publish(*lists("a", "c"))
    service.publish(*lists("a", "c", "d"))
    with opened(service.sync.store) as database:
        for name in ("TreatmentGroups", "ReimbursementGroups"):
            assert database.execute(f"DELETE FROM {name} WHERE IsDeleted"
                                    ).rowcount == 1
        database.execute("UPDATE SyncMetadata SET Horizon = 2")
    ended = service.client.run()
    assert ended.status == 0
    assert ended.err.splitlines() == [
        f"nompd-client: {name}: what has gone since version 1 is not known any"
        " more; a full list follows" for name in PATHS]
    assert ended.out.splitlines() == [
        f"{name}: version 3, full list, 3 written, 2 before" for name in PATHS]
    copy = service.check()
    assert set(copy["treatmentGroup"][1]) == {"a", "c", "d"}
    service.publish(*lists("a", "d"))
    assert service.client.done() == [
        "version 3 to 4, 0 written, 1 removed"] * 2


def test_resources(bulk, server, tmp_path):
    """Documents of any form: in the store, on the way, and in the copy."""
    chance = random.Random(SEED)
    running = web.start_server("lighttpd-cgi", tmp_path, store=bulk.store)
    patients = Client(tmp_path, f"http://127.0.0.1:{running.port}",
                      web.make_key(running, "hospital"))
    try:
        for version in range(1, 7):
            for _ in range(8):
                server.world.put("Patient", f"p{chance.randrange(20)}",
                                 more=digits_kept(finite(chance)[0]))
            if version > 1:
                server.world.delete(chance.choice(sorted(
                    server.world.resources)))
            assert bulk.run("--max-delete", "100%").status == 0
            for how in ((), ("--check",)):
                ended = patients.run("--resource", "Patient", *how)
                assert ended.err == "", version
            assert ended.out.splitlines()[2] == (
                f"resource/Patient: version {version}, as the service has it")
    finally:
        patients.close()
        running.stop()


def digits_kept(value):
    """A document whose numbers dumps() writes as they are."""
    if isinstance(value, documents.Number):
        return number(value)
    if isinstance(value, list):
        return [digits_kept(v) for v in value]
    if isinstance(value, dict):
        return {name: digits_kept(v) for name, v in value.items()}
    return value


# Against a scripted service

def with_digest(version, digest, *items):
    return Answer(whole(version, *items), headers=[
        ("Digest-Version", str(version)), ("Digest-SHA256", digest)])


def digest_of(*items):
    return digests.digest({i["data"]["id"]: (i["version"], i["data"])
                           for i in items})


def test_a_list_that_is_not_its_digest(client, scripted):
    """It does not count, and the copy stays as it is."""
    client.done()
    before = client.records()
    good = digest_of(item("c"))
    for told in (64 * "0", good.upper(), good[1:]):
        scripted.script(FIRST, with_digest(5, told, item("c")))
        client.run("--full").failed(76, "full list of version 5 is not what"
                                    " its digest says")
        assert client.records() == before
    scripted.script(FIRST, with_digest(5, good, item("c")))
    client.done("--full")
    assert set(client.records()["treatmentGroup"][1]) == {"c"}


def test_a_digest_of_another_version(client, scripted):
    """It says nothing about this one."""
    scripted.script(FIRST, Answer(whole(5, item("c")), headers=[
        ("Digest-Version", "4"), ("Digest-SHA256", 64 * "0")]))
    client.done()
    scripted.script(FIRST + "?sinceVersion=5", Answer(whole(6, item("d", 6))))
    scripted.script(FIRST + "?asOfVersion=6", with_digest(7, 64 * "0"))
    client.done()
    assert set(client.records()["treatmentGroup"][1]) == {"c", "d"}
    assert client.run("--check").status == 69


@pytest.mark.parametrize("status", (400, 404, 405, 410, 418, 500, 501))
def test_no_digest_to_be_had(client, scripted, status):
    """Then there is nothing to compare with."""
    client.done()
    scripted.script(FIRST + "?sinceVersion=2", Answer(whole(3, item("c", 3))))
    scripted.script(FIRST + "?asOfVersion=3", Answer(status=status))
    assert client.done()[0] == "version 2 to 3, 1 written, 0 removed"
    head, = scripted.requests(FIRST + "?asOfVersion=3")
    assert head.method == "HEAD" and head.headers["x-api-key"] == client.key


def test_a_digest_that_takes_patience(client, scripted):
    client.done()
    scripted.script(FIRST + "?sinceVersion=2", Answer(whole(3, item("c", 3))))
    scripted.script(FIRST + "?asOfVersion=3", Answer(status=503), with_digest(
        3, digest_of(item("a"), item("b", 2), item("c", 3))))
    assert client.done()[0] == "version 2 to 3, 1 written, 0 removed"
    assert asked(scripted).count(FIRST + "?asOfVersion=3") == 2


@pytest.mark.parametrize("status, ends", ((503, 69), (401, 77), (403, 77)))
def test_refused_a_digest(client, scripted, status, ends):
    """The change is not taken either: it comes again with the next run."""
    client.done()
    before = client.records()
    scripted.script(FIRST + "?sinceVersion=2", Answer(whole(3, item("c", 3))))
    scripted.script(FIRST + "?asOfVersion=3", Answer(status=status))
    client.run("--tries", 2).failed(ends, str(status))
    assert client.records() == before


def test_an_empty_list_after_a_digest(client, scripted):
    """What holds back an empty list holds here, too."""
    client.done()
    before = client.records()
    scripted.script(FIRST + "?sinceVersion=2", Answer(whole(3, item("c", 3))))
    scripted.script(FIRST + "?asOfVersion=3", with_digest(3, 64 * "0"))
    scripted.script(FIRST, with_digest(3, digest_of()))
    ended = client.run()
    assert ended.status == 65
    assert said("treatmentGroup", 3) in ended.err
    assert client.records() == before


def test_gone_without_changes_asked_for(client, scripted):
    """A full list cannot be gone."""
    scripted.script(FIRST, Answer({"error": "gone"}, status=410))
    client.run().failed(76, "410 gone")
    assert asked(scripted) == [FIRST]


def test_the_check_does_not_write(client, scripted):
    client.done()
    with opened(client.copy) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(client.copy, client.folder / "before.db")
    for path in (FIRST, SECOND):
        scripted.script(path + "?asOfVersion=2", with_digest(2, 64 * "0"))
    ended = client.run("--check")
    assert (ended.status, ended.err) == (1, "")
    assert client.copy.read_bytes() == (
        client.folder / "before.db").read_bytes()
    assert {r.method for r in scripted.requests()[2:]} == {"HEAD"}
