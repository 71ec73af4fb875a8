"""The kinds of store, and what each of them promises.

NOMPD_TEST_STORE names the kind of the stores that tests make: "sqlite", a file
(the default), or "mongodb", a database of the server that
NOMPD_TEST_MONGODB_URI names.  A store is a pathlib.Path or a Database; what is
said about a store here holds for both, and where the kinds differ is here.
"""
import collections
import datetime
import os
import pathlib
import re
import secrets
import shutil
import sqlite3
from urllib.parse import unquote, urlsplit

import bson

import model

MIN_SECRET = 8      # characters of a password that can be looked for
PATIENCE = 120      # seconds until a store that does not answer is a failure

# A collection that a bulk run has made.
EXTRA = re.compile(r"(?!Sync)[A-Z][A-Za-z]{0,63}")

Record = collections.namedtuple(
    "Record", "key data version deleted updated hash")
Dump = collections.namedtuple("Dump", "records version last_sync history")
EMPTY = Dump({}, 0, None, [])
# As a ledger has it; created and renewed in ms, data and abort are documents.
Job = collections.namedtuple("Job", "id state created renewed data abort")
# A dump without the times; finished: the version that was published last.
Summary = collections.namedtuple("Summary", "records version runs finished")


def check(state):
    """What holds for every record of every store."""
    for record in state.records.values():
        assert record.deleted in (0, 1)
        assert 1 <= record.version <= state.version
        assert len(record.data) == int.from_bytes(record.data[:4], "little")
        assert record.hash == model.content_hash(model.decode(record.data))


def essence(state):
    """Records without the time of their change."""
    return {where: record._replace(updated=None)
            for where, record in state.records.items()}


def summary(state):
    return Summary(essence(state), state.version, len(state.history),
                   state.history[-1][0] if state.history else 0)


def content(record):
    """What of a record a run compares; None for none."""
    return record and (record.data, record.deleted, record.hash)


def check_killed(old, new, seen):
    """What a reader may see after a killed run, or within one that leads from
    old to new (summaries all); True when the run was published."""
    if seen.runs == new.runs:
        assert seen == new
        return True
    KIND.check_unfinished(old, seen, new)
    return False


def check_repaired(new, seen, again, old):
    """A whole run over the same upstream made again out of seen: it ends with
    the content of new.  It has given its version to what differed from what
    the last finished run had left, which is old or, if the one that was killed
    was published, seen; all else is as that had left it."""
    held = old if seen.runs == old.runs else seen
    assert again.version == again.finished == seen.version + 1
    assert again.runs == seen.runs + 1
    assert again.records.keys() == new.records.keys()
    for where, record in new.records.items():
        left = held.records.get(where)
        if content(left) == content(record):
            assert again.records[where] == left
        else:
            assert again.records[where] == record._replace(
                version=again.version)


# The former states of all records.
STATES = "RecordHistory"


def record_collections(names):
    """Of all that stands in a store what holds records."""
    return [*model.COLLECTIONS, *sorted(
        name for name in names
        if EXTRA.fullmatch(name) and name not in model.COLLECTIONS
        and name != STATES)]


