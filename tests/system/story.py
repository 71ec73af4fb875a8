"""A store's story: runs over lists that change at random and rollbacks, with
the model beside it, and all that it was at each of its versions."""
import collections
import random

import model
from conftest import rows
from stores import few
from test_consumer import Upstream
from test_plan import without_time

SEEDS = range(few(4))
LET = ("--max-delete", "100%")
QUIET = ("--log-level", "error")

# What a run has replaced.
State = collections.namedtuple("State", "where version replaced")


class Story:
    def __init__(self, sync, seed, env=None):
        self.sync = sync
        self.chance = random.Random(seed)
        self.upstream = Upstream(self.chance, sync.folder / "upstream")
        self.model = model.Model()
        self.env = env
        self.then = {}      # version to all its rows
        self.states = []

    @property
    def version(self):
        return self.model.version

    def live(self, version):
        """(collection, key) to what is live in it."""
        return {where: row.data for where, row in self.then[version].items()
                if not row.deleted}

    def run(self):
        """Over lists that have changed."""
        self.upstream.step()
        return self.check_end(
            self.sync.run(*LET, *QUIET, url=self.upstream.publish(),
                          env=self.env),
            lambda: self.model.run(*self.upstream.resources(),
                                   let_through=True))

    def go_back(self, to):
        return self.check_end(
            self.sync.run("rollback", "--to", to, "--reason", f"to {to}",
                          *LET, *QUIET, env=self.env),
            lambda: self.model.go_back(self.then[to]))

    def check_end(self, ended, expected):
        """The run ended well and did what the model does."""
        before = dict(self.model.rows)
        counts = expected()
        assert without_time(ended.result) == {
            "version": self.version, **counts}
        self.states += [
            State(where, row.version, self.version)
            for where, row in before.items() if self.model.rows[where] != row]
        self.then[self.version] = dict(self.model.rows)
        self.check()
        return ended

    def check(self):
        """The store is what the model says, and so is its history's seal."""
        assert rows(self.sync.dump()) == self.model.rows
        check_chain(self.sync)
        seal = self.sync.history("--limit", "1")[0]["Seal"]["Collections"]
        assert {name: (numbers["Live"], numbers["Deleted"])
                for name, numbers in seal.items()} == {
            name: self.numbers(name) for name in model.COLLECTIONS}

    def numbers(self, name):
        deleted = [row.deleted for (c, _), row in self.model.rows.items()
                   if c == name]
        return deleted.count(False), deleted.count(True)


def check_all(sync):
    """Every record, state and entry is as it must be."""
    ended = sync.run("verify", *QUIET)
    assert ended.status == 0, (ended.status, ended.out, ended.err)


def check_chain(sync):
    """No entry was changed, dropped or put elsewhere."""
    ended = sync.run("verify", "--history", *QUIET)
    assert ended.status == 0, ended.out
