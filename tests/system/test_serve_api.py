"""The API over HTTP: the same questions to nompd-serve as a CGI program of
lighttpd and as FastCGI workers behind nginx, compared with what is in the
store."""
import collections
import contextlib
import datetime
import email
import email.utils
import hashlib
import itertools
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import time

import pytest
from bson.decimal128 import Decimal128

import model
import web
from conftest import (
    FILLED, Sync, copy_store, dump, folder_upstream)
from upstream import AUTHORIZATIONS, Answer, authorization, bundle, plan
from web import KINDS, make_key, start_server

TREATMENTS = "/api/v1/treatmentGroup"
REIMBURSEMENTS = "/api/v1/reimbursementGroup"
LISTS = {TREATMENTS: "TreatmentGroups", REIMBURSEMENTS: "ReimbursementGroups"}
TRIGGER = "/api/internal/sync"
MAX_SINCE = 2**63 - 1

SINCE_ERROR = ("sinceVersion: want a whole number from 0 to"
               " 9223372036854775807, once.")
KEY_ERROR = "Invalid or missing API key."
STORE_ERROR = "The store is not available; try again later."
KEYS_ERROR = "The service cannot check API keys now; try again later."
RETRY_AFTER = "30"

MAX_STEPS = 2000    # store steps of a small run; far fewer are needed
STEP_STRIDE = 7     # every so many steps a run is killed

# Keys whose order differs between bytes, UTF-16 and words, or that need care
# in JSON.
ODD = ["Ünder", "æ", "\uff5e wide", "\U0001f48a pill", "P1", "p10", " space",
       'quo"te', "back\\slash", "a/b?c=d&e", "</script>", "tab\tkey",
       "\u2028 line", "'; --"]

# What each run brings.  The second takes some away and changes some, the
# third changes nothing, the fourth brings one back and adds one.
FIRST = (FILLED[0] + [plan(key, "a1") for key in ODD],
         FILLED[1],
         FILLED[2] + [authorization(key) for key in ODD])
SECOND = ([plan("p1", "a1", name="new")] + FIRST[0][2:-2],
          FILLED[1],
          [FILLED[2][0], authorization("r2", "9")] + FIRST[2][3:-1])
FOURTH = ([plan("p0")] + SECOND[0] + FIRST[0][-1:], FILLED[1], SECOND[2])
RUNS = (FIRST, SECOND, SECOND, FOURTH)


# What the store holds, as an answer has to show it

class Digits(str):
    """A number, by its digits."""


def exact(value):
    """Members in their order as tuples, numbers as digits."""
    if isinstance(value, dict):
        return tuple((name, exact(v)) for name, v in value.items())
    if isinstance(value, list):
        return [exact(v) for v in value]
    if isinstance(value, (int, Decimal128)) and not isinstance(value, bool):
        return Digits(value)
    return value


def exact_json(text):
    return json.loads(text, parse_int=Digits, parse_float=Digits,
                      parse_constant=refuse, object_pairs_hook=tuple)


def refuse(text):
    raise AssertionError(f"{text} is not JSON")


def finished(state):
    return max((entry[0] for entry in state.history), default=0)


def second(milliseconds):
    moment = datetime.datetime.fromtimestamp(milliseconds // 1000,
                                             datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def expected(state, path, since=None):
    """The content of an answer; since is None for the full list."""
    rows = [row for (name, _), row in state.records.items()
            if name == LISTS[path]
            and (row.version > since if since is not None
                 else not row.deleted)]
    rows.sort(key=lambda row: (row.version, row.key.encode()))
    return exact({"currentVersion": finished(state), "items": [
        {"data": model.decode(row.data), "version": row.version,
         "lastChanged": second(row.updated), "isDeleted": bool(row.deleted)}
        for row in rows]})


def ask(server, path, since=None, **options):
    """The content of a list."""
    query = "" if since is None else f"?sinceVersion={since}"
    answer = server.request("GET", path + query, key=server.key, **options)
    return content(answer)


def content(answer):
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    return exact_json(answer.body)


def ids(found):
    """[(id, is deleted)] of the content of a list."""
    return [(dict(dict(item)["data"])["id"], dict(item)["isDeleted"])
            for item in dict(found)["items"]]


def error_of(answer, status):
    """The sentence of an error; what each one has is checked here."""
    assert answer.status == status, answer
    check_common(answer)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Retry-After"] == (
        RETRY_AFTER if status == 503 else None)
    assert answer.headers["ETag"] is None
    found = answer.json()
    assert list(found) == ["error"]
    return found["error"]


def check_common(answer):
    assert re.fullmatch("[A-Za-z0-9._-]{1,64}",
                        answer.headers["X-Request-Id"])
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def lines_of(server, answer):
    """What the log says of one request; waits for its last line."""
    name = answer.headers["X-Request-Id"]
    wait_for(server, rf"request {re.escape(name)}: \S* .*: \d+,")
    return [line for line in server.log().splitlines()
            if f"request {name}: " in line]


def wait_for(server, pattern):
    """A line may be written a little after the answer."""
    end = time.monotonic() + web.PATIENCE
    while not re.search(pattern, server.log()):
        assert time.monotonic() < end, (pattern, server.log())
        time.sleep(0.01)


def shown(value):
    """A parameter in the name of a test."""
    return ascii(value)[:30]


# Servers

