"""What a run tells when it has ended: the metrics file, the notify command."""
import json
import os
import pathlib
import re
import signal
import stat
import time

import pytest
from prometheus_client import parser as prometheus
from prometheus_client.openmetrics import parser as openmetrics

import stores
from conftest import KEY, PATIENCE, PROGRAM, ROOT
from upstream import PLANS, Answer, refused_port

ENDS = {"Completed", "Held", "Failed", "Aborted"}
COLLECTIONS = {"PlanDefinitions", "ActivityDefinitions",
               "RegulatedAuthorizations", "TreatmentGroups",
               "ReimbursementGroups"}
# What a shell sets by itself.
OF_A_SHELL = {"PWD", "OLDPWD", "SHLVL", "_"}
BASE = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR",
        "SSL_CERT_FILE", "SSL_CERT_DIR"}


class Metrics:
    """A metrics file as both parsers read it; they must agree."""

    def __init__(self, path):
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n# EOF\n")
        assert KEY not in text
        self.values = {}
        self.stores = set()
        families = list(openmetrics.text_string_to_metric_families(text))
        for family in families:
            assert family.type == "gauge" and family.documentation, family
            assert not family.unit or family.name.endswith("_" + family.unit)
        plain = list(prometheus.text_string_to_metric_families(text))
        assert self.read(plain) == self.read(families)
        self.values = self.read(families)

    def read(self, families):
        values = {}
        for family in families:
            for sample in family.samples:
                assert sample.timestamp is None
                labels = dict(sample.labels)
                self.stores.add(labels.pop("store"))
                key = (sample.name, *sorted(labels.values()))
                assert key not in values
                values[key] = sample.value
        return values

    def __getitem__(self, key):
        return self.values["nompd_" + key[0], *key[1:]]

    def has(self, name):
        return any(key[0] == "nompd_" + name for key in self.values)

    def check(self, state, status):
        """What holds of every end."""
        assert {end: self["run_state", end] for end in ENDS} == {
            end: float(end == state) for end in ENDS}
        assert self["run_success",] == (state == "Completed")
        assert self["run_held",] == (state == "Held")
        assert self["run_exit_status",] == status
        age = time.time() - self["run_end_timestamp_seconds",]
        assert -1 < age < 2 * PATIENCE
        assert 0 <= self["run_duration_seconds",] < 2 * PATIENCE
        assert self.has("program_info")
        return self


@pytest.fixture(autouse=True)
def files(bare):
    """Where runs tell; every run of the test does."""
    folder = bare.folder / "report"
    folder.mkdir()
    bare.metrics = folder / "nompd.prom"
    script = bare.folder / "notify"
    script.write_text(
        "#!/bin/sh\n"
        f"cd '{folder}' || exit 9\n"
        "cat >job.new && env >env && mv job.new job\n", encoding="utf-8")
    script.chmod(0o755)
    bare.variables = {"NOMPD_METRICS_FILE": str(bare.metrics),
                      "NOMPD_NOTIFY_COMMAND": str(script)}
    yield
    # Nothing is left beside the file.
    assert {path.name for path in folder.iterdir()} <= {
        "nompd.prom", "job", "env", "store"}


def told(sync, state, status):
    """(metrics, job) of the last run, which ended so."""
    metrics = Metrics(sync.metrics).check(state, status)
    text = (sync.folder / "report" / "job").read_text(encoding="utf-8")
    assert text.count("\n") == 1 and KEY not in text
    job = json.loads(text)
    assert job["state"] == state
    assert (job["error"] or {"status": 0})["status"] == status
    env = dict(line.split("=", 1) for line in (
        sync.folder / "report" / "env").read_text().splitlines())
    assert env["SYNC_JOB_ID"] == job["id"]
    assert env["SYNC_JOB_STATE"] == state
    assert env["SYNC_EXIT_STATUS"] == str(status)
    for name in env.keys() - OF_A_SHELL - BASE - {
            "SYNC_JOB_ID", "SYNC_JOB_STATE", "SYNC_EXIT_STATUS"}:
        assert name.startswith("LC_") or name.endswith("_proxy")
    return metrics, job


