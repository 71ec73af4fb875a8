"""Corners where one promise meets another."""
import os
import signal
import subprocess

import pytest

from conftest import EMPTY, FILLED, KEY, folder_upstream
from upstream import (
    ACTIVITIES, LISTS, PLANS, Answer, activity, bundle, dumps, outcome, plan)


@pytest.mark.parametrize("answer", [
    Answer(raw=b"HTTP/1.1 204 No Content\r\n\r\n"),
    Answer(b"", headers=[("Content-Encoding", "gzip")])],
    ids=["204", "empty gzip"])
def test_complete_and_empty_is_final(filled, upstream, answer):
    before = filled.dump()
    asked = len(upstream.requests(ACTIVITIES))
    upstream.script(ACTIVITIES, answer)
    filled.run("--retries", "2").failed(76, "empty body")
    assert len(upstream.requests(ACTIVITIES)) == asked + 1
    assert filled.dump() == before


def test_first_run_keeps_others_out_by_the_lease(sync, upstream):
    """Also in the store's first run a second one finds the lease."""
    gate = upstream.gate()
    upstream.serve(*FILLED)
    answer = upstream.answers[f"/api/{PLANS}"][0]
    upstream.script(PLANS, Answer(answer.body, before=gate.wait), answer)
    sync.url = upstream.url
    process = sync.start()
    upstream.wait_for(PLANS)
    sync.run().failed(75)
    assert sync.run("init").status == 0
    assert sync.run("history").status == 0
    gate.set()
    assert sync.finish(process).result["version"] == 1


def test_one_lease_behind_a_link_to_nothing_yet(sync, upstream):
    link = sync.folder / "link.db"
    link.symlink_to(sync.store.name)
    gate = upstream.gate()
    upstream.serve(*FILLED)
    answer = upstream.answers[f"/api/{PLANS}"][0]
    upstream.script(PLANS, Answer(answer.body, before=gate.wait), answer)
    sync.url = upstream.url
    process = sync.start("--store", f"sqlite:{link}")
    upstream.wait_for(PLANS)
    sync.run().failed(75)
    gate.set()
    assert sync.finish(process).result["version"] == 1


@pytest.mark.parametrize("name", [":memory:", "file:x.db?mode=memory"])
def test_a_path_is_a_path(sync, tmp_path, name):
    url = folder_upstream(tmp_path / "up", *FILLED)
    for version in (1, 2):
        ended = sync.run("--store", f"sqlite:{name}", url=url, key=None)
        assert ended.result["version"] == version
    assert (sync.folder / name).exists()


def test_folder_with_slashes_behind(sync, tmp_path):
    url = folder_upstream(tmp_path / "up", *FILLED)
    assert sync.run(url=url + "//", key=None).result["version"] == 1


def test_link_with_a_nul(sync, tmp_path):
    url = folder_upstream(tmp_path / "up", *FILLED)
    (tmp_path / "up" / (ACTIVITIES + ".json")).write_text(
        dumps(bundle([activity("a1")], next="a%00b")))
    sync.run(url=url, key=None).failed(76, "ActivityDefinition")
    assert sync.dump() == EMPTY


@pytest.mark.parametrize("length", range(440, 512, 7))
def test_key_echoed_and_cut(filled, upstream, length):
    """Foreign text may be cut in the middle of the key it repeats."""
    upstream.script(PLANS, Answer(outcome("." * length + KEY), 401))
    ended = filled.run()
    ended.failed(77)
    for size in range(8, len(KEY) + 1):
        assert KEY[:size] not in ended.err


def test_key_in_the_wrong_place(sync):
    sync.url = "https://127.0.0.1:1/"
    for variable, args in (
            ({"NOMPD_UPSTREAM_API_KEY_FILE": "S3cr3tKey"}, ()),
            ({}, ("--upstream-key-header", "X-API-KEY: S3cr3tKey")),
            ({}, ("--upstream-key", "-S3cr3tKey"))):
        ended = sync.run(*args, key=None, env=variable)
        ended.failed(64)
        assert "S3cr3tKey" not in ended.err


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_signal_while_the_plan_has_no_reader(filled, upstream, dry):
    fifo = filled.folder / "fifo"
    os.mkfifo(fifo)
    upstream.serve([plan("new")], *FILLED[1:])
    before = filled.dump()
    asked = {path: len(upstream.requests(path)) for path in LISTS}
    process = filled.start(f"--plan={fifo}", "--max-delete", "100%", *dry,
                           "--log-level", "debug")
    for path in LISTS:
        upstream.wait_for(path, asked[path] + 1)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGTERM)
    ended = filled.finish(process)
    assert ended.status in (-signal.SIGTERM, 143)
    assert ended.out == ""
    assert filled.dump() == before


def test_deadline_inside_one_plan(sync, tmp_path):
    """One plan with very many actions does not outlast the deadline."""
    large = [activity(f"a{i}", purpose="x" * 7_500_000) for i in range(2)]
    actions = [{"definitionCanonical": f"a{i % 2}"} for i in range(60_000)]
    url = folder_upstream(tmp_path / "up", [plan("p1", action=actions)],
                          large, [])
    ended = sync.run("--deadline", "5s", url=url, key=None)
    # On a very slow machine it may pass while the lists are read.
    assert ended.status in (74, 69), ended.err
    assert "deadline" in ended.err
    assert sync.dump() == EMPTY


def test_plan_beside_what_a_killed_run_left(filled):
    """In a container every run has the same process id."""
    plan_file = filled.folder / "plan"
    leave = ["sh", "-c", ': >"$0.$$.tmp"; exec "$@"', str(plan_file)]
    ended = filled.run(f"--plan={plan_file}", wrap=leave)
    assert ended.status == 0, ended.err
    assert plan_file.exists()
    assert not list(filled.folder.glob("plan.*"))
