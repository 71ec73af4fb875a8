"""Bulk mode that is killed, on a FHIR server that is not our own."""
import secrets
import signal
import threading

import pytest

from conftest import PATIENCE, TYPES, place
from fhir import Fhir, World

FILES = 6               # so many has the export
PATIENTS = 20 * FILES   # so many as the server puts in each
COMMAND = ("--type", "Patient", "--max-downloads", "1")
POLL = "$export-poll-status"


@pytest.fixture(scope="module")
def server():
    """The FHIR server with an export of some files, which nobody changes."""
    found = Fhir(place("NOMPD_TEST_FHIR_URL"))
    world = World(secrets.token_hex(3))
    found.clear(TYPES)
    found.put(*(world.patient(number) for number in range(PATIENTS)),
              world.condition(1, 1))
    return found


class Moment:
    """The time of the number'th request of the program for a part; it is not
    answered."""

    def __init__(self, way, part, number=1):
        self.reached = threading.Event()
        self.ended = threading.Event()
        self.part = part
        self.left = number
        self.way = way
        way.before = self.look

    def look(self, request):
        if request not in self.way.requests("GET", self.part):
            return True
        self.left -= 1
        if self.left:
            return True
        self.way.before = None
        self.reached.set()
        self.ended.wait(PATIENCE)
        return False

    def signal(self, client, number):
        """Runs the program until then, and sends it the signal."""
        process = client.start(*COMMAND)
        assert self.reached.wait(PATIENCE)
        process.send_signal(number)
        try:
            return client.finish(process)
        finally:
            self.ended.set()


def jobs(way):
    return [request for request in way.requests(part="/$export")
            if POLL not in request.target]


def files(way):
    """What was asked of files that were answered, in order."""
    return [request.target for request in way.requests("GET", "/Binary/")
            if request.status == 200]


@pytest.mark.parametrize("part,number", [
    (POLL, 1), ("/Binary/", 1), ("/Binary/", 4)])
def test_killed(client, server, way, part, number):
    """The next run goes on with the same job, and its files."""
    ended = Moment(way, part, number).signal(client, signal.SIGKILL)
    assert ended.status == -signal.SIGKILL
    assert not client.documents("Patient")
    client.expire_lease()
    client.run(*COMMAND).result
    client.check_equals(server, "Patient")
    assert len(jobs(way)) == 1
    assert len(files(way)) == len(set(files(way))) == FILES


def test_other_parameters(client, server, way):
    """They are another job; the old one is of no use."""
    Moment(way, POLL).signal(client, signal.SIGKILL)
    client.expire_lease()
    client.run("--type", "Patient,Condition").result
    client.check_equals(server, "Patient", "Condition")
    assert len(jobs(way)) == 2


def test_anew(client, server, way):
    Moment(way, POLL).signal(client, signal.SIGKILL)
    client.expire_lease()
    client.run(*COMMAND, "--no-resume").result
    client.check_equals(server, "Patient")
    first, second = jobs(way)
    deleted = [request.target for request in way.requests("DELETE", POLL)]
    assert first.answer_headers["content-location"].endswith(deleted[0])
    assert second.answer_headers["content-location"].endswith(deleted[1])


def test_job_that_is_gone(client, server, way):
    """Somebody has deleted it meanwhile: there is a new one."""
    Moment(way, POLL).signal(client, signal.SIGKILL)
    client.expire_lease()
    job = jobs(way)[0].answer_headers["content-location"]
    assert server.ask("DELETE", job)[0] == 202
    client.run(*COMMAND).result
    client.check_equals(server, "Patient")
    assert len(jobs(way)) == 2


def test_terminated(client, server, way):
    """SIGTERM leaves the job to the next run."""
    ended = Moment(way, POLL).signal(client, signal.SIGTERM)
    assert ended.status != 0
    assert not way.requests("DELETE")
    client.expire_lease()
    client.run(*COMMAND).result
    client.check_equals(server, "Patient")
    assert len(jobs(way)) == 1


def test_interrupted(client, server, way):
    """SIGINT ends the job as well."""
    ended = Moment(way, POLL).signal(client, signal.SIGINT)
    assert ended.status != 0
    deleted, = way.requests("DELETE", POLL)
    assert deleted.status == 202
    assert server.ask("GET", jobs(way)[0].answer_headers[
        "content-location"])[0] == 404
    assert not client.documents("Patient")
