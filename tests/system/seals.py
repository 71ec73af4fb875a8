"""The sealed history once more, by the formulas of nompd-store(7), SEALED
HISTORY, and apart from the program's code; and a hand that can change each byte
of it in either kind of store."""
import base64
import hashlib
import json
import pathlib
import re
import sqlite3
import struct
import subprocess
import sys

import bson
from bson.decimal128 import Decimal128

import model
import stores
from stores import KIND

sys.path.insert(0, str(
    pathlib.Path(__file__).resolve().parents[1] / "canonical"))

import documents  # noqa: E402

NONE = "0" * 64
OUTPUTS = model.COLLECTIONS[3:]


class Entry:
    """A row of the history; tallies and seal are BSON, seal may be None."""

    def __init__(self, version, synced_at, duration, tallies, seal):
        self.version = version
        self.synced_at = synced_at
        self.duration = duration
        self.tallies = tallies
        self.seal = seal

    def copy(self):
        return Entry(**vars(self))

    def document(self):
        """The seal as a dict, in its order."""
        return bson.decode(self.seal)

    def digest(self):
        """By its content."""
        sealed = b"" if self.seal is None else join(
            (name, raw) for name, raw in split(self.seal)
            if name not in ("Digest", "Signature"))
        return sha256(blob(b"nompd-sync history entry")
                      + number(self.version) + number(self.synced_at)
                      + number(self.duration) + blob(self.tallies)
                      + blob(sealed))

    def chain(self):
        """What the next one has as Previous."""
        return (self.digest() if self.seal is None
                else self.document()["Digest"])


class History:
    """Entries in ascending order of version, and the parts of key lists:
    (version, collection, act, part, keys), keys being BSON."""

    def __init__(self, entries, parts):
        self.entries = entries
        self.parts = parts

    def copy(self):
        return History([entry.copy() for entry in self.entries],
                       list(self.parts))

    def keys(self, version):
        """The digest of the parts of that version."""
        return sha256(b"".join(
            blob(collection.encode()) + blob(act.encode()) + number(part)
            + blob(keys)
            for at, collection, act, part, keys in sorted(self.parts)
            if at == version))

    def check(self):
        """Each entry is what it was sealed as, and hangs on the one before."""
        previous = NONE
        for entry in self.entries:
            seal = entry.document()
            assert [m for m in seal if m != "FetchedAt"] in (
                ["Collections", "Keys", "Previous", "Digest"],
                ["Collections", "Keys", "Previous", "KeyId", "Digest",
                 "Signature"])
            assert seal["Keys"] == self.keys(entry.version)
            assert seal["Previous"] == previous
            assert seal["Digest"] == entry.digest()
            previous = entry.chain()

    def reseal(self, first=0, is_signed=None):
        """As somebody would without the key: all digests anew; is_signed:
        what they have of a signature stays, or goes (False)."""
        previous = self.entries[first - 1].chain() if first else NONE
        for entry in self.entries[first:]:
            if entry.seal is not None:
                seal = entry.document()
                seal["Keys"] = self.keys(entry.version)
                seal["Previous"] = previous
                if is_signed is False:
                    seal.pop("KeyId", None)
                    seal.pop("Signature", None)
                entry.seal = bson.encode(seal)
                seal["Digest"] = entry.digest()
                entry.seal = bson.encode(seal)
            previous = entry.chain()


def number(value):
    return struct.pack(">q", value)


def blob(data):
    return number(len(data)) + data


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def split(document):
    """The members of a BSON document as they are: (name, bytes)."""
    at = 4
    while document[at]:
        start, name = at, document[at + 1:document.index(0, at + 1)]
        value = at + 2 + len(name)
        if document[start] == 9:        # a date
            at = value + 8
        elif document[start] == 3:      # a document, which may have one
            at = value + int.from_bytes(document[value:value + 4], "little")
        else:
            _, at = model.value_of(document[start], document, value)
        yield name.decode(), document[start:at]


def join(members):
    body = b"".join(raw for _, raw in members)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


# What a seal says of the records

def numbers(value):
    """A document of the model with its numbers as texts."""
    if isinstance(value, dict):
        return {name: numbers(v) for name, v in value.items()}
    if isinstance(value, list):
        return [numbers(v) for v in value]
    if isinstance(value, (int, Decimal128)) and not isinstance(value, bool):
        return documents.Number(value)
    return value


def canonical(record):
    """Of the record's Data; None when a number is none of JSON's."""
    try:
        return documents.canonical(documents.plain(
            numbers(model.decode(record.data)))).encode()
    except (OverflowError, ValueError):
        return None


def is_served(collection):
    return collection in OUTPUTS or (
        collection not in (*model.COLLECTIONS, "Quarantine"))


def numbers_of(state, collection):
    """What the seal has to say of a collection of a dump."""
    found = sorted((key.encode(), record) for (name, key), record
                   in state.records.items() if name == collection)
    live = [(key, record) for key, record in found if not record.deleted]
    expected = {
        "Live": len(live), "Deleted": len(found) - len(live),
        "Digest": sha256(b"".join(
            blob(key) + number(record.version) + number(record.deleted)
            + blob(record.hash.encode()) for key, record in found))}
    texts = [canonical(record) for _, record in live]
    if is_served(collection) and None not in texts:
        lines = b""
        for (key, record), text in zip(live, texts):
            if collection not in model.COLLECTIONS:
                key = key.split(b"/", 1)[1]     # consumers have the id alone
            lines += b"%d %s %d %s\n" % (len(key), key, record.version,
                                         sha256(text).encode())
        expected["Data"] = sha256(lines)
    return expected


