"""The seals of the history: what they say, and that no change goes unseen."""
import itertools
import json
import os

import bson
import pytest
from bson.int64 import Int64

import seals
import upstream as up
from conftest import FILLED, Sync, folder_upstream
from stores import KIND, few
from test_model import Generator

SEEDS = 12
RUNS = 6


def check(sync):
    """The program finds nothing, and another one neither."""
    history = seals.read(sync.store)
    history.check()
    seals.check_records(sync.dump(), history.entries[-1])
    findings, summary = seals.verify(sync)
    assert findings == []
    assert history.entries[-1].chain() in summary
    return history


def keygen(sync, name="seal"):
    """(private file, public file)"""
    private, public = (sync.folder / f"{name}{end}.json"
                       for end in ("", "-public"))
    made = sync.run("keygen", "--alg", "Ed25519", "--private-key-file",
                    private, "--public-jwks-file", public)
    assert made.status == 0, made.err
    return private, public


# What they say

@pytest.mark.parametrize("seed", range(few(SEEDS)))
def test_random_runs(sync, upstream, seed):
    """Of whatever runs, the seals are what the formulas give."""
    generator = Generator(f"seal {seed}")
    for _ in range(RUNS):
        upstream.serve(*generator.step())
        ended = sync.run("--max-delete", "100%")
        assert ended.status == 0, ended.err
        check(sync)
        again = sync.run(*generator.one([], ["reconvert"]))
        assert again.status == 0, again.err
        history = check(sync)
    assert len(history.entries) == 2 * RUNS


@pytest.mark.parametrize("seed", range(few(2)))
def test_killed_runs(sync, upstream, seed):
    """What runs leave that died is sealed by the next one, and nothing of it
    looks like a change of the history."""
    generator = Generator(f"killed {seed}")
    chance = generator.chance
    for _ in range(few(2 * RUNS)):
        upstream.serve(*generator.step())
        ended = sync.run("--max-delete", "100%", env={
            "NOMPD_STORE_KILL_AT": str(chance.randrange(1, 60))})
        assert ended.status in (0, -9), ended.err
        sync.expire_lease()
        if KIND.exists(sync.store):
            assert seals.verify(sync)[0] == []
        if chance.random() < 0.5:
            again = sync.run("--max-delete", "100%")
            assert again.status == 0, again.err
            check(sync)


def test_log_has_the_digest(filled):
    ended = filled.run()
    digest = seals.read(filled.store).entries[-1].chain()
    assert f"version 2 is published; its history entry has the digest {digest}"\
        in ended.err


def test_unchanged_run_takes_over(filled):
    """What a run has not written to is not read again: only the numbers of
    records that were removed behind its back stay as they were."""
    before = seals.read(filled.store).entries[-1].document()["Collections"]
    KIND.delete(filled.store, "RegulatedAuthorizations", "r1")
    KIND.delete(filled.store, "ReimbursementGroups", "r1")
    assert filled.run("reconvert").status == 0
    after = seals.read(filled.store).entries[-1].document()["Collections"]
    assert after == before
    findings, _ = seals.verify(filled)
    assert [(v, t.split(":")[0]) for v, t in findings] == [
        (2, "RegulatedAuthorizations"), (2, "ReimbursementGroups")]
    assert "3 live records and 0 tombstones; the store has 2 and 0" in str(
        findings)


def test_bulk(bulk, server):
    """Collections of FHIR types have seals too; one that a run does not ask
    for keeps its own."""
    for i in range(3):
        server.world.put("Basic", f"b{i}", note="Å")
        server.world.put("Location", f"l{i}", x=up.number("1.50"))
    for args in ([], ["--type", "Basic", "--max-delete", "100%"]):
        ended = bulk.run("--no-upstream-key", *args, key=None)
        assert ended.status == 0, ended.err
        history = check(bulk)
        assert {"Basic", "Location"} <= set(
            history.entries[-1].document()["Collections"])
        server.world.resources.pop("Basic/b1", None)
        server.world.put("Basic", "b0")


