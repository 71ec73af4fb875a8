"""The files of an export, and all that may be wrong with them."""
import gzip
import json

import pytest

from bulk_server import (
    NDJSON, Export, File, deletions, issue, patient, resource)
from conftest import EMPTY, KEY
from test_bulk_job import fails
from upstream import Answer, array, dumps, ndjson, outcome, to_bytes

THREE = [patient("1"), patient("2"), patient("3")]
LINES = [dumps(each) for each in THREE]
LATER = "2025-06-01T00:00:00.000Z"


def lines(*texts, type="Patient", **options):
    options.setdefault("count", False)
    return File(type, body="\n".join(texts) + "\n", **options)


def three(**options):
    return File("Patient", THREE, **options)


def cut(size, **options):
    """An answer that ends too early, once."""
    return Answer(ndjson(THREE), cut=size,
                  headers=[("Content-Type", NDJSON)], **options)


# Forms that are all right

FORMS = {
    "plain": three(), "gzip": three(gzipped=True),
    "chunked": three(chunked=True), "both": three(gzipped=True, chunked=True),
    "no count": three(count=False),
    "no last newline": File("Patient", body="\n".join(LINES)),
    "blank lines": lines("", *LINES[:2], "", " \t", LINES[2], "", ""),
    "CR LF": lines(*(line + "\r" for line in LINES)),
    "spaces": lines(*(f"  {line} " for line in LINES)),
    "JSON": three(headers=[("Content-Type", "application/json")]),
    "octets": three(headers=[("Content-Type", "application/octet-stream")]),
    "HTML in name": three(headers=[("Content-Type", "text/html")]),
    "slow": File("Patient", THREE, drip=0.001),
    "BOM": File("Patient", body="\ufeff" + ndjson(THREE), count=3),
}


@pytest.mark.parametrize("name", FORMS)
def test_form(bulk, server, name):
    server.exports = [Export([FORMS[name]])]
    assert bulk.run().counts == (3, 0, 0, 0)
    assert [bulk.records("Patient")[id] for id in "123"] == THREE


def test_an_empty_file(bulk, server):
    server.exports = [Export([File("Patient"), three(), File("Basic")])]
    assert bulk.run().counts == (3, 0, 0, 0)


def test_many_files(bulk, server):
    server.exports = [Export([File("Patient", [patient(f"{i}-{j}")
                                               for j in range(7)])
                              for i in range(60)])]
    assert bulk.run("--max-downloads", "32").counts == (420, 0, 0, 0)
    assert set(server.downloads().values()) == {1}


@pytest.mark.parametrize("most", [1, 2, 4])
def test_files_side_by_side(bulk, server, most):
    """As many as allowed, and no more."""
    gates = [server.gate() for _ in range(6)]
    server.exports = [Export([
        File("Patient", [patient(str(i))],
             script=[Answer(ndjson([patient(str(i))]), before=gate.wait)])
        for i, gate in enumerate(gates)])]
    process = bulk.start("--max-downloads", str(most))
    for i, gate in enumerate(gates):
        server.wait_for_request(lambda r: "/files/" in r.target,
                                min(i + most, 6))
        assert len(server.downloads()) == min(i + most, 6)
        gate.set()
    assert bulk.finish(process).counts == (6, 0, 0, 0)


# Transport

