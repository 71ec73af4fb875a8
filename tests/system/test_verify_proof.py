"""What the seals of the history prove: no repair makes outputs of raw records
that are not those of the last run, nobody changes what a version was, and no
bound goes down."""
import signal
import time

import pytest

import model
import seals
from conftest import FILLED, KIND, folder_upstream
from stores import Record
from test_kill import MAX_STEPS
from test_prune import prune
from test_rollback import back
from test_seal import keygen
from test_verify import (  # noqa: F401
    LAST, MONGODB, ODD, ODD_PLAN, SQLITE, WRONG, Verdict, aged, aged_store, damage_of,
    hash_of, outputs, verify)
from upstream import plan

LET = ("--max-delete", "100%")
OLD = "1s"
EXTRA = 12
# More than are looked at in one go.
VERSIONS = 67


def grow_old():
    """What is there now is older than OLD."""
    time.sleep(1.1)


def prune_states(program):
    grow_old()
    prune(program, "--states-older-than", OLD)


def sealed(program, collection):
    return program.history("--limit", "1")[0]["Seal"]["Collections"][
        collection]


# Raw records that are not those of the last run

def lose_plans(program):
    """All but one, which has another hash, and the history tells of none."""
    grow_old()
    prune(program, "--history-older-than", OLD)
    damage = damage_of(program.store)
    damage.remove("PlanDefinitions", "p2")
    damage.record("PlanDefinitions", "p1", ContentHash=WRONG)


def overwrite_a_plan(program):
    damage_of(program.store).record("PlanDefinitions", "p1", Data=ODD_PLAN)


@pytest.mark.parametrize("ruin", [lose_plans, overwrite_a_plan])
def test_raw_records_that_are_not_proven(aged, ruin):  # noqa: F811
    """Outputs stay, and verify says so until a run has fetched all anew; of
    the versions between there is no proof any more."""
    before = aged.dump()
    ruin(aged)
    verdict = verify(aged)
    assert verdict.has(("PlanDefinitions", "p1"), "ContentHash")
    assert verdict.has(("PlanDefinitions",), "the last seal has")
    numbers = sealed(aged, "PlanDefinitions")
    for turn in (1, 2):
        again = verify(aged, "--repair")
        assert [line["proven"] for line in again.repairs] == [False] or (
            turn == 2 and again.repairs == [])
        assert again.has(("PlanDefinitions",), "the last seal has")
        assert outputs(aged.dump()) == outputs(before)
        kept = sealed(aged, "PlanDefinitions")
        assert kept.pop("Unproven") is True and kept == numbers
        assert "Unproven" not in sealed(aged, "TreatmentGroups")
    assert aged.run("reconvert").status == 0
    assert verify(aged).has(("PlanDefinitions",), "the last seal has")


@pytest.mark.parametrize("ruin", [lose_plans, overwrite_a_plan])
def test_a_full_run_mends_them(aged, ruin):  # noqa: F811
    before = aged.dump()
    ruin(aged)
    ended = aged.run("verify", "--repair")
    assert ended.status == 1
    assert "PlanDefinitions: its records are not those that version" in (
        ended.err)
    assert "; the raw records are not proven\n" in ended.out
    assert "the groups are left as they are" in ended.err
    assert "backup" in ended.err and "full run" in ended.err
    assert aged.run(*LET).status == 0
    after = aged.dump()
    assert outputs(after) == outputs(before)
    assert {where: record.data for where, record in after.records.items()
            if not record.deleted} == {
        where: record.data for where, record in before.records.items()
        if not record.deleted}
    assert "Unproven" not in sealed(aged, "PlanDefinitions")
    findings = verify(aged).findings
    assert findings and all("prune" in line["advice"] for line in findings)
    # Something that a prune can take away.
    changed = folder_upstream(aged.folder / "changed", [
        plan("p1", name="Another"), FILLED[0][1]], *FILLED[1:])
    assert aged.run(*LET, url=changed).status == 0
    prune_states(aged)
    assert verify(aged).findings == []


def test_a_hash_that_a_run_has_sealed(aged):  # noqa: F811
    """It was damaged before the last run, so that the seal is wrong; a run
    that finds nothing to do sets it right."""
    damage_of(aged.store).record("PlanDefinitions", "p3", ContentHash=WRONG)
    changed = folder_upstream(aged.folder / "changed", [
        plan("p1", "a1", "a2", name="Plan én"), plan("p2", "a1", name="Q")],
        *FILLED[1:])
    assert aged.run(*LET, url=changed).status == 0
    verdict = verify(aged, "--repair")
    assert verdict.repairs and verdict.has(
        ("PlanDefinitions",), "the last seal has")
    ended = aged.run(*LET, url=changed)
    assert ended.status == 0 and ended.result["updated"] == 0
    findings = verify(aged).findings
    assert findings and all("prune" in line["advice"] for line in findings)
    prune_states(aged)
    assert verify(aged).findings == []