def run(sync, *args, **options):
    return sync.run(*args, env=sync.variables, **options)


def test_success(sync):
    result = run(sync).result
    metrics, job = told(sync, "Completed", 0)
    assert job["command"] == "run" and job["id"]
    assert job["result"] == result
    assert metrics["last_version",] == 1
    age = time.time() - metrics["last_success_timestamp_seconds",]
    assert -1 < age < 2 * PATIENCE
    acts = {name: metrics["run_acts", name]
            for name in ("added", "updated", "unchanged", "deleted")}
    assert acts == {"added": 15, "updated": 0, "unchanged": 0, "deleted": 0}
    for name in COLLECTIONS:
        assert metrics["run_records", name, "processed"] == 3
        assert metrics["run_records", name, "written"] == 3
    assert metrics["run_records", "PlanDefinitions", "fetched"] == 3
    assert stat.S_IMODE(sync.metrics.stat().st_mode) == 0o644
    if stores.KIND.name == "sqlite":
        assert metrics.stores == {str(sync.store)}


def test_documented(sync):
    """The manual lists these metrics, and the alerts use no other."""
    assert run(sync).status == 0
    text = sync.metrics.read_text(encoding="utf-8")
    samples = {(name, frozenset(re.findall(r'(\w+)="', labels)) - {"store"})
               for name, labels in re.findall(
                   r"^(nompd_\w+)\{(.*)\} ", text, re.M)}
    page = (ROOT / "man" / "nompd-sync.1").read_text(encoding="utf-8")
    listed = re.findall(r"^\.It Li (nompd_\w+)(?:\{(.*)\})?$", page, re.M)
    assert {(name, frozenset(filter(None, labels.split(","))))
            for name, labels in listed} == samples
    rules = (ROOT / "examples" / "prometheus" / "nompd-sync.yml").read_text(
        encoding="utf-8")
    used = set(re.findall(r"nompd_\w+", rules))
    assert used and used <= {name for name, _ in samples}
    # The manual has the same expressions.
    for alert, expression in re.findall(
            r"- alert: (\w+)\n +expr: ((?:>\n)?(?:.*\n)"
            r"(?: +(?:and|or) .*\n)?)", rules):
        assert re.search(rf"alert: {alert}\n *expr: *" + r"\s+".join(
            map(re.escape, expression.split())), page), alert


def test_time_to_tell():
    """Who supervises a run leaves the notify command its time."""
    header = (ROOT / "include" / "notify.h").read_text(encoding="utf-8")
    told_ms = sum(int(number) for number in re.findall(
        r"^#define (?:MAX_NOTIFY_MS|MAX_NOTIFY_GRACE_MS)\s+(\d+)", header, re.M))
    assert told_ms == 65000
    unit = (ROOT / "examples" / "systemd" / "nompd-sync.service").read_text(
        encoding="utf-8")
    minutes = re.search(r"^TimeoutStopSec=(\d+)min$", unit, re.M)
    assert int(minutes[1]) * 60000 >= told_ms + 30000
    pod = (ROOT / "examples" / "kubernetes" / "cronjob.yaml").read_text(
        encoding="utf-8")
    seconds = re.search(r"^ *terminationGracePeriodSeconds: (\d+)$", pod, re.M)
    assert int(seconds[1]) * 1000 >= told_ms + 30000


def test_reconvert(filled):
    assert run(filled, "reconvert").status == 0
    _, job = told(filled, "Completed", 0)
    assert job["command"] == "reconvert"


def test_no_answer(filled):
    _, port = refused_port()
    run(filled, url=f"http://127.0.0.1:{port}/").failed(69)
    metrics, job = told(filled, "Failed", 69)
    assert job["error"]["text"] and not metrics.has("run_acts")
    # The success before is known from the store.
    assert metrics["last_version",] == 1
    assert metrics.has("last_success_timestamp_seconds")


