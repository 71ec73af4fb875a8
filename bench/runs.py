"""Runs of programs that are measured: bench.py, bulk.py and mongodb.py."""

import collections
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

GENERATOR = pathlib.Path(__file__).with_name("generate.py")
CHANGED_PERCENT = 1

SMALL, MIDDLE, LARGE = 2700, 20000, 200000
MAX_PEAK_MIB = 64

Sample = collections.namedtuple("Sample", "seconds cpu_seconds peak_mib")
Upstream = collections.namedtuple("Upstream", "folder wrote")


class Wrong(Exception):
    """What was run did not do what is to be measured."""


class Series:
    """The samples of one thing at one size."""

    def __init__(self):
        self.samples = []

    @property
    def seconds(self):
        return statistics.median(each.seconds for each in self.samples)

    @property
    def cpu_seconds(self):
        return statistics.median(each.cpu_seconds for each in self.samples)

    def span(self, form):
        seconds = [each.seconds for each in self.samples]
        return form.format(min(seconds), max(seconds))

    @property
    def peak_mib(self):
        return max(each.peak_mib for each in self.samples)


class Upstreams:
    """An upstream of a size, and one of which 1 % is changed."""

    def __init__(self, folder, records):
        self.folder = folder
        self.records = records
        self.upstream = self.generate("upstream")
        self.later = self.generate("later", "--changed",
                                   str(CHANGED_PERCENT))

    def generate(self, name, *options):
        folder = self.folder / name
        done = subprocess.run(
            [sys.executable, GENERATOR, folder, str(self.records), *options],
            check=True, stdout=subprocess.PIPE)
        return Upstream(folder, json.loads(done.stdout))

    @property
    def megabytes(self):
        return self.upstream.wrote["bytes"] / 1e6

    @property
    def resources(self):
        return self.upstream.wrote["resources"]

    @property
    def outputs(self):
        return self.upstream.wrote["outputs"]


def environment(folder, variables):
    env = {name: value for name, value in os.environ.items()
           if not name.startswith("NOMPD_")
           and not name.lower().endswith("_proxy")}
    return {**env, "TMPDIR": str(folder), **variables}


def measure(command, folder, **variables):
    """Runs it, with these variables of the environment; returns a sample, its
    standard output and its log."""
    out = folder / "stdout"
    log = folder / "stderr"
    # What earlier runs left to be written would be paid for by this one.
    os.sync()
    with out.open("wb") as stdout, log.open("wb") as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
            env=environment(folder, variables))
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            # What ends this ends the run, too.
            process.terminate()
            process.wait()
            raise
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Wrong(f"{' '.join(map(str, command))}: status "
                    f"{process.returncode}\n{log.read_text()}")
    return (Sample(seconds, usage.ru_utime + usage.ru_stime,
                   usage.ru_maxrss / 1024), out.read_text(), log.read_text())


def check(what, found, **wanted):
    got = {name: found.get(name) for name in wanted}
    if got != wanted:
        raise Wrong(f"{what}: wanted {wanted}, got {got}")


def say(goal, fact, is_reached):
    print(f"{goal}: {fact} - {'' if is_reached else 'NOT '}reached")


def sizes_of(text):
    return [int(size) for size in text.split(",")]


def check_disk(folder):
    """A file system in memory would measure no disk."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", folder], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.strip()
    if kind in ("tmpfs", "ramfs"):
        raise Wrong(f"{folder} is in memory ({kind}); name a folder on disk"
                    " with --dir")


def parse(parser, sizes=(SMALL, MIDDLE, LARGE), has_program=True):
    """The arguments, with those that all of these benchmarks have."""
    if has_program:
        parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--sizes", type=sizes_of, metavar="N,...",
                        default=list(sizes))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--dir", type=pathlib.Path, metavar="FOLDER",
                        default=pathlib.Path("/var/tmp"),
                        help="where to work; on a disk (default /var/tmp)")
    args = parser.parse_args()
    if args.repeat < 1 or min(args.sizes) < 1:
        parser.error("--repeat and --sizes from 1")
    if has_program:
        args.program = args.program.resolve()
    return args