def test_a_json_hash_that_a_run_has_sealed(aged):  # noqa: F811
    """The digest of what consumers get is made again with it."""
    damage_of(aged.store).record("TreatmentGroups", "p2", JsonHash=WRONG)
    assert back(aged, 1, *LET).status == 0
    verdict = verify(aged)
    assert verdict.has(("TreatmentGroups", "p2"), "JsonHash is not")
    assert verdict.has(("TreatmentGroups",), "digest of what consumers get")
    assert verify(aged, "--repair").findings == []
    history = seals.read(aged.store)
    history.check()
    seals.check_records(aged.dump(), history.entries[-1])


def live_outputs(program):
    return {where for where, (_, deleted) in outputs(program.dump()).items()
            if not deleted}


def test_the_guard(aged):  # noqa: F811
    """Outputs that a repair would take away are counted."""
    rightful = live_outputs(aged)
    for i in range(EXTRA):
        item = {"id": f"x{i:02}"}
        KIND.put(aged.store, "TreatmentGroups", Record(
            item["id"], model.encode(item), 1, 0, 1, hash_of(item)))
    before = aged.dump()
    ended = aged.run("verify", "--repair")
    assert ended.status == 65 and all(piece in ended.err for piece in (
        "TreatmentGroups: 12 of 14 live", "no output was written",
        "--max-delete 12 lets"))
    assert outputs(aged.dump()) == outputs(before)
    assert aged.run("verify", "--repair", "--max-delete",
                    "11").status == 65
    verdict = verify(aged, "--repair", "--max-delete", "12")
    assert verdict.repairs[-1]["outputs"] == EXTRA
    assert rightful and live_outputs(aged) == rightful


# What a version was

FORGED = {
    "Data and hash": (
        lambda d: d.state("PlanDefinitions", "p1", 1, Data=ODD_PLAN,
                          ContentHash=hash_of(ODD_PLAN)),
        "PlanDefinitions", 1),
    "Data and hashes of an output": (
        lambda d: d.state("TreatmentGroups", "p1", 1, Data=ODD,
                          ContentHash=hash_of(ODD), JsonHash=json_hash(ODD)),
        "TreatmentGroups", 1),
    "of two versions": (
        lambda d: d.state("TreatmentGroups", "p1", 2, Data=ODD,
                          ContentHash=hash_of(ODD), JsonHash=json_hash(ODD)),
        "TreatmentGroups", 2),
    "a deletion": (
        lambda d: d.state("PlanDefinitions", "p1", 1, IsDeleted=1),
        "PlanDefinitions", 1),
    "a resurrection": (
        lambda d: d.state("RegulatedAuthorizations", "r1", 2, IsDeleted=0),
        "RegulatedAuthorizations", 2),
    "the first version": (
        lambda d: d.state("PlanDefinitions", "p1", 1, Version=2),
        "PlanDefinitions", 1),
    "gone": (
        lambda d: d.remove_state("PlanDefinitions", "p1", 1),
        "PlanDefinitions", 1),
}


def json_hash(value):
    return seals.sha256(seals.documents.canonical(value).encode())


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_state(aged, name):  # noqa: F811
    forge, collection, version = FORGED[name]
    forge(damage_of(aged.store))
    verdict = verify(aged)
    assert verdict.has((collection, version), "it was sealed with"), (
        verdict.findings)
    before = aged.dump()
    for extra in (("--dry-run",), ()):
        back(aged, version, *LET, *extra).failed(
            74, f"{collection} as of version {version} is not what that"
            " version was sealed with", "nothing was written",
            "nompd-sync verify")
        assert aged.dump() == before
    # Of the others each can be gone back to.
    for other in {1, 2, 3} - {version}:
        assert back(aged, other, *LET, "--dry-run").status == 0


def test_tombstones_that_were_pruned(aged):  # noqa: F811
    """They are missing in what was sealed before; what consumers got is
    compared all the same."""
    grow_old()
    prune(aged, "--tombstones-older-than", OLD)
    assert verify(aged).findings == []
    assert back(aged, 1, *LET, "--dry-run").status == 0
    damage_of(aged.store).state(
        "TreatmentGroups", "p1", 1, Data=ODD, ContentHash=hash_of(ODD),
        JsonHash=json_hash(ODD))
    verdict = verify(aged)
    assert [(line["collection"], line["version"]) for line in
            verdict.findings] == [("TreatmentGroups", 1)]
    back(aged, 1, *LET).failed(74, "is not what that version was sealed with")
    # What has come since is compared as a whole.
    assert back(aged, 2, *LET).status == 0
    damage_of(aged.store).record("ActivityDefinitions", "a2", Version=2)
    assert verify(aged).has(("ActivityDefinitions",), "the last seal has")


