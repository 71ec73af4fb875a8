"""The list of jobs in trouble: what a run does then, and what it says.  Of an
embedded store this is a file of its own; nothing is published by a run that
could not find out whether it may."""
import contextlib
import re
import shutil
import signal
import sqlite3
import time

import pytest

import ledger
import stores
from conftest import copy_store
from ledger import listless  # noqa: F401
from test_jobs_queue import Queue
from test_store_faults import small_disk, unprivileged  # noqa: F401

pytestmark = pytest.mark.only_store("sqlite")

MAX_LINE = 600      # characters of a message
LOCK_WAIT = 10      # seconds for which one who finds it locked waits
SHORT_LOCK = 15     # seconds: longer than that, and shorter than the lease
# When a run whose list stays locked has ended, on a busy machine.
MAX_LOCKED = ledger.LEASE + 3 * LOCK_WAIT


@pytest.fixture
def queue(listless, upstream):
    return Queue(listless, upstream)


def path(sync):
    return ledger.SQLITE.path(sync.store)


def files(sync):
    return sorted(sync.store.parent.glob(sync.store.name + "-jobs*"))


def said(ended, *pieces):
    """One line, by which somebody finds the file and what to do."""
    assert (ended.status, ended.out) == (74, ""), ended.err
    lines = [line for line in ended.err.splitlines()
             if re.match(r"\S+ error ", line)]
    assert len(lines) == 1, ended.err
    assert len(lines[0]) < MAX_LINE
    for piece in ("jobs", "store.db", *pieces):
        assert re.search(piece, lines[0], re.I), (piece, lines[0])


def execute(file, *statements):
    with contextlib.closing(sqlite3.connect(file)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


# What is no list of jobs

def garbage(file):
    file.write_bytes(b"not a database\n" * 500)


def noise(file):
    data = file.read_bytes()
    file.write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))


def cut(file):
    file.write_bytes(file.read_bytes()[:5000])


def another(file):
    file.unlink()
    execute(file, "CREATE TABLE songs (title TEXT)")


def newer(file):
    execute(file, "PRAGMA user_version = 9999")


def a_store(file):
    """The other file of the two."""
    shutil.copy(str(file)[:-len("-jobs")], file)


@pytest.mark.parametrize("spoil,piece", [
    (garbage, "not a database"), (noise, "malformed|damaged"),
    (cut, "malformed|damaged"), (another, "no list of jobs"),
    (newer, "9999.*update"), (a_store, "no list of jobs")])
def test_spoilt(listless, upstream, spoil, piece):
    assert listless.run("--job-id", "before").status == 0
    execute(path(listless), "PRAGMA wal_checkpoint(TRUNCATE)")
    for file in files(listless)[1:]:
        file.unlink()
    spoil(path(listless))
    before = listless.dump(), path(listless).read_bytes()
    asked = len(upstream.requests())
    said(listless.run(), piece)
    said(listless.run("--queue"), piece)
    assert (listless.dump(), path(listless).read_bytes()) == before
    assert len(upstream.requests()) == asked
    # What needs no list does not look at it.
    assert listless.run("--dry-run").status == 0
    assert listless.history()
    # As the message says: it is moved away, and that is all.
    for file in files(listless):
        file.rename(listless.folder / f"old{file.name[8:]}")
    assert listless.run("--job-id", "after").status == 0
    assert [job.id for job in ledger.jobs(listless.store)] == ["after"]


def test_folder_in_its_place(listless):
    path(listless).mkdir()
    said(listless.run(), "unable to open")


def test_read_only_file(unprivileged, filled_store):  # noqa: F811
    """It is another user's."""
    sync = unprivileged
    copy_store(filled_store, sync.store)
    sync.store.chmod(0o666)
    for file in (path(sync), sync.folder):
        file.chmod(0o777 if file.is_dir() else 0o444)
    for file in files(sync)[1:]:
        file.unlink()
    before = sync.dump()
    said(sync.run("--max-delete", "100%", wrap=sync.wrap),
         "this user may only read it")
    assert sync.dump() == before


# While a run goes on

def check_runs(queue, version):
    """With a list of their own."""
    for number in range(3):
        id = f"next-{number}"
        ended = queue.sync.run("--job-id", id, url=queue.upstream.url)
        assert ended.result["version"] == version + number
        assert ledger.find(queue.sync.store, id).state == "Completed"


def test_deleted(queue):
    """It goes on, unseen; the lease still keeps others out."""
    queue.first()
    for file in files(queue.sync):
        file.unlink()
    queue.sync.run("--job-id", "no", url=queue.serve("no")).failed(75)
    assert queue.finish("first").result["version"] == 2
    check_runs(queue, 3)


def test_half_deleted(queue):
    """The file without those that SQLite has beside it: such a list is broken.
    Whoever finds it so says it, and it can be moved away."""
    queue.first()
    before = queue.sync.dump()
    path(queue.sync).unlink()
    ended = queue.sync.run(url=queue.upstream.url)
    if ended.status != 75:
        said(ended)
    ended = queue.finish("first")
    if ended.status == 0:
        assert queue.sync.dump().version == 2
    else:
        said(ended)
        assert queue.sync.dump() == before
    for file in files(queue.sync):
        file.unlink()
    check_runs(queue, queue.sync.dump().version + 1)


