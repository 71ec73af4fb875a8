"""Where the key goes, and that it goes nowhere else; the lists at once."""
import json
import threading

import pytest

from conftest import FILLED, KEY
from upstream import ACTIVITIES, LISTS, PLANS, Answer, bundle, outcome, plan

OTHER = "an0ther-k3y"


def test_lists_are_fetched_together(sync, upstream):
    """Each answer waits for the other two requests."""
    barrier = threading.Barrier(3)
    for path, resources in zip(LISTS, FILLED):
        upstream.script(path, Answer(
            bundle(resources), before=lambda: barrier.wait(30)))
    assert sync.run().status == 0


def test_key_header(sync, upstream):
    assert sync.run().status == 0
    assert len(upstream.requests()) == 3
    for request in upstream.requests():
        assert request.headers["x-api-key"] == KEY


def test_custom_header(sync, upstream):
    assert sync.run("--upstream-key-header", "X-Other").status == 0
    for request in upstream.requests():
        assert request.headers["x-other"] == KEY
        assert "x-api-key" not in request.headers


def test_no_key(sync, upstream):
    assert sync.run("--no-upstream-key", key=None).status == 0
    for request in upstream.requests():
        assert "x-api-key" not in request.headers


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_key_file(sync, upstream, end):
    file = sync.folder / "key"
    file.write_bytes((OTHER + end).encode())
    file.chmod(0o600)
    env = {"NOMPD_UPSTREAM_API_KEY_FILE": str(file)}
    assert sync.run(key=None, env=env).status == 0
    assert {r.headers["x-api-key"] for r in upstream.requests()} == {OTHER}


@pytest.mark.parametrize("level", ["error", "warn", "info", "debug"])
@pytest.mark.parametrize("format", ["text", "json"])
def test_key_is_never_shown(sync, upstream, level, format):
    """Also not where upstream sends it back."""
    plans = [plan("p1", "a1"), plan("p1", f"gone-{KEY}"),
             plan(f"p-{KEY}", "gone")]
    upstream.script(PLANS, Answer(bundle(plans)))
    logged = ("--log-level", level, "--log-format", format)
    file = sync.folder / "plan"
    ended = sync.run(*logged, "--plan")
    assert ended.status == 0
    ended = sync.run(*logged, f"--plan={file}")
    assert ended.status == 0
    upstream.script(ACTIVITIES, Answer(
        outcome(f"no such key: {KEY}"), status=403))
    sync.run(*logged).failed(77)
    upstream.script(ACTIVITIES, bundle([], next=f"?key={KEY}"))
    sync.run(*logged).failed(69)
    # finish() looks for the key in all that was printed.


def test_key_is_not_in_files(sync):
    file = sync.folder / "plan"
    assert sync.run(f"--plan={file}", "--log-level", "debug").status == 0
    files = [p for p in sync.folder.rglob("*") if p.is_file()]
    assert {sync.store, file} <= set(files)
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path


def test_key_is_not_in_the_arguments(sync, upstream):
    gate = upstream.gate()
    upstream.script(PLANS, Answer(bundle([]), before=gate.wait))
    process = sync.start()
    upstream.wait_for(PLANS)
    with open(f"/proc/{process.pid}/cmdline", "rb") as file:
        assert KEY.encode() not in file.read()
    gate.set()
    assert sync.finish(process).status == 0


def test_key_stays_at_the_origin(sync, upstream, elsewhere):
    """A redirect and a next link to another server get nothing at all."""
    upstream.script(PLANS, Answer(status=302, headers=[
        ("Location", elsewhere.url + "/" + PLANS)]))
    sync.run().failed(76)
    upstream.script(PLANS, bundle([], next=elsewhere.url + "/" + PLANS))
    sync.run().failed(76)
    # The fixture fails when elsewhere saw a connection.


def test_log_lines_are_json(sync):
    ended = sync.run("--log-format", "json", "--log-level", "debug")
    assert ended.status == 0
    lines = ended.err.splitlines()
    assert lines
    for line in lines:
        assert isinstance(json.loads(line), dict)