@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A store after the four runs, and what is in it; never written."""
    sync = Sync(tmp_path_factory.mktemp("world"))
    for number, lists in enumerate(RUNS, 1):
        url = folder_upstream(sync.folder / "upstream", *lists)
        assert sync.run(url=url).result["version"] == number
    sync.close()
    return collections.namedtuple("World", "store state")(
        sync.store, sync.dump())


@contextlib.contextmanager
def serving(kind, folder, **options):
    """A server with a key; one worker, so that it is always the same."""
    options.setdefault("workers", 1)
    server = start_server(kind, folder, **options)
    try:
        server.key = make_key(server, "hospital-a")
        program = server.program
        yield server
        # The worker that was started has served all of it.
        assert program is None or program.poll() is None
    finally:
        server.stop()


@pytest.fixture(scope="module", params=KINDS)
def server(request, world, tmp_path_factory):
    """On the store of the world."""
    with serving(request.param, tmp_path_factory.mktemp("server"),
                 store=world.store, sync_command=["/bin/false"]) as server:
        server.operator = make_key(server, "operator", "sync")
        yield server


@pytest.fixture(scope="module", params=KINDS)
def storeless(request, tmp_path_factory):
    """On no store."""
    with serving(request.param, tmp_path_factory.mktemp("storeless"),
                 sync_command=["/bin/false"]) as server:
        yield server


@pytest.fixture(params=KINDS)
def alone(request, tmp_path, world):
    """On a copy of the world, which the test may change."""
    copy_store(world.store, tmp_path / "store.db")
    with serving(request.param, tmp_path,
                 store=tmp_path / "store.db") as server:
        yield server


def cgi(server, method="GET", path=TREATMENTS, query="", **variables):
    """The program as a CGI program without a web server before it."""
    env = {**server.environment(), "GATEWAY_INTERFACE": "CGI/1.1",
           "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path,
           "QUERY_STRING": query, "HTTP_X_API_KEY": server.key, **variables}
    done = subprocess.run([web.PROGRAM], env=env, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=web.PATIENCE,
                          check=False)
    assert done.returncode == 0, done
    assert server.key.encode() not in done.stdout + done.stderr
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    headers = email.message_from_bytes(head)
    return web.Answer(int(headers["Status"].split()[0]), headers, body)


# Lists

def test_the_world_has_what_the_tests_need(world):
    """Else they could not fail."""
    for path in LISTS:
        rows = [row for (name, _), row in world.state.records.items()
                if name == LISTS[path]]
        keys = [row.key for row in rows]
        assert set(ODD) <= set(keys)
        by_bytes = sorted(keys, key=str.encode)
        assert by_bytes != sorted(keys, key=lambda k: k.encode("utf-16-be"))
        assert by_bytes != sorted(keys, key=str.lower)
        assert {row.version for row in rows} >= {1, 2}
        assert any(row.deleted for row in rows)
    assert finished(world.state) == len(RUNS) == 4
    states = {r.version for r in world.state.records.values()}
    assert states == {1, 2, 4}


@pytest.mark.parametrize("path", LISTS)
def test_full_list(server, world, path):
    found = ask(server, path)
    assert found == expected(world.state, path)
    assert found and not any(deleted for _, deleted in ids(found))


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("since", (0, 1, 2, 3, 4, 5, MAX_SINCE))
def test_since(server, world, path, since):
    assert ask(server, path, since) == expected(world.state, path, since)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temporary", ("there", "missing"))
def test_the_same_question_again(kind, temporary, world, tmp_path):
    """However an answer is made or kept, it is the same; in turns with other
    questions, whose answers differ in length."""
    folder = tmp_path / "temporary"
    if temporary == "there":
        folder.mkdir()
    with serving(kind, tmp_path, store=world.store,
                 env={"TMPDIR": folder}) as server:
        for _ in range(3):
            for path, since in itertools.product(LISTS, (None, 0, None, 2)):
                assert ask(server, path, since) == expected(world.state,
                                                            path, since)
                head = server.request("HEAD", path, key=server.key)
                assert (head.status, head.body) == (200, b"")
    if temporary == "there":
        assert not list(folder.iterdir())


def test_since_0_is_all_ever_stored(server, world):
    for path, name in LISTS.items():
        found = ids(ask(server, path, 0))
        assert sorted(found) == sorted(
            (row.key, bool(row.deleted))
            for (collection, _), row in world.state.records.items()
            if collection == name)


def test_tombstones_keep_their_data(server):
    """As the record was when it was last given."""
    first = dict(ask(server, REIMBURSEMENTS, 1))["items"]
    gone = [dict(item) for item in first if dict(item)["isDeleted"]]
    wanted = [model.reimbursement_group(model.on_the_wire(resource))
              for resource in (FILLED[2][2], FIRST[2][-1])]
    assert [item["data"] for item in gone] == [
        exact(data) for data in sorted(wanted, key=lambda d: d["id"])]
    assert {item["version"] for item in gone} == {"2"}


def test_a_run_without_changes_changes_no_item(server, world):
    """The third run raised the version and nothing else."""
    for path in LISTS:
        found = dict(ask(server, path, 2))
        assert found["currentVersion"] == "4"
        assert all(dict(item)["version"] == "4" for item in found["items"])
    assert dict(ask(server, REIMBURSEMENTS, 2))["items"] == []
    assert ids(ask(server, TREATMENTS, 2)) == [(ODD[-1], False),
                                               ("p0", False)]


def test_chained_differences_give_the_full_list(server):
    """A consumer that was there from the start has what a new one gets."""
    for path in LISTS:
        copy = {}
        for since in range(5):
            for item in dict(ask(server, path, since))["items"]:
                item = dict(item)
                key = dict(item["data"])["id"]
                copy.pop(key, None)
                if not item["isDeleted"]:
                    copy[key] = item
        full = {dict(dict(item)["data"])["id"]: dict(item)
                for item in dict(ask(server, path))["items"]}
        assert copy == full and len(full) > 10


DIGITS = ("1.50", "-0.00", "0E-10", "1E+3", "1.000000E+400", "-1E-6176",
          "9.999999999999999999999999999999999E+6144", "0.1",
          "1234567890123456789012345678901234", "18446744073709551616")
NUMBERS = (0, -1, 2**31 - 1, -2**31, 2**31, 9007199254740993, 2**63 - 1,
           -2**63)
TIMES = (0, 999, 1744273800000, 1744273800999, 1744273801000,
         253402300799999)


def put_row(database, key, data, updated, version=1):
    database.execute(
        "INSERT INTO TreatmentGroups (BusinessKey, Version, IsDeleted,"
        " UpdatedAt, ContentHash, Data) VALUES (?, ?, 0, ?, ?, ?)",
        (key, version, updated, model.content_hash(data),
         model.encode(data)))


def test_values_of_every_kind(alone):
    """Digits, types, order of members and times, as they are stored."""
    with contextlib.closing(sqlite3.connect(alone.store)) as database:
        for i, updated in enumerate(TIMES):
            put_row(database, f"z{i}", {
                "zebra": [Decimal128(digits) for digits in DIGITS],
                "id": f"z{i}", "numbers": list(NUMBERS),
                "apple": {"": None, "t": True, "f": False, "$date": {},
                          "a.b": [[], {}, [[]]]},
                "text": "".join(map(chr, range(1, 0x100))) + "\U0010ffff",
            }, updated)
        database.commit()
    state = dump(alone.store)
    wanted = expected(state, TREATMENTS)
    assert dict(wanted)["items"] != []
    answer = alone.request("GET", TREATMENTS, key=alone.key)
    assert content(answer) == wanted
    for digits in DIGITS:
        assert digits.encode() in answer.body
    for time_ in ("1970-01-01T00:00:00Z", "2025-04-10T08:30:00Z",
                  "9999-12-31T23:59:59Z"):
        assert f'"lastChanged":"{time_}"'.encode() in answer.body


# Paths and parameters

@pytest.mark.parametrize("path", (
    TREATMENTS, TREATMENTS.lower(), TREATMENTS.upper(), TREATMENTS + "/",
    "/API/v1/TREATMENTgroup/", "/api/v1/%74reatment%47roup",
    "/%61pi/v1/treatmentGroup%2F"))
def test_spellings_of_a_path(server, world, path):
    answer = server.request("GET", path, key=server.key)
    assert content(answer) == expected(world.state, TREATMENTS)


BAD_PATHS = (
    "/", "/api", "/api/v1", "/api/v1/", "/api/v1/treatmentGroups",
    "/api/v1/treatmentGrou", "/api/v1/treatmentGroup/x", "/api/v2/treatment",
    "/api/v1/treatmentGroup.json", "/api/v1/treatmentGroup%20",
    "/x/api/v1/treatmentGroup", "/api/v1/treatmentGroup%3FsinceVersion=1",
    "/api/v1/TreatmentGroups", "/api/v1/treatmentGr%C3%B6up", "/health",
    "/api/v1/tre%C4%B1tmentGroup", "/index.html", "/%22%3Cscript%3E",
    "/api/v1/reimbursementGroup%C5%BF", "/" + "x" * 2000)


@pytest.mark.parametrize("path", BAD_PATHS, ids=shown)
def test_no_such_path(server, path):
    for key in (server.key, None):
        answer = server.request("GET", path, key=key)
        assert error_of(answer, 404) == "No such path."


@pytest.mark.parametrize("path", BAD_PATHS + (
    "", TREATMENTS + "//", "/" + TREATMENTS, "/api//v1/treatmentGroup",
    "api/v1/treatmentGroup", "//", TREATMENTS + "/.", "/x/.." + TREATMENTS,
    TREATMENTS + "\n", "\x1b[2J", "\udcff\udcfe"), ids=shown)
def test_no_such_path_without_a_web_server(server, path):
    """Which may have put two slashes together before."""
    assert error_of(cgi(server, path=path), 404) == "No such path."
    assert error_of(cgi(server, path="", SCRIPT_NAME=path),
                    404) == "No such path."


def test_a_path_where_the_web_server_knows_no_program_name(server):
    assert cgi(server, path="", SCRIPT_NAME=TREATMENTS).status == 200
    assert cgi(server, path=TREATMENTS, SCRIPT_NAME="/nompd").status == 200
    assert cgi(server, path="/x", SCRIPT_NAME=TREATMENTS).status == 404


@pytest.mark.parametrize("query", (
    "sinceVersion=1", "SINCEVERSION=1", "sinceversion=1", "sInCeVeRsIoN=1",
    "%73inceVersion=1", "sinceVersion=%31", "%53%49nce%56ersion=%31",
    "a=b&sinceVersion=1", "sinceVersion=1&a=b", "&&sinceVersion=1&",
    "=&=x&sinceVersion=1", "since=9&sinceVersion=1&sinceVersion2=9",
    "sinceVersion=01", "sinceVersion=" + "0" * 60 + "1",
    "a=sinceVersion%3D9&sinceVersion=1", "%=%zz&sinceVersion=1&%4",
    "maxAge=x&sinceVersion=1", "%00=1&sinceVersion=1"), ids=shown)
def test_spellings_of_a_parameter(server, world, query):
    if "%00" in query and server.kind == "lighttpd-cgi":
        answer = cgi(server, query=query)       # lighttpd refuses it itself
    else:
        answer = server.request("GET", f"{TREATMENTS}?{query}",
                                key=server.key)
    assert content(answer) == expected(world.state, TREATMENTS, 1)


@pytest.mark.parametrize("query", (
    "", "a=b", "since=1", "xsinceVersion=1", "sinceVersionx=1",
    "sinceVersion%20=1", "sinceVersion+=1", "+sinceVersion=1", "&", "=1",
    "sinceVersion%3D1", "a;sinceVersion=1", "since%00Version=1",
    "a=" + "x" * 4000, "%C5%BFinceVersion=1", "&".join("abcdefgh" * 100)),
    ids=shown)
def test_unknown_parameters_are_ignored(server, world, query):
    if "%00" in query and server.kind == "lighttpd-cgi":
        answer = cgi(server, query=query)
    else:
        answer = server.request("GET", f"{TREATMENTS}?{query}",
                                key=server.key)
    assert content(answer) == expected(world.state, TREATMENTS)


BAD_SINCE = (
    "sinceVersion=", "sinceVersion=5x", "sinceVersion=x5", "sinceVersion=-1",
    "sinceVersion=-0", "sinceVersion=+1", "sinceVersion=%2B1",
    "sinceVersion=%201", "sinceVersion=1%20", "sinceVersion=1+",
    "sinceVersion=1%0A", "sinceVersion=1%0", "sinceVersion=1%",
    "sinceVersion=9223372036854775808", "sinceVersion=18446744073709551617",
    "sinceVersion=" + "9" * 60, "sinceVersion=" + "9" * 600,
    "sinceVersion=%D9%A5", "sinceVersion=%EF%BC%91", "sinceVersion=%B2",
    "sinceVersion=1&sinceVersion=1", "sinceVersion=1&SINCEVERSION=1",
    "sinceVersion=1&a=b&since%56ersion=2", "sinceVersion=1&sinceVersion",
    "sinceVersion=&sinceVersion=1", "sinceVersion", "sinceVersion&a=b",
    "sinceVersion=1.0", "sinceVersion=1e1", "sinceVersion=0x1",
    "sinceVersion=1,2", "sinceVersion==1", "sinceVersion=1;a=b",
    "sinceVersion=null", "sinceVersion=all", "sinceVersion=1%26a",
    "sinceVersion=%001", "sinceVersion=1%00", "sinceVersion=%00")


@pytest.mark.parametrize("query", BAD_SINCE, ids=shown)
def test_bad_since(server, query):
    for path in LISTS:
        if re.search("%0[0A]", query) and server.kind == "lighttpd-cgi":
            answer = cgi(server, path=path, query=query)
        else:
            answer = server.request("GET", f"{path}?{query}", key=server.key)
        assert error_of(answer, 400) == SINCE_ERROR


def test_a_nul_through_a_web_server(server):
    """One of the two refuses it."""
    answer = server.request("GET", TREATMENTS + "?sinceVersion=1%00",
                            key=server.key)
    assert answer.status == 400


# Keys

def wrong_keys(key):
    body = key[len("nompd_"):]
    return {
        "empty": "", "blank": " ", "cut": key[:-1], "cut before": key[1:],
        "longer": key + "A", "twice": key + key, "joined": f"{key},{key}",
        "joined otherwise": f"{key}, {key}", "upper": key.upper(),
        "swapped": "nompd_" + body.swapcase(), "prefix": "nompd_",
        "no prefix": body, "quoted": f'"{key}"', "bearer": f"Bearer {key}",
        "other": "nompd_" + "A" * 43, "latin": "nompd_\xe6\xf8\xe5",
        "long": "nompd_" + "x" * 4000, "wildcard": "*", "name": "hospital-a",
    }


@pytest.mark.parametrize("name", wrong_keys(""))
def test_wrong_key(server, name):
    """The same answer for all of them, and for none."""
    missing = server.request("GET", TREATMENTS)
    answer = server.request("GET", TREATMENTS,
                            key=wrong_keys(server.key)[name])
    for each in (missing, answer):
        assert error_of(each, 401) == KEY_ERROR
        assert each.headers["WWW-Authenticate"] == 'ApiKey realm="nompd"'
    assert answer.body == missing.body
    names = {name for name in answer.headers if name != "X-Request-Id"}
    assert names == {name for name in missing.headers
                     if name != "X-Request-Id"}
    assert "consumer" not in lines_of(server, answer)[-1]


def test_what_the_file_has_is_no_key(server):
    line = server.keys_file.read_text().splitlines()[-1]
    assert len(line.split()) == 4
    digest = line.split()[-1]
    for key in (line, digest, digest.removeprefix("sha256:")):
        answer = server.request("GET", TREATMENTS, key=key)
        assert error_of(answer, 401) == KEY_ERROR
    assert server.key not in line


def test_a_key_elsewhere_is_no_key(server):
    """Only the header X-API-KEY is looked at."""
    fake = "nompd_" + "B" * 43
    for path, headers in (
            (TREATMENTS + f"?X-API-KEY={fake}&apiKey={fake}", {}),
            (TREATMENTS, {"Authorization": f"ApiKey {server.key}"}),
            (TREATMENTS, {"Cookie": f"X-API-KEY={server.key}"})):
        answer = server.request("GET", path, headers)
        assert error_of(answer, 401) == KEY_ERROR


def test_blanks_around_a_key_are_not_part_of_it(server):
    """A header's value ends before them (RFC 9110, 5.5)."""
    answer = server.request("GET", TREATMENTS,
                            {"x-api-key": f"   {server.key}  "})
    assert answer.status == 200


