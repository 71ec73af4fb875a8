"""The OpenAPI description is true: every status of every operation is asked
for, and what comes has the described headers and body, and nothing else."""
import contextlib
import email.utils
import http.client
import json
import os
import re
import shlex
import sqlite3
import subprocess
import time

import jsonschema
import pytest

import digests
import model
import stores
import web
from conftest import FILLED, PROGRAM, ROOT, Sync, folder_upstream
from upstream import plan

SOURCE = ROOT / "src" / "openapi.json"
DOCUMENT = json.loads(SOURCE.read_text(encoding="utf-8"))
EXAMPLES = ROOT / "examples"
LISTS = ("/api/v1/treatmentGroup", "/api/v1/reimbursementGroup")
RESOURCES = "/api/v1/resource/{type}"
TRIGGER = "/api/internal/sync"
JOBS = "/api/v1/jobs"
JOB = "/api/v1/jobs/{id}"
# Headers that are ours; a web server may add others, such as Date.
OURS = {"etag", "last-modified", "retry-after", "allow", "www-authenticate",
        "cache-control", "location", "digest-version", "digest-sha256"}
DIGEST = ("Digest-Version", "Digest-SHA256")
# They depend on what was asked for, and of which version.
OPTIONAL = ("Last-Modified", *DIGEST)

OPERATIONS = [(path, method) for path, item in DOCUMENT["paths"].items()
              for method in item]
STATUSES = [(path, method, int(status)) for path, method in OPERATIONS
            for status in DOCUMENT["paths"][path][method]["responses"]]


def resolve(value):
    """What a $ref names, or the value itself."""
    while "$ref" in value:
        found = DOCUMENT
        assert value["$ref"].startswith("#/")
        for part in value["$ref"][2:].split("/"):
            found = found[part]
        value = found
    return value


def validate(value, schema):
    """Against a schema of the document, by JSON Schema 2020-12."""
    jsonschema.Draft202012Validator(
        {**schema, "components": DOCUMENT["components"]}).validate(value)


def walk(value, where=""):
    """(path, object) of every object in the document."""
    if isinstance(value, dict):
        yield where, value
    if isinstance(value, (dict, list)):
        pairs = value.items() if isinstance(value, dict) \
            else enumerate(value)
        for name, member in pairs:
            yield from walk(member, f"{where}/{name}")


# The document by itself

def test_form():
    """As json.dump() writes it, so that differences are small."""
    text = json.dumps(DOCUMENT, indent=2, ensure_ascii=False) + "\n"
    assert SOURCE.read_text(encoding="utf-8") == text


def test_references():
    """Each one leads somewhere, and every component is used."""
    used = {value["$ref"] for _, value in walk(DOCUMENT) if "$ref" in value}
    for reference in used:
        resolve({"$ref": reference})
    there = {f"#/components/{kind}/{name}"
             for kind, members in DOCUMENT["components"].items()
             for name in members if kind != "securitySchemes"}
    assert used == there


def test_schemas():
    """Each is one, and those of answers allow no unknown member."""
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        if name in ("Description", "Resource"):
            continue
        for where, part in walk(schema):
            if part.get("type") == "object":
                assert part["additionalProperties"] is False, (name, where)
                assert set(part["required"]) <= set(part["properties"])


def test_every_operation_is_described():
    names = set()
    for path, method in OPERATIONS:
        operation = DOCUMENT["paths"][path][method]
        assert operation["summary"] and operation["description"]
        assert operation["security"] in ([], [{"apiKey": []}])
        names.add(operation["operationId"])
        for response in operation["responses"].values():
            assert resolve(response)["description"].endswith(".")
    assert len(names) == len(OPERATIONS)
    assert DOCUMENT["components"]["securitySchemes"]["apiKey"]["name"] == \
        "X-API-KEY"


def contents():
    """(path, method, status, content) of every described body."""
    for path, method, status in STATUSES:
        response = DOCUMENT["paths"][path][method]["responses"][str(status)]
        for content in resolve(response).get("content", {}).values():
            yield path, method, status, content


def examples(content):
    if "example" in content:
        return [content["example"]]
    return [e["value"] for e in content.get("examples", {}).values()]


def test_examples_have_the_form():
    count = 0
    for path, _, _, content in contents():
        assert examples(content) or path == "/openapi.json"
        for example in examples(content):
            validate(example, content["schema"])
            count += 1
    for parameter in DOCUMENT["components"]["parameters"].values():
        for example in examples(parameter):
            validate(example, parameter["schema"])
    assert count > 20


