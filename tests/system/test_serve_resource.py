"""The resources of FHIR types over HTTP, compared with what is in the store."""
import contextlib
import datetime
import json
import re

import pytest
from bson.decimal128 import Decimal128

import model
import stores
import web
from conftest import FILLED, KIND, Sync, folder_upstream
from web import KINDS, make_key, start_server

PATIENTS = "/api/v1/resource/Patient"
LISTS = ("/api/v1/treatmentGroup", "/api/v1/reimbursementGroup")
MANY = [f"Type{chr(65 + i)}" for i in range(20)]    # more lists than are kept
MOMENT = 1744273800000


def record(key, version, deleted=0, **more):
    kind, _, name = key.partition("/")
    data = {"resourceType": kind, "id": name, **more}
    return stores.Record(key, model.encode(data), version, deleted,
                         MOMENT + 1000 * version, model.content_hash(data))


RECORDS = {
    "Patient": [record("Patient/1", 1), record("Patient/10", 2),
                record("Patient/2", 2, deleted=1),
                record("Patient/3", 1, weight=Decimal128("1.50"))],
    "Encounter": [record("Encounter/1", 2)],
    "Device": [],
    "Quarantine": [record("Patient/abc", 2)],
    **{name: [record(f"{name}/{name}", 1)] for name in MANY},
}


class World:
    """A store after two runs, with records of types beside its own."""

    def __init__(self, folder):
        self.sync = Sync(folder)
        self.store = self.sync.store
        plans, *others = FILLED
        for lists in ((plans, *others), (plans[1:], *others)):
            url = folder_upstream(folder / "upstream", *lists)
            assert self.sync.run(url=url).status == 0
        for name, records in RECORDS.items():
            KIND.make_collection(self.store, name)
            for each in records:
                KIND.put(self.store, name, each)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.sync.close()


@pytest.fixture(scope="module", params=KINDS)
def server(request, world, tmp_path_factory):
    """One worker, so that it is always the same."""
    with serving(request.param, tmp_path_factory.mktemp("server"),
                 world.store) as running:
        yield running


@contextlib.contextmanager
def serving(kind, folder, store):
    running = start_server(kind, folder, store=store, workers=1)
    try:
        running.key = make_key(running, "hospital-a")
        yield running
    finally:
        running.stop()


