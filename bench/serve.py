#!/usr/bin/python3
"""Measures nompd-serve beside web servers that send the same bytes from files.

    python3 bench/serve.py --build FOLDER [OPTION ...]

A store is filled by nompd-sync from a generated upstream (bench/generate.py)
and then from a changed one, so that there is a diff of 20 items.  Three
questions are asked, of nompd-serve behind each web server and of the same web
servers with the very same answers in files:

    empty   what has changed since the last version: nothing
    diff    what has changed since the version before: 20 items
    full    the whole list

Short rounds follow each other, everything once in each, so that a disturbance
of the machine meets all of them.  wrk makes the load, from this machine.
Every answer is checked before and after it is measured: status, size, JSON,
and that all servers give the same; a request that fails ends the benchmark.

Then the memory of the FastCGI workers over many requests of a mixed kind, and
that of a single process that gives a large list.  Ends with the goals, reached
or not, and with status 0 either way.
"""

import argparse
import collections
import http.client
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import load  # noqa: E402
import memory  # noqa: E402
from load import Each, Wrong  # noqa: E402
from static import HOST, Static  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SYSTEM_TESTS = HERE.parent / "tests" / "system"

API = "/api/v1/reimbursementGroup"
GROUPS = "/api/v1/treatmentGroup"
DIFF_ITEMS = 20
WORKERS = 2
# What takes longer hangs.
ANSWER_SECONDS = 120
SYNC_SECONDS = 600

RECORDS = 2700
MIN_EMPTY_SHARE = 1 / 3
MAX_FULL_RATIO = 2
MAX_PEAK_MIB = 32
WARM_UP_SECONDS = 1
# Of one worker, after the warm-up and the first tenth of the requests.
MAX_GROWTH_KIB = 128
# Each row of the mix is asked ten times at least.
MIN_REQUESTS = 1000

# name: also of the file that a static server has for it.
Question = collections.namedtuple("Question", "name label path items")
# --seconds, --rounds, --requests, --big, and the same with --quick.
USUAL = {"seconds": 2, "rounds": 5, "requests": 100000, "big": 100000}
QUICK = {"seconds": 1, "rounds": 1, "requests": 5000, "big": 10000}


class Target:
    """A server that is measured; paths: where each answer is asked for."""

    def __init__(self, name, base, port, key, paths):
        self.name = name
        self.base = base            # the same web server with files
        self.port = port
        self.key = key
        self.paths = paths
        self.rates = collections.defaultdict(list)

    def get(self, question):
        return get(self.name, self.port, self.paths[question.name], self.key)

    def median(self, question, name):
        return statistics.median(getattr(rate, name)
                                 for rate in self.rates[question])


def get(name, port, path, key):
    """The answer to a GET: its headers and its body."""
    connection = http.client.HTTPConnection(HOST, port,
                                            timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path, headers={"X-API-KEY": key})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise Wrong(f"{name}: GET {path}: status {answer.status}\n"
                    f"{body[:1000]!r}")
    return answer.headers, body


def check_list(name, body, items):
    """It is JSON and has so many items; returns the object."""
    try:
        found = json.loads(body)
        count = len(found["items"])
    except (ValueError, KeyError, TypeError):
        raise Wrong(f"{name}: no list: {body[:1000]!r}") from None
    if count != items:
        raise Wrong(f"{name}: wanted {items} items, got {count}")
    return found


def environment(args):
    env = {name: value for name, value in os.environ.items()
           if not name.startswith("NOMPD_")
           and not name.lower().endswith("_proxy")}
    return {**env, "TMPDIR": str(args.folder)}


class Store:
    """A store for so many authorizations; has none before its first run."""

    def __init__(self, records, folder):
        self.records = records
        self.folder = folder
        self.folder.mkdir()
        self.path = self.folder / "store.db"

    def sync(self, args, percent):
        """A run over an upstream of which so many per cent are changed."""
        upstream = self.folder / "upstream"
        subprocess.run(
            [sys.executable, HERE / "generate.py", upstream,
             str(self.records), "--changed", repr(percent)],
            check=True, stdout=subprocess.PIPE)
        done = subprocess.run(
            [args.sync, "--upstream", f"file://{upstream}", "--store",
             f"sqlite:{self.path}", "--log-level", "error"],
            env=environment(args), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            timeout=SYNC_SECONDS, check=False)
        if done.returncode != 0:
            raise Wrong(f"nompd-sync: status {done.returncode}\n"
                        f"{done.stderr}")
        shutil.rmtree(upstream)

    def copy(self, name):
        """Another with the same content, for a server alone: an open store
        is opened faster by the next."""
        copy = Store(self.records, self.folder.with_name(name))
        for path in self.folder.glob("store.db*"):
            if not path.name.endswith(("-lease", "-shm")):
                shutil.copy(path, copy.folder)
        return copy

    def questions(self):
        return (Question("empty", "empty diff", f"{API}?sinceVersion=2", 0),
                Question("diff", f"{DIFF_ITEMS} items",
                         f"{API}?sinceVersion=1", DIFF_ITEMS),
                Question("full", "full list", API, self.records))


