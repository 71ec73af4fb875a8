"""nompd-sync verify: each kind of damage is found and named, what can be made
again is, and a store that only runs have written has nothing to be found."""
import datetime
import json
import random
import re
import shutil
import sqlite3

import bson
import pytest

import model
from conftest import FILLED, KIND, Sync, copy_store, folder_upstream
from stores import few
from story import SEEDS
from test_bulk_model import Case
from test_jobs_lost import Clock
from test_lease import held_run  # noqa: F401
from test_model import Generator
from test_prune import KINDS, STEPS, Old
from upstream import activity, authorization, plan

HOUR = 3600 * 1000
SUMMARY = {"records", "states", "entries", "findings"}
REPAIR = {"version", "hashes", "outputs", "indexes", "proven"}
SQLITE = pytest.mark.only_store("sqlite")
MONGODB = pytest.mark.only_store("mongodb")
OUTPUTS = ("TreatmentGroups", "ReimbursementGroups")
RUNS = 6


def stages():
    """Of p1 and r1 there are former states; p3 is a tombstone."""
    plans, activities, authorizations = FILLED
    yield plans, activities, authorizations
    changed = plan("p1", "a1", "a2", name="Plan én")
    yield [changed, plans[1]], activities, authorizations[1:]
    yield ([changed, plans[1]], [activity("a1", "7"), *activities[1:]],
           authorizations)


LAST = 3


@pytest.fixture(scope="module")
def aged_store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aged")
    program = Sync(folder)
    for i, lists in enumerate(stages(), 1):
        url = folder_upstream(folder / str(i), *lists)
        assert program.run("--max-delete", "100%", url=url).status == 0
    yield program.store, url
    program.close()


@pytest.fixture
def aged(bare, aged_store):
    copy_store(aged_store[0], bare.store)
    bare.url = aged_store[1]
    return bare


class Verdict:
    """What verify printed: the findings, and the summary at its end."""

    def __init__(self, ended):
        self.status = ended.status
        self.err = ended.err
        lines = [json.loads(line) for line in ended.out.splitlines()]
        self.looks = [[]]
        self.repairs = []
        for line in lines:
            if "finding" in line:
                assert set(line) <= {"collection", "key", "version",
                                     "finding", "advice"}
                self.looks[-1].append(line)
            elif set(line) == REPAIR:
                self.repairs.append(line)
                self.looks.append([])
            else:
                assert set(line) == SUMMARY
                assert line["findings"] == len(self.looks[-1])
                self.summary = line
        assert (self.status == 0) == (not self.findings), ended.err

    @property
    def findings(self):
        return self.looks[-1]

    def has(self, where, words, look=-1):
        """Is there a finding of that place, in such words?"""
        return any(
            where == tuple(line[name] for name in (
                "collection", "key", "version") if name in line)
            and re.search(words, line["finding"])
            for line in self.looks[look])


def verify(program, *args):
    ended = program.run("verify", "--format", "json", *args)
    assert ended.status in (0, 1), ended.err
    return Verdict(ended)


# Damage

