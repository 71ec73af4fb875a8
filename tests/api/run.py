"""Has schemathesis test the API against its own description.

    python3 tests/api/run.py [--build BUILD] [--max-examples N]

Makes BUILD/venv with the packages of requirements.txt when it is not there,
fills a store from examples/upstream, puts nompd-serve behind each web server
of the tests, and runs schemathesis against /openapi.json as it is served.
What is checked stands in schemathesis.toml beside this file.

Every operation must be tested, with each server.  What schemathesis
calls skipped are the requests that its check ignored_auth makes, one without a
key and one with a wrong one: that check looks at their answers itself.

The last line says `api: N passed, N failed`, N being operations; the
exit status is 1 when one failed.
"""
import argparse
import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REQUIREMENTS = HERE / "requirements.txt"
DOCUMENT = ROOT / "src" / "openapi.json"
PATIENCE = 900      # seconds for one web server

Result = collections.namedtuple(
    "Result", "operations failed requests checks statuses")


class Failure(Exception):
    """Nothing could be tested; the message says why."""


def first_job():
    """The id of the job that the description asks for."""
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    return document["components"]["parameters"]["jobId"]["example"]


def sync_command(build, store, state):
    url = (ROOT / "examples" / state).as_uri()
    return [str(build / "nompd-sync"), "--upstream", url,
            "--store", f"sqlite:{store}", "--log-level", "error"]


def put_patients(store):
    """Resources of a FHIR type, one of them deleted."""
    import model
    import stores
    stores.SQLITE.make_collection(store, "Patient")
    for number in (1, 2):
        data = {"resourceType": "Patient", "id": str(number)}
        stores.SQLITE.put(store, "Patient", stores.Record(
            f"Patient/{number}", model.encode(data), number, number - 1, 0,
            model.content_hash(data)))


def fill(build, folder):
    """A store with two versions, and tombstones."""
    store = folder / "store.db"
    job = ["--job-id", first_job()]
    for state in ("upstream", "upstream-later"):
        subprocess.run(sync_command(build, store, state) + job, check=True,
                       stdout=subprocess.DEVNULL)
        job = []
    put_patients(store)
    return store


def operations():
    """The names of all operations that must be tested."""
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    return {f"{method.upper()} {path}"
            for path, methods in document["paths"].items()
            for method in methods}


def read_report(path):
    """What was done, from the events that schemathesis has written down."""
    tested, failed = set(), set()
    requests, checks = 0, 0
    statuses = collections.Counter()
    with open(path, encoding="utf-8") as events:
        for line in events:
            (kind, event), = json.loads(line).items()
            if kind in ("FatalError", "NonFatalError", "Interrupted"):
                failed.add(event.get("label") or kind)
            if kind != "ScenarioFinished":
                continue
            recorder = event["recorder"]
            label = recorder["label"]
            if event["status"] not in ("success", "skip"):
                failed.add(label)
            if recorder["interactions"]:
                tested.add(label)
            for interaction in recorder["interactions"].values():
                requests += 1
                response = interaction["response"]
                statuses[response and response["status_code"]] += 1
            checks += sum(map(len, recorder["checks"].values()))
    return Result(tested, failed, requests, checks, statuses)


def test(program, server, key, folder, max_examples):
    """One run of schemathesis: a Result."""
    report = folder / "events.ndjson"
    command = [str(program), "--config-file", str(HERE / "schemathesis.toml"),
               "--no-color", "run",
               f"http://127.0.0.1:{server.port}/openapi.json",
               "--report-ndjson-path", str(report)]
    if max_examples:
        command += ["--max-examples", str(max_examples)]
    done = subprocess.run(command, cwd=folder, check=False, timeout=PATIENCE,
                          env={**os.environ, "NOMPD_API_KEY": key,
                               "NOMPD_WEB_SERVER": server.kind,
                               "PYTHONPATH": str(HERE),
                               "PYTHONDONTWRITEBYTECODE": "1"})
    if not report.exists():
        raise Failure(f"schemathesis ended with {done.returncode}")
    result = read_report(report)
    # Whatever made it fail, one operation more than it says must not pass.
    if done.returncode != 0 and not result.failed:
        result.failed.add(f"exit status {done.returncode}")
    return result


def test_kind(web, kind, program, build, max_examples):
    """(passed, failed) operations behind one kind of web server."""
    print(f"\n### {kind}", flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="nompd-api-"))
    try:
        store = fill(build, folder)
        server = web.start_server(
            kind, folder, store=store,
            sync_command=sync_command(build, store, "upstream-later"))
        try:
            key = web.make_key(server, "api", scope="sync")
            result = test(program, server, key, folder, max_examples)
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
    untested = operations() - result.operations
    for name in sorted(untested):
        print(f"api: {name}: not tested")
    failed = result.failed | untested
    passed = result.operations - failed
    told = ", ".join(f"{count} times {status}" for status, count in
                     sorted(result.statuses.items(), key=str))
    print(f"{kind}: {len(passed)} operations passed, {len(failed)} failed;"
          f" {result.requests} requests ({told}), {result.checks} checks",
          flush=True)
    return len(passed), len(failed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default="build", type=pathlib.Path)
    parser.add_argument("--max-examples", type=int)
    arguments = parser.parse_args()
    build = (ROOT / arguments.build).resolve()
    os.environ["NOMPD_SYNC"] = str(build / "nompd-sync")
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(ROOT / "tests" / "system"), str(ROOT / "tests")]
    import python_packages
    import web
    passed = failed = 0
    try:
        python_packages.make(build / "venv", REQUIREMENTS)
        program = build / "venv/bin/schemathesis"
        for kind in web.KINDS:
            counts = test_kind(web, kind, program, build,
                               arguments.max_examples)
            passed, failed = passed + counts[0], failed + counts[1]
    except (Failure, OSError, subprocess.SubprocessError,
            web.ServerError) as error:
        print(f"api: {error}", file=sys.stderr)
        failed += 1
    print(f"api: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
