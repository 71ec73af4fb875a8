#!/usr/bin/python3
"""Measures nompd-sync over a MongoDB store, beside a script with pymongo.

    NOMPD_TEST_MONGODB_URI=URI python3 bench/mongodb.py --program PROGRAM
        [OPTION ...]

For each size an upstream is generated (bench/generate.py) and read from files:

    first      a run into a database that is not there yet
    unchanged  the same upstream again
    changed    the same upstream with 1 % of its records changed

The first two also by a short script (bench/mongodb_peer.py), over the same
files into a database of its own; it writes everything each time, so that
another "changed" would say nothing new.  Both take turns in which one goes
first, several times over, so that a disturbance of the machine meets both.
Round trips and bytes come from runs of their own, because counting them costs
time.  Every result is checked: wrong counts end the benchmark.  Ends with the
goals, reached or not, and with status 0 either way.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile

sys.dont_write_bytecode = True

import memory  # noqa: E402
import runs  # noqa: E402
from runs import (  # noqa: E402
    LARGE, MAX_PEAK_MIB, Series, Wrong, check, measure, say)

PEER_SCRIPT = pathlib.Path(__file__).with_name("mongodb_peer.py")
URI_VARIABLE = "NOMPD_TEST_MONGODB_URI"
# How long a server may take until it answers.
PATIENCE_MS = 60000
RAW = ("PlanDefinitions", "ActivityDefinitions", "RegulatedAuthorizations")
CONVERTED = ("TreatmentGroups", "ReimbursementGroups")

MIN_UNCHANGED_RATIO = 5
# As in src/store_mongodb_read.c: documents of a batch of a scan.
STATE_BATCH = 20000

SYNC, PEER = "nompd-sync", "pymongo"
FIRST, UNCHANGED, CHANGED = "first", "unchanged", "changed"
ROWS = ((FIRST, SYNC), (FIRST, PEER), (UNCHANGED, SYNC), (UNCHANGED, PEER),
        (CHANGED, SYNC))

TRAFFIC = re.compile(r"store .*: (\d+) round trips, (\d+) bytes sent,"
                     r" (\d+) bytes received$", re.MULTILINE)
Traffic = collections.namedtuple("Traffic", "trips sent received")


# What follows is run in a process of its own, because a child counts the
# memory of the process that started it.

def ask(client):
    """What the server is."""
    info = client.server_info()
    name = f"MongoDB {info['version']}"
    if "ferretdb" in info:
        name = f"FerretDB {info['ferretdb']['version']}, as {name}"
    return name


def count(client):
    """How many documents are in each collection of records."""
    database = client.get_default_database()
    return {name: database[name].count_documents({})
            for name in (*RAW, *CONVERTED)}


def drop(client):
    client.drop_database(client.get_default_database())


def do(what, uri):
    import pymongo
    import pymongo.errors
    try:
        with pymongo.MongoClient(
                uri, serverSelectionTimeoutMS=PATIENCE_MS) as client:
            return what(client)
    except pymongo.errors.PyMongoError as error:
        raise Wrong(f"the server: {error}") from None


class Databases:
    """The databases of the server that are made here; `with` drops them."""

    def __init__(self, address, pool):
        self.pool = pool
        base, mark, options = address.partition("?")
        self.base = base.rstrip("/")
        if not re.fullmatch(r"mongodb(\+srv)?://[^/]+", self.base):
            raise Wrong(f"{URI_VARIABLE} does not name a server, without a"
                        " database")
        # Else users would be looked for in the database that is named.
        if "@" in self.base and "authsource=" not in options.lower():
            options += f"{'&' if options else ''}authSource=admin"
        self.options = f"?{options}" if options else mark
        self.kind = self.do(ask, address)

    def uri(self, name):
        return f"{self.base}/b_nompd_{name}_{os.getpid()}{self.options}"

    def do(self, what, uri):
        return self.pool.submit(do, what, uri).result()

    def drop(self, name):
        self.do(drop, self.uri(name))

    def counts(self, name):
        return self.do(count, self.uri(name))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in (SYNC, PEER):
            self.drop(name)


class Size(runs.Upstreams):
    """Upstreams of one size, and what is measured with them."""

    def __init__(self, args, databases, folder, records):
        super().__init__(folder, records)
        self.args = args
        self.databases = databases
        self.series = collections.defaultdict(Series)   # (what, program)
        self.traffic = {}                               # what
        self.documents = {}                             # collection

    def written(self, what, program):
        """Documents of records that such a run writes."""
        if program == PEER:
            return self.resources
        return {FIRST: self.resources + self.outputs, UNCHANGED: 0,
                CHANGED: self.later.wrote["changedResources"]
                + self.later.wrote["changedOutputs"]}[what]

    def peer(self, what):
        sample, out, _ = measure(
            [sys.executable, PEER_SCRIPT, self.upstream.folder], self.folder,
            NOMPD_STORE=self.databases.uri(PEER))
        added = self.resources if what == FIRST else 0
        check(f"{PEER}, {what}", json.loads(out), added=added,
              replaced=self.resources - added)
        self.series[what, PEER].samples.append(sample)

    def sync(self, what, is_counted=False):
        """One run; what is neither added nor updated must be unchanged."""
        source = self.later if what == CHANGED else self.upstream
        sample, out, log = measure(
            [self.args.program, "--upstream", f"file://{source.folder}",
             "--no-upstream-key", "--log-level",
             "debug" if is_counted else "error"], self.folder,
            NOMPD_STORE=self.databases.uri(SYNC))
        written = self.written(what, SYNC)
        check(f"{SYNC}, {what}", json.loads(out),
              added=written if what == FIRST else 0,
              updated=written if what == CHANGED else 0,
              unchanged=self.resources + self.outputs - written, deleted=0)
        if not is_counted:
            self.series[what, SYNC].samples.append(sample)
            return
        found = TRAFFIC.search(log)
        if found is None:
            raise Wrong(f"{SYNC}, {what}: no line on round trips in\n{log}")
        self.traffic[what] = Traffic(*map(int, found.groups()))

    def check_contents(self):
        """Both have written what was there to write."""
        for name, outputs in ((SYNC, self.outputs), (PEER, 0)):
            counts = self.databases.counts(name)
            check(name, {"raw": sum(counts[each] for each in RAW),
                         "converted": sum(counts[each] for each in CONVERTED)},
                  raw=self.resources, converted=outputs)
            if name == SYNC:
                self.documents = counts

    def run(self):
        turn = [self.sync, self.peer]
        for _ in range(self.args.repeat):
            for name in (SYNC, PEER):
                self.databases.drop(name)
            for what in (FIRST, UNCHANGED):
                for each in turn:
                    each(what)
                turn.reverse()
            self.sync(CHANGED)
            # Every other round begins with the other one.
            turn.reverse()
        self.check_contents()
        for name in (SYNC, PEER):
            self.databases.drop(name)
        for what in (FIRST, UNCHANGED, CHANGED):
            self.sync(what, is_counted=True)
        self.databases.drop(SYNC)

    def print(self):
        for what, program in ROWS:
            series = self.series[what, program]
            seconds = series.seconds
            written = self.written(what, program)
            traffic = "– | – | –"
            if program == SYNC:
                trips, sent, received = self.traffic[what]
                traffic = (f"{trips:,} | {sent / 1e6:,.2f} |"
                           f" {received / 1e6:,.2f}")
            print(f"| {self.records:,} | {what} | {program} | {seconds:.2f}"
                  f" ({series.span('{:.2f} – {:.2f}')}) |"
                  f" {self.resources / seconds:,.0f} | {written:,} |"
                  f" {written / seconds:,.0f} | {traffic} |"
                  f" {series.peak_mib:.1f} |", flush=True)

    def seconds(self, what, program):
        return self.series[what, program].seconds

    def seconds_per_document(self, what, program):
        return self.seconds(what, program) / self.written(what, program)

    def further_batches(self):
        """Of the scans of a run, beside the first one of each."""
        return sum(count // STATE_BATCH for count in self.documents.values())


HEAD = ("records", "what", "program", "seconds (min – max)", "records/s",
        "written", "written/s", "round trips", "MB sent", "MB received",
        "peak MiB")


def print_head():
    print(f"| {' | '.join(HEAD)} |")
    print(f"| ---: | --- | --- |{' ---: |' * (len(HEAD) - 3)}", flush=True)


def foot(args, sizes):
    megabytes = ", ".join(f"{size.megabytes:.1f}" for size in sizes)
    # A child counts the memory of the process that started it.
    own = memory.peak_kib(os.getpid()) / 1024
    return f"""
