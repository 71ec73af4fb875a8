"""The lists as they were, their digests, and what is not kept any more, over
HTTP, compared with what the store held after each run."""
import collections
import contextlib
import copy
import email.utils
import http.client
import itertools
import json
import random
import re
import sqlite3

import pytest
from bson.decimal128 import Decimal128

import digests
import model
import stores
import web
from conftest import FILLED, KIND, Sync, copy_store, folder_upstream
from test_serve_api import (
    LISTS, REIMBURSEMENTS, TREATMENTS, content, error_of, exact, lines_of,
    metrics, second, serving)
from upstream import activity, authorization, number, plan
from web import KINDS

PATIENTS = "/api/v1/resource/Patient"
COLLECTIONS = {**LISTS, PATIENTS: "Patient"}
SEED = 20251123
KEYS = [f"k{i}" for i in range(8)] + ["Å💊", "a b\n", "\"'\\", "\uffffz"]
RUNS = 8
LOST = 4            # a version that was raised, and of which no run is
MAX_NUMBER = 2**63 - 1
MAX_STEPS = 300     # store steps of a small run; far fewer are needed
STEP_STRIDE = 9     # every so many steps a run is killed

# A CGI program connects anew for each of the many answers.
SERVERS = KINDS if KIND.name == "sqlite" else ("nginx-fastcgi",)

Moment = collections.namedtuple("Moment", "records synced")


def patient(number, version, deleted=0, **more):
    data = {"resourceType": "Patient", "id": number, **more}
    return stores.Record(f"Patient/{number}", model.encode(data), version,
                         deleted, 1744273800000 + version,
                         model.content_hash(data))


class World:
    """A store after some runs, and what it held after each."""

    def __init__(self, folder, like=None):
        self.draw = random.Random(SEED)
        self.sync = Sync(folder)
        self.store = self.sync.store
        self.lists = ({}, {}, {})
        self.moments = {0: Moment({}, None)}
        self.finished = 0
        if like is None:
            self.fill()
        else:
            copy_store(like.store, self.store)
            self.lists = copy.deepcopy(like.lists)
            self.moments = dict(like.moments)
            self.finished = like.finished

    def fill(self):
        for number in range(RUNS):
            if self.finished == LOST - 1:
                KIND.raise_version(self.store)
            self.run()
            if number == 0:
                KIND.make_collection(self.store, "Patient")
                KIND.put(self.store, "Patient", patient(
                    "1", 1, weight=Decimal128("1.50")))
                self.take()
        assert sorted(self.moments) == [0, 1, 2, 3, 5, 6, 7, 8, 9]

    def run(self):
        """Some records change, some go, some come (back)."""
        for records, make in zip(self.lists, (
                lambda key, draw: plan(key, *draw.sample(KEYS, 2),
                                       name=draw.choice("xyzæ")),
                lambda key, draw: activity(key, name=draw.choice("xy")),
                lambda key, draw: authorization(key, draw.choice("12")))):
            for key in KEYS:
                roll = self.draw.random()
                if key in records and roll < 0.2:
                    del records[key]
                elif roll < 0.5:
                    records[key] = make(key, self.draw)
        ended = self.sync.run(
            "--max-delete", "100%", "--log-level", "error",
            url=folder_upstream(self.sync.folder / "upstream", *(
                list(records.values()) for records in self.lists)))
        assert self.take() == ended.result["version"]

    def take(self):
        """Takes down what the last run has left; its version."""
        state = self.sync.dump()
        self.finished = state.history[-1][0]
        self.moments[self.finished] = Moment(state.records,
                                             state.history[-1][1])
        return self.finished

    def at(self, number):
        """The finished version that a number stands for."""
        return max(v for v in self.moments if v <= number)

    def expected(self, path, as_of=None, since=None):
        """The content of an answer."""
        version = self.at(self.finished if as_of is None else as_of)
        rows = [row for (name, _), row in
                self.moments[version].records.items()
                if name == COLLECTIONS[path]
                and (row.version > since if since is not None
                     else not row.deleted)]
        rows.sort(key=lambda row: (row.version, row.key.encode()))
        return exact({"currentVersion": version, "items": [
            {"data": model.decode(row.data), "version": row.version,
             "lastChanged": second(row.updated),
             "isDeleted": bool(row.deleted)} for row in rows]})

    def digest(self, path, as_of=None):
        """What the digest has to be."""
        version = self.at(self.finished if as_of is None else as_of)
        state = stores.Dump(self.moments[version].records, version, 0, [])
        return digests.of_store(state, COLLECTIONS[path])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.sync.close()