def test_history_json(filled):
    """The seal as it is stored."""
    entry, = filled.history()
    assert list(entry)[-1] == "Seal"
    assert entry["Seal"] == seals.read(filled.store).entries[0].document()


@pytest.mark.parametrize("member, kind", [
    ({"Rollback": {"To": Int64(7), "Reason": "x"}}, "rollback to 7"),
    ({"Prune": {"Tombstones": Int64(1), "Names": ["a", {"b": 1}]}}, "prune"),
    ({"Repair": {"Hashes": Int64(2)}}, "repair"),
])
def test_kinds_of_runs(filled, member, kind):
    """Members that are no collections are shown as they are."""
    history = seals.read(filled.store)
    entry = history.entries[0]
    entry.tallies = bson.encode({**bson.decode(entry.tallies), **member})
    history.reseal()
    seals.write(filled.store, history)
    found, = filled.history()
    name, = member
    assert found[name] == member[name]
    row = filled.run("history").out.splitlines()[-1]
    assert row.endswith("  " + kind)


# Tampering

def tell(folder, *served):
    """A store with a run over each of the lists, and the key that signed."""
    program = Sync(folder)
    key = keygen(program)
    for i, lists in enumerate(served):
        url = folder_upstream(folder / f"upstream{i}", *lists)
        ended = program.run("--max-delete", "100%", "--seal-key-file", key[0],
                            url=url)
        assert ended.status == 0, ended.err
    return program, key


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """One with a history of five versions; copied, never written."""
    program, key = tell(
        tmp_path_factory.mktemp("told"), FILLED,
        (FILLED[0], [up.activity("a1", "7"), up.activity("a9")], FILLED[2]),
        FILLED, FILLED, (FILLED[0][:2], *FILLED[1:]))
    yield program.store, key
    program.close()


@pytest.fixture(scope="module")
def wide_store(tmp_path_factory):
    """One whose key lists have parts, two of some lists."""
    many = [up.activity(f"{i:03}" + "k" * 1000) for i in range(620)]
    program, _ = tell(tmp_path_factory.mktemp("wide"), FILLED,
                      (FILLED[0], many, FILLED[2]), FILLED)
    yield program.store
    program.close()


@pytest.fixture
def signed(bare, told):
    """A program with that store, and the key's files."""
    KIND.copy(told[0], bare.store)
    bare.private, bare.public = told[1]
    return bare


def test_signatures(signed, tmp_path):
    """OpenSSL finds them sound as well."""
    history = seals.read(signed.store)
    history.check()
    key, = json.loads(signed.public.read_text())["keys"]
    for entry in history.entries:
        assert seals.is_signed(entry, key, tmp_path)
    for file in (signed.private, signed.public):
        findings, summary = seals.verify(signed, "--seal-key-file", file)
        assert findings == []
        assert "5 of 5 signatures are sound" in summary
    findings, summary = seals.verify(signed)
    assert findings == []
    assert "5 signed, not checked" in summary