class SqliteDamage:
    def __init__(self, store):
        self.store = store

    def change(self, statement, *values):
        KIND.change(self.store, statement, *values)

    def run(self, *statements):
        database = sqlite3.connect(self.store, isolation_level=None)
        for statement in statements:
            database.execute(statement)
        database.close()

    @staticmethod
    def stored(value):
        return model.encode(value) if isinstance(value, dict) else value

    def record(self, collection, key, **members):
        for name, value in members.items():
            self.change(f"UPDATE {collection} SET {name} = ?"
                        " WHERE BusinessKey = ?", self.stored(value), key)

    def state(self, collection, key, version, **members):
        for name, value in members.items():
            self.change(f"UPDATE RecordHistory SET {name} = ? WHERE"
                        " Collection = ? AND BusinessKey = ? AND Version = ?",
                        self.stored(value), collection, key, version)

    def remove(self, collection, key):
        self.change(f"DELETE FROM {collection} WHERE BusinessKey = ?", key)

    def remove_state(self, collection, key, version):
        self.change("DELETE FROM RecordHistory WHERE Collection = ?"
                    " AND BusinessKey = ? AND Version = ?",
                    collection, key, version)

    def metadata(self, **members):
        for name, value in members.items():
            self.change(f"UPDATE SyncMetadata SET {name} = ?", value)

    def entry(self, version, change):
        """change gets the counts and key lists of an entry."""
        database = sqlite3.connect(self.store)
        tallies, = database.execute("SELECT Tallies FROM SyncHistory WHERE"
                                    " Version = ?", [version]).fetchone()
        database.close()
        tallies = bson.decode(tallies)
        change(tallies)
        self.change("UPDATE SyncHistory SET Tallies = ? WHERE Version = ?",
                    bson.encode(tallies), version)

    def remove_entry(self, version):
        self.change("DELETE FROM SyncHistory WHERE Version = ?", version)

    def drop_index(self, collection, name):
        self.run(f"DROP INDEX {collection}_{name}")


class MongoDamage:
    def __init__(self, store):
        self.database = KIND.client[store.name]

    @staticmethod
    def stored(name, value):
        if isinstance(value, dict):
            return bson.raw_bson.RawBSONDocument(model.encode(value))
        if name == "UpdatedAt":
            return datetime.datetime(1970, 1, 1) + datetime.timedelta(
                milliseconds=value)
        if name == "IsDeleted":
            return bool(value)
        return bson.int64.Int64(value) if isinstance(value, int) else value

    def set(self, collection, where, members):
        done = self.database[collection].update_one(where, {"$set": {
            name: self.stored(name, value)
            for name, value in members.items()}})
        assert done.matched_count == 1

    def record(self, collection, key, **members):
        self.set(collection, {"_id": key}, members)

    def state(self, collection, key, version, **members):
        self.set("RecordHistory", {
            "Collection": collection, "BusinessKey": key,
            "Version": version}, members)

    def remove(self, collection, key):
        done = self.database[collection].delete_one({"_id": key})
        assert done.deleted_count == 1

    def remove_state(self, collection, key, version):
        done = self.database.RecordHistory.delete_one({
            "Collection": collection, "BusinessKey": key, "Version": version})
        assert done.deleted_count == 1

    def metadata(self, **members):
        self.set("SyncMetadata", {"_id": "sync"}, members)

    def entry(self, version, change):
        entry = self.database.SyncHistory.find_one({"Version": version})
        change(entry)
        self.database.SyncHistory.replace_one({"_id": entry["_id"]}, entry)

    def remove_entry(self, version):
        self.database.SyncHistory.delete_one({"Version": version})

    def drop_index(self, collection, name):
        self.database[collection].drop_index(f"{collection}_{name}")


def damage_of(store):
    return (SqliteDamage if KIND.name == "sqlite" else MongoDamage)(store)


def soon():
    now = datetime.datetime.now(datetime.timezone.utc).timestamp()
    return int(1000 * now) + 24 * HOUR


def hash_of(value):
    return model.content_hash(value)


WRONG = "0" * 64
ODD = {"id": "p1", "name": "odd"}
ODD_PLAN = model.on_the_wire(plan("p1", "a1", name="Plan 0"))


def drop_a_key(tallies):
    tallies["PlanDefinitions"]["AddedKeys"].remove("p2")


def raise_a_count(tallies):
    counts = tallies["ReimbursementGroups"]
    counts["Updated"] = bson.int64.Int64(counts["Updated"] + 1)


def rename_a_list(tallies):
    del tallies["ReimbursementGroups"]["DeletedKeys"]