def test_strictness():
    """A member more, less, or of another type is noticed at any depth."""
    for path in LISTS:
        content = DOCUMENT["paths"][path]["get"]["responses"]["200"][
            "content"]["application/json"]
        good = json.dumps(examples(content)[0])
        for where, part in walk(json.loads(good)):
            for change in (lambda o: o.update(more=1), lambda o: o.popitem(),
                           lambda o: o.update({k: 1.5 for k in o})):
                bad = json.loads(good)
                found = bad
                for step in where.split("/")[1:]:
                    found = found[int(step) if isinstance(found, list)
                                  else step]
                change(found)
                with pytest.raises(jsonschema.ValidationError):
                    validate(bad, content["schema"])


# The document and the program

class World:
    """A service in good order, one without a trigger, and their keys."""

    def __init__(self, folder):
        self.sync = Sync(folder)
        self.servers = []
        self.job = {"id": "none-yet"}
        self.exit = folder / "exit"
        self.later = folder / "later"
        script = folder / "run"
        upstream = (EXAMPLES / "upstream").as_uri()
        self.later.symlink_to(EXAMPLES / "upstream-later")
        assert self.sync.run(url=upstream).status == 0
        script.write_text(
            f"#!/bin/sh\n[ ! -f {shlex.quote(str(self.exit))} ] ||"
            f" exit $(cat {shlex.quote(str(self.exit))})\n"
            f"exec {shlex.quote(PROGRAM)} --log-level error --upstream"
            f" {shlex.quote(self.later.as_uri())}"
            f" --store {shlex.quote(f'sqlite:{self.sync.store}')}\n",
            encoding="utf-8")
        script.chmod(0o755)
        try:
            self.server = self.start(folder / "web", [script])
            self.bare = self.start(folder / "bare", None)
            self.read = web.make_key(self.server, "reader")
            self.trigger = web.make_key(self.server, "starter", scope="sync")
            self.bare_trigger = web.make_key(self.bare, "s", scope="sync")
            # The store's second version; the example of the document.
            self.result = self.ask("POST", TRIGGER, key=self.trigger)
            self.job = self.ask("GET", JOBS + "?limit=1",
                                key=self.read).json()["jobs"][0]
            self.active = 0
            self.put_patients()
        except BaseException:
            self.close()
            raise

    def put_patients(self):
        """Those of the document's example, and one from before."""
        content = DOCUMENT["paths"][RESOURCES]["get"]["responses"]["200"][
            "content"]["application/json"]
        items = [*content["examples"]["changes"]["value"]["items"],
                 {"data": {"resourceType": "Patient", "id": "1"},
                  "version": 1, "isDeleted": False}]
        stores.SQLITE.make_collection(self.sync.store, "Patient")
        for item in items:
            data = item["data"]
            stores.SQLITE.put(self.sync.store, "Patient", stores.Record(
                f"Patient/{data['id']}", model.encode(data), item["version"],
                int(item["isDeleted"]), 0, model.content_hash(data)))
        seal = stores.SQLITE.seal(self.sync.store, 2)
        seal["Collections"]["Patient"] = {
            **seal["Collections"]["TreatmentGroups"],
            "Data": digests.of_store(self.sync.dump(), "Patient")}
        stores.SQLITE.put_seal(self.sync.store, 2, seal)

    def put_active(self):
        """A job that goes on, beside the one that there is; its id."""
        self.active += 1
        name = f"active-{self.active}"
        with contextlib.closing(sqlite3.connect(
                f"{self.sync.store}-jobs")) as database:
            database.execute(
                "INSERT INTO SyncJobs (_id, State, CreatedAt, RenewedAt,"
                " Data) SELECT ?, 'Running', CreatedAt, ?, Data FROM SyncJobs"
                " WHERE _id = ?",
                (name, int(time.time() * 1000), self.job["id"]))
            database.commit()
        return name

    def start(self, folder, command):
        folder.mkdir()
        server = web.start_server("lighttpd-cgi", folder,
                                  store=self.sync.store,
                                  sync_command=command)
        self.servers.append(server)
        return server

    def ask(self, method, path, server=None, **options):
        for part, value in (("{type}", "Patient"), ("{id}", self.job["id"])):
            path = path.replace(part, value)
        return (server or self.server).request(method, path, **options)

    def close(self):
        self.sync.close()
        for server in self.servers:
            server.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    running = World(tmp_path_factory.mktemp("openapi"))
    yield running
    running.close()


