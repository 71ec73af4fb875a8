"""export: files that are whole, of one finished version, or none."""
import fcntl
import hashlib
import json
import os
import random
import resource
import signal
import stat
import time

import pytest

import model
from conftest import FILLED, KIND, rows
from stores import few
from test_model import Generator, publish
from upstream import ACTIVITIES, bundle, many

RUNS = 6
INDEX = "export.json"


def export(sync, folder, *args, **options):
    ended = sync.run("export", folder, *args, key=None, **options)
    assert ended.status == 0, ended.err
    return json.loads(ended.out)


def read(folder):
    """The index and the lines of each collection; they have to agree."""
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    assert list(index) == ["version", "syncedAt", "since", "collections"]
    found = {}
    for name, said in index["collections"].items():
        data = (folder / f"{name}.ndjson").read_bytes()
        assert hashlib.sha256(data).hexdigest() == said["sha256"]
        found[name] = [model.parse(line) for line in
                       data.decode("utf-8").splitlines()]
        assert data.count(b"\n") == len(found[name]) == said["records"]
    assert {path.name for path in folder.iterdir()} == {
        INDEX, *(f"{name}.ndjson" for name in found)}
    return index, found


def row_of(shown):
    return model.Row(model.encode(shown["Data"]), shown["Version"],
                     shown["IsDeleted"], shown["ContentHash"])


def rows_of(found):
    return {(name, shown["_id"]): row_of(shown)
            for name, lines in found.items() for shown in lines}


def live(state):
    return {where: row for where, row in state.items() if not row.deleted}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_full(filled, tmp_path, upstream):
    upstream.script(ACTIVITIES, bundle(FILLED[1][1:]))
    filled.run()
    folder = tmp_path / "out"
    result = export(filled, folder)
    index, found = read(folder)
    assert list(result) == ["version", "since", "collections", "records",
                            "durationMs"]
    assert (result["version"], result["since"], result["collections"],
            result["records"]) == (2, None, 5, 14)
    assert (index["version"], index["since"]) == (2, None)
    assert index["syncedAt"] == filled.history()[0]["SyncedAt"]
    assert list(found) == list(model.COLLECTIONS)
    assert rows_of(found) == live(rows(filled.dump()))
    for name, lines in found.items():
        assert (folder / f"{name}.ndjson").read_text(encoding="utf-8") == (
            "".join(filled.show(name, shown["_id"]) for shown in lines))


def test_empty_store(sync, tmp_path):
    assert sync.run("init").status == 0
    folder = tmp_path / "out"
    assert export(sync, folder)["records"] == 0
    index, found = read(folder)
    assert (index["version"], index["syncedAt"]) == (0, None)
    assert found == {name: [] for name in model.COLLECTIONS}


def test_without_a_store(sync, tmp_path):
    sync.run("export", tmp_path / "out").failed(74, sync.store.name)
    assert not (tmp_path / "out").exists()
    assert not KIND.exists(sync.store)


@pytest.mark.parametrize("seed", range(few(6)))
def test_changes_lead_to_the_next_version(sync, upstream, tmp_path, seed):
    """All, and then what changed since, give all again."""
    generator = Generator(2000 + seed)
    expectation, copies = model.Model(), {0: {}}
    for version in range(1, RUNS + 1):
        lists = generator.step()
        publish(upstream, generator.chance, lists)
        expectation.run(*lists, let_through=True)
        assert sync.run("--max-delete", "100%", "--log-level",
                        "error").status == 0
        export(sync, tmp_path / "full")
        index, found = read(tmp_path / "full")
        assert index["version"] == version
        copies[version] = rows_of(found)
        assert copies[version] == live(expectation.rows)
        for lines in found.values():
            keys = [shown["_id"].encode() for shown in lines]
            assert keys == sorted(keys)
        for since in copies:
            export(sync, tmp_path / "since", "--since", since)
            index, found = read(tmp_path / "since")
            assert (index["version"], index["since"]) == (version, since)
            changes = rows_of(found)
            assert changes == {where: row for where, row in
                               expectation.rows.items() if row.version > since}
            for lines in found.values():
                order = [(s["Version"], s["_id"].encode()) for s in lines]
                assert order == sorted(order)
            assert live({**copies[since], **changes}) == copies[version]


