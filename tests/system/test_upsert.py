"""What a run does to each record, and what it prints."""
import json

import pytest

import model
from conftest import EMPTY, FILLED, essence
from upstream import (
    ACTIVITIES, AUTHORIZATIONS, PLANS, activity, authorization, bundle,
    number, plan)

TALLY = ["Added", "Updated", "Unchanged", "Deleted", "Skipped", "Duplicates"]
KEYS = ["AddedKeys", "UpdatedKeys", "DeletedKeys"]


def tally(entry, name):
    return tuple(entry[name][n] for n in TALLY)


def test_first_run(sync):
    ended = sync.run()
    result = ended.result
    assert list(result) == ["version", "added", "updated", "unchanged",
                            "deleted", "durationMs"]
    assert result["version"] == 1
    assert ended.counts == (15, 0, 0, 0)
    state = sync.dump()
    assert state.version == 1
    assert len(state.history) == 1
    assert {r.version for r in state.records.values()} == {1}


def test_second_run_changes_no_record(filled):
    before = filled.dump()
    ended = filled.run()
    assert ended.counts == (0, 0, 15, 0)
    assert ended.result["version"] == 2
    after = filled.dump()
    assert after.records == before.records
    assert (after.version, len(after.history)) == (2, 2)
    assert after.last_sync >= before.last_sync


def test_added(filled, upstream):
    upstream.script(AUTHORIZATIONS, bundle(
        [*FILLED[2], authorization("r4")]))
    before = filled.dump()
    assert filled.run().counts == (2, 0, 15, 0)
    after = filled.dump()
    for name in ("RegulatedAuthorizations", "ReimbursementGroups"):
        assert after.records[name, "r4"].version == 2
    for where, record in before.records.items():
        assert after.records[where] == record


def test_updated(filled, upstream):
    changed = activity("a1", "777777")
    upstream.script(ACTIVITIES, bundle([changed, *FILLED[1][1:]]))
    before = filled.dump()
    assert filled.run().counts == (0, 2, 13, 0)
    after = filled.dump()
    for where in before.records:
        new = where in (("ActivityDefinitions", "a1"),
                        ("TreatmentGroups", "p1"))
        assert (after.records[where] != before.records[where]) == new
        assert after.records[where].version == (2 if new else 1)
    record = after.records["ActivityDefinitions", "a1"]
    assert record.data == model.encode(model.on_the_wire(changed))
    assert b"777777" in after.records["TreatmentGroups", "p1"].data


def test_updated_without_an_effect_on_the_output(filled, upstream):
    plans = [dict(FILLED[0][0], status="draft"), *FILLED[0][1:]]
    upstream.script(PLANS, bundle(plans))
    assert filled.run().counts == (0, 1, 14, 0)


def test_reordered_members_change_nothing(filled, upstream):
    def turned(value):
        if isinstance(value, dict):
            return {n: turned(value[n]) for n in reversed(value)}
        if isinstance(value, list):
            return [turned(v) for v in value]
        return value
    upstream.serve(*[[turned(r) for r in part] for part in FILLED])
    before = filled.dump()
    assert filled.run().counts == (0, 0, 15, 0)
    assert filled.dump().records == before.records


@pytest.mark.parametrize("old,new", [
    ("1.5", "1.50"), ("1", "1.0"), ("100", "1E2"), ('"1"', "1"),
    ("null", "false"), ("[1,2]", "[2,1]"), ('"a"', '"A"'),
    ('"\u00e5"', '"a\u030a"'), ("{}", "[]"), ("0", "null")])
def test_small_differences_count(sync, upstream, old, new):
    for text, counts in ((old, (13, 0, 0, 0)), (old, (0, 0, 13, 0)),
                         (new, (0, 1, 12, 0))):
        upstream.script(ACTIVITIES, bundle([activity(
            "a1", x=number(text) if '"' not in text else
            json.loads(text))]))
        assert sync.run().counts == counts


def test_deleted(filled, upstream):
    upstream.script(AUTHORIZATIONS, bundle(FILLED[2][:2]))
    before = filled.dump()
    assert filled.run().counts == (0, 0, 13, 2)
    after = filled.dump()
    for name in ("RegulatedAuthorizations", "ReimbursementGroups"):
        old, new = before.records[name, "r3"], after.records[name, "r3"]
        assert (new.deleted, new.version) == (1, 2)
        assert (new.data, new.hash) == (old.data, old.hash)
        assert new.updated >= old.updated
    # A tombstone is not deleted twice.
    assert filled.run().counts == (0, 0, 13, 0)
    assert filled.dump().records == after.records


@pytest.mark.parametrize("changed", [False, True])
def test_back_from_the_dead(filled, upstream, changed):
    upstream.script(AUTHORIZATIONS, bundle(FILLED[2][:2]))
    assert filled.run().result["deleted"] == 2
    last = authorization("r3", "5") if changed else FILLED[2][2]
    upstream.script(AUTHORIZATIONS, bundle([*FILLED[2][:2], last]))
    assert filled.run().counts == (0, 2, 13, 0)
    after = filled.dump()
    for name in ("RegulatedAuthorizations", "ReimbursementGroups"):
        record = after.records[name, "r3"]
        assert (record.deleted, record.version) == (0, 3)


