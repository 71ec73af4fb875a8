"""What the system tests share: the program under test, an upstream, a store.

NOMPD_SYNC names the program; otherwise it is the one in the build folder.
NOMPD_TEST_STORE names the kind of its stores, see stores.py.
"""
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

sys.dont_write_bytecode = True

import model  # noqa: E402
import stores  # noqa: E402
from bulk_server import BulkServer  # noqa: E402
from stores import (  # noqa: E402, F401
    EMPTY, KIND, PATIENCE, copy_store, dump, essence)
from upstream import (  # noqa: E402
    LISTS, Upstream, activity, authorization, bundle, dumps, plan)

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("NOMPD_SYNC", str(ROOT / "build" / "nompd-sync"))
KEY = "s3cret-k3y-0f-the-t3sts"

# Commands that ask no upstream.
QUESTIONS = ("init", "history", "show", "reconvert", "status", "jobs",
             "abort", "diff", "export", "rollback", "prune", "verify")
RESULT = re.compile(
    r'\{"version":\d+,"added":\d+,"updated":\d+,"unchanged":\d+,'
    r'"deleted":\d+,"durationMs":\d+\}\n')

# A filled store's upstream: two of the records differ from the usual form.
FILLED = (
    [plan("p1", "a1", "a2"), plan("p2", "a3"), plan("p3", "gone")],
    [activity("a1"), activity("a2", "000042"), activity("a3")],
    [authorization("r1"), authorization("r2", "1", "2"),
     authorization("r3", name="Åse 💊")],
)


class Outcome:
    """How a process ended and what it said."""

    def __init__(self, status, out, err):
        self.status = status
        self.out = out
        self.err = err

    @property
    def result(self):
        """The result line; nothing else may stand on standard output."""
        assert self.status == 0, (self.status, self.err)
        assert RESULT.fullmatch(self.out), self.out
        return json.loads(self.out)

    @property
    def counts(self):
        """(added, updated, unchanged, deleted)"""
        return tuple(self.result[name] for name in model.COUNTS)

    def failed(self, status, *pieces):
        """The program failed with status and says every piece."""
        assert self.status == status, (self.status, self.out, self.err)
        assert self.out == ""
        assert self.err.endswith("\n")
        for piece in pieces:
            assert re.search(piece, self.err, re.I), (piece, self.err)