# Name: what is done, and what has to be found: (place, words) each.
BEYOND_REPAIR = {
    "version": (
        lambda d: d.record("RegulatedAuthorizations", "r2", Version=2),
        [(("RegulatedAuthorizations", "r2"), "version 1 lists it as Added"),
         (("RegulatedAuthorizations", "r2"), "version 2, whose history entry"
                                             " does not list it")]),
    "version to come": (
        lambda d: d.record("TreatmentGroups", "p2", Version=99),
        [(("TreatmentGroups", "p2"), "of version 99")]),
    "version 0": (
        lambda d: d.record("ActivityDefinitions", "a2", Version=0),
        [(("ActivityDefinitions", "a2"), "of version 0")]),
    "raw record deleted": (
        lambda d: d.record("PlanDefinitions", "p2", IsDeleted=1),
        [(("PlanDefinitions", "p2"), "as Added, and it is a tombstone")]),
    "raw record live": (
        lambda d: d.record("PlanDefinitions", "p3", IsDeleted=0),
        [(("PlanDefinitions", "p3"), "as Deleted, and it is live")]),
    "time to come": (
        lambda d: d.record("TreatmentGroups", "p1", UpdatedAt=soon()),
        [(("TreatmentGroups", "p1"), "UpdatedAt")]),
    "time 0": (
        lambda d: d.record("ActivityDefinitions", "a1", UpdatedAt=0),
        [(("ActivityDefinitions", "a1"), "UpdatedAt")]),
    "time before its run": (
        lambda d: d.record("TreatmentGroups", "p1", UpdatedAt=1),
        [(("TreatmentGroups", "p1"), "UpdatedAt")]),
    "time of a state before its run": (
        lambda d: d.state("TreatmentGroups", "p1", 2, UpdatedAt=1),
        [(("TreatmentGroups", "p1", 2), "UpdatedAt")]),
    "raw record gone": (
        lambda d: d.remove("RegulatedAuthorizations", "r2"),
        [(("RegulatedAuthorizations", "r2"), "no record or former state")]),
    "tombstone gone": (
        lambda d: d.remove("PlanDefinitions", "p3"),
        [(("PlanDefinitions", "p3"), "version 2 lists it as Deleted"),
         (("PlanDefinitions", "p3", 1), "no record whose former state")]),
    "another resource": (
        lambda d: d.record("ActivityDefinitions", "a2", Data=ODD_PLAN,
                           ContentHash=hash_of(ODD_PLAN)),
        [(("ActivityDefinitions", "a2"), "another key")]),
    "raw record and its hash": (
        lambda d: d.record("PlanDefinitions", "p1", Data=ODD_PLAN,
                           ContentHash=hash_of(ODD_PLAN)),
        [(("PlanDefinitions",), "the last seal has")]),
    "record put in": (
        lambda d: d.record("ActivityDefinitions", "a3", Version=3),
        [(("ActivityDefinitions", "a3"), "version 3, whose history entry")]),
    "hash of a state": (
        lambda d: d.state("PlanDefinitions", "p1", 1, ContentHash=WRONG),
        [(("PlanDefinitions", "p1", 1), "ContentHash")]),
    "JSON hash of a state": (
        lambda d: d.state("TreatmentGroups", "p1", 1, JsonHash=WRONG),
        [(("TreatmentGroups", "p1", 1), "JsonHash")]),
    "Data of a state": (
        lambda d: d.state("TreatmentGroups", "p1", 2, Data=ODD),
        [(("TreatmentGroups", "p1", 2), "ContentHash"),
         (("TreatmentGroups", "p1", 2), "JsonHash")]),
    "end of a state": (
        lambda d: d.state("PlanDefinitions", "p1", 1, ReplacedIn=3),
        [(("PlanDefinitions", "p1", 1), "comes after it is of version 2")]),
    "end of a state to come": (
        lambda d: d.state("PlanDefinitions", "p1", 1, ReplacedIn=7),
        [(("PlanDefinitions", "p1", 1), "ReplacedIn is 7; want")]),
    "early end of a state": (
        lambda d: d.state("TreatmentGroups", "p1", 2, ReplacedIn=1),
        [(("TreatmentGroups", "p1", 2), "ReplacedIn is 1; want")]),
    "state gone": (
        lambda d: d.remove_state("PlanDefinitions", "p1", 1),
        [(("PlanDefinitions", "p1"), "version 1 lists it as Added")]),
    "state of no record": (
        lambda d: d.state("PlanDefinitions", "p1", 1, BusinessKey="p9"),
        [(("PlanDefinitions", "p9", 1), "another key"),
         (("PlanDefinitions", "p9", 1), "no record whose former state"),
         (("PlanDefinitions", "p1"), "version 1 lists it as Added")]),
    "tombstone of a state": (
        lambda d: d.state("RegulatedAuthorizations", "r1", 2, IsDeleted=0),
        [(("RegulatedAuthorizations", "r1", 2), "Deleted, and it is live")]),
    "key not listed": (
        lambda d: d.entry(1, drop_a_key),
        [((1,), "the entry was changed"),
         (("PlanDefinitions", "p2"), "whose history entry does not list it"),
         (("PlanDefinitions", 1), "3 under Added, and lists 2")]),
    "count": (
        lambda d: d.entry(2, raise_a_count),
        [(("ReimbursementGroups", 2), "under Updated")]),
    "list gone": (
        lambda d: d.entry(2, rename_a_list), [((2,), "is missing")]),
    "entry gone": (
        lambda d: d.remove_entry(2),
        [((LAST,), "was changed, dropped"),
         (("PlanDefinitions", "p1"), "of version 2, and no such run")]),
    "version of the store": (
        lambda d: d.metadata(CurrentVersion=LAST - 1),
        [((), "CurrentVersion")]),
    "horizon": (lambda d: d.metadata(Horizon=LAST + 1), [((), "Horizon")]),
    "oldest view": (
        lambda d: d.metadata(StatesFrom=LAST + 9), [((), "StatesFrom")]),
}


