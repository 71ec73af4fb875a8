"""The command line and the environment, from outside."""
import subprocess

import pytest

from conftest import EMPTY, KEY, PROGRAM


def test_all_faults_at_once(sync):
    ended = sync.run("--retries", "x", "--timeout", "y", "--bogus",
                     "--max-delete", "120%", "--log-level", "loud",
                     url="gopher://x/", env={"NOMPD_DEADLINE": "soon"})
    ended.failed(64, "--retries", "--timeout", "--bogus", "--max-delete",
                 "--log-level", "--upstream", "NOMPD_DEADLINE")
    assert not sync.store.exists()


FAULTS = [
    (["--bogus"], "--bogus"), (["nonsense"], "nonsense"),
    (["--retries", "-1"], "--retries"), (["--retries", "1x"], "--retries"),
    (["--retries", ""], "--retries"), (["--retries"], "--retries"),
    (["--retries", "99999999999999999999"], "--retries"),
    (["--timeout", "0"], "--timeout"), (["--timeout", "5q"], "--timeout"),
    (["--timeout", "99999999999999d"], "--timeout"),
    (["--deadline", "-5s"], "--deadline"), (["--wait", "x"], "--wait"),
    (["--max-delete", "101%"], "--max-delete"),
    (["--max-delete", "-1"], "--max-delete"),
    (["--max-delete", "1.5%"], "--max-delete"),
    (["--max-delete", "%"], "--max-delete"),
    (["--store", "store.db"], "--store"), (["--store", "sqlite:"], "--store"),
    (["--store", "oracle:x"], "--store"),
    (["--log-format", "xml"], "--log-format"),
    (["--progress", "x"], "--progress"),
    (["--dry-run=1"], "--dry-run"), (["--plan="], "--plan"),
    (["--limit", "3"], "--limit"),
    (["--upstream-key-header", "X Y"], "--upstream-key-header"),
    (["--upstream-key-header", "X:Y"], "--upstream-key-header"),
    (["--ca-file", "/nonexistent"], "--ca-file"),
    (["--upstream", "http://"], "--upstream"),
    (["--upstream", "127.0.0.1"], "--upstream"),
    (["--upstream", "http://u:p@127.0.0.1/"], "--upstream"),
    (["--upstream", "http://127.0.0.1:99999/"], "--upstream"),
    (["--upstream", "ftp://127.0.0.1/"], "--upstream"),
    (["--upstream", "http://127.0.0.1/\r\nX: y"], "--upstream"),
    (["history", "--limit", "0"], "--limit"),
    (["history", "--format", "xml"], "--format"),
    (["history", "--retries", "1"], "--retries"),
    (["show"], "show"), (["show", "PlanDefinitions"], "show"),
    (["show", "Nothing2", "x"], "Nothing2"),
    (["show", "SyncHistory", "x"], "SyncHistory"),
    (["show", "PlanDefinitions", "a", "b"], "show"),
    (["init", "x"], "init"), (["reconvert", "x"], "reconvert"),
]


@pytest.mark.parametrize("args,name", FAULTS, ids=str)
def test_fault(filled, args, name):
    before = filled.dump()
    filled.run(*args).failed(64, name)
    assert filled.dump() == before


def test_no_upstream(sync):
    sync.url = None
    sync.run().failed(64, "--upstream", "NOMPD_UPSTREAM_URL")


@pytest.mark.parametrize("key", [None, ""])
def test_no_key(sync, upstream, key):
    sync.run(key=key).failed(64, "NOMPD_UPSTREAM_API_KEY")
    assert upstream.connections == 0
    assert sync.dump() == EMPTY


@pytest.mark.parametrize("content", [None, b"", b"\n", b"a\r\nX-Evil: b",
                                     b"a\0b", b"x" * (1 << 20)],
                         ids=["missing", "empty", "newline", "two lines",
                              "NUL", "long"])
def test_bad_key_file(sync, upstream, content):
    file = sync.folder / "key"
    if content is not None:
        file.write_bytes(content)
        file.chmod(0o600)
    env = {"NOMPD_UPSTREAM_API_KEY_FILE": str(file)}
    sync.run(key=None, env=env).failed(64, "NOMPD_UPSTREAM_API_KEY_FILE")
    assert upstream.connections == 0


@pytest.mark.parametrize("key", ["a\nb", "a\r\nX-Evil: b", "\x01"])
def test_key_that_breaks_a_header(sync, upstream, key):
    sync.run(key=key).failed(64, "NOMPD_UPSTREAM_API_KEY")
    assert upstream.connections == 0


def test_environment(sync, upstream):
    env = {"NOMPD_UPSTREAM_URL": upstream.url, "NOMPD_DRY_RUN": "1",
           "NOMPD_STORE": f"sqlite:{sync.folder}/env.db"}
    process = subprocess.run(
        [PROGRAM], env=sync.environment(**env), capture_output=True,
        cwd=sync.folder, timeout=60)
    assert process.returncode == 0, process.stderr
    assert b'"added":15' in process.stdout
    assert not (sync.folder / "env.db").exists()


def test_flag_wins(sync):
    env = {"NOMPD_STORE": "sqlite:other.db", "NOMPD_MAX_DELETE": "5%"}
    assert sync.run(env=env).result["added"] == 15
    assert sync.store.exists()
    assert not (sync.folder / "other.db").exists()


def test_empty_variable_is_unset(sync):
    env = {"NOMPD_RETRIES": "", "NOMPD_TIMEOUT": "", "NOMPD_DRY_RUN": ""}
    assert sync.run(env=env).status == 0
    assert sync.store.exists()


def test_unknown_variable(sync):
    ended = sync.run(env={"NOMPD_MAX_DELETES": "5%"})
    assert ended.status == 0
    assert "NOMPD_MAX_DELETES" in ended.err


@pytest.mark.parametrize("flag,piece", [
    ("--help", "--max-delete"), ("--version", "nompd-sync")])
def test_help_and_version(bare, flag, piece):
    ended = bare.run(flag, key=None)
    assert (ended.status, ended.err) == (0, "")
    assert piece in ended.out
    assert list(bare.folder.iterdir()) == [bare.temporary]


@pytest.mark.parametrize("when", ["always", "auto", "never"])
def test_progress(sync, when):
    ended = sync.run("--progress", when)
    assert ended.result["added"] == 15


def test_closed_standard_output(filled):
    """A result that cannot be delivered does not undo the run."""
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            [PROGRAM, *filled.arguments(())], stdout=full,
            stderr=subprocess.PIPE, timeout=60, env=filled.environment())
    assert process.returncode >= 0
    assert KEY.encode() not in process.stderr
    assert filled.dump().version == 2