def test_in_the_middle_of_runs(filled, upstream, tmp_path):
    """An export is of one finished version, whatever runs meanwhile."""
    chance, states = random.Random(3), {1: rows(filled.dump())}
    generator = Generator(4)
    for number in range(few(12)):
        publish(upstream, generator.chance, generator.step())
        kill = {} if chance.random() < 0.6 else {
            "NOMPD_STORE_KILL_AT": str(chance.randrange(1, 60))}
        run = filled.start("--max-delete", "100%", env=kill)
        exports = []
        while run.poll() is None or not exports:
            folder = tmp_path / f"{number}-{len(exports)}"
            exports.append(folder)
            export(filled, folder)
        filled.finish(run)
        filled.expire_lease()
        if run.returncode == 0:
            state = filled.dump()
            states[state.history[-1][0]] = rows(state)
        for folder in exports:
            index, found = read(folder)
            assert rows_of(found) == live(states[index["version"]])


# What is there already

def test_replaces_its_own(filled, tmp_path, upstream):
    folder = tmp_path / "out"
    export(filled, folder, "--since", "1")
    assert read(folder)[1] == {name: [] for name in model.COLLECTIONS}
    (folder / ".TreatmentGroups.ndjson.nompd-new").write_text("left behind")
    (folder / "other").write_text("kept")
    export(filled, folder)
    assert (folder / "other").read_text() == "kept"
    (folder / "other").unlink()
    assert rows_of(read(folder)[1]) == live(rows(filled.dump()))


# What mongoexport, or somebody's tool, writes.
ALIKE = ('{"_id":"p1","name":"x"}\n', '{"version":1,"files":[]}\n')
NO_LINES = (
    ALIKE[0], '{"_id":"p1","BusinessKey":"p2","Data":{}}\n',
    '{"_id":"p1","BusinessKey":"p1","Name":"x"}\n',
    '{"_id":"p1","BusinessKey":"p1x","Data":{}}\n',
    '{"_id":{"$oid":"65"},"BusinessKey":{"$oid":"65"},"Data":{}}\n',
    '{"_id":"p1', '{"_id":"\\')


@pytest.mark.parametrize("text", NO_LINES)
def test_leaves_lines_of_others(filled, tmp_path, text):
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / "TreatmentGroups.ndjson"
    path.write_text(text)
    filled.run("export", folder).failed(64, str(path), "is not replaced")
    assert path.read_text() == text


def test_replaces_what_its_index_names(filled, tmp_path):
    """And, without an index, what begins as its own lines do."""
    folder = tmp_path / "out"
    export(filled, folder)
    (folder / INDEX).unlink()
    export(filled, folder)
    path = folder / "TreatmentGroups.ndjson"
    path.write_text(ALIKE[0])
    export(filled, folder)
    assert rows_of(read(folder)[1]) == live(rows(filled.dump()))
    index = json.loads((folder / INDEX).read_text())
    del index["collections"]["TreatmentGroups"]
    (folder / INDEX).write_text(json.dumps(index))
    path.write_text(ALIKE[0])
    filled.run("export", folder).failed(64, str(path), "is not replaced")


@pytest.mark.parametrize("name", [INDEX, "TreatmentGroups.ndjson"])
@pytest.mark.parametrize("how", ["text", "alike", "link", "folder", "pipe"])
def test_leaves_what_is_not_its_own(filled, tmp_path, name, how):
    folder, other = tmp_path / "out", tmp_path / "other"
    folder.mkdir()
    other.write_text('{"_id":' if name != INDEX else '{"version":')
    path = folder / name
    {"text": lambda: path.write_text('{"resourceType":"Patient"}\n'),
     "alike": lambda: path.write_text(ALIKE[name == INDEX]),
     "link": lambda: path.symlink_to(other), "folder": path.mkdir,
     "pipe": lambda: os.mkfifo(path)}[how]()
    before = os.lstat(path)
    filled.run("export", folder).failed(64, str(path), "is not replaced")
    assert list(folder.iterdir()) == [path]
    assert os.lstat(path).st_ino == before.st_ino
    assert other.stat().st_size < 12