@pytest.mark.parametrize("name", BEYOND_REPAIR)
def test_damage_that_only_a_backup_mends(aged, name):
    damage, wanted = BEYOND_REPAIR[name]
    assert verify(aged).findings == []
    damage(damage_of(aged.store))
    verdict = verify(aged)
    for where, words in wanted:
        assert verdict.has(where, words), (words, verdict.findings)
    assert all("backup" in line["advice"] or "next run" in line["advice"]
               for line in verdict.findings), verdict.findings
    # Nothing is made of it that was not there.
    again = verify(aged, "--repair")
    assert again.repairs == [] and again.findings == verdict.findings
    assert again.summary == verdict.summary


REPAIRABLE = {
    "hash of a raw record": (
        lambda d: d.record("ActivityDefinitions", "a1", ContentHash=WRONG),
        [(("ActivityDefinitions", "a1"), "ContentHash")], (1, 0)),
    "hash of a tombstone": (
        lambda d: d.record("TreatmentGroups", "p3", ContentHash=WRONG),
        [(("TreatmentGroups", "p3"), "ContentHash")], (1, 0)),
    "JSON hash": (
        lambda d: d.record("TreatmentGroups", "p2", JsonHash=WRONG),
        [(("TreatmentGroups", "p2"), "JsonHash is not")], (1, 0)),
    "no JSON hash": (
        lambda d: d.record("ReimbursementGroups", "r2", JsonHash=""),
        [(("ReimbursementGroups", "r2"), "JsonHash is missing")], (1, 0)),
    "Data of an output": (
        lambda d: d.record("TreatmentGroups", "p1", Data=ODD),
        [(("TreatmentGroups", "p1"), "ContentHash"),
         (("TreatmentGroups", "p1"), "JsonHash"),
         (("TreatmentGroups", "p1"), "differs")], (1, 1)),
    "output and its hash": (
        lambda d: d.record("TreatmentGroups", "p1", Data=ODD,
                           ContentHash=hash_of(ODD)),
        [(("TreatmentGroups", "p1"), "JsonHash"),
         (("TreatmentGroups", "p1"), "differs")], (1, 1)),
}