def check_records(state, entry):
    """Does the newest seal tell of the records that are there?"""
    assert entry.document()["Collections"] == {
        name: numbers_of(state, name)
        for name in {*model.COLLECTIONS, *(n for n, _ in state.records)}}


# Signatures

def is_signed(entry, key, folder):
    """By the public key (a JWK), says OpenSSL."""
    raw = base64.urlsafe_b64decode(key["x"] + "=")
    seal = entry.document()
    assert seal["KeyId"] == key["kid"]
    files = {"key": bytes.fromhex("302a300506032b6570032100") + raw,
             "message": f"nompd-sync seal\n{seal['Digest']}\n".encode(),
             "signature": bytes.fromhex(seal["Signature"])}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key",
         "-keyform", "DER", "-rawin", "-in", "message", "-sigfile",
         "signature"], cwd=folder, check=False, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL).returncode == 0


# The two kinds

def connect(store):
    return sqlite3.connect(store, timeout=stores.PATIENCE)


def read_sqlite(store):
    database = connect(store)
    try:
        return History(
            [Entry(*row) for row in database.execute(
                "SELECT Version, SyncedAt, DurationMs, Tallies, Seal"
                " FROM SyncHistory ORDER BY Version")],
            database.execute("SELECT Version, Collection, Act, Part, Keys"
                             " FROM SyncHistoryKeys").fetchall())
    finally:
        database.close()


def write_sqlite(store, history):
    database = connect(store)
    database.execute("PRAGMA synchronous = OFF")
    with database:
        database.execute("DELETE FROM SyncHistory")
        database.execute("DELETE FROM SyncHistoryKeys")
        database.executemany(
            "INSERT INTO SyncHistory (Version, SyncedAt, DurationMs, Tallies,"
            " Seal) VALUES (?, ?, ?, ?, ?)",
            [(e.version, e.synced_at, e.duration, e.tallies, e.seal)
             for e in history.entries])
        database.executemany(
            "INSERT INTO SyncHistoryKeys (Version, Collection, Act, Part,"
            " Keys) VALUES (?, ?, ?, ?, ?)", history.parts)
    database.close()


OWN = ("_id", "Version", "SyncedAt", "DurationMs", "Seal")


def read_mongodb(store):
    database = KIND.database(store)
    entries, parts = [], []
    for found in database.SyncHistory.find().sort("Version"):
        raw = dict(split(found.raw))
        seal = raw.get("Seal")
        entries.append(Entry(
            int(found["Version"]), KIND.milliseconds(found["SyncedAt"]),
            int(found["DurationMs"]),
            join((n, m) for n, m in raw.items() if n not in OWN),
            seal and seal[len("\x03Seal\0"):]))
    for found in database.SyncHistoryKeys.find():
        keys = dict(split(found.raw))["Keys"][len("\x04Keys\0"):]
        parts.append((int(found["Version"]), found["Collection"],
                      found["Act"], int(found["Part"]), keys))
    return History(entries, parts)


def write_mongodb(store, history):
    from bson.int64 import Int64
    from bson.raw_bson import RawBSONDocument
    database = KIND.database(store)
    database.SyncHistory.delete_many({})
    database.SyncHistoryKeys.delete_many({})
    for entry in history.entries:
        head = bson.encode({
            "_id": Int64(entry.version), "Version": Int64(entry.version),
            "SyncedAt": KIND.date(entry.synced_at),
            "DurationMs": Int64(entry.duration)})
        members = [*split(head), *split(entry.tallies)]
        if entry.seal is not None:
            members.append(("Seal", b"\x03Seal\0" + entry.seal))
        database.SyncHistory.insert_one(RawBSONDocument(join(members)))
    for i, part in enumerate(history.parts):
        head = bson.encode({
            "_id": str(i), "Version": Int64(part[0]), "Collection": part[1],
            "Act": part[2], "Part": Int64(part[3])})
        database.SyncHistoryKeys.insert_one(RawBSONDocument(join(
            [*split(head), ("Keys", b"\x04Keys\0" + part[4])])))


def read(store):
    return (read_sqlite if KIND.name == "sqlite" else read_mongodb)(store)


def write(store, history):
    (write_sqlite if KIND.name == "sqlite" else write_mongodb)(store, history)


# What the program says

FINDING = re.compile(r"(?:version (\d+)|history): (.+)")
SUMMARY = re.compile(r"(\d+) entries: (\d+) sealed, (\d+) of an older .*"
                     r"; (\d+) findings?")


def verify(sync, *args, **options):
    """(findings, summary): (version or None, text) each."""
    ended = sync.run("verify", "--history", *args, **options)
    lines = ended.out.splitlines()
    findings = [FINDING.fullmatch(line).groups() for line in lines[:-1]]
    summary = SUMMARY.fullmatch(lines[-1]).groups()
    assert int(summary[3]) == len(findings)
    assert ended.status == (1 if findings else 0), ended.err
    said = json.loads(sync.run("verify", "--history", "--format", "json",
                               *args, **options).out.splitlines()[-1])
    assert said["findings"] == len(findings)
    return [(version and int(version), text)
            for version, text in findings], lines[-1]