def test_scopes(server):
    """A key of scope sync may read; one of scope read may not start."""
    assert server.request("GET", TREATMENTS,
                          key=server.operator).status == 200
    answer = server.request("POST", TRIGGER, key=server.key)
    assert error_of(answer, 403) == "This API key may not start a run."
    answer = server.request("POST", TRIGGER, key=server.operator)
    assert error_of(answer, 500) == "The run failed."


def test_several_keys_and_revocation(alone):
    """Each counts from the moment it is there until it is revoked."""
    other = make_key(alone, "hospital-b")
    second_one = make_key(alone, "register.C_1")
    for key, name in ((alone.key, "hospital-a"), (other, "hospital-b"),
                      (second_one, "register.C_1")):
        answer = alone.request("GET", TREATMENTS, key=key)
        assert answer.status == 200
        assert f", consumer {name}" in lines_of(alone, answer)[-1]
    done = subprocess.run([web.PROGRAM, "key", "revoke", "hospital-b"],
                          env=alone.environment(), timeout=web.PATIENCE,
                          capture_output=True, check=False)
    assert done.returncode == 0, done
    answer = alone.request("GET", TREATMENTS, key=other)
    assert error_of(answer, 401) == KEY_ERROR
    for key in (alone.key, second_one):
        assert alone.request("GET", TREATMENTS, key=key).status == 200


def set_mode(mode):
    return lambda file: file.chmod(mode)


def append(text):
    def change(file):
        file.write_bytes(file.read_bytes() + text)
    return change


def no_file(file):
    file.rename(file.with_name("aside"))


def a_folder(file):
    no_file(file)
    file.mkdir(mode=0o700)


def a_pipe(file):
    no_file(file)
    os.mkfifo(file, 0o600)