class Servers:
    """Started servers; the last one first, all are stopped in the end."""

    def __init__(self, args, web):
        self.args = args
        self.web = web
        self.started = []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        log = ""
        for name, server in reversed(self.started):
            if kind is not None:
                log += f"log of {name}:\n{server.log()[-2000:]}\n"
            server.stop()
        if log:
            print(log, file=sys.stderr)

    def start(self, kind, store, workers=WORKERS):
        try:
            server = self.web.start_server(kind, self.args.folder,
                                           store=store.path, workers=workers)
        except self.web.ServerError as error:
            raise Wrong(str(error)) from None
        self.started.append((kind, server))
        return server, self.web.make_key(server, "bench")

    def start_static(self, kind, files):
        folder = self.args.folder / f"static-{kind}"
        folder.mkdir()
        server = Static(kind, folder, files)
        self.started.append((f"static {kind}", server))
        return server


# Speed

def start_targets(servers, store):
    """Every server; the answers that the first one gives become the files."""
    questions = store.questions()
    paths = {question.name: question.path for question in questions}
    files = servers.args.folder / "files"
    files.mkdir()
    served = {}
    for name, kind in (("nginx, FastCGI", "nginx-fastcgi"),
                       ("lighttpd, FastCGI", "lighttpd-fastcgi"),
                       ("lighttpd, CGI", "lighttpd-cgi")):
        server, key = servers.start(kind, store.copy(f"store-{kind}"))
        served[name] = Target(name, None, server.port, key, paths)
    for question in questions:
        body = served["nginx, FastCGI"].get(question)[1]
        (files / question.name).write_bytes(body)
    targets = []
    for kind in ("nginx", "lighttpd"):
        server = servers.start_static(kind, files)
        static = Target(f"{kind}, static file", None, server.port, "none",
                        {each.name: f"/{each.name}" for each in questions})
        targets.append(static)
        for name, target in served.items():
            if name.startswith(kind):
                target.base = static
                targets.append(target)
    return targets, questions


def check_answers(targets, questions):
    """Every server gives the same; returns the sizes."""
    sizes = {}
    for question in questions:
        wanted = None
        for target in targets:
            body = target.get(question)[1]
            wanted = wanted or body
            check_list(f"{target.name}, {question.label}", body,
                       question.items)
            if body != wanted:
                raise Wrong(f"{target.name}, {question.label}: not what "
                            f"{targets[0].name} gives")
        sizes[question] = len(wanted)
    return sizes


def measure_speed(args, targets, sizes):
    for _ in range(args.rounds):
        for question, size in sizes.items():
            for target in targets:
                target.rates[question].append(load.measure(
                    f"{target.name}, {question.label}", args.folder,
                    f"http://{HOST}:{target.port}"
                    f"{target.paths[question.name]}",
                    target.key, size, args.seconds))


def ratio(target, base, question):
    return (target.median(question, "per_second")
            / base.median(question, "per_second"))


def span(values, digits):
    return (f"{statistics.median(values):,.{digits}f} "
            f"({min(values):,.{digits}f} – {max(values):,.{digits}f})")


def print_speed(targets, sizes):
    print("| question | bytes | server | requests/s (min – max) | to static"
          " | p50 ms | p99 ms |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: |")
    for question, size in sizes.items():
        for target in targets:
            rates = target.rates[question]
            share = (f"{ratio(target, target.base, question):.3f}"
                     if target.base else "1")
            print(f"| {question.label} | {size:,} | {target.name} | "
                  f"{span([rate.per_second for rate in rates], 0)} | "
                  f"{share} | {span([rate.p50_ms for rate in rates], 2)} | "
                  f"{span([rate.p99_ms for rate in rates], 2)} |",
                  flush=True)


def speed(args, web, store):
    with Servers(args, web) as servers:
        targets, questions = start_targets(servers, store)
        sizes = check_answers(targets, questions)
        measure_speed(args, targets, sizes)
        check_answers(targets, questions)
    print_speed(targets, sizes)
    print(f"\nmedians of {args.rounds} rounds of {args.seconds} s, "
          f"{load.CONNECTIONS} connections; {WORKERS} FastCGI workers; to"
          "\nstatic: the rate beside that of the same web server with a"
          " file\n", flush=True)
    return targets, questions


# Memory

