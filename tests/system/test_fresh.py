"""How old the data is: only a run that fetches makes it younger, whoever asks.
"""
import datetime
import json
import time

import pytest

import seals
import stores
from conftest import FILLED, KIND, folder_upstream
from story import LET, QUIET, check_all
from test_jobs_lost import Clock
from test_serve_api import metrics
from test_verify import damage_of
from upstream import plan
from web import make_key, start_server

DAY = 86400
AGE = 39        # days of what was fetched last
LAST = 2        # its version
NOW = 600       # seconds that a test may take

WRONG = "0" * 64


def damage(sync):
    damage_of(sync.store).record("TreatmentGroups", "p1", JsonHash=WRONG)


# What fetches nothing: what goes before, and the command.
INWARD = {
    "prune": (None, ["prune", "--states-older-than", "30d"]),
    "prune of the history": (None, ["prune", "--history-older-than", "39d"]),
    "rollback": (None, ["rollback", "--to", "1", "--reason", "bad", *LET]),
    "reconvert": (None, ["reconvert"]),
    "repair": (damage, ["verify", "--repair"]),
}


@pytest.fixture
def old(bare, tmp_path):
    """A store whose last run was long ago."""
    plans, activities, authorizations = FILLED
    clock = Clock(tmp_path)
    for age, lists in ((AGE + 1, FILLED), (AGE, (
            [plan("p1", "a1", name="New"), *plans[1:]], activities,
            authorizations))):
        clock.put(-age * DAY)
        bare.url = folder_upstream(tmp_path / f"at-{age}", *lists)
        assert bare.run(*LET, *QUIET, env=clock.env).status == 0
    bare.fetched = bare.history()[0]["SyncedAt"]
    return bare


def run(sync, name):
    before, args = INWARD[name]
    if before:
        before(sync)
    ended = sync.run(*args, *QUIET)
    assert ended.status == 0, ended.err
    return sync.history()[0]


def instant(text):
    return datetime.datetime.fromisoformat(
        text.replace("Z", "+00:00")).timestamp()


def status(sync, ends, *args, store=None):
    place = ("--store", stores.uri(store)) if store else ()
    ended = sync.run("status", "--format", "json", *place, *args)
    assert ended.status == ends, ended.err
    answer = json.loads(ended.out)
    assert answer["isFresh"] is (ends == 0)
    return answer["lastFinished"], ended.err


def check_old(sync, version, store=None):
    """By the store alone."""
    found, said = status(sync, 1, store=store)
    assert (found["version"], found["fetchedAt"]) == (version, sync.fetched)
    assert 0 <= found["ageSeconds"] - AGE * DAY < NOW
    status(sync, 0, "--max-age", f"{AGE + 1}d", store=store)
    return found, said


@pytest.mark.parametrize("name", INWARD)
def test_nothing_is_fetched(old, name):
    assert check_old(old, LAST)[1].count("the last finished run, version") == 1
    entry = run(old, name)
    found, said = check_old(old, LAST + 1)
    assert found["at"] == entry["SyncedAt"] > old.fetched
    assert f"the last run that fetched, before version {LAST + 1}" in said
    shown = old.run("status").out
    assert "last fetch" in shown and old.fetched[:19] in shown
    check_all(old)
    seals.read(old.store).entries[-1].document()["FetchedAt"]
    # Also over one that has fetched nothing itself; and then the data is new.
    assert old.run("reconvert", *QUIET).status == 0
    check_old(old, LAST + 2)
    assert old.run(*LET, *QUIET).status == 0
    found, _ = status(old, 0)
    assert found["fetchedAt"] == found["at"]
    assert "last fetch" not in old.run("status").out
    assert "FetchedAt" not in seals.read(old.store).entries[-1].document()
    check_all(old)


def test_health_and_metrics(old, tmp_path):
    run(old, "prune")
    server = start_server("lighttpd-cgi", tmp_path, store=old.store)
    try:
        server.key = make_key(server, "hospital-a")
        fetched = old.fetched[:19] + "Z"
        for query, code in (("", 200), ("?maxAge=26h", 503),
                            (f"?maxAge={AGE + 1}d", 200)):
            answer = server.request("GET", "/health/ready" + query)
            assert answer.status == code
            found = answer.json()
            assert found["version"] == LAST + 1
            assert found["syncedAt"] > found["fetchedAt"] == fetched
            assert 0 <= found["ageSeconds"] - AGE * DAY < NOW
        found = metrics(server)
        assert found["nompd_last_version"].samples == {(): str(LAST + 1)}
        at = found["nompd_last_success_timestamp_seconds"].samples[()]
        assert float(at) == instant(old.fetched)
        age = int(found["nompd_last_success_age_seconds"].samples[()])
        assert 0 <= age - AGE * DAY < NOW
    finally:
        server.stop()


def test_metrics_file(old):
    path = old.folder / "nompd.prom"
    ended = old.run(*INWARD["prune"][1], "--metrics-file", path)
    assert ended.status == 0, ended.err
    samples = dict(line.rsplit(" ", 1) for line in
                   path.read_text().splitlines() if line[0] != "#")
    found = {name.split("{")[0]: value for name, value in samples.items()}
    assert found["nompd_last_version"] == str(LAST + 1)
    assert float(found["nompd_last_success_timestamp_seconds"]) == instant(
        old.fetched)
    assert float(found["nompd_run_end_timestamp_seconds"]) > time.time() - NOW


def test_copy(old):
    run(old, "rollback")
    target = old.new_store("copy.db")
    ended = old.run("copy", "--from", stores.uri(old.store), "--to",
                    stores.uri(target), *QUIET)
    assert ended.status == 0, ended.err
    check_old(old, LAST + 1, target)


def test_entries_of_an_older_program(old):
    """They count as they are, and a run that fetches nothing counts on."""
    history = seals.read(old.store)
    for entry in history.entries:
        entry.seal = None
    seals.write(old.store, history)
    check_old(old, LAST)
    run(old, "reconvert")
    check_old(old, LAST + 1)
    history = seals.read(old.store)
    history.entries[-1].seal = None
    seals.write(old.store, history)
    found, _ = status(old, 0)
    assert found["fetchedAt"] == found["at"]


def test_first_of_all(bare):
    """There is no time before it that could be told."""
    assert bare.run("init").status == 0
    assert bare.run("reconvert").status == 0
    assert "FetchedAt" not in seals.read(bare.store).entries[0].document()
    found, _ = status(bare, 0)
    assert found["fetchedAt"] == found["at"]
    assert KIND.exists(bare.store)
