"""Runs that are killed, stopped or fail in the middle, and the next ones."""
import random
import signal
import sqlite3
import stat
import subprocess

import pytest

from bulk_server import Export, File, Job, deletions, in_progress, patient
from conftest import KIND
from stores import content, copy_store, few, summary
from upstream import Answer

MAX_STEPS = 2000    # store steps of a small run; far fewer are needed
FILES = 6
LATER = "2025-06-01T00:00:00.000Z"
ONE = ("--max-downloads", "1")


def files(count=FILES, size=3):
    return [File("Patient", [patient(f"{i}-{j}") for j in range(size)])
            for i in range(count)]


def whole(count=FILES, size=3):
    return {f"{i}-{j}" for i in range(count) for j in range(size)}


def hold(server, at):
    """Once, a file of which half is given, and then nothing more."""
    file = server.exports[0].files["output"][at]
    file.script = [Answer(file.body, cut=len(file.body) // 2, hang="body")]


def kill(bulk, process):
    process.kill()
    assert bulk.finish(process).status == -signal.SIGKILL
    bulk.expire_lease()


@pytest.mark.parametrize("at", range(FILES))
def test_killed_at_a_file(bulk, server, at):
    """What was complete is not asked for again."""
    server.exports = [Export(files())]
    hold(server, at)
    process = bulk.start(*ONE)
    server.wait_for_file(at)
    kill(bulk, process)
    assert bulk.dump().records == {}
    assert bulk.run(*ONE).counts == (3 * FILES, 0, 0, 0)
    assert set(bulk.records("Patient")) == whole()
    assert len(server.jobs) == 1
    assert server.downloads() == {
        (0, "output", i): 2 if i == at else 1 for i in range(FILES)}
    assert server.job.is_deleted
    assert bulk.spooled() == []


def turn(job):
    """From now on the manifest has its files the other way round."""
    make = job.manifest

    def turned(number):
        page = make(number)
        page["output"].reverse()
        return page
    job.manifest = turned


@pytest.mark.only_store("sqlite")
def test_a_job_that_cannot_be_noted(bulk, server):
    """Nobody would find it again."""
    assert bulk.run("init").status == 0
    with sqlite3.connect(bulk.store) as db:
        db.execute("CREATE TABLE SyncNotes (_id TEXT NOT NULL PRIMARY KEY,"
                   " Data BLOB NOT NULL CHECK (_id IS NULL))")
    server.exports = [Export(files())]
    bulk.run().failed(74, "SyncNotes")
    assert server.job.is_deleted
    assert bulk.spooled() == []


@pytest.mark.parametrize("signs", [False, True])
def test_files_in_another_order(bulk, server, signs):
    """What is here is not taken for what has its place now."""
    server.signs = signs
    server.exports = [Export(files(5))]
    hold(server, 3)
    process = bulk.start(*ONE)
    server.wait_for_file(3)
    kill(bulk, process)
    turn(server.job)
    assert bulk.run(*ONE).counts == (15, 0, 0, 0)
    assert set(bulk.records("Patient")) == whole(5)
    # The one in the middle.
    assert server.downloads()[0, "output", 2] == 1


def test_files_that_differ_in_their_query_alone(bulk, server, monkeypatch):
    """It tells the files apart, as long as it stays the same."""
    def file_url(job, kind, index):
        return f"{server.url}/files/0/{kind}/0?of={index}"

    def download(request, path, query):
        asked.append(int(query.partition("=")[2]))
        return server.job.export.files["output"][asked[-1]].answer(1)
    asked = []
    monkeypatch.setattr(Job, "file_url", file_url)
    monkeypatch.setattr(server, "download", download)
    server.exports = [Export(files(5))]
    hold(server, 3)
    process = bulk.start(*ONE)
    server.wait_for_file(0, count=4)
    kill(bulk, process)
    turn(server.job)
    assert bulk.run(*ONE).counts == (15, 0, 0, 0)
    assert set(bulk.records("Patient")) == whole(5)
    assert asked == [0, 1, 2, 3, 4, 3, 1, 0]


def test_a_fresh_manifest_in_another_order(bulk, server):
    server.signs = True
    server.exports = [Export(files(4))]
    server.exports[0].files["output"][2].expired = 1

    def turning(request, path, query, answer=server.job_answer):
        if server.job.manifests == 1 and request.method == "GET":
            turn(server.job)
        return answer(request, path, query)
    server.job_answer = turning
    bulk.run(*ONE).failed(76, "order")
    assert bulk.dump().records == {}


def test_killed_while_polling(bulk, server):
    """The job is known before its first poll."""
    server.exports = [Export(files())]
    gate = server.gate()
    server.polls = [Answer(status=202, before=gate.wait)]
    process = bulk.start()
    server.wait_for_poll()
    kill(bulk, process)
    gate.set()
    assert bulk.run().counts == (3 * FILES, 0, 0, 0)
    assert len(server.jobs) == 1


def test_killed_at_the_deletion(bulk, server):
    """All is published then; the next run begins anew."""
    server.exports = [Export(files())]
    gate = server.gate()
    server.deletes = [Answer(status=202, before=gate.wait)]
    process = bulk.start()
    server.wait_for_request(lambda r: r.method == "DELETE")
    kill(bulk, process)
    gate.set()
    assert set(bulk.records("Patient")) == whole()
    server.exports = [Export(files(), time=LATER)]
    assert bulk.run().counts == (0, 0, 3 * FILES, 0)
    assert len(server.jobs) == 2
    assert bulk.spooled() == []


def kill_at_every_step(bulk, server, make, base, *args):
    """A run over what make() gives that is killed at each step of the store,
    and the next run; what a run that was never killed leaves is the measure.
    base: the store before, or None."""
    def reset():
        KIND.remove(bulk.store)
        if base is not None:
            copy_store(base, bulk.store)
        server.jobs.clear()
        server.log.clear()
        server.exports = [make(f"2025-0{i}-01T00:00:00Z") for i in (3, 4)]

    reset()
    assert bulk.run(*args).status == 0
    wanted = summary(KIND.peek(bulk.store))
    most = len(server.downloads())
    for step in range(1, MAX_STEPS):
        reset()
        ended = bulk.run(*args, env={"NOMPD_STORE_KILL_AT": str(step)})
        if ended.status == 0:
            assert step > most
            return
        assert ended.status == -signal.SIGKILL, ended.err
        bulk.expire_lease()
        is_published = summary(KIND.peek(bulk.store)).runs == wanted.runs
        assert bulk.run(*args).status == 0, step
        assert contents(bulk) == {where: content(record) for where, record
                                  in wanted.records.items()}, step
        assert len(server.jobs) <= 2 and server.job.is_deleted
        assert bulk.spooled() == []
        if not is_published:
            assert sum(server.downloads().values()) <= most + 1, step
    pytest.fail(f"more than {MAX_STEPS} steps")


def contents(bulk):
    return {where: content(record)
            for where, record in bulk.dump().records.items()}


def test_every_step_of_the_first_run(bulk, server):
    kill_at_every_step(bulk, server, lambda time: Export(files(3), time=time),
                       None, *ONE)


def increment(time):
    return Export([File("Patient", [patient("0-0", 2, name="new")]),
                   File("Patient", [patient("9-9")]),
                   File("Basic", [{"resourceType": "Basic", "id": "b"}])],
                  [File("Bundle", [deletions("Patient/1-1")])], time=time)


def test_every_step_of_an_increment(bulk, server):
    server.exports = [Export(files(3))]
    args = (*ONE, "--since", "auto")
    assert bulk.run(*args).counts == (9, 0, 0, 0)
    base = bulk.store
    bulk.store = bulk.new_store("copy.db")
    kill_at_every_step(bulk, server, increment, base, *args)
    assert len(bulk.records("Patient")) == 9


def test_any_moment(bulk, server):
    """Killed again and again, and whole at the end."""
    chance = random.Random(20250412)
    assert bulk.run("init").status == 0
    for number in range(few(8)):
        server.exports = [Export(files(12, 40), time=(
            f"2025-01-{number + 1:02}T00:00:00Z"))]
        jobs = len(server.jobs)
        for _ in range(5):
            # A run that was killed behind its publication is no reason for
            # another one: the time of its export is old then.
            if len(bulk.history()) > number:
                break
            process = bulk.start("--log-level", "error")
            try:
                process.wait(chance.uniform(0, 4 * KIND.run_seconds))
            except subprocess.TimeoutExpired:
                process.kill()
            bulk.finish(process)
            bulk.expire_lease()
        if len(bulk.history()) == number:
            assert bulk.run().status == 0
        assert set(bulk.records("Patient")) == whole(12, 40)
        assert len(server.jobs) - jobs <= 2
        assert len(bulk.history()) == number + 1


# Which job is gone on with

def interrupted(bulk, server, *args):
    server.exports = [Export(files()), Export(files(), time=LATER)]
    hold(server, 3)
    process = bulk.start(*ONE, *args)
    server.wait_for_file(3)
    kill(bulk, process)


def test_no_resume(bulk, server):
    """The job that was left is deleted on the server."""
    interrupted(bulk, server)
    assert bulk.run("--no-resume").counts == (3 * FILES, 0, 0, 0)
    assert len(server.jobs) == 2
    assert [job.is_deleted for job in server.jobs] == [True, True]
    assert bulk.spooled() == []


@pytest.mark.parametrize("args", [
    ("--type", "Patient"), ("--elements", "id"), ("--patients",),
    ("--type-filter", "Patient?name=x"), ("--since", "2024-01-01T00:00:00Z")],
    ids=str)
def test_another_question_is_another_job(bulk, server, args):
    interrupted(bulk, server)
    assert bulk.run(*args).result["added"] == 3 * FILES
    assert len(server.jobs) == 2
    assert server.job.is_deleted


@pytest.mark.parametrize("args", [
    ("--max-downloads", "9"), ("--log-level", "debug"), ("--retries", "3"),
    ("--max-delete", "100%"), ("--deadline", "5m")], ids=str)
def test_how_it_is_done_is_no_question(bulk, server, args):
    interrupted(bulk, server)
    assert bulk.run(*args).status == 0
    assert len(server.jobs) == 1


@pytest.mark.parametrize("status", [404, 410])
def test_a_job_that_is_gone(bulk, server, status):
    """It is begun anew, without a word from anybody."""
    interrupted(bulk, server)
    server.jobs[0].poll = lambda _: Answer(status=status)
    assert bulk.run().counts == (3 * FILES, 0, 0, 0)
    assert len(server.jobs) == 2


def test_renewed_links(bulk, server):
    """A file is the same under another URL."""
    server.signs = True
    interrupted(bulk, server)
    assert bulk.run(*ONE).status == 0
    assert len(server.jobs) == 1
    assert sum(server.downloads().values()) == FILES + 1


def test_a_spool_that_was_touched(bulk, server):
    """A file that is not as it was is fetched again."""
    interrupted(bulk, server)
    assert bulk.spooled()
    for path in bulk.spooled():
        if path.is_file():
            path.write_bytes(b"nonsense\n")
    assert bulk.run(*ONE).counts == (3 * FILES, 0, 0, 0)
    assert set(bulk.records("Patient")) == whole()


def test_a_spool_that_is_gone(bulk, server):
    interrupted(bulk, server)
    for path in bulk.spooled():
        if path.is_file():
            path.unlink()
    assert bulk.run(*ONE).counts == (3 * FILES, 0, 0, 0)
    assert len(server.jobs) == 1


def test_a_job_that_was_changed(bulk, server):
    """The manifest of a job that goes on has the time that it had."""
    interrupted(bulk, server)
    server.jobs[0].export.time = LATER
    assert bulk.run(*ONE).status in (0, 76)
    assert bulk.records("Patient").keys() in (set(), whole())


# The spool

def test_spool(bulk, server):
    """For nobody else, where it was said, and gone at the end."""
    server.exports = [Export(files())]
    gate = server.gate()
    held = server.exports[0].files["output"][3]
    held.script = [Answer(held.body, before=gate.wait)]
    place = bulk.folder / "elsewhere"
    process = bulk.start(*ONE, "--spool", place)
    server.wait_for_file(3)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    found = [path for path in place.rglob("*") if path.is_file()]
    assert len(found) >= 3
    for path in found:
        assert path.stat().st_mode & 0o077 == 0
    gate.set()
    assert bulk.finish(process).counts == (3 * FILES, 0, 0, 0)
    assert not place.exists() or list(place.iterdir()) == []


def test_a_spool_of_two_stores(bulk, server):
    """The files of one never get into the other."""
    server.exports = [Export(files())]
    hold(server, 3)
    place = bulk.folder / "elsewhere"
    process = bulk.start(*ONE, "--spool", place)
    server.wait_for_file(3)
    other = f"sqlite:{bulk.folder / 'other.db'}"
    bulk.run("--spool", place, "--store", other).failed(75, "in use", "store")
    assert process.poll() is None
    kill(bulk, process)


def test_a_spool_that_cannot_be_made(bulk, server):
    server.exports = [Export(files())]
    (bulk.folder / "file").write_text("x")
    ended = bulk.run("--spool", bulk.folder / "file" / "spool")
    ended.failed(ended.status, "spool")
    assert ended.status in (64, 74)
    assert bulk.dump().records == {}


# Signals and the deadline

def stopped(bulk, server, number, status=None):
    server.exports = [Export(files())]
    hold(server, 3)
    process = bulk.start(*ONE)
    server.wait_for_file(3)
    process.send_signal(number)
    ended = bulk.finish(process)
    assert ended.out == ""
    assert ended.status in (-number, 128 + number), ended.err
    assert bulk.dump().records == {}


def test_sigterm_keeps_the_job(bulk, server):
    stopped(bulk, server, signal.SIGTERM)
    assert not server.job.is_deleted
    assert bulk.run(*ONE).counts == (3 * FILES, 0, 0, 0)
    assert len(server.jobs) == 1
    assert sum(server.downloads().values()) == FILES + 1


def test_sigint_deletes_the_job(bulk, server):
    stopped(bulk, server, signal.SIGINT)
    assert server.job.is_deleted
    assert bulk.spooled() == []
    server.exports = [Export(files(), time=LATER)]
    assert bulk.run().counts == (3 * FILES, 0, 0, 0)
    assert len(server.jobs) == 2


def test_sigint_and_a_server_that_says_nothing(bulk, server):
    """The end does not wait for it for long."""
    server.deletes = [Answer(hang="start")]
    stopped(bulk, server, signal.SIGINT)


@pytest.mark.parametrize("where", ["polls", "files"])
def test_the_deadline_deletes_the_job(bulk, server, where):
    server.exports = [Export(files())]
    if where == "polls":
        server.polls = [in_progress()] * 10**5
    else:
        hold(server, 3)
    bulk.run(*ONE, "--deadline", "2s").failed(69, "deadline")
    assert server.job.is_deleted
    assert bulk.dump().records == {}
    assert bulk.spooled() == []


def test_another_run(bulk, server):
    """One at a time, while it waits for the server, too."""
    server.exports = [Export(files())]
    gate = server.gate()
    server.polls = [Answer(status=202, before=gate.wait,
                           headers=[("Retry-After", "0")])]
    process = bulk.start()
    server.wait_for_poll()
    bulk.run().failed(75)
    gate.set()
    assert bulk.finish(process).counts == (3 * FILES, 0, 0, 0)
    assert len(server.jobs) == 1