seconds: medians of {args.repeat}; records: resources fetched; written: \
documents of records;
round trips and MB: of runs of their own; MB of upstream JSON: {megabytes};
peaks under {own:.1f} MiB cannot be told from the benchmark's own memory

{PEER} is a script that writes the raw resources alone, all of them each time.
It does not convert (so that in a first run it writes about half as many
documents), compare, check, record a history, mark what is gone as deleted or
keep others away.
"""


def judge_speed(size):
    """Whole commands, and what a document costs."""
    records = f"{size.records:,}"
    ratio = (size.seconds(UNCHANGED, PEER) / size.seconds(UNCHANGED, SYNC))
    say(f"{records} unchanged, at least {MIN_UNCHANGED_RATIO}x faster than"
        " the script", f"{ratio:.1f}x", ratio >= MIN_UNCHANGED_RATIO)
    each = (size.seconds_per_document(FIRST, PEER)
            / size.seconds_per_document(FIRST, SYNC))
    whole = size.seconds(FIRST, PEER) / size.seconds(FIRST, SYNC)
    say(f"{records} first, faster than the script per document written",
        f"{each:.1f}x", each > 1)
    say("... and as a whole command, with what the script does not do",
        f"{whole:.1f}x", whole > 1)


def judge_memory(large):
    peak = max(large.series[what, SYNC].peak_mib
               for what in (FIRST, UNCHANGED, CHANGED))
    say(f"peak at {LARGE:,} under {MAX_PEAK_MIB} MiB", f"{peak:.1f} MiB",
        peak < MAX_PEAK_MIB)


def judge_trips(small, large):
    more = large.traffic[UNCHANGED].trips - small.traffic[UNCHANGED].trips
    batches = large.further_batches() - small.further_batches()
    say(f"round trips of an unchanged run at {large.records:,} beside"
        f" {small.records:,}, no more than the batches of its scans",
        f"{small.traffic[UNCHANGED].trips} and"
        f" {large.traffic[UNCHANGED].trips}, {more} more for {batches} more"
        " batches", more <= batches)


def judge(sizes):
    """A line for each goal that the sizes allow to be judged."""
    for size in sizes:
        judge_speed(size)
    for size in sizes:
        if size.records == LARGE:
            judge_memory(size)
    by_records = sorted(sizes, key=lambda size: size.records)
    if len(sizes) > 1:
        judge_trips(by_records[0], by_records[-1])


def bench(args, folder, databases):
    sizes = []
    print(f"server: {databases.kind}\n")
    print_head()
    for records in args.sizes:
        place = folder / str(records)
        place.mkdir()
        size = Size(args, databases, place, records)
        size.run()
        size.print()
        sizes.append(size)
        shutil.rmtree(place)
    print(foot(args, sizes))
    judge(sizes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args = runs.parse(parser)
    address = os.environ.get(URI_VARIABLE)
    if not address:
        parser.error(f"want the URI of a server in {URI_VARIABLE}")
    # So that the databases are dropped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with (concurrent.futures.ProcessPoolExecutor(1) as pool,
              tempfile.TemporaryDirectory(prefix="nompd-bench-",
                                          dir=args.dir) as folder,
              Databases(address, pool) as databases):
            bench(args, pathlib.Path(folder), databases)
    except Wrong as wrong:
        sys.exit(f"bench: {wrong}")


if __name__ == "__main__":
    main()
