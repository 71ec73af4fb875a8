#!/usr/bin/python3
"""Measures bulk runs of nompd-sync, beside curl of the same files.

    python3 bench/bulk.py --program PROGRAM --floor FLOOR [OPTION ...]

For each size so many Observations of about 380 bytes are written to 20 files,
which nginx on this machine gives; a small server beside it takes the kick-off
and answers with their manifest:

    curl       the files, one after the other, to /dev/null
    floor      yajl and raw inserts alone (bench/floor.c), from the files
    first      a run into a store that is not there yet
    increment  a run with --since auto, to which 1 % of the records has changed

One after the other, and that several times over, so that a disturbance of the
machine meets all of them.  Every result is checked: wrong counts end the
benchmark.  Ends with the goals, reached or not, and with status 0 either way.
"""

import argparse
import collections
import http.server
import json
import pathlib
import shutil
import sys
import tempfile
import threading
from urllib.parse import parse_qs, urlsplit

sys.dont_write_bytecode = True

import runs  # noqa: E402
from runs import (  # noqa: E402
    CHANGED_PERCENT, MAX_PEAK_MIB, Series, Wrong, check, measure, say)
from static import HOST, Static  # noqa: E402

MILLION = 1000000
FILES = 20
MAX_FIRST_RATIO = 4
MAX_PEAK_GROWTH = 1.10

CURL, FLOOR, FIRST, INCREMENT = "curl", "floor", "first", "increment"

COLUMNS = "{:>8} {:>6} {:<10} {:>8} {:>16} {:>8} {:>9} {:>7} {:>8} {:>7}"

# Odd, so that the ids are all different, and in no order.
SPREAD = 2654435761
LINE = json.dumps({
    "resourceType": "Observation", "id": "%(id)s",
    "meta": {"versionId": "%(version)d",
             "lastUpdated": "2025-01-0%(version)dT06:00:00.000Z"},
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8302-2",
                         "display": "Body height"}]},
    "subject": {"reference": "Patient/%(subject)d"},
    "effectiveDateTime": "2024-12-%(day)02dT08:30:00+01:00",
    "valueQuantity": {
        "value": "@%(value)d.50@", "unit": "cm", "code": "cm",
        "system": "http://unitsofmeasure.org"}},
    separators=(",", ":")).replace('"@', "").replace('@"', "") + "\n"


