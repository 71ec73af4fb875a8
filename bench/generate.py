#!/usr/bin/python3
"""Writes an upstream of any size, for the benchmark.

    python3 bench/generate.py [OPTION ...] FOLDER RECORDS

RECORDS RegulatedAuthorizations of about 1.3 kB, a PlanDefinition for every
100 of them and an ActivityDefinition for every 50, each list one Bundle in
compact JSON, its keys in no order.  The same arguments give the same bytes.
--changed PERCENT gives that share of each list another content, with the same
keys; --seed2 chooses which ones and what.

Prints what it wrote as a JSON object: bytes, resources, outputs (records
that are converted from them), and how many of both --changed made different
from what the same call without it writes.
"""

import argparse
import json
import pathlib
import random

AUTHORIZATIONS = "HreseptReimbursement/RegulatedAuthorization.json"
PLANS = "HreseptGuidelines/PlanDefinition.json"
ACTIVITIES = "HreseptGuidelines/ActivityDefinition.json"

AUTHORIZATIONS_PER_PLAN = 100
ACTIVITIES_PER_PLAN = 2
MIN_PLANS = 5

MASK = (1 << 64) - 1
CHUNK_RECORDS = 1000

DIAGNOSES = (
    ("M05", "Seropositiv revmatoid artritt"), ("M06", "Annen revmatoid "
     "artritt"), ("M07", "Psoriasisartropati"), ("M45", "Bekhterevs sykdom"),
    ("K50", "Crohns sykdom"), ("K51", "Ulcerøs kolitt"),
    ("L40", "Psoriasis"), ("L20", "Atopisk dermatitt"),
    ("G35", "Multippel sklerose"), ("B18.2", "Kronisk virushepatitt C"),
    ("C50", "Ondartet svulst i bryst"), ("C90", "Myelomatose"),
    ("D66", "Arvelig mangel på faktor VIII"), ("E22", "Hypofysær "
     "overfunksjon"), ("N18", "Kronisk nyresykdom"), ("J45", "Astma"),
)
REGULATIONS = (
    ("950", "H-resept"), ("2", "§ 2 Forhåndsgodkjent refusjon"),
    ("3a", "§ 3 Individuell stønad"), ("4", "§ 4 Allmennfarlige smittsomme "
     "sykdommer"),
)
REGIONS = (("SO", "Helse Sør-Øst"), ("VE", "Helse Vest"),
           ("MN", "Helse Midt-Norge"), ("NO", "Helse Nord"))
SUBSTANCES = ("Adalimumab", "Etanercept", "Golimumab", "Tocilizumab",
              "Infliksimab", "Rituksimab", "Natalizumab", "Sekukinumab")

# A template is the compact JSON of its object; the %(...)s are filled in.
ENTRY = {"fullUrl": "https://example.org/fhir/%(type)s/%(id)s",
         "resource": None, "search": {"mode": "match"}}
IDENTIFIER = [{"use": "official", "value": "%(key)s",
               "system": "https://example.org/fhir/%(kind)s"}]
META = {"versionId": "%(revision)s",
        "lastUpdated": "2026-01-%(day)02dT06:00:00.000Z"}
DIAGNOSIS = {"system": "urn:oid:2.16.578.1.12.4.1.1.7110",
             "code": "%(code)s", "display": "%(display)s"}


def numbered(template, number):
    """The template with a number behind the names that are filled in."""
    return json.loads(json.dumps(template).replace(")s", f"{number})s"))


