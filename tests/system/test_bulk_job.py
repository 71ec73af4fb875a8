"""The job on the server: its kick-off, its polls, its manifest, its end."""
import datetime
import email.utils
import re
import time

import pytest

from bulk_server import (
    Export, File, deletions, in_progress, issue, partial, patient)
from conftest import EMPTY
from upstream import Answer, dumps

HOURS = 7200
LATER = "2025-06-01T00:00:00.000Z"


@pytest.fixture(autouse=True)
def one_patient(server):
    """What an export has here, unless a test says otherwise."""
    server.exports = [Export([File("Patient", [patient("1")])])]


def slowed(retry_after, status=429):
    return Answer(issue("throttled"), status=status,
                  headers=[("Retry-After", str(retry_after))])


def in_an_hour():
    moment = datetime.datetime.now(
        datetime.timezone.utc) + datetime.timedelta(hours=1)
    return email.utils.format_datetime(moment, usegmt=True)


def fails(bulk, server, status, *pieces, args=(), deleted=True):
    """The run fails as it should: nothing stored, and the job as said."""
    before = bulk.dump()
    statuses = status if isinstance(status, tuple) else (status,)
    ended = bulk.run(*args)
    assert ended.status in statuses, (ended.status, ended.out, ended.err)
    ended.failed(ended.status, *pieces)
    assert bulk.dump() == before
    if deleted is not None:
        assert [job.is_deleted for job in server.jobs
                ] == [deleted] * len(server.jobs)
    return ended


# Waiting

@pytest.mark.parametrize("where", ["kick_offs", "polls"])
@pytest.mark.parametrize("count", [1, 5])
def test_429(bulk, server, where, count):
    setattr(server, where, [slowed(0) for _ in range(count)])
    assert bulk.run().counts == (1, 0, 0, 0)
    assert len(server.jobs) == 1


@pytest.mark.parametrize("where", ["kick_offs", "polls"])
@pytest.mark.parametrize("retry_after", [HOURS, "date"])
def test_hours_of_retry_after(bulk, server, where, retry_after):
    """Cut, and both numbers are said."""
    if retry_after == "date":
        retry_after = in_an_hour()
    setattr(server, where, [slowed(retry_after)])
    started = time.monotonic()
    ended = bulk.run("--max-poll-wait", "1s")
    assert ended.counts == (1, 0, 0, 0)
    assert 1 <= time.monotonic() - started < 20
    line = next(line for line in ended.err.splitlines()
                if "--max-poll-wait" in line)
    assert re.search(r"\b1\.0 s", line)
    assert re.search(r"\b(7200|3600|359\d)\.\d s", line)


def test_a_date_in_the_past(bulk, server):
    server.polls = [slowed("Wed, 01 Jan 2020 00:00:00 GMT")] * 2
    started = time.monotonic()
    assert bulk.run("--max-poll-wait", "10m", "--retries", "2").counts == (
        1, 0, 0, 0)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("retry_after", ["soon", "-5", "", "1e9", "9" * 30])
def test_a_retry_after_that_is_none(bulk, server, retry_after):
    server.polls = [in_progress(retry_after=retry_after)]
    assert bulk.run().counts == (1, 0, 0, 0)


def test_polls_without_retry_after(bulk, server):
    """They are not made one on the heels of the other."""
    server.polls = [in_progress(retry_after=None)] * 2
    assert bulk.run().counts == (1, 0, 0, 0)
    polls = [r.started for r in server.requests() if "/jobs/" in r.target][:3]
    assert polls[1] - polls[0] > 0.3
    assert polls[2] - polls[1] > 0.3


def test_many_polls(bulk, server):
    server.polls = [in_progress(f"{i} %") for i in range(50)]
    assert bulk.run().counts == (1, 0, 0, 0)
    assert server.job.polled == 51


@pytest.mark.parametrize("level", ["info", "debug"])
def test_progress_is_cleaned(bulk, server, level):
    server.polls = [in_progress(text) for text in (
        "20 %", "\x1b[31mred", "x" * 1000, "\x07", "\xff\xfe")]
    ended = bulk.run("--log-level", level)
    assert ended.status == 0
    assert "\x1b" not in ended.err and "\x07" not in ended.err
    assert "x" * 200 not in ended.err


# Failures of the kick-off