def provoke(world, path, method, status):
    """The answer with that status."""
    key = world.read if method in ("get", "head") else world.trigger
    ask = {"headers": {}, "key": key}
    method = method.upper()
    if status == 200 and path == TRIGGER:
        return world.result
    if status == 202 and method == "DELETE":
        path = path.replace("{id}", world.put_active()) + "?reason=%C3%A5"
    elif status == 202:
        return without_upstream(world, path, key)
    elif status == 304:
        first = world.ask("GET", path, key=key)
        ask["headers"]["If-None-Match"] = first.headers["ETag"]
    elif status == 400:
        path += ("?maxAge=soon" if "health" in path else "?limit=0" if
                 path == JOBS else "?reason=x&reason=y" if path == JOB else
                 "?sinceVersion=x")
    elif status == 401:
        ask["key"] = None
    elif status == 403:
        ask["key"] = world.read
    elif status == 404 and path == RESOURCES:
        path = path.replace("{type}", "Device")
    elif status == 404 and path in LISTS:
        path += "?asOfVersion=3"
    elif status == 404 and path == JOB:
        path = path.replace("{id}", "no-such-job")
    elif status == 404:
        ask.update(server=world.bare, key=world.bare_trigger)
    elif status == 405:
        method = "GET" if path == TRIGGER else "PUT"
    elif status in (409, 422, 500, 502) and path != JOB:
        return with_exit(world, {409: 75, 422: 65, 500: 74, 502: 69}[status],
                         path, key)
    elif status == 410:
        return beyond_the_horizon(world, method, path + "?sinceVersion=1",
                                  key)
    elif status == 414:
        path += "?" + 8193 * "x"
    elif status == 503 and path == "/health/ready":
        time.sleep(1.1)
        path += "?maxAge=1s"
    elif status == 503:
        return with_open_keys(world, method, path, key)
    return world.ask(method, path, **ask)


def beyond_the_horizon(world, method, path, key):
    stores.SQLITE.set_reach(world.sync.store, 0, 2)
    try:
        return world.ask(method, path, key=key)
    finally:
        stores.SQLITE.set_reach(world.sync.store, 0, 0)


def with_exit(world, number, path, key):
    world.exit.write_text(str(number), encoding="ascii")
    try:
        return world.ask("POST", path, key=key)
    finally:
        world.exit.unlink()


def without_upstream(world, path, key):
    """What it starts fails, so that the store stays at its version."""
    target = world.later.readlink()
    world.later.unlink()
    try:
        answer = world.ask("POST", path, key=key)
        end = time.monotonic() + web.PATIENCE
        while world.ask("GET", answer.headers["Location"],
                        key=key).json()["endedAt"] is None:
            assert time.monotonic() < end
            time.sleep(0.01)
        return answer
    finally:
        world.later.symlink_to(target)


def with_open_keys(world, method, path, key):
    mode = os.stat(world.server.keys_file).st_mode
    os.chmod(world.server.keys_file, 0o666)
    try:
        return world.ask(method, path, key=key)
    finally:
        os.chmod(world.server.keys_file, mode)


def check(answer, path, method, status, lacks=()):
    """The answer is what the document says of that status, and lacks these
    headers, which need not be there."""
    assert answer.status == status, answer.body
    response = resolve(
        DOCUMENT["paths"][path][method]["responses"][str(status)])
    headers = response["headers"]
    for name, header in headers.items():
        header = resolve(header)
        if name in lacks:
            assert not header["required"] and name not in answer.headers
            continue
        assert header["required"] == (name not in OPTIONAL)
        assert name in answer.headers
        value = answer.headers[name]
        if resolve(header["schema"])["type"] == "integer":
            value = int(value)
        validate(value, header["schema"])
    described = {name.lower() for name in headers}
    for name in answer.headers:
        if name.lower().startswith("x-") or name.lower() in OURS:
            assert name.lower() in described, name
    if method == "head" or status == 304:
        assert answer.body == b""
        return None
    (media, content), = response["content"].items()
    assert answer.headers["Content-Type"].split(";")[0] == media
    body = answer.body.decode("utf-8")
    if media == "application/json":
        body = json.loads(body)
    validate(body, content["schema"])
    return body, content


@pytest.mark.parametrize("path, method, status", STATUSES)
def test_every_status(world, path, method, status):
    answer = provoke(world, path, method, status)
    seen = check(answer, path, method, status)
    if seen and status >= 400 and path != "/health/ready":
        body, content = seen
        assert body in examples(content)


