"""diff, and show of other times: against a model, for each pair of versions."""
import datetime
import json
import random
import re

import pytest

import model
import stores
from conftest import FILLED, KIND, rows
from stores import few
from test_model import Generator, publish
from upstream import ACTIVITIES, PLANS, activity, bundle, number, plan

OUTPUTS = model.COLLECTIONS[3:]
RUNS = 6
SHOWN = 40          # questions for a record of another time, of each world
ARROW = "\u2192"


# RFC 6902, 4, and RFC 6901, 4

def steps_of(pointer):
    assert pointer.startswith("/")
    return [step.replace("~1", "/").replace("~0", "~")
            for step in pointer[1:].split("/")]


def place_of(holder, step, is_add=False):
    """An index or a name, which has to be there, or must not."""
    if isinstance(holder, dict):
        assert (step in holder) != is_add
        return step
    assert re.fullmatch(r"0|[1-9]\d*", step)
    assert int(step) < len(holder) + is_add
    return int(step)


def apply(document, patch):
    """Changes the document; checks that each operation says what was there."""
    for operation in patch:
        *path, last = steps_of(operation["path"])
        holder, op = document, operation["op"]
        for step in path:
            holder = holder[place_of(holder, step)]
        place = place_of(holder, last, op == "add")
        if op == "add" and isinstance(holder, list):
            holder.insert(place, operation["value"])
            continue
        if op != "add":
            assert same(holder.pop(place), operation["was"])
        if op == "replace" and isinstance(holder, list):
            holder.insert(place, operation["value"])
        elif op != "remove":
            holder[place] = operation["value"]


def same(one, other):
    """But for the order of members, as ContentHash has it."""
    return model.encode([one], True) == model.encode([other], True)


def live(state, names):
    return {(name, key): model.decode(row.data)
            for (name, key), row in state.items()
            if name in names and not row.deleted}


def ask_diff(sync, *args):
    """The lines of the answer."""
    ended = sync.run("diff", "--format", "json", *args, key=None)
    assert ended.status == 0, ended.err
    return [model.parse(line) for line in ended.out.splitlines()]


def check_pair(sync, states, one, other, collection=None):
    """The diff applied to the one gives the other."""
    names = (collection,) if collection else OUTPUTS
    old, new = live(states[one], names), live(states[other], names)
    told = ask_diff(sync, "--from", one, "--to", other, *names[:1] * bool(
        collection))
    held, acts = dict(old), {}
    for line in told:
        where = line["collection"], line["key"]
        assert where not in acts
        acts[where] = line["act"]
        was = states[one].get(where)
        assert line["fromVersion"] == (was and was.version)
        assert line["toVersion"] == states[other][where].version > one
        if line["act"] == "add":
            held[where] = line["data"]
        elif line["act"] == "delete":
            del held[where]
        else:
            assert line["patch"]
            apply(held[where], line["patch"])
    assert held.keys() == new.keys()
    for where, data in new.items():
        assert same(held[where], data), where
    wanted = {where: "add" for where in new.keys() - old.keys()}
    wanted.update({where: "delete" for where in old.keys() - new.keys()})
    old = live(states[one], names)
    wanted.update({where: "update" for where in old.keys() & new.keys()
                   if not same(old[where], new[where])})
    assert acts == wanted
    check_table(sync, one, other, told, names, collection)


def check_table(sync, one, other, told, names, collection):
    """The table tells of the same records."""
    ended = sync.run("diff", "--from", one, "--to", other,
                     *([collection] if collection else []), key=None)
    assert ended.status == 0
    assert bool(told) != ("nothing has changed" in ended.err)
    past = {"add": "added", "update": "changed", "delete": "deleted"}
    wanted = []
    for name in names:
        lines = [line for line in told if line["collection"] == name]
        if not lines:
            continue
        acts = [past[line["act"]] for line in lines]
        wanted += [name, *(
            f"  {act} {line['key']} (version {line['toVersion']})"
            for act, line in zip(acts, lines)), "  " + ", ".join(
                f"{acts.count(act)} {act}" for act in past.values())]
    assert [line for line in ended.out.splitlines()
            if not line.startswith("    ")] == wanted


