"""--dry-run and --plan: what a run would do, without doing it."""
import json
import re

import pytest

import model
from conftest import FILLED, KIND
from upstream import (
    ACTIVITIES, AUTHORIZATIONS, PLANS, Answer, activity, authorization,
    bundle, plan)

LINE = re.compile(
    r'\{"collection":"\w+","key":".*","act":"(add|update|delete)"\}')
CHANGED = {
    ("PlanDefinitions", "p3", "delete"),
    ("PlanDefinitions", "p4", "add"),
    ("ActivityDefinitions", "a1", "update"),
    ("TreatmentGroups", "p1", "update"),
    ("TreatmentGroups", "p3", "delete"),
    ("TreatmentGroups", "p4", "add"),
    ("RegulatedAuthorizations", 'r"4\n', "add"),
    ("ReimbursementGroups", 'r"4\n', "add"),
}


def change(upstream):
    upstream.serve([*FILLED[0][:2], plan("p4")],
                   [activity("a1", "777777"), *FILLED[1][1:]],
                   [*FILLED[2], authorization('r"4\n')])


def lines_of(text):
    """The plan's lines as a set; each in the one form there is."""
    found = []
    for line in text.splitlines():
        assert LINE.fullmatch(line), line
        found.append(tuple(json.loads(line).values()))
    assert len(found) == len(set(found))
    return set(found)


def plan_in(err):
    return lines_of("\n".join(line for line in err.splitlines()
                              if line.startswith('{"collection"')))


def without_time(result):
    return {n: v for n, v in result.items() if n != "durationMs"}


def test_dry_run_is_the_later_run(filled, upstream):
    change(upstream)
    before = filled.dump()
    dry = filled.run("--dry-run")
    assert filled.dump() == before
    assert dry.result["version"] == 2
    assert without_time(filled.run().result) == without_time(dry.result)
    assert dry.counts == (4, 2, 11, 2)


def test_dry_run_without_a_change(filled):
    before = filled.dump()
    assert filled.run("--dry-run").counts == (0, 0, 15, 0)
    assert filled.dump() == before


def test_dry_run_makes_no_store(sync):
    ended = sync.run("--dry-run")
    assert ended.counts == (15, 0, 0, 0)
    assert ended.result["version"] == 1
    assert [p.name for p in sync.folder.iterdir()] == ["tmp"]
    assert not KIND.exists(sync.store)


@pytest.mark.only_store("sqlite")
def test_dry_run_leaves_every_byte(filled, upstream):
    change(upstream)
    def files():
        return {p.name: p.read_bytes() for p in filled.folder.iterdir()
                if p.is_file() and p.name.startswith("store.db")}
    before = files()
    assert filled.run("--dry-run").status == 0
    assert files()["store.db"] == before["store.db"]


def test_dry_run_on_an_empty_store(sync):
    assert sync.run("init").status == 0
    ended = sync.run("--dry-run")
    assert ended.result["version"] == 1
    assert ended.counts == (15, 0, 0, 0)
    assert sync.dump().records == {}


@pytest.mark.parametrize("store", ["sync", "filled"])
@pytest.mark.parametrize("dry", [("--dry-run",), ()])
def test_plan_file(request, upstream, store, dry):
    program = request.getfixturevalue(store)
    change(upstream)
    file = program.folder / "plan.ndjson"
    ended = program.run(f"--plan={file}", *dry)
    assert ended.status == 0
    found = lines_of(file.read_text())
    if store == "filled":
        assert found == CHANGED
    else:
        assert {act for _, _, act in found} == {"add"}
        assert len(found) == ended.result["added"] == 17


@pytest.mark.parametrize("dry", [("--dry-run",), ()])
@pytest.mark.parametrize("level", ["error", "debug"])
def test_plan_on_standard_error(filled, upstream, dry, level):
    change(upstream)
    ended = filled.run("--plan", "--log-level", level, *dry)
    assert ended.status == 0
    assert plan_in(ended.err) == CHANGED


def test_plan_without_a_change(filled):
    file = filled.folder / "plan"
    assert filled.run(f"--plan={file}").status == 0
    assert file.read_text() == ""


def test_plan_file_is_replaced(filled, upstream):
    file = filled.folder / "plan"
    file.write_text("x" * 10000)
    change(upstream)
    assert filled.run(f"--plan={file}", "--dry-run").status == 0
    assert lines_of(file.read_text()) == CHANGED


def test_plan_back_from_the_dead(filled, upstream):
    upstream.script(AUTHORIZATIONS, bundle(FILLED[2][:2]))
    assert filled.run().status == 0
    upstream.script(AUTHORIZATIONS, bundle(FILLED[2]))
    file = filled.folder / "plan"
    assert filled.run(f"--plan={file}").status == 0
    assert lines_of(file.read_text()) == {
        ("RegulatedAuthorizations", "r3", "update"),
        ("ReimbursementGroups", "r3", "update")}


@pytest.mark.parametrize("name", ["folder", "missing/plan"])
@pytest.mark.parametrize("dry", [("--dry-run",), ()])
def test_plan_that_cannot_be_written(filled, name, dry):
    (filled.folder / "folder").mkdir()
    before = filled.dump()
    ended = filled.run(f"--plan={filled.folder / name}", *dry)
    assert ended.status not in (0, 70, -6, -11)
    ended.failed(ended.status, "plan")
    assert filled.dump() == before


def test_dry_run_beside_a_run(filled, upstream):
    gate = upstream.gate()
    answers = list(upstream.answers[f"/api/{PLANS}"])
    upstream.script(PLANS, Answer(answers[0].body, before=gate.wait),
                    *answers)
    process = filled.start()
    upstream.wait_for(PLANS)
    assert filled.run("--dry-run").counts == (0, 0, 15, 0)
    assert process.poll() is None
    gate.set()
    assert filled.finish(process).counts == (0, 0, 15, 0)


@pytest.mark.parametrize("answer,status", [
    (Answer("x"), 76), (Answer(status=500), 69), (Answer(status=401), 77)])
def test_dry_run_fails_like_a_run(filled, upstream, answer, status):
    upstream.script(ACTIVITIES, answer)
    before = filled.dump()
    filled.run("--dry-run").failed(status)
    assert filled.dump() == before


@pytest.mark.only_store("sqlite")
def test_dry_run_of_what_is_not_ours(sync):
    sync.store.write_text("something else, " * 1000)
    sync.run("--dry-run").failed(74, "store.db")


def test_all_collections_are_planned(sync, upstream):
    ended = sync.run("--dry-run", "--plan")
    assert {c for c, _, _ in plan_in(ended.err)} == set(model.COLLECTIONS)


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
@pytest.mark.only_store("sqlite")
def test_a_store_stays(filled, dry):
    """That was named by mistake."""
    before = filled.dump()
    filled.run(*dry, f"--plan={filled.store}").failed(
        74, "--plan", "is a database", "name another file")
    assert filled.dump() == before


def test_plan_in_no_folder(sync):
    """It is said before anything is fetched."""
    sync.run(f"--plan={sync.folder}/none/plan").failed(74, "--plan", "none")