@SQLITE
def test_many_versions(bare):
    """More than one pass over the records is made."""
    for i in range(VERSIONS):
        bare.url = folder_upstream(
            bare.folder / "lists", [plan("p1", "a1", name=str(i)),
                                    plan("p2", "a1")], *FILLED[1:])
        assert bare.run("--log-level", "error").status == 0
    assert verify(bare).findings == []
    damage = damage_of(bare.store)
    for version in (3, 4, VERSIONS - 1):
        damage.state("TreatmentGroups", "p1", version, Data=ODD,
                     ContentHash=hash_of(ODD), JsonHash=json_hash(ODD))
    findings = verify(bare).findings
    found = [line for line in findings if "sealed with" in line["finding"]]
    assert [line["version"] for line in found] == [4, VERSIONS - 1]
    assert "from version 3 on" in found[0]["finding"]
    assert "on" not in found[1]["finding"].partition(";")[2]


# Runs that died

DIED = f"a run has died after version {LAST};"


def die_in_a_prune(program):
    """All tombstones are gone, and no entry tells of it."""
    damage = damage_of(program.store)
    gone = {where: record.version
            for where, record in program.dump().records.items()
            if record.deleted}
    for where in gone:
        damage.remove(*where)
    KIND.raise_version(program.store)
    damage.metadata(Horizon=max(gone.values()))


def check_died(verdict):
    """The version was raised; only an embedded store is never left so."""
    assert verdict.err.count(DIED) == 1
    assert [line["finding"] for line in verdict.findings] == [
        "CurrentVersion is above that of the last history entry"] * (
            KIND.name == "sqlite")


def prune_again(program, *kinds):
    result = prune(program, *kinds)
    assert result.pop("durationMs") >= 0
    assert result == {"version": LAST + 2, "tombstones": 0, "states": 0,
                      "entries": 0, "horizon": 2, "statesFrom": 0}


NEXT = {
    "prune": lambda program: prune_again(
        program, "--tombstones-older-than", "1d"),
    "another prune": lambda program: prune_again(
        program, "--states-older-than", "1d"),
    "run": lambda program: program.run(*LET),
    "reconvert": lambda program: program.run("reconvert"),
    "rollback": lambda program: back(program, 2, *LET),
}


def check_history(program):
    ended = program.run("verify", "--history")
    assert ended.status == 0, ended.out


@pytest.mark.parametrize("name", NEXT)
def test_a_prune_that_died(aged, name):  # noqa: F811
    """It has done no damage; but what it took no seal tells, and so there is
    no repair until another run has ended."""
    die_in_a_prune(aged)
    check_history(aged)
    check_died(verify(aged))
    damage, where = damage_of(aged.store), ("TreatmentGroups", "p2")
    damage.record(*where, JsonHash=WRONG)
    before = aged.dump()
    ended = aged.run("verify", "--repair")
    assert ended.status == 74
    for piece in (f"a prune has died after version {LAST}",
                  "nothing is repaired", "`nompd-sync prune`"):
        assert piece in ended.err
    assert aged.dump() == before
    damage.record(*where, JsonHash=json_hash(
        model.decode(before.records[where].data)))
    NEXT[name](aged)
    assert len(aged.history("--limit", "9")) == LAST + 1
    check_history(aged)
    damage.record(*where, JsonHash=WRONG)
    verdict = verify(aged, "--repair")
    assert verdict.findings == [] and DIED not in verdict.err
    assert [line["proven"] for line in verdict.repairs] == [True]
    assert not any("Unproven" in sealed(aged, collection)
                   for collection, _ in before.records)
    check_history(aged)
    # What was before can be gone back to, but for the tombstones.
    for version in range(1, LAST + 3):
        if version != LAST + 1:
            assert back(aged, version, *LET, "--dry-run").status == 0
    version = aged.dump().version
    assert prune(aged, "--states-older-than", "1d")["version"] == version


def test_damage_beside_a_prune_that_died(aged):  # noqa: F811
    """What it cannot have done is found."""
    die_in_a_prune(aged)
    damage = damage_of(aged.store)
    damage.state("TreatmentGroups", "p1", 1, Data=ODD,
                 ContentHash=hash_of(ODD), JsonHash=json_hash(ODD))
    assert verify(aged).has(("TreatmentGroups", 1), "it was sealed with")
    check_history(aged)
    damage.remove("ActivityDefinitions", "a2")
    assert verify(aged).has(("ActivityDefinitions",), "the last seal has")
    ended = aged.run("verify", "--history")
    assert ended.status == 1 and "ActivityDefinitions: the entry" in ended.out