def check_as_of(sync, states, where, version, when):
    row = states[version].get(where)
    ended = sync.run("show", "--as-of", when, *where, key=None)
    if row is None:
        ended.failed(66, "has no record", f"as of version {version}")
        return
    assert ended.status == 0, ended.err
    shown = model.parse(ended.out)
    assert model.encode(shown["Data"]) == row.data
    assert (shown["Version"], shown["IsDeleted"], shown["ContentHash"]) == (
        row.version, row.deleted, row.hash)


def check_history(sync, states, where):
    """Each state that was published, oldest first."""
    wanted = []
    for version in sorted(states):
        row = states[version].get(where)
        if row and (not wanted or wanted[-1] != row):
            wanted.append(row)
    ended = sync.run("show", "--history", *where, key=None)
    if not wanted:
        ended.failed(66, "has no record")
        return
    shown = [model.parse(line) for line in ended.out.splitlines()]
    assert [model.Row(model.encode(s["Data"]), s["Version"], s["IsDeleted"],
                      s["ContentHash"]) for s in shown] == wanted
    assert [s["ReplacedIn"] for s in shown] == [
        row.version for row in wanted[1:]] + [None]


@pytest.mark.parametrize("seed", range(few(8)))
def test_each_pair_of_versions(sync, upstream, seed):
    generator = Generator(1000 + seed)
    expectation, states = model.Model(), {}
    for version in range(1, RUNS + 1):
        lists = generator.step()
        publish(upstream, generator.chance, lists)
        expectation.run(*lists, let_through=True)
        ended = sync.run("--max-delete", "100%", "--log-level", "error")
        assert ended.result["version"] == version
        states[version] = dict(expectation.rows)
    for one in states:
        for other in range(one, RUNS + 1):
            check_pair(sync, states, one, other)
            check_pair(sync, states, one, other, generator.one(*model.RAW))
    moments = {e["Version"]: e["SyncedAt"] for e in sync.history()}
    places = sorted(states[RUNS])
    for _ in range(SHOWN):
        version, where = generator.one(*states), generator.one(*places)
        check_as_of(sync, states, where, version, version)
    for version in states:
        where = generator.one(*places)
        check_as_of(sync, states, where, version, moments[version])
        check_history(sync, states, where)


# What is told

def test_lines(filled, upstream):
    upstream.script(PLANS, bundle([
        plan("p1", "a3", "a1", "a2"), plan("p2", "a3", description=None),
        plan("p4")]))
    assert filled.run("--max-delete", "100%").status == 0
    ended = filled.run("diff", "--from", "1")
    lines = ended.out.splitlines()
    assert lines[:2] == ["TreatmentGroups", "  changed p1 (version 2)"]
    assert lines[2].startswith(
        '    treatmentAlternatives[0] added: {"rank":1,"treatmentId":"a3",')
    assert lines[2].endswith("...") and len(lines[2]) < 220
    assert lines[3:] == [
        f"    treatmentAlternatives[1].rank: 1 {ARROW} 2",
        f"    treatmentAlternatives[2].rank: 2 {ARROW} 3",
        "  changed p2 (version 2)",
        f'    description: "Første linje" {ARROW} null',
        "  deleted p3 (version 2)",
        "  added p4 (version 2)",
        "  1 added, 2 changed, 1 deleted"]


def test_digits_and_names(filled, upstream):
    def publish(**members):
        upstream.script(ACTIVITIES, bundle([
            *FILLED[1][1:], activity("a1", **members)]))
        assert filled.run().status == 0
    publish(n=number("1.50"), **{"a/b~.": 1})
    publish(n=number("1.5"), **{"a/b~.": "\u009b"})
    ended = filled.run("diff", "--from", "2", "ActivityDefinitions")
    assert ended.out.splitlines()[2:4] == [
        f'    ["a/b~."]: 1 {ARROW} "\\xc2\\x9b"', f"    n: 1.50 {ARROW} 1.5"]
    told = filled.run("diff", "--from", "2", "--format", "json",
                      "ActivityDefinitions").out
    assert '"path":"/a~1b~0.","value":"\u009b","was":1' in told
    assert '"path":"/n","value":1.5,"was":1.50' in told


