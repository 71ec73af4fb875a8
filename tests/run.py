"""Runs the tests and counts them.

Unit tests are the programs BUILD/test_* (Check); with --valgrind each runs a
second time under valgrind.  System tests are tests/system (pytest), against
BUILD/nompd-sync.  The last line says `NAME: N passed, N failed`; the exit
status is 1 when anything failed or nothing ran.

With --only peers these are the tests on servers that are not our own, in
tests/peers (tests/servers/fhir/run.py starts these); all may be skipped.

With --only package these are the tests of the Debian packages that `make deb`
has built, in tests/package; with --only kubernetes those of examples/kubernetes
and the Containerfile, in tests/kubernetes.

With --store mongodb these are the tests that go over a store, and they do so
on the server that NOMPD_TEST_MONGODB_URI names (tests/servers/mongodb/run.py
sets it).
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHECK_LINE = re.compile(r"Checks: (\d+), Failures: (\d+), Errors: (\d+)")
COUNTS = re.compile(r"\d+ (passed|failed|error|skipped)")
# Tests in folders of their own, which `make check` does not run.
APART = ("peers", "package", "kubernetes")
# What goes over a store, of the unit tests and of the system tests.
STORE_UNITS = ["test_store_conformance*", "test_store_mongodb*",
               "test_balance", "test_jobs", "test_jobs_ends",
               "test_jobs_mongodb"]
STORE_SYSTEM = [f"tests/system/test_{name}.py" for name in (
    "stores", "upsert", "shapes", "guard", "plan", "commands", "lease",
    "model", "consumer", "kill", "copy", "serve_resource", "serve_time",
    "mongodb_uri", "mongodb_faults", "balance", "report", "jobs_commands",
    "jobs_life", "jobs_abort", "jobs_queue", "jobs_lost", "bulk",
    "bulk_since", "bulk_resume", "bulk_model", "diff", "export", "rollback",
    "prune", "verify", "verify_proof", "seal", "time_reader", "undone",
    "fresh")]
VALGRIND = [
    "valgrind", "--quiet", "--leak-check=full", "--show-leak-kinds=all",
    "--errors-for-leak-kinds=definite,indirect,possible",
    "--error-exitcode=99",
    f"--suppressions={ROOT}/tests/unit/valgrind.supp",
]


def run_unit(program, prefix=()):
    """Runs one Check program: (passed, failed, what is to be said of it)."""
    environment = dict(os.environ, CK_FORK="no" if prefix else "yes")
    # A file, not a pipe: what a test has left behind may hold that open.
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        done = subprocess.run([*prefix, program], check=False, stdout=output,
                              stderr=subprocess.STDOUT, env=environment)
        output.seek(0)
        text = output.read()
    found = CHECK_LINE.search(text)
    checks, failures, errors = map(int, found.groups()) if found else (0, 0, 0)
    bad = failures + errors
    if done.returncode != 0 and bad == 0:
        bad = 1
    name = " ".join([*(p for p in prefix[:1]), program.name])
    said = f"{name}: {checks - failures - errors} passed, {bad} failed\n"
    if bad or checks == 0:
        said += text
    return checks - failures - errors, max(bad, int(checks == 0)), said


def run_units(programs, with_valgrind):
    """Runs them side by side, since some wait a lot: (passed, failed)."""
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers:
        waiting = [workers.submit(run_unit, program, prefix)
                   for program in programs
                   for prefix in ((), VALGRIND)[:1 + with_valgrind]]
        for one in waiting:
            good, bad, said = one.result()
            print(said, end="", flush=True)
            passed, failed = passed + good, failed + bad
    return passed, failed


def run_pytest(tests, program, store, arguments):
    """Runs tests of the program: (passed, failed, skipped)."""
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p",
               "no:cacheprovider", *tests, *arguments]
    environment = dict(os.environ, NOMPD_SYNC=str(program),
                       NOMPD_TEST_STORE=store, PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.Popen(command, cwd=ROOT, text=True, env=environment,
                            stdout=subprocess.PIPE)
    last = ""
    for line in done.stdout:
        print(line, end="", flush=True)
        last = line if COUNTS.search(line) else last
    status = done.wait()

    def count(word):
        found = re.search(rf"(\d+) {word}", last)
        return int(found.group(1)) if found else 0

    failed = count("failed") + count("error")
    if status != 0 and failed == 0:
        failed = 1
    return count("passed"), failed, count("skipped")


def main():
    """Runs what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build", type=pathlib.Path)
    parser.add_argument("--valgrind", action="store_true")
    parser.add_argument("--only", choices=["unit", "system", *APART])
    parser.add_argument("--store", choices=["sqlite", "mongodb"],
                        default="sqlite")
    parser.add_argument("--every", type=int, default=1, metavar="N",
                        help="of the system tests run each Nth only")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest")
    arguments = parser.parse_args()
    build = (ROOT / arguments.build).resolve()
    is_mongodb = arguments.store == "mongodb"
    is_peers = arguments.only == "peers"
    is_apart = arguments.only in APART
    if is_mongodb and not os.environ.get("NOMPD_TEST_MONGODB_URI"):
        parser.error("--store mongodb needs NOMPD_TEST_MONGODB_URI")
    passed = failed = skipped = 0
    if arguments.only in (None, "unit"):
        programs = sorted({
            path for name in (STORE_UNITS if is_mongodb else ["test_*"])
            for path in build.glob(name) if path.suffix == ""})
        if not programs:
            print("there is none of the unit tests", flush=True)
            failed += 1
        good, bad = run_units(programs, arguments.valgrind)
        passed, failed = passed + good, failed + bad
    if arguments.only != "unit":
        tests = ([f"tests/{arguments.only}"] if is_apart else
                 STORE_SYSTEM if is_mongodb else ["tests/system"])
        counts = run_pytest(tests, build / "nompd-sync", arguments.store,
                            arguments.pytest if arguments.every == 1 else
                            [*arguments.pytest, f"--every={arguments.every}"])
        passed, failed = passed + counts[0], failed + counts[1]
        skipped = counts[2]
    tail = f", {skipped} skipped" if skipped else ""
    name = (f"check-{arguments.only}" if is_apart else "mongodb" if is_mongodb
            else arguments.build.name)
    print(f"{name}: {passed} passed, {failed} failed{tail}")
    return 1 if failed or not passed and not (is_peers and skipped) else 0


if __name__ == "__main__":
    sys.exit(main())