def outputs(state):
    """What consumers get."""
    return {where: (record.data, record.deleted)
            for where, record in state.records.items()
            if where[0] in OUTPUTS}


@pytest.mark.parametrize("name", REPAIRABLE)
def test_damage_that_is_mended(aged, name):
    damage, wanted, (hashes, changed) = REPAIRABLE[name]
    before = aged.dump()
    damage(damage_of(aged.store))
    verdict = verify(aged)
    assert len(verdict.findings) == len(wanted)
    for where, words in wanted:
        assert verdict.has(where, words), (words, verdict.findings)
    assert all("--repair" in line["advice"] for line in verdict.findings)
    again = verify(aged, "--repair")
    assert again.status == 0 and again.looks[0] == verdict.findings
    assert again.repairs == [{"version": LAST + 1, "hashes": hashes,
                              "outputs": changed, "indexes": 0,
                              "proven": True}]
    after = aged.dump()
    entry = aged.history("--limit", "1")[0]
    assert entry["Repair"] == {
        "Hashes": hashes, "Outputs": changed, "Indexes": 0}
    # Who follows by the difference gets what has changed.
    raised = {where: record for where, record in after.records.items()
              if record.version == LAST + 1}
    assert len(raised) == changed and not changed or (
        raised.keys() == {("TreatmentGroups", "p1")})
    assert outputs(after) == outputs(before)
    assert verify(aged).findings == []
    # The upstream has the last word.
    assert aged.run("--max-delete", "100%").status == 0
    assert outputs(aged.dump()) == outputs(before)
    assert verify(aged).findings == []


def test_an_output_that_is_gone(aged):
    """It is made again; what it was before that nobody knows."""
    before = aged.dump()
    damage_of(aged.store).remove("TreatmentGroups", "p2")
    verdict = verify(aged, "--repair")
    assert verdict.has(("TreatmentGroups", "p2"), "it is not", look=0)
    assert verdict.repairs[0]["outputs"] == 1
    assert len(verdict.findings) == 2
    assert verdict.has(("TreatmentGroups", "p2"), "version 1 lists it")
    assert verdict.has(("TreatmentGroups", LAST), "from version 1 on")
    assert outputs(aged.dump()) == outputs(before)


@pytest.mark.parametrize("collection", ["PlanDefinitions", "SyncHistory"])
def test_an_index_that_is_gone(aged, collection):
    damage_of(aged.store).drop_index(collection, {
        "PlanDefinitions": "Version", "SyncHistory": "SyncedAt"}[collection])
    verdict = verify(aged)
    assert len(verdict.findings) == 1
    assert verdict.has((), f"index {collection}_.* is not there")
    again = verify(aged, "--repair")
    assert again.status == 0
    assert again.repairs[0]["indexes"] == (KIND.name == "sqlite")
    assert verify(aged).findings == []


@SQLITE
def test_an_index_of_other_columns(aged):
    damage_of(aged.store).run(
        "DROP INDEX TreatmentGroups_State",
        "CREATE INDEX TreatmentGroups_State ON TreatmentGroups"
        " (BusinessKey, IsDeleted)")
    verdict = verify(aged)
    assert verdict.has((), "index TreatmentGroups_State is another")
    assert verify(aged, "--repair").status == 0
    assert verify(aged).findings == []


