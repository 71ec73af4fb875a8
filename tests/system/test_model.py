"""Random upstreams, run after run, against the model of the contract."""
import random

import pytest

import model
import upstream as up
from conftest import rows
from stores import few

RUNS = 10


class Generator:
    """Lists of resources that change a little from one run to the next."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.lists = ({}, {}, {})
        self.makers = (self.plan, self.activity, self.authorization)

    def one(self, *choices):
        return self.chance.choice(choices)

    def some(self, make, most=3):
        return [make() for _ in range(self.chance.randrange(most + 1))]

    def step(self):
        for records, make in zip(self.lists, self.makers):
            for key in list(records):
                roll = self.chance.random()
                if roll < 0.1:
                    del records[key]
                elif roll < 0.3:
                    records[key] = make(key)
            for _ in range(self.chance.randrange(4)):
                key = f"k{self.chance.randrange(14)}"
                records[key] = make(key)
        return [self.listed(records, make)
                for records, make in zip(self.lists, self.makers)]

    def listed(self, records, make):
        """In any order, with duplicates and records without a key."""
        found = list(records.values())
        self.chance.shuffle(found)
        for _ in range(self.chance.randrange(2)):
            if records:
                key = self.one(*records)
                found.insert(0, make(key))
        if self.chance.random() < 0.3:
            found.append(make("", identifier=self.one(
                [], None, [{}], {"value": "x"}, [{"value": ""}], "x")))
        return found

    # resources

    def resource(self, kind, key, **members):
        resource = {"resourceType": kind, "identifier": [{"value": key}]}
        resource.update({n: v for n, v in members.items() if v != "absent"})
        if self.chance.random() < 0.3:
            resource["x"] = self.value(3)
        if self.chance.random() < 0.3:
            items = list(resource.items())
            self.chance.shuffle(items)
            resource = dict(items)
        return resource

    def value(self, depth):
        kinds = ["text", 7, 2**40, up.number("1.50"), True, None, "",
                 up.number("-0.0"), up.number("9" * 30)]
        if depth and self.chance.random() < 0.5:
            return self.one([], {}, [self.value(depth - 1)],
                            {"$b": self.value(depth - 1), "a.": 1, "Å": 0})
        return self.one(*kinds)

    def text(self):
        return self.one("absent", "", "a", "Å💊", 7, None, {}, ["a"])

    def coding(self):
        return self.one(
            {"system": "s", "code": self.one("1", "2"), "display": "d"},
            {"code": "3"}, {}, "no coding", {"system": 1, "code": None},
            {"system": up.JURISDICTION, "code": "1", "extra": [1]})

    def concept(self):
        return self.one({"coding": self.some(self.coding),
                         "text": self.text()}, {}, None, {"coding": {}})

    def date(self):
        return self.one("2025", "2025-04", "2025-04-10", None, "absent", 7,
                        "2025-04-10T08:30:00+02:00")

    def extension(self):
        return self.one(
            {"url": self.one("x/DISEASEGROUP", "diseaseGroup", "other"),
             "valueString": self.one("ms", "ra", "", 7)},
            {"url": "diseaseGroup"}, {"valueString": "x"}, 7,
            {"url": self.one("reimbursementRegulation", "x"),
             "valueCodeableConcept": self.concept()},
            {"url": self.one("x/articleNumber", "ARTICLENUMBERS"),
             self.one("valueString", "valueCode"): self.one("0042", "", 7)},
            {"url": "articleNumber", "valueIdentifier": {"value": "007"}},
            {"url": "articleNumber", "valueCoding": {"code": "008"}})

    def rank(self):
        name = self.one("valueInteger", "valuePositiveInt", "valueString",
                        "valueUnsignedInt", "valueDecimal")
        value = self.one(3, "4", up.number("5.0"), up.number("2.5"), "x", "",
                         2**31, 2**40, None)
        return {"url": self.one("x/Rank", "rank", "other"), name: value}

    def action(self):
        key = f"k{self.chance.randrange(14)}"
        form = self.one("{}", "{}|1", "http://x/{}", "http://x/{}|2",
                        "http://x/{}/", "urn:{}", "http://x/|{}", "")
        return self.one({
            "extension": self.some(self.rank), "description": self.text(),
            "definitionCanonical": form.format(key)},
            {"description": self.text()}, {}, 7,
            {"definitionCanonical": self.one(None, 7, "", key)})

    def plan(self, key, **members):
        return self.resource("PlanDefinition", key, **{
            "name": self.text(), "description": self.text(),
            "extension": self.some(self.extension),
            "type": self.one("absent", {"text": self.text()}, {
                "coding": [{"display": "x"}]}, {"coding": []}, 7),
            "useContext": [{"valueCodeableConcept": self.concept()}],
            "effectivePeriod": self.one("absent", None, [], {
                "start": self.date(), "end": self.date()}),
            "lastReviewDate": self.date(),
            "goal": self.some(lambda: self.one({
                "addresses": self.some(self.concept)}, {}, 7)),
            "action": self.some(self.action), **members})

    def articles(self):
        numbers = self.one(["1", "02"], [], ["", "03"], [4], "5", ["6", "6"])
        return self.one(
            {"articleNumbers": numbers}, {"articleNumber": "7"}, {},
            {"ArticleNumbers": numbers}, {"ArticleNumber": "8"},
            {"articleNumbers": [""], "articleNumber": "9"},
            {"productReference": {"identifier": {
                "system": "FEST/Varenummer", "value": "10"}}},
            {"productCodeableConcept": {"coding": [
                {"system": "x/VARENUMMER", "code": "11"}, {"code": "12"}]}},
            {"subject": {"identifier": {
                "system": "varenummer", "value": "13"}}},
            {"subject": [{"identifier": {
                "system": "varenummer", "value": v}} for v in ("14", "15")]})

    def activity(self, key, **members):
        return self.resource("ActivityDefinition", key, **{
            "name": self.text(), "description": self.text(),
            "extension": self.some(self.extension), **self.articles(),
            **members})

    def authorization(self, key, **members):
        return self.resource("RegulatedAuthorization", key, **{
            "extension": self.some(self.extension), "basis": self.one(
                self.concept(), self.some(self.concept), "absent"),
            **self.articles(), **members})


def publish(server, chance, lists):
    """Each list in one of the forms that a response may have."""
    for path, resources in zip(up.LISTS, lists):
        form = chance.choice(["pages", "pages", "array", "lines", "bundle"])
        gzipped, chunked = chance.random() < 0.3, chance.random() < 0.3
        if form == "pages" and resources:
            server.serve_pages(path, resources, chance.randrange(1, 6))
            continue
        shape = {"array": up.array, "lines": up.ndjson}.get(form, up.bundle)
        body = shape(resources) or "[]"
        server.script(path, up.Answer(
            body, gzipped=gzipped, chunked=chunked))


@pytest.mark.parametrize("seed", range(few(8)))
def test_runs(sync, upstream, seed):
    generator = Generator(seed)
    expectation = model.Model()
    for number in range(RUNS):
        lists = generator.step()
        publish(upstream, generator.chance, lists)
        counts = expectation.run(*lists, let_through=True)
        ended = sync.run("--max-delete", "100%", "--log-level", "error")
        assert ended.result["version"] == number + 1
        assert ended.counts == tuple(counts[c] for c in model.COUNTS)
        assert rows(sync.dump()) == expectation.rows
        check_history(sync.history("--limit", "1")[0], expectation)


def check_history(entry, expectation):
    for name in model.COLLECTIONS:
        tally = expectation.tallies[name]
        found = {count: entry[name][count.title()] for count in (
            *model.COUNTS, "skipped", "duplicates")}
        assert found == {count: tally[count] for count in found}, name
        for count in ("added", "updated", "deleted"):
            keys = entry[name][count.title() + "Keys"]
            assert len(keys) == tally[count] and keys == sorted(keys)
    assert entry["TreatmentGroups"]["Unresolved"] == expectation.tallies[
        "TreatmentGroups"]["unresolved"]
