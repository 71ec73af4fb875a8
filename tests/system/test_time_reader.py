"""Answers are exact: who asks without pause, while runs come, die and go on,
gets one finished version each time, as a model of the contract has it."""
import json
import random
import threading

import pytest

import model
from test_consumer import PATHS, SEED, World
from web import KINDS, PATIENCE

RUNS = 100          # that are begun; some of them die


class Past(World):
    """A world that remembers what each version was."""

    def __init__(self, *args):
        self.rows = {0: {}}
        super().__init__(*args)

    def published(self):
        super().published()
        self.rows[self.finished] = dict(self.model.rows)

    def runs(self):
        return len(self.rows) - 1 + sum(
            count for is_published, count in self.kills.items()
            if not is_published)

    def expected(self, collection, version, since):
        """The items of an answer: without since the live ones."""
        rows = [(row.version, key.encode(), row)
                for (name, key), row in self.rows[version].items()
                if name == collection]
        return [
            {"data": model.decode(row.data), "version": row.version,
             "isDeleted": bool(row.deleted)}
            for at, _, row in sorted(rows, key=lambda each: each[:2])
            if (not row.deleted if since is None else at > since)]


class Reader:
    """Asks all the time, in a thread, and keeps what it is told."""

    def __init__(self, world):
        self.server, self.key = world.server, world.key
        self.draw = random.Random(SEED)
        self.answers = []   # (collection, since, version, items)
        self.newest = 0
        self.failure = None
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        try:
            while not self.ending.is_set():
                self.ask()
        except BaseException as failure:
            self.failure = failure

    def ask(self):
        collection = self.draw.choice(list(PATHS))
        since = self.draw.choice([None, 0, self.draw.randint(
            0, self.newest + 1)])
        path = PATHS[collection]
        if since is not None:
            path += f"?sinceVersion={since}"
        answer = self.server.request("GET", path, key=self.key)
        assert answer.status == 200, (path, answer)
        content = json.loads(answer.body)
        self.newest = max(self.newest, content["currentVersion"])
        for item in content["items"]:
            del item["lastChanged"]
        self.answers.append((collection, since, content["currentVersion"],
                             content["items"]))

    def stop(self):
        self.ending.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@pytest.fixture
def past(tmp_path):
    world = Past(KINDS[-1], tmp_path, SEED)
    yield world
    world.stop()


def test_every_answer_is_a_finished_version(past):
    reader = Reader(past)
    try:
        while past.runs() < RUNS:
            past.next_run()
            assert reader.failure is None
    finally:
        reader.stop()
    assert reader.failure is None
    wrong = [(collection, since, version)
             for collection, since, version, items in reader.answers
             if items != past.expected(collection, version, since)]
    assert not wrong, f"{len(wrong)} of {len(reader.answers)}: {wrong[:5]}"
    # Enough has happened for that to mean something.
    assert past.kills[False] > RUNS / 5
    assert len(reader.answers) > RUNS
    versions = {version for _, _, version, _ in reader.answers}
    assert len(versions) > (len(past.rows) - 1) / 2
