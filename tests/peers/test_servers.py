"""What the program meets at these servers, seen without it: when one of them
changes, it is here that it shows first."""
from conftest import MEMBERS, TYPES, place
from fhir import name_of


def test_export(server):
    job = server.begin_export(_type=",".join(TYPES))
    assert "$export-poll-status?_jobId=" in job
    manifest, found = server.end_export(job)
    assert found == {name: resource for type in TYPES
                     for name, resource in server.read(type).items()}
    assert manifest["requiresAccessToken"] is True
    assert not any("count" in item for item in manifest["output"])
    assert "deleted" not in manifest


def test_poll_wait_is_two_minutes(server):
    job = server.begin_export(_type="Patient")
    status, headers, _ = server.ask("GET", job)
    assert (status, headers["Retry-After"]) == (202, "120")
    server.end_export(job)


def test_only_changes(server, world):
    manifest, _ = server.end_export(server.begin_export(_type="Patient"))
    changed = [world.patient(1, active=False), world.patient(99)]
    gone = name_of(world.patient(2))
    server.put(*changed)
    server.delete(gone)
    manifest, found = server.end_export(server.begin_export(
        _type="Patient", _since=manifest["transactionTime"]))
    assert set(found) == set(map(name_of, changed))
    assert "deleted" not in manifest
    assert server.ask("GET", gone)[0] == 410


def test_group(server, world):
    _, found = server.end_export(server.begin_export(
        name_of(world.group(MEMBERS)), _type="Patient,Condition"))
    members = {name_of(world.patient(number)) for number in MEMBERS}
    assert {name for name in found if name.startswith("Patient/")} == members
    assert {resource["subject"]["reference"] for resource in found.values()
            if resource["resourceType"] == "Condition"} == members


def test_delete_of_a_running_job(server):
    job = server.begin_export(_type="Patient")
    assert server.ask("DELETE", job)[0] == 202
    assert server.ask("GET", job)[0] == 404


def test_delete_of_a_finished_job(server):
    job = server.begin_export(_type="Patient")
    server.end_export(job)
    assert server.ask("DELETE", job)[0] == 404
    assert server.ask("GET", job)[0] == 200


def test_refusals(server):
    status, _, answer = server.ask("GET", "$export")
    assert status == 400
    assert "async processing" in answer["issue"][0]["diagnostics"]
    status, _, answer = server.ask("GET", "$export?_type=Nonsense",
                                   Prefer="respond-async")
    assert status == 400
    assert "Nonsense" in answer["issue"][0]["diagnostics"]


def test_no_token_no_data(server):
    server.url = place("NOMPD_TEST_FHIR_SMART_URL")
    assert server.ask("GET", "metadata")[0] == 200
    assert server.ask("GET", ".well-known/smart-configuration")[0] == 200
    for token in None, "Bearer nonsense":
        status, _, answer = server.ask(
            "GET", "Patient", **{"Authorization": token} if token else {})
        assert status == 401, answer
