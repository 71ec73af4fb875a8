"""What runs have to do with the runs before: --since, --save, the bookmark,
the guard, and what is only said."""
import datetime

import pytest

from bulk_server import Export, File, deletions, patient
from conftest import EMPTY, KIND
from test_bulk_files import lines
from test_bulk_job import fails
from test_plan import lines_of
from upstream import Answer, dumps

MINUTES = 60


@pytest.fixture
def world(server):
    for i in range(4):
        server.world.put("Patient", f"p{i}", name="x")
    server.world.put("Basic", "b0")
    server.world.pass_time()
    return server.world


def moment(text):
    return datetime.datetime.fromisoformat(text)


def asked(server):
    """The _since of each job, as moments."""
    return [job.since() and moment(job.since()) for job in server.jobs]


def auto(bulk, *args, **options):
    return bulk.run("--since", "auto", *args, **options)


# Which time is asked for

def test_auto(bulk, server, world):
    """The time of the last run as the server said it, less the overlap."""
    times = []
    for _ in range(3):
        assert auto(bulk).status == 0
        times.append(world.now)
        world.pass_time()
    early = datetime.timedelta(minutes=10)
    assert asked(server) == [None, times[0] - early, times[1] - early]


@pytest.mark.parametrize("overlap,seconds", [
    ("0s", 0), ("1ms", 0.001), ("90s", 90), ("1d", 86400)])
def test_overlap(bulk, server, world, overlap, seconds):
    assert auto(bulk).status == 0
    bookmark = world.now
    world.pass_time()
    assert auto(bulk, "--overlap", overlap).status == 0
    assert asked(server)[1] == bookmark - datetime.timedelta(seconds=seconds)


def test_fractions_of_the_bookmark(bulk, server):
    """Not a microsecond of them is lost, and none is added."""
    server.exports = [Export(time="2025-01-01T00:00:00.123456+01:00")]
    assert auto(bulk).status == 0
    server.exports = [Export(time="2025-01-02T00:00:00Z")]
    assert auto(bulk, "--overlap", "0s").status == 0
    found = asked(server)[1]
    wanted = moment("2025-01-01T00:00:00.123456+01:00")
    assert datetime.timedelta(0) <= wanted - found
    assert wanted - found < datetime.timedelta(milliseconds=1)


@pytest.mark.parametrize("text", [
    "2024-01-01T00:00:00Z", "2024-01-01T00:00:00.123456+05:30"])
def test_a_timestamp(bulk, server, world, text):
    assert bulk.run("--since", text).status == 0
    world.pass_time()
    assert bulk.run("--since", text).status == 0
    assert [job.since() for job in server.jobs] == [text, text]


def test_a_timestamp_after_the_bookmark(bulk, server, world):
    """What changed between both is not lost: the bookmark stays."""
    assert auto(bulk).status == 0
    world.pass_time()
    world.put("Patient", "between")
    world.pass_time(60 * MINUTES)
    assert bulk.run("--since", world.instant(world.now)).status == 0
    assert "between" not in bulk.records("Patient")
    world.pass_time()
    assert auto(bulk).status == 0
    assert "between" in bulk.records("Patient")
    assert asked(server)[2] < asked(server)[1]


def test_since_of_the_environment(bulk, server, world):
    env = {"NOMPD_SINCE": "auto", "NOMPD_OVERLAP": "0s"}
    assert bulk.run(env=env).status == 0
    bookmark = world.now
    world.pass_time()
    assert bulk.run(env=env).status == 0
    world.pass_time()
    assert bulk.run("--full-refresh", env=env).status == 0
    assert asked(server) == [None, bookmark, None]


@pytest.mark.parametrize("args", [
    ("--type", "Patient"), ("--patients",), ("--group", "g1"),
    ("--type-filter", "Patient?name=x"), ("--elements", "id")], ids=str)
def test_another_question_begins_with_a_full_export(
        bulk, server, world, args):
    world.groups = {"g1": ["p1"]}
    assert auto(bulk).status == 0
    world.pass_time()
    # A part of the server would delete the rest.
    assert auto(bulk, *args, "--save", "merge").status == 0
    world.pass_time()
    assert auto(bulk, *args).status == 0
    world.pass_time()
    assert auto(bulk).status == 0
    assert [since is None for since in asked(server)] == [
        True, True, False, False]


def test_types_in_another_order_are_the_same_question(bulk, server, world):
    assert auto(bulk, "--type", "Patient,Basic").status == 0
    world.pass_time()
    assert auto(bulk, "--type", "Basic,Patient").status == 0
    assert None not in asked(server)[1:]


# When the bookmark moves

