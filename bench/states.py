#!/usr/bin/python3
"""Measures what former states and seals cost.

    python3 bench/states.py --build FOLDER [--before PROGRAM] [OPTION ...]

Runs, into an SQLite store, over an upstream that is generated
(bench/generate.py) and read from files:

    first      into a store that is not there yet
    unchanged  the same upstream again
    changed    the same upstream with 1 % of its records changed

With --before the same by another nompd-sync, one of before these were there;
both take turns in which one goes first, several times over, so that a
disturbance of the machine meets both.

And answers, of nompd-serve as a CGI process:

    quiet      while no run is active
    mid-run    while a run has rewritten all records and is not published: it
               is stopped there, and all is answered from before

of the whole list and of what has changed since the last version, which is
nothing; with NOMPD_TEST_MONGODB_URI also of a MongoDB store.  The mid-run
answers must be those of before, byte by byte.  Every result is checked: a wrong
one ends the benchmark.  Ends with the goals, reached or not, and with status 0
either way.
"""

import argparse
import collections
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import runs  # noqa: E402
from runs import LARGE, Series, Wrong, check, measure, say  # noqa: E402

API = "/api/v1/reimbursementGroup"
URI_VARIABLE = "NOMPD_TEST_MONGODB_URI"
# Of the log of a run that has written its last record, and checks them.
WRITTEN = "info  ReimbursementGroups: "
STOP_SECONDS = 600
MAX_SHARE = 0.05

FIRST, UNCHANGED, CHANGED = "first", "unchanged", "changed"
RUNS = (FIRST, UNCHANGED, CHANGED)
BEFORE, NOW = "before", "now"
QUIET, MID_RUN = "quiet", "mid-run"


class Size(runs.Upstreams):
    """Upstreams of one size, and what is measured with them."""

    def __init__(self, args, folder, records):
        super().__init__(folder, records)
        self.programs = {NOW: args.sync}
        if args.before is not None:
            self.programs[BEFORE] = args.before
        self.args = args
        self.series = collections.defaultdict(Series)   # (what, name)

    def sync(self, what, name):
        source = self.later if what == CHANGED else self.upstream
        total = self.resources + self.outputs
        written = {FIRST: total, UNCHANGED: 0,
                   CHANGED: self.later.wrote["changedResources"]
                   + self.later.wrote["changedOutputs"]}[what]
        sample, out, _ = measure(
            [self.programs[name], "--upstream", f"file://{source.folder}",
             "--no-upstream-key", "--store",
             f"sqlite:{self.folder / name}.db"], self.folder)
        check(f"{name}, {what}", json.loads(out),
              added=written if what == FIRST else 0,
              updated=written if what == CHANGED else 0,
              unchanged=total - written, deleted=0)
        self.series[what, name].samples.append(sample)

    def run(self):
        turn = list(self.programs)
        for _ in range(self.args.repeat):
            for path in self.folder.glob("*.db*"):
                path.unlink()
            for what in RUNS:
                for name in turn:
                    self.sync(what, name)
                turn.reverse()
            turn.reverse()

    def lowest(self, what, name):
        return min(sample.cpu_seconds
                   for sample in self.series[what, name].samples)

    def print(self):
        for what in RUNS:
            for name in self.programs:
                series = self.series[what, name]
                print(f"| {self.records:,} | {what} | {name} |"
                      f" {series.seconds:.2f}"
                      f" ({series.span('{:.2f} – {:.2f}')}) |"
                      f" {series.cpu_seconds:.2f} |"
                      f" {self.lowest(what, name):.2f} |"
                      f" {series.peak_mib:.1f} |", flush=True)

    def judge(self):
        for what in (FIRST, UNCHANGED):
            share = (self.lowest(what, NOW) / self.lowest(what, BEFORE)) - 1
            say(f"{self.records:,} {what} within {MAX_SHARE:.0%} of before"
                " (CPU, lowest)", f"{share:+.1%}", share <= MAX_SHARE)