def test_the_other_reasons_for_503(world, tmp_path):
    """No store; a store without a run."""
    sync = Sync(tmp_path)
    (tmp_path / "web").mkdir()
    server = web.start_server("lighttpd-cgi", tmp_path / "web",
                              store=sync.store)
    try:
        key = web.make_key(server, "reader")
        for path in (*LISTS, "/metrics", "/health/ready"):
            answer = server.request("GET", path, key=key)
            body, content = check(answer, path, "get", 503)
            if path != "/health/ready":
                assert body in examples(content)
        assert sync.run("init").status == 0
        body, content = check(server.request("GET", "/health/ready"),
                              "/health/ready", "get", 503)
        assert body in examples(content)
        for path in LISTS:
            answer = server.request("GET", path, key=key)
            body, _ = check(answer, path, "get", 200, OPTIONAL)
            assert body == {"currentVersion": 0, "items": []}
            answer = server.request("HEAD", path, key=key, headers={
                "If-None-Match": answer.headers["ETag"]})
            check(answer, path, "head", 304, OPTIONAL)
        check(server.request("GET", "/metrics", key=key), "/metrics", "get",
              200)
    finally:
        server.stop()
        sync.close()


@pytest.mark.parametrize("path, method", OPERATIONS)
def test_methods_and_keys(world, path, method):
    """Allow names the described methods; a key is needed where it says."""
    documented = {name.upper() for name in DOCUMENT["paths"][path]}
    for other in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS",
                  "PATCH"):
        if other in documented:
            continue
        answer = world.ask(other, path, key=world.trigger)
        assert answer.status == 405, other
        assert set(answer.headers["Allow"].split(", ")) == documented
    needs_key = DOCUMENT["paths"][path][method]["security"] != []
    status = world.ask(method.upper(), path, key=None).status
    assert (status == 401) == needs_key


def test_head_is_get_without_the_body(world):
    for path, methods in DOCUMENT["paths"].items():
        if "head" not in methods:
            continue
        get, head = (world.ask(method, path, key=world.read, headers={
            "X-Request-Id": "the-same"}) for method in ("GET", "HEAD"))
        for name in ("Content-Type", "ETag", "Last-Modified", "Cache-Control",
                     "X-Request-Id"):
            assert get.headers.get(name) == head.headers.get(name)


def test_last_modified(world):
    """One time for a version, that of its run, whatever was asked; what the
    consumer has is not compared with it."""
    def ask(path, method="GET", **headers):
        return world.ask(method, path, key=world.read, headers={
            name.replace("_", "-"): value for name, value in headers.items()})

    def published():
        when = world.ask("GET", "/health/ready").json()["syncedAt"]
        assert when.endswith("Z")
        return when[:-1]
    questions = [path + since for path in LISTS for since in (
        "", "?sinceVersion=0", "?sinceVersion=2", "?sinceVersion=9")]
    answers = [ask(question) for question in questions]
    when, = {answer.headers["Last-Modified"] for answer in answers}
    assert email.utils.parsedate_to_datetime(when).strftime(
        "%Y-%m-%dT%H:%M:%S") == published()
    for question, answer in zip(questions, answers):
        for method in ("GET", "HEAD"):
            for headers, status in (
                    ({"If_None_Match": answer.headers["ETag"]}, 304),
                    ({"If_Modified_Since": when}, 200)):
                again = ask(question, method, **headers)
                assert (again.status, again.headers["Last-Modified"]) == (
                    status, when)


def with_kept_connections(text):
    """So nginx takes an answer for whole only when FastCGI says that it is."""
    return re.sub("fastcgi_keep_conn .*", "fastcgi_keep_conn on;\n", text)


@pytest.mark.parametrize("kind, edit", [
    *((kind, None) for kind in web.KINDS),
    ("nginx-fastcgi", with_kept_connections)])