def write_files(folder, numbers, files, version):
    """Writes the records of these numbers; gives what a manifest says of the
    files, and their bytes."""
    share = -(-len(numbers) // files)
    listed, size = [], 0
    for i in range(0, len(numbers), share):
        path = folder / f"{version}-{i // share:02}.ndjson"
        part = numbers[i:i + share]
        with path.open("w", encoding="ascii") as file:
            for number in part:
                file.write(LINE % {
                    "id": f"{number * SPREAD & 0xFFFFFFFF:08x}",
                    "version": version, "subject": number // 8,
                    "day": number % 30 + 1,
                    "value": 150 + number % 50 + version})
        listed.append((path.name, len(part)))
        size += path.stat().st_size
    return listed, size


class Jobs(http.server.ThreadingHTTPServer):
    """Kick-offs, manifests and deletions; `files` by whether _since was there.
    Each job has a time of its own."""

    daemon_threads = True

    def __init__(self, place, files):
        self.place = place
        self.files = files
        self.kinds = []
        super().__init__((HOST, 0), JobHandler)
        self.url = f"http://{HOST}:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """A program that goes away is found out by its result."""

    def manifest(self, number):
        return {
            "transactionTime": f"2025-02-01T00:{number // 60:02}:"
                               f"{number % 60:02}Z",
            "requiresAccessToken": False, "error": [], "output": [
                {"type": "Observation", "url": f"{self.place}/{name}",
                 "count": count}
                for name, count in self.files[self.kinds[number]]]}


class JobHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/$export":
            self.server.kinds.append("_since" in parse_qs(url.query))
            place = f"{self.server.url}/jobs/{len(self.server.kinds) - 1}"
            self.answer(202, headers=[("Content-Location", place)])
        elif url.path.startswith("/jobs/"):
            self.answer(200, self.server.manifest(
                int(url.path.removeprefix("/jobs/"))))
        else:
            self.answer(404)

    def do_DELETE(self):
        self.answer(202)

    def answer(self, status, body=None, headers=()):
        data = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Size:
    """The files of a size, and what is measured with them."""

    def __init__(self, args, folder, records):
        self.args = args
        self.folder = folder
        self.records = records
        self.changed = max(1, records * CHANGED_PERCENT // 100)
        self.store = folder / "store" / "store.db"
        self.series = collections.defaultdict(Series)
        served = folder / "files"
        served.mkdir()
        self.all, self.bytes = write_files(served, range(records), FILES, 1)
        step = records // self.changed
        some, self.changed_bytes = write_files(
            served, range(0, self.changed * step, step), 1, 2)
        self.files = {False: self.all, True: some}

    def curl(self, place):
        command = ["curl", "--disable", "--silent", "--show-error", "--fail",
                   "--noproxy", "*"]
        for name, _ in self.all:
            command += ["--output", "/dev/null", f"{place}/{name}"]
        command += ["--write-out", "%{size_download}\\n"]
        sample, out, _ = measure(command, self.folder)
        if sum(map(int, out.split())) != self.bytes:
            raise Wrong(f"curl: wanted {self.bytes} bytes, got {out!r}")
        self.series[CURL].samples.append(sample)

    def floor(self):
        store = self.store.with_name("floor.db")
        sample, out, _ = measure(
            [self.args.floor, store,
             *(self.folder / "files" / name for name, _ in self.all)],
            self.folder)
        if out != f"{self.records}\n":
            raise Wrong(f"floor: wanted {self.records}, got {out!r}")
        self.series[FLOOR].samples.append(sample)
        store.unlink()

    def sync(self, what, url, **counts):
        sample, out, _ = measure(
            [self.args.program, "--mode", "bulk", "--upstream", url,
             "--no-upstream-key", "--since", "auto", "--overlap", "0s",
             "--store", f"sqlite:{self.store}"], self.folder)
        wanted = dict.fromkeys(("added", "updated", "unchanged", "deleted"), 0)
        check(what, json.loads(out), **{**wanted, **counts})
        self.series[what].samples.append(sample)

    def run(self):
        web = Static("nginx", self.folder, self.folder / "files")
        place = f"http://{HOST}:{web.port}"
        jobs = Jobs(place, self.files)
        try:
            for _ in range(self.args.repeat):
                self.store.parent.mkdir()
                self.curl(place)
                self.floor()
                self.sync(FIRST, jobs.url, added=self.records)
                self.sync(INCREMENT, jobs.url, updated=self.changed)
                shutil.rmtree(self.store.parent)
        finally:
            jobs.shutdown()
            web.stop()

    def print(self):
        curl = self.series[CURL].seconds
        for what, series in self.series.items():
            is_part = what == INCREMENT
            seconds = series.seconds
            megabytes = (self.changed_bytes if is_part else self.bytes) / 1e6
            print(COLUMNS.format(
                self.records, f"{megabytes:.1f}", what, f"{seconds:.3f}",
                series.span("{:.3f} - {:.3f}"), f"{series.cpu_seconds:.3f}",
                f"{(self.changed if is_part else self.records) / seconds:.0f}",
                f"{megabytes / seconds:.1f}", f"{series.peak_mib:.1f}",
                "" if is_part else f"{seconds / curl:.2f}"), flush=True)

    def peak_mib(self):
        return max(self.series[what].peak_mib for what in (FIRST, INCREMENT))


def judge(sizes):
    """The goals are those of the largest size."""
    large = sizes[-1]
    print()
    if large.records < MILLION:
        print(f"the goals are those of {MILLION:,} records; to compare:")
    say(f"peak under {MAX_PEAK_MIB} MiB", f"{large.peak_mib():.1f} MiB",
        large.peak_mib() < MAX_PEAK_MIB)
    if len(sizes) > 1:
        before = sizes[-2]
        say(f"... within {MAX_PEAK_GROWTH - 1:.0%} of that at "
            f"{before.records:,}", f"{before.peak_mib():.1f} MiB",
            large.peak_mib() <= MAX_PEAK_GROWTH * before.peak_mib())
    ratio = large.series[FIRST].seconds / large.series[CURL].seconds
    say(f"first run within {MAX_FIRST_RATIO}x of curl", f"{ratio:.2f}x",
        ratio <= MAX_FIRST_RATIO)
    floor = large.series[CURL].seconds + large.series[FLOOR].seconds
    print("... to compare, of curl and the floor together: "
          f"{large.series[FIRST].seconds / floor:.2f}x")


def bench(args, folder):
    sizes = []
    runs.check_disk(folder)
    print(COLUMNS.format("records", "MB", "what", "seconds", "min - max",
                         "CPU", "records/s", "MB/s", "peak MiB", "to curl"),
          flush=True)
    for records in sorted(args.sizes):
        place = folder / str(records)
        place.mkdir()
        size = Size(args, place, records)
        size.run()
        size.print()
        sizes.append(size)
        shutil.rmtree(place)
    print(f"\nseconds, CPU: medians of {args.repeat}; MB: of NDJSON")
    judge(sizes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--floor", type=pathlib.Path, required=True)
    args = runs.parse(parser, sizes=[MILLION])
    args.floor = args.floor.resolve()
    try:
        with tempfile.TemporaryDirectory(prefix="nompd-bench-",
                                         dir=args.dir) as folder:
            bench(args, pathlib.Path(folder))
    except Wrong as wrong:
        sys.exit(f"bench: {wrong}")


if __name__ == "__main__":
    main()