def leaves(value, path=()):
    """The places of all values in a document, those of documents included."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, member in items:
        yield (*path, name)
        if isinstance(member, (dict, list)):
            yield from leaves(member, (*path, name))


def other(value):
    """A value of the same kind."""
    if isinstance(value, dict):
        return {**value, "more": 1}
    if isinstance(value, list):
        return [*value, "more"]
    if isinstance(value, int):
        return type(value)(value + 1)
    flip = "1" if value[:1] == "0" else "0"
    return flip + value[1:] if value else "x"


def change(document, path, is_removed):
    at = document
    for name in path[:-1]:
        at = at[name]
    if is_removed:
        del at[path[-1]]
    else:
        at[path[-1]] = other(at[path[-1]])


def changes(entry):
    """(what, function that does it to an entry)"""
    def column(name, add):
        return f"{name} {add}", lambda forged: setattr(
            forged, name, getattr(forged, name) + add)

    def leaf(part, path, is_removed):
        def do(forged):
            document = bson.decode(getattr(forged, part))
            change(document, path, is_removed)
            setattr(forged, part, bson.encode(document))
        return f"{part} {path} {is_removed}", do

    yield column("synced_at", 1)
    yield column("duration", -1)
    for part in ("tallies", "seal"):
        for path in leaves(bson.decode(getattr(entry, part))):
            yield leaf(part, path, False)
            yield leaf(part, path, True)


def find(sync, history, *args, version=None):
    """The change is found, in the entry of that version or the next one."""
    seals.write(sync.store, history)
    ended = sync.run("verify", "--history", *args)
    assert ended.status == 1, (ended.out, ended.err)
    assert "finding" in ended.err
    named = [seals.FINDING.fullmatch(line).group(1)
             for line in ended.out.splitlines()[:-1]]
    assert named
    if version is not None:
        assert str(version) in named, ended.out
    return ended.out


def test_each_field(signed):
    """Every value of tallies and seal, and every column, is changed or gone in
    turn, one of each entry at a time: each entry is named for its own."""
    history = seals.read(signed.store)
    todo = list(itertools.zip_longest(*map(changes, history.entries)))
    assert len(todo) > 100
    for done in todo[::1 if KIND.name == "sqlite" else 10]:
        forged = history.copy()
        for entry, what in zip(forged.entries, done):
            if what:
                what[1](entry)
        out = find(signed, forged, "--seal-key-file", signed.public)
        own = {line.split(":")[0] for line in out.splitlines()
               if "is chained to" not in line}
        for entry, what in zip(forged.entries, done):
            assert (f"version {entry.version}" in own) == bool(what), (
                what and what[0], out)
    seals.write(signed.store, history)
    assert seals.verify(signed)[0] == []


@pytest.mark.parametrize("i", range(5))
def test_dropped_entry(signed, i):
    history = seals.read(signed.store)
    head = history.entries[-1].chain()
    versions = [entry.version for entry in history.entries]
    del history.entries[i]
    if i < 4:
        out = find(signed, history, version=versions[i + 1])
        assert "dropped" in out
    # Of the newest one nothing is left that could tell of it, but its digest.
    out = find(signed, history, "--head", head)
    assert ("it was changed, cut off, or pruned since" in out) == (i == 4)


@pytest.mark.parametrize("i, j", [(0, 1), (1, 3), (3, 4), (0, 4)])
def test_swapped_entries(signed, i, j):
    """Each with the other's version, or with all but the version."""
    history = seals.read(signed.store)
    one, two = history.entries[i], history.entries[j]
    one.version, two.version = two.version, one.version
    history.entries.sort(key=lambda entry: entry.version)
    find(signed, history, version=one.version)
    find(signed, history, version=two.version)


def test_moved_entry(signed):
    """Another version for an entry, with and without what goes with it."""
    history = seals.read(signed.store)
    history.entries[2].version = 9
    history.entries.sort(key=lambda entry: entry.version)
    find(signed, history, version=9)


def test_added_entry(signed):
    history = seals.read(signed.store)
    copy = history.entries[-1].copy()
    copy.version = 6
    history.entries.append(copy)
    find(signed, history, version=6)


def test_removed_seal(signed):
    """As if an older program had made that entry."""
    history = seals.read(signed.store)
    for i in range(5):
        forged = history.copy()
        forged.entries[i].seal = None
        # Of the first one only the next can tell.
        find(signed, forged, version=max(i + 1, 2))
    for entry in history.entries:
        entry.seal = None
    find(signed, history, "--seal-key-file", signed.public)


@pytest.mark.parametrize("what", [
    None, "dropped", "last dropped", "keys", "collection", "act", "part",
    "moved", "added", "swapped"])
