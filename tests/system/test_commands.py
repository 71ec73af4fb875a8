"""init, history, show and reconvert."""
import json

import pytest

import model
import stores
from conftest import EMPTY, FILLED, KIND, essence
from upstream import ACTIVITIES, activity, bundle, dumps, number

RECORD = ["_id", "BusinessKey", "Data", "Version", "IsDeleted", "UpdatedAt",
          "ContentHash"]
TALLY = ["Added", "Updated", "Unchanged", "Deleted", "Skipped", "Duplicates",
         "AddedKeys", "UpdatedKeys", "DeletedKeys"]
LETTERS = dict(zip(model.COLLECTIONS, "parpr"))


# init

def test_init(sync):
    ended = sync.run("init", key=None)
    assert (ended.status, ended.out) == (0, "")
    assert sync.dump() == EMPTY
    assert KIND.made <= KIND.collections(sync.store)
    assert sync.run().result["version"] == 1


def test_init_of_a_filled_store(filled):
    before = filled.dump()
    assert filled.run("init", key=None).status == 0
    assert filled.dump() == before


def test_init_twice(sync):
    assert [sync.run("init").status for _ in range(2)] == [0, 0]
    assert sync.dump() == EMPTY


# history

def test_history_json(filled):
    ended = filled.run()
    entries = filled.history()
    assert [e["Version"] for e in entries] == [2, 1]
    for entry in entries:
        assert list(entry) == ["Version", "SyncedAt", "DurationMs",
                               *model.COLLECTIONS, "Seal"]
        for name in model.COLLECTIONS:
            members = list(entry[name])
            if name == "TreatmentGroups":
                members.remove("Unresolved")
            assert members == TALLY
    assert entries[0]["DurationMs"] == ended.result["durationMs"]
    for name in model.COLLECTIONS:
        assert entries[1][name]["Added"] == 3
        assert entries[1][name]["AddedKeys"] == [
            f"{LETTERS[name]}{i}" for i in (1, 2, 3)]
        assert entries[0][name]["Unchanged"] == 3


def test_history_limit(filled):
    for _ in range(11):
        assert filled.run().status == 0
    versions = [e["Version"] for e in filled.history("--limit", "3")]
    assert versions == [12, 11, 10]
    assert len(filled.history()) == 10
    assert len(filled.history("--limit", "100")) == 12


def test_history_table(filled):
    filled.run()
    ended = filled.run("history", key=None)
    assert ended.status == 0
    lines = ended.out.splitlines()
    assert len(lines) >= 3
    two = next(i for i, s in enumerate(lines) if s.split()[:1] == ["2"])
    one = next(i for i, s in enumerate(lines) if s.split()[:1] == ["1"])
    assert two < one


def test_history_of_an_empty_store(sync):
    assert sync.run("init").status == 0
    assert sync.history() == []
    assert sync.run("history").status == 0


@pytest.mark.parametrize("command", [
    ("history",), ("show", "PlanDefinitions", "p1"), ("reconvert",)])
def test_without_a_store(sync, command):
    """No store comes into being by a question."""
    sync.run(*command).failed(74, sync.store.name)
    assert not KIND.exists(sync.store)


def test_failed_runs_are_not_in_the_history(filled, upstream):
    upstream.script(ACTIVITIES, "x")
    filled.run().failed(76)
    assert [e["Version"] for e in filled.history()] == [1]


# show

def test_show(filled):
    text = filled.show("ActivityDefinitions", "a1")
    shown = json.loads(text)
    assert list(shown) == RECORD
    record = filled.dump().records["ActivityDefinitions", "a1"]
    assert shown["_id"] == shown["BusinessKey"] == "a1"
    assert shown["Version"] == 1
    assert shown["IsDeleted"] is False
    assert shown["ContentHash"] == record.hash
    assert model.encode(model.parse(text)["Data"]) == record.data


@pytest.mark.parametrize("name,key", [
    (name, key) for name, part in zip(model.RAW, "par")
    for key in (f"{part}1", f"{part}3")] + [
    ("TreatmentGroups", "p1"), ("TreatmentGroups", "p3"),
    ("ReimbursementGroups", "r2")])
def test_show_round_trip(filled, name, key):
    shown = model.parse(filled.show(name, key))
    assert model.encode(shown["Data"]) == filled.dump().records[name, key].data


