"""What a run that died has left on a MongoDB store: who comes next begins at
what the last finished one has left, and publishes none of it."""
import json
import re
import signal

import pytest

from conftest import FILLED, KIND, folder_upstream
from stores import essence
from test_balance import CHANGED
from test_jobs_lost import Clock
from test_kill import MAX_STEPS

pytestmark = pytest.mark.only_store("mongodb")
DAY = 86400
FIRST = (FILLED[0][:1], FILLED[1], FILLED[2][:1])
# Commands that look at no upstream, and change no record.
COMMANDS = {
    "prune": ["prune", "--history-older-than", "1d",
              "--states-older-than", "1d"],
    "rollback": ["rollback", "--to", "2", "--reason", "test"],
    "reconvert": ["reconvert"],
}


UNDOING = re.compile(r"store step (\d+): (undo|restore) (\w+)")


@pytest.fixture
def died(bare, tmp_path):
    """Two runs that were finished, and one that was killed in the middle of
    its records; the records of the two."""
    clock = Clock(tmp_path)
    for days, content in ((-9, FIRST), (-5, FILLED)):
        clock.put(days * DAY)
        url = folder_upstream(bare.folder / f"up{-days}", *content)
        assert bare.run(url=url, env=clock.env).status == 0
    clock.put(0)
    held = essence(bare.dump())
    url = folder_upstream(bare.folder / "later", *CHANGED)
    store = bare.new_store("before.db")
    KIND.copy(bare.store, store)
    left = []
    for step in range(1, MAX_STEPS):
        KIND.remove(bare.store)
        KIND.copy(store, bare.store)
        ended = bare.run(url=url, env={"NOMPD_STORE_KILL_AT": str(step)})
        assert ended.status == -signal.SIGKILL, ended.err
        records = essence(bare.dump())
        assert len(bare.dump().history) == 2
        if records != held:
            left.append(records)
        if len(left) == 2:
            break
    bare.expire_lease()
    return held


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_of_it_is_published(bare, died, name):
    words = COMMANDS[name]
    assert bare.run("verify").status == 1
    dry, real = bare.run(*words, "--dry-run"), bare.run(*words)
    assert (dry.status, real.status) == (0, 0), dry.err + real.err
    results = [{**json.loads(ended.out), "durationMs": 0}
               for ended in (dry, real)]
    assert results[0] == results[1]
    assert essence(bare.dump()) == died
    verified = bare.run("verify")
    assert verified.status == 0, verified.out


def exported(program, name):
    """What who reads gets."""
    folder = program.folder / name
    assert program.run("export", str(folder)).status == 0
    return {path.name: path.read_bytes() for path in folder.iterdir()
            if path.suffix == ".ndjson"}


def test_killed_while_it_undoes(bare, died):
    """Whoever reads then gets what was published, and the next run goes on."""
    words = COMMANDS["reconvert"]
    kept = bare.new_store("kept.db")
    KIND.copy(bare.store, kept)
    published = exported(bare, "published")
    ended = bare.run(*words, env={"NOMPD_STORE_TRACE": "1"})
    assert ended.status == 0, ended.err
    steps = UNDOING.findall(ended.err)
    assert {what for _, what, _ in steps} == {
        "undo", "restore"}
    for number, what, collection in steps:
        KIND.remove(bare.store)
        KIND.copy(kept, bare.store)
        ended = bare.run(*words, env={"NOMPD_STORE_KILL_AT": number})
        assert ended.status == -signal.SIGKILL, ended.err
        bare.expire_lease()
        assert exported(bare, f"{what}-{collection}") == published
        assert bare.run(*words).status == 0
        assert essence(bare.dump()) == died
        verified = bare.run("verify")
        assert verified.status == 0, verified.out