class Answers:
    """A store of two versions, and what a CGI process answers of it."""

    def __init__(self, args, size, name, store):
        self.args = args
        self.size = size
        self.name = name
        self.store = store
        self.keys = size.folder / f"keys-{name}"
        self.series = collections.defaultdict(Series)   # (what, moment)
        self.key = self.call(args.serve, "key", "add", "bench").strip()

    def environment(self):
        return runs.environment(self.size.folder, {
            "NOMPD_STORE": self.store, "NOMPD_API_KEYS_FILE": str(self.keys)})

    def call(self, *command):
        done = subprocess.run(
            command, env=self.environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Wrong(f"{command[0]}: status {done.returncode}\n"
                        f"{done.stderr}")
        return done.stdout

    def command(self, folder):
        return [self.args.sync, "--upstream", f"file://{folder}",
                "--no-upstream-key", "--max-delete", "100%"]

    def ask(self, query):
        """How long a CGI process took, and its answer."""
        env = {**self.environment(), "GATEWAY_INTERFACE": "CGI/1.1",
               "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_METHOD": "GET",
               "SCRIPT_NAME": "", "PATH_INFO": API, "QUERY_STRING": query,
               "HTTP_X_API_KEY": self.key}
        out = self.size.folder / "answer"
        with out.open("wb") as stdout:
            start = time.perf_counter()
            process = subprocess.Popen(
                [self.args.serve], env=env, stdin=subprocess.DEVNULL,
                stdout=stdout, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        head, _, body = out.read_bytes().partition(b"\r\n\r\n")
        if process.returncode != 0 or b"Status: 200" not in head:
            raise Wrong(f"{self.name}: {query!r}: {head[:1000]!r}")
        return (runs.Sample(seconds, usage.ru_utime + usage.ru_stime,
                            usage.ru_maxrss / 1024), body)

    def ask_all(self, moment, version):
        """Each question, --repeat times; returns the answers."""
        answers = {}
        for what, query in (("full list", ""),
                            ("empty diff", f"sinceVersion={version}")):
            for _ in range(self.args.repeat):
                sample, answers[what] = self.ask(query)
                self.series[what, moment].samples.append(sample)
        return answers

    def measure(self):
        changed = self.size.generate("changed", "--changed", "100").folder
        self.call(*self.command(self.size.upstream.folder))
        quiet = self.ask_all(QUIET, 1)
        found = json.loads(quiet["full list"])
        if (found["currentVersion"], len(found["items"])) != (
                1, self.size.records):
            raise Wrong(f"{self.name}: not the list that was stored")
        with subprocess.Popen(
                self.command(changed), env=self.environment(), text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE) as run:
            try:
                stop_when_written(run)
                if self.ask_all(MID_RUN, 1) != quiet:
                    raise Wrong(f"{self.name}: another answer in the middle"
                                " of a run")
            finally:
                run.kill()

    def print(self):
        for (what, moment), series in self.series.items():
            print(f"| {self.size.records:,} | {self.name} | {what} |"
                  f" {moment} | {1e3 * series.seconds:,.0f}"
                  f" ({1e3 * min(s.seconds for s in series.samples):,.0f} –"
                  f" {1e3 * max(s.seconds for s in series.samples):,.0f}) |"
                  f" {1e3 * series.cpu_seconds:,.0f} |", flush=True)


def stop_when_written(run):
    """Stops the run behind its last record."""
    deadline = time.monotonic() + STOP_SECONDS
    for line in run.stderr:
        if WRITTEN in line:
            run.send_signal(signal.SIGSTOP)
            return
        if time.monotonic() > deadline:
            break
    raise Wrong("the run that was to be stopped has not come so far")


def places(size):
    """The name and the place of each store that answers are measured of."""
    yield "SQLite", f"sqlite:{size.folder / 'answers.db'}"
    address = os.environ.get(URI_VARIABLE)
    if address:
        base, mark, options = address.partition("?")
        yield "MongoDB", (f"{base.rstrip('/')}/b_nompd_time_{os.getpid()}"
                          f"{mark}{options}")


def drop(store):
    """A database that was made on a server."""
    if not store.startswith("mongodb"):
        return
    import pymongo
    with pymongo.MongoClient(store) as client:
        client.drop_database(client.get_default_database())


def bench_answers(args, size):
    for name, store in places(size):
        answers = Answers(args, size, name, store)
        try:
            answers.measure()
        finally:
            drop(store)
        answers.print()


def print_head(*names, texts):
    print(f"| {' | '.join(names)} |")
    print("| ---: |" + " --- |" * texts
          + " ---: |" * (len(names) - texts - 1), flush=True)


def bench(args, folder):
    runs.check_disk(folder)
    sizes = []
    for records in args.sizes:
        place = folder / str(records)
        place.mkdir()
        sizes.append(Size(args, place, records))
    print_head("records", "run", "program", "seconds (min – max)", "CPU s",
               "lowest", "peak MiB", texts=2)
    for size in sizes:
        size.run()
        size.print()
    print()
    print_head("records", "store", "answer", "moment", "ms (min – max)",
               "CPU ms", texts=3)
    for size in sizes:
        bench_answers(args, size)
    print(f"\nseconds, ms, CPU: medians of {args.repeat}; records:"
          " RegulatedAuthorizations")
    if args.before is not None:
        for size in sizes:
            size.judge()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--before", type=pathlib.Path, metavar="PROGRAM")
    args = runs.parse(parser, sizes=(LARGE,), has_program=False)
    args.sync = args.build.resolve() / "nompd-sync"
    args.serve = args.build.resolve() / "nompd-serve"
    if args.before is not None:
        args.before = args.before.resolve()
    try:
        with tempfile.TemporaryDirectory(prefix="nompd-bench-",
                                         dir=args.dir) as folder:
            bench(args, pathlib.Path(folder))
    except Wrong as wrong:
        sys.exit(f"bench: {wrong}")


if __name__ == "__main__":
    main()