KICK_OFFS = {
    "all issues": (Answer({"resourceType": "OperationOutcome", "issue": [
        {"severity": "error", "code": "invalid", "diagnostics": "first one"},
        {"severity": "error", "code": "not-supported",
         "details": {"text": "second one"}}]}, status=422), 69,
        ["422", "first one", "second one"]),
    "401": (Answer(issue("login", "who is it"), status=401), 77,
            ["401", "who is it"]),
    "403": (Answer(issue("forbidden", "not you"), status=403), 77,
            ["403", "not you"]),
    "404": (Answer(issue("not-found", "no export here"), status=404), 69,
            ["404", "no export here"]),
    "500": (Answer(status=500), 69, ["500"]),
    "HTML": (Answer("<html>x</html>", status=400), 69, ["400"]),
    "closed": (Answer(raw=b""), 69, []),
    "no place": (Answer(status=202), (69, 76), ["Content-Location"]),
    "200": (Answer({"resourceType": "Bundle"}, status=200), (69, 76), []),
    "another scheme": (Answer(status=202, headers=[
        ("Content-Location", "ftp://127.0.0.1/jobs/0")]), 76, ["ftp"]),
    "no URL": (Answer(status=202, headers=[
        ("Content-Location", "http://[x")]), 76, []),
}


@pytest.mark.parametrize("name", KICK_OFFS)
def test_kick_off_fails(bulk, server, name):
    answer, status, pieces = KICK_OFFS[name]
    server.kick_offs = [answer] * 2
    fails(bulk, server, status, *pieces, args=("--kick-off", "get"))
    assert server.jobs == []
    assert bulk.dump() == EMPTY


def test_kick_off_is_tried_again(bulk, server):
    server.kick_offs = [Answer(status=503, headers=[("Retry-After", "0")]),
                        Answer(status=500)]
    assert bulk.run("--retries", "3").counts == (1, 0, 0, 0)
    assert len(server.jobs) == 1


def test_a_relative_place(bulk, server):
    accept = server.kick_off

    def relative(*args):
        answer = accept(*args)
        answer.headers = [("Content-Location", "/api/jobs/0")]
        return answer
    server.kick_off = relative
    assert bulk.run().counts == (1, 0, 0, 0)
    assert server.job.is_deleted


# Failures of polls

TRANSIENT = ("transient", "lock-error", "no-store", "exception", "timeout",
             "incomplete", "throttled")


@pytest.mark.parametrize("code", TRANSIENT)
@pytest.mark.parametrize("status", [400, 500, 200])
def test_transient_issues(bulk, server, code, status):
    server.polls = [Answer(issue(code), status=status,
                           headers=[("Retry-After", "0")])]
    assert bulk.run("--retries", "1").counts == (1, 0, 0, 0)
    assert len(server.jobs) == 1


@pytest.mark.parametrize("answer", [
    Answer(status=502), Answer("<html>x</html>", status=503),
    Answer(issue("processing"), status=500), Answer(raw=b"")],
    ids=["502", "503", "500", "closed"])
def test_passing_failures_of_polls(bulk, server, answer):
    """In a row they count; a poll that is answered begins anew."""
    server.polls = [answer, in_progress(), answer, in_progress()]
    assert bulk.run("--retries", "1").counts == (1, 0, 0, 0)
    assert server.job.polled == 5


def test_a_failing_poll_keeps_the_job(bulk, server):
    server.polls = [Answer(status=500)] * 2
    fails(bulk, server, 69, "500", deleted=False)
    fails(bulk, server, 69, "500", deleted=False)
    assert bulk.run().counts == (1, 0, 0, 0)
    assert len(server.jobs) == 1
    assert server.job.is_deleted


def test_a_job_that_fails(bulk, server):
    """For a reason that stays: the next run begins another."""
    server.polls = [Answer(issue("processing", "out of luck"), status=400)]
    fails(bulk, server, (69, 76), "out of luck", deleted=None)
    server.polls = []
    assert bulk.run().counts == (1, 0, 0, 0)
    assert len(server.jobs) == 2


def test_an_outcome_instead_of_a_manifest(bulk, server):
    server.polls = [Answer(issue("processing", "it broke"))]
    fails(bulk, server, (69, 76), "it broke", deleted=None)