BAD_FILES = {
    "missing": (no_file, "No such file"),
    "others read": (set_mode(0o604), "open to others.*0604"),
    "others write": (set_mode(0o602), "open to others.*0602"),
    "others execute": (set_mode(0o601), "open to others.*0601"),
    "all read": (set_mode(0o644), "open to others.*0644"),
    "group writes": (set_mode(0o660), "open to others.*0660"),
    "folder": (a_folder, "not a file"),
    "pipe": (a_pipe, "not a file"),
    "one word": (append(b"hospital-x\n"), "line NEW:.*second word"),
    "scope": (append(b"x write 2025 sha256:" + b"0" * 64 + b"\n"),
              "line NEW:.*read or sync"),
    "short hash": (append(b"x read 2025 sha256:" + b"0" * 63 + b"\n"),
                   "line NEW:.*64"),
    "upper-case hash": (append(b"x read 2025 sha256:" + b"A" * 64),
                        "line NEW:.*64"),
    "name": (append(b"\xc3\xa6 read 2025 sha256:" + b"0" * 64 + b"\n"),
             "line NEW:.*name"),
    "fifth word": (append(b"x read 2025 sha256:" + b"0" * 64 + b" y\n"),
                   "line NEW:.*fourth word"),
    "binary": (append(bytes(range(256))), "line NEW:"),
    "long line": (append(b"x" * 100000), "line NEW:"),
    "large": (append(b"# " + b"x" * 2**20 + b"\n"), "larger than"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_keys_file_that_is_no_good(server, name):
    """503 for what needs a key, right or wrong; the rest is answered."""
    change, reason = BAD_FILES[name]
    saved = server.keys_file.read_bytes()
    reason = reason.replace("NEW", str(saved.count(b"\n") + 1))
    change(server.keys_file)
    try:
        for path, key in itertools.product(
                (TREATMENTS, REIMBURSEMENTS + "?sinceVersion=x", "/metrics"),
                (server.key, None)):
            answer = server.request("GET", path, key=key)
            assert error_of(answer, 503) == KEYS_ERROR
            assert re.search(reason, lines_of(server, answer)[0])
        answer = server.request("POST", TRIGGER, key=server.operator)
        assert error_of(answer, 503) == KEYS_ERROR
        for path in ("/health/live", "/health/ready", "/openapi.json"):
            assert server.request("GET", path).status == 200
        assert server.request("GET", "/nothing").status == 404
        assert server.request("PUT", TREATMENTS).status == 405
    finally:
        restore(server.keys_file, saved)
    assert server.request("GET", TREATMENTS, key=server.key).status == 200


def restore(file, saved):
    if file.is_dir():
        file.rmdir()
    file.unlink(missing_ok=True)
    file.with_name("aside").unlink(missing_ok=True)
    file.write_bytes(saved)
    file.chmod(0o600)


def test_keys_file_that_is_good(server):
    """The group may read it; notes and blank lines are no keys."""
    saved = server.keys_file.read_bytes()
    try:
        for mode in (0o400, 0o600, 0o640, 0o440):
            server.keys_file.chmod(mode)
            assert server.request("GET", TREATMENTS,
                                  key=server.key).status == 200
        server.keys_file.chmod(0o600)
        server.keys_file.write_bytes(
            b"# keys\n\n  \t\n#\n" + saved.replace(b"\n", b"\r\n") + b"\n#x")
        assert server.request("GET", TREATMENTS,
                              key=server.key).status == 200
        server.keys_file.write_bytes(b"")
        assert server.request("GET", TREATMENTS,
                              key=server.key).status == 401
    finally:
        restore(server.keys_file, saved)


def test_no_key_is_never_a_key(server):
    """Not even where the file has the hash of nothing."""
    saved = server.keys_file.read_bytes()
    nothing = hashlib.sha256(b"").hexdigest()
    append(f"nobody sync 2025 sha256:{nothing}\n".encode())(server.keys_file)
    try:
        for key in (None, ""):
            answer = server.request("GET", TREATMENTS, key=key)
            assert error_of(answer, 401) == KEY_ERROR
        assert server.request("GET", TREATMENTS,
                              key=server.key).status == 200
    finally:
        restore(server.keys_file, saved)


@pytest.mark.parametrize("kind", KINDS)
def test_no_keys_file_is_configured(kind, world, tmp_path):
    with start_server(kind, tmp_path, store=world.store,
                      env={"NOMPD_API_KEYS_FILE": ""}) as server:
        answer = server.request("GET", TREATMENTS, key="nompd_" + "A" * 43)
        assert error_of(answer, 503) == KEYS_ERROR
        assert "NOMPD_API_KEYS_FILE" in lines_of(server, answer)[0]
        assert server.request("GET", "/health/ready").status == 200


# The order of the checks

def test_order_of_checks(server, storeless):
    """Each against those behind it."""
    bad = "?sinceVersion=x"
    for each in (server, storeless):
        for method, key in itertools.product(
                ("GET", "POST", "PUT"), (each.key, None)):
            answer = each.request(method, "/nothing" + bad, key=key)
            assert error_of(answer, 404) == "No such path."
        for key in (each.key, None):
            answer = each.request("PUT", TREATMENTS + bad, key=key)
            assert error_of(answer, 405) == "Method not allowed."
            answer = each.request("GET", TRIGGER, key=key)
            assert error_of(answer, 405) == "Method not allowed."
        answer = each.request("GET", TREATMENTS + bad)
        assert error_of(answer, 401) == KEY_ERROR
        answer = each.request("GET", TREATMENTS + "?a=" + "x" * 8192)
        assert error_of(answer, 401) == KEY_ERROR
        answer = each.request("POST", TRIGGER)
        assert error_of(answer, 401) == KEY_ERROR
        answer = each.request("GET", TREATMENTS + bad, key=each.key)
        assert error_of(answer, 400) == SINCE_ERROR
        answer = each.request("GET", "/health/ready?maxAge=x")
        assert error_of(answer, 400).startswith("maxAge: ")
    answer = storeless.request("GET", TREATMENTS)
    assert error_of(answer, 401) == KEY_ERROR
    for path in (TREATMENTS, TREATMENTS + "?sinceVersion=1", "/metrics"):
        answer = storeless.request("GET", path, key=storeless.key)
        assert error_of(answer, 503) == STORE_ERROR


# Methods

# What a web server adds or leaves out on its own, and what differs anyway.
VARYING = ("date", "content-length", "transfer-encoding", "connection",
           "x-request-id", "last-modified")


def settled(answer):
    return {name.lower(): value for name, value in answer.headers.items()
            if name.lower() not in VARYING}


@pytest.mark.parametrize("path", (
    TREATMENTS, REIMBURSEMENTS + "?sinceVersion=1",
    TREATMENTS + "?sinceVersion=x", "/metrics", "/health/live",
    "/health/ready", "/health/ready?maxAge=1ms", "/openapi.json",
    "/nothing", TRIGGER))
def test_head(server, path):
    for key in (server.key, None):
        whole = server.request("GET", path, key=key)
        head = server.request("HEAD", path, key=key)
        assert head.status == whole.status
        assert head.body == b"" and whole.body != b""
        assert settled(head) == settled(whole)
        # It may be left out, but not be wrong (RFC 9110, 8.6).
        length = head.headers["Content-Length"]
        assert length in (None, str(len(whole.body)))
        direct = cgi(server, "HEAD", *path.partition("?")[::2],
                     HTTP_X_API_KEY=key or "")
        assert (direct.status, direct.body) == (whole.status, b"")
        line = lines_of(server, head)[-1]
        assert ": HEAD /" in line and " 0 bytes," in line


GET_PATHS = (TREATMENTS, REIMBURSEMENTS, "/metrics", "/health/live",
             "/health/ready", "/openapi.json")


@pytest.mark.parametrize("method", (
    "OPTIONS", "PUT", "DELETE", "PATCH", "POST", "PROPFIND", "MKCOL"))
def test_other_methods(server, method):
    for path in GET_PATHS + (() if method == "POST" else (TRIGGER,)):
        for key in (server.key, None):
            answer = server.request(method, path, key=key)
            assert error_of(answer, 405) == "Method not allowed."
            assert answer.headers["Allow"] == (
                "POST" if path == TRIGGER else "GET, HEAD")


@pytest.mark.parametrize("method", (
    "get", "Get", "GETT", "GE", "HEADGET", "GARBAGE", "G-E_T!", "", " GET",
    "GET ", "TRACE", "CONNECT", "M" * 5000, "\x1b[31m", "P\nOST"), ids=shown)
def test_methods_that_are_none(server, method):
    answer = cgi(server, method)
    assert error_of(answer, 405) == "Method not allowed."
    assert answer.headers["Allow"] == "GET, HEAD"
    answer = cgi(server, method, TRIGGER)
    assert error_of(answer, 405) == "Method not allowed."
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize("method", ("GARBAGE", "get", "TRACE"))
def test_a_web_server_may_refuse_a_method(server, method):
    answer = server.request(method, TREATMENTS, key=server.key)
    assert answer.status in (400, 405, 501)
    assert server.key.encode() not in answer.body


def larger_bodies(text):
    """The examples let a body of 1 KB pass."""
    text = text.replace("server.max-request-size = 1\n",
                        "server.max-request-size = 4096\n")
    return text.replace("client_max_body_size 1k;",
                        "client_max_body_size 4m;")


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_body(kind, world, tmp_path):
    """Nobody reads it; the answer and the next one come nonetheless."""
    with serving(kind, tmp_path, store=world.store,
                 edit=larger_bodies) as server:
        for method, path, status in (
                ("POST", TREATMENTS, 405), ("PUT", REIMBURSEMENTS, 405),
                ("POST", "/nothing", 404), ("GET", TREATMENTS, 200)):
            if method == "GET" and kind == "lighttpd-cgi":
                continue        # it refuses a body there itself
            answer = server.request(method, path, body=b"x" * 2**20,
                                    key=server.key)
            assert answer.status == status
            assert ask(server, TREATMENTS) == expected(world.state,
                                                       TREATMENTS)


# Names of requests, and the log

@pytest.mark.parametrize("name", ("a", "0", "A-b_c.9", "x" * 64, "...",
                                  "4bf92f3577b34da6a3ce929d0e0e4736"),
                         ids=shown)
def test_request_id_is_kept(server, name):
    for path in (TREATMENTS, "/nothing", "/health/live"):
        answer = server.request("GET", path, {"X-Request-Id": name})
        assert answer.headers["X-Request-Id"] == name
        assert lines_of(server, answer)


@pytest.mark.parametrize("name", (
    "", "x" * 65, "a b", "a,b", "a/b", 'a"b', "\xe6", "a:b", "<b>", "a\tb",
    "nompd_" + "C" * 43, "NOMPD_" + "C" * 43, "a=b", "x" * 3000), ids=shown)
def test_request_id_is_replaced(server, name):
    """By one that was not there before, and is no part of the log."""
    found = set()
    for _ in range(2):
        answer = server.request("GET", TREATMENTS, {"X-Request-Id": name})
        check_common(answer)
        found.add(answer.headers["X-Request-Id"])
        assert lines_of(server, answer)
    assert len(found) == 2 and name not in found
    if len(name) > 5:
        assert name not in server.log()


def test_log_line(server, world):
    """What was asked, what became of it, and by whom."""
    count = len(dict(expected(world.state, TREATMENTS, 1))["items"])
    answer = server.request("GET", TREATMENTS.upper() + "/?sinceVersion=1",
                            key=server.key)
    name = answer.headers["X-Request-Id"]
    [line] = lines_of(server, answer)
    assert re.fullmatch(
        rf".* info  request {name}: GET {TREATMENTS} sinceVersion=1: 200,"
        rf" {count} items, {len(answer.body)} bytes, \d+ ms,"
        " consumer hospital-a", line)
    answer = server.request("POST", TRIGGER, key=server.operator)
    assert re.search(rf": POST {TRIGGER}: 500, \d+ bytes, \d+ ms,"
                     " consumer operator$", lines_of(server, answer)[-1])
    answer = server.request("GET", "/some/where")
    assert re.search(r": GET /some/where: 404, 25 bytes, \d+ ms$",
                     lines_of(server, answer)[-1])


def test_a_key_in_the_wrong_place_is_not_logged(server):
    """In the URL, the method's place, the name's place, or mistyped."""
    fake = "nompd_" + "D" * 43
    for method, path, headers in (
            ("GET", f"{TREATMENTS}?key={fake}", {}),
            ("GET", f"{TREATMENTS}?sinceVersion={fake}", {}),
            ("GET", f"{TREATMENTS}/{fake}", {}), ("GET", f"/{fake}", {}),
            ("GET", f"/health/ready?maxAge={fake}", {}),
            ("GET", TREATMENTS, {"X-Request-Id": fake}),
            ("GET", TREATMENTS, {"X-API-KEY": fake}),
            ("GET", TREATMENTS, {"If-None-Match": fake, "Cookie": fake})):
        answer = server.request(method, path, headers)
        assert fake.encode() not in answer.body
        for line in lines_of(server, answer):
            assert fake not in line and "D" * 20 not in line


SECRET = "kT9vQ2-xL7_wB4mZ8nC6yR1p"      # of 24 characters
HIDDEN = "(a path with a key in it)"


@pytest.mark.parametrize("path, said", (
    ("/some/where", "/some/where"), ("", ""), ("/", "/"), ("x", "x"),
    (f"/{SECRET}", f"/{SECRET}"), (f"/{SECRET}X", "/..."),
    (f"/a/{SECRET}X/b/", "/a/.../b/"), (f"{SECRET}X", "..."),
    (f"{TREATMENTS}/{SECRET}{SECRET}//x", f"{TREATMENTS}/...//x"),
    ("/ab" * 43, "/ab" * 42 + "/a"), ("/" * 300, "/" * 128),
    ("/nompd_x", HIDDEN), ("/a/NOMPD_x", HIDDEN), ("NomPd_", HIDDEN),
    ("/x" * 200 + "/nOMPD_", HIDDEN), ("/nompd/x", "/nompd/x")), ids=shown)
def test_log_of_an_unknown_path(server, path, said):
    """No part that is long enough for a secret, nor a key in any case."""
    line = cgi_log(server, PATH_INFO=path)
    assert re.search(rf": GET {re.escape(said)}: 404, 25 bytes", line)


@pytest.mark.parametrize("method", (
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE",
    "PATCH"))
def test_log_of_a_method(server, method):
    line = cgi_log(server, REQUEST_METHOD=method)
    assert f": {method} {TREATMENTS}: " in line


@pytest.mark.parametrize("method", (
    "get", "GETS", "GE", "", "PROPFIND", "nompd_x", "GET /x", SECRET[:16],
    SECRET), ids=shown)
def test_log_of_another_method(server, method):
    """It may be anything, so it is not shown."""
    line = cgi_log(server, REQUEST_METHOD=method)
    assert f": another method {TREATMENTS}: 405" in line
    assert not method or method not in line.replace("another method", "")


def cgi_log(server, **variables):
    """The line that one request gives."""
    done = subprocess.run(
        [web.PROGRAM], env={
            **server.environment(), "GATEWAY_INTERFACE": "CGI/1.1",
            "REQUEST_METHOD": "GET", "PATH_INFO": TREATMENTS,
            "HTTP_X_REQUEST_ID": "r-1", **variables},
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=web.PATIENCE, check=True)
    [line] = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("path", (
    "/%0Aforged%20line", "/%0D%0Aforged", "/%1B%5B2Jx", "/%7F%C2%9Bx",
    "/x%22%5C"))
def test_a_path_forges_no_log_line(server, path):
    answer = cgi(server, path=bytes(path, "ascii").decode())
    raw = {**server.environment(), "GATEWAY_INTERFACE": "CGI/1.1",
           "REQUEST_METHOD": "GET\n\x1bforged",
           "PATH_INFO": "/\nforged \x1b[2J\r", "QUERY_STRING": "",
           "HTTP_X_REQUEST_ID": "a\nforged"}
    done = subprocess.run([web.PROGRAM], env=raw, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=web.PATIENCE,
                          check=False)
    assert answer.status == 404 and b"Status: 404 " in done.stdout
    assert done.stderr.count(b"\n") == 1
    assert not set(done.stderr[:-1]) & set(range(32))
    # And through the web server, which decodes the path.
    answer = server.request("GET", path)
    if answer.headers["X-Request-Id"] is not None:
        assert error_of(answer, 404) == "No such path."
        assert len(lines_of(server, answer)) == 1
        assert not re.search(r"(?m)^forged", server.log())
        assert "\x1b" not in server.log()
    else:
        assert answer.status == 400     # the web server refuses it itself


# Entity tags

def etag(server, path):
    found = server.request("GET", path, key=server.key).headers["ETag"]
    assert re.fullmatch(r'W/"[\x21\x23-\x7e]+"', found)
    return found


QUESTIONS = tuple(path + query for path in LISTS for query in (
    "", "?sinceVersion=0", "?sinceVersion=1", "?sinceVersion=4",
    f"?sinceVersion={MAX_SINCE}"))


def test_etag_is_of_the_question(server):
    """One for each question, however it is spelled."""
    found = [etag(server, question) for question in QUESTIONS]
    assert len(set(found)) == len(QUESTIONS)
    assert [etag(server, question) for question in QUESTIONS] == found
    assert etag(server, TREATMENTS.upper() + "/?a=b&SINCEversion=01") == (
        found[2])


def test_etag_is_of_the_version(alone, world):
    before = {question: etag(alone, question) for question in QUESTIONS}
    sync = Sync(alone.folder)
    sync.store = alone.store
    url = folder_upstream(alone.folder / "upstream", *FOURTH)
    assert sync.run(url=url).counts[0] == 0     # nothing changes but that
    sync.close()
    after = {question: etag(alone, question) for question in QUESTIONS}
    assert not set(before.values()) & set(after.values())
    for question, name in before.items():
        answer = alone.request("GET", question, {"If-None-Match": name},
                               key=alone.key)
        assert answer.status == 200


def test_etag_of_a_store_that_was_begun_anew(alone):
    """It comes to the same version again, with another tag."""
    before = {question: etag(alone, question) for question in QUESTIONS}
    for path in alone.store.parent.glob("store.db*"):
        path.unlink()
    sync = Sync(alone.folder)
    sync.store = alone.store
    for lists in RUNS:
        url = folder_upstream(alone.folder / "upstream", *lists)
        assert sync.run(url=url).status == 0
    sync.close()
    assert dict(ask(alone, TREATMENTS))["currentVersion"] == "4"
    for question, name in before.items():
        answer = alone.request("GET", question, {"If-None-Match": name},
                               key=alone.key)
        assert answer.status == 200 and answer.headers["ETag"] != name


def test_last_modified(alone):
    """The time of the last run, whatever is asked and however."""
    modified = []
    for moment in (dump(alone.store).history[-1][1], 1744273800999,
                   951782400000):
        with contextlib.closing(sqlite3.connect(alone.store)) as database:
            database.execute("UPDATE SyncHistory SET SyncedAt = ?"
                             " WHERE Version = 4", (moment,))
            database.commit()
        wanted = email.utils.formatdate(moment // 1000, usegmt=True)
        for path in LISTS:
            for query in ("", "?sinceVersion=0", "?sinceVersion=99"):
                for method in ("GET", "HEAD"):
                    answer = alone.request(method, path + query,
                                           key=alone.key)
                    assert answer.status == 200
                    assert answer.headers["Last-Modified"] == wanted
        answer = alone.request("GET", path + query, {
            "If-None-Match": answer.headers["ETag"]}, key=alone.key)
        assert answer.status == 304
        assert answer.headers["Last-Modified"] == wanted
        modified.append(wanted)
    assert modified[1:] == ["Thu, 10 Apr 2025 08:30:00 GMT",
                            "Tue, 29 Feb 2000 00:00:00 GMT"]
    for path in ("/health/ready", "/metrics", "/nothing", "/openapi.json"):
        answer = alone.request("GET", path, key=alone.key)
        assert "Last-Modified" not in answer.headers


def test_a_moment_out_of_all_bounds(alone):
    """What a damaged store may hold does no harm."""
    for moment in (2**63 - 1, -2**63):
        with contextlib.closing(sqlite3.connect(alone.store)) as database:
            database.execute("UPDATE SyncHistory SET SyncedAt = ?"
                             " WHERE Version = 4", (moment,))
            database.commit()
        answer = alone.request("GET", TREATMENTS, key=alone.key)
        assert answer.status == 200
        # It is not told, or told to its end.
        assert re.fullmatch(r"([A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} -?\d+"
                            r" \d\d:\d\d:\d\d GMT)?",
                            answer.headers.get("Last-Modified", ""))
        assert "ETag" in answer.headers


def test_if_none_match(server):
    for question in QUESTIONS:
        tag = etag(server, question)
        strong = tag.removeprefix("W/")
        for value in (tag, strong, f'"x", {tag}', f'{tag}, "x"', "*", " * ",
                      f'W/"a,b",{strong}', f'"x" , {tag} ,"y"',
                      f'{tag[:-1]}-gzip"', f'{strong[:-1]}-gzip"',
                      f'{tag[:-1]}-br"', f"\t{tag}",
                      '"' + "x" * 2000 + '", ' + tag):
            answer = server.request("GET", question,
                                    {"If-None-Match": value}, key=server.key)
            assert (answer.status, answer.body) == (304, b""), value
            assert answer.headers["ETag"] == tag
            assert answer.headers["Cache-Control"] == "private, no-cache"
            check_common(answer)
            head = server.request("HEAD", question,
                                  {"If-None-Match": value}, key=server.key)
            assert (head.status, head.headers["ETag"]) == (304, tag)


def test_if_none_match_that_is_another(server, world):
    tag = etag(server, TREATMENTS)
    opaque = tag[3:-1]
    for value in (
            "", '""', 'W/""', '"x"', opaque, f'"{opaque}', f'{opaque}"',
            f'"{opaque[:-1]}"', f'"{opaque}x"', f'"x{opaque}"',
            f'"{opaque}-zip"', f'"{opaque}-gzip-gzip"', f'"-gzip"',
            f'"{opaque.upper()}"', "**", '*, "x"', f"'{opaque}'", "W/",
            etag(server, TREATMENTS + "?sinceVersion=0"),
            etag(server, REIMBURSEMENTS)):
        answer = server.request("GET", TREATMENTS, {"If-None-Match": value},
                                key=server.key)
        assert content(answer) == expected(world.state, TREATMENTS), value
        assert answer.headers["ETag"] == tag


def test_if_none_match_comes_last(server, storeless):
    """No tag hides an error."""
    any_ = {"If-None-Match": "*"}
    assert server.request("GET", TREATMENTS, any_).status == 401
    assert server.request("GET", TREATMENTS + "?sinceVersion=", any_,
                          key=server.key).status == 400
    assert server.request("GET", "/nothing", any_).status == 404
    assert server.request("PUT", TREATMENTS, any_).status == 405
    assert storeless.request("GET", TREATMENTS, any_,
                             key=storeless.key).status == 503
    for path in ("/health/live", "/health/ready", "/openapi.json"):
        assert server.request("GET", path, any_).status == 200


# The store comes, goes and changes

def no_store(path, _):
    path.unlink(missing_ok=True)


def empty_file(path, _):
    path.write_bytes(b"")


def text_file(path, _):
    path.write_text("This is not a store.\n" * 1000)


def other_database(path, _):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE TreatmentGroups (Data)")
        database.commit()


def newer_schema(path, store):
    copy_store(store, path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 1000000")


def cut_file(path, store):
    path.write_bytes(store.read_bytes()[:5000])


def damaged_file(path, store):
    """Its first page is whole, all others are not."""
    whole = store.read_bytes()
    size = int.from_bytes(whole[16:18], "big")
    path.write_bytes(whole[:size] + b"\xa5" * (len(whole) - size))


def no_history(path, store):
    copy_store(store, path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE SyncHistory")


def a_folder_there(path, _):
    path.mkdir()


def a_loop(path, _):
    path.symlink_to(path)


def no_rights(path, store):
    copy_store(store, path)
    path.chmod(0)


TROUBLES = (no_store, empty_file, text_file, other_database, newer_schema,
            cut_file, damaged_file, no_history, a_folder_there, a_loop,
            no_rights)


def clear_away(path):
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    for each in path.parent.glob(path.name + "*"):
        each.unlink()


def without_privileges(folder):
    """A program of the same name that root's rights do not help."""
    if os.geteuid() != 0:
        return web.PROGRAM
    script = folder / "bin" / "nompd-serve"
    script.parent.mkdir()
    caps = "-dac_override,-dac_read_search"
    script.write_text(f"#!/bin/sh\nexec setpriv --bounding-set={caps}"
                      f' --inh-caps={caps} "{web.PROGRAM}" "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_cannot_be_read(kind, world, tmp_path, monkeypatch):
    """503, with the reason in the log alone; good again once it is there,
    by the same worker."""
    monkeypatch.setattr(web, "PROGRAM", without_privileges(tmp_path))
    store = tmp_path / "the place" / "store.db"
    store.parent.mkdir()
    with serving(kind, tmp_path, store=store) as server:
        for trouble in TROUBLES:
            clear_away(store)
            trouble(store, world.store)
            for path in (TREATMENTS, REIMBURSEMENTS + "?sinceVersion=1",
                         "/metrics"):
                answer = server.request("GET", path, key=server.key)
                assert error_of(answer, 503) == STORE_ERROR, trouble
                assert b"store.db" not in answer.body
                reason = lines_of(server, answer)[0]
                assert " error request" in reason and "store" in reason
            answer = server.request("GET", "/health/ready")
            assert answer.status == 503
            assert answer.headers["Retry-After"] == RETRY_AFTER
            assert answer.json() == {"status": "unready", "error":
                                     "The store is not available."}
            assert server.request("GET", "/health/live").status == 200
            clear_away(store)
            copy_store(world.store, store)
            for path in LISTS:
                assert ask(server, path) == expected(world.state, path)
            assert server.request("GET", "/health/ready").status == 200
        server.keys_file.chmod(0)
        answer = server.request("GET", TREATMENTS, key=server.key)
        assert error_of(answer, 503) == KEYS_ERROR
        assert "Permission denied" in lines_of(server, answer)[0]
        server.keys_file.chmod(0o600)
        assert ask(server, TREATMENTS) == expected(world.state, TREATMENTS)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_store_that_goes_away(alone, world, trouble):
    """What a worker has open does not count."""
    assert ask(alone, TREATMENTS) == expected(world.state, TREATMENTS)
    if trouble is no_rights and os.geteuid() == 0:
        return      # nothing that root could notice
    clear_away(alone.store)
    trouble(alone.store, world.store)
    answer = alone.request("GET", TREATMENTS, key=alone.key)
    assert error_of(answer, 503) == STORE_ERROR
    clear_away(alone.store)
    copy_store(world.store, alone.store)
    assert ask(alone, TREATMENTS) == expected(world.state, TREATMENTS)


def test_a_damaged_record(alone, world):
    """Nothing of a short answer has left yet: it is another one then."""
    key = sorted(key for name, key in world.state.records
                 if name == "TreatmentGroups")[0]
    for number, damage in enumerate(
            (b"", b"\x05\0\0\0\1", b"x" * 100,
             b"\xff\xff\xff\x7f" + b"\0" * 100), 1):
        with contextlib.closing(sqlite3.connect(alone.store)) as database:
            database.execute("UPDATE TreatmentGroups SET Data = ?"
                             " WHERE BusinessKey = ?", (damage, key))
            database.commit()
        answer = alone.request("GET", TREATMENTS + "?sinceVersion=0",
                               key=alone.key)
        assert error_of(answer, 503) == STORE_ERROR
        assert "ETag" not in answer.headers
        assert "Last-Modified" not in answer.headers
        wait_for(alone, r"(?s)(sinceVersion=0: 503, \d+ bytes, [^\n]*"
                 r" consumer hospital-a\n.*){" + str(number) + "}")
        wait_for(alone, "(?s)(is damaged: its Data is not BSON.*){"
                 + str(number) + "}")
        assert ask(alone, REIMBURSEMENTS) == expected(world.state,
                                                      REIMBURSEMENTS)
        row = world.state.records["TreatmentGroups", key]
        with contextlib.closing(sqlite3.connect(alone.store)) as database:
            database.execute("UPDATE TreatmentGroups SET Data = ?"
                             " WHERE BusinessKey = ?", (row.data, key))
            database.commit()
        assert ask(alone, TREATMENTS, 0) == expected(world.state,
                                                     TREATMENTS, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_without_a_run(kind, bare):
    """Created, and never synchronized."""
    assert bare.run("init").status == 0
    with serving(kind, bare.folder, store=bare.store) as server:
        wanted = exact({"currentVersion": 0, "items": []})
        for path, since in itertools.product(LISTS, (None, 0, 5, MAX_SINCE)):
            assert ask(server, path, since) == wanted
        tag = etag(server, TREATMENTS)
        assert server.request("GET", TREATMENTS, {"If-None-Match": tag},
                              key=server.key).status == 304
        answer = server.request("GET", TREATMENTS, key=server.key)
        assert "Last-Modified" not in answer.headers
        answer = server.request("GET", "/health/ready")
        assert (answer.status, answer.json()) == (503, {
            "status": "unready", "error": "There was no run yet."})
        assert answer.headers["Retry-After"] == RETRY_AFTER
        found = metrics(server)
        assert found.pop("nompd_last_version").samples == {(): "0"}
        assert set(found) == {"nompd_records", "nompd_tombstones"}
        for family in found.values():
            assert set(family.samples.values()) == {"0"}
        url = folder_upstream(bare.folder / "upstream", *FIRST)
        assert bare.run(url=url).status == 0
        assert ask(server, TREATMENTS) == expected(bare.dump(), TREATMENTS)
        assert etag(server, TREATMENTS) != tag


def test_each_run_is_seen_at_once(alone, world):
    sync = Sync(alone.folder)
    sync.store = alone.store
    for number, lists in enumerate((FIRST, SECOND, FOURTH), 5):
        url = folder_upstream(alone.folder / "upstream", *lists)
        assert sync.run(url=url).result["version"] == number
        state = sync.dump()
        for path, since in itertools.product(LISTS, (None, 0, number - 1)):
            assert ask(alone, path, since) == expected(state, path, since)
    sync.close()


def test_a_store_in_the_place_of_another(alone, world, filled_store):
    """A backup put back: by a new file's name, or by a link's turn."""
    assert ask(alone, TREATMENTS) == expected(world.state, TREATMENTS)
    aside = alone.folder / "backup.db"
    copy_store(filled_store, aside)
    old = expected(dump(filled_store), TREATMENTS)
    assert dict(old)["currentVersion"] == "1"
    os.replace(aside, alone.store)
    assert ask(alone, TREATMENTS) == old
    # A consumer that knew a later version sees that.
    assert dict(ask(alone, TREATMENTS, 4)) == {
        "currentVersion": "1", "items": []}
    copy_store(world.store, aside)
    os.replace(aside, alone.store)
    assert ask(alone, TREATMENTS) == expected(world.state, TREATMENTS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_that_is_turned(kind, world, filled_store, tmp_path):
    """The store's path is a link, which then leads to another store."""
    for name, store in (("a.db", filled_store), ("b.db", world.store)):
        copy_store(store, tmp_path / name)
    link = tmp_path / "store.db"
    link.symlink_to("a.db")
    with serving(kind, tmp_path, store=link) as server:
        assert ask(server, TREATMENTS) == expected(dump(filled_store),
                                                   TREATMENTS)
        (tmp_path / "next").symlink_to("b.db")
        os.replace(tmp_path / "next", link)
        assert ask(server, TREATMENTS) == expected(world.state, TREATMENTS)


# Runs that are not finished

def test_a_version_that_was_raised_only(alone, world):
    """As a run on another kind of store leaves it that died: what counts is
    the last one that was finished."""
    with contextlib.closing(sqlite3.connect(alone.store)) as database:
        database.execute("UPDATE SyncMetadata SET CurrentVersion = 9")
        database.commit()
    for path, since in itertools.product(LISTS, (None, 0, 4)):
        assert ask(alone, path, since) == expected(world.state, path, since)
    assert alone.request("GET", "/health/ready").json()["version"] == 4
    assert metrics(alone)["nompd_last_version"].samples == {(): "4"}


def test_a_run_that_still_fetches(alone, upstream, world):
    """Two lists are there, the third one is not."""
    upstream.serve(*FIRST)
    gate = upstream.gate()
    upstream.script(AUTHORIZATIONS, Answer(bundle(FIRST[2]),
                                           before=gate.wait))
    sync = Sync(alone.folder)
    sync.store = alone.store
    sync.url = upstream.url
    run = sync.start()
    upstream.wait_for(AUTHORIZATIONS)
    for path, since in itertools.product(LISTS, (None, 0, 4)):
        assert ask(alone, path, since) == expected(world.state, path, since)
    assert run.poll() is None
    gate.set()
    assert sync.finish(run).result["version"] == 5
    state = sync.dump()
    sync.close()
    for path, since in itertools.product(LISTS, (None, 0, 4)):
        assert ask(alone, path, since) == expected(state, path, since)


def test_a_run_that_is_killed_anywhere(alone, world):
    """After each step readers have the old state or the new one."""
    url = folder_upstream(alone.folder / "upstream", *FIRST)
    sync = Sync(alone.folder)
    sync.store = alone.store
    for step in range(1, MAX_STEPS, STEP_STRIDE):
        ended = sync.run(url=url, env={"NOMPD_STORE_KILL_AT": str(step)})
        if ended.status == 0:
            break
        assert ended.status == -signal.SIGKILL
        for path in LISTS:
            assert ask(alone, path, 1) == expected(world.state, path, 1)
            assert ask(alone, path) == expected(world.state, path)
    assert step > 5 * STEP_STRIDE
    assert dict(ask(alone, TREATMENTS))["currentVersion"] == "5"
    state = sync.dump()
    sync.close()
    for path in LISTS:
        assert ask(alone, path, 4) == expected(state, path, 4)


def test_a_run_that_stands_still(alone, world):
    """Stopped in the middle of its writes, which others may not see."""
    many = [authorization(f"n{i}") for i in range(3000)]
    url = folder_upstream(alone.folder / "upstream", FIRST[0], FIRST[1],
                          FIRST[2] + many)
    sync = Sync(alone.folder)
    sync.store = alone.store
    run = sync.start(url=url)
    log = pathlib.Path(f"{alone.store}-wal")
    end = time.monotonic() + web.PATIENCE
    while not log.exists() or log.stat().st_size < 100000:
        assert time.monotonic() < end and run.poll() is None
        time.sleep(0.001)
    run.send_signal(signal.SIGSTOP)
    try:
        for path, since in itertools.product(LISTS, (None, 0, 4)):
            assert ask(alone, path, since) == expected(world.state, path,
                                                       since)
    finally:
        run.send_signal(signal.SIGCONT)
    assert sync.finish(run).result["version"] == 5
    assert ask(alone, REIMBURSEMENTS, 4) == expected(sync.dump(),
                                                     REIMBURSEMENTS, 4)
    sync.close()


# Health

def test_live(server, storeless):
    for each in (server, storeless):
        for path in ("/health/live", "/HEALTH/LIVE/", "/health/live?x=y"):
            answer = each.request("GET", path)
            assert (answer.status, answer.json()) == (200,
                                                      {"status": "live"})
            assert answer.headers["Cache-Control"] == "no-store"
            check_common(answer)


def age_store(store, seconds):
    """As if the last run had been published so long ago."""
    with contextlib.closing(sqlite3.connect(store)) as database:
        database.execute(
            "UPDATE SyncHistory SET SyncedAt = ? WHERE Version = 4",
            (int((time.time() - seconds) * 1000),))
        database.commit()


AGE = 100000        # seconds; more than a day, less than two

@pytest.mark.parametrize("age, accepted, refused", (
    (AGE, ("100030", "100030s", "1667m", "28h", "2d", "3650d", "100030000ms",
           "0100030"),
     ("99999", "99999s", "1666m", "27h", "1d", "99999999ms", "0", "0ms",
      "500ms", "0d")),
    (10, ("40", "40s", "1m", "26h", "1d", "40000ms"), ("9", "9s", "9999ms")),
    (-100, ("0", "0ms", "1s"), ())))
def test_ready(alone, age, accepted, refused):
    age_store(alone.store, age)
    synced = dump(alone.store).history[-1][1]
    for query in ("", "?x=y", *(f"?maxAge={a}" for a in accepted),
                  f"?MAXage={accepted[0]}", f"?max%41ge={accepted[0]}"):
        check_state(alone.request("GET", "/health/ready" + query), 200, age,
                    synced)
    for value in refused:
        check_state(alone.request("GET", f"/health/ready?maxAge={value}"),
                    503, age, synced)


def check_state(answer, status, age, synced):
    check_common(answer)
    assert answer.status == status
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Retry-After"] == (
        RETRY_AFTER if status == 503 else None)
    found = answer.json()
    assert max(age, 0) <= found.pop("ageSeconds") <= max(age, 0) + 25
    if status == 503:
        assert found.pop("error") == "The last run is too old."
    assert found == {"status": "ready" if status == 200 else "unready",
                     "version": 4, "syncedAt": second(synced),
                     "fetchedAt": second(synced)}


@pytest.mark.parametrize("query", (
    "maxAge=", "maxAge", "maxAge=5x", "maxAge=-1", "maxAge=%2B1",
    "maxAge=1.5h", "maxAge=1h30m", "maxAge=%201h", "maxAge=1h%20",
    "maxAge=1H", "maxAge=1%20h", "maxAge=3651d", "maxAge=315360001",
    "maxAge=99999999999999999999", "maxAge=26h&maxAge=26h",
    "maxAge=26h&MAXAGE=1d", "maxAge=h", "maxAge=" + "9" * 500,
    "maxAge=%D9%A5"), ids=shown)
def test_bad_max_age(server, query):
    answer = server.request("GET", "/health/ready?" + query)
    assert error_of(answer, 400).startswith("maxAge: ")


# Metrics

Family = collections.namedtuple("Family", "type unit help samples")
NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"
NUMBER = r"[+-]?[0-9]+(?:\.[0-9]+)?"


def parse_metrics(text):
    """OpenMetrics 1.0 without what a gauge does not have, and strictly."""
    assert text.endswith("\n# EOF\n")
    assert text.count("# EOF") == 1 and "\r" not in text
    families, family = {}, None
    for line in text[:-len("# EOF\n")].splitlines():
        found = re.fullmatch(rf"# (TYPE|UNIT|HELP) ({NAME}) (.+)", line)
        if found:
            family = add_metadata(families, *found.groups())
            continue
        found = re.fullmatch(rf"({NAME})(?:{{(.*)}})? ({NUMBER})", line)
        assert found, line
        name, labels, value = found.groups()
        assert name == family, (name, family)       # a gauge has no suffix
        labels = parse_labels(labels or "")
        samples = families[family].samples
        assert labels not in samples, line
        samples[labels] = value
    for name, family in families.items():
        assert family.type == "gauge" and family.help, name
        assert family.unit is None or name.endswith("_" + family.unit)
    return families


def add_metadata(families, what, name, value):
    """Each at most once, TYPE first, and all before the samples."""
    if what == "TYPE":
        assert name not in families
        families[name] = Family(value, None, None, {})
        return name
    field = what.lower()
    assert list(families)[-1] == name and not families[name].samples
    assert getattr(families[name], field) is None
    families[name] = families[name]._replace(**{field: value})
    return name


def parse_labels(text):
    found = re.findall(rf'({NAME})="([^"\\\n]*)"', text)
    assert ",".join(f'{n}="{v}"' for n, v in found) == text
    assert len(dict(found)) == len(found)
    return tuple(sorted(found))


def metrics(server):
    answer = server.request("GET", "/metrics", key=server.key)
    assert answer.status == 200
    check_common(answer)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"] == (
        "application/openmetrics-text; version=1.0.0; charset=utf-8")
    return parse_metrics(answer.body.decode())


def test_the_parser_refuses():
    """Else it would find nothing."""
    good = '# TYPE a gauge\n# HELP a x\na{b="c"} 1\n# EOF\n'
    parse_metrics(good)
    for old, new in (("# EOF\n", "# EOF"), ("# EOF\n", ""), (" 1", ""),
                     ('a{b="c"} 1', 'd 1'), ('="c"', "=c"), (" 1\n", " 1\n\n"),
                     ("gauge", "counter"), ("# HELP a x\n", ""),
                     ('a{b="c"} 1\n', 'a{b="c"} 1\na{b="c"} 1\n'),
                     ("# HELP", "# UNIT a s\n# HELP"), (" 1", "  1")):
        assert old in good
        with pytest.raises(AssertionError):
            parse_metrics(good.replace(old, new))


def test_metrics(server, world):
    """All of them against the store and its history."""
    found = metrics(server)
    version, synced, duration, tallies = world.state.history[-1]
    tallies = model.decode(tallies)
    age = int(found["nompd_last_success_age_seconds"].samples.pop(()))
    assert abs(time.time() - synced / 1000 - age) < 5
    wanted = {
        "nompd_last_version": {(): str(version)},
        "nompd_last_success_timestamp_seconds": {
            (): f"{synced // 1000}.{synced % 1000:03}"},
        "nompd_last_success_age_seconds": {},
        "nompd_last_run_duration_seconds": {
            (): f"{duration // 1000}.{duration % 1000:03}"},
        "nompd_last_run_records": {
            (("act", act.lower()), ("collection", name)): str(count)
            for name, tally in tallies.items()
            for act, count in tally.items() if isinstance(count, int)},
        "nompd_horizon_version": {(): "0"},
        "nompd_states_from_version": {(): "0"},
    }
    for name, deleted in (("nompd_records", 0), ("nompd_tombstones", 1)):
        wanted[name] = {(("collection", collection),): str(sum(
            row.deleted == deleted
            for (where, _), row in world.state.records.items()
            if where == collection)) for collection in model.COLLECTIONS}
    assert {name: family.samples for name, family in found.items()} == wanted
    records = wanted["nompd_last_run_records"]
    assert len(records) == 5 * 6 + 1
    assert {dict(labels)["act"] for labels in records} == {
        "added", "updated", "unchanged", "deleted", "skipped", "duplicates",
        "unresolved"}
    assert {family.unit for name, family in found.items()
            if name.endswith("_seconds")} == {"seconds"}


def test_metrics_need_a_key(server):
    answer = server.request("GET", "/metrics")
    assert error_of(answer, 401) == KEY_ERROR


# The description

def test_description(server):
    answer = server.request("GET", "/openapi.json")
    assert answer.status == 200
    check_common(answer)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.body == (web.ROOT / "src" / "openapi.json").read_bytes()
