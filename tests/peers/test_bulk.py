"""Bulk mode on a FHIR server that is not our own."""
import time

import pytest

import model
from conftest import GUIDELINES, MEMBERS, TYPES
from fhir import name_of

ALL = ",".join(TYPES)
PEOPLE = ("Patient", "Condition")
NOW = ("--overlap", "0s", "--since", "auto")
MAX_SECONDS = 60        # of a run; the server would have it wait for longer


def test_full_and_unchanged(client, server):
    first = client.run("--type", ALL).result
    client.check_equals(server, *TYPES)
    count = sum(len(server.read(type)) for type in TYPES)
    assert first["added"] >= count
    again = client.run("--type", ALL).result
    assert again["unchanged"] == first["added"]
    assert (again["added"], again["updated"], again["deleted"]) == (0, 0, 0)
    told = client.last_bulk()
    assert (told["Full"], told["Complete"], told["Bad"]) == (True, True, 0)


def test_all_that_the_server_gives(client, server):
    client.run().result
    client.check_equals(server, *TYPES)


def test_conversion(client, server):
    client.run("--type", ",".join(GUIDELINES)).result
    plans, activities, authorizations = (
        list(server.read(type).values()) for type in GUIDELINES)
    known = {model.business_key(activity): activity
             for activity in activities}
    assert client.documents("TreatmentGroups") == {
        model.business_key(plan): model.treatment_group(plan, known)[0]
        for plan in plans}
    assert client.documents("ReimbursementGroups") == {
        model.business_key(authorization):
            model.reimbursement_group(authorization)
        for authorization in authorizations}
    assert len(plans) == len(authorizations) == 10


@pytest.mark.parametrize("form", ["get", "post"])
def test_kick_off(client, server, way, form):
    client.run("--type", "Patient", "--kick-off", form).result
    client.check_equals(server, "Patient")
    kick_off, = way.requests(part="$export?" if form == "get" else "/$export",
                             method=form.upper())
    assert kick_off.status == 202


def test_incremental(client, server, world, way):
    """The second run gets what has changed, the third one what little the
    overlap has."""
    people = ("--type", ",".join(PEOPLE))
    count = sum(len(server.read(type)) for type in PEOPLE)
    assert client.run(*people, *NOW).counts == (count, 0, 0, 0)
    server.put(world.patient(1, active=False), world.patient(99),
               world.condition(2, 1))
    assert client.run(*people, *NOW).counts[:2] == (1, 2)
    assert len(way.requests("GET", "_since=")) == 1
    client.check_equals(server, *PEOPLE)
    assert client.run(*people, "--since", "auto").counts == (0, 0, count + 1,
                                                             0)


def test_deletes_wait_for_a_full_run(client, server, world):
    """This server says nothing of deletes."""
    gone = [name_of(world.patient(number)) for number in (28, 29)]
    client.run("--type", "Patient", *NOW).result
    server.delete(*gone)
    assert client.run("--type", "Patient", *NOW).result["deleted"] == 0
    assert set(gone) <= client.documents("Patient").keys()
    assert client.run("--type", "Patient", *NOW,
                      "--full-refresh").result["deleted"] == 2
    assert client.documents("Patient", deleted=True).keys() == set(gone)
    client.check_equals(server, "Patient")


def test_reconcile(client, server, world, way):
    """Every second run is a full one."""
    command = ("--type", "Patient", *NOW, "--reconcile-every", "2")
    gone = name_of(world.patient(29))
    client.run(*command).result
    server.delete(gone)
    deleted = [client.run(*command).result["deleted"] for _ in range(2)]
    assert sorted(deleted) == [0, 1]
    assert client.documents("Patient", deleted=True).keys() == {gone}
    assert len(way.requests("GET", "_since=")) == 1


def test_group(client, server, world):
    client.run("--group", f"{world.mark}-g", "--type",
               ",".join(PEOPLE)).result
    members = {name_of(world.patient(number)) for number in MEMBERS}
    assert client.documents("Patient") == {
        name: resource for name, resource in server.read("Patient").items()
        if name in members}
    assert client.documents("Condition") == {
        name: resource for name, resource in server.read("Condition").items()
        if resource["subject"]["reference"] in members}


def test_patients(client, server):
    client.run("--patients", "--type", ",".join(PEOPLE)).result
    client.check_equals(server, *PEOPLE)


def test_type_filter(client, server):
    client.run("--type", "Patient", "--type-filter",
               "Patient?gender=female").result
    wanted = {name: resource
              for name, resource in server.read("Patient").items()
              if resource["gender"] == "female"}
    assert client.documents("Patient") == wanted
    assert wanted


def test_waits_are_cut(client, way):
    """The server says two minutes at each poll."""
    started = time.monotonic()
    ended = client.run("--type", "Patient")
    assert ended.status == 0
    assert time.monotonic() - started < MAX_SECONDS
    polls = way.requests("GET", "$export-poll-status")
    assert {poll.answer_headers.get("retry-after") for poll in polls
            if poll.status == 202} == {"120"}
    assert "120" in ended.err


def test_job_is_ended(client, way):
    """To DELETE what it has finished this server answers 404."""
    ended = client.run("--type", "Patient")
    assert ended.status == 0
    last = way.log[-1]
    assert (last.method, last.status) == ("DELETE", 404)
    assert "poll-status" in last.target
    assert "error" not in ended.err.lower()


def test_type_that_there_is_not(client, way):
    client.run("--type", "Patient").result
    before = client.dump()
    ended = client.run("--type", "Nonsense")
    assert ended.status not in (0, 64)
    assert "Nonsense" in ended.err and "400" in ended.err
    assert client.dump() == before
    assert not way.requests("GET", "_since=")