@SQLITE
def test_an_index_without_a_row(aged):
    """The index's tree is emptied behind SQLite's back."""
    database = sqlite3.connect(aged.store, isolation_level=None)
    database.execute("PRAGMA writable_schema = ON")
    row, = database.execute("SELECT sql FROM sqlite_schema WHERE name ="
                            " 'PlanDefinitions_Version'").fetchone()
    database.execute("CREATE TABLE aside (Version, BusinessKey)")
    database.execute("CREATE INDEX empty ON aside (Version, BusinessKey)")
    root, = database.execute("SELECT rootpage FROM sqlite_schema WHERE name ="
                             " 'empty'").fetchone()
    database.execute("UPDATE sqlite_schema SET rootpage = ? WHERE name ="
                     " 'PlanDefinitions_Version'", [root])
    database.execute("DELETE FROM sqlite_schema WHERE name = 'empty'")
    database.close()
    verdict = verify(aged)
    assert row and verdict.has((), "index PlanDefinitions_Version")
    again = verify(aged, "--repair")
    assert again.repairs and not any(
        "PlanDefinitions_Version" in line["finding"]
        for line in again.findings)


@SQLITE
@pytest.mark.parametrize("data", [b"", b"\5\0\0\0", b"\5\0\0\0\1",
                                  b"\x0c\0\0\0\2a\0\1\0\0\0\1\0"])
@pytest.mark.parametrize("collection", ["PlanDefinitions", "TreatmentGroups"])
def test_data_that_is_not_bson(aged, collection, data):
    damage_of(aged.store).record(collection, "p1", Data=data)
    verdict = verify(aged, "--repair")
    assert verdict.has((collection, "p1"), "not BSON")
    assert len(verdict.findings) == 1 and verdict.repairs == []


@SQLITE
def test_the_key_of_a_record(aged):
    damage_of(aged.store).record("ActivityDefinitions", "a2",
                                 BusinessKey="a9")
    verdict = verify(aged)
    assert verdict.has(("ActivityDefinitions", "a9"), "another key")
    assert verdict.has(("ActivityDefinitions", "a9"), "does not list it")
    assert verdict.has(("ActivityDefinitions", "a2"), "lists it as Added")
    assert verdict.has(("ActivityDefinitions",), "the last seal has")
    assert len(verdict.findings) == 4


@SQLITE
@pytest.mark.parametrize("column", ["Version", "UpdatedAt"])
def test_a_column_of_another_type(aged, column):
    damage_of(aged.store).record("TreatmentGroups", "p2", **{column: "x"})
    assert verify(aged).has(("TreatmentGroups", "p2"), "wrong type")


@SQLITE
def test_a_version_without_an_entry(aged):
    damage_of(aged.store).metadata(CurrentVersion=LAST + 1)
    verdict = verify(aged)
    assert verdict.has((), "above that of the last history entry")


@SQLITE
def test_a_table_that_is_gone(aged):
    damage_of(aged.store).run("DROP TABLE ReimbursementGroups")
    verdict = verify(aged)
    assert verdict.has((), "table ReimbursementGroups is not there")
    assert verdict.has((), "was not looked at")


@SQLITE
def test_a_damaged_file(aged):
    """A page in the middle of it is overwritten; the file ends as it did."""
    damage_of(aged.store).run("PRAGMA wal_checkpoint(TRUNCATE)")
    size = aged.store.stat().st_size
    found = 0
    for at in range(16384, size - 16384, 16384):
        copy = aged.store.with_name("damaged.db")
        shutil.copy(aged.store, copy)
        with copy.open("r+b") as file:
            file.seek(at)
            file.write(b"\xa5" * 16384)
        ended = aged.run("verify", "--store", f"sqlite:{copy}")
        assert ended.status in (1, 74), (at, ended.out, ended.err)
        found += ended.status == 1
    assert found > 0


@MONGODB
@pytest.mark.parametrize("member, value", [
    ("BusinessKey", "p9"), ("BusinessKey", 7), ("Version", "1"),
    ("IsDeleted", 0.5), ("UpdatedAt", "x"), ("ContentHash", None)])
