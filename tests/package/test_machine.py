"""The packages on a machine that has been started: systemd runs the units."""
import http.server
import json
import pathlib
import sys

import pytest

from conftest import NAMES, ROOT, next_version, put
from processes import kill, tail, wait_until

UNITS = ("nompd-sync.service", "nompd-sync.timer", "nompd-serve.service",
         "nompd-serve.socket")
SOCKET = "/run/nompd-serve.sock"
STORE = "/var/lib/nompd/nompd.db"
KEY = "the-key-of-the-upstream"
PORT = 8000         # of a network of its own
NO_CREDENTIAL = "243"


class Upstream(http.server.SimpleHTTPRequestHandler):
    """The example upstream, for those who have the key."""

    def do_GET(self):
        if self.headers["X-API-KEY"] != KEY:
            self.send_error(401)
        else:
            super().do_GET()

    def translate_path(self, path):
        place = pathlib.Path(super().translate_path(path))
        return str(next((found for found in place.parent.glob(
            f"{place.name}.*json")), place))


def serve():
    with http.server.ThreadingHTTPServer(
            ("127.0.0.1", PORT), lambda *found: Upstream(
                *found, directory=ROOT / "examples/upstream")) as server:
        print("ready", flush=True)
        server.serve_forever()


@pytest.fixture
def upstream(started, tmp_path):
    """The settings name it; the key is not there yet."""
    log = tmp_path / "upstream.log"
    process = started.beside([sys.executable, __file__], log)
    assert wait_until(process, log, lambda: "ready" in tail(log))
    edit(started, "nompd-sync.env", f"http://127.0.0.1:{PORT}")
    yield
    kill(process)


def edit(machine, name, url):
    """Another upstream; no retries."""
    file = machine.path / "etc/nompd" / name
    lines = [f"NOMPD_UPSTREAM_URL={url}"
             if line.startswith("NOMPD_UPSTREAM_URL=") else line
             for line in file.read_text("utf-8").splitlines()]
    file.write_text("\n".join([*lines, "NOMPD_RETRIES=0", ""]), "utf-8")


def give_key(machine, name="upstream.key", text=KEY):
    """Root's, and closed to all others."""
    machine.run("install", "-m", "600", "/dev/null", f"/etc/nompd/{name}")
    (machine.path / "etc/nompd" / name).write_text(f"{text}\n", "utf-8")


def enable_service(machine):
    """The socket; a consumer's key."""
    key = machine.output("nompd-serve", "key", "add", "a", "--api-keys-file",
                         "/etc/nompd/api-keys").strip()
    machine.run("chgrp", "nompd", "/etc/nompd/api-keys")
    machine.run("chmod", "640", "/etc/nompd/api-keys")
    machine.run("systemctl", "enable", "--now", "nompd-serve.socket")
    return key


def states(machine):
    return [machine.shown(unit, "ActiveState") for unit in UNITS]


def test_installation_starts_nothing(started, packages):
    """Nor does it enable anything."""
    started.run("apt-get", "-q", "-y", "purge", *NAMES)
    started.run("dpkg", "--install", *put(started, packages.values()))
    assert states(started) == ["inactive"] * 4
    assert [started.said("is-enabled", unit) for unit in UNITS] == [
        "static", "disabled", "static", "disabled"]


def test_a_run(started, upstream):
    """The key is root's file, the store the user's."""
    give_key(started)
    started.run("systemctl", "start", "nompd-sync")
    told = started.journal("nompd-sync")
    assert json.loads(told.splitlines()[-1])["added"] == 59
    assert KEY not in told
    assert started.owned("/etc/nompd/upstream.key") == ("600", "root", "root")
    assert started.owned(STORE) == ("640", "nompd", "nompd")
    assert started.owned("/var/lib/nompd") == ("750", "nompd", "nompd")


def test_no_key(started, upstream):
    """Said at once, and no further try, which would hold up the next start."""
    started.run("systemctl", "start", "nompd-sync", status=1)
    assert started.shown("nompd-sync", "ActiveState") == "failed"
    assert started.shown("nompd-sync", "ExecMainStatus") == NO_CREDENTIAL
    give_key(started)
    started.run("systemctl", "start", "nompd-sync")