@pytest.fixture(scope="module", params=SERVERS)
def service(request, world, tmp_path_factory):
    """On the store of the world, which is not changed."""
    with serving(request.param, tmp_path_factory.mktemp("server"),
                 store=world.store) as running:
        yield running


@pytest.fixture(params=SERVERS)
def own(request, tmp_path, world):
    """A copy of the world, which the test may change, and a server on it."""
    made = World(tmp_path, world)
    with serving(request.param, tmp_path, store=made.store) as running:
        made.server = running
        yield made
    made.sync.close()


def target(path, as_of=None, since=None):
    query = [f"{name}={number}" for name, number in (
        ("sinceVersion", since), ("asOfVersion", as_of)) if number is not None]
    return path + ("?" + "&".join(query) if query else "")


def ask(server, path, as_of=None, since=None, method="GET", **headers):
    return server.request(method, target(path, as_of, since), {
        name.replace("_", "-"): value for name, value in headers.items()},
        key=server.key)


def digest_of(answer):
    """(version, digest) as the headers tell them."""
    version = answer.headers["Digest-Version"]
    return version and int(version), answer.headers["Digest-SHA256"]


# The lists as they were

def test_the_world_has_what_the_tests_need(world):
    for path in LISTS:
        answers = [str(world.expected(path, version))
                   for version in world.moments]
        assert len(set(answers)) == len(answers)
        # Records that were deleted, and some that came back.
        deleted = {}
        for moment in world.moments.values():
            for where, row in moment.records.items():
                deleted.setdefault(where, []).append(row.deleted)
        assert any(1 in states for states in deleted.values())
        assert any(states[states.index(1):].count(0)
                   for states in deleted.values() if 1 in states)


@pytest.mark.parametrize("path", COLLECTIONS)
def test_as_of(service, world, path):
    for as_of in range(world.finished + 1):
        answer = ask(service, path, as_of)
        assert content(answer) == world.expected(path, as_of), as_of
    assert content(ask(service, path)) == world.expected(path)


@pytest.mark.parametrize("path", COLLECTIONS)
def test_since_as_of(service, world, path):
    """What has changed after the one and up to the other."""
    numbers = range(world.finished + 1)
    for as_of, since in itertools.product(numbers, (*numbers, MAX_NUMBER)):
        answer = ask(service, path, as_of, since)
        assert content(answer) == world.expected(path, as_of, since), (
            as_of, since)
        assert digest_of(answer) == (None, None)


def test_a_number_without_a_run(service, world):
    """It stands for the version before; the answer says which."""
    answer, before = ask(service, TREATMENTS, LOST), ask(service, TREATMENTS,
                                                        LOST - 1)
    assert answer.json()["currentVersion"] == LOST - 1
    assert answer.body == before.body
    for name in ("Last-Modified", "Digest-Version", "Digest-SHA256"):
        assert answer.headers[name] == before.headers[name]


def test_version_0(service):
    """Before the first run there was nothing."""
    for path in COLLECTIONS:
        answer = ask(service, path, 0)
        assert answer.json() == {"currentVersion": 0, "items": []}
        assert answer.headers["Last-Modified"] is None
        assert digest_of(answer) == (None, None)


def test_a_version_to_come(service, world):
    for number in (world.finished + 1, MAX_NUMBER):
        for since in (None, 0, number):
            for path in COLLECTIONS:
                answer = ask(service, path, number, since)
                assert error_of(answer, 404) == (
                    "asOfVersion: there is no such version yet; the current"
                    f" one is {world.finished}.")
                head = ask(service, path, number, since, "HEAD")
                assert (head.status, head.body) == (404, b"")