def test_hostile_key(sync, upstream):
    key = "a\x1b[31m\u202e\nb"
    upstream.script(ACTIVITIES, bundle([activity(key)]))
    sync.run()
    upstream.script(ACTIVITIES, bundle([activity(key, name="n")]))
    sync.run()
    ended = sync.run("diff", "--from", "1", "ActivityDefinitions")
    assert ended.out.splitlines()[1] == (
        r"  changed a\x1b[31m\xe2\x80\xae\x0ab (version 2)")
    assert ask_diff(sync, "--from", "1", "ActivityDefinitions")[0][
        "key"] == key


def test_there_and_back(filled, upstream):
    """What is again as it was has not changed, nor what came and went."""
    upstream.script(PLANS, bundle([
        plan("p1", "a1", "a2", name="other"), plan("p2", "a3"),
        plan("p4")]))
    assert filled.run().counts[3] == 2
    upstream.script(PLANS, bundle(FILLED[0]))
    assert filled.run().status == 0
    assert ask_diff(filled, "--from", "1") == []
    assert ask_diff(filled, "--from", "1", "PlanDefinitions") == []
    assert [line["act"] for line in ask_diff(
        filled, "--from", "1", "--to", "2")] == ["update", "delete", "add"]
    back = ask_diff(filled, "--from", "2")
    assert [(line["key"], line["act"], line["fromVersion"])
            for line in back] == [("p1", "update", 2), ("p3", "add", 2),
                                  ("p4", "delete", 2)]


def test_nothing_changed(filled):
    filled.run()
    for args in ((), ("--to", "1"), ("PlanDefinitions",),
                 ("--format", "json")):
        ended = filled.run("diff", "--from", "1", *args)
        assert (ended.status, ended.out) == (0, "")
        assert "nothing has changed from version 1 to version" in ended.err


def test_order_of_members_is_no_change(filled, upstream):
    turned = dict(reversed(list(FILLED[1][0].items())))
    upstream.script(ACTIVITIES, bundle([turned, *FILLED[1][1:]]))
    assert filled.run().counts == (0, 0, 15, 0)
    assert ask_diff(filled, "--from", "1", "ActivityDefinitions") == []


# Versions that there are not

def test_versions_beyond_the_last(filled):
    for command in (("diff", "--from", "2"),
                    ("diff", "--from", "1", "--to", "9"),
                    ("show", "--as-of", "2", "TreatmentGroups", "p1")):
        filled.run(*command).failed(66, "the last finished version", "is 1")


def test_never_synced(sync):
    assert sync.run("init").status == 0
    for command in (("diff", "--from", "1"),
                    ("show", "--as-of", "1", "TreatmentGroups", "p1"),
                    ("show", "--as-of", "2025-01-01", "TreatmentGroups",
                     "p1")):
        sync.run(*command).failed(66, "no finished version yet")
    sync.run("show", "--history", "TreatmentGroups", "p1").failed(66)


def test_without_a_store(sync):
    for command in (("diff", "--from", "1"), ("show", "--history",
                                              "TreatmentGroups", "p1")):
        sync.run(*command).failed(74, sync.store.name)
    assert not KIND.exists(sync.store)


def test_unknown_collection(filled):
    filled.run("diff", "--from", "1", "Patient").failed(
        66, "no collection Patient", "it has PlanDefinitions, ")


@pytest.mark.only_store("sqlite")
def test_unfinished_version(filled):
    """As a run that died leaves them in a MongoDB store."""
    for _ in range(5):
        filled.run()
    KIND.change(filled.store, "DELETE FROM SyncHistory WHERE Version IN"
                " (1, 3, 4)")
    filled.run("diff", "--from", "4").failed(
        66, "--from", "no finished version 4; the nearest are 2 and 5")
    filled.run("diff", "--from", "2", "--to", "3").failed(
        66, "--to", "no finished version 3; the nearest are 2 and 5")
    filled.run("diff", "--from", "1").failed(66, "the nearest is 2")
    filled.run("show", "--as-of", "1", "TreatmentGroups", "p1").failed(
        66, "the first one .* is version 2, finished at 20")