def test_parts(bare, wide_store, what):
    """Of key lists that the entry has no room for."""
    KIND.copy(wide_store, bare.store)
    history = seals.read(bare.store)
    history.parts.sort()
    assert [part[:4] for part in history.parts] == [
        (version, "ActivityDefinitions", act, part)
        for version, act in ((2, "Added"), (3, "Deleted")) for part in (1, 2)]
    version, collection, act, part, keys = last = history.parts[-1]
    if what is None:
        check(bare)
        return
    if what == "dropped":
        del history.parts[-2]
    elif what == "last dropped":
        del history.parts[-1]
    elif what == "swapped":
        one = history.parts[-2]
        history.parts[-2:] = [(*one[:4], keys), (*last[:4], one[4])]
    elif what == "added":
        history.parts.append((version, collection, act, part + 1, keys))
    else:
        at = ["moved", "collection", "act", "part", "keys"].index(what)
        changed = [1, "PlanDefinitions", "Updated", part + 1,
                   bson.encode({"0": "x"})][at]
        history.parts[-1] = (*last[:at], changed, *last[at + 1:])
    out = find(bare, history, version=version)
    assert "further parts" in out


@pytest.mark.parametrize("is_signed", [None, False])
def test_all_made_again(signed, is_signed):
    """Who has no key can make a chain, but not this one."""
    history = seals.read(signed.store)
    head = history.entries[-1].chain()
    document = bson.decode(history.entries[1].tallies)
    document["PlanDefinitions"]["Added"] += 1
    history.entries[1].tallies = bson.encode(document)
    history.reseal(is_signed=is_signed)
    history.check()
    seals.write(signed.store, history)
    assert seals.verify(signed)[0] == []
    find(signed, history, "--seal-key-file", signed.public)
    find(signed, history, "--head", head)
    # From that entry on is enough of it.
    history = seals.read(signed.store)
    history.reseal(1, is_signed)
    find(signed, history, "--seal-key-file", signed.public)


def test_other_key(signed):
    """Signed by somebody else."""
    _, public = keygen(signed, "other")
    findings, summary = seals.verify(signed, "--seal-key-file", public)
    assert len(findings) == 5
    assert all("not among those given" in text for _, text in findings)
    assert "0 of 5 signatures are sound" in summary


def test_two_keys(signed):
    """A new key takes over; the set of both checks all."""
    private, public = keygen(signed, "new")
    assert signed.run("reconvert", "--seal-key-file", private).status == 0
    both = signed.folder / "both.json"
    both.write_text(json.dumps({"keys": [
        *json.loads(signed.public.read_text())["keys"],
        *json.loads(public.read_text())["keys"]]}))
    findings, summary = seals.verify(signed, "--seal-key-file", both)
    assert findings == [] and "6 of 6 signatures are sound" in summary


def test_head(signed):
    """Each digest of the chain is found in it."""
    for entry in seals.read(signed.store).entries:
        assert seals.verify(signed, "--head", entry.chain())[0] == []
    findings, _ = seals.verify(signed, "--head", "0" * 64)
    assert len(findings) == 1


# The start of the chain

def test_older_program(signed):
    """Its entries have no seals; the next one hangs on the last of them."""
    history = seals.read(signed.store)
    for entry in history.entries[:2]:
        entry.seal = None
    history.reseal()
    seals.write(signed.store, history)
    findings, summary = seals.verify(signed)
    assert findings == []
    assert summary.startswith("5 entries: 3 sealed, 2 of an older program")
    # And it goes on from there.
    history.entries[-1].seal = history.entries[-2].seal = None
    history.entries[-3].seal = None
    seals.write(signed.store, history)
    assert signed.run("reconvert").status == 0
    findings, summary = seals.verify(signed)
    assert findings == []
    assert summary.startswith("6 entries: 1 sealed, 5 of an older program")
    forged = seals.read(signed.store)
    forged.entries[4].duration += 1
    find(signed, forged, version=6)


def pruned(history, anchor):
    """As if the last run had removed the first two entries."""
    last = history.entries[-1]
    last.tallies = bson.encode({**bson.decode(last.tallies), "Prune": {
        "HistoryTo": Int64(2), "Anchor": anchor}})
    del history.entries[:2]
    history.parts = [part for part in history.parts if part[0] > 2]
    history.reseal(2)


