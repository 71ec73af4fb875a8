#!/usr/bin/python3
"""What a short script with pymongo would do: JSON lists into MongoDB.

    NOMPD_STORE=URI python3 bench/mongodb_peer.py [--batch N] FOLDER

For bench/mongodb.py, beside nompd-sync.  Every list below FOLDER is read whole
and goes into the collection of its name, in the documents of the store: all
the keys are loaded first, to count what is new, and then everything is
written, changed or not.  There is no conversion, no comparison, no check, no
history, no tombstone and no lease, and numbers become doubles.

Prints what it did as a JSON object: added, replaced.
"""

import argparse
import datetime
import hashlib
import json
import os
import pathlib

import pymongo

# 5000 were no faster.
BATCH = 1000


def content_hash(resource):
    text = json.dumps(resource, sort_keys=True, separators=(",", ":"),
                      ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def document(resource, version, now):
    key = resource["identifier"][0]["value"]
    return {"_id": key, "BusinessKey": key, "Data": resource,
            "Version": version, "IsDeleted": False, "UpdatedAt": now,
            "ContentHash": content_hash(resource)}


def raise_version(database, now):
    return database.SyncMetadata.find_one_and_update(
        {"_id": "sync"},
        {"$inc": {"CurrentVersion": 1}, "$set": {"LastSyncAt": now}},
        upsert=True, return_document=pymongo.ReturnDocument.AFTER,
    )["CurrentVersion"]


def store(collection, resources, version, now, batch):
    """How many of them were new."""
    collection.create_index("BusinessKey", unique=True)
    collection.create_index([("Version", 1), ("_id", 1)])
    keys = {found["_id"] for found in collection.find({}, {"_id": 1})}
    added = 0
    for start in range(0, len(resources), batch):
        documents = [document(resource, version, now)
                     for resource in resources[start:start + batch]]
        collection.bulk_write(
            [pymongo.ReplaceOne({"_id": each["_id"]}, each, upsert=True)
             for each in documents], ordered=False)
        added += sum(each["_id"] not in keys for each in documents)
    return added


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=BATCH, metavar="N")
    parser.add_argument("folder", type=pathlib.Path)
    args = parser.parse_args()
    database = pymongo.MongoClient(
        os.environ["NOMPD_STORE"], journal=True).get_default_database()
    now = datetime.datetime.now(datetime.timezone.utc)
    version = raise_version(database, now)
    added = total = 0
    for path in sorted(args.folder.rglob("*.json")):
        entries = json.loads(path.read_bytes())["entry"]
        resources = [entry["resource"] for entry in entries]
        added += store(database[f"{path.stem}s"], resources, version, now,
                       args.batch)
        total += len(resources)
    print(json.dumps({"added": added, "replaced": total - added}))


if __name__ == "__main__":
    main()
