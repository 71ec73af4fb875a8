"""What a consumer holds as one number, by the formula of nompd-api(7), out of
answers and out of the store."""
import hashlib
import json
import pathlib
import sys

from bson.decimal128 import Decimal128

import model

sys.path.insert(0, str(
    pathlib.Path(__file__).resolve().parents[1] / "canonical"))

import documents  # noqa: E402


def digest(items):
    """Of live items: {id: (version, data)}; numbers in data as Number."""
    text = b""
    for key in sorted(items, key=str.encode):
        version, data = items[key]
        canonical = documents.canonical(documents.plain(data)).encode()
        text += b"%d %s %d %s\n" % (
            len(key.encode()), key.encode(), version,
            hashlib.sha256(canonical).hexdigest().encode())
    return hashlib.sha256(text).hexdigest()


def of_answer(body):
    """Of the list that an answer is."""
    found = json.loads(body, parse_int=documents.Number,
                       parse_float=documents.Number)
    assert not any(item["isDeleted"] for item in found["items"])
    return digest({item["data"]["id"]: (int(item["version"]), item["data"])
                   for item in found["items"]})


def numbers(value):
    """A document of the model with its numbers as texts."""
    if isinstance(value, dict):
        return {name: numbers(v) for name, v in value.items()}
    if isinstance(value, list):
        return [numbers(v) for v in value]
    if isinstance(value, (int, Decimal128)) and not isinstance(value, bool):
        return documents.Number(value)
    return value


def of_store(state, collection):
    """Of a collection in a dump."""
    found = {}
    for (name, _), row in state.records.items():
        if name == collection and not row.deleted:
            data = numbers(model.decode(row.data))
            found[data["id"]] = row.version, data
    return digest(found)