def mix(key, etag):
    """What consumers, probes and strangers ask; counts of 100."""
    keyed = {"X-API-KEY": key}
    return (
        Each(50, "GET", f"{API}?sinceVersion=2", keyed, 200),
        Each(15, "GET", f"{API}?sinceVersion=2",
             {**keyed, "If-None-Match": etag}, 304),
        Each(10, "GET", f"{API}?sinceVersion=1", keyed, 200),
        Each(4, "GET", GROUPS, keyed, 200),
        Each(1, "GET", API, keyed, 200),
        Each(5, "GET", "/health/live", {}, 200),
        Each(5, "GET", "/health/ready?maxAge=26h", {}, 200),
        Each(2, "GET", "/metrics", keyed, 200),
        Each(1, "GET", "/openapi.json", {}, 200),
        Each(2, "GET", API, {}, 401),
        Each(2, "GET", API, {"X-API-KEY": "nompd_" + 43 * "A"}, 401),
        Each(1, "GET", f"{API}?sinceVersion=-1", keyed, 400),
        Each(1, "GET", "/api/v1/nothing", keyed, 404),
        Each(1, "DELETE", API, keyed, 405))


def steps(requests):
    """How often the memory is looked at: at the start and so far on."""
    return 0, requests // 100, requests // 10, requests


def warm_up(args, server, key):
    """Every worker gives a full list, the most that it can be asked for."""
    load.measure("warm-up", args.folder, f"http://{HOST}:{server.port}{API}",
                 key, 0, WARM_UP_SECONDS)


def measure_growth(args, web, store):
    """[(requests so far, memory of each worker)]"""
    found = []
    with Servers(args, web) as servers:
        server, key = servers.start("nginx-fastcgi", store)
        pids = memory.workers(args.serve)
        if len(pids) != WORKERS:
            raise Wrong(f"wanted {WORKERS} FastCGI workers, found {pids}")
        sofar = 0
        for step in steps(args.requests):
            if sofar == 0 and step > 0:
                warm_up(args, server, key)
            if step > sofar:
                headers, _ = get("mix", server.port,
                                 f"{API}?sinceVersion=2", key)
                load.run_mix(args.folder, f"http://{HOST}:{server.port}",
                             mix(key, headers["ETag"]), step - sofar)
                sofar = step
            found.append((step, [memory.memory(pid) for pid in pids]))
        if memory.workers(args.serve) != pids:
            raise Wrong("a FastCGI worker ended under the load")
    return found


def print_growth(found):
    print("| requests | workers | PSS KiB | RSS KiB | PSS of each |"
          " RSS of each |")
    print("| ---: | ---: | ---: | ---: | --- | --- |")
    for requests, each in found:
        pss = [one.pss_kib for one in each]
        rss = [one.rss_kib for one in each]
        print(f"| {requests:,} | {len(each)} | {sum(pss):,} | {sum(rss):,} |"
              f" {', '.join(f'{kib:,}' for kib in pss)} |"
              f" {', '.join(f'{kib:,}' for kib in rss)} |")
    print(f"\nbehind the first line {WARM_UP_SECONDS} s of full lists, which"
          " fill the caches of the workers\n", flush=True)


def cgi_peak(args, server, key, store):
    """A CGI process that gives the large list; returns the answer, too."""
    env = {**environment(args), "GATEWAY_INTERFACE": "CGI/1.1",
           "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_METHOD": "GET",
           "SCRIPT_NAME": "", "PATH_INFO": API, "QUERY_STRING": "",
           "HTTP_X_API_KEY": key, "NOMPD_STORE": f"sqlite:{store.path}",
           "NOMPD_API_KEYS_FILE": str(server.keys_file)}
    ran = memory.run([args.serve], env)
    _, _, body = ran.output.partition(b"\r\n\r\n")
    if ran.status != 0:
        raise Wrong(f"CGI process: status {ran.status}\n{ran.output[:1000]}")
    if ran.peak_kib == 0:
        raise Wrong("CGI process: it ended before its memory was seen; want"
                    " a larger --big")
    return ran.peak_kib, body


def measure_peaks(args, web, store):
    """Peaks in KiB of a CGI process and of a worker, and what they sent."""
    with Servers(args, web) as servers:
        server, key = servers.start("nginx-fastcgi", store, workers=1)
        cgi, body = cgi_peak(args, server, key, store)
        check_list("CGI process", body, store.records)
        pids = memory.workers(args.serve)
        if len(pids) != 1:
            raise Wrong(f"wanted one FastCGI worker, found {pids}")
        if get("worker", server.port, API, key)[1] != body:
            raise Wrong("CGI and FastCGI give different lists")
        return {"CGI process": cgi, "FastCGI worker":
                memory.peak_kib(pids[0])}, len(body)


def print_peaks(peaks, store, size):
    print("| process | records | MB | peak MiB |")
    print("| --- | ---: | ---: | ---: |")
    for name, kib in peaks.items():
        print(f"| {name} | {store.records:,} | {size / 1e6:.1f} |"
              f" {kib / 1024:.1f} |")
    print(flush=True)


