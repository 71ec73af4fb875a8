"""The contract of a run once more, small and apart from the program's code.

State maps (collection, key) to a Row; Model.run() gives the counts that the
program has to print.  Resources are parsed from the text that goes over the
wire, and documents are compared as BSON bytes.
"""
import collections
import hashlib
import json
import struct

from bson.decimal128 import Decimal128

import upstream

RAW = ("PlanDefinitions", "ActivityDefinitions", "RegulatedAuthorizations")
COLLECTIONS = RAW + ("TreatmentGroups", "ReimbursementGroups")
COUNTS = ("added", "updated", "unchanged", "deleted")

Row = collections.namedtuple("Row", "data version deleted hash")


# BSON

def encode(value, canonical=False):
    """A dict or list as a BSON document; canonical: members by name."""
    if isinstance(value, list):
        pairs = [(str(i), v) for i, v in enumerate(value)]
    else:
        pairs = list(value.items())
        if canonical:
            pairs.sort(key=lambda pair: pair[0].encode())
    body = b"".join(element(n, v, canonical) for n, v in pairs)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def element(name, value, canonical):
    kind, payload = payload_of(value, canonical)
    return bytes([kind]) + name.encode() + b"\0" + payload


def payload_of(value, canonical):
    if isinstance(value, str):
        text = value.encode() + b"\0"
        return 0x02, struct.pack("<i", len(text)) + text
    if isinstance(value, dict):
        return 0x03, encode(value, canonical)
    if isinstance(value, list):
        return 0x04, encode(value, canonical)
    if isinstance(value, bool):
        return 0x08, bytes([value])
    if value is None:
        return 0x0A, b""
    if isinstance(value, Decimal128):
        return 0x13, value.bid
    if -2**31 <= value < 2**31:
        return 0x10, struct.pack("<i", value)
    return 0x12, struct.pack("<q", value)


def decode(data):
    """A BSON document as a dict; every byte has to be accounted for."""
    value, end = members(data, 0)
    assert end == len(data)
    return value


def members(data, start):
    size = struct.unpack_from("<i", data, start)[0]
    found, at = {}, start + 4
    while data[at]:
        kind, end = data[at], data.index(0, at + 1)
        name = data[at + 1:end].decode()
        assert name not in found
        found[name], at = value_of(kind, data, end + 1)
    assert at + 1 == start + size
    return found, at + 1


def value_of(kind, data, at):
    if kind == 0x02:
        end = at + 4 + struct.unpack_from("<i", data, at)[0]
        assert data[end - 1] == 0
        return data[at + 4:end - 1].decode(), end
    if kind == 0x03:
        return members(data, at)
    if kind == 0x04:
        found, end = members(data, at)
        assert list(found) == [str(i) for i in range(len(found))]
        return list(found.values()), end
    if kind == 0x08:
        assert data[at] < 2
        return bool(data[at]), at + 1
    if kind == 0x0A:
        return None, at
    if kind == 0x13:
        return Decimal128.from_bid(data[at:at + 16]), at + 16
    form = {0x10: "<i", 0x12: "<q"}[kind]
    return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)


def content_hash(value):
    return hashlib.sha256(encode(value, canonical=True)).hexdigest()


def parse_int(digits):
    value = int(digits)
    return value if -2**63 <= value < 2**63 else Decimal128(digits)


def parse(text):
    return json.loads(text, parse_float=Decimal128, parse_int=parse_int)


def on_the_wire(resource):
    """The resource as a reader of its JSON text sees it."""
    return parse(upstream.dumps(resource))


# Questions to a resource; a member of another type counts as absent

def text(value):
    return value if isinstance(value, str) else None


def obj(value):
    return value if isinstance(value, dict) else {}


def entries(value, kind=dict):
    if not isinstance(value, list):
        return []
    return [entry for entry in value if isinstance(entry, kind)]


def business_key(resource):
    identifier = resource.get("identifier")
    if not isinstance(identifier, list) or not identifier:
        return None
    return text(obj(identifier[0]).get("value")) or None


def url_contains(extension, part):
    return part.lower() in (text(extension.get("url")) or "").lower()