def test_modes_are_those_of_the_umask(filled, tmp_path):
    folder = tmp_path / "out"
    export(filled, folder, preexec_fn=lambda: os.umask(0o27))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert {stat.S_IMODE(path.stat().st_mode)
            for path in folder.iterdir()} == {0o640}


def test_folders_that_are_none(filled, tmp_path):
    (tmp_path / "file").write_text("x")
    for path in ("no/such", "file", "file/x"):
        filled.run("export", tmp_path / path).failed(
            74, str(tmp_path / path), "folder")
    assert (tmp_path / "file").read_text() == "x"
    filled.run("export", "").failed(64, "folder")


def test_one_at_a_time(filled, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    filled.run("export", folder).failed(75, str(folder), "another export")
    assert list(folder.iterdir()) == []
    os.close(lock)
    export(filled, folder)


# What goes wrong

LIMIT = 100_000     # bytes; the files beside an SQLite store need some


def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))


def test_a_full_disk(sync, upstream, tmp_path):
    """Its own files are as they were, and a folder that it made is gone."""
    upstream.serve([], many(ACTIVITIES, 500), [])
    assert sync.run().status == 0
    made, folder = tmp_path / "made", tmp_path / "out"
    sync.run("export", made, preexec_fn=limit_files).failed(
        74, "export: .*/made/ActivityDefinitions.ndjson", "cannot write",
        "too large")
    assert not made.exists()
    export(sync, folder, "--since", "1", preexec_fn=limit_files)
    before = contents(folder)
    sync.run("export", folder, preexec_fn=limit_files).failed(74)
    assert contents(folder) == before


def test_a_signal(sync, upstream, tmp_path):
    """It is whole or not there, whenever the signal comes."""
    upstream.serve([], many(ACTIVITIES, 4000), [])
    assert sync.run().status == 0
    folder, ended = tmp_path / "out", set()
    for wait in (0, 0.002, 0.01, 0.02, 0.04, 0.08):
        process = sync.start("export", folder)
        while process.poll() is None and not folder.exists():
            time.sleep(0.001)
        time.sleep(wait)
        process.send_signal(signal.SIGTERM)
        status = sync.finish(process).status
        ended.add(status)
        assert status in (0, -signal.SIGTERM)
        assert folder.exists() == (status == 0)
        if status == 0:
            assert len(read(folder)[1]["ActivityDefinitions"]) == 4000
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
    assert -signal.SIGTERM in ended


def test_since_versions_that_are_none(filled, tmp_path):
    folder = tmp_path / "out"
    filled.run("export", folder, "--since", "2").failed(
        66, "--since", "the last finished version .* is 1")
    filled.run("export", folder, "--since", "-1").failed(64, "--since")
    filled.run("export", folder, "--since", "x").failed(64, "--since")
    assert not folder.exists()


@pytest.mark.only_store("sqlite")
def test_since_a_version_below_the_horizon(filled, tmp_path):
    filled.run()
    filled.run()
    KIND.change(filled.store, "UPDATE SyncMetadata SET Horizon = 2")
    folder = tmp_path / "out"
    for since in (0, 1):
        filled.run("export", folder, "--since", since).failed(
            66, "--since", "up to version 2", "export all")
    assert not folder.exists()
    export(filled, folder, "--since", "2")
    export(filled, folder)


def test_a_collection_more(bare, tmp_path):
    """Each collection has its file."""
    assert bare.run("init").status == 0
    KIND.make_collection(bare.store, "Patient")
    export(bare, tmp_path / "out")
    assert list(read(tmp_path / "out")[1]) == [*model.COLLECTIONS, "Patient"]