def second(milliseconds):
    moment = datetime.datetime.fromtimestamp(milliseconds // 1000,
                                             datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def expected(name, since=None):
    """The answer as its text."""
    rows = sorted((row for row in RECORDS[name]
                   if (not row.deleted if since is None
                       else row.version > since)),
                  key=lambda row: (row.version, row.key.encode()))
    items = [{"data": "@" + row.key, "version": row.version,
              "lastChanged": second(row.updated),
              "isDeleted": bool(row.deleted)} for row in rows]
    text = json.dumps({"currentVersion": 2, "items": items},
                      separators=(",", ":"))
    for row in rows:
        data = model.decode(row.data)
        shown = json.dumps(data, default=lambda digits: "@@",
                           separators=(",", ":")).replace('"@@"', "1.50")
        text = text.replace(f'"@{row.key}"', shown)
    return text


def ask(server, path, method="GET", **options):
    options.setdefault("key", server.key)
    return server.request(method, path, **options)


def text_of(answer):
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    return answer.body.decode()


def error_of(answer, status):
    assert answer.status == status, answer
    found = answer.json()
    assert list(found) == ["error"]
    return found["error"]


@pytest.mark.parametrize("name", ("Patient", "Encounter", "Device"))
@pytest.mark.parametrize("since", (None, 0, 1, 2, 3))
def test_records(server, name, since):
    query = "" if since is None else f"?sinceVersion={since}"
    answer = ask(server, f"/api/v1/resource/{name}{query}")
    assert text_of(answer) == expected(name, since)


def test_the_world_has_what_the_tests_need():
    assert len({expected("Patient", since)
                for since in (None, 0, 1, 2)}) == 4
    assert "1.50" in expected("Patient")


@pytest.mark.parametrize("path", (
    PATIENTS + "/", PATIENTS.lower(), PATIENTS.upper(),
    "/api/v1/resource/%50atient"))
def test_spellings(server, path):
    assert text_of(ask(server, path)) == expected("Patient")


@pytest.mark.parametrize("name", (
    "Observation", "observation", "Patients", "Patien", "Quarantine",
    "quarantine", "PlanDefinitions", "TreatmentGroups", "SyncHistory",
    "sqlite", "A" * 64))
@pytest.mark.parametrize("query", ("", "?sinceVersion=0"))
def test_unknown_type(server, name, query):
    answer = ask(server, f"/api/v1/resource/{name}{query}")
    assert error_of(answer, 404) == (
        f"The store has no resources of type {name}.")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["ETag"] is None


@pytest.mark.parametrize("path", (
    "/api/v1/resource", "/api/v1/resource/", "/api/v1/resource//",
    PATIENTS + "/1", PATIENTS + "//", "/api/v1/resource/Pat-ient",
    "/api/v1/resource/Pat%22ient", "/api/v1/resource/Pati%C3%A9nt",
    "/api/v1/resource/" + "A" * 65, "/api/v1/resource/{type}",
    "/api/v1/resourcePatient", "/resource/Patient"))
def test_bad_paths(server, path):
    """They are none, with or without a key."""
    for key in (server.key, None):
        if "//" in path:    # web servers may make one slash of it
            assert ask(server, path, key=key).status in (200, 401, 404)
        else:
            assert error_of(ask(server, path, key=key), 404) == (
                "No such path.")


def test_order_of_checks(server):
    """Path, method, key, parameters, store."""
    path = "/api/v1/resource/Observation"
    assert ask(server, path, "POST", key=None).status == 405
    assert ask(server, path + "?sinceVersion=x", key=None).status == 401
    assert ask(server, path + "?sinceVersion=x").status == 400
    assert ask(server, path).status == 404


def test_head(server):
    answer = ask(server, PATIENTS, "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["ETag"] == ask(server, PATIENTS).headers["ETag"]
    assert ask(server, "/api/v1/resource/Nothing", "HEAD").status == 404


def test_etags(server):
    """Each is good for its own question only."""
    questions = [path + query for path in (
        PATIENTS, "/api/v1/resource/Device", *LISTS)
        for query in ("", "?sinceVersion=0", "?sinceVersion=1")]
    tags = [ask(server, question).headers["ETag"] for question in questions]
    assert len(set(tags)) == len(questions)
    for question in questions[:6]:
        for other, tag in zip(questions, tags):
            answer = ask(server, question, headers={"If-None-Match": tag})
            assert answer.status == (304 if question == other else 200)
    spelled = ask(server, PATIENTS.lower(),
                  headers={"If-None-Match": tags[0]})
    assert spelled.status == 304


def test_the_same_question_again(server):
    """However an answer is made or kept, it is the same."""
    for _ in range(3):
        for name in (*MANY, "Patient", *reversed(MANY)):
            path = f"/api/v1/resource/{name}"
            assert text_of(ask(server, path)) == expected(name)


def test_metrics(server):
    text = ask(server, "/metrics").body.decode()
    for gauge, deleted in (("nompd_records", 0), ("nompd_tombstones", 1)):
        found = dict(re.findall(
            rf'^{gauge}{{collection="(\w+)"}} (\d+)$', text, re.M))
        assert list(found) == [*model.COLLECTIONS, *sorted(RECORDS)]
        for name, records in RECORDS.items():
            assert int(found[name]) == sum(
                row.deleted == deleted for row in records)


def test_log(server):
    answer = ask(server, PATIENTS.upper() + "?sinceVersion=1", headers={
        "X-Request-Id": f"log-{server.kind}"})
    assert answer.status == 200
    ask(server, "/api/v1/resource/geheim?sinceVersion=1", headers={
        "X-Request-Id": f"none-{server.kind}"})
    wait_for(server, rf"request none-{server.kind}: ")
    known, unknown = (
        [line for line in server.log().splitlines()
         if f"request {name}-{server.kind}: " in line]
        for name in ("log", "none"))
    assert ("GET /api/v1/resource/{type} sinceVersion=1 type=Patient: 200,"
            " 2 items") in known[-1]
    assert "GET /api/v1/resource/{type} sinceVersion=1: 404" in unknown[-1]
    assert "geheim" not in str(unknown)


def wait_for(server, pattern):
    """A line may be written a little after the answer."""
    end = datetime.datetime.now() + datetime.timedelta(seconds=web.PATIENCE)
    while not re.search(pattern, server.log()):
        assert datetime.datetime.now() < end, server.log()


@pytest.mark.parametrize("kind", KINDS)
def test_type_that_comes_later(kind, tmp_path):
    """A service that runs already gives what a run brings."""
    sync = Sync(tmp_path)
    assert sync.run(url=folder_upstream(tmp_path / "up", *FILLED)).status == 0
    try:
        with serving(kind, tmp_path, sync.store) as running:
            assert ask(running, PATIENTS).status == 404
            KIND.make_collection(sync.store, "Patient")
            assert ask(running, PATIENTS).json()["items"] == []
            assert ask(running, LISTS[0]).status == 200
            KIND.put(sync.store, "Patient", record("Patient/1", 1))
            answer = ask(running, PATIENTS + "?sinceVersion=0")
            assert [item["data"]["id"] for item in
                    answer.json()["items"]] == ["1"]
    finally:
        sync.close()
