"""The way back: a run after which the data is that of an earlier version, for
those who ask anew and for those who follow."""
import json

import pytest

import model
from conftest import EMPTY, FILLED, KIND, folder_upstream
from stores import Record
from story import LET, QUIET, SEEDS, Story, check_all
from test_bulk_since import asked, auto
from test_consumer import PATHS, Consumer, Item
from test_guard import fill, shrink
from test_kill import CHANGED, Case, kill_at_every_step
from test_plan import plan_in, without_time
from upstream import ACTIVITIES
from web import make_key, start_server

STEPS = 12


def back(sync, to, *args, **options):
    return sync.run("rollback", "--to", to, "--reason", "nonsense", *args,
                    **options)


@pytest.fixture
def changed(filled):
    """A store of two versions."""
    url = folder_upstream(filled.folder / "changed", *CHANGED)
    assert filled.run(*LET, url=url).status == 0
    return filled


# What becomes of the data

def items(story, version):
    """What a consumer has of each list then."""
    return {name: {key: Item(model.decode(row.data), row.version)
                   for (c, key), row in story.then[version].items()
                   if c == name and not row.deleted} for name in PATHS}


@pytest.mark.parametrize("seed", SEEDS)
def test_model(bare, seed):
    """Runs and rollbacks, of rollbacks as well: one consumer follows, another
    one asks anew."""
    story = Story(bare, seed)
    story.run()
    server = start_server("lighttpd-cgi", bare.folder, store=bare.store)
    try:
        key = make_key(server, "consumer")
        follower = Consumer("follower", server, key)
        for _ in range(STEPS):
            to = None
            if story.chance.random() < 0.5:
                story.run()
            else:
                to = story.chance.randrange(1, story.version + 1)
                story.go_back(to)
                assert story.live(story.version) == story.live(to)
            follower.poll()
            fresh = Consumer("fresh", server, key)
            fresh.poll()
            assert follower.items == fresh.items == items(
                story, story.version)
            check_entry(bare.history("--limit", "1")[0], story, to)
        check_all(bare)
    finally:
        server.stop()
        server.end()


def check_entry(entry, story, to):
    assert entry["Version"] == story.version
    assert entry.get("Rollback") == (
        to and {"To": to, "Reason": f"to {to}"})
    for name in model.COLLECTIONS:
        for count in model.COUNTS:
            assert entry[name][count.title()] == story.model.tallies[
                name][count], (name, count)


def live(sync):
    return {where: record.data for where, record in
            sync.dump().records.items() if not record.deleted}


def test_there_and_back(filled):
    one = live(filled)
    url = folder_upstream(filled.folder / "changed", *CHANGED)
    assert filled.run(*LET, url=url).status == 0
    two = live(filled)
    assert one != two
    for to, version, wanted in (
            (1, 3, one), (2, 4, two), (3, 5, one), (4, 6, two)):
        assert back(filled, to, *LET).result["version"] == version
        assert live(filled) == wanted


def test_to_the_last_one(changed):
    """A run that has nothing to do."""
    before = changed.dump()
    result = back(changed, 2).result
    assert (result["version"], result["unchanged"]) == (3, sum(
        not record.deleted for record in before.records.values()))
    assert (result["added"], result["updated"], result["deleted"]) == (0, 0, 0)
    assert changed.dump().records == before.records


def test_the_next_run_goes_on(changed):
    """It brings what the upstream has, whatever was before."""
    then = live(changed)
    assert back(changed, 1, *LET).status == 0
    assert live(changed) != then
    url = folder_upstream(changed.folder / "again", *CHANGED)
    assert changed.run(*LET, url=url).result["version"] == 4
    assert live(changed) == then


def test_job_and_log(changed):
    ended = back(changed, 1, *LET, "--job-id", "way-back")
    assert "going back to version 1 of 20" in ended.err
    assert "nonsense" in ended.err
    job = json.loads(changed.run("status", "way-back", "--format",
                                 "json").out)["job"]
    assert (job["command"], job["state"]) == ("rollback", "Completed")
    assert job["result"] == ended.result
    assert len(job["collections"]) == 5
    assert all(count["fetched"] is None for count in job["collections"])


# What may hold it

def test_guard(sync, upstream):
    fill(sync, upstream, ACTIVITIES, 4)
    assert shrink(sync, upstream, ACTIVITIES, 40).status == 0
    before = sync.dump()
    for extra in (("--dry-run",), ()):
        ended = back(sync, 1, *extra)
        ended.failed(65, "ActivityDefinitions: 36 of 40 live",
                     "if that is meant, --max-delete 36 lets")
        assert "upstream" not in ended.err
        assert sync.dump() == before
    assert back(sync, 1, "--max-delete", "35").status == 65
    assert back(sync, 1, "--max-delete", "36").counts == (0, 0, 4, 36)


def test_a_collection_that_was_empty_then(sync, upstream):
    upstream.serve([], FILLED[1], FILLED[2])
    assert sync.run().status == 0
    upstream.serve(*FILLED)
    assert sync.run().status == 0
    before = sync.dump()
    back(sync, 1, "--max-delete", "99%").failed(
        65, "PlanDefinitions: that version has no record of it",
        "TreatmentGroups: that version has no record", "100%")
    assert sync.dump() == before
    assert back(sync, 1, *LET).counts == (0, 0, 9, 6)


def test_dry_run_is_the_later_run(changed):
    before = changed.dump()
    dry = back(changed, 1, *LET, "--dry-run", "--plan")
    assert changed.dump() == before
    real = back(changed, 1, *LET, "--plan")
    assert without_time(dry.result) == without_time(real.result)
    assert dry.result["version"] == 3
    assert plan_in(dry.err) == plan_in(real.err)
    assert len(plan_in(real.err)) == sum(real.counts) - real.counts[2] > 5