AUTHORIZATION = {
    "resourceType": "RegulatedAuthorization", "id": "%(id)s", "meta": META,
    "identifier": IDENTIFIER,
    "extension": [
        {"url": "https://example.org/fhir/StructureDefinition/"
                "reimbursementRegulation",
         "valueCodeableConcept": {"coding": [
             {"system": "urn:oid:2.16.578.1.12.4.1.1.7427",
              "code": "%(regulation)s", "display": "%(regulation_text)s"}]}},
        {"url": "https://example.org/fhir/StructureDefinition/maximumPrice",
         "valueMoney": {"value": "@%(price)d.50@", "currency": "NOK"}}],
    "status": {"coding": [
        {"system": "http://hl7.org/fhir/publication-status",
         "code": "active", "display": "Active"}]},
    "statusDate": "2026-01-%(day)02d",
    "validityPeriod": {"start": "2026-02-01", "end": "2027-01-31"},
    "indication": {"concept": {"text": "%(substance)s ved %(display1)s eller "
                                       "%(display2)s, etter søknad"}},
    "region": [{"coding": [{"system": "urn:iso:std:iso:3166", "code": "NO",
                            "display": "Norge"}]}],
    "holder": {"reference": "Organization/%(regulation)s",
               "display": "Direktoratet for medisinske produkter"},
    "basis": [{"coding": [numbered(DIAGNOSIS, 1), numbered(DIAGNOSIS, 2)]}],
    "articleNumbers": "@[%(articles)s]@",
}
PLAN = {
    "resourceType": "PlanDefinition", "id": "%(id)s", "meta": META,
    "identifier": IDENTIFIER, "status": "active",
    "extension": [
        {"url": "https://example.org/fhir/StructureDefinition/diseaseGroup",
         "valueString": "%(display1)s"}],
    "name": "%(substance)s ved %(code1)s",
    "description": "Anbefalt rekkefølge ved %(display1)s, utgave "
                   "%(revision)s.",
    "useContext": [{
        "code": {"system": "http://terminology.hl7.org/CodeSystem/"
                           "usage-context-type", "code": "venue"},
        "valueCodeableConcept": {"coding": [
            {"system": "urn:oid:2.16.578.1.12.4.1.102", "code": code,
             "display": display} for code, display in REGIONS]}}],
    "effectivePeriod": {"start": "2026-02-01", "end": "2027-01-31"},
    "lastReviewDate": "2026-01-%(day)02d",
    "goal": [{"description": {"text": "Remisjon"}, "addresses": [
        {"coding": [numbered(DIAGNOSIS, 1)]},
        {"coding": [numbered(DIAGNOSIS, 2)]}]}],
    "action": [
        {"extension": [
            {"url": "https://example.org/fhir/StructureDefinition/rank",
             "valueInteger": rank + 1}],
         "description": f"Alternativ {rank + 1}",
         "definitionCanonical": "https://example.org/fhir/ActivityDefinition/"
                                f"%(activity{rank})s|1"}
        for rank in range(ACTIVITIES_PER_PLAN)],
}
ACTIVITY = {
    "resourceType": "ActivityDefinition", "id": "%(id)s", "meta": META,
    "identifier": IDENTIFIER, "status": "active",
    "name": "%(substance)s 40 mg",
    "description": "Injeksjonsvæske i ferdigfylt penn, utgave %(revision)s",
    "articleNumbers": "@[%(articles)s]@",
}


def template(resource):
    """An entry of a Bundle as text for %; what stands in "@ @" is bare."""
    text = json.dumps({**ENTRY, "resource": resource}, ensure_ascii=False,
                      separators=(",", ":"))
    return text.replace('"@', "").replace('@"', "")


def mixed(seed, number):
    """64 bits that look random (the end of splitmix64)."""
    bits = (seed * 0xD1342543DE82EF95 + number * 0x9E3779B97F4A7C15) & MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK
    return bits ^ (bits >> 31)


def article_numbers(bits, count):
    return ",".join(f'"{(bits >> 7 * i) % 1000000:06d}"'
                    for i in range(count))