# Goals

def say(goal, fact, is_reached):
    print(f"{goal}: {fact} - {'' if is_reached else 'NOT '}reached")


def judge_speed(targets, questions):
    """Each against its own web server with a file and against the other,
    which may be the faster one."""
    empty, _, full = questions
    pairs = [(target, base) for target in targets
             if "FastCGI" in target.name
             for base in targets if base.base is None]
    for target, base in pairs:
        share = ratio(target, base, empty)
        say("an empty diff at no less than 1/3 of the static rate, "
            f"{target.name} beside {base.name}",
            f"{target.median(empty, 'per_second'):,.0f} of "
            f"{base.median(empty, 'per_second'):,.0f} a second, "
            f"{share:.2f}", share >= MIN_EMPTY_SHARE)
    for target, base in pairs:
        times = 1 / ratio(target, base, full)
        say(f"the full list within {MAX_FULL_RATIO}x of the static file, "
            f"{target.name} beside {base.name}",
            f"{1e3 / target.median(full, 'per_second'):.2f} beside "
            f"{1e3 / base.median(full, 'per_second'):.2f} ms a "
            f"request, {times:.2f}x", times <= MAX_FULL_RATIO)


def judge_memory(found, peaks, records):
    (_, start), _, (warm, before), (requests, after) = found
    growth = max(b.rss_kib - a.rss_kib for a, b in zip(before, after))
    grown = max(b.rss_kib - a.rss_kib for a, b in zip(start, after))
    say(f"a worker does not grow over {requests:,} requests",
        f"{growth:+,} KiB after the first {warm:,}, {grown:+,} KiB in all",
        growth <= MAX_GROWTH_KIB)
    for name, kib in peaks.items():
        say(f"{records:,} records within {MAX_PEAK_MIB} MiB, {name}",
            f"{kib / 1024:.1f} MiB", kib <= MAX_PEAK_MIB * 1024)


def bench(args):
    sys.path.insert(0, str(SYSTEM_TESTS))
    import web
    store = Store(args.records, args.folder / "store")
    store.sync(args, 0)
    store.sync(args, 100 * DIFF_ITEMS / args.records)
    targets, questions = speed(args, web, store)
    found = measure_growth(args, web, store)
    print_growth(found)
    big = Store(args.big, args.folder / "big")
    big.sync(args, 0)
    peaks, size = measure_peaks(args, web, big)
    print_peaks(peaks, big, size)
    judge_speed(targets, questions)
    judge_memory(found, peaks, args.big)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=pathlib.Path,
                        default=HERE.parent / "build", metavar="FOLDER")
    parser.add_argument("--records", type=int, default=RECORDS, metavar="N",
                        help=f"authorizations in the store ({RECORDS})")
    for name, what in (
            ("seconds", "how long a round of one thing takes"),
            ("rounds", "of which the medians are taken"),
            ("requests", "over which the memory of workers is watched"),
            ("big", "records of the large list")):
        parser.add_argument(f"--{name}", type=int, metavar="N",
                            help=f"{what} ({USUAL[name]})")
    parser.add_argument("--quick", action="store_true",
                        help="smaller and fewer; within a minute")
    parser.add_argument("--dir", type=pathlib.Path, metavar="FOLDER",
                        default=pathlib.Path("/var/tmp"),
                        help="where to work (default /var/tmp)")
    args = parser.parse_args()
    for name, value in (QUICK if args.quick else USUAL).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if min(args.records, args.big) < DIFF_ITEMS or min(
            args.seconds, args.rounds) < 1 or args.requests < MIN_REQUESTS:
        parser.error(f"--records and --big from {DIFF_ITEMS}, --seconds and"
                     f" --rounds from 1, --requests from {MIN_REQUESTS}")
    build = args.build.resolve()
    args.sync = build / "nompd-sync"
    args.serve = build / "nompd-serve"
    return args


def main():
    args = parse()
    for program in (args.sync, args.serve):
        if not os.access(program, os.X_OK):
            sys.exit(f"bench: {program}: no such program")
    for name, command in (("NOMPD_SYNC", args.sync),
                          ("NOMPD_SERVE", args.serve)):
        os.environ[name] = str(command)
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    # So that what was started ends, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for command in ("wrk", "nginx", "lighttpd"):
        if shutil.which(command) is None:
            sys.exit(f"bench: {command} is not installed")
    try:
        with tempfile.TemporaryDirectory(prefix="nompd-bench-",
                                         dir=args.dir) as folder:
            args.folder = pathlib.Path(folder)
            bench(args)
    except (Wrong, RuntimeError, subprocess.SubprocessError) as wrong:
        sys.exit(f"bench: {wrong}")


if __name__ == "__main__":
    main()
