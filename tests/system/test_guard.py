"""Too many deletions hold a run before anything is written."""
import pytest

from upstream import (
    ACTIVITIES, AUTHORIZATIONS, LISTS, PLANS, activity, bundle, many)

NAMES = {PLANS: "PlanDefinitions", ACTIVITIES: "ActivityDefinitions",
         AUTHORIZATIONS: "RegulatedAuthorizations"}


def fill(sync, upstream, path, live):
    upstream.serve()
    upstream.script(path, bundle(many(path, live)))
    assert sync.run("--max-delete", "100%").status == 0


def shrink(sync, upstream, path, live, *args):
    upstream.script(path, bundle(many(path, live)))
    return sync.run(*args)


def held(sync, ended, before, name, lost, live):
    ended.failed(65, name, rf"\b{lost}\b", rf"\b{live}\b", "--max-delete")
    assert sync.dump() == before


# live before, live after, arguments, let through?
CASES = [
    (20, 10, (), True), (20, 9, (), False), (10, 1, (), True),
    (55, 44, (), True), (54, 43, (), False), (60, 48, (), True),
    (59, 47, (), False), (11, 1, (), True), (12, 1, (), False),
    (5, 1, (), True), (5, 0, (), False), (1, 0, (), False),
    (20, 9, ("--max-delete", "55%"), True),
    (20, 9, ("--max-delete", "54%"), False),
    (20, 10, ("--max-delete", "0%"), True),
    (20, 9, ("--max-delete", "0%"), False),
    (20, 1, ("--max-delete", "95%"), True),
    (20, 1, ("--max-delete", "99%"), True),
    (20, 1, ("--max-delete", "94%"), False),
    (20, 0, ("--max-delete", "99%"), False),
    (20, 0, ("--max-delete", "100%"), True),
    (20, 0, ("--max-delete", "20"), False),
    (20, 0, ("--max-delete", "1000"), False),
    (20, 17, ("--max-delete", "3"), True),
    (20, 16, ("--max-delete", "3"), False),
    (20, 19, ("--max-delete", "0"), False),
    (20, 20, ("--max-delete", "0"), True),
    (20, 1, ("--max-delete", "19"), True),
    (20, 1, ("--max-delete", "18"), False),
]


@pytest.mark.parametrize("live,left,args,through", CASES)
def test_boundaries(sync, upstream, live, left, args, through):
    fill(sync, upstream, ACTIVITIES, live)
    before = sync.dump()
    for extra in (("--dry-run",), ()):
        ended = shrink(sync, upstream, ACTIVITIES, left, *args, *extra)
        if through:
            assert ended.counts == (0, 0, left, live - left)
        else:
            held(sync, ended, before, NAMES[ACTIVITIES], live - left, live)
        if extra:
            assert sync.dump() == before


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("left", [0, 3])
def test_any_collection(sync, upstream, path, left):
    fill(sync, upstream, path, 30)
    before = sync.dump()
    ended = shrink(sync, upstream, path, left)
    held(sync, ended, before, NAMES[path], 30 - left, 30)
    ended = shrink(sync, upstream, path, left, "--max-delete", "100%")
    times = 1 if path == ACTIVITIES else 2
    assert ended.result["deleted"] == times * (30 - left)


def test_environment(sync, upstream):
    fill(sync, upstream, ACTIVITIES, 30)
    upstream.serve()
    env = {"NOMPD_MAX_DELETE": "100%"}
    assert sync.run(env=env).result["deleted"] == 30


def test_tombstones_are_not_live(sync, upstream):
    """Of 60 records 40 are left, so that 12 are more than a fifth."""
    fill(sync, upstream, ACTIVITIES, 60)
    ended = shrink(sync, upstream, ACTIVITIES, 40, "--max-delete", "100%")
    assert ended.result["deleted"] == 20
    before = sync.dump()
    ended = shrink(sync, upstream, ACTIVITIES, 28)
    held(sync, ended, before, NAMES[ACTIVITIES], 12, 40)


def test_all_dead_already(sync, upstream):
    fill(sync, upstream, ACTIVITIES, 5)
    ended = shrink(sync, upstream, ACTIVITIES, 0, "--max-delete", "100%")
    assert ended.result["deleted"] == 5
    assert shrink(sync, upstream, ACTIVITIES, 0).counts == (0, 0, 0, 0)


def test_additions_do_not_hide_deletions(sync, upstream):
    fill(sync, upstream, ACTIVITIES, 20)
    before = sync.dump()
    upstream.script(ACTIVITIES, bundle(many(ACTIVITIES, 40, "new")))
    held(sync, sync.run(), before, NAMES[ACTIVITIES], 20, 20)


def test_only_records_without_a_key(sync, upstream):
    fill(sync, upstream, ACTIVITIES, 3)
    before = sync.dump()
    upstream.script(ACTIVITIES, bundle([activity("")] * 5))
    held(sync, sync.run(), before, NAMES[ACTIVITIES], 3, 3)


def test_held_twice_then_let_through(sync, upstream):
    fill(sync, upstream, ACTIVITIES, 30)
    before = sync.dump()
    for _ in range(2):
        held(sync, shrink(sync, upstream, ACTIVITIES, 5), before,
             NAMES[ACTIVITIES], 25, 30)
    ended = shrink(sync, upstream, ACTIVITIES, 5, "--max-delete", "25")
    assert ended.result["version"] == 2


def test_outputs_are_not_judged(sync, upstream):
    """Groups may vanish with a raw list that is let through."""
    fill(sync, upstream, PLANS, 50)
    assert shrink(sync, upstream, PLANS, 40).counts == (0, 0, 80, 20)