def bookmark_stays(bulk, server, world, fault):
    """A run that publishes nothing asks the next one the same."""
    assert auto(bulk, "--overlap", "0s").status == 0
    bookmark = world.now
    world.pass_time()
    before = bulk.dump()
    fault()
    assert bulk.dump() == before
    world.pass_time()
    assert auto(bulk, "--overlap", "0s", "--no-resume").status == 0
    assert asked(server)[-1] == bookmark


def test_bookmark_after_bad_data(bulk, server, world):
    def fault():
        server.exports = [Export([lines("nonsense")],
                                 time=world.instant(world.now))]
        auto(bulk, "--overlap", "0s").failed(76)
        server.exports = []
    bookmark_stays(bulk, server, world, fault)


def test_bookmark_after_a_failure(bulk, server, world):
    def fault():
        server.polls = [Answer(status=500)]
        auto(bulk, "--overlap", "0s").failed(69)
        server.polls = []
    bookmark_stays(bulk, server, world, fault)


def test_bookmark_after_a_dry_run(bulk, server, world):
    bookmark_stays(bulk, server, world, lambda: auto(
        bulk, "--overlap", "0s", "--dry-run").result)


def test_bookmark_after_a_kill(bulk, server, world):
    def fault():
        env = {"NOMPD_STORE_KILL_AT": "1"}
        assert auto(bulk, "--overlap", "0s", env=env).status == -9
        bulk.expire_lease()
    bookmark_stays(bulk, server, world, fault)


def test_the_end_of_a_quarantine(bulk, server, world):
    """A full export without the bad line: it is good now, or gone.  What is put
    aside is none of the records that are counted."""
    server.exports = [Export([lines(dumps(patient("q")), "nonsense")],
                             time=world.instant(world.now))]
    args = ("--on-bad-record", "quarantine")
    assert bulk.run(*args).counts == (1, 0, 0, 0)
    world.pass_time()
    server.exports = [Export([File("Patient", [patient("q")])],
                             time=world.instant(world.now))]
    assert auto(bulk, *args).counts == (0, 0, 1, 0)
    assert len(bulk.records("Quarantine")) == 1
    world.pass_time()
    server.exports[0].time = world.instant(world.now)
    assert bulk.run(*args).counts == (0, 0, 1, 0)
    assert bulk.records("Quarantine") == {}


# What is saved how

def test_increments(bulk, server, world):
    assert auto(bulk).counts == (5, 0, 0, 0)
    world.pass_time()
    world.put("Patient", "p1", name="y")
    world.put("Patient", "p9", name="y")
    world.delete("Patient/p2")
    assert auto(bulk).counts == (1, 1, 0, 1)
    assert bulk.records("Patient")["p1"]["name"] == "y"
    assert set(bulk.records("Patient")) == {"p0", "p1", "p3", "p9"}
    assert bulk.tombstones("Patient") == {"p2"}
    world.pass_time(5 * MINUTES)
    # The overlap brings the same again.
    assert auto(bulk).counts == (0, 0, 2, 0)
    world.pass_time()
    world.put("Patient", "p2", name="back")
    assert auto(bulk).counts == (0, 1, 2, 0)
    assert bulk.tombstones("Patient") == set()
    world.pass_time()
    assert auto(bulk).counts == (0, 0, 1, 0)


def test_full_refresh(bulk, server, world):
    """It finds what the increments were not told."""
    world.lists_deleted = False
    assert auto(bulk).counts == (5, 0, 0, 0)
    world.pass_time()
    world.delete("Patient/p2")
    assert auto(bulk).counts == (0, 0, 0, 0)
    assert "p2" in bulk.records("Patient")
    world.pass_time()
    assert auto(bulk, "--full-refresh").counts == (0, 0, 4, 1)
    assert bulk.tombstones("Patient") == {"p2"}
    assert asked(server)[2] is None


def test_reconcile_every(bulk, server, world):
    """Every so many runs the store is made equal to the server."""
    world.lists_deleted = False
    args = ("--reconcile-every", "3")
    gone = []
    for i in range(7):
        if i in (1, 4):
            world.delete(f"Patient/p{i % 4}")
        assert auto(bulk, *args).status == 0
        gone.append(len(bulk.tombstones("Patient")))
        world.pass_time()
    kinds = [since is None for since in asked(server)]
    assert kinds[0] and sum(kinds[1:]) == 2
    second, third = [i for i in range(1, 7) if kinds[i]]
    assert third - second == 3
    assert second in (2, 3)
    for i, count in enumerate(gone):
        assert count == (2 if i >= third and third > 4 else
                         1 if i >= second else 0)


def test_reconcile_counts_across_no_failures(bulk, server, world):
    """Runs that failed are no runs."""
    args = ("--reconcile-every", "2", "--no-resume")
    for i in range(4):
        world.pass_time()
        assert auto(bulk, *args).status == 0
        server.polls = [Answer(status=500)]
        world.pass_time()
        auto(bulk, *args).failed(69)
        server.polls = []
    good = [since is None for since in asked(server)[::2]]
    assert good.count(True) == 2
    assert good[0]


