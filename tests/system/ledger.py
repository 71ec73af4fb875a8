"""The list of jobs of a store, of either kind, without the program's help.

What is asked here is what the ledger says; that a job counts as lost because it
was not heard of for LEASE seconds is for its readers to see.
"""
import collections
import contextlib
import datetime
import os
import sqlite3
import time

import bson
import pytest

import stores

LEASE = 30          # seconds after the last sign of life
PATIENCE = 60       # seconds until what does not happen is a failure
LISTED = 0.02       # between two looks
EPOCH = datetime.datetime(1970, 1, 1)
ACTIVE = ("Queued", "Running", "AbortInitiated")
MEMBERS = {"Command", "Host", "Process", "ProgramVersion", "CreatedAt",
           "StartedAt", "EndedAt", "Stage", "Retries", "Collections",
           "Error", "Lost", "Result"}

# Times are milliseconds, or None; error is (status, text) or None.
Job = collections.namedtuple(
    "Job", "id state created renewed abort data started ended error lost"
    " stage counts result")


def milliseconds(moment):
    if isinstance(moment, datetime.datetime):
        return (moment - EPOCH) // datetime.timedelta(milliseconds=1)
    return moment


def job_of(id, state, created, renewed, abort, data):
    assert set(data) <= MEMBERS, data
    error = data.get("Error")
    return Job(
        id, state, milliseconds(created), milliseconds(renewed),
        abort and {name: milliseconds(value)
                   for name, value in abort.items()},
        data, milliseconds(data.get("StartedAt")),
        milliseconds(data.get("EndedAt")),
        error and (error["Status"], error["Text"]), data.get("Lost", False),
        data["Stage"], {name: tuple(count.get(member) for member in (
            "Fetched", "Expected", "Processed", "Written"))
            for name, count in data["Collections"].items()},
        data.get("Result"))


class Sqlite:
    """A file beside the store's."""

    @staticmethod
    def path(store):
        return store.with_name(store.name + "-jobs")

    def connect(self, store):
        return contextlib.closing(sqlite3.connect(
            self.path(store), timeout=PATIENCE, isolation_level=None))

    def jobs(self, store):
        if not self.path(store).exists():
            return []
        with self.connect(store) as database:
            if not database.execute(
                    "SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return []       # a run is about to make it
            return [job_of(*row[:4], row[4] and bson.decode(row[4]),
                           bson.decode(row[5]))
                    for row in database.execute(
                        "SELECT _id, State, CreatedAt, RenewedAt, Abort, Data"
                        " FROM SyncJobs ORDER BY Number")]

    def abort(self, store, id, document):
        with self.connect(store) as database:
            return database.execute(
                "UPDATE SyncJobs SET State = 'AbortInitiated', Abort = ?"
                " WHERE _id = ? AND State IN ('Queued', 'Running')",
                (bson.encode(document), id)).rowcount

    def age(self, store, id, ms):
        with self.connect(store) as database:
            return database.execute(
                "UPDATE SyncJobs SET RenewedAt = RenewedAt - ?"
                " WHERE _id = ?", (ms, id)).rowcount

    def clear(self, store):
        for path in store.parent.glob(store.name + "-jobs*"):
            path.unlink()

    def everything(self, store):
        """All bytes that a ledger has anywhere."""
        return b"".join(path.read_bytes() for path in sorted(
            store.parent.glob(store.name + "-jobs*")))


class MongoDB:
    """A collection of the store's database."""

    @staticmethod
    def collection(store):
        return stores.KIND.client[store.name].SyncJobs

    def jobs(self, store):
        return [job_of(found["_id"], found["State"], found["CreatedAt"],
                       found["RenewedAt"], found.get("Abort"), found["Data"])
                for found in self.collection(store).find().sort(
                    [("CreatedAt", 1), ("_id", 1)])]

    def abort(self, store, id, document):
        return self.collection(store).update_one(
            {"_id": id, "State": {"$in": ["Queued", "Running"]}},
            {"$set": {"State": "AbortInitiated", "Abort": document}}
        ).modified_count

    def age(self, store, id, ms):
        found = self.collection(store).find_one({"_id": id})
        renewed = found["RenewedAt"] - datetime.timedelta(milliseconds=ms)
        return self.collection(store).update_one(
            {"_id": id}, {"$set": {"RenewedAt": renewed}}).modified_count

    def clear(self, store):
        self.collection(store).delete_many({})

    def everything(self, store):
        return b"".join(bson.encode(found)
                        for found in self.collection(store).find())


SQLITE = Sqlite()
MONGODB = MongoDB()


def kind_of(store):
    return SQLITE if stores.kind_of(store) is stores.SQLITE else MONGODB


def jobs(store):
    """All jobs, in the order of their arrival."""
    return kind_of(store).jobs(store)


def find(store, id):
    return next((job for job in jobs(store) if job.id == id), None)


def wait_until(is_so, what="what is waited for", patience=PATIENCE):
    """What is_so() gives, when that is true."""
    deadline = time.monotonic() + patience
    while True:
        found = is_so()
        if found:
            return found
        assert time.monotonic() < deadline, what
        time.sleep(LISTED)


def wait_for(store, id, is_so, patience=PATIENCE):
    """The job, when it is there and is_so(job), or is in the state is_so."""
    def look():
        job = find(store, id)
        if job is None:
            return None
        is_it = job.state == is_so if isinstance(is_so, str) else is_so(job)
        return job if is_it else None
    return wait_until(look, f"job {id}: {is_so}", patience)


def wait_until_stopped(process):
    """By SIGSTOP; False: it has ended."""
    def look():
        try:
            stopped = os.waitid(os.P_PID, process.pid,
                                os.WSTOPPED | os.WNOHANG)
        except ChildProcessError:       # it is a zombie
            return process.wait() is not None
        return stopped is not None or process.poll() is not None
    wait_until(look, "it neither stops nor ends")
    return process.returncode is None


def ask_abort(store, id, by="tester@here, process 1", reason="a test"):
    """As `nompd-sync abort` does; it has not ended before."""
    document = {"At": EPOCH + datetime.timedelta(
        milliseconds=int(time.time() * 1000)), "By": by, "Reason": reason}
    assert kind_of(store).abort(store, id, document) == 1, find(store, id)


def age(store, id, seconds):
    """As if its last sign of life were so much older."""
    assert kind_of(store).age(store, id, 1000 * seconds) == 1


def everything(store):
    return kind_of(store).everything(store)


@pytest.fixture
def listless(filled):
    """The program with a filled store that knows of no job."""
    kind_of(filled.store).clear(filled.store)
    return filled