@pytest.mark.parametrize("value", (
    "", "x", "-1", "%2B1", "1.0", "0x1", "1e0", "%201", "1%20", "+1", "1,2",
    "9223372036854775808", "9" * 5000, "null", "%D9%A1", "1;", "%"))
def test_no_version(service, value):
    for query in (f"asOfVersion={value}", f"asofversion={value}",
                  f"sinceVersion=1&%61sOfVersion={value}"):
        answer = service.request("GET", f"{TREATMENTS}?{query}",
                                 key=service.key)
        assert error_of(answer, 400) == (
            "asOfVersion: want a whole number from 0 to 9223372036854775807,"
            " once.")


def test_no_version_twice(service):
    for query in ("asOfVersion=1&asOfVersion=1", "asOfVersion=1&ASOFVERSION=2",
                  "asOfVersion&x&asOfVersion=1", "asOfVersion"):
        answer = service.request("GET", f"{TREATMENTS}?{query}",
                                 key=service.key)
        assert error_of(answer, 400).startswith("asOfVersion: want ")


def test_spellings(service, world):
    for query in ("ASOFVERSION=3", "as%4FfVersion=%33", "x=y&asOfVersion=003"):
        answer = service.request("GET", f"{TREATMENTS}?{query}",
                                 key=service.key)
        assert content(answer) == world.expected(TREATMENTS, 3)


def test_order_of_checks(service):
    """The key, then what sinceVersion and asOfVersion are, then the store."""
    query = f"{TREATMENTS}?asOfVersion=x"
    error_of(service.request("GET", query), 401)
    answer = service.request("GET", query + "&sinceVersion=x",
                             key=service.key)
    assert error_of(answer, 400).startswith("sinceVersion: ")
    answer = service.request("GET", "/api/v1/resource/Device?asOfVersion=x",
                             key=service.key)
    assert error_of(answer, 400).startswith("asOfVersion: ")
    answer = service.request("GET", "/api/v1/resource/Device?asOfVersion="
                             f"{MAX_NUMBER}", key=service.key)
    error_of(answer, 404)


def test_etags(service, world):
    """Each is good for its own question only."""
    questions = [(path, as_of, since) for path in LISTS for as_of in (
        None, LOST - 1, LOST, world.finished) for since in (None, 0, LOST)]
    tags = [ask(service, *question).headers["ETag"] for question in questions]
    assert len(set(tags)) == len(tags)
    for question in questions:
        for other, tag in zip(questions, tags):
            for method in ("GET", "HEAD"):
                answer = ask(service, *question, method, If_None_Match=tag)
                assert answer.status == (304 if question == other else 200)


def test_last_modified(service, world):
    """When the version was published that is shown."""
    for path, as_of in itertools.product(COLLECTIONS, (1, 2, 3, 5, 9)):
        told = ask(service, path, as_of).headers["Last-Modified"]
        whole = world.moments[as_of].synced // 1000
        assert email.utils.parsedate_to_datetime(
            told).timestamp() == whole