def test_failure_on_the_way(tmp_path, kind, edit):
    """Before the first 64 KiB it is a 503, later no whole answer."""
    sync = Sync(tmp_path)
    keys = [f"k{i:02}" for i in range(40)]
    plans = [plan(key, key, description=4000 * "x") for key in keys]
    url = folder_upstream(tmp_path / "up", plans, *FILLED[1:])
    assert sync.run(url=url).status == 0
    (tmp_path / "web").mkdir()
    server = web.start_server(kind, tmp_path / "web", store=sync.store,
                              edit=edit)
    try:
        key = web.make_key(server, "reader")
        targets = [LISTS[0] + query for query in ("", "?sinceVersion=0")]
        for target in targets:
            with damaged(sync.store, keys[10]):
                answer = server.request("GET", target, key=key)
                body, content = check(answer, LISTS[0], "get", 503)
                assert body in examples(content)
            with damaged(sync.store, keys[-1]):
                try:
                    answer = server.request("GET", target, key=key)
                except http.client.IncompleteRead as error:
                    answer = web.Answer(200, {}, error.partial)
                else:
                    assert edit is None
                assert answer.status == 200
                with pytest.raises(ValueError):
                    json.loads(answer.body)
            answer = server.request("GET", target, key=key)
            body, _ = check(answer, LISTS[0], "get", 200,
                            DIGEST if "?" in target else ())
            assert len(body["items"]) == len(keys)
    finally:
        server.stop()
        sync.close()


@contextlib.contextmanager
def damaged(store, key):
    """The store with a treatment group that cannot be read."""
    def put(data):
        with contextlib.closing(sqlite3.connect(store)) as database:
            before, = database.execute(
                "SELECT Data FROM TreatmentGroups WHERE BusinessKey = ?",
                (key,)).fetchone()
            database.execute("UPDATE TreatmentGroups SET Data = ?"
                             " WHERE BusinessKey = ?", (data, key))
            database.commit()
        return before
    before = put(b"no BSON")
    yield
    put(before)


def test_routes():
    """The program's table of routes has these paths and no other."""
    texts = set()
    for source in sorted((ROOT / "src").glob("*.c")):
        texts |= set(re.findall(r'"(/[a-zA-Z0-9/._{}-]+)"',
                                source.read_text(encoding="utf-8")))
    paths = {text for text in texts
             if re.match(r"/(api|health|metrics|openapi)\b", text)}
    assert paths == set(DOCUMENT["paths"])


def manual(section):
    """A section of nompd-api(7), as its source."""
    page = (ROOT / "man" / "nompd-api.7").read_text(encoding="utf-8")
    return re.search(rf"^\.Sh {section}\n(.*?)^\.Sh ", page,
                     re.M | re.S).group(1)


def test_manual_has_the_requests():
    listed = re.findall(r"^\.It ([A-Z, ]+) Ta Pa (\S+) Ta (\w+)$",
                        manual("REQUESTS"), re.M)
    scopes = {path: scope for _, path, scope in listed}
    assert {(path, method.lower()) for methods, path, _ in listed
            for method in methods.split(", ")} == set(OPERATIONS)
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            assert (scopes[path] == "none") == (operation["security"] == [])


def test_manual_has_the_statuses():
    listed = set(re.findall(r"^\.It (\d{3})( Ta|$)", manual(
        "ERROR ANSWERS") + manual("JOBS") + manual("THE TRIGGER"), re.M))
    documented = {status for _, _, status in STATUSES}
    assert {int(status) for status, _ in listed} == documented - {304}


def test_manual_has_the_metrics(world):
    listed = re.findall(r"^\.It Li (nompd_\w+)", manual("METRICS"), re.M)
    real = world.ask("GET", "/metrics", key=world.read).body.decode()
    assert sorted(listed) == sorted(re.findall(r"^# TYPE (\w+) gauge$", real,
                                               re.M))
    labels = set(re.findall(r"^\.Li (\w+)(?: [,.])?$",
                            manual("METRICS"), re.M))
    acts = set(re.findall(r'act="(\w+)"', real))
    assert len(acts) == 7 and acts <= labels


def test_served(world):
    assert world.ask("GET", "/openapi.json", key=None).json() == DOCUMENT


def test_version():
    told = subprocess.run([web.PROGRAM, "--version"], check=True,
                          capture_output=True, text=True).stdout
    assert told.split()[-1] == DOCUMENT["info"]["version"]


def steady(job):
    """A job without what differs from one time to the next."""
    assert job["state"] == "Completed"
    return {**{name: None if name.endswith("At") or name in (
        "id", "host", "process") else value for name, value in job.items()},
            "result": {**job["result"], "durationMs": None}}