def test_wrong_key(started, upstream):
    """The refusal is not tried again."""
    give_key(started, text="another")
    started.run("systemctl", "start", "nompd-sync", status=1)
    assert started.shown("nompd-sync", "ActiveState") == "failed"
    assert started.shown("nompd-sync", "ExecMainStatus") == "77"


def test_upstream_away(started):
    """That is: in five minutes."""
    edit(started, "nompd-sync.env", f"http://127.0.0.1:{PORT}")
    give_key(started)
    started.run("systemctl", "start", "nompd-sync", status=1)
    assert started.shown("nompd-sync", "ExecMainStatus") == "69"
    assert started.shown("nompd-sync", "SubState") == "auto-restart"


def test_timer(started):
    started.run("systemctl", "enable", "--now", "nompd-sync.timer")
    assert started.said("is-enabled", "nompd-sync.timer") == "enabled"
    told = started.said("list-timers", "--no-pager", "nompd-sync.timer")
    assert "nompd-sync.service" in told
    assert started.shown("nompd-sync.timer", "NextElapseUSecRealtime")


def test_bulk_mode(started):
    """With the drop-in of the examples; the private key is root's as well."""
    place = "/etc/systemd/system/nompd-sync.service.d"
    started.run("install", "-D", "-m", "644", "-t", place,
                "/usr/share/doc/nompd-sync/examples/systemd/nompd-bulk.conf")
    started.run("systemctl", "daemon-reload")
    edit(started, "nompd-bulk.env", f"http://127.0.0.1:{PORT}")
    started.run("nompd-sync", "keygen", "--private-key-file",
                "/etc/nompd/key.json", "--public-jwks-file", "/tmp/jwks.json")
    assert started.owned("/etc/nompd/key.json") == ("600", "root", "root")
    started.run("systemctl", "start", "nompd-sync", status=1)
    # It has read the key, and then found nobody to show it to.
    told = started.journal("nompd-sync")
    assert "SMART discovery" in told
    assert started.shown("nompd-sync", "ExecMainStatus") == "69"
    assert (started.path / "var/lib/nompd/bulk.db").exists()


def test_service(started, upstream):
    """The first request starts it; it sees what a run publishes."""
    give_key(started)
    started.run("systemctl", "start", "nompd-sync")
    key = enable_service(started)
    assert started.owned(SOCKET) == ("660", "root", "www-data")
    assert states(started)[2:] == ["inactive", "active"]
    status, body = started.ask("/health/ready", SOCKET)
    assert (status, json.loads(body)["version"]) == (200, 1)
    assert states(started)[2:] == ["active", "active"]
    worker = started.shown("nompd-serve", "MainPID")
    assert started.owned(f"/proc/{worker}")[1] == "nompd-serve"
    started.run("systemctl", "start", "nompd-sync")
    status, body = started.ask("/api/v1/treatmentGroup", SOCKET, key)
    found = json.loads(body)
    assert (status, found["currentVersion"], len(found["items"])) == (200, 2, 8)
    assert started.ask("/api/v1/treatmentGroup", SOCKET, "x")[0] == 401
    assert key not in started.journal("nompd-serve")


def test_upgrade_and_removal(started, packages, tmp_path):
    """An upgrade goes on with new programs; a removal leaves nothing running."""
    enable_service(started)
    started.run("systemctl", "enable", "--now", "nompd-sync.timer")
    assert started.ask("/health/live", SOCKET)[0] == 200
    before = started.shown("nompd-serve", "MainPID")
    started.install(*put(started, next_version(packages, tmp_path)))
    assert states(started) == ["inactive", "active", "active", "active"]
    assert started.shown("nompd-serve", "MainPID") not in ("0", before)
    assert started.ask("/health/live", SOCKET)[0] == 200
    started.run("apt-get", "-q", "-y", "remove", *NAMES)
    assert states(started) == ["inactive"] * 4
    started.run("test", "-e", SOCKET, status=1)


if __name__ == "__main__":
    serve()
