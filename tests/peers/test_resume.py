"""Bulk mode that is killed, on a FHIR server that is not our own."""
import signal
import threading

import pytest

from conftest import PATIENCE

FILES = 6               # so many has the export
PATIENTS = 100 * FILES  # a hundred in each
COMMAND = ("--type", "Patient", "--max-downloads", "1")
POLL = "$export-poll-status"


@pytest.fixture
def large(server, world):
    """The server with an export of some files."""
    server.put(*(world.patient(number) for number in range(PATIENTS)))
    return server


class Moment:
    """The time of the program's request of a kind, the number'th of them; it
    is not answered, or only when released."""

    def __init__(self, way, method, part, number=1):
        self.reached = threading.Event()
        self.wanted = method, part
        self.left = number
        self.way = way
        way.before = self.look

    def look(self, request):
        if request not in self.way.requests(*self.wanted):
            return True
        self.left -= 1
        if self.left:
            return True
        self.way.before = None
        self.reached.set()
        return False

    def signal(self, client, number):
        """Runs the program until then, and sends it the signal."""
        process = client.start(*COMMAND)
        assert self.reached.wait(PATIENCE)
        process.send_signal(number)
        return client.finish(process)


def jobs(way):
    return [request for request in way.requests(part="/$export")
            if POLL not in request.target]


def files(way):
    """What was asked of files that were answered, in order."""
    return [request.target for request in way.requests("GET", "/Binary/")
            if request.status == 200]


@pytest.mark.parametrize("part,number", [
    (POLL, 1), (POLL, 2), ("/Binary/", 1), ("/Binary/", 4)])
def test_killed(client, large, way, part, number):
    """The next run goes on with the same job, and its files."""
    ended = Moment(way, "GET", part, number).signal(client, signal.SIGKILL)
    assert ended.status == -signal.SIGKILL
    assert not client.records("Patient")
    client.expire_lease()
    client.run(*COMMAND).result
    client.check_equals(large, "Patient")
    assert len(jobs(way)) == 1
    assert len(files(way)) == len(set(files(way))) == FILES


def test_other_parameters(client, large, way):
    """They are another job; the old one is of no use."""
    Moment(way, "GET", POLL).signal(client, signal.SIGKILL)
    client.expire_lease()
    client.run("--type", "Patient,Condition").result
    client.check_equals(large, "Patient", "Condition")
    assert len(jobs(way)) == 2


def test_anew(client, large, way):
    Moment(way, "GET", POLL).signal(client, signal.SIGKILL)
    client.expire_lease()
    client.run(*COMMAND, "--no-resume").result
    client.check_equals(large, "Patient")
    first, second = jobs(way)
    deleted = [request.target for request in way.requests("DELETE", POLL)]
    assert first.answer_headers["content-location"].endswith(deleted[0])
    assert second.answer_headers["content-location"].endswith(deleted[1])


def test_job_that_is_gone(client, large, way):
    """Somebody has deleted it meanwhile: there is a new one."""
    Moment(way, "GET", POLL).signal(client, signal.SIGKILL)
    client.expire_lease()
    job = jobs(way)[0].answer_headers["content-location"]
    assert large.ask("DELETE", job)[0] == 202
    client.run(*COMMAND).result
    client.check_equals(large, "Patient")
    assert len(jobs(way)) == 2


def test_terminated(client, large, way):
    """SIGTERM leaves the job to the next run."""
    ended = Moment(way, "GET", POLL).signal(client, signal.SIGTERM)
    assert ended.status != 0
    assert not way.requests("DELETE")
    client.expire_lease()
    client.run(*COMMAND).result
    client.check_equals(large, "Patient")
    assert len(jobs(way)) == 1


def test_interrupted(client, large, way):
    """SIGINT ends the job as well."""
    ended = Moment(way, "GET", POLL).signal(client, signal.SIGINT)
    assert ended.status != 0
    deleted, = way.requests("DELETE", POLL)
    assert deleted.status == 202
    assert large.ask("GET", jobs(way)[0].answer_headers[
        "content-location"])[0] == 404
    assert not client.records("Patient")