def test_examples_are_true(world):
    """They are what the example upstreams give."""
    for path in (*LISTS, RESOURCES):
        content = DOCUMENT["paths"][path]["get"]["responses"]["200"][
            "content"]["application/json"]
        shown = content["examples"]["changes"]["value"]
        real = world.ask("GET", path + "?sinceVersion=1",
                         key=world.read).json()
        for item in (*shown["items"], *real["items"]):
            item["lastChanged"] = None
        assert shown["currentVersion"] == real["currentVersion"] == 2
        if path != LISTS[0]:
            assert shown == real
        else:
            ids = [i["data"]["id"] for i in shown["items"]]
            assert shown["items"] == [
                i for i in real["items"] if i["data"]["id"] in ids]
        nothing = world.ask("GET", path + "?sinceVersion=2", key=world.read)
        assert nothing.json() == content["examples"]["nothing"]["value"]
    (content,) = DOCUMENT["paths"][JOB]["get"]["responses"]["200"][
        "content"].values()
    assert steady(content["examples"]["completed"]["value"]) == \
        steady(world.job)
    (content,) = DOCUMENT["paths"][TRIGGER]["post"]["responses"]["200"][
        "content"].values()
    result = world.result.json()
    assert {**result, "durationMs": 0} == {**content["example"],
                                           "durationMs": 0}


def test_example_of_metrics(world):
    """Some of the lines that there are, but for the time of the run."""
    (content,) = DOCUMENT["paths"]["/metrics"]["get"]["responses"]["200"][
        "content"].values()
    real = world.ask("GET", "/metrics", key=world.read).body.decode()

    def lines(text):
        return re.sub(r"(timestamp_seconds) \d+\.\d{3}$", r"\1 T", text,
                      flags=re.M).splitlines()
    shown = lines(content["example"])
    assert "nompd_last_success_timestamp_seconds T" in shown
    assert [line for line in lines(real) if line in shown] == shown


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("since", [None, 0, 1])
def test_every_record(world, path, since):
    """All forms of records that the examples have."""
    target = path if since is None else f"{path}?sinceVersion={since}"
    body, _ = check(world.ask("GET", target, key=world.read), path, "get",
                    200, () if since is None else DIGEST)
    assert len(body["items"]) >= (3 if since == 1 else 9)


@pytest.mark.parametrize("path", LISTS)
def test_answers_about_versions(world, path):
    """As of a version, and all the reasons for a 404, 400 and 410."""
    def ask(query, status, states_from=0, horizon=0, lacks=()):
        stores.SQLITE.set_reach(world.sync.store, states_from, horizon)
        try:
            answer = world.ask("GET", path + query, key=world.read)
            body, content = check(answer, path, "get", status, lacks)
            assert status == 200 or body in examples(content)
            return body
        finally:
            stores.SQLITE.set_reach(world.sync.store, 0, 0)
    for version in (1, 2):
        assert ask(f"?asOfVersion={version}", 200)["currentVersion"] == version
    ask("?asOfVersion=0", 200, lacks=OPTIONAL)
    ask("?asOfVersion=2&sinceVersion=1", 200, lacks=DIGEST)
    ask("?asOfVersion=3", 404)
    ask("?asOfVersion=x", 400)
    ask("?asOfVersion=1", 410, states_from=2)
    ask("?asOfVersion=1", 410, states_from=2**63 - 1)
    ask("?sinceVersion=1", 410, horizon=2)


def test_odd_records(tmp_path):
    """Members of a wrong type, dates that are none, ranks at the limits."""
    sync = Sync(tmp_path)
    odd = {"identifier": [{"value": "x"}], "name": "", "description": 7,
           "lastReviewDate": "someday, perhaps next year",
           "effectivePeriod": {"start": "2025-01-01T00:00:00Z", "end": 3},
           "useContext": [{"valueCodeableConcept": {"coding": [
               {"system": "urn:oid:2.16.578.1.12.4.1.102"}]}}],
           "goal": [{"addresses": [{}, {"coding": [{}, 3], "text": ""}]}],
           "action": [{"extension": [{"url": "rank", "valueInteger": n}]}
                      for n in (-2147483648, 2147483647, 2147483648)] + [{}]}
    plans = [{"resourceType": "PlanDefinition", **odd}]
    rights = [{"resourceType": "RegulatedAuthorization",
               "identifier": [{"value": "ø" * 512}],
               "basis": {"coding": [{}]}, "articleNumber": " "}]
    url = folder_upstream(tmp_path / "up", plans + FILLED[0], FILLED[1],
                          rights + FILLED[2])
    assert sync.run(url=url).status == 0
    (tmp_path / "web").mkdir()
    server = web.start_server("lighttpd-cgi", tmp_path / "web",
                              store=sync.store)
    try:
        key = web.make_key(server, "reader")
        for path in LISTS:
            body, _ = check(server.request("GET", path, key=key), path,
                            "get", 200)
            assert len(body["items"]) == 4
    finally:
        server.stop()
        sync.close()