class Sqlite:
    """A store is the path of a file."""

    name = "sqlite"
    made = {*model.COLLECTIONS, "SyncMetadata", "SyncHistory",
            "SyncHistoryKeys", STATES}      # what stands in a store without a run
    share = 1           # of the repetitions of a long test
    run_seconds = 0.06  # that a small run takes, about
    secrets = ()

    def new(self, folder, name="store.db"):
        """A store that is not there yet, for a test with this folder."""
        return pathlib.Path(folder) / name

    def uri(self, store):
        return f"sqlite:{store}"

    def exists(self, store):
        return store.exists()

    def copy(self, source, target):
        """The database file and what a killed run left beside it."""
        for path in source.parent.glob(source.name + "*"):
            if path.is_file() and not path.name.endswith(("-lease", "-shm")):
                shutil.copy(path, str(target) + path.name[len(source.name):])

    def remove(self, store):
        for path in store.parent.glob(store.name + "*"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def drop(self, store):
        """At the end of a test; its folder is removed by somebody else."""

    def peek(self, store):
        """A dump of a copy: what a killed run left stays as it is."""
        folder = store.parent / "copy"
        folder.mkdir(exist_ok=True)
        copy = folder / store.name
        self.remove(copy)
        self.copy(store, copy)
        return self.dump(copy)

    def expire_lease(self, store):
        """Nothing to wait for: the lease ends with its process."""

    def dump(self, store):
        if not store.exists():
            return EMPTY
        database = sqlite3.connect(store, timeout=PATIENCE)
        try:
            database.execute("BEGIN")
            return self.read_all(database)
        finally:
            database.close()

    def collections(self, store):
        """The names of all that stands in the store."""
        database = sqlite3.connect(store, timeout=PATIENCE)
        try:
            return self.tables(database)
        finally:
            database.close()

    @staticmethod
    def tables(database):
        return {row[0] for row in database.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table'")}

    def read_all(self, database):
        tables = self.tables(database)
        if not tables:
            return EMPTY
        records = {}
        for name in record_collections(tables):
            for row in database.execute(
                    "SELECT _id, BusinessKey, Data, Version, IsDeleted,"
                    f" UpdatedAt, ContentHash FROM \"{name}\""):
                assert row[0] == row[1]
                records[name, row[0]] = Record(*row[1:])
        version, last_sync = database.execute(
            "SELECT CurrentVersion, LastSyncAt FROM SyncMetadata"
        ).fetchone() or (0, None)
        history = database.execute(
            "SELECT Version, SyncedAt, DurationMs, Tallies FROM SyncHistory"
            " ORDER BY Version").fetchall()
        state = Dump(records, version or 0, last_sync, history)
        check(state)
        return state

    # Changes behind the program's back

    def make_collection(self, store, name):
        """One beside the five, as a run makes it, when it is not there."""
        if name in self.collections(store):
            return
        database = sqlite3.connect(store, timeout=PATIENCE)
        try:
            for sql, in database.execute(
                    "SELECT sql FROM sqlite_schema"
                    " WHERE tbl_name = 'PlanDefinitions'").fetchall():
                database.execute(sql.replace("PlanDefinitions", name))
            database.commit()
        finally:
            database.close()

    def put_note(self, store, name, value):
        database = sqlite3.connect(store, timeout=PATIENCE)
        with database:
            database.execute("CREATE TABLE IF NOT EXISTS SyncNotes"
                             " (_id TEXT NOT NULL PRIMARY KEY,"
                             " Data BLOB NOT NULL)")
            database.execute("INSERT OR REPLACE INTO SyncNotes VALUES (?, ?)",
                             (name, model.encode(value)))
        database.close()

    def put(self, store, collection, record):
        """Writes a record as it is, in the place of one with its key."""
        self.change(store, f"INSERT OR REPLACE INTO {collection}"
                    " (BusinessKey, Data, Version, IsDeleted, UpdatedAt,"
                    " ContentHash) VALUES (?, ?, ?, ?, ?, ?)", *record)

    def delete(self, store, collection, key):
        self.change(store, f"DELETE FROM {collection} WHERE _id = ?", key)

    def set_synced_at(self, store, version, moment):
        """When that run has finished."""
        self.change(store, "UPDATE SyncHistory SET SyncedAt = ?"
                    " WHERE Version = ?", moment, version)

    def raise_version(self, store):
        """As a run leaves it that has died."""
        self.change(store, "UPDATE SyncMetadata"
                    " SET CurrentVersion = CurrentVersion + 1")

    def set_reach(self, store, states_from, horizon):
        """As if all that is older had been pruned."""
        self.change(store, "UPDATE SyncMetadata SET StatesFrom = ?,"
                    " Horizon = ?", states_from, horizon)

    def seal(self, store, version):
        """The seal of an entry as a document, or None."""
        database = sqlite3.connect(store, timeout=PATIENCE)
        try:
            data, = database.execute("SELECT Seal FROM SyncHistory WHERE"
                                     " Version = ?", (version,)).fetchone()
        finally:
            database.close()
        return data and bson.decode(data)

    def put_seal(self, store, version, seal):
        """Gives an entry a document for a seal, or none."""
        self.change(store, "UPDATE SyncHistory SET Seal = ? WHERE Version = ?",
                    seal and bson.encode(seal), version)

    # As nompd-store(7) has it.
    LEDGER = """
        CREATE TABLE SyncJobs (
            Number INTEGER PRIMARY KEY AUTOINCREMENT,
            _id TEXT NOT NULL UNIQUE, State TEXT NOT NULL,
            CreatedAt INTEGER NOT NULL, RenewedAt INTEGER NOT NULL,
            Data BLOB NOT NULL, Abort BLOB);
        PRAGMA application_id = 0x4e4f4d4a;
        PRAGMA user_version = 1;"""

    def ledger(self, store):
        database = sqlite3.connect(f"{store}-jobs", timeout=PATIENCE)
        if not self.tables(database):
            database.executescript(self.LEDGER)
        return database

    def drop_jobs(self, store):
        database = self.ledger(store)
        with database:
            database.execute("DELETE FROM SyncJobs")
        database.close()

    def put_jobs(self, store, jobs):
        """Writes jobs as they are, in the place of those with their ids."""
        rows = [(job.id, job.state, job.created, job.renewed,
                 bson.encode(job.data),
                 bson.encode(job.abort) if job.abort else None)
                for job in jobs]
        database = self.ledger(store)
        with database:
            database.executemany(
                "INSERT INTO SyncJobs (_id, State, CreatedAt, RenewedAt,"
                " Data, Abort) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (_id) DO UPDATE SET State = excluded.State,"
                " RenewedAt = excluded.RenewedAt, Data = excluded.Data,"
                " Abort = excluded.Abort", rows)
        database.close()

    @staticmethod
    def change(store, statement, *values):
        database = sqlite3.connect(store, timeout=PATIENCE)
        try:
            with database:
                count = database.execute(statement, values).rowcount
        finally:
            database.close()
        assert count > 0

    # Promises

    def check_unfinished(self, old, seen, _=None, most=1):
        """A run that was not published has never been."""
        assert seen == old

    def leaves_records(self):
        """May a killed run leave some of its records in the store?"""
        return False


class Database(collections.namedtuple("Database", "name")):
    """A MongoDB store: the name of a database."""


class MongoDB:
    """A store is a Database of the server for the tests."""

    name = "mongodb"
    # SyncMetadata comes with its document.
    made = {*model.COLLECTIONS, "SyncHistory", "SyncHistoryKeys", "SyncLease",
            STATES}
    share = 0.25
    run_seconds = 0.15
    EPOCH = datetime.datetime(1970, 1, 1)
    RECORD = ["_id", "BusinessKey", "Data", "Version", "IsDeleted",
              "UpdatedAt", "ContentHash"]

    def __init__(self, address=None):
        import bson.codec_options
        import bson.raw_bson
        import pymongo
        self.bson = bson
        address = address or os.environ["NOMPD_TEST_MONGODB_URI"]
        # What a name of a database is put between.
        base, mark, options = address.partition("?")
        self.base, self.options = base.rstrip("/"), mark + options
        assert "/" in self.base and urlsplit(base).path in ("", "/"), (
            "NOMPD_TEST_MONGODB_URI names a server, without a database")
        # A short one may stand anywhere as a common word.
        password = urlsplit(address).password or ""
        self.secrets = ({password, unquote(password)}
                        if len(password) >= MIN_SECRET else ())
        self.client = pymongo.MongoClient(
            address, serverSelectionTimeoutMS=1000 * PATIENCE)

    def new(self, *_):
        return Database(f"nompd_test_{secrets.token_hex(8)}")

    def uri(self, store):
        return f"{self.base}/{store.name}{self.options}"

    def exists(self, store):
        return store.name in self.client.list_database_names()

    def database(self, store):
        """As it is, byte for byte."""
        return self.client.get_database(
            store.name, self.bson.codec_options.CodecOptions(
                document_class=self.bson.raw_bson.RawBSONDocument))

    def copy(self, source, target):
        """Its documents and indexes."""
        old, new = self.database(source), self.database(target)
        for name in old.list_collection_names():
            indexes = [
                {member: index[member] for member in ("key", "name", "unique")
                 if member in index}
                for index in self.client[source.name][name].list_indexes()
                if index["name"] != "_id_"]
            if indexes:
                new.command("createIndexes", name, indexes=indexes)
            documents = list(old[name].find())
            if documents:
                new[name].insert_many(documents)

    def remove(self, store):
        self.client.drop_database(store.name)

    drop = remove

    def peek(self, store):
        return self.dump(store)

    def expire_lease(self, store):
        """As if the time of a killed run's lease had passed."""
        self.client[store.name].SyncLease.update_one(
            {"_id": "lease"}, {"$set": {"ExpiresAt": self.EPOCH}})

    def collections(self, store):
        return set(self.client[store.name].list_collection_names())

    def dump(self, store):
        """In the order of a reader: what is published comes first, and the
        number that bounds all of them last."""
        database = self.database(store)
        history = [
            (entry["Version"], self.milliseconds(entry["SyncedAt"]),
             entry["DurationMs"], entry.raw)
            for entry in database.SyncHistory.find().sort("_id")]
        records = {}
        for name in record_collections(database.list_collection_names()):
            for document in database[name].find().sort("_id"):
                record = self.record_of(document)
                assert (name, record.key) not in records
                records[name, record.key] = record
        metadata = database.SyncMetadata.find_one()
        if metadata is None:
            assert not records and not history
            return EMPTY
        assert list(metadata)[:3] == ["_id", "CurrentVersion", "LastSyncAt"]
        assert set(list(metadata)[3:]) <= {"StatesFrom", "Horizon",
                                           "PrunedTo"}
        assert metadata["_id"] == "sync"
        state = Dump(records, self.integer(metadata["CurrentVersion"]),
                     self.milliseconds(metadata["LastSyncAt"]), history)
        check(state)
        return state

    def record_of(self, document):
        """A document, whose members and types are checked, as a Record."""
        assert list(document)[:len(self.RECORD)] == self.RECORD
        assert list(document)[len(self.RECORD):] in ([], ["JsonHash"])
        key, business_key, data, version, deleted, updated, digest = (
            document[name] for name in self.RECORD)
        assert key == business_key
        assert isinstance(deleted, bool)
        return Record(key, data.raw, self.integer(version), int(deleted),
                      self.milliseconds(updated), digest)

    def integer(self, value):
        assert isinstance(value, self.bson.int64.Int64)
        return int(value)

    def milliseconds(self, moment):
        return (moment - self.EPOCH) // datetime.timedelta(milliseconds=1)

    def make_collection(self, store, name):
        database = self.client[store.name]
        old, new = "PlanDefinitions", name
        database.command("createIndexes", name, indexes=[
            {"key": index["key"], "name": index["name"].replace(old, new),
             **({"unique": True} if index.get("unique") else {})}
            for index in database[old].list_indexes()
            if index["name"] != "_id_"])
        database.SyncLease.update_one(
            {"_id": "store"}, {"$addToSet": {"Collections": name}})

    def put_note(self, store, name, value):
        self.client[store.name].SyncNotes.replace_one(
            {"_id": name}, {"_id": name, "Data": value}, upsert=True)

    def put(self, store, collection, record):
        moment = self.EPOCH + datetime.timedelta(milliseconds=record.updated)
        values = (record.key, record.key,
                  self.bson.raw_bson.RawBSONDocument(record.data),
                  self.bson.int64.Int64(record.version),
                  bool(record.deleted), moment, record.hash)
        self.client[store.name][collection].replace_one(
            {"_id": record.key}, self.bson.SON(zip(self.RECORD, values)),
            upsert=True)

    def delete(self, store, collection, key):
        done = self.client[store.name][collection].delete_one({"_id": key})
        assert done.deleted_count == 1

    def set_synced_at(self, store, version, moment):
        done = self.client[store.name].SyncHistory.update_one(
            {"Version": version}, {"$set": {"SyncedAt": self.date(moment)}})
        assert done.matched_count == 1

    def raise_version(self, store):
        done = self.client[store.name].SyncMetadata.update_one(
            {"_id": "sync"}, {"$inc": {"CurrentVersion":
                                       self.bson.int64.Int64(1)}})
        assert done.matched_count == 1

    def set_reach(self, store, states_from, horizon):
        done = self.client[store.name].SyncMetadata.update_one(
            {"_id": "sync"}, {"$set": {
                "StatesFrom": self.bson.int64.Int64(states_from),
                "Horizon": self.bson.int64.Int64(horizon)}})
        assert done.matched_count == 1

    def seal(self, store, version):
        return self.client[store.name].SyncHistory.find_one(
            {"Version": version}).get("Seal")

    def put_seal(self, store, version, seal):
        done = self.client[store.name].SyncHistory.update_one(
            {"Version": version},
            {"$set": {"Seal": seal}} if seal else {"$unset": {"Seal": ""}})
        assert done.matched_count == 1

    def date(self, moment):
        return self.EPOCH + datetime.timedelta(milliseconds=moment)

    def drop_jobs(self, store):
        self.client[store.name].SyncJobs.drop()

    def put_jobs(self, store, jobs):
        for job in jobs:
            self.client[store.name].SyncJobs.replace_one(
                {"_id": job.id},
                {"_id": job.id, "State": job.state,
                 "CreatedAt": self.date(job.created),
                 "RenewedAt": self.date(job.renewed), "Data": job.data,
                 **({"Abort": job.abort} if job.abort else {})},
                upsert=True)

    def check_unfinished(self, old, seen, new=None, most=1):
        """A run that was not published may have raised the version and then
        written a part of its records; it has no history, and none is lost.
        So may several, most of them, one after the other."""
        assert (seen.runs, seen.finished) == (old.runs, old.finished)
        assert old.version <= seen.version <= old.version + most
        assert not old.records.keys() - seen.records.keys()
        for where, record in seen.records.items():
            if record != old.records.get(where):
                assert old.version < record.version <= seen.version
                assert new is None or record == new.records[where]

    def leaves_records(self):
        return True


KINDS = {"sqlite": Sqlite, "mongodb": MongoDB}
SQLITE = Sqlite()
KIND_NAME = os.environ.get("NOMPD_TEST_STORE", "sqlite")
KIND = SQLITE if KIND_NAME == "sqlite" else KINDS[KIND_NAME]()


def kind_of(store):
    return KIND if isinstance(store, Database) else SQLITE


def dump(store):
    """All records, the version and the history; EMPTY without a store."""
    return kind_of(store).dump(store)


def copy_store(source, target):
    """All of a store, also what a killed run left in it."""
    kind_of(source).copy(source, target)


def uri(store):
    """What the program calls it."""
    return kind_of(store).uri(store)


def few(count):
    """So many repetitions as this kind of store has the time for."""
    return max(1, int(count * KIND.share))
