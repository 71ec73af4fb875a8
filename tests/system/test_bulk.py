"""Bulk mode: what is asked of the server, and what is in the store then."""
import json

import pytest

import upstream as up
from bulk_server import Export, File, patient, resource
from conftest import EMPTY, FILLED, KEY
from upstream import number


@pytest.fixture
def world(server):
    """Three patients, two of them in a group, and what is theirs."""
    world = server.world
    for i in range(3):
        world.put("Patient", f"p{i}", gender="unknown")
        world.put("Condition", f"c{i}", subject={"reference": f"Patient/p{i}"})
    world.put("Location", "l1", name="Å")
    world.groups = {"g1": ["p0", "p2"]}
    return world


def put_all(world, resources):
    """The resources of the other mode's tests, with their ids."""
    for resource in resources:
        members = {name: value for name, value in resource.items()
                   if name not in ("resourceType", "id", "meta")}
        world.put(resource["resourceType"], resource["id"], **members)


LEVELS = [
    ((), "", {"Patient": "p0 p1 p2", "Condition": "c0 c1 c2",
              "Location": "l1"}),
    (("--patients",), "Patient",
     {"Patient": "p0 p1 p2", "Condition": "c0 c1 c2"}),
    (("--group", "g1"), "Group/g1", {"Patient": "p0 p2", "Condition": "c0 c2"}),
    (("--type", "Patient"), "", {"Patient": "p0 p1 p2"}),
    (("--group", "g1", "--type", "Condition,Location"), "Group/g1",
     {"Condition": "c0 c2"}),
]


@pytest.mark.parametrize("args,level,wanted", LEVELS, ids=str)
def test_levels(bulk, server, world, args, level, wanted):
    ended = bulk.run(*args)
    assert ended.counts == (sum(len(ids.split()) for ids in wanted.values()),
                            0, 0, 0)
    assert [job.level for job in server.jobs] == [level]
    for type in ("Patient", "Condition", "Location"):
        assert " ".join(sorted(bulk.records(type))) == wanted.get(type, "")


def test_variables(bulk, server, world):
    env = {"NOMPD_MODE": "bulk", "NOMPD_GROUP": "g1",
           "NOMPD_TYPE": "Patient,Condition", "NOMPD_KICK_OFF": "post",
           "NOMPD_MAX_POLL_WAIT": "1s"}
    command = super(type(bulk), bulk).arguments
    bulk.arguments = command    # without the flags of this mode
    assert bulk.run(env=env).counts == (4, 0, 0, 0)
    assert server.job.method == "POST"
    assert server.job.level == "Group/g1"
    assert server.job.parameters["_type"] == ["Condition", "Patient"]


def test_the_other_mode_is_the_default(sync, upstream):
    assert sync.run("--mode", "api").counts == (15, 0, 0, 0)
    assert sync.run().counts == (0, 0, 15, 0)


FILTERS = ["Patient?gender=female&birthdate=gt1970", "Condition?code=a|1,b|2",
           "Location?name=%C3%85"]
ASKED = ("--type", "Patient,Condition,Location", "--elements",
         "Patient.id,gender", "--since", "2025-01-01T00:00:00.5+01:00",
         "--type-filter", " ".join(FILTERS))


@pytest.mark.parametrize("form", ["get", "post"])
def test_parameters(bulk, server, world, form):
    assert bulk.run(*ASKED, "--kick-off", form).status == 0
    asked = dict(server.job.parameters)
    asked.pop("_outputFormat", None)
    assert server.job.method == form.upper()
    assert asked == {
        "_type": ["Condition", "Location", "Patient"],
        "_elements": ["Patient.id", "gender"],
        "_since": ["2025-01-01T00:00:00.5+01:00"],
        "_typeFilter": FILTERS}


def test_types_of_values(bulk, server, world):
    assert bulk.run(*ASKED, "--kick-off", "post").status == 0
    body = json.loads(server.of_method("POST")[0].body)
    for entry in body["parameter"]:
        name, kind = entry
        assert name == "name"
        assert kind == ("valueInstant" if entry["name"] == "_since"
                        else "valueString")


def test_nothing_is_asked_that_was_not_said(bulk, server, world):
    assert bulk.run().status == 0
    assert server.job.parameters.keys() <= {"_outputFormat"}
    assert bulk.run("--kick-off", "post").status == 0
    assert server.job.parameters.keys() <= {"_outputFormat"}