def test_the_past_stays(own):
    """After another run, too: answers, digests, and ETags."""
    questions = [(path, as_of, since) for path in LISTS
                 for as_of in range(own.finished + 1)
                 for since in (None, as_of // 2)]
    before = [ask(own.server, *question) for question in questions]
    current = own.finished
    own.run()
    for question, old in zip(questions, before):
        new = ask(own.server, *question)
        assert content(new) == own.expected(*question)
        assert (new.body, new.headers["ETag"], digest_of(new)) == (
            old.body, old.headers["ETag"], digest_of(old))
        again = ask(own.server, *question, If_None_Match=old.headers["ETag"])
        assert (again.status, again.body) == (304, b"")
    assert own.expected(TREATMENTS, current) != own.expected(TREATMENTS)


def test_in_turns(service, world):
    """However an answer is made or kept: the question before leaves nothing
    behind."""
    draw = random.Random(SEED)
    for _ in range(60):
        path = draw.choice(list(COLLECTIONS))
        as_of = draw.choice((None, None, *range(world.finished + 1)))
        since = draw.choice((None, None, 0, 3))
        assert content(ask(service, path, as_of, since)) == world.expected(
            path, as_of, since)
        if draw.random() < 0.2:
            records = metrics(service)["nompd_records"].samples
            assert int(records[("collection", COLLECTIONS[path]),]) == len(
                dict(world.expected(path))["items"])


def test_a_run_that_is_killed_anywhere(own):
    """All that was is still to be had, and the current version is the last
    finished one, to its digest."""
    many = [authorization(f"n{i}") for i in range(20)]
    url = folder_upstream(own.sync.folder / "upstream", FILLED[0], FILLED[1],
                          FILLED[2] + many)
    for step in range(1, MAX_STEPS, STEP_STRIDE):
        ended = own.sync.run("--max-delete", "100%", url=url,
                             env={"NOMPD_STORE_KILL_AT": str(step)})
        own.sync.expire_lease()
        if ended.status == 0:
            break
        if own.sync.dump().history[-1][0] != own.finished:
            own.take()
        as_of = own.draw.randrange(1, own.finished + 1)
        for path in LISTS:
            for number in (None, as_of):
                answer = ask(own.server, path, number)
                assert content(answer) == own.expected(path, number), step
                assert digest_of(answer)[1] == own.digest(path, number)
    assert step > 3 * STEP_STRIDE
    before = own.finished
    own.take()
    for path in LISTS:
        assert content(ask(own.server, path)) == own.expected(path)
        assert content(ask(own.server, path, before)) == own.expected(
            path, before)


def test_log(service):
    answer = ask(service, PATIENTS, 5, 1)
    assert ("GET /api/v1/resource/{type} sinceVersion=1 asOfVersion=5"
            " type=Patient: 200,") in lines_of(service, answer)[-1]
    answer = ask(service, PATIENTS, MAX_NUMBER - 1, MAX_NUMBER)
    assert (f" sinceVersion={MAX_NUMBER} asOfVersion={MAX_NUMBER - 1}"
            " type=Patient: 404,") in lines_of(service, answer)[-1]


# Digests

@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("method", ("GET", "HEAD"))
def test_digests(service, world, path, method):
    """With each full list, and with its 304; computed out of the store, and
    out of the answer."""
    seen = set()
    for as_of in (None, *range(1, world.finished + 1)):
        answer = ask(service, path, as_of, method=method)
        version = world.at(world.finished if as_of is None else as_of)
        assert digest_of(answer) == (version, world.digest(path, as_of))
        again = ask(service, path, as_of, method=method,
                    If_None_Match=answer.headers["ETag"])
        assert again.status == 304
        assert digest_of(again) == digest_of(answer)
        if method == "GET":
            assert digests.of_answer(answer.body) == digest_of(answer)[1]
        seen.add(digest_of(answer))
    assert len(seen) == RUNS


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("since", (0, 1, 5, MAX_NUMBER))
def test_no_digest_of_changes(service, path, since):
    answer = ask(service, path, since=since)
    again = ask(service, path, since=since,
                If_None_Match=answer.headers["ETag"])
    assert (answer.status, again.status) == (200, 304)
    assert digest_of(answer) == digest_of(again) == (None, None)


@pytest.mark.parametrize("seal", (
    None, {"Collections": {}}, {"Collections": {"TreatmentGroups": {}}},
    {"Collections": {"TreatmentGroups": {"Data": "x"}}},
    {"Collections": {"TreatmentGroups": {"Data": 7}}},
    {"Collections": {"TreatmentGroups": 7}}, {"Collections": 7}, {"X": 7}))
def test_no_sound_seal(own, seal):
    """An entry of an older program, and damaged ones: the list comes without
    a digest."""
    for version in (3, own.finished):
        KIND.put_seal(own.store, version, seal)
    for as_of in (None, 3, own.finished):
        answer = ask(own.server, TREATMENTS, as_of)
        assert content(answer) == own.expected(TREATMENTS, as_of)
        assert digest_of(answer) == (None, None)
    # Others have theirs.
    answer = ask(own.server, TREATMENTS, 2)
    assert digest_of(answer) == (2, own.digest(TREATMENTS, 2))


def test_the_digest_is_the_seal_of_the_collection(own):
    """Each collection has its own; what the run has sealed is what is told."""
    seal = KIND.seal(own.store, 3)
    numbers = seal["Collections"]["TreatmentGroups"]
    seal["Collections"] = {
        "Patient": {**numbers, "Data": 64 * "b"},
        "TreatmentGroups": {**numbers, "Data": 64 * "a"},
        "ReimbursementGroups": {name: value for name, value in numbers.items()
                                if name != "Data"}}
    KIND.put_seal(own.store, 3, seal)
    assert digest_of(ask(own.server, TREATMENTS, 3)) == (3, 64 * "a")
    assert digest_of(ask(own.server, PATIENTS, 3)) == (3, 64 * "b")
    assert digest_of(ask(own.server, REIMBURSEMENTS, 3)) == (None, None)


@pytest.mark.parametrize("kind", KINDS)
def test_digest_of_resources(kind, bulk, server, tmp_path):
    """Its ids are those that consumers see, its numbers doubles."""
    numbers = ("1.50", "1.5", "-0.0", "9007199254740993", "1E+21", "1E-7",
               "0.1", "123456789.123456789123456789", "1e-400")
    for i, digits in enumerate(numbers):
        server.world.put("Patient", f"p{i}", weight=number(digits),
                         **{"\uffff": "\u2028\x7f", "\U00010000": [True]})
    server.world.put("Condition", "c1")
    with serving(kind, tmp_path, store=bulk.store) as running:
        for version in (1, 2, 3):
            assert bulk.run().result["version"] == version
            server.world.put("Patient", f"p{version}", weight=number("2.0"))
            server.world.put("Patient", f"later{version}")
        told = set()
        for as_of in (None, 1, 2, 3):
            answer = ask(running, PATIENTS, as_of)
            assert digest_of(answer) == (
                as_of or 3, digests.of_answer(answer.body))
            told.add(digest_of(answer))
        assert len(told) == 3
        conditions = {ask(running, "/api/v1/resource/Condition",
                          as_of).headers["Digest-SHA256"]
                      for as_of in (None, 1, 2, 3)}
        assert len(conditions) == 1 and None not in conditions
        # One that has no double: there is no canonical JSON of it.
        server.world.put("Patient", "p0", weight=number("1E+400"))
        assert bulk.run().result["version"] == 4
        assert digest_of(ask(running, PATIENTS)) == (None, None)
        assert digest_of(ask(running, PATIENTS, 3))[0] == 3


# What is not kept any more

GONE_SINCE = ("sinceVersion: the changes are complete since version {} or"
              " later only; ask without sinceVersion for the full list.")
GONE_AS_OF = "asOfVersion: the oldest version that can still be shown is {}."


def test_horizon(own):
    """The full lists and later changes stay."""
    KIND.set_reach(own.store, 0, 5)
    for path in COLLECTIONS:
        for since in range(own.finished + 1):
            for as_of in (None, own.finished, 6, 2):
                answer = ask(own.server, path, as_of, since)
                if since < 5:
                    assert error_of(answer, 410) == GONE_SINCE.format(5)
                    head = ask(own.server, path, as_of, since, "HEAD")
                    assert (head.status, head.body) == (410, b"")
                else:
                    assert content(answer) == own.expected(path, as_of, since)
        for as_of in (None, *range(own.finished + 1)):
            assert content(ask(own.server, path, as_of)) == own.expected(
                path, as_of)


def test_an_etag_does_not_help(own):
    tag = ask(own.server, TREATMENTS, 6, 3).headers["ETag"]
    assert ask(own.server, TREATMENTS, 6, 3,
               If_None_Match=tag).status == 304
    KIND.set_reach(own.store, 0, 5)
    answer = ask(own.server, TREATMENTS, 6, 3, If_None_Match=tag)
    assert error_of(answer, 410) == GONE_SINCE.format(5)


def test_states_from(own):
    KIND.set_reach(own.store, 5, 0)
    for path in COLLECTIONS:
        for as_of in range(own.finished + 1):
            for since in (None, 0, 6):
                answer = ask(own.server, path, as_of, since)
                if as_of < 5:
                    assert error_of(answer, 410) == GONE_AS_OF.format(5)
                    head = ask(own.server, path, as_of, since, "HEAD")
                    assert (head.status, head.body) == (410, b"")
                else:
                    assert content(answer) == own.expected(path, as_of, since)
        assert content(ask(own.server, path)) == own.expected(path)


def test_only_the_current_version(own):
    """As in a store that an older program has made."""
    KIND.set_reach(own.store, MAX_NUMBER, 0)
    for path, since in itertools.product(COLLECTIONS, (None, 0, 6)):
        for as_of in range(own.finished):
            assert error_of(ask(own.server, path, as_of, since), 410) == (
                "asOfVersion: only the current version can be shown,"
                f" {own.finished}.")
        for as_of in (None, own.finished):
            assert content(ask(own.server, path, as_of, since)) == (
                own.expected(path, as_of, since))


@pytest.mark.parametrize("old", (
    {"tombstones": 7, "states": 3},
    {"tombstones": 3, "states": 6, "history": 6}), ids=str)
def test_after_a_prune(own, old):
    """Every answer is the one from before or a 410, and the metrics tell which
    it is."""
    for version in own.moments:
        if version > 0:
            days = 100 - 10 * version
            KIND.set_synced_at(own.store, version,
                               own.moments[own.finished].synced
                               - days * 24 * 3600 * 1000)
    flags = [word for what, version in old.items() for word in (
        f"--{what}-older-than", f"{95 - 10 * version}d")]
    ended = own.sync.run("prune", *flags)
    assert ended.status == 0, ended.err
    own.take()
    gone = {"since": set(), "as_of": set()}
    numbers = range(own.finished + 1)
    for path in COLLECTIONS:
        for as_of, since in itertools.product((None, *numbers),
                                              (None, *numbers)):
            answer = ask(own.server, path, as_of, since)
            if answer.status == 410:
                what = error_of(answer, 410).partition("Version: ")[0]
                gone["since" if what == "since" else "as_of"].add(
                    since if what == "since" else as_of)
                continue
            assert content(answer) == own.expected(path, as_of, since), (
                as_of, since)
            if since is None and path in LISTS and own.at(
                    own.finished if as_of is None else as_of):
                assert digest_of(answer)[1] == own.digest(path, as_of)
    found = metrics(own.server)
    for name, what in (("nompd_horizon_version", "since"),
                       ("nompd_states_from_version", "as_of")):
        assert gone[what] == set(range(int(found[name].samples[()])))
    assert len(gone["since"]) <= old["tombstones"]
    assert gone["since"] or old["tombstones"] < 7
    # The first state that is kept has its entry in the history.
    assert len(gone["as_of"]) == old["states"] + ("history" in old)


def test_after_a_rollback(own):
    """The items have their old data again, under a version that is new."""
    before = {path: ask(own.server, path, 3).json()["items"]
              for path in LISTS}
    copies = {path: {item["data"]["id"]: item["data"]
                     for item in ask(own.server, path).json()["items"]}
              for path in LISTS}
    ended = own.sync.run("rollback", "--to", "3", "--reason", "wrong upstream",
                         "--max-delete", "100%")
    assert ended.status == 0, ended.err
    since, now = own.finished, own.take()
    for path in LISTS:
        answer = ask(own.server, path)
        assert content(answer) == own.expected(path)
        assert digest_of(answer) == (now, own.digest(path))
        wanted = {item["data"]["id"]: item["data"] for item in before[path]}
        assert {item["data"]["id"]: item["data"]
                for item in answer.json()["items"]} == wanted
        for item in ask(own.server, path, None, since).json()["items"]:
            copies[path].pop(item["data"]["id"], None)
            if not item["isDeleted"]:
                copies[path][item["data"]["id"]] = item["data"]
        assert copies[path] == wanted


def test_metrics(own):
    def reach():
        found = metrics(own.server)
        return [found[name].samples[()] if name in found else None for name in (
            "nompd_states_from_version", "nompd_horizon_version")]
    assert reach() == ["0", "0"]
    KIND.set_reach(own.store, 5, 7)
    assert reach() == ["5", "7"]
    KIND.set_reach(own.store, MAX_NUMBER, 7)
    assert reach() == [None, "7"]


# Failures

@pytest.mark.only_store("sqlite")
@pytest.mark.parametrize("kind", KINDS)
def test_a_former_state_that_cannot_be_read(kind, tmp_path):
    """Before the first 64 KiB it is a 503, later no whole answer."""
    sync = Sync(tmp_path)
    keys = [f"k{i:02}" for i in range(40)]
    for name in ("x", "y"):
        plans = [plan(key, key, description=4000 * name) for key in keys]
        url = folder_upstream(tmp_path / "up", plans, *FILLED[1:])
        assert sync.run(url=url).status == 0
    with serving(kind, tmp_path, store=sync.store) as server:
        for since in (None, 0):
            with damaged_state(sync.store, keys[5]):
                error_of(ask(server, TREATMENTS, 1, since), 503)
                assert ask(server, TREATMENTS, None, since).status == 200
            with damaged_state(sync.store, keys[-1]):
                try:
                    answer = ask(server, TREATMENTS, 1, since)
                except http.client.IncompleteRead as error:
                    answer = web.Answer(200, {}, error.partial)
                assert answer.status == 200 and len(answer.body) > 65536
                with pytest.raises(ValueError):
                    json.loads(answer.body)
            answer = ask(server, TREATMENTS, 1, since)
            assert len(answer.json()["items"]) == len(keys)
        assert len(re.findall(": 200,.* broken off",
                              server.log())) == 2
    sync.close()


@contextlib.contextmanager
def damaged_state(store, key):
    def put(data):
        with contextlib.closing(sqlite3.connect(store)) as database:
            where = ("WHERE Collection = 'TreatmentGroups'"
                     " AND BusinessKey = ?")
            before, = database.execute(
                f"SELECT Data FROM {stores.STATES} {where}",
                (key,)).fetchone()
            assert database.execute(
                f"UPDATE {stores.STATES} SET Data = ? {where}",
                (data, key)).rowcount == 1
            database.commit()
        return before
    before = put(b"no BSON")
    yield
    put(before)


@pytest.mark.only_store("sqlite")
@pytest.mark.parametrize("kind", KINDS)
def test_a_store_of_an_older_program(kind, tmp_path):
    """It has no former states and no seals, until a run brings it up to
    date."""
    sync = Sync(tmp_path)
    for lists in (FILLED, (FILLED[0][1:], *FILLED[1:])):
        assert sync.run(url=folder_upstream(tmp_path / "up",
                                            *lists)).status == 0
    make_older(sync.store)
    with serving(kind, tmp_path, store=sync.store) as server:
        now = ask(server, TREATMENTS)
        assert len(now.json()["items"]) == 2
        assert digest_of(now) == (None, None)
        assert ask(server, TREATMENTS, 2).body == now.body
        assert error_of(ask(server, TREATMENTS, 1), 410) == (
            GONE_AS_OF.format(2))
        assert metrics(server)["nompd_states_from_version"].samples == {
            (): "2"}
        url = folder_upstream(tmp_path / "up", *FILLED)
        assert sync.run(url=url).result["version"] == 3
        assert ask(server, TREATMENTS, 2).body == now.body
        assert len(ask(server, TREATMENTS, 3).json()["items"]) == 3
        assert error_of(ask(server, TREATMENTS, 1), 410) == (
            GONE_AS_OF.format(2))
    sync.close()


def make_older(store):
    """The layout that a store had before there were former states."""
    with contextlib.closing(sqlite3.connect(store)) as database:
        database.executescript("".join(
            f'DROP INDEX "{name}_State";'
            f'ALTER TABLE "{name}" DROP COLUMN JsonHash;'
            f'CREATE INDEX "{name}_State" ON "{name}"'
            " (BusinessKey, IsDeleted, ContentHash);"
            for name in model.COLLECTIONS) + f"""
            DROP TABLE {stores.STATES};
            ALTER TABLE SyncMetadata DROP COLUMN StatesFrom;
            ALTER TABLE SyncMetadata DROP COLUMN Horizon;
            ALTER TABLE SyncHistory DROP COLUMN Seal;
            PRAGMA user_version = 1;""")