def test_merge_of_a_full_export(bulk, server, world):
    assert bulk.run().counts == (5, 0, 0, 0)
    world.pass_time()
    world.delete("Patient/p2")
    assert bulk.run("--save", "merge").counts == (0, 0, 4, 0)
    assert "p2" in bulk.records("Patient")
    world.pass_time()
    assert bulk.run("--save", "overwrite").counts == (0, 0, 4, 1)


@pytest.mark.parametrize("since", ["auto", "2025-01-01T00:00:00Z"])
def test_an_increment_cannot_overwrite(bulk, server, world, since):
    if since == "auto":
        assert auto(bulk).status == 0
    jobs = len(server.jobs)
    before = bulk.dump()
    bulk.run("--since", since, "--save", "overwrite").failed(64, "--save")
    assert len(server.jobs) == jobs
    assert bulk.dump() == before


# The guard

def fill(bulk, world, count):
    for i in range(count):
        world.put("Patient", f"g{i}")
    assert bulk.run().status == 0
    world.pass_time()


@pytest.mark.parametrize("left", [0, 9])
def test_held(bulk, server, world, left):
    """Nothing is written, and the job is deleted."""
    fill(bulk, world, 26)
    for reference in list(world.resources)[left:]:
        if reference.startswith("Patient/"):
            world.delete(reference)
    fails(bulk, server, 65, "Patient", r"\b30\b", "--max-delete")
    world.pass_time()
    ended = bulk.run("--max-delete", "100%")
    assert ended.result["deleted"] == len(bulk.tombstones("Patient"))
    assert len(server.jobs) == 3


def test_held_increment(bulk, server, world):
    """Deletions that are named are judged, too."""
    fill(bulk, world, 26)
    for i in range(26):
        world.delete(f"Patient/g{i}")
    fails(bulk, server, 65, "Patient", r"\b26\b", r"\b30\b",
          args=("--since", "auto"))
    world.pass_time()
    assert auto(bulk, "--max-delete", "100%").result["deleted"] == 26


def test_an_empty_export_is_held(bulk, server, world):
    """200 and nothing in it is suspect."""
    fill(bulk, world, 0)
    server.exports = [Export(time="2025-09-01T00:00:00Z")]
    fails(bulk, server, 65, "Patient|Basic")


def test_an_empty_increment_is_not_held(bulk, server, world):
    fill(bulk, world, 0)
    assert auto(bulk, "--overlap", "0s").counts == (0, 0, 0, 0)
    assert bulk.last_bulk()["Since"]


# What is only said

@pytest.mark.parametrize("since", [(), ("--since", "auto")])
def test_dry_run(bulk, server, world, since):
    """It writes nothing, and what it asked the server for goes."""
    ended = bulk.run(*since, "--dry-run")
    assert ended.counts == (5, 0, 0, 0)
    assert bulk.dump() == EMPTY
    assert not KIND.exists(bulk.store)
    assert bulk.spooled() == []
    assert server.job.is_deleted
    assert bulk.run(*since).counts == (5, 0, 0, 0)
    world.pass_time()
    world.delete("Patient/p1")
    world.put("Patient", "p2", name="z")
    before = bulk.dump()
    dry = bulk.run(*since, "--overlap", "0s", "--dry-run") if since else (
        bulk.run("--dry-run"))
    assert bulk.dump() == before
    world.pass_time()
    real = bulk.run(*since, "--overlap", "0s") if since else bulk.run()
    assert real.counts == dry.counts
    assert real.result["version"] == dry.result["version"] == 2
    assert all(job.is_deleted for job in server.jobs)


@pytest.mark.parametrize("since", [(), ("--since", "auto")])
def test_plan(bulk, server, world, since):
    assert bulk.run(*since).status == 0
    world.pass_time()
    world.delete("Patient/p1")
    world.put("Patient", "p2", name="z")
    world.put("Basic", "b1")
    file = bulk.folder / "plan"
    ended = bulk.run(*since, f"--plan={file}")
    assert ended.counts[:2] == (1, 1) and ended.counts[3] == 1
    assert lines_of(file.read_text()) == {
        ("Patient", "Patient/p1", "delete"),
        ("Patient", "Patient/p2", "update"), ("Basic", "Basic/b1", "add")}


def test_nothing_is_left(bulk, server, world):
    """Neither a spool nor a temporary file, nor a note of the job."""
    server.exports = [Export([File("Patient", [patient(str(i))])
                              for i in range(5)],
                             [File("Bundle", [deletions("Patient/x")])])]
    assert bulk.run().status == 0
    assert bulk.spooled() == []
    server.exports = [Export(time="2025-09-01T00:00:00Z")]
    assert bulk.run("--save", "merge").status == 0
    assert len(server.jobs) == 2
