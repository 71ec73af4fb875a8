"""The example client: its copy is what the service has, whatever happens."""
import json
import math
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

import model
import stores
import web
from conftest import ROOT, Outcome, Sync, copy_store, folder_upstream
from upstream import Answer, activity, authorization, bundle, plan
from upstream import Upstream as Scripted
from upstream import refused_port

PROGRAM = ROOT / "examples" / "client" / "nompd-client.py"
PATHS = {"treatmentGroup": "/api/v1/treatmentGroup",
         "reimbursementGroup": "/api/v1/reimbursementGroup"}
FIRST, SECOND = PATHS.values()
PATIENCE = 120
KILLS = 30

# Runs the client with some of its limits changed.
WITH_LIMITS = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("client", sys.argv[1])
client = importlib.util.module_from_spec(spec)
spec.loader.exec_module(client)
vars(client).update(json.loads(sys.argv[2]))
del sys.argv[1:3]
sys.exit(client.main())
"""


class Client:
    """nompd-client.py with a copy in a folder of its own."""

    def __init__(self, folder, url, key):
        self.folder = pathlib.Path(folder)
        self.copy = self.folder / "copy.db"
        self.url, self.key = url, key
        self.processes = []

    def start(self, *args, limits=None, env=None, url=None, **streams):
        command = [sys.executable]
        if limits:
            command += ["-c", WITH_LIMITS, str(PROGRAM), json.dumps(limits)]
        else:
            command += [str(PROGRAM)]
        command += ["--store", str(self.copy), "--url", url or self.url]
        if "--max-wait" not in args:
            command += ["--max-wait", "0"]
        environment = {
            name: value for name, value in os.environ.items()
            if not name.startswith("NOMPD_") and name != "PYTHONUNBUFFERED"}
        environment.update(
            {"NOMPD_API_KEY": self.key} if env is None else env)
        process = subprocess.Popen(
            [*command, *map(str, args)], text=True, encoding="utf-8",
            env=environment, cwd=self.folder, **{
                "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE, **streams})
        self.processes.append(process)
        return process

    def finish(self, process):
        out, err = (text or "" for text in
                    process.communicate(timeout=PATIENCE))
        assert "Traceback" not in err, err
        assert self.key not in out + err
        return Outcome(process.returncode, out, err)

    def run(self, *args, **options):
        return self.finish(self.start(*args, **options))

    def done(self, *args, **options):
        """A run that must succeed: what it said of each collection."""
        ended = self.run(*args, **options)
        assert (ended.status, ended.err) == (0, "")
        lines = [line.split(": ", 1) for line in ended.out.splitlines()]
        assert [name for name, _ in lines] == list(PATHS)
        return [said for _, said in lines]

    def records(self):
        """{collection: (version or None, {id: (version, time, data)})}"""
        copy = sqlite3.connect(self.copy, timeout=PATIENCE)
        try:
            copy.execute("BEGIN")
            versions = dict(copy.execute(
                "SELECT collection, version FROM state"))
            found = {name: (versions.get(name), {}) for name in PATHS}
            for name, key, version, when, data in copy.execute(
                    "SELECT * FROM record"):
                found[name][1][key] = (version, when, json.loads(data))
            return found
        finally:
            copy.close()

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()


class Service:
    """A store, its upstream, nompd-serve behind a web server, a client."""

    def __init__(self, folder):
        self.folder = folder
        self.sync = Sync(folder)
        self.outcome = self.sync.run("init")
        assert self.outcome.status == 0, self.outcome.err
        (folder / "web").mkdir()
        self.server = web.start_server("lighttpd-cgi", folder / "web",
                                       store=self.sync.store)
        try:
            key = web.make_key(self.server, "hospital")
            self.client = Client(
                folder, f"http://127.0.0.1:{self.server.port}", key)
        except BaseException:
            self.server.stop()
            raise

    def publish(self, *lists):
        """A run over these lists; gives its version."""
        url = folder_upstream(self.folder / "upstream", *lists)
        ended = self.sync.run("--max-delete", "100%", "--log-level", "error",
                              url=url)
        return ended.result["version"]

    def offered(self):
        """The full lists, in the form of Client.records()."""
        found = {}
        for name, path in PATHS.items():
            answer = self.server.request("GET", path, key=self.client.key)
            assert answer.status == 200, answer.body
            whole = answer.json()
            assert not any(i["isDeleted"] for i in whole["items"])
            found[name] = whole["currentVersion"], {
                i["data"]["id"]: (i["version"], i["lastChanged"], i["data"])
                for i in whole["items"]}
        return found

    def check(self):
        """The copy is what the service offers."""
        copy = self.client.records()
        assert copy == self.offered()
        return copy

    def close(self):
        self.client.close()
        self.sync.close()
        self.server.stop()


@pytest.fixture
def service(tmp_path):
    running = Service(tmp_path)
    yield running
    running.close()


def lists(*keys, **names):
    """Lists with a record of each kind for every key; names say otherwise."""
    return ([plan(k, k, name=names.get(k, k)) for k in keys],
            [activity(k) for k in keys],
            [authorization(k, *([names[k]] if k in names else []))
             for k in keys])


# Against the real service

def test_first_copy(service):
    assert service.publish(*lists("a", "b", "ø 💊")) == 1
    said = service.client.done()
    assert said == ["version 1, full list, 3 written, 0 before"] * 2
    copy = service.check()
    assert set(copy["treatmentGroup"][1]) == {"a", "b", "ø 💊"}


def test_nothing_new(service):
    service.publish(*lists("a"))
    service.client.done()
    # The first question after a full list is new, the second is not.
    for _ in range(2):
        assert service.client.done() == ["version 1, nothing new"] * 2
    assert service.server.log().count(": 304") == 2
    service.publish(*lists("a"))
    assert service.client.done() == [
        "version 1 to 2, 0 written, 0 removed"] * 2
    # The ETag of the question before says nothing about this one.
    assert service.client.done() == ["version 2, nothing new"] * 2
    service.check()


def test_changes(service):
    service.publish(*lists("a", "b", "c"))
    service.client.done()
    service.publish(*lists("a", "c", "d", c="new"))
    assert service.client.done() == [
        "version 1 to 2, 2 written, 1 removed"] * 2
    copy = service.check()
    assert set(copy["treatmentGroup"][1]) == {"a", "c", "d"}
    assert copy["treatmentGroup"][1]["c"][2]["name"] == "new"
    # It comes back, and something that never was in the copy goes.
    service.publish(*lists("a", "b", "e"))
    service.publish(*lists("a", "b"))
    assert service.client.done() == [
        "version 2 to 4, 1 written, 2 removed"] * 2
    service.check()


def test_resources(service):
    """Of the types that are named, in the same copy."""
    store, kind = service.sync.store, stores.kind_of(service.sync.store)

    def put(number, version, deleted=0):
        data = {"resourceType": "Patient", "id": number}
        kind.put(store, "Patient", stores.Record(
            f"Patient/{number}", model.encode(data), version, deleted, 0,
            model.content_hash(data)))

    def run():
        ended = service.client.run("--resource", "Patient")
        assert (ended.status, ended.err) == (0, "")
        copy = sqlite3.connect(service.client.copy)
        found = [json.loads(row[0])["id"] for row in copy.execute(
            "SELECT data FROM record WHERE collection = 'resource/Patient'"
            " ORDER BY id")]
        copy.close()
        return ended.out.splitlines()[2], found

    service.publish(*lists("a"))
    ended = service.client.run("--resource", "Patient")
    assert ended.status == 76
    assert "404 The store has no resources of type Patient" in ended.err
    kind.make_collection(store, "Patient")
    put("1", 1)
    put("2", 1)
    assert run() == ("resource/Patient: version 1, full list, 2 written,"
                     " 0 before", ["1", "2"])
    put("1", 2, deleted=1)
    put("3", 2)
    service.publish(*lists("a"))
    assert run() == ("resource/Patient: version 1 to 2, 1 written, 1 removed",
                     ["2", "3"])


def test_any_history(service):
    """Runs and the client in any order."""
    chance = random.Random(20251121)
    keys = [f"k{i:02}" for i in range(12)]
    for _ in range(15):
        for _ in range(chance.randrange(3)):
            some = chance.sample(keys, chance.randrange(1, len(keys)))
            service.publish(*lists(*some, **{
                k: f"n{chance.randrange(3)}" for k in some}))
        service.client.done()
        service.check()


def test_never_synchronised(service):
    service.client.done()
    assert service.client.records() == service.offered()
    assert service.client.records()["treatmentGroup"] == (0, {})
    service.publish(*lists("a"))
    service.client.done()
    service.check()


def test_killed_anywhere(service):
    """Whenever it is killed, each collection is whole, at some version."""
    chance = random.Random(20251122)
    keys = [f"k{i:04}" for i in range(400)]
    states = {name: {None: {}} for name in PATHS}
    killed = moved = 0
    seconds = None
    for _ in range(KILLS):
        some = chance.sample(keys, 350)
        service.publish(*lists(*some, **{
            k: f"n{chance.randrange(3)}" for k in some}))
        for name, (version, records) in service.offered().items():
            states[name][version] = records
        before = service.client.copy.exists() and service.client.records()
        if seconds is None:     # how long a first run takes, into another copy
            other = Client(service.folder, service.client.url,
                           service.client.key)
            other.copy = service.folder / "other.db"
            started = time.monotonic()
            other.done()
            seconds = time.monotonic() - started
            other.close()
        process = service.client.start()
        try:
            process.wait(chance.uniform(0.2, 1) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        status = service.client.finish(process).status
        assert status in (0, -signal.SIGKILL)
        killed += status != 0
        # So that about half of them are killed, on any machine.
        seconds *= 1.1 if status else 0.9
        if not tables(service.client.copy):
            continue
        after = service.client.records()
        moved += before != after
        for name, (version, records) in after.items():
            assert records == states[name][version]
    assert killed >= 3 and moved >= 3
    service.client.done()
    service.check()


def tables(path):
    """How many tables there are; a killed first run may leave none."""
    if not path.exists():
        return 0
    copy = sqlite3.connect(path, timeout=PATIENCE)
    try:
        return copy.execute("SELECT count(*) FROM sqlite_schema"
                            " WHERE type = 'table'").fetchone()[0]
    finally:
        copy.close()


def restore(service, backup):
    for path in service.folder.glob("store.db*"):
        path.unlink()
    copy_store(backup, service.sync.store)


@pytest.fixture
def moved(service):
    """A copy at version 4, right after the run that took it there, and
    backup.db, the store at version 2."""
    service.publish(*lists("a", "b"))
    service.publish(*lists("a", "c"))
    copy_store(service.sync.store, service.folder / "backup.db")
    service.client.done()
    service.publish(*lists("a", "c", "d"))
    service.publish(*lists("c", "d", "e"))
    assert service.client.done() == [
        "version 2 to 4, 2 written, 1 removed"] * 2
    return service


@pytest.fixture
def restored(moved):
    """A copy at version 4 of a store that is at version 2 again."""
    restore(moved, moved.folder / "backup.db")
    return moved


def test_older_store(restored):
    assert restored.client.done() == [
        "version 2, full list, 2 written, 3 before"] * 2
    restored.check()


@pytest.mark.parametrize("polls", [0, 1, 2])
def test_older_store_with_the_same_version_again(moved, polls):
    """Another version 4: told by its Last-Modified, with an ETag to send and
    without one."""
    for _ in range(polls):
        assert moved.client.done() == ["version 4, nothing new"] * 2
    restore(moved, moved.folder / "backup.db")
    time.sleep(1.01)        # Last-Modified has seconds
    moved.publish(*lists("a", "c"))
    moved.publish(*lists("x", "c"))
    assert moved.client.done() == [
        "version 4, full list, 2 written, 3 before"] * 2
    moved.check()
    assert moved.client.done() == ["version 4, nothing new"] * 2
    moved.check()


def test_backup_of_this_version(moved):
    """The same run restored is no other one: no full list."""
    copy_store(moved.sync.store, moved.folder / "now.db")
    moved.publish(*lists("x"))
    restore(moved, moved.folder / "now.db")
    assert moved.client.done() == ["version 4, nothing new"] * 2
    moved.check()


def test_overtaken_copy(restored):
    """Told by the digest alone."""
    for _ in range(3):
        restored.publish(*lists("a", "c"))
    ended = restored.client.run()
    assert ended.status == 0
    assert ended.out.splitlines() == [
        f"{name}: version 5, full list, 2 written, 3 before" for name in PATHS]
    assert ended.err.splitlines() == [
        f"nompd-client: {name}: the copy is not what the service has at version"
        " 5; a full list follows" for name in PATHS]
    restored.check()


def test_overtaken_copy_without_a_digest(restored):
    """Only a full list helps here, as the manual says."""
    for _ in range(3):
        restored.publish(*lists("a", "c"))
    stores.SQLITE.put_seal(restored.sync.store, 5, None)
    restored.client.done()
    assert restored.client.records() != restored.offered()
    restored.client.done("--full")
    restored.check()


def test_store_begun_anew(service):
    """An empty list does not wipe the copy but with --full."""
    service.publish(*lists("a", "b"))
    service.client.done()
    before = service.client.records()
    for path in service.folder.glob("store.db*"):
        path.unlink()
    assert service.sync.run("init").status == 0
    ended = service.client.run()
    ended.failed(65, "treatmentGroup.*empty.*2 records.*--full")
    assert service.client.records() == before
    assert service.client.done("--full") == [
        "version 0, full list, 0 written, 2 before"] * 2
    service.check()


def test_another_service(service, tmp_path):
    """Versions of one service say nothing about those of another."""
    service.publish(*lists("a"))
    service.client.done()
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    other = Service(other_folder)
    try:
        for keys in ("pq", "pr", "ps"):
            other.publish(*lists(*keys))
        other.client.copy = service.client.copy
        assert other.client.done() == [
            "version 3, full list, 2 written, 1 before"] * 2
        other.check()
    finally:
        other.close()


def test_unavailable_for_a_while(service):
    service.publish(*lists("a"))
    keys_file = pathlib.Path(service.server.keys_file)
    mode = keys_file.stat().st_mode
    keys_file.chmod(0o666)
    service.client.run("--tries", 2).failed(
        69, "treatmentGroup, request [0-9a-f]+: 503 .*2 of 2")
    process = service.client.start("--tries", 100, "--max-wait", 1)
    seen = service.server.log().count(": 503")
    deadline = time.monotonic() + PATIENCE
    while service.server.log().count(": 503") == seen:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    keys_file.chmod(mode)
    ended = service.client.finish(process)
    assert (ended.status, ended.err) == (0, "")
    service.check()


def test_wrong_key(service):
    service.publish(*lists("a"))
    key, service.client.key = service.client.key, "nompd_" + 43 * "x"
    ended = service.client.run()
    ended.failed(77, "401 Invalid or missing API key")
    request = ended.err.split("request ")[1].split(":")[0]
    assert request in service.server.log()
    assert service.client.key not in service.server.log()
    service.client.key = key
    service.client.done()
    service.check()


def test_key_from_a_file(service):
    service.publish(*lists("a"))
    file = service.folder / "client.key"
    file.write_text(service.client.key + "\n", encoding="ascii")
    service.client.done(env={"NOMPD_API_KEY_FILE": str(file)})
    service.check()


# Against a scripted service

def item(key, version=1, gone=False, **members):
    return {"data": {"id": key, "name": "Ø"}, "version": version,
            "lastChanged": "2025-04-10T08:30:00Z", "isDeleted": gone,
            **members}


def whole(version, *items, **members):
    return {"currentVersion": version, "items": list(items), **members}


@pytest.fixture
def scripted():
    server = Scripted()
    server.script(FIRST, Answer(whole(2, item("a"), item("b", 2))))
    server.script(SECOND, Answer(whole(2, item("r"))))
    for path in (FIRST, SECOND):
        server.script(path + "?sinceVersion=2", Answer(whole(2)))
    yield server
    server.stop()


@pytest.fixture
def client(tmp_path, scripted):
    program = Client(tmp_path, scripted.origin, "k3y-0f-the-client")
    yield program
    program.close()


def asked(scripted):
    return [r.target for r in scripted.requests()]


def test_what_it_asks(client, scripted):
    scripted.script(FIRST + "?sinceVersion=2",
                    Answer(whole(2), headers=[("ETag", 'W/"x"')]),
                    Answer(b"", status=304))
    for _ in range(3):
        client.done()
    assert asked(scripted) == [FIRST, SECOND] + 2 * [
        FIRST + "?sinceVersion=2", SECOND + "?sinceVersion=2"]
    for request in scripted.requests():
        assert request.method == "GET"
        assert request.headers["x-api-key"] == client.key
        assert client.key not in request.target
    assert [r.headers.get("if-none-match") for r in scripted.requests()] == [
        None, None, None, None, 'W/"x"', None]


def dated(version, second, *items):
    """An answer about a version that was published in that second."""
    return Answer(whole(version, *items), headers=[
        ("Last-Modified", f"Fri, 21 Nov 2025 08:30:{second:02} GMT"),
        ("ETag", f'W/"{version}.{second}"')])


@pytest.mark.parametrize("version, second, says", [
    (2, 1, "nothing new"), (2, 0, "full list"), (2, 2, "full list"),
    (1, 1, "full list"), (1, 0, "full list"), (3, 0, "2 to 3"),
    (3, 2, "2 to 3")])
def test_another_store(client, scripted, version, second, says):
    """The run that the copy shows is (2, 1), from a full list or not."""
    for first in ("full", "moved"):
        client.copy = client.folder / f"{first}.db"
        scripted.script(FIRST, dated(2, 1, item("a")))
        if first == "moved":
            scripted.script(FIRST, dated(1, 0, item("b")))
            scripted.script(FIRST + "?sinceVersion=1",
                            dated(2, 1, item("a"), item("b", gone=True)))
            client.done()
        client.done()
        before = client.records()
        scripted.script(FIRST, dated(version, second, item("c")))
        scripted.script(FIRST + "?sinceVersion=2", dated(version, second))
        count = len(asked(scripted))
        assert says in client.done()[0]
        full = says == "full list"
        assert asked(scripted)[count:] == [
            FIRST + "?sinceVersion=2", *[FIRST] * full,
            *[FIRST + "?asOfVersion=3"] * (says == "2 to 3"),
            SECOND + "?sinceVersion=2"]
        # An ETag of another question is not sent.
        assert "if-none-match" not in scripted.requests()[count].headers
        after = client.records()["treatmentGroup"]
        assert before["treatmentGroup"][0] == 2 and after[0] == version
        assert set(after[1]) == ({"c"} if full else {"a"})


def test_below_a_prefix(client, scripted):
    for path in PATHS.values():
        scripted.script("/nompd" + path, Answer(whole(1)))
    client.done(url=scripted.origin + "/nompd/")
    assert asked(scripted) == ["/nompd" + path for path in PATHS.values()]


def test_unknown_members_and_repeats(client, scripted):
    scripted.script(FIRST, Answer(whole(
        2, item("a", 1), item("a", 2, more=[1]), item("a", 3, name="x"),
        more={"x": None})))
    client.done()
    assert client.records()["treatmentGroup"][1]["a"][0] == 3


NUMBERS = ("1.50", "1.0", "0.10", "-0.0", "1e5", "1E+10", "-2.50e-07",
           "100.00", "1e999", "-1e999", "1e-999", "0.1000000000000000055511",
           "1234567890123456789012345678.901234", "7", "9007199254740993")


def test_digits_are_kept(client, scripted):
    """As they came, in every place; what only looks like a number, too."""
    text = ('{"id": "a", "list": [%s], "object": {"x": {"1.50": %s}},'
            ' "text": "1.50", "quoted": "\\"1.50\\"", "empty": ""}' % (
                ", ".join(NUMBERS), NUMBERS[0]))
    scripted.script(FIRST, Answer(
        '{"currentVersion":2,"pi":3.10,"items":[{"data":%s,"version":2,'
        '"lastChanged":"2025-04-10T08:30:00Z","isDeleted":false}]}' % text))
    client.done()
    copy = sqlite3.connect(client.copy)
    [(stored,)] = copy.execute(
        "SELECT data FROM record WHERE collection = 'treatmentGroup'")
    copy.close()
    assert stored == text


PASSING = {
    "429": Answer(status=429, headers=[("Retry-After", "0")]),
    "502": Answer(b"<html>", status=502),
    "503": Answer({"error": "later"}, status=503),
    "504": Answer(status=504),
    "past date": Answer(status=503, headers=[
        ("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")]),
    "odd date": Answer(status=503, headers=[("Retry-After", "soon")]),
    "cut": Answer(whole(9, item("z"), item("y")), cut=100),
    "cut in a letter": Answer(whole(9, item("z")), cut=55),
    "cut, but valid": Answer(json.dumps(whole(9)), length=1000, cut=1000),
    "cut chunk": Answer(whole(9, *[item("z")] * 20), chunked=True, cut=1200),
    "reset": Answer(whole(9, item("z")), cut=80, reset=True),
    "closed": Answer(raw=b""),
    "no HTTP": Answer(raw=b"220 mail.example.org\r\n\r\n"),
    "broken off": Answer(json.dumps(whole(9, item("z"), item("y")))[:-30]),
    "empty": Answer(b""),
    "two": Answer(json.dumps(whole(9)) * 2),
    "silence": Answer(hang="start"),
    "silence in between": Answer(whole(9, item("z")), hang="body", cut=50),
}


@pytest.mark.parametrize("name", PASSING)
def test_tried_again(client, scripted, name):
    good = Answer(whole(2, item("a")))
    scripted.script(FIRST, PASSING[name], good)
    client.done(limits={"IDLE_SECONDS": 0.5})
    assert asked(scripted) == [FIRST, FIRST, SECOND]
    version, records = client.records()["treatmentGroup"]
    assert (version, set(records)) == (2, {"a"})


@pytest.mark.parametrize("name", PASSING)
def test_given_up(client, scripted, name):
    """After the first copy: nothing of it changes."""
    client.done()
    before = client.records()
    scripted.script(FIRST + "?sinceVersion=2", PASSING[name])
    ended = client.run("--tries", 3, limits={"IDLE_SECONDS": 0.5})
    ended.failed(69, "treatmentGroup", "3 of 3")
    assert asked(scripted)[2:] == [FIRST + "?sinceVersion=2"] * 3
    assert client.records() == before


def test_retry_after(client, scripted):
    later = Answer(status=503, headers=[("Retry-After", "1")])
    scripted.script(FIRST, later, Answer(whole(1)))
    client.done("--max-wait", 30)
    one, two = scripted.requests(FIRST)
    assert 1 <= two.started - one.started < 20


def test_retry_after_is_capped(client, scripted):
    later = Answer(status=503, headers=[("Retry-After", "999999999")])
    scripted.script(FIRST, later, Answer(whole(1)))
    client.done("--max-wait", 1)


def test_no_service(client):
    held, port = refused_port()
    ended = client.run("--tries", 2, url=f"http://127.0.0.1:{port}")
    held.close()
    ended.failed(69, "refused.*2 of 2")


WRONG = {
    "array": [],
    "text": '"currentVersion"',
    "no version": {"items": []},
    "no items": {"currentVersion": 3},
    "version is text": whole("3"),
    "version is true": whole(True),
    "version is negative": whole(-1),
    "version is too large": whole(1 << 63),
    "version has a fraction": '{"currentVersion":3.0,"items":[]}',
    "version is endless": '{"currentVersion":' + "1" * 9999 + ',"items":[]}',
    "items is an object": {"currentVersion": 3, "items": {}},
    "item is null": whole(3, None),
    "no data": whole(3, {"version": 3, "isDeleted": False,
                         "lastChanged": "2025-04-10T08:30:00Z"}),
    "data is text": whole(3, item("a", data="id")),
    "no id": whole(3, item("a", data={})),
    "empty id": whole(3, item("")),
    "id is a number": whole(3, item(7)),
    "half a character": '{"currentVersion":3,"items":[%s]}' % json.dumps(
        item("\ud83d")),
    "deleted is 0": whole(3, item("a", isDeleted=0)),
    "item's version is null": whole(3, item("a", version=None)),
    "not a number": '{"currentVersion":3,"items":[],"x":NaN}',
    "no end": '{"currentVersion":3,"items":[],"x":Infinity}',
    "no beginning": '{"currentVersion":3,"items":[],"x":[-Infinity]}',
    "not a number within": '{"currentVersion":3,"items":[%s]}' % json.dumps(
        item("a", data={"id": "a", "x": math.nan})),
    "no end within": '{"currentVersion":3,"items":[%s]}' % json.dumps(
        item("a", data={"id": "a", "x": -math.inf})),
    "id is a decimal": '{"currentVersion":3,"items":[%s]}' % json.dumps(
        item(1.5)),
    "time is a decimal": '{"currentVersion":3,"items":[%s]}' % json.dumps(
        item("a", lastChanged=1.5)),
    "data is a decimal": '{"currentVersion":3,"items":[%s]}' % json.dumps(
        item("a", data=1.5)),
    "too deep": '{"currentVersion":3,"items":' + "[" * 100000
                + "]" * 100000 + "}",
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_form(client, scripted, name):
    """The items before the wrong one are not taken either."""
    client.done()
    before = client.records()
    body = WRONG[name]
    if isinstance(body, dict) and isinstance(body.get("items"), list):
        body = {**body, "items": [item("new", 3), *body["items"]]}
    scripted.script(FIRST + "?sinceVersion=2", Answer(body))
    client.run().failed(76, "treatmentGroup.*, request .*form")
    assert len(asked(scripted)) == 3
    assert client.records() == before


@pytest.mark.parametrize("status, ends", [
    (201, 76), (204, 76), (304, 76), (400, 76), (401, 77), (403, 77),
    (404, 76), (414, 76), (500, 76)])
def test_other_statuses(client, scripted, status, ends):
    """One try; what the service says is shown, but never the key."""
    scripted.script(FIRST, Answer(
        {"error": f"no: {client.key}\x1b[31m\n{'x' * 5000}"}, status=status))
    ended = client.run()
    ended.failed(ends, f"request [0-9a-f]+: {status}")
    assert asked(scripted) == [FIRST]
    assert ended.err.count("\n") == 1 and "\x1b" not in ended.err
    assert len(ended.err) < 1000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect(client, scripted, elsewhere, status):
    """Neither elsewhere nor here; elsewhere notices no connection."""
    for target in (elsewhere.origin + FIRST, SECOND):
        scripted.script(FIRST, Answer(status=status,
                                      headers=[("Location", target)]))
        client.run().failed(76, f"{status}.*redirects are not followed")
    assert asked(scripted) == [FIRST, FIRST]


def test_too_long(client, scripted):
    scripted.script(FIRST, Answer(whole(1, *[item("a")] * 100)))
    client.run(limits={"MAX_BODY": 5000}).failed(76, "more than 5000 bytes")
    assert len(asked(scripted)) == 1
    client.done(limits={"MAX_BODY": 50000})


def test_too_slow(client, scripted):
    scripted.script(FIRST, Answer(whole(1, item("a")), drip=0.05))
    client.run("--tries", 2, limits={"MAX_SECONDS": 0.5}).failed(
        69, "more than 0.5 s.*2 of 2")


def test_killed_within_an_answer(client, scripted):
    client.done()
    before = client.records()
    question = FIRST + "?sinceVersion=2"
    news = whole(3, item("a", 3, gone=True), item("new", 3))
    for answer in (Answer(hang="start"), Answer(news, hang="body", cut=90)):
        scripted.script(question, answer)
        count = len(scripted.requests(question))
        process = client.start()
        scripted.wait_for(question, count + 1)
        time.sleep(0.2)
        process.kill()
        client.finish(process)
        assert client.records() == before
    scripted.script(question, Answer(news))
    scripted.script(SECOND + "?sinceVersion=2", Answer(whole(3)))
    client.done()
    assert set(client.records()["treatmentGroup"][1]) == {"b", "new"}


def test_killed_between_the_collections(client, scripted):
    """One has moved, the other has not; each knows its own version."""
    scripted.script(SECOND, Answer(hang="start"))
    process = client.start()
    scripted.wait_for(SECOND)
    process.kill()
    client.finish(process)
    versions = {name: version
                for name, (version, _) in client.records().items()}
    assert versions == {"treatmentGroup": 2, "reimbursementGroup": None}
    scripted.script(SECOND, Answer(whole(2, item("r"))))
    client.done()
    assert set(client.records()["reimbursementGroup"][1]) == {"r"}


def test_one_run_at_a_time(client, scripted):
    client.done()
    gate = scripted.gate()
    scripted.script(FIRST + "?sinceVersion=2",
                    Answer(whole(3, item("c", 3)), before=gate.wait))
    first = client.start()
    scripted.wait_for(FIRST + "?sinceVersion=2")
    client.run().failed(75, "locked")
    assert client.records()["treatmentGroup"][0] == 2   # readers may read
    gate.set()
    scripted.script(SECOND + "?sinceVersion=2", Answer(whole(3)))
    assert client.finish(first).status == 0
    assert client.records()["treatmentGroup"][0] == 3


def test_nobody_reads_what_it_says(client, scripted):
    """No reader, a full disk, closed: the copy is brought up to date."""
    def close_it():
        os.close(1)

    for number in range(4):
        client.copy = client.folder / f"copy{number}.db"
        reader, writer = os.pipe()
        os.close(reader)
        with open("/dev/full", "wb") as disk, os.fdopen(writer, "wb") as pipe:
            streams = [{"stdout": pipe}, {"stdout": disk},
                       {"preexec_fn": close_it},
                       {"stdout": pipe, "stderr": subprocess.STDOUT}][number]
            ended = client.run(**streams)
            told = client.run("--help", **streams)
        for outcome in (ended, told):
            if number < 3:
                outcome.failed(74, "^nompd-client: standard output.*\n$")
            assert outcome.status == 74
        assert {version for version, _ in client.records().values()} == {2}
    assert asked(scripted) == [FIRST, SECOND] * 4


# Configuration

@pytest.mark.parametrize("env", [
    {}, {"NOMPD_API_KEY": ""}, {"NOMPD_API_KEY": "k3y-0f-the-client\nX: y"},
    {"NOMPD_API_KEY": "k3y ø"}, {"NOMPD_API_KEY": "k" * 1025},
    {"NOMPD_API_KEY": "a", "NOMPD_API_KEY_FILE": "b"},
    {"NOMPD_API_KEY_FILE": "no-such-file"}])
def test_no_usable_key(client, scripted, env):
    client.run(env=env).failed(64, "key")
    assert scripted.connections == 0
    assert not client.copy.exists()


@pytest.mark.parametrize("url", [
    "ftp://127.0.0.1", "127.0.0.1", "http://", "http://u:p@127.0.0.1",
    "http://127.0.0.1/?x=y", "http://127.0.0.1/#x", "http://127.0.0.1:x",
    "http://127.0.0.1:99999", "http://127.0.0.1/a b"])
def test_bad_url(client, url):
    client.run(url=url).failed(64, "--url")


def test_plain_http(client):
    client.run(url="http://192.0.2.1").failed(64, "plain http.*--plain-http")


@pytest.mark.parametrize("args", [
    ("--tries", "0"), ("--tries", "101"), ("--tries", "x"), ("--key", "x"),
    ("--max-wait", "3601"), ("--max-wait", "-1"), ("--ful",), ("x",),
    ("--resource", "patient"), ("--resource", "Patient/1"),
    ("--full", "--check")])
def test_bad_flags(client, args):
    client.run(*args).failed(64, "nompd-client: ")


def test_foreign_store(client, scripted):
    """A database of somebody else's, or no database, stays as it is."""
    other = sqlite3.connect(client.copy)
    other.execute("CREATE TABLE record (x)")
    other.commit()
    other.close()
    before = client.copy.read_bytes()
    client.run().failed(74, "copy.db")
    assert client.copy.read_bytes() == before
    client.copy.write_bytes(b"no database" * 1000)
    client.run().failed(74, "copy.db")
    assert client.copy.read_bytes() == b"no database" * 1000
    assert scripted.connections == 0


def test_copy_of_another_version(client, scripted):
    """One of another layout stays as it is."""
    client.done()
    copy = sqlite3.connect(client.copy)
    layout, = copy.execute("PRAGMA application_id").fetchone()
    copy.execute(f"PRAGMA application_id = {layout - 1}")
    copy.execute("ALTER TABLE state DROP COLUMN modified")
    copy.close()
    before = client.records()
    ended = client.run()
    ended.failed(74, "copy.db: .*another version of this program; move it")
    assert ended.err.count("\n") == 1
    assert client.records() == before
    assert asked(scripted) == [FIRST, SECOND]


def test_help(client):
    """It names its flags, and none of them takes a key."""
    ended = client.run("--help")
    assert ended.status == 0
    for flag in ("--url", "--store", "--full", "--check", "--tries",
                 "--max-wait"):
        assert flag in ended.out
    assert "key" not in ended.out.replace("send the key without TLS", "")