def test_headers(bulk, server, world):
    assert bulk.run().status == 0
    kick_off, poll, *rest = [r for r in server.requests()
                             if "metadata" not in r.target]
    assert kick_off.headers["accept"] == "application/fhir+json"
    assert "respond-async" in kick_off.headers["prefer"]
    assert kick_off.headers["cache-control"] == "no-cache"
    assert poll.headers["accept"].startswith("application/json")
    assert poll.headers["cache-control"] == "no-cache"
    files = [r for r in rest if "/files/" in r.target]
    assert len(files) == 3
    for request in files:
        assert request.headers["accept"].startswith("application/fhir+ndjson")
        assert "gzip" in request.headers["accept-encoding"]
    for request in server.requests():
        assert request.headers["x-api-key"] == KEY
    assert rest[-1].method == "DELETE"
    assert server.job.is_deleted


METADATA = {"resourceType": "CapabilityStatement", "rest": [{
    "mode": "server", "operation": [{
        "name": "export", "definition": "http://hl7.org/fhir/uv/bulkdata/"
        "OperationDefinition/export|4.0.0"}]}]}


@pytest.mark.parametrize("said,makes,metadata,wanted", [
    ("auto", "GET POST", {}, ["GET"]), ("auto", "GET POST", METADATA, ["POST"]),
    ("auto", "POST", {}, ["GET", "POST"]), ("auto", "GET", METADATA,
                                            ["POST", "GET"]),
    ("get", "GET", METADATA, ["GET"]), ("post", "POST", {}, ["POST"])])
def test_kick_off(bulk, server, world, said, makes, metadata, wanted):
    server.makes = makes.split()
    server.metadata.update(metadata)
    assert bulk.run("--kick-off", said).counts == (7, 0, 0, 0)
    assert [r.method for r in server.requests()
            if "$export" in r.target] == wanted


@pytest.mark.parametrize("said,makes", [
    ("get", ["POST"]), ("post", ["GET"]), ("auto", [])])
def test_kick_off_refused(bulk, server, world, said, makes):
    server.makes = makes
    bulk.run("--kick-off", said).failed(69, "405", "not this way")
    assert bulk.dump() == EMPTY


def test_records(bulk, server):
    """As they are, with every digit; the key is Type/id."""
    server.exports = [Export([
        File("Patient", [patient("1", multipleBirthInteger=number("1.50"))]),
        File("Basic", [{"resourceType": "Basic", "id": "A-1.b"}])])]
    assert bulk.run().counts == (2, 0, 0, 0)
    assert json.loads(bulk.show("Basic", "Basic/A-1.b"))["Data"] == {
        "resourceType": "Basic", "id": "A-1.b"}
    assert "1.50" in bulk.show("Patient", "Patient/1")
    assert {where for where in bulk.dump().records} == {
        ("Patient", "Patient/1"), ("Basic", "Basic/A-1.b")}


def test_unchanged(bulk, server, world):
    assert bulk.run().counts == (7, 0, 0, 0)
    before = bulk.dump()
    world.pass_time()
    ended = bulk.run()
    assert ended.counts == (0, 0, 7, 0)
    assert ended.result["version"] == 2
    assert bulk.dump().records == before.records
    assert [job.since() for job in server.jobs] == [None, None]
    assert all(job.is_deleted for job in server.jobs)


def test_changed(bulk, server, world):
    """A full export says what is no longer there by what it does not have."""
    assert bulk.run().counts == (7, 0, 0, 0)
    world.pass_time()
    world.delete("Condition/c1")
    world.put("Patient", "p1", gender="other")
    world.put("Patient", "p9", gender="other")
    assert bulk.run().counts == (1, 1, 5, 1)
    assert bulk.records("Patient")["p1"] == world.resources["Patient/p1"]
    assert bulk.tombstones("Condition") == {"c1"}
    world.pass_time()
    world.put("Condition", "c1", subject={"reference": "Patient/p1"})
    assert bulk.run().counts == (0, 1, 7, 0)
    assert bulk.tombstones("Condition") == set()


def test_a_type_that_was_not_asked_for_stays(bulk, server, world):
    assert bulk.run().counts == (7, 0, 0, 0)
    world.pass_time()
    world.delete("Condition/c1")
    world.delete("Patient/p1")
    assert bulk.run("--type", "Patient").counts == (0, 0, 2, 1)
    assert len(bulk.records("Condition")) == 3


def test_a_type_that_was_not_asked_for_is_left_out(bulk, server):
    server.exports = [Export([File("Patient", [patient("1")]),
                              File("Basic", [{"resourceType": "Basic",
                                              "id": "b"}])])]
    ended = bulk.run("--type", "Patient")
    assert ended.counts == (1, 0, 0, 0)
    assert "WARN" in ended.err.upper() and "Basic" in ended.err
    assert bulk.records("Basic") == {}