PASSING = {
    "cut": cut(100), "cut after a line": cut(len(LINES[0]) + 1),
    "reset": cut(100, reset=True), "cut chunk": cut(100, chunked=True),
    "cut gzip": cut(60, gzipped=True), "500": Answer(status=500),
    "429": Answer(status=429, headers=[("Retry-After", "0")]),
    "closed": Answer(raw=b""),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_passing_fault(bulk, server, name):
    """Tried again; only the file that was cut comes twice."""
    server.exports = [Export([
        File("Patient", [patient("a")]), three(script=[PASSING[name]]),
        File("Patient", [patient("b")])])]
    assert bulk.run("--retries", "2").counts == (5, 0, 0, 0)
    found = server.downloads()
    assert found[0, "output", 0] == found[0, "output", 2] == 1
    assert found[0, "output", 1] == 2


# A connection that ends before an answer is tried once more by libcurl itself.
@pytest.mark.parametrize("name", [n for n in PASSING if n != "closed"])
def test_a_fault_that_stays(bulk, server, name):
    """Nothing is stored; the next run goes on with the same job."""
    server.exports = [Export([
        File("Patient", [patient("a")]), three(script=[PASSING[name]])])]
    fails(bulk, server, 69, "Patient", args=("--max-downloads", "1"),
          deleted=False)
    assert bulk.run("--max-downloads", "1").counts == (4, 0, 0, 0)
    assert len(server.jobs) == 1
    assert server.downloads() == {(0, "output", 0): 1, (0, "output", 1): 2}


def cut_gzip_of_whole_lines():
    body = gzip.compress(to_bytes(ndjson(THREE)))[:-4]
    return Answer(body, headers=[("Content-Encoding", "gzip")])


@pytest.mark.parametrize("answer,status", [
    (Answer(outcome("no such file"), status=404), (69, 76)),
    (Answer(outcome("not for you"), status=401), 77),
    (cut_gzip_of_whole_lines(), (69, 76))], ids=["404", "401", "gzip"])
def test_a_file_that_is_not_to_be_had(bulk, server, answer, status):
    server.exports = [Export([three(script=[answer] * 9)])]
    fails(bulk, server, status, "Patient", deleted=None)


# Links

def test_an_expired_link(bulk, server):
    """403: the manifest is read anew, and its URL is the one that is good."""
    server.signs = True
    server.exports = [Export([three(), File("Basic", [resource("Basic", "b")],
                                            expired=1)])]
    assert bulk.run("--max-downloads", "1").counts == (4, 0, 0, 0)
    assert server.job.manifests == 2
    assert server.downloads()[0, "output", 0] == 1
    assert len(server.jobs) == 1


def test_a_link_that_is_always_expired(bulk, server):
    server.signs = True
    server.exports = [Export([three(expired=10**6)])]
    fails(bulk, server, (69, 76, 77), "403", "expired", deleted=None)
    assert server.job.manifests < 10


def test_a_fresh_manifest_that_is_another(bulk, server):
    """Files once listed do not change."""
    server.signs = True
    export = Export([three(expired=1)])
    server.exports = [export]

    def changed(request, path, query, answer=server.job_answer):
        found = answer(request, path, query)
        if server.job.manifests == 1:
            export.time = LATER
        return found
    server.job_answer = changed
    fails(bulk, server, 76, "transactionTime", deleted=None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_storage(bulk, server, storage, status):
    """No key and no token there."""
    storage.script("/blob/1?sig=x", Answer(ndjson(THREE)))
    server.exports = [Export([three(script=[Answer(status=status, headers=[
        ("Location", f"{storage.origin}/blob/1?sig=x")])])])]
    assert bulk.run().counts == (3, 0, 0, 0)
    assert len(storage.requests()) == 1
    for request in storage.requests():
        assert "x-api-key" not in request.headers
        assert "authorization" not in request.headers


@pytest.mark.parametrize("token", [False, True])
def test_files_on_another_server(bulk, server, storage, token):
    """No key there, whatever the manifest says of tokens."""
    server.signs = True
    server.exports = [Export([three(at=storage)], token=token)]
    assert bulk.run("--log-level", "debug").counts == (3, 0, 0, 0)
    assert len(storage.requests()) == 1
    assert "x-api-key" not in storage.requests()[0].headers


def test_a_fresh_link_to_another_server(bulk, server, storage):
    """No key there, although the first link was one of the server's own."""
    server.signs = True
    file = three(expired=1)
    server.exports = [Export([file])]

    def moved(request, path, query, answer=server.job_answer):
        if server.job.manifests == 1:
            file.at = storage
        return answer(request, path, query)
    server.job_answer = moved
    assert bulk.run().counts == (3, 0, 0, 0)
    assert len(storage.requests()) == 1
    assert "x-api-key" not in storage.requests()[0].headers


def test_a_redirect_to_storage_where_it_is_cut(bulk, server, storage):
    """It is fetched again by the link, and the key stays behind again."""
    storage.script("/blob/1", Answer(ndjson(THREE)[:-9]),
                   Answer(ndjson(THREE)))
    server.exports = [Export([three(script=[Answer(status=302, headers=[
        ("Location", f"{storage.origin}/blob/1")])] * 2)])]
    assert bulk.run().counts == (3, 0, 0, 0)
    assert server.downloads() == {(0, "output", 0): 2}
    assert len(storage.requests()) == 2
    for request in storage.requests():
        assert "x-api-key" not in request.headers


def test_links_are_secrets(bulk, server, storage):
    """Also in the words of a failure."""
    server.signs = True
    server.exports = [Export([three(at=storage, script=[
        Answer("<x/>", status=400)] * 3)], token=False)]
    fails(bulk, server, (69, 76), "400", deleted=None,
          args=("--log-level", "info"))


# Lines

WRONG = {
    "cut last line": (lines(*LINES[:2], LINES[2][:-9]), ["line 3"]),
    "not JSON": (lines(LINES[0], "nonsense"), ["line 2"]),
    "HTML": (lines("<html><body>Sign in</body></html>"), ["line 1"]),
    "an array": (File("Patient", body=array(THREE), count=False),
                 ["array", "line"]),
    "an array of lines": (lines("[", ",\n".join(LINES), "]"), ["array"]),
    "a Bundle": (lines(dumps({"resourceType": "Bundle", "entry": []})),
                 ["Bundle", "Patient"]),
    "two on a line": (lines(LINES[0] + LINES[1]), ["line 1"]),
    "a line on two": (lines(LINES[0][:40], LINES[0][40:]), ["line 1"]),
    "a number": (lines(LINES[0], "7"), ["line 2"]),
    "another type": (lines(LINES[0], dumps(resource("Basic", "b"))),
                     ["line 2", "Basic", "Patient"]),
    "an outcome": (lines(dumps(outcome("it broke"))),
                   ["OperationOutcome", "Patient"]),
    "no type": (lines(dumps({"id": "1"})), ["line 1", "Patient"]),
    "no id": (lines(dumps({"resourceType": "Patient"})), ["line 1", "id"]),
    "id a number": (lines(dumps({"resourceType": "Patient", "id": 7})),
                    ["line 1", "id"]),
    "id empty": (lines(dumps({"resourceType": "Patient", "id": ""})),
                 ["line 1", "id"]),
    "id with a slash": (lines(dumps({"resourceType": "Patient", "id": "a/b"})),
                        ["line 1", "id"]),
    "NUL": (File("Patient", body=to_bytes(LINES[0]) + b"\0\n", count=False),
            ["line 1"]),
    "no UTF-8": (File("Patient", body=to_bytes(LINES[0]).replace(
        b"2024", b"\xff"), count=False), ["line 1"]),
    "a name twice": (lines('{"resourceType":"Patient","id":"1","id":"2"}'),
                     ["line 1"]),
    "17 MiB": (lines(dumps(patient("1", blob="x" * (17 << 20)))), ["line 1"]),
    "too deep": (lines('{"resourceType":"Patient","id":"1","x":%s}' % (
        "[" * 101 + "]" * 101)), ["line 1", "100"]),
    "35 digits": (lines('{"resourceType":"Patient","id":"1","x":1.%s}' % (
        "1" * 35)), ["line 1"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_line(bulk, server, name):
    file, pieces = WRONG[name]
    server.exports = [Export([File("Patient", [patient("a")]), file])]
    fails(bulk, server, 76, *pieces)
    assert bulk.dump() == EMPTY


@pytest.mark.parametrize("args", [(), ("--on-bad-record", "quarantine")])
def test_a_file_that_is_cut(bulk, server, args):
    """Its last line has no end: that is no bad record, but half a file."""
    server.exports = [Export([File("Patient", body=ndjson(THREE)[:-9],
                                   count=False)])]
    fails(bulk, server, (69, 76), "last line", args=args, deleted=None)
    assert bulk.dump().records == {}


def test_a_file_without_a_length_that_is_cut_once(bulk, server):
    """That its connection ends is the only sign of its end."""
    half = to_bytes(ndjson(THREE))[:-9]
    server.exports = [Export([three(script=[
        Answer(raw=b"HTTP/1.1 200 OK\r\n\r\n" + half)])])]
    assert bulk.run("--retries", "1").counts == (3, 0, 0, 0)


# Bad enough for a record of its own, and no reason to end
SMALL = [name for name in WRONG if name not in (
    "an array", "an array of lines", "a line on two")]


@pytest.mark.parametrize("name", SMALL)
def test_quarantine(bulk, server, name):
    """A bad line is kept with where it stood and why; the others are stored."""
    file, _ = WRONG[name]
    server.exports = [Export([File("Patient", [patient("a")]), file])]
    ended = bulk.run("--on-bad-record", "quarantine")
    assert ended.status == 0, ended.err
    assert "a" in bulk.records("Patient")
    kept = [record for where, record in bulk.dump().records.items()
            if where[0] == "Quarantine"]
    assert len(kept) == bulk.last_bulk()["Bad"] == 1
    assert kept[0].key.startswith("Patient/")
    found = json.loads(bulk.show("Quarantine", kept[0].key))["Data"]
    assert found["Type"] == "Patient"
    assert found["Line"] in (1, 2, 3)
    assert found["File"] == "Patient file 2"
    assert found["Reason"]
    if name in ("not JSON", "another type", "no id", "HTML"):
        assert found["Text"] == file.body.decode().splitlines()[
            found["Line"] - 1]


def bad(count):
    return lines(*LINES, *(f"nonsense {i}" for i in range(count)))


def test_quarantine_is_no_secret_place(bulk, server):
    """A key that upstream sends back stands in no log."""
    server.exports = [Export([lines(LINES[0], f"nonsense {KEY}")])]
    assert bulk.run("--on-bad-record", "quarantine", "--log-level",
                    "debug").status == 0


@pytest.mark.parametrize("count,most,status", [
    (5, "5", 0), (6, "5", 76), (1, "0", 76), (0, "0", 0), (100, None, 0),
    (101, None, 76)])
def test_max_bad(bulk, server, count, most, status):
    server.exports = [Export([bad(count)])]
    args = ["--on-bad-record", "quarantine"]
    args += ["--max-bad", most] if most else []
    if status:
        fails(bulk, server, status, "--max-bad", most or "100", args=args)
        return
    assert bulk.run(*args).status == 0
    assert bulk.last_bulk()["Bad"] == count
    assert set(bulk.records("Patient")) == {"1", "2", "3"}


def test_no_deletion_by_absence_beside_bad_lines(bulk, server):
    """What is missing may be what could not be read."""
    server.exports = [Export([three()])]
    assert bulk.run().counts == (3, 0, 0, 0)
    server.exports = [Export([lines(LINES[0], LINES[1], "nonsense")],
                             time=LATER)]
    ended = bulk.run("--on-bad-record", "quarantine")
    assert ended.result["deleted"] == 0
    assert set(bulk.records("Patient")) == {"1", "2", "3"}
    assert bulk.last_bulk()["Complete"] is False


def test_a_bad_line_again(bulk, server):
    """It is one record, however often it comes."""
    args = ("--on-bad-record", "quarantine")
    for i in range(2):
        server.exports = [Export([bad(1)], time=f"2025-0{i + 1}-01T00:00:00Z")]
        assert bulk.run(*args).status == 0
    assert len(bulk.records("Quarantine")) == 1


# Counts

@pytest.mark.parametrize("count", [0, 2, 4, 10**12])
def test_a_wrong_count(bulk, server, count):
    server.exports = [Export([three(count=count)])]
    fails(bulk, server, 76, "count", r"\b3\b", str(count))
    ended = bulk.run("--save", "merge")
    assert ended.counts == (3, 0, 0, 0)
    assert "WARN" in ended.err.upper() and "count" in ended.err


def test_a_wrong_size(bulk, server):
    server.exports = [Export([three(item={"fileSize": 7})])]
    fails(bulk, server, 76, "fileSize")


# The same resource twice

def aged(day, version, name):
    found = patient("1", version, name=name)
    found["meta"]["lastUpdated"] = f"2024-12-{day:02}T12:00:00Z"
    return found


NEWEST = [
    [aged(1, 1, "old"), aged(2, 2, "new")],
    [aged(2, 1, "new"), aged(1, 2, "old")],
    [aged(1, 9, "old"), aged(1, 10, "new")],
    [aged(1, 2, "old"), aged(1, 3, "x"), aged(2, 1, "new")],
]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize("versions", NEWEST, ids=range(len(NEWEST)))
def test_duplicates(bulk, server, versions, files, turned):
    """The newest is the one, wherever it stands."""
    order = versions[::-1] if turned else versions
    server.exports = [Export(
        [File("Patient", order)] if files == 1
        else [File("Patient", [each]) for each in order])]
    assert bulk.run().counts == (1, 0, 0, 0)
    assert bulk.records("Patient")["1"]["name"] == "new"
    assert bulk.history()[0]["Patient"]["Duplicates"] == len(versions) - 1


def test_zones_of_duplicates(bulk, server):
    """Moments are compared, not texts."""
    old, new = aged(1, 5, "old"), aged(1, 1, "new")
    old["meta"]["lastUpdated"] = "2024-12-01T13:00:00+02:00"    # 11:00 UTC
    new["meta"]["lastUpdated"] = "2024-12-01T12:30:00.5+01:00"  # 11:30 UTC
    server.exports = [Export([File("Patient", [new, old])])]
    assert bulk.run().status == 0
    assert bulk.records("Patient")["1"]["name"] == "new"


@pytest.mark.parametrize("args", [("--save", "merge"),
                                  ("--since", "2024-01-01T00:00:00Z")])
def test_older_never_overwrites_newer(bulk, server, args):
    server.exports = [Export([File("Patient", [aged(5, 5, "new")])])]
    assert bulk.run(*args).counts == (1, 0, 0, 0)
    server.exports = [Export([File("Patient", [aged(4, 4, "old")])],
                             time=LATER)]
    ended = bulk.run(*args)
    assert ended.counts[:2] == (0, 0) and ended.counts[3] == 0
    assert "Patient: 1 skipped: older" in ended.err
    assert bulk.records("Patient")["1"]["name"] == "new"


def test_another_content_of_the_same_version(bulk, server):
    """A server that changes its mapping changes no version."""
    for i, name in enumerate(("first", "second")):
        server.exports = [Export([File("Patient", [aged(1, 1, name)])],
                                 time=f"2025-0{i + 1}-01T00:00:00Z")]
        assert bulk.run("--save", "merge").result["version"] == i + 1
        assert bulk.records("Patient")["1"]["name"] == name


def subsetted(id, version=1, **members):
    found = patient(id, version, **members)
    found["meta"]["tag"] = [{"code": "other"}, {
        "system":
            "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "SUBSETTED"}]
    return found


@pytest.mark.parametrize("save", ["merge", "overwrite"])
def test_a_part_never_overwrites_the_whole(bulk, server, save):
    server.exports = [Export([File("Patient", [
        patient("1", name="whole", birthDate="1970-01-01")])])]
    assert bulk.run().status == 0
    server.exports = [Export([File("Patient", [
        subsetted("1", 9), subsetted("2", 9)])], time=LATER)]
    assert bulk.run("--save", save).result["deleted"] == 0
    assert bulk.records("Patient")["1"]["name"] == "whole"
    assert bulk.records("Patient")["2"] == subsetted("2", 9)


def test_the_whole_takes_the_place_of_a_part(bulk, server):
    server.exports = [Export([File("Patient", [subsetted("1", 9)])])]
    assert bulk.run().status == 0
    server.exports = [Export([File("Patient", [
        patient("1", 9, name="whole")])], time=LATER)]
    assert bulk.run("--save", "merge").result["updated"] == 1
    assert bulk.records("Patient")["1"]["name"] == "whole"


# Deletions

def stored(bulk, server):
    server.exports = [Export([three()])]
    assert bulk.run().counts == (3, 0, 0, 0)


@pytest.mark.parametrize("split", [False, True])
def test_deleted(bulk, server, split):
    stored(bulk, server)
    gone = (["Patient/1"], ["Patient/3"]) if split else (
        ["Patient/1", "Patient/3"],)
    server.exports = [Export([], [File("Bundle", [
        deletions(*names) for names in gone])], time=LATER)]
    assert bulk.run("--save", "merge").counts == (0, 0, 0, 2)
    assert bulk.tombstones("Patient") == {"1", "3"}
    assert set(bulk.records("Patient")) == {"2"}


def test_deleted_twice_and_unknown(bulk, server):
    stored(bulk, server)
    for i, counts in enumerate([(0, 0, 0, 1), (0, 0, 0, 0)]):
        server.exports = [Export([], [File("Bundle", [
            deletions("Patient/1", "Patient/77", "Basic/7"),
            deletions("Patient/1")])], time=f"2025-0{i + 3}-01T00:00:00Z")]
        assert bulk.run("--save", "merge").counts == counts
    assert bulk.tombstones("Patient") == {"1"}


def test_absence_proves_nothing_when_merging(bulk, server):
    stored(bulk, server)
    server.exports = [Export([File("Patient", [patient("1")])], time=LATER)]
    assert bulk.run("--save", "merge").counts == (0, 0, 1, 0)
    assert set(bulk.records("Patient")) == {"1", "2", "3"}


@pytest.mark.parametrize("save", ["merge", "overwrite"])
def test_deleted_and_there(bulk, server, save):
    stored(bulk, server)
    server.exports = [Export([three()], [File("Bundle", [
        deletions("Patient/2")])], time=LATER)]
    fails(bulk, server, 76, "Patient/2", "deleted", args=("--save", save))


def entry(**request):
    return dumps({"resourceType": "Bundle", "type": "transaction",
                  "entry": [{"request": request}]})


DELETED = {
    "not JSON": "nonsense", "a resource": dumps(patient("1")),
    "no request": dumps({"resourceType": "Bundle", "type": "transaction",
                         "entry": [{}]}),
    "another method": entry(method="PUT", url="Patient/1"),
    "a search": entry(method="DELETE", url="Patient?name=x"),
    "no id": entry(method="DELETE", url="Patient"),
    "no URL": entry(method="DELETE"),
    "not a transaction": dumps(dict(
        deletions("Patient/1"), type="searchset")),
    "no list": dumps(dict(
        deletions(), entry=deletions("Patient/1")["entry"][0])),
    "no object": dumps(dict(deletions(), entry=["Patient/1"])),
}


@pytest.mark.parametrize("name", DELETED)
def test_a_wrong_deletion(bulk, server, name):
    stored(bulk, server)
    server.exports = [Export([], [lines(DELETED[name], type="Bundle")],
                             time=LATER)]
    fails(bulk, server, 76, "deleted|DELETE", args=("--save", "merge"))


# Messages of the server

def messages(severity, where="error", text="what it says"):
    return Export([three()], **{where: [File("OperationOutcome", [
        issue("processing", text, severity)])]})


@pytest.mark.parametrize("where", ["error", "outcome"])
@pytest.mark.parametrize("severity", ["error", "fatal"])
def test_errors_of_the_server(bulk, server, severity, where):
    server.exports = [messages(severity, where)]
    fails(bulk, server, 76, severity, "what it says")


@pytest.mark.parametrize("where", ["error", "outcome"])
@pytest.mark.parametrize("severity", ["warning", "information", "success"])
def test_words_of_the_server(bulk, server, severity, where):
    server.exports = [messages(severity, where, "a \x1b[31mred word")]
    ended = bulk.run()
    assert ended.counts == (3, 0, 0, 0)
    assert "red word" in ended.err and "\x1b" not in ended.err
    assert "red word" in json.dumps(bulk.last_bulk()["Messages"])


def test_all_issues_are_said(bulk, server):
    both = {"resourceType": "OperationOutcome", "issue": [
        {"severity": "warning", "code": "x", "diagnostics": "first word"},
        {"severity": "error", "code": "y", "diagnostics": "second word"}]}
    server.exports = [Export([three()], error=[
        File("OperationOutcome", [both])])]
    fails(bulk, server, 76, "first word", "second word")


def test_many_words_of_the_server(bulk, server):
    """They do not fill the log."""
    server.exports = [Export([three()], outcome=[File("OperationOutcome", [
        issue("informational", f"no. {i}", "information")
        for i in range(500)])])]
    ended = bulk.run()
    assert ended.counts == (3, 0, 0, 0)
    assert ended.err.count("no. ") == 100
    assert "not shown" in ended.err
    assert len(bulk.last_bulk()["Messages"]) == 100


def test_a_broken_file_of_messages(bulk, server):
    server.exports = [Export([three()], error=[
        lines("nonsense", type="OperationOutcome")])]
    fails(bulk, server, 76, "line 1")


# A file of which nothing tells where it ends

@pytest.mark.parametrize("count,deleted", [(False, 0), (2, 1)])
def test_a_body_without_its_length(bulk, server, count, deleted):
    """What is absent may have been cut off, unless the manifest counts."""
    server.exports = [Export([three()])]
    assert bulk.run().counts == (3, 0, 0, 0)
    raw = b"HTTP/1.0 200 OK\r\n\r\n" + to_bytes(ndjson(THREE[:2]))
    server.exports = [Export([File("Patient", THREE[:2], count=count,
                                   script=[Answer(raw=raw)])], time=LATER)]
    ended = bulk.run()
    assert ended.counts == (0, 0, 2, deleted), ended.err
    assert ("came without its length" in ended.err) == (not count)
    assert bulk.last_bulk()["Complete"] == bool(count)


def test_the_quarantine_of_another_type(bulk, server):
    """Only a full export of its type can tell that a bad line is gone."""
    args = ("--on-bad-record", "quarantine", "--type", "Patient")
    server.exports = [Export([lines(LINES[0], "nonsense")])]
    assert bulk.run(*args).status == 0
    server.exports = [Export([File("Condition", [
        {"resourceType": "Condition", "id": "c"}])], time=LATER)]
    assert bulk.run("--type", "Condition").status == 0
    assert len(bulk.records("Quarantine")) == 1
    server.exports = [Export([lines(LINES[0])], time="2025-03-01T00:00:00Z")]
    assert bulk.run("--type", "Patient").status == 0
    assert bulk.records("Quarantine") == {}


def test_a_tombstone_comes_back_older(bulk, server):
    """What a server has is there, whatever its age."""
    def export(time, *versions):
        return [Export([File("Patient", [
            patient(str(n), n) for n in versions])], time=time)]
    server.exports = export("2025-01-01T00:00:00Z", 7, 8)
    assert bulk.run().counts == (2, 0, 0, 0)
    server.exports = export("2025-01-02T00:00:00Z", 8)
    assert bulk.run().counts == (0, 0, 1, 1)
    server.exports = [Export([File("Patient", [
        patient("7", 3), patient("8", 8)])],
        time="2025-01-03T00:00:00Z")]
    assert bulk.run().counts == (0, 1, 1, 0)


def test_a_time_far_ahead(bulk, server):
    """It would make each later export an old one."""
    server.exports = [Export([three()], time="2999-01-01T00:00:00Z")]
    fails(bulk, server, 76, "2999", "ahead")
