#!/usr/bin/python3
"""Measures nompd-sync beside the floor under it.

    python3 bench/bench.py --program PROGRAM --floor FLOOR [OPTION ...]

For each size an upstream is generated (bench/generate.py) and read from files,
so that the network is no part of it:

    floor      yajl and raw inserts alone (bench/floor.c)
    first      a run into a store that is not there yet
    unchanged  the same upstream again
    changed    the same upstream with 1 % of its records changed

One after the other, and that several times over, so that a disturbance of the
machine meets all of them; the smallest size also over HTTP from this machine.
Every result is checked: wrong counts end the benchmark.  Ends with the goals,
reached or not, and with status 0 either way.
"""

import argparse
import collections
import json
import multiprocessing
import pathlib
import resource
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True

import runs  # noqa: E402
from runs import (  # noqa: E402
    LARGE, MAX_PEAK_MIB, MIDDLE, SMALL, Series, Wrong, check, measure, say)

MAX_PEAK_GROWTH = 1.10
# What the growth of the time may differ by from one measurement to the next.
NOISE = 1.10
MAX_LOOPBACK_SECONDS = 0.25
MAX_FIRST_RATIO = 3
MAX_UNCHANGED_RATIO = 2

FLOOR, FIRST, UNCHANGED, CHANGED = "floor", "first", "unchanged", "changed"
LOOPBACK = "unchanged, HTTP"

COLUMNS = "{:>7} {:>6} {:<15} {:>8} {:>16} {:>8} {:>9} {:>6} {:>8} {:>8}"


def serve(folder, port):
    """Answers from memory, with one connection kept for many requests."""
    import http.server

    bodies = {f"/{path.relative_to(folder).with_suffix('')}":
              path.read_bytes() for path in folder.rglob("*.json")}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):
            body = bodies.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Type", "application/fhir+json")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port.send(server.server_port)
    server.serve_forever()


class Server:
    """serve() in a process of its own; `with` gives its URL."""

    def __init__(self, folder):
        ours, theirs = multiprocessing.Pipe()
        self.port = ours
        self.process = multiprocessing.Process(
            target=serve, args=(folder, theirs), daemon=True)

    def __enter__(self):
        self.process.start()
        if not self.port.poll(10):
            raise Wrong("the loopback server did not start")
        return f"http://127.0.0.1:{self.port.recv()}"

    def __exit__(self, *_):
        self.process.terminate()
        self.process.join()


class Size(runs.Upstreams):
    """Upstreams of one size, and what is measured with them."""

    def __init__(self, args, folder, records):
        super().__init__(folder, records)
        self.args = args
        self.store = folder / "store.db"
        self.series = collections.defaultdict(Series)

    def remove(self, name):
        for path in self.folder.glob(f"{name}*"):
            path.unlink()

    def floor(self):
        self.remove("floor.db")
        lists = sorted(self.upstream.folder.rglob("*.json"))
        sample, out, _ = measure(
            [self.args.floor, self.folder / "floor.db", *lists], self.folder)
        if out != f"{self.resources}\n":
            raise Wrong(f"floor: wanted {self.resources}, got {out!r}")
        self.series[FLOOR].samples.append(sample)
        self.remove("floor.db")

    def sync(self, what, url, added=0, updated=0):
        """One run; what is neither added nor updated must be unchanged."""
        sample, out, _ = measure(
            [self.args.program, "--upstream", url, "--no-upstream-key",
             "--store", f"sqlite:{self.store}"], self.folder)
        total = self.resources + self.outputs
        check(what, json.loads(out), added=added, updated=updated,
              unchanged=total - added - updated, deleted=0)
        if what is not None:
            self.series[what].samples.append(sample)

    def round(self, url):
        """Everything once; url: the upstream over HTTP, or None."""
        later = self.later.wrote
        self.floor()
        self.remove("store.db")
        self.sync(FIRST, f"file://{self.upstream.folder}",
                  added=self.resources + self.outputs)
        self.sync(UNCHANGED, f"file://{self.upstream.folder}")
        if url is not None:
            self.sync(LOOPBACK, url)
        self.sync(CHANGED, f"file://{self.later.folder}",
                  updated=later["changedResources"] + later["changedOutputs"])

    def run(self):
        for _ in range(self.args.repeat):
            if self.records == SMALL:
                with Server(self.upstream.folder) as url:
                    self.round(url)
            else:
                self.round(None)

    def print(self):
        floor = self.series[FLOOR].seconds
        for what, series in self.series.items():
            seconds = series.seconds
            print(COLUMNS.format(
                self.records, f"{self.megabytes:.1f}", what,
                f"{seconds:.3f}", series.span("{:.3f} - {:.3f}"),
                f"{series.cpu_seconds:.3f}",
                f"{self.resources / seconds:.0f}",
                f"{self.megabytes / seconds:.1f}", f"{series.peak_mib:.1f}",
                f"{seconds / floor:.2f}"), flush=True)