def test_unknown_versions(changed):
    before = changed.dump()
    for extra in (("--dry-run",), ()):
        back(changed, 3, *extra).failed(
            66, "--to: the last finished version of .* is 2; have 3")
        back(changed, 2**63 - 1, *extra).failed(66, "is 2; have 9")
    for value in ("0", "-1", "x", "1.0"):
        back(changed, value).failed(64, "--to: want a version")
    changed.run("rollback", "--to", "1").failed(64, "--reason")
    changed.run("rollback", "--reason", "x").failed(64, "--to")
    assert changed.dump() == before


def test_no_version_yet(bare):
    back(bare, 1).failed(74, "not there")
    assert bare.dump() == EMPTY
    assert bare.run("init").status == 0
    back(bare, 1).failed(66, "no finished version yet")


@pytest.mark.only_store("mongodb")
def test_a_version_that_was_never_finished(filled, upstream):
    url = folder_upstream(filled.folder / "changed", *CHANGED)
    assert filled.run(*LET, url=url,
                      env={"NOMPD_STORE_KILL_AT": "30"}).status < 0
    filled.expire_lease()
    assert filled.run(*LET, url=url).result["version"] == 3
    back(filled, 2).failed(66, "no finished version 2; the nearest are 1"
                           " and 3")
    assert back(filled, 1, *LET).result["version"] == 4


@pytest.mark.only_store("sqlite")
def test_older_than_what_is_kept(changed):
    KIND.change(changed.store, "UPDATE SyncMetadata SET StatesFrom = 2")
    back(changed, 1).failed(
        66, "version 1 cannot be shown any more", "from version 2 on")


@pytest.mark.only_store("sqlite")
@pytest.mark.parametrize("change,what", [
    ("Data = x'0500000000'", "its Data has another ContentHash"),
    ("Data = x'00'", "its Data is not BSON"),
    (f"ContentHash = '{'0' * 64}'", "its Data has another ContentHash")])
def test_a_damaged_state(changed, change, what):
    """It is not made a version once more."""
    KIND.change(changed.store, f"UPDATE RecordHistory SET {change} WHERE"
                " Collection = 'PlanDefinitions' AND BusinessKey = 'p2'")
    before = changed.dump()
    back(changed, 1, *LET).failed(
        74, "\"p2\" of PlanDefinitions as of version 1 is damaged", what,
        "nompd-sync verify")
    assert changed.dump() == before


# Runs that are killed

def test_every_step(changed):
    store = changed.new_store("before.db")
    KIND.copy(changed.store, store)
    kill_at_every_step(Case(changed, store, None, "rollback", "--to", "1",
                            "--reason", "killed", *LET))


# Bulk mode: what was not asked for since then is asked for once more

@pytest.fixture
def world(server):
    for i in range(3):
        server.world.put("Patient", f"p{i}", name="x")
    server.world.pass_time()
    return server.world


def follow(bulk, world, *args):
    """A run that gets what has changed; the store is as the world then."""
    assert auto(bulk, *LET, *args).status == 0
    assert bulk.records("Patient") == {
        reference.partition("/")[2]: model.on_the_wire(resource)
        for reference, resource in world.resources.items()}
    world.pass_time()


def test_bookmark(bulk, server, world):
    follow(bulk, world)
    for number in range(3):
        world.put("Patient", f"new{number}")
        world.put("Patient", "p0", name=str(number))
        follow(bulk, world)
    world.delete("Patient/p1")
    follow(bulk, world)
    assert back(bulk, 2, *LET).status == 0
    assert set(bulk.records("Patient")) == {"p0", "p1", "p2", "new0"}
    follow(bulk, world)
    times = asked(server)
    # What it asked for last is what it had asked for after version 2.
    assert times[5] == times[2] < times[3] < times[4]


@pytest.mark.parametrize("seed", SEEDS)
def test_bookmark_at_random(bulk, server, world, seed):
    """Two sources side by side, each with a bookmark of its own."""
    story = Story(bulk, seed)
    for version in range(1, 16):
        for _ in range(story.chance.randrange(4)):
            world.put("Patient", f"p{story.chance.randrange(9)}",
                      name=story.chance.choice("abc"))
            if len(world.resources) > 2 and story.chance.random() < 0.3:
                world.delete(story.chance.choice(sorted(world.resources)))
        world.pass_time()
        if version > 1 and story.chance.random() < 0.4:
            to = story.chance.randrange(1, version)
            assert back(bulk, to, *LET, *QUIET).result["version"] == version
        else:
            follow(bulk, world, *QUIET, *story.chance.choice(
                [(), ("--type", "Patient")]))


def test_a_type_that_came_later(bulk, world):
    follow(bulk, world)
    world.put("Basic", "b0")
    world.pass_time()
    assert auto(bulk).status == 0
    back(bulk, 1).failed(65, "Basic: that version has no record of it")
    assert back(bulk, 1, *LET).counts == (0, 0, 3, 1)
    assert bulk.tombstones("Basic") == {"b0"}
    assert auto(bulk).status == 0
    assert set(bulk.records("Basic")) == {"b0"}


def test_quarantine_stays(bulk, server, world):
    """It is no data of any version."""
    follow(bulk, world)
    KIND.make_collection(bulk.store, "Quarantine")
    data = model.encode({"line": "x"})
    KIND.put(bulk.store, "Quarantine", Record(
        "q", data, 1, 0, 1, model.content_hash({"line": "x"})))
    world.put("Patient", "later")
    follow(bulk, world)
    assert back(bulk, 1, *LET).counts == (0, 0, 3, 1)
    assert not bulk.dump().records["Quarantine", "q"].deleted
    assert "Quarantine" not in bulk.history("--limit", "1")[0]