def extensions(resource, part):
    return [e for e in entries(resource.get("extension"))
            if url_contains(e, part)]


def coding(value):
    return {n: text(value.get(n)) for n in ("system", "code", "display")}


def concept(value):
    return {"coding": [coding(c) for c in entries(value.get("coding"))],
            "text": text(value.get("text"))}


def date(value):
    return None if text(value) is None else value.split("T")[0]


# Articles

def article_members(resource):
    for name in ("articleNumbers", "ArticleNumbers"):
        found = [a for a in entries(resource.get(name), str) if a]
        if found:
            return found
    for name in ("articleNumber", "ArticleNumber"):
        if text(resource.get(name)):
            return [resource[name]]
    return []


def article_extension(extension):
    for value in (extension.get("valueString"), extension.get("valueCode"),
                  obj(extension.get("valueIdentifier")).get("value"),
                  obj(extension.get("valueCoding")).get("code")):
        if text(value):
            return [value]
    return []


def article_numbers(resource):
    found = article_members(resource)
    if found:
        return found
    for extension in extensions(resource, "articleNumber"):
        found += article_extension(extension)
    if found:
        return found
    return article_identifiers(resource)


def article_identifiers(resource):
    subject = resource.get("subject")
    subjects = [subject] if isinstance(subject, dict) else entries(subject)
    product = obj(obj(resource.get("productReference")).get("identifier"))
    codings = obj(resource.get("productCodeableConcept")).get("coding")
    for pairs in ([(product, "value")],
                  [(c, "code") for c in entries(codings)],
                  [(obj(s.get("identifier")), "value") for s in subjects]):
        found = [o[n] for o, n in pairs if text(o.get(n)) and "varenummer" in
                 (text(o.get("system")) or "").lower()]
        if found:
            return found
    return []


def medicines(resource):
    return [{"reference": None, "type": "FEST/LegemiddelPakning",
             "identifier": {"system": "FEST/Varenummer", "value": number},
             "display": None} for number in article_numbers(resource)]


# TreatmentGroup

def disease_group(plan):
    for extension in extensions(plan, "diseaseGroup"):
        if text(extension.get("valueString")):
            return extension["valueString"]
    kind = obj(plan.get("type"))
    if text(kind.get("text")):
        return kind["text"]
    first = kind.get("coding")
    first = obj(first[0]) if isinstance(first, list) and first else {}
    return text(first.get("display")) or None


def jurisdictions(plan):
    found = []
    for context in entries(plan.get("useContext")):
        value = obj(context.get("valueCodeableConcept"))
        found += [coding(c) for c in entries(value.get("coding"))
                  if c.get("system") == upstream.JURISDICTION]
    return found


def validity(plan):
    period = plan.get("effectivePeriod")
    if not isinstance(period, dict):
        return None
    return {"start": date(period.get("start")), "end": date(period.get("end"))}


def rank_of(extension):
    for name in ("valueInteger", "valuePositiveInt", "valueUnsignedInt"):
        value = extension.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    value = extension.get("valueDecimal")
    if isinstance(value, Decimal128):
        value = value.to_decimal()
        return int(value) if value == value.to_integral_value() else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    value = text(extension.get("valueString"))
    if value and value.isascii() and value.isdigit():
        return int(value)
    return None


def rank(action, position):
    for extension in extensions(action, "rank"):
        value = rank_of(extension)
        if value is not None and -2**31 <= value < 2**31:
            return value
    return position


def resolve(canonical, activities):
    last = canonical.rstrip("/").split("/")[-1]
    for key in (canonical, canonical.split("|")[0], last, last.split("|")[0]):
        if key in activities:
            return activities[key]
    return None


def alternative(action, position, activities):
    canonical = text(action.get("definitionCanonical")) or None
    found = resolve(canonical, activities) if canonical else None
    known = found or {}
    return {
        "rank": rank(action, position),
        "treatmentId": business_key(found) if found else canonical,
        "name": (text(known.get("name"))
                 or text(action.get("description")) or None),
        "description": text(known.get("description")),
        "medicines": medicines(known),
    }, canonical is not None and found is None