def test_tombstones_beside_a_prune_that_died(aged):  # noqa: F811
    """None comes by it."""
    die_in_a_prune(aged)
    for i in range(EXTRA):
        KIND.put(aged.store, "TreatmentGroups", Record(
            f"x{i:02}", model.encode(ODD), 2, 1, 1, hash_of(ODD)))
    ended = aged.run("verify", "--history")
    assert ended.status == 1 and "has 2 and 12\n" in ended.out


def test_a_run_that_died(aged):  # noqa: F811
    """It is told of before what is found."""
    assert "has died" not in verify(aged).err
    KIND.raise_version(aged.store)
    check_died(verify(aged))


@MONGODB
def test_raw_records_of_a_run_that_died(aged):  # noqa: F811
    """The repair undoes them before it looks at what was found; in a store
    without seals that is all it has."""
    for version in range(1, LAST + 1):
        KIND.put_seal(aged.store, version, None)
    before = aged.dump()
    url = folder_upstream(aged.folder / "changed", [
        plan("p1", "a1", name="P"), plan("p2", "a1", name="Q")], *FILLED[1:])
    for step in range(1, MAX_STEPS):
        assert aged.run(*LET, url=url, env={
            "NOMPD_STORE_KILL_AT": str(step)}).status == -signal.SIGKILL
        aged.expire_lease()
        if aged.dump().records["PlanDefinitions", "p1"].version > LAST:
            break
    damage_of(aged.store).record("TreatmentGroups", "p2",
                                 Data={**ODD, "id": "p2"})
    verdict = verify(aged)
    assert verdict.has(("PlanDefinitions", "p1"), "of version")
    verdict = verify(aged, "--repair")
    assert verdict.findings == []
    assert all(line["proven"] for line in verdict.repairs)
    assert outputs(aged.dump()) == outputs(before)


@SQLITE
def test_raw_records_of_a_late_batch(aged):  # noqa: F811
    """Those of a run that died before the last one are not undone."""
    KIND.raise_version(aged.store)
    assert aged.run(*LET).result["version"] == LAST + 2
    for version in (1, 2, LAST, LAST + 2):
        KIND.put_seal(aged.store, version, None)
    damage = damage_of(aged.store)
    damage.change(
        "INSERT INTO RecordHistory SELECT 'ActivityDefinitions', BusinessKey,"
        " Version, ?, IsDeleted, UpdatedAt, ContentHash, Data, JsonHash"
        " FROM ActivityDefinitions WHERE BusinessKey = 'a2'", LAST + 1)
    damage.record("ActivityDefinitions", "a2", Version=LAST + 1)
    damage.record("TreatmentGroups", "p2", JsonHash=WRONG)
    verdict = verify(aged, "--repair")
    assert [line["proven"] for line in verdict.repairs] == [False]
    assert "has no seal, and raw records are damaged" in verdict.err


# Bounds

@pytest.mark.parametrize("name, kinds", [
    ("Horizon", ["--tombstones-older-than", OLD]),
    ("StatesFrom", ["--states-older-than", OLD]),
    ("StatesFrom", ["--history-older-than", OLD])])
def test_a_bound_that_was_lowered(aged, name, kinds):  # noqa: F811
    grow_old()
    result = prune(aged, *kinds)
    now = result[{"Horizon": "horizon", "StatesFrom": "statesFrom"}[name]]
    assert now > 1 and verify(aged).findings == []
    damage_of(aged.store).metadata(**{name: now - 1})
    verdict = verify(aged)
    assert verdict.has((), f"{name} is {now - 1}, and the prune of version"
                           f" {LAST + 1} has made it {now}")
    assert any("backup" in line["advice"] for line in verdict.findings)


# Who signs a repair

def test_a_public_key(aged):  # noqa: F811
    """A repair needs the private one, and says so before it looks."""
    private, public = keygen(aged)
    damage_of(aged.store).record("TreatmentGroups", "p2", JsonHash=WRONG)
    ended = aged.run("verify", "--repair", "--seal-key-file", public)
    ended.failed(64, "--repair", "the private key")
    assert ended.out == ""
    assert aged.run("verify", "--seal-key-file", public).status == 1
    ended = aged.run("verify", "--repair", "--seal-key-file", private,
                     "--format", "json")
    assert Verdict(ended).repairs
    assert aged.history("--limit", "1")[0]["Seal"]["Signature"]