@pytest.mark.parametrize("status", [404, 410])
def test_a_job_that_is_gone(bulk, server, status):
    server.polls = [Answer(issue("not-found"), status=status)] * 100
    fails(bulk, server, (69, 76), str(status), deleted=None)
    server.polls = []
    assert bulk.run().counts == (1, 0, 0, 0)
    assert len(server.jobs) == 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_poll_that_is_refused(bulk, server, status):
    server.polls = [Answer(issue("login", "not again"), status=status)] * 2
    fails(bulk, server, 77, str(status), "not again", deleted=None)


def test_a_partial_manifest_is_not_the_whole(bulk, server):
    server.exports = [Export([File("Patient", [patient(str(i))])
                              for i in range(3)])]
    server.polls = [partial(0), partial(1), partial(2)]
    assert bulk.run().counts == (3, 0, 0, 0)


# Manifests

def test_pages(bulk, server):
    server.exports = [Export(
        [File("Patient", [patient(str(i))]) for i in range(6)],
        [File("Bundle", [deletions("Patient/x")])],
        [File("OperationOutcome", [issue("informational", "all is well",
                                         severity="information")])], page=2)]
    assert bulk.run().counts == (6, 0, 0, 0)
    assert set(server.downloads().values()) == {1}
    assert len(server.downloads()) == 8


def test_members_that_are_not_there(bulk, server):
    server.exports[0].leave += ("request", "deleted", "error")
    assert bulk.run().counts == (1, 0, 0, 0)


def test_no_output_at_all(bulk, server):
    server.exports = [Export(leave=("output", "error"))]
    assert bulk.run().counts == (0, 0, 0, 0)


def test_members_that_are_new(bulk, server):
    server.exports[0].members = {
        "extension": [{"url": "x", "valueCode": "y"}], "manifestType": "z",
        "outputFormat": "application/fhir+ndjson", "more": {"a": [1]}}
    server.exports[0].files["output"][0].item = {
        "countSeverity": [1], "extension": {}}
    assert bulk.run().counts == (1, 0, 0, 0)


