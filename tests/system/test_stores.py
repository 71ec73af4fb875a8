"""The tests' own look into a store: it misses nothing and changes nothing."""
import pytest

import model
import stores
from conftest import EMPTY, KIND
from stores import Record

TIME = 1744273800123
DOCUMENT = {"id": "k1", "n": model.Decimal128("1.50"), "big": 2**40,
            "": [True, None, {}], "$set": {"a.b": "Å💊\0"}}


def record(key, version=1, **members):
    document = {**DOCUMENT, "key": key}
    return Record(key, model.encode(document), version, 0, TIME,
                  model.content_hash(document))._replace(**members)


def test_put_and_delete(filled):
    """What is written behind the program's back is what is found."""
    before = filled.dump()
    for key in ("new", "p1", " $\n\"å"):
        KIND.put(filled.store, "TreatmentGroups", record(key, deleted=1))
    after = filled.dump()
    for where, old in before.records.items():
        if where != ("TreatmentGroups", "p1"):
            assert after.records.pop(where) == old
    assert after.records == {
        ("TreatmentGroups", key): record(key, deleted=1)
        for key in ("new", "p1", " $\n\"å")}
    assert after[1:] == before[1:]
    for key in ("new", " $\n\"å"):
        KIND.delete(filled.store, "TreatmentGroups", key)
    KIND.put(filled.store, "TreatmentGroups",
             before.records["TreatmentGroups", "p1"])
    assert filled.dump() == before


@pytest.mark.parametrize("members", [
    {"version": 2}, {"version": 0}, {"hash": "0" * 64},
    {"data": model.encode({})}])
def test_a_wrong_record_is_noticed(filled, members):
    KIND.put(filled.store, "TreatmentGroups", record("x", **members))
    with pytest.raises(AssertionError):
        filled.dump()


def test_copy_is_the_same_and_apart(filled):
    copy = filled.new_store("copy.db")
    assert stores.dump(copy) == EMPTY
    stores.copy_store(filled.store, copy)
    before = filled.dump()
    assert stores.dump(copy) == before
    assert KIND.collections(copy) == KIND.collections(filled.store)
    KIND.put(copy, "TreatmentGroups", record("x"))
    assert filled.dump() == before
    KIND.remove(copy)
    assert stores.dump(copy) == EMPTY
    assert not KIND.exists(copy)
    assert filled.run("--store", stores.uri(filled.store)).counts == (
        0, 0, 15, 0)


def test_old_times_stay(filled):
    KIND.put(filled.store, "TreatmentGroups", record("x", updated=0))
    found = filled.dump().records["TreatmentGroups", "x"]
    assert found == record("x", updated=0)


# What a run may leave that was not published

OLD = stores.Summary({("C", "a"): record("a"), ("C", "b"): record("b")}, 1, 1,
                     1)
CHANGED = record("a", 2, deleted=1)
LEFT = [
    ("raised", OLD._replace(version=2)),
    ("written", OLD._replace(version=2, records={
        **OLD.records, ("C", "a"): CHANGED, ("C", "c"): record("c", 2)})),
]
WRONG = [
    ("lost", OLD._replace(version=2, records={("C", "a"): record("a")})),
    ("not raised", OLD._replace(records={
        **OLD.records, ("C", "a"): CHANGED})),
    ("old version", OLD._replace(version=2, records={
        **OLD.records, ("C", "a"): record("a", deleted=1)})),
    ("raised twice", OLD._replace(version=3)),
    ("published", OLD._replace(version=2, runs=2, finished=2)),
]


if KIND.name == "sqlite":
    LEFT, WRONG = [], LEFT + WRONG


@pytest.mark.only_store("mongodb")
@pytest.mark.parametrize("name,seen", LEFT)
def test_left_by_a_run(name, seen):
    KIND.check_unfinished(OLD, seen)


@pytest.mark.parametrize("name,seen", WRONG)
def test_never_left_by_a_run(name, seen):
    with pytest.raises(AssertionError):
        KIND.check_unfinished(OLD, seen)