def test_show_keeps_digits_and_text(sync, upstream):
    numbers = ["1.50", "100", "-7", str(2**31), str(-2**63), "0.00",
               "0.000001", "1234567890.123456789012345678901234"]
    text = "a\0b\x01\x1f\x7f\u2028 \"\\/ 💊 \ufeff"
    resource = activity("x1", n=[number(n) for n in numbers], text=text)
    upstream.script(ACTIVITIES, bundle([resource]))
    assert sync.run().status == 0
    shown = sync.show("ActivityDefinitions", "x1")
    found = json.loads(shown, parse_float=str, parse_int=str)["Data"]
    assert found["n"] == numbers
    assert found["text"] == text
    for char in "\0\x01\x1f":
        assert char not in shown


@pytest.mark.parametrize("digits", [
    "1E5", "-0.0", "0.0000001", "1E6111", "1.0E-300"])
def test_show_of_exponents(sync, upstream, digits):
    upstream.script(ACTIVITIES, bundle([activity("x", n=number(digits))]))
    assert sync.run().status == 0
    found = model.parse(sync.show("ActivityDefinitions", "x"))["Data"]["n"]
    assert found == model.Decimal128(digits)


@pytest.mark.parametrize("key", ["p9", "P1", "p1 ", "1", "*"])
def test_show_of_nothing(filled, key):
    filled.run("show", "PlanDefinitions", key).failed(66, "PlanDefinitions")


def test_show_of_a_tombstone(filled, upstream):
    upstream.script(ACTIVITIES, bundle(FILLED[1][1:]))
    assert filled.run().result["deleted"] == 1
    shown = json.loads(filled.show("ActivityDefinitions", "a1"))
    assert (shown["IsDeleted"], shown["Version"]) == (True, 2)
    assert shown["Data"]["identifier"] == [{"value": "a1"}]


@pytest.mark.parametrize("key", ["--store", "-x", "a b", "å", "'; --"])
def test_show_of_odd_keys(sync, upstream, key):
    upstream.script(ACTIVITIES, bundle([activity(key)]))
    assert sync.run().status == 0
    ended = sync.run("show", "--store", stores.uri(sync.store), "--",
                     "ActivityDefinitions", key)
    assert ended.status == 0, ended.err
    assert json.loads(ended.out)["_id"] == key


# reconvert

def test_reconvert_restores_outputs(filled):
    good = filled.dump()
    other = {"id": "p2"}

    def put(*where, **members):
        KIND.put(filled.store, where[0],
                 good.records[where]._replace(**members))
    KIND.delete(filled.store, "TreatmentGroups", "p1")
    put("TreatmentGroups", "p2", data=model.encode(other),
        hash=model.content_hash(other))
    put("ReimbursementGroups", "r1", deleted=1)
    put("ReimbursementGroups", "r2", key="x", updated=0)
    ended = filled.run("reconvert", key=None)
    assert ended.result["version"] == 2
    assert (ended.result["added"], ended.result["updated"],
            ended.result["deleted"]) == (1, 2, 1)
    after = filled.dump()
    lost = after.records.pop(("ReimbursementGroups", "x"))
    assert (lost.deleted, lost.version) == (1, 2)
    for where, old in good.records.items():
        new = after.records[where]
        assert (new.data, new.hash, new.deleted) == (
            old.data, old.hash, old.deleted)
        touched = where in (("TreatmentGroups", "p1"), (
            "TreatmentGroups", "p2"), ("ReimbursementGroups", "r1"))
        assert new.version == (2 if touched else 1)
    assert [e["Version"] for e in filled.history()] == [2, 1]


def test_reconvert_changes_nothing_twice(filled):
    before = essence(filled.dump())
    result = filled.run("reconvert", key=None).result
    assert (result["added"], result["updated"], result["deleted"]) == (0, 0, 0)
    assert essence(filled.dump()) == before
    assert filled.run().counts == (0, 0, 15, 0)


def test_reconvert_dry(filled):
    KIND.delete(filled.store, "TreatmentGroups", "p1")
    before = filled.dump()
    ended = filled.run("reconvert", "--dry-run", "--plan", key=None)
    assert ended.result["added"] == 1
    assert dumps({"collection": "TreatmentGroups", "key": "p1",
                  "act": "add"}, separators=(",", ":")) in ended.err
    assert filled.dump() == before


def test_reconvert_leaves_out_tombstones(filled, upstream):
    upstream.script(ACTIVITIES, bundle(FILLED[1][1:]))
    assert filled.run().status == 0
    before = essence(filled.dump())
    result = filled.run("reconvert", key=None).result
    assert (result["added"], result["updated"], result["deleted"]) == (0, 0, 0)
    assert essence(filled.dump()) == before