@pytest.mark.only_store("sqlite")
def test_versions_that_are_gone(filled):
    """As a pruned store has them."""
    for _ in range(4):
        filled.run()
    KIND.change(filled.store, "UPDATE SyncMetadata SET StatesFrom = 3")
    filled.run("diff", "--from", "2").failed(
        66, "--from", "cannot be shown any more", "from version 3 on")
    filled.run("show", "--as-of", "2", "TreatmentGroups", "p1").failed(
        66, "--as-of", "from version 3 on")
    assert ask_diff(filled, "--from", "3") == []
    KIND.change(filled.store, "UPDATE SyncMetadata SET Horizon = 4")
    filled.run("diff", "--from", "3").failed(
        66, "--from", "not complete any more", "up to version 4")
    assert ask_diff(filled, "--from", "4") == []
    assert filled.run("show", "--as-of", "3", "TreatmentGroups",
                      "p1").status == 0


# show --as-of

def test_moments(filled, upstream):
    """A day is meant up to its end, an instant includes itself."""
    first = datetime.datetime(2025, 4, 10, 12, tzinfo=datetime.timezone.utc)
    upstream.script(ACTIVITIES, bundle([
        *FILLED[1][1:], activity("a1", name="second")]))
    assert filled.run().status == 0
    for version in (1, 2):
        moment = first + datetime.timedelta(days=version - 1)
        KIND.set_synced_at(filled.store, version,
                           int(moment.timestamp() * 1000))

    def name(when):
        ended = filled.run("show", "--as-of", when, "ActivityDefinitions",
                           "a1")
        assert ended.status == 0, ended.err
        return json.loads(ended.out)["Data"]["name"]
    assert name("2025-04-10") == "Aktivitet a1"
    assert name("2025-04-10T12:00:00Z") == "Aktivitet a1"
    assert name("2025-04-10T14:00:00.000+02:00") == "Aktivitet a1"
    assert name("2025-04-11T11:59:59.999Z") == "Aktivitet a1"
    assert name("2025-04-11T12:00:00Z") == "second"
    assert name("2025-04-11") == name("2999-01-01") == name("2") == "second"
    for when in ("2025-04-09", "2025-04-10T11:59:59.999Z"):
        filled.run("show", "--as-of", when, "ActivityDefinitions",
                   "a1").failed(66, "--as-of", "no run had finished by then",
                                "2025-04-10T12:00:00.000Z")


def test_show_of_the_present_is_as_before(filled):
    """--as-of the last version prints what there is without it."""
    for name in model.COLLECTIONS:
        key = next(k for c, k in rows(filled.dump()) if c == name)
        assert filled.run("show", "--as-of", "1", name,
                          key).out == filled.show(name, key)
        line = filled.show(name, key)
        assert filled.run("show", "--history", name, key).out == (
            line[:-2] + ',"ReplacedIn":null}\n')


def test_killed_runs_are_not_told_of(filled, upstream):
    """What a run that died has left is of no version."""
    good = rows(filled.dump())
    upstream.script(PLANS, bundle([plan("p1", "a1", name="unpublished")]))
    chance = random.Random(7)
    for _ in range(few(8)):
        step = chance.randrange(1, 60)
        ended = filled.run("--max-delete", "100%",
                           env={"NOMPD_STORE_KILL_AT": str(step)})
        if ended.status == 0:
            break
        filled.expire_lease()
        assert filled.run("diff", "--from", "1").out == ""
        for where in (("PlanDefinitions", "p1"), ("PlanDefinitions", "p2"),
                      ("TreatmentGroups", "p1")):
            check_as_of(filled, {1: good}, where, 1, 1)
            check_history(filled, {1: good}, where)
            shown = model.parse(filled.show(*where))
            assert model.encode(shown["Data"]) == good[where].data