def test_pruned(signed):
    """The start is what the prune says of the entries that went."""
    history = seals.read(signed.store)
    all_of_it = history.copy().entries
    anchor = history.entries[1].chain()
    pruned(history, anchor)
    seals.write(signed.store, history)
    assert seals.verify(signed)[0] == []
    assert seals.verify(signed, "--head", anchor)[0] == []
    # What was to go may still be there, or a part of it.
    for left in ([0], [1], [0, 1]):
        more = history.copy()
        more.entries[:0] = [all_of_it[i].copy() for i in left]
        seals.write(signed.store, more)
        assert seals.verify(signed)[0] == []
    # One more is one too many.
    del history.entries[0]
    out = find(signed, history, version=4)
    assert "it was dropped" in out


def test_wrong_anchor(signed):
    history = seals.read(signed.store)
    pruned(history, history.entries[0].chain())
    find(signed, history, version=3)


# The key

def test_key_comes_first(sync, upstream):
    """A key that is no good ends the run before there is anything."""
    bad = sync.folder / "bad.json"
    bad.write_text("{}")
    os.chmod(bad, 0o600)
    sync.run("--seal-key-file", bad).failed(
        64, "seal key file .*bad.json: want a private Ed25519 key: its kty")
    private, public = keygen(sync)
    sync.run("--seal-key-file", public).failed(
        64, "public key; want the private one|open to others")
    os.chmod(private, 0o644)
    sync.run("--seal-key-file", private).failed(64, "open to others")
    assert not KIND.exists(sync.store)
    assert not upstream.requests()


def test_dry_run_needs_no_key(filled):
    assert filled.run("--dry-run", "--seal-key-file", "none.json").status == 0


def test_variable(filled):
    """The key may be named by the environment, for the check as well."""
    private, public = keygen(filled)
    ended = filled.run(env={"NOMPD_SEAL_KEY_FILE": str(private)})
    assert ended.status == 0, ended.err
    findings, summary = seals.verify(
        filled, env={"NOMPD_SEAL_KEY_FILE": str(public)})
    # The entry of the first run is from before there was a key.
    assert findings == [] and "1 of 1 signatures" in summary


def test_unsigned_after_signed(signed):
    """It is done, with a warning, and the check says so."""
    ended = signed.run("reconvert")
    assert ended.status == 0
    assert "warn  version 6: its history entry is not signed" in ended.err
    assert seals.verify(signed)[0] == []
    findings, _ = seals.verify(signed, "--seal-key-file", signed.public)
    assert findings == [(6, "the entry has no signature, and that of version"
                         " 5 before it has")]


def test_empty_history(bare):
    assert bare.run("init").status == 0
    findings, summary = seals.verify(bare)
    assert findings == [] and summary.startswith("0 entries")


def test_json(signed):
    history = seals.read(signed.store)
    head = history.entries[-1].chain()
    said = signed.run("verify", "--history", "--format", "json")
    assert json.loads(said.out) == {
        "entries": 5, "sealed": 5, "older": 0, "signed": 5,
        "head": {"version": 5, "digest": head}, "findings": 0}
    history.entries[1].duration += 1
    seals.write(signed.store, history)
    said = signed.run("verify", "--history", "--format", "json",
                      "--seal-key-file", signed.public)
    assert said.status == 1
    finding, summary = map(json.loads, said.out.splitlines())
    assert finding["version"] == 2 and "was changed" in finding["finding"]
    assert summary["findings"] == 1 and summary["signaturesSound"] == 5


@pytest.mark.parametrize("args, piece", [
    (["--head", "x"], "--head: want a digest of 64 hex digits"),
    (["--head", "A" * 64], "lower case"),
    (["--repair"], "--repair: want it without --history"),
    (["--seal-key-file", "none.json"], "none.json: No such file"),
])
def test_options(filled, args, piece):
    filled.run("verify", "--history", *args).failed(64, piece)


def test_head_wants_history(filled):
    filled.run("verify", "--head", "0" * 64).failed(
        64, "--head: want --history with it")