class Sync:
    """nompd-sync with a store of its own, and a folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.made = []
        self.store = self.new_store()
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()
        self.url = None
        self.processes = []

    def new_store(self, name="store.db"):
        """A store of the kind that is tested, not there yet."""
        self.made.append(KIND.new(self.folder, name))
        return self.made[-1]

    def expire_lease(self):
        """As if a run that was killed had been killed long ago."""
        KIND.expire_lease(self.store)

    def environment(self, key=KEY, **more):
        env = {name: value for name, value in os.environ.items()
               if not name.startswith("NOMPD_")
               and not name.lower().endswith("_proxy")}
        env["TMPDIR"] = str(self.temporary)
        if key is not None:
            env["NOMPD_UPSTREAM_API_KEY"] = key
        env.update(more)
        return env

    def arguments(self, args, url=None):
        args = [str(a) for a in args]
        if args[:1] in (["copy"], ["keygen"]):  # they have no --store
            return args
        defaults = {"--store": stores.uri(self.store)}
        if not args or args[0] not in QUESTIONS:
            defaults.update({"--upstream": url or self.url, "--retries": "0"})
        for flag, value in defaults.items():
            if flag not in args and value is not None:
                args += [flag, value]
        return args

    def start(self, *args, url=None, key=KEY, env=None, wrap=(), **popen):
        command = [*wrap, PROGRAM, *self.arguments(args, url)]
        popen.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.environment(key, **(env or {})), cwd=self.folder,
            **popen)
        self.processes.append(process)
        return process

    def finish(self, process):
        """Waits for the end; what holds for every run is checked here."""
        out, err = process.communicate(timeout=PATIENCE)
        out = out.decode("utf-8")
        err = err.decode("utf-8")
        for sign in ("Sanitizer", "runtime error:"):
            assert sign not in err, err
        for secret in (KEY, *KIND.secrets):
            assert secret not in out + err
        return Outcome(process.returncode, out, err)

    def run(self, *args, **options):
        return self.finish(self.start(*args, **options))

    def show(self, collection, key):
        outcome = self.run("show", collection, key)
        assert outcome.status == 0, outcome.err
        return outcome.out

    def history(self, *args):
        outcome = self.run("history", "--format", "json", *args)
        assert outcome.status == 0, outcome.err
        return json.loads(outcome.out)

    def dump(self):
        return dump(self.store)

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
            for pipe in (process.stdout, process.stderr):
                pipe.close()
        for store in self.made:
            KIND.drop(store)


class Bulk(Sync):
    """nompd-sync --mode bulk, over a BulkServer."""

    DEFAULTS = {"--mode": "bulk", "--max-poll-wait": "50ms"}

    def __init__(self, folder, server):
        super().__init__(folder)
        self.server = server
        self.url = server.url

    def arguments(self, args, url=None):
        args = super().arguments(args, url)
        if args[0] in (*QUESTIONS, "copy", "keygen"):
            return args
        for flag, value in self.DEFAULTS.items():
            if flag not in args:
                args += [flag, value]
        return args

    def finish(self, process):
        ended = super().finish(process)
        for secret in self.server.secrets:
            assert secret not in ended.out + ended.err
        return ended

    def records(self, type):
        """The live ones of a type: id to document."""
        return {where[1].partition("/")[2]: model.decode(record.data)
                for where, record in self.dump().records.items()
                if where[0] == type and not record.deleted}

    def tombstones(self, type):
        return {where[1].partition("/")[2]
                for where, record in self.dump().records.items()
                if where[0] == type and record.deleted}

    def last_bulk(self):
        """What the last entry of the history says of it."""
        return self.history("--limit", "1")[0]["Bulk"]

    def spooled(self):
        """What lies where downloaded files may wait."""
        places = [self.temporary, *self.folder.glob("*-bulk")]
        return [*places[1:], *(
            path for place in places for path in place.rglob("*"))]


def rows(state):
    """Records in the form of the model."""
    return {where: model.Row(r.data, r.version, bool(r.deleted), r.hash)
            for where, r in state.records.items()}


def folder_upstream(folder, *lists, shape=bundle):
    """A folder laid out like the upstream; gives its URL."""
    for path, resources in zip(LISTS, lists):
        file = pathlib.Path(folder) / (path + ".json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dumps(shape(list(resources))), encoding="utf-8")
    return pathlib.Path(folder).as_uri()


# Which tests there are

def pytest_configure(config):
    config.addinivalue_line(
        "markers", "only_store(name): what it tests has but this kind of"
        " store; with another it is no test, and not among those that run")


def pytest_addoption(parser):
    parser.addoption("--every", type=int, default=1, metavar="N",
                     help="run each Nth test only")


def pytest_collection_modifyitems(config, items):
    def is_one(item):
        return all(mark.args == (KIND.name,)
                   for mark in item.iter_markers("only_store"))
    others = [item for item in items if not is_one(item)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if is_one(item)]
    every = config.getoption("--every")
    if every > 1:
        config.hook.pytest_deselected(
            items=[item for i, item in enumerate(items) if i % every])
        items[:] = items[::every]


# Fixtures

@pytest.fixture(scope="session", autouse=True)
def program():
    if not os.access(PROGRAM, os.X_OK):
        pytest.exit(f"{PROGRAM}: no program to test (set NOMPD_SYNC)", 2)


@pytest.fixture
def upstream():
    server = Upstream()
    server.serve(*FILLED)
    yield server
    server.stop()


@pytest.fixture
def elsewhere():
    """A second server, which nothing may reach."""
    server = Upstream()
    server.serve()
    yield server
    server.stop()
    assert server.connections == 0


@pytest.fixture
def bare(tmp_path):
    """The program without an upstream."""
    program = Sync(tmp_path)
    yield program
    program.close()


@pytest.fixture
def sync(bare, upstream):
    """The program with an upstream that serves FILLED, and no store yet."""
    bare.url = upstream.url
    return bare


@pytest.fixture(scope="session")
def filled_store(tmp_path_factory):
    """A store after one run over FILLED; copied, never written."""
    folder = tmp_path_factory.mktemp("filled")
    program = Sync(folder)
    url = folder_upstream(folder / "upstream", *FILLED)
    assert program.run(url=url).counts == (15, 0, 0, 0)
    yield program.store
    program.close()


@pytest.fixture
def filled(sync, filled_store):
    """The program with that upstream and the store already filled."""
    copy_store(filled_store, sync.store)
    return sync


@pytest.fixture
def server():
    """A Bulk Data server whose world is empty."""
    server = BulkServer()
    yield server
    server.stop()


@pytest.fixture
def storage():
    """A second one, which has files and refuses all credentials."""
    server = BulkServer()
    server.refuses = True
    yield server
    server.stop()


@pytest.fixture
def bulk(tmp_path, server):
    program = Bulk(tmp_path, server)
    yield program
    program.close()