def test_retries(filled, upstream):
    answer = upstream.answers[f"/api/{PLANS}"][0]
    upstream.script(PLANS, Answer(b"", 503), answer)
    assert run(filled, "--retries", "1").status == 0
    assert told(filled, "Completed", 0)[0]["run_retries",] == 1


def test_held(filled, upstream):
    upstream.serve([], [], [])
    run(filled).failed(65)
    metrics, _ = told(filled, "Held", 65)
    assert metrics["last_version",] == 1


@pytest.fixture
def slow(filled, upstream):
    """A run that waits for its first list until the gate is opened."""
    gate = upstream.gate()
    answer = upstream.answers[f"/api/{PLANS}"][0]
    upstream.script(PLANS, Answer(answer.body, before=gate.wait), answer)
    process = filled.start(env=filled.variables)
    upstream.wait_for(PLANS)
    yield process
    gate.set()


def test_busy(filled, slow):
    """It had no job yet, but it ended."""
    run(filled).failed(75)
    metrics, job = told(filled, "Failed", 75)
    assert job["id"] == ""
    assert metrics["last_version",] == 1
    assert slow.poll() is None


def test_aborted(filled, slow):
    assert filled.run("abort", "--reason", "because").status == 0
    filled.finish(slow).failed(79)
    metrics, job = told(filled, "Aborted", 79)
    assert "because" in job["error"]["text"]
    assert metrics["last_version",] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted(filled, slow, number):
    """The signal ends the run, not what is then told of it."""
    slow.send_signal(number)
    assert filled.finish(slow).status == -number
    told(filled, "Failed", 128 + number)


@pytest.mark.only_store("sqlite")
def test_store_away(filled):
    """The success that the file knows of is kept."""
    assert run(filled).status == 0
    success = Metrics(filled.metrics)["last_success_timestamp_seconds",]
    aside = pathlib.Path(f"{filled.store}.aside")
    os.rename(filled.store, aside)
    filled.store.write_bytes(b"no database" * 100)
    run(filled).failed(74)
    metrics, job = told(filled, "Failed", 74)
    assert job["id"] == ""
    assert metrics["last_success_timestamp_seconds",] == success
    assert metrics["last_version",] == 2


def test_usage_error_tells_nothing(sync):
    run(sync, "--retries", "x").failed(64)
    assert not any((sync.folder / "report").iterdir())


def test_dry_run_tells_nothing(filled):
    assert run(filled, "--dry-run").status == 0
    assert not any((filled.folder / "report").iterdir())


def test_metrics_cannot_be_written(filled):
    filled.variables["NOMPD_METRICS_FILE"] = str(
        filled.folder / "missing" / "nompd.prom")
    outcome = run(filled)
    assert outcome.result["version"] == 2
    assert " warn  --metrics-file: " in outcome.err
    assert "No such file or directory" in outcome.err


@pytest.mark.parametrize("path", ["/dev/null", "/tmp", "new/"])
def test_metrics_file_that_is_none(sync, path):
    sync.variables["NOMPD_METRICS_FILE"] = path
    run(sync).failed(64, "NOMPD_METRICS_FILE: want a file that may be")
    assert not stores.KIND.exists(sync.store)


@pytest.mark.parametrize("kind", ["key", "text", "other metrics"])
def test_metrics_file_of_others(filled, kind):
    """What is not ours is never replaced."""
    path = filled.folder / "precious"
    content = {"key": KEY + "\n", "text": "a plan for today\n",
               "other metrics": "# TYPE node_up gauge\nnode_up 1\n"}[kind]
    path.write_text(content, encoding="utf-8")
    filled.variables["NOMPD_METRICS_FILE"] = str(path)
    run(filled).failed(64, "NOMPD_METRICS_FILE: want a metrics file of ours,"
                       " or none: this one is something else, and is not")
    assert path.read_text(encoding="utf-8") == content
    path.write_text("", encoding="utf-8")
    assert run(filled).result["version"] == 2
    Metrics(path).check("Completed", 0)