def test_row_deleted(queue):
    """Somebody has cleaned up too much."""
    process = queue.first()
    before = queue.sync.dump()
    execute(path(queue.sync), "DELETE FROM SyncJobs")
    ended = queue.sync.finish(process)
    ended.failed(74, "list of jobs has this run no more")
    assert queue.sync.dump() == before
    assert ledger.jobs(queue.sync.store) == []


def fill(folder):
    """All of the room that there is."""
    with open(folder / "ballast", "wb", buffering=0) as file:
        for size in (4096, 512, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size) == size:
                    pass


@pytest.fixture
def on_small_disk(queue, small_disk):  # noqa: F811
    """The list alone is there."""
    path(queue.sync).symlink_to(small_disk / "store.db-jobs")
    return queue, small_disk


def test_full_disk_at_the_begin(on_small_disk):
    queue, folder = on_small_disk
    fill(folder)
    before = queue.sync.dump()
    said(queue.sync.run(), "full")
    assert queue.sync.dump() == before


def test_full_disk_during_a_run(on_small_disk):
    """Nothing is published; with some room again the next run is."""
    queue, folder = on_small_disk
    process = queue.first()
    fill(folder)
    before = queue.sync.dump()
    queue.gates["first"].set()
    ended = queue.sync.finish(process)
    said(ended, "full")
    assert queue.sync.dump() == before
    (folder / "ballast").unlink()
    ended = queue.sync.run("--job-id", "next", url=queue.upstream.url)
    assert ended.status == 0
    assert ledger.find(queue.sync.store, "next").state == "Completed"
    assert ledger.find(queue.sync.store, "first").state == "Failed"


def test_full_disk_at_the_end(on_small_disk):
    """What is published is so; the end of the job is all that is missing, and
    somebody is told."""
    queue, folder = on_small_disk
    sync = queue.sync
    traced = sync.run(url=queue.upstream.url, env={"NOMPD_STORE_TRACE": "1"})
    step = re.search(r"store step (\d+): publish ", traced.err)[1]
    process = sync.start("--job-id", "last", url=queue.upstream.url,
                         env={"NOMPD_STORE_STOP_AT": step})
    assert ledger.wait_until_stopped(process)
    fill(folder)
    process.send_signal(signal.SIGCONT)
    ended = sync.finish(process)
    assert ended.result["version"] == 3
    assert re.search(r" warn +.*full.*the end of this job is not noted",
                     ended.err), ended.err
    assert sync.dump().version == 3


class Locked:
    """A run over a store of its own, whose list somebody locks."""

    def __init__(self, queue, source, id):
        self.queue, self.sync, self.id = queue, queue.sync, id
        self.store = queue.sync.new_store(f"{id}/store.db")
        self.store.parent.mkdir()
        copy_store(source, self.store)
        self.before = stores.dump(self.store)
        self.url = queue.serve(id)
        self.connection = None
        self.process = None

    def start(self, id=None, **options):
        self.process = self.sync.start(
            "--job-id", id or self.id, "--store", stores.uri(self.store),
            url=self.url, **options)

    def wait_for_turn(self):
        self.queue.upstream.wait_for(self.queue.path(self.id))

    def lock(self):
        self.connection = sqlite3.connect(
            ledger.SQLITE.path(self.store), timeout=LOCK_WAIT,
            isolation_level=None, check_same_thread=False)
        self.connection.execute("BEGIN IMMEDIATE")

    def release(self):
        self.connection.close()

    def go(self):
        self.queue.gates[self.id].set()

    def finish(self):
        return self.sync.finish(self.process)


def test_locked(queue):
    """By another program, and for how long: what is shorter than the lease
    does not matter while a run is under way.  All at the same time."""
    source = queue.sync.store
    short, long, check, end, begin = runs = [
        Locked(queue, source, id)
        for id in ("short", "long", "check", "end", "begin")]
    end.start(env={"NOMPD_STORE_STOP_AT": publish_step(queue)})
    end.go()
    for run in (short, long, check):
        run.start()
        run.wait_for_turn()
    assert ledger.wait_until_stopped(end.process)
    for run in runs:
        run.lock()
    started = time.monotonic()
    check.go()
    begin.start()
    end.process.send_signal(signal.SIGCONT)
    # Nobody may know whether it was asked to end: it does not publish.
    said(check.finish(), "locked")
    assert stores.dump(check.store) == check.before
    said(begin.finish(), "locked")
    ended = end.finish()
    assert ended.result["version"] == 2
    assert re.search("locked.*the end of this job is not noted", ended.err)
    assert short.process.poll() is None
    ledger.wait_until(
        lambda: time.monotonic() - started > SHORT_LOCK)
    short.release()
    short.go()
    assert short.finish().result["version"] == 2
    said(long.finish(), "locked")
    assert time.monotonic() - started < MAX_LOCKED
    assert stores.dump(long.store) == long.before
    for run in (check, end, begin, long):
        run.release()
        run.go()
        run.start("again")
        assert run.finish().status == 0
        assert ledger.find(run.store, "again").state == "Completed"
    # It had no way to say how it ended.
    for run in (check, end, long):
        assert ledger.find(run.store, run.id).lost


def publish_step(queue):
    """Its number in a run that changes nothing."""
    probe = Locked(queue, queue.sync.store, "probe")
    probe.go()
    probe.start(env={"NOMPD_STORE_TRACE": "1"})
    ended = probe.finish()
    assert ended.status == 0
    return re.search(r"store step (\d+): publish ", ended.err)[1]