def test_history(bulk, server, world):
    assert bulk.run("--type", "Patient").status == 0
    entry = bulk.history()[0]
    assert entry["Patient"]["Added"] == 3
    assert entry["Patient"]["AddedKeys"] == [
        f"Patient/p{i}" for i in range(3)]
    found = entry["Bulk"]
    assert found["Source"].startswith(server.url)
    assert "_type=Patient" in found["Source"]
    assert found["Files"] == 1 and found["Bytes"] > 0
    assert found["Complete"] is True
    assert found["TransactionTime"] == world.instant(world.now)
    assert found["Since"] is None
    assert found["Save"] == "overwrite"
    assert found["Full"] is True
    assert found["Bad"] == 0


def test_history_of_an_increment(bulk, server, world):
    assert bulk.run("--since", "2025-01-01T00:00:05Z").status == 0
    found = bulk.last_bulk()
    assert found["Since"] == "2025-01-01T00:00:05Z"
    assert (found["Save"], found["Full"]) == ("merge", False)


# The groups that are made of the three types

def groups(bulk):
    return {where: record for where, record in bulk.dump().records.items()
            if where[0] in ("TreatmentGroups", "ReimbursementGroups")}


def test_conversion(bulk, server, filled_store):
    """The same groups as of the lists of the other mode."""
    put_all(server.world, sum(FILLED, []))
    assert bulk.run().counts == (15, 0, 0, 0)
    converted = groups(bulk)
    bulk.store = filled_store
    assert {where: record.data for where, record in groups(bulk).items()} == {
        where: record.data for where, record in converted.items()}
    assert len(converted) == 6


def test_conversion_of_some_types(bulk, server):
    put_all(server.world, sum(FILLED, []))
    types = "PlanDefinition,ActivityDefinition,RegulatedAuthorization"
    assert bulk.run("--type", types.rpartition(",")[0]).counts == (6, 0, 0, 0)
    assert groups(bulk) == {}
    server.world.pass_time()
    assert bulk.run("--type", types).counts == (9, 0, 6, 0)
    assert len(groups(bulk)) == 6


def test_a_part_of_the_server_deletes_nothing(bulk, server):
    """What a part does not have is not gone."""
    types = ("PlanDefinition", "ActivityDefinition", "RegulatedAuthorization")

    def definitions(*ids):
        return [File(type, [resource(type, id, identifier=[{"value": id}])
                            for id in ids]) for type in types]
    args = ("--type", ",".join(types))
    server.exports = [
        Export(definitions("a", "b", "c"), time="2025-01-01T00:00:00Z"),
        Export(definitions("a"), time="2025-01-02T00:00:00Z"),
        Export(definitions("a", "b"), time="2025-01-04T00:00:00Z")]
    assert bulk.run(*args).status == 0
    all_of_it = groups(bulk)
    before = bulk.dump()
    for part in (("--type-filter", "PlanDefinition?name=a"),
                 ("--group", "g"), ("--patients",), ("--elements", "id")):
        bulk.run(*args, *part).failed(64, "another level", "--save merge")
    assert bulk.dump() == before and len(server.jobs) == 1
    ended = bulk.run(*args, "--type-filter", "PlanDefinition?name=a",
                     "--save", "merge")
    assert ended.counts == (0, 0, 3, 0)
    assert "no conversion" in ended.err
    assert groups(bulk) == all_of_it
    assert bulk.run(*args).counts == (0, 0, 10, 5)


def test_conversion_after_an_increment(bulk, server):
    """One activity changes, and with it the group of the plan that names it."""
    put_all(server.world, sum(FILLED, []))
    assert bulk.run("--since", "auto").counts == (15, 0, 0, 0)
    server.world.pass_time()
    put_all(server.world, [up.activity("a3", "424242")])
    assert bulk.run("--since", "auto", "--overlap", "0s").result[
        "updated"] == 2
    assert "424242" in bulk.show("TreatmentGroups", "p2")


def test_reconvert_wants_all(bulk, server):
    """Groups are not made of a part of what they are made of."""
    put_all(server.world, sum(FILLED, []))
    assert bulk.run("--type", "PlanDefinition").status == 0
    bulk.run("reconvert").failed(64, "full export", "ActivityDefinition")
    server.world.pass_time()
    assert bulk.run().status == 0
    made = groups(bulk)
    assert bulk.run("reconvert").status == 0
    assert groups(bulk) == made


def test_one_business_key_twice(bulk, server):
    """A group is made of the last one, and the log says so."""
    put_all(server.world, sum(FILLED, []))
    types = ("PlanDefinition", "ActivityDefinition", "RegulatedAuthorization")
    server.exports = [Export([File(type, [
        resource(type, id, identifier=[{"value": "same"}])
        for id in ("a", "b")]) for type in types])]
    ended = bulk.run()
    assert ended.counts == (8, 0, 0, 0)
    for type in types:
        assert f'{type}: 2 resources have the business key "same"' in ended.err