FILE = {"type": "Patient", "url": "http://127.0.0.1/x"}
MANIFESTS = {
    "no time": (dict(transactionTime=None), ["transactionTime"]),
    "no instant": (dict(transactionTime="today"), ["transactionTime", "today"]),
    "a date": (dict(transactionTime="2025-01-01"), ["transactionTime"]),
    "no zone": (dict(transactionTime="2025-01-01T00:00:00"),
                ["transactionTime"]),
    "token a text": (dict(requiresAccessToken="yes"), ["requiresAccessToken"]),
    "output an object": (dict(output={}), ["output"]),
    "a number": (dict(output=[7]), [r"output\[0\]"]),
    "no URL": (dict(output=[FILE, {"type": "Patient"}]),
               [r"output\[1\]\.url"]),
    "URL a number": (dict(output=[{**FILE, "url": 7}]), [r"output\[0\]\.url"]),
    "no type": (dict(output=[{"url": "http://127.0.0.1/x"}]),
                [r"output\[0\]\.type"]),
    "type with a path": (dict(output=[{**FILE, "type": "../x"}]),
                         [r"output\[0\]\.type"]),
    "count a text": (dict(output=[{**FILE, "count": "7"}]),
                     [r"output\[0\]\.count"]),
    "count below zero": (dict(output=[{**FILE, "count": -1}]),
                         [r"output\[0\]\.count"]),
    "a file of this machine": (
        dict(output=[{**FILE, "url": "file:///etc/passwd"}]), ["file"]),
    "deleted an object": (dict(deleted={}), ["deleted"]),
    "organised": (dict(outputOrganizedBy="Patient"), ["outputOrganizedBy"]),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_broken_manifest(bulk, server, name):
    members, pieces = MANIFESTS[name]
    server.exports[0].members = members
    fails(bulk, server, 76, *pieces)


@pytest.mark.parametrize("type", [
    "SyncMetadata", "Quarantine", "PlanDefinitions", "patient", "A" * 65])
def test_a_type_that_is_none(bulk, server, type):
    """Nor one that the store has for itself."""
    server.exports = [Export([File(type, [{"resourceType": type,
                                           "id": "x"}])])]
    fails(bulk, server, 76, "type")


@pytest.mark.parametrize("body", [
    "", "{", "[]", "7", "null", "<html></html>", '{"a":1}{"a":2}',
    '{"transactionTime":"2025-01-01T00:00:00Z","transactionTime":"x"}'],
    ids=str)
def test_no_manifest(bulk, server, body):
    server.polls = [Answer(body)]
    fails(bulk, server, (69, 76), "manifest")


def test_too_many_pages(bulk, server):
    """A loop of them, for one."""
    server.exports[0].members = {"link": [{
        "relation": "next", "url": f"{server.url}/jobs/0?page=0"}]}
    fails(bulk, server, 76, "next|page")


def test_a_page_of_another_time(bulk, server):
    server.exports = [Export([File("Patient", [patient(str(i))])
                              for i in range(2)], page=1)]
    server.script("jobs/0?page=1", dumps({
        "transactionTime": LATER, "requiresAccessToken": True,
        "output": []}))
    fails(bulk, server, 76, "transactionTime", "page|next")


def test_a_page_that_is_lost(bulk, server):
    server.exports = [Export([File("Patient", [patient(str(i))])
                              for i in range(2)], page=1)]
    server.script("jobs/0?page=1", Answer(status=500))
    fails(bulk, server, 69, "500", deleted=False)


# The time of an export

@pytest.mark.parametrize("time,text", [
    ("2025-01-01T00:00:00Z", "older than one that went before"),
    ("2025-06-01T00:00:00.000Z", "the same"),
    ("2025-06-01T02:00:00.000+02:00", "the same in another zone")])
@pytest.mark.parametrize("args", [(), ("--since", "auto")])
def test_an_old_export(bulk, server, time, text, args):
    server.exports[0].time = LATER
    assert bulk.run(*args).status == 0
    server.exports = [Export([File("Patient", [patient("2")])], time=time)]
    fails(bulk, server, 76, "transactionTime", args=args)


def test_an_old_job(bulk, server):
    """Some servers give the same job for the same question."""
    server.reuses = True
    assert bulk.run().status == 0
    server.jobs[0].is_deleted = False
    fails(bulk, server, 76, "transactionTime", deleted=None)


def test_another_question_has_a_time_of_its_own(bulk, server):
    server.exports[0].time = LATER
    assert bulk.run().status == 0
    server.exports = [Export([File("Patient", [patient("1")])])]
    assert bulk.run("--type", "Patient").counts == (0, 0, 1, 0)


# The end of a job

@pytest.mark.parametrize("status", [200, 202, 204, 404, 410])
def test_deletion(bulk, server, status):
    server.deletes = [Answer(status=status)]
    ended = bulk.run()
    assert ended.status == 0
    assert len(server.of_method("DELETE")) == 1
    assert "WARN" not in ended.err.upper()


@pytest.mark.parametrize("answer", [
    Answer(status=500), Answer(status=405), Answer(status=403),
    Answer(raw=b"")], ids=["500", "405", "403", "closed"])
def test_a_deletion_that_fails(bulk, server, answer):
    """The run is published all the same, and the job forgotten."""
    server.deletes = [answer] * 3
    ended = bulk.run()
    assert ended.counts == (1, 0, 0, 0)
    assert "WARN" in ended.err.upper()
    server.exports = [Export(time=LATER)]
    assert bulk.run("--save", "merge").counts == (0, 0, 0, 0)
    assert len(server.jobs) == 2


def test_published_before_deletion(bulk, server):
    """Files may go when the job is deleted, so all is in the store then."""
    gate = server.gate()
    server.deletes = [Answer(status=202, before=gate.wait)]
    process = bulk.start()
    server.wait_for_request(lambda r: r.method == "DELETE")
    assert set(bulk.records("Patient")) == {"1"}
    gate.set()
    assert bulk.finish(process).counts == (1, 0, 0, 0)


@pytest.mark.parametrize("status", [302, 403, 500])
def test_the_query_of_a_poll_url_is_a_secret(bulk, server, status):
    """As that of a file's link: it may be all that is asked for."""
    def kick_off(*args, made=server.kick_off):
        answer = made(*args)
        answer.headers = [(name, value + "?sig=" + server.secret("sig-"))
                          for name, value in answer.headers]
        return answer
    server.kick_off = kick_off
    server.polls = [in_progress(), Answer(status=status, headers=[
        ("Location", "http://127.0.0.2:1/")])]
    fails(bulk, server, (69, 76, 77), "/jobs/0", deleted=None,
          args=("--log-level", "debug"))