def judge_memory(middle, large):
    peak = max(large.series[what].peak_mib
               for what in (FIRST, UNCHANGED, CHANGED))
    say(f"peak at {LARGE:,} under {MAX_PEAK_MIB} MiB", f"{peak:.1f} MiB",
        peak < MAX_PEAK_MIB)
    if middle is None:
        return
    for what in (FIRST, UNCHANGED, CHANGED):
        before = middle.series[what].peak_mib
        after = large.series[what].peak_mib
        say(f"... within {MAX_PEAK_GROWTH - 1:.0%} of that at {MIDDLE:,}, "
            f"{what}", f"{after:.1f} beside {before:.1f} MiB, "
            f"{after / before - 1:+.1%}", after <= MAX_PEAK_GROWTH * before)


def judge_growth(middle, large):
    data = large.megabytes / middle.megabytes
    for what in (FIRST, UNCHANGED, CHANGED, FLOOR):
        growth = large.series[what].seconds / middle.series[what].seconds
        fact = f"x{growth:.1f} for x{data:.1f} of data"
        if what == FLOOR:
            print(f"... to compare, {what}: {fact}")
        else:
            say(f"time grows no faster than the data, {what}", fact,
                growth <= NOISE * data)


def judge_ratios(large):
    floor = large.series[FLOOR].seconds
    for what, limit in ((FIRST, MAX_FIRST_RATIO),
                        (UNCHANGED, MAX_UNCHANGED_RATIO)):
        ratio = large.series[what].seconds / floor
        say(f"{what} within {limit}x of the floor at {LARGE:,}",
            f"{ratio:.2f}x", ratio <= limit)


def judge(sizes):
    """A line for each goal that the sizes allow to be judged."""
    by_records = {size.records: size for size in sizes}
    small = by_records.get(SMALL)
    middle = by_records.get(MIDDLE)
    large = by_records.get(LARGE)
    print()
    if large is not None:
        judge_memory(middle, large)
        if middle is not None:
            judge_growth(middle, large)
        judge_ratios(large)
    if small is not None:
        seconds = small.series[LOOPBACK].seconds
        say(f"{SMALL:,} unchanged from loopback under "
            f"{MAX_LOOPBACK_SECONDS} s", f"{seconds:.3f} s",
            seconds < MAX_LOOPBACK_SECONDS)


def bench(args, folder):
    sizes = []
    runs.check_disk(folder)
    print(COLUMNS.format("records", "MB", "what", "seconds", "min - max",
                         "CPU", "records/s", "MB/s", "peak MiB", "to floor"),
          flush=True)
    for records in args.sizes:
        place = folder / str(records)
        place.mkdir()
        size = Size(args, place, records)
        size.run()
        size.print()
        sizes.append(size)
        shutil.rmtree(place)
    # A child counts the memory of the process that started it.
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nseconds, CPU: medians of {args.repeat}; records: resources"
          f" fetched; MB: of upstream JSON;\npeaks under {own:.1f} MiB cannot"
          " be told from the benchmark's own memory")
    judge(sizes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--floor", type=pathlib.Path, required=True)
    args = runs.parse(parser)
    args.floor = args.floor.resolve()
    try:
        with tempfile.TemporaryDirectory(prefix="nompd-bench-",
                                         dir=args.dir) as folder:
            bench(args, pathlib.Path(folder))
    except Wrong as wrong:
        sys.exit(f"bench: {wrong}")


if __name__ == "__main__":
    main()