def treatment_group(plan, activities):
    """The output document and how many references led nowhere."""
    pairs = [alternative(a, i + 1, activities)
             for i, a in enumerate(entries(plan.get("action")))]
    return {
        "id": business_key(plan),
        "name": text(plan.get("name")),
        "description": text(plan.get("description")),
        "diseaseGroup": disease_group(plan),
        "jurisdictions": jurisdictions(plan),
        "validityPeriod": validity(plan),
        "reviewDate": date(plan.get("lastReviewDate")),
        "indications": [concept(a) for g in entries(plan.get("goal"))
                        for a in entries(g.get("addresses"))],
        "treatmentAlternatives": [p[0] for p in pairs],
    }, sum(p[1] for p in pairs)


# ReimbursementGroup

def legal_basis(resource):
    for extension in extensions(resource, "reimbursementRegulation"):
        if isinstance(extension.get("valueCodeableConcept"), dict):
            return concept(extension["valueCodeableConcept"])
    return None


def reimbursement_group(resource):
    basis = resource.get("basis")
    parts = [basis] if isinstance(basis, dict) else entries(basis)
    return {
        "id": business_key(resource),
        "legalBasis": legal_basis(resource),
        "indications": [{"coding": [coding(c)], "text": None}
                        for b in parts for c in entries(b.get("coding"))],
        "medicines": medicines(resource),
    }


# A run

class Held(Exception):
    """The guard holds the run."""


class Model:
    def __init__(self):
        self.rows = {}
        self.version = 0
        self.tallies = {}

    def run(self, plans, activities, authorizations, let_through=False):
        """Takes the lists of resources; gives the counts of the result."""
        self.tallies = {c: collections.Counter() for c in COLLECTIONS}
        wanted = {}
        for name, resources in zip(RAW, (plans, activities, authorizations)):
            wanted[name] = self._keyed(name, resources)
            if not let_through:
                self._judge(name, wanted[name])
        wanted.update(self._convert(wanted))
        self.version += 1
        for name in COLLECTIONS:
            self._upsert(name, wanted[name])
        return {count: sum(t[count] for t in self.tallies.values())
                for count in COUNTS}

    def go_back(self, then):
        """A rollback to the rows of a version; gives the counts."""
        self.tallies = {c: collections.Counter() for c in COLLECTIONS}
        self.version += 1
        for name in COLLECTIONS:
            self._upsert(name, {
                key: decode(row.data) for (c, key), row in then.items()
                if c == name and not row.deleted})
        return {count: sum(t[count] for t in self.tallies.values())
                for count in COUNTS}

    def live(self, name):
        return {key: row for (c, key), row in self.rows.items()
                if c == name and not row.deleted}

    def _keyed(self, name, resources):
        found = {}
        for resource in map(on_the_wire, resources):
            key = business_key(resource)
            if key is None:
                self.tallies[name]["skipped"] += 1
                continue
            self.tallies[name]["duplicates"] += key in found
            found[key] = resource
        return found

    def _judge(self, name, wanted):
        live = self.live(name)
        lost = len(live.keys() - wanted.keys())
        if live and not wanted:
            raise Held(name)
        if lost > 10 and lost * 100 > 20 * len(live):
            raise Held(name)

    def _convert(self, wanted):
        groups = {}
        for key, resource in wanted["PlanDefinitions"].items():
            groups[key], lost = treatment_group(
                resource, wanted["ActivityDefinitions"])
            self.tallies["TreatmentGroups"]["unresolved"] += lost
        return {"TreatmentGroups": groups, "ReimbursementGroups": {
            key: reimbursement_group(resource) for key, resource
            in wanted["RegulatedAuthorizations"].items()}}

    def _upsert(self, name, wanted):
        for key, data in wanted.items():
            self.tallies[name][self._put(name, key, data)] += 1
        for key, row in self.live(name).items():
            if key not in wanted:
                self.rows[name, key] = row._replace(
                    version=self.version, deleted=True)
                self.tallies[name]["deleted"] += 1

    def _put(self, name, key, data):
        old = self.rows.get((name, key))
        digest = content_hash(data)
        if old and not old.deleted and old.hash == digest:
            return "unchanged"
        self.rows[name, key] = Row(encode(data), self.version, False, digest)
        return "updated" if old else "added"