def test_a_member_of_another_type(aged, member, value):
    damage_of(aged.store).database.TreatmentGroups.update_one(
        {"_id": "p2"}, {"$set": {member: value}})
    assert verify(aged).has(("TreatmentGroups", "p2"), member)


@MONGODB
def test_data_that_is_no_document(aged):
    damage_of(aged.store).record("PlanDefinitions", "p1", Data="x")
    assert verify(aged).has(("PlanDefinitions", "p1"), "not BSON")


def test_more_findings_than_are_printed(bare):
    """Of those that come after a thousand there is only the number."""
    count = 1100
    bare.url = folder_upstream(bare.folder / "many", [], [], [
        authorization(f"r{i}") for i in range(count)])
    assert bare.run().status == 0
    if KIND.name == "sqlite":
        damage_of(bare.store).run(
            f"UPDATE ReimbursementGroups SET ContentHash = '{WRONG}'")
    else:
        damage_of(bare.store).database.ReimbursementGroups.update_many(
            {}, {"$set": {"ContentHash": WRONG}})
    ended = bare.run("verify")
    lines = ended.out.splitlines()
    assert ended.status == 1 and len(lines) == 1002
    assert lines[-2] == f"{count - 1000} more"
    assert lines[-1].endswith(f"findings {count}")


def test_what_people_get(aged):
    damage_of(aged.store).record("TreatmentGroups", "p2", JsonHash=WRONG)
    ended = aged.run("verify", "--repair")
    assert ended.status == 0
    assert ended.out == (
        'TreatmentGroups "p2": JsonHash is not the hash of Data as JSON;'
        " nompd-sync verify --repair makes it again from Data\n"
        "records 15, former states 10, history entries 3, findings 1\n"
        "version 4 is a repair: hashes 1, outputs 0, indexes 0\n"
        "records 15, former states 10, history entries 4, findings 0\n")


def test_beside_a_run(filled, held_run):
    """What is in the middle of a run would look like damage."""
    ended = filled.run("verify")
    assert ended.status == 75 and ended.out == ""
    filled.gate.set()
    assert filled.finish(held_run).status == 0
    assert filled.run("verify").status == 0


def test_no_store(bare):
    assert bare.run("verify").status == 74
    assert bare.run("init").status == 0
    assert verify(bare).summary == {
        "records": 0, "states": 0, "entries": 0, "findings": 0}


@pytest.mark.parametrize("seed", range(few(6)))
def test_runs_leave_nothing_to_find(bare, seed):
    """Whatever the upstream gives; runs in between are killed."""
    generator = Generator(seed)
    chance = random.Random(seed)
    for i in range(RUNS):
        bare.url = folder_upstream(bare.folder / str(i), *generator.step())
        if chance.random() < 0.4:
            bare.run("--max-delete", "100%", env={
                "NOMPD_STORE_KILL_AT": str(chance.randrange(1, 40))})
            bare.expire_lease()
        assert bare.run("--max-delete", "100%").status == 0
        verdict = verify(bare)
        assert verdict.findings == []
        assert verdict.summary["entries"] > i


@pytest.mark.parametrize("seed", SEEDS)
def test_rollbacks_and_prunes_leave_nothing_to_find(bare, seed):
    old = Old(bare, Clock(bare.folder), seed)
    assert verify(bare).findings == []
    for age in sorted({old.chance.randrange(1, STEPS) for _ in range(3)},
                      reverse=True):
        old.prune({kind: age for kind in KINDS
                   if old.chance.random() < 0.7} or {"states": age})
        assert verify(bare).findings == []


@pytest.mark.parametrize("seed", range(few(4)))
def test_bulk_runs_leave_nothing_to_find(bulk, server, seed):
    case = Case(bulk, server, seed)
    while case.published < RUNS:
        case.change()
        case.check(case.run())
        if not case.kills or KIND.name == "sqlite":
            assert verify(bulk).findings == []