@pytest.mark.only_store("sqlite")
def test_metrics_file_is_the_store(filled):
    """Never: not when it is there, and not when the run has made it."""
    filled.variables["NOMPD_METRICS_FILE"] = str(filled.store)
    before = filled.store.read_bytes()
    run(filled).failed(64, "and is not overwritten")
    assert filled.store.read_bytes() == before
    stores.KIND.remove(filled.store)
    outcome = run(filled)
    assert outcome.result["version"] == 1
    assert " warn  --metrics-file: " in outcome.err
    assert "is no metrics file of ours, and is not overwritten" in outcome.err
    del filled.variables["NOMPD_METRICS_FILE"]
    assert run(filled).result["version"] == 2


def test_metrics_file_of_a_killed_run(filled):
    """What it has left beside the file goes with the next run."""
    aside = filled.metrics.parent / ".nompd.prom.nompd-new"
    aside.write_text("# TYPE nompd_program_info gauge\nhalf", encoding="utf-8")
    assert run(filled).result["version"] == 2
    told(filled, "Completed", 0)
    assert not aside.exists()


def test_metrics_file_through_a_link(filled):
    """The link stays, and the file it leads to is made."""
    target = filled.folder / "target.prom"
    filled.metrics.symlink_to(target)
    for version in (2, 3):
        assert run(filled).result["version"] == version
        assert filled.metrics.is_symlink() and not target.is_symlink()
        told(filled, "Completed", 0)


def test_command_that_fails(filled):
    filled.variables["NOMPD_NOTIFY_COMMAND"] = '["/bin/sh","-c","exit 7"]'
    outcome = run(filled)
    assert outcome.result["version"] == 2
    assert (" warn  --notify-command: /bin/sh has ended with status 7"
            in outcome.err)


def test_command_is_hidden(sync):
    sync.variables["NOMPD_NOTIFY_COMMAND"] = '["https://chat.example/hook'
    outcome = run(sync)
    outcome.failed(64, "NOMPD_NOTIFY_COMMAND: want a program")
    assert "chat.example" not in outcome.err


def test_output_is_not_the_result(filled):
    filled.variables["NOMPD_NOTIFY_COMMAND"] = "echo told you"
    outcome = run(filled)
    assert outcome.result["version"] == 2
    assert "told you\n" in outcome.err


def test_command_may_use_the_store(filled):
    """The job is over and the lease is free when the command runs."""
    other = filled.folder / "other"
    other.write_text(
        "#!/bin/sh\n"
        f"exec '{PROGRAM}' --store '{stores.uri(filled.store)}' "
        f"--upstream '{filled.url}' --no-upstream-key "
        f">'{filled.folder}/report/store' 2>&1\n", encoding="utf-8")
    other.chmod(0o755)
    filled.variables["NOMPD_NOTIFY_COMMAND"] = str(other)
    outcome = run(filled)
    assert outcome.result["version"] == 2
    assert "--notify-command" not in outcome.err
    text = (filled.folder / "report" / "store").read_text(encoding="utf-8")
    assert '{"version":3,' in text
    # No variable of the command's binds a run or is unknown to it.
    assert "NOMPD_" not in text


def test_signal_meanwhile(filled):
    """It ends the command; the run is published, so the status is 0."""
    script = filled.folder / "report" / "store"
    filled.variables["NOMPD_NOTIFY_COMMAND"] = json.dumps(
        ["/bin/sh", "-c", f"echo $$ >'{script}'; kill -TERM $PPID;"
         " exec sleep 1000"])
    outcome = run(filled)
    assert outcome.result["version"] == 2
    assert ("--notify-command: /bin/sh was ended, because this process is to"
            " end" in outcome.err)
    with pytest.raises(ProcessLookupError):
        os.kill(int(script.read_text()), 0)
