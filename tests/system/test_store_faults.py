"""A store that is not ours, broken, read-only or full: 74, untouched."""
import contextlib
import os
import pathlib
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile

import pytest

from conftest import PROGRAM, Sync, copy_store, folder_upstream
from upstream import LISTS, PLANS, activity, bundle, many, plan

NOBODY = 65534


def execute(path, *statements):
    database = sqlite3.connect(path)
    with database:
        for statement in statements:
            database.execute(statement)
    database.close()


def refused(sync, *pieces):
    """Run, dry run and questions fail alike, and no byte is changed."""
    before = sync.store.read_bytes()
    for args in ((), ("--dry-run",), ("history",), ("reconvert",), ("init",),
                 ("show", "PlanDefinitions", "p1")):
        sync.run(*args).failed(74, "store.db", *pieces)
        assert sync.store.read_bytes() == before, args


@pytest.mark.parametrize("content", [
    b"not a database\n" * 500, b"x", b"SQLite format 3\0" + b"\xff" * 5000,
    b"\0" * 8192])
def test_file_that_is_no_store(sync, content):
    sync.store.write_bytes(content)
    refused(sync)


def test_database_of_another(sync):
    execute(sync.store, "CREATE TABLE songs (title TEXT)",
            "INSERT INTO songs VALUES ('x')")
    refused(sync)


def test_table_of_the_same_name(sync):
    execute(sync.store, "CREATE TABLE PlanDefinitions (title TEXT)")
    refused(sync)


def test_another_application(filled):
    execute(filled.store, "PRAGMA application_id = 252006673")
    refused(filled)


def test_newer_schema(filled):
    execute(filled.store, "PRAGMA user_version = 9999")
    refused(filled, "9999|newer|version")


def test_folder_in_place_of_the_store(sync):
    sync.store.mkdir()
    sync.run().failed(74, "store.db")
    assert list(sync.store.iterdir()) == []


def test_folder_that_is_missing(sync):
    sync.store = sync.folder / "missing" / "store.db"
    sync.run().failed(74, "missing")
    assert not sync.store.parent.exists()


def test_cut_store(filled):
    data = filled.store.read_bytes()
    filled.store.write_bytes(data[:len(data) // 2])
    filled.run().failed(74, "store.db")


@pytest.mark.parametrize("seed", range(3))
def test_corrupt_pages(filled, upstream, seed):
    """All pages but the first are noise."""
    data = filled.store.read_bytes()
    size = int.from_bytes(data[16:18], "big")
    size = 65536 if size == 1 else size
    noise = random.Random(seed).randbytes(len(data) - size)
    filled.store.write_bytes(data[:size] + noise)
    upstream.serve(many(LISTS[0], 20), many(LISTS[1], 20), [])
    filled.run().failed(74, "store.db")
    filled.run("--dry-run").failed(74, "store.db")


# Nobody may write

@pytest.fixture
def unprivileged():
    """A folder that an ordinary user may read, and how to be that user."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="nompd-"))
    folder.chmod(0o755)
    program = Sync(folder)
    wrap = []
    if os.geteuid() == 0:
        program.temporary.chmod(0o777)
        wrap = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                "--clear-groups"]
    program.url = folder_upstream(folder / "up", [plan("p1")], [], [])
    program.wrap = wrap
    if not reachable(wrap):
        program.close()
        shutil.rmtree(folder)
        pytest.skip("the program cannot be started by an ordinary user")
    yield program
    program.close()
    folder.chmod(0o755)
    shutil.rmtree(folder)


def reachable(wrap):
    return subprocess.run([*wrap, "test", "-x", PROGRAM]).returncode == 0


def test_read_only_folder(unprivileged):
    unprivileged.folder.chmod(0o555)
    ended = unprivileged.run(wrap=unprivileged.wrap)
    ended.failed(74, "store.db", "permission|read-only|denied|unable")
    assert not unprivileged.store.exists()


def test_read_only_store(unprivileged, filled_store):
    copy_store(filled_store, unprivileged.store)
    unprivileged.store.chmod(0o444)
    unprivileged.folder.chmod(0o555)
    before = unprivileged.store.read_bytes()
    ended = unprivileged.run("--max-delete", "100%", wrap=unprivileged.wrap)
    ended.failed(74, "store.db")
    assert unprivileged.store.read_bytes() == before


def test_unreadable_store(unprivileged, filled_store):
    copy_store(filled_store, unprivileged.store)
    unprivileged.store.chmod(0o000)
    if os.geteuid() != 0:
        pytest.skip("the owner could change it back; needs root")
    ended = unprivileged.run(wrap=unprivileged.wrap)
    ended.failed(74, "store.db")


# No room

@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MiB, where mounting is allowed."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none",
                           folder], capture_output=True)
    if done.returncode != 0:
        pytest.skip("mounting a small file system is not allowed")
    yield folder
    subprocess.run(["umount", folder], check=True)


BIG = bundle([activity(f"x{i}", blob="x" * 10000) for i in range(400)])


def test_full_disk(filled, upstream, filled_store, small_disk):
    filled.store = small_disk / "store.db"
    copy_store(filled_store, filled.store)
    upstream.script(LISTS[1], BIG)
    before = filled.dump()
    for _ in range(2):
        ended = filled.run("--max-delete", "100%")
        ended.failed(74, "full|space")
        assert filled.dump() == before
    upstream.serve([plan("p9")], [], [])
    assert filled.run("--max-delete", "100%").result["added"] == 2


def test_full_disk_at_the_first_run(sync, upstream, small_disk):
    sync.store = small_disk / "store.db"
    upstream.script(LISTS[1], BIG)
    sync.run().failed(74, "full|space")
    assert sync.dump().records == {}


def test_full_temporary_folder(filled, upstream, small_disk):
    upstream.script(LISTS[1], bundle(
        [activity(f"x{i}", blob="x" * 100000) for i in range(400)]))
    before = filled.dump()
    ended = filled.run(env={"TMPDIR": str(small_disk)})
    ended.failed(74, "full|space")
    assert filled.dump() == before


def limit_files(size):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_files_that_may_not_grow(filled, upstream):
    upstream.script(LISTS[1], BIG)
    before = filled.dump()
    ended = filled.run(preexec_fn=lambda: limit_files(1 << 20))
    ended.failed(74)
    assert filled.dump() == before


# Others at the same file

def test_reader_in_the_way(filled, upstream):
    """A reader in the middle of its transaction does not stop a run."""
    upstream.script(PLANS, bundle([plan("p9")]))
    with contextlib.closing(sqlite3.connect(filled.store)) as reader:
        reader.execute("BEGIN")
        count = reader.execute("SELECT count(*) FROM PlanDefinitions")
        assert count.fetchone() == (3,)
        assert filled.run().status == 0
        count = reader.execute("SELECT count(*) FROM PlanDefinitions")
        assert count.fetchone() == (3,)
    assert ("PlanDefinitions", "p9") in filled.dump().records


def test_spaces_and_signs_in_the_path(sync):
    folder = sync.folder / "a b?c#d%20e&f"
    folder.mkdir()
    sync.store = folder / "store:1.db"
    assert sync.run().result["version"] == 1
    assert sync.run("--dry-run").result["version"] == 2
    assert [e["Version"] for e in sync.history()] == [1]
    assert sync.store.exists()