def values(kind, prefix, number, seed, revision):
    """What fills a template; revision is 1, or more for a changed one."""
    bits = mixed(seed, number)
    code1, display1 = DIAGNOSES[bits & 15]
    code2, display2 = DIAGNOSES[bits >> 4 & 15]
    regulation, regulation_text = REGULATIONS[bits >> 8 & 3]
    return {
        "type": kind, "kind": kind.lower(),
        "id": f"{prefix.lower()}-{number}", "key": f"{prefix}-{number:07d}",
        "day": 1 + (bits >> 10) % 28, "revision": revision,
        "code1": code1, "display1": display1,
        "code2": code2, "display2": display2,
        "regulation": regulation, "regulation_text": regulation_text,
        "substance": SUBSTANCES[bits >> 16 & 7],
        "price": bits >> 20 & 0xffff,
        "articles": article_numbers(bits ^ revision, 4),
    }


class List:
    """One of the three lists: what is in it, in which order."""

    def __init__(self, kind, prefix, count, args):
        self.kind = kind
        self.prefix = prefix
        self.seed = args.seed
        self.order = list(range(count))
        random.Random(f"{args.seed} {kind}").shuffle(self.order)
        chooser = random.Random(f"{args.seed2} {kind}")
        share = round(count * args.changed / 100)
        if args.changed > 0:
            share = max(share, 1)
        self.changed = set(chooser.sample(range(count), share))
        # Told from the original and from another --seed2.
        self.revision = 2 + args.seed2

    def values(self, number):
        revision = self.revision if number in self.changed else 1
        return values(self.kind, self.prefix, number, self.seed, revision)

    def write(self, path, resource):
        """Writes the Bundle; returns its size."""
        path.parent.mkdir(parents=True, exist_ok=True)
        entry = template(resource)
        with path.open("w", encoding="utf-8", newline="") as out:
            out.write('{"resourceType":"Bundle","type":"searchset",'
                      f'"total":{len(self.order)},"entry":[')
            for start in range(0, len(self.order), CHUNK_RECORDS):
                out.write("," if start > 0 else "")
                out.write(",".join(
                    entry % self.values(number) for number
                    in self.order[start:start + CHUNK_RECORDS]))
            out.write("]}")
        return path.stat().st_size


class Plans(List):
    """PlanDefinitions, each with ActivityDefinitions of its own."""

    def values(self, number):
        filled = super().values(number)
        for rank in range(ACTIVITIES_PER_PLAN):
            activity = number * ACTIVITIES_PER_PLAN + rank
            filled[f"activity{rank}"] = f"AD-{activity:07d}"
        return filled


def generate(folder, args):
    plans = max(MIN_PLANS, args.records // AUTHORIZATIONS_PER_PLAN)
    authorizations = List("RegulatedAuthorization", "RA", args.records, args)
    plans = Plans("PlanDefinition", "PD", plans, args)
    activities = List("ActivityDefinition", "AD",
                      ACTIVITIES_PER_PLAN * len(plans.order), args)
    size = (authorizations.write(folder / AUTHORIZATIONS, AUTHORIZATION)
            + plans.write(folder / PLANS, PLAN)
            + activities.write(folder / ACTIVITIES, ACTIVITY))
    # A treatment group changes with its plan or an activity of it.
    groups = plans.changed | {number // ACTIVITIES_PER_PLAN
                              for number in activities.changed}
    return {
        "bytes": size,
        "resources": sum(len(each.order) for each
                         in (authorizations, plans, activities)),
        "outputs": len(authorizations.order) + len(plans.order),
        "changedResources": sum(len(each.changed) for each
                                in (authorizations, plans, activities)),
        "changedOutputs": len(authorizations.changed) + len(groups),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("records", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--changed", type=float, default=0, metavar="PERCENT")
    parser.add_argument("--seed2", type=int, default=1)
    args = parser.parse_args()
    if args.records < 1 or not 0 <= args.changed <= 100 or args.seed2 < 0:
        parser.error("RECORDS from 1, PERCENT from 0 to 100, --seed2 from 0")
    print(json.dumps(generate(args.folder, args)))


if __name__ == "__main__":
    main()