def test_duplicates(sync, upstream):
    """The last one wins, is counted and warned of; across pages too."""
    one, two, last = (activity("a1", str(i)) for i in range(3))
    upstream.serve_pages(ACTIVITIES, [one, activity("a2"), two, last], 1)
    ended = sync.run()
    assert ended.result["added"] == 6 + 2 + 6
    assert "a1" in ended.err
    record = sync.dump().records["ActivityDefinitions", "a1"]
    assert record.data == model.encode(model.on_the_wire(last))
    entry = sync.history()[0]
    assert tally(entry, "ActivityDefinitions") == (2, 0, 0, 0, 0, 2)


def test_plan_without_identifier_has_no_group(sync, upstream):
    upstream.script(PLANS, bundle([plan("p1"), plan("x", identifier=[])]))
    assert sync.run().status == 0
    entry = sync.history()[0]
    assert tally(entry, "PlanDefinitions") == (1, 0, 0, 0, 1, 0)
    assert tally(entry, "TreatmentGroups") == (1, 0, 0, 0, 0, 0)


def test_unresolved(sync):
    ended = sync.run()
    assert ended.status == 0
    warned = [line for line in ended.err.splitlines()
              if "p3" in line and "gone" in line]
    assert len(warned) == 1
    assert sync.history()[0]["TreatmentGroups"]["Unresolved"] == 1


def test_history_of_a_run(filled, upstream):
    upstream.serve(
        [*FILLED[0][:2], plan("p4")],
        [activity("a1", "777777"), *FILLED[1][1:]],
        [*FILLED[2], authorization("", "1"), FILLED[2][0]])
    ended = filled.run()
    assert ended.counts == (2, 2, 11, 2)
    entry = filled.history()[0]
    assert entry["Version"] == 2
    assert entry["DurationMs"] == ended.result["durationMs"]
    assert tally(entry, "PlanDefinitions") == (1, 0, 2, 1, 0, 0)
    assert tally(entry, "ActivityDefinitions") == (0, 1, 2, 0, 0, 0)
    assert tally(entry, "RegulatedAuthorizations") == (0, 0, 3, 0, 1, 1)
    assert tally(entry, "TreatmentGroups") == (1, 1, 1, 1, 0, 0)
    assert tally(entry, "ReimbursementGroups") == (0, 0, 3, 0, 0, 0)
    keys = {name: [entry[name][k] for k in KEYS]
            for name in model.COLLECTIONS}
    assert keys == {
        "PlanDefinitions": [["p4"], [], ["p3"]],
        "ActivityDefinitions": [[], ["a1"], []],
        "RegulatedAuthorizations": [[], [], []],
        "TreatmentGroups": [["p4"], ["p1"], ["p3"]],
        "ReimbursementGroups": [[], [], []]}


def test_unusual_keys(sync, upstream):
    keys = [" ", "a b", 'q"uote', "back\\slash", "å", "💊", "line\nend",
            "$set", "a.b", "'; DROP TABLE TreatmentGroups; --", "%s%n", "A",
            "a", "\x7f", "\ufeff", "null"]
    upstream.serve([plan(k) for k in keys], [activity(k) for k in keys],
                   [authorization(k) for k in keys])
    count = 5 * len(keys)
    assert sync.run().counts == (count, 0, 0, 0)
    assert sync.run().counts == (0, 0, count, 0)
    upstream.serve([plan(k, "x") for k in keys], [activity(k) for k in keys],
                   [authorization(k) for k in reversed(keys)])
    assert sync.run().counts == (0, 2 * len(keys), 3 * len(keys), 0)
    entry = sync.history()[0]["TreatmentGroups"]
    assert sorted(entry["UpdatedKeys"]) == sorted(keys)


def test_order_of_the_list_does_not_matter(filled, upstream):
    upstream.serve(*[list(reversed(part)) for part in FILLED])
    assert filled.run().counts == (0, 0, 15, 0)


def test_failed_first_run_then_a_good_one(sync, upstream):
    good = upstream.answers[f"/api/{PLANS}"]
    upstream.script(PLANS, "x")
    sync.run().failed(76)
    assert sync.dump() == EMPTY
    upstream.script(PLANS, *good)
    assert sync.run().result["version"] == 1


def test_no_temporary_file_is_left(sync, upstream):
    assert sync.run().status == 0
    upstream.script(PLANS, "x")
    sync.run().failed(76)
    assert list(sync.temporary.iterdir()) == []


def test_many_records(sync, upstream):
    """Enough for several batches and for keys that go on elsewhere."""
    keys = [f"{i:05}-" + "k" * 200 for i in range(3000)]
    upstream.serve([], [activity(k, "1", "2") for k in keys], [])
    assert sync.run().counts == (3000, 0, 0, 0)
    upstream.serve([], [activity(k, "1" if i % 2 else "3", "2")
                        for i, k in enumerate(keys[100:])], [])
    ended = sync.run("--max-delete", "100%")
    assert ended.counts == (0, 1450, 1450, 100)
    entries = sync.history()
    assert [e["Version"] for e in entries] == [2, 1]
    assert sorted(entries[1]["ActivityDefinitions"]["AddedKeys"]) == keys
    assert sorted(
        entries[0]["ActivityDefinitions"]["DeletedKeys"]) == keys[:100]
    assert sum(v.version == 2 for v in essence(
        sync.dump()).values()) == 1550
