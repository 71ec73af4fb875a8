"""The packages in a Debian: installed, used, upgraded, removed, purged."""
import json
import re

import pytest

from conftest import NAMES, NEWER, ROOT, SETTINGS, next_version, put

MANUALS = (("1", "nompd-sync"), ("7", "nompd-api"), ("7", "nompd-bulk"),
           ("7", "nompd-store"), ("8", "nompd-serve"))
STORE = "/var/lib/nompd/nompd.db"
UPSTREAM = "/usr/share/doc/nompd-sync/examples/upstream"
EDITED = "# edited by the administrator"


def settings(root, name, **changes):
    """The variables of a packaged file, read as its user reads them."""
    text = root.output("cat", f"/etc/nompd/{name}", user="nompd")
    found = dict(re.findall(r"(?m)^([A-Z_]+)=(.*)$", text))
    return {**found, **changes}


def sync(root, *arguments, **options):
    """A run as the unit makes it: its user, its file, another upstream."""
    variables = settings(root, "nompd-sync.env",
                         NOMPD_UPSTREAM_URL=f"file://{UPSTREAM}")
    return json.loads(root.output(
        "nompd-sync", *arguments, user="nompd", variables=variables,
        **options))


def ask(root, path, key="", **variables):
    """(status, content) of an answer that nompd-serve gives as CGI."""
    answer = root.output("nompd-serve", user="nompd-serve", variables={
        **settings(root, "nompd-serve.env"), **variables,
        "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path,
        "QUERY_STRING": "", "REMOTE_ADDR": "127.0.0.1",
        "HTTP_X_API_KEY": key})
    head, _, body = answer.partition("\n\n")
    status = re.search(r"(?m)^Status: (\d+)", head)
    return int(status.group(1)) if status else 200, body


def test_rights(installed):
    """Settings are not for everybody; the store is its user's."""
    owned = installed.owned
    assert owned("/etc/nompd") == ("750", "root", "nompd")
    for name in SETTINGS:
        assert owned(f"/etc/nompd/{name}") == ("640", "root", "nompd")
    assert owned("/var/lib/nompd") == ("750", "nompd", "nompd")
    assert owned("/usr/bin/nompd-sync") == ("755", "root", "root")
    assert owned("/usr/bin/nompd-serve") == ("755", "root", "root")
    for path in ("/etc/nompd/nompd-sync.env", "/var/lib/nompd/x"):
        installed.run("cat", path, user="nobody", status=1)


def test_users(installed):
    """They cannot log in; the service is of the group, and not the owner."""
    for name in ("nompd", "nompd-serve"):
        entry = installed.output("getent", "passwd", name).strip().split(":")
        assert entry[6] == "/usr/sbin/nologin"
        assert 100 <= int(entry[2]) < 1000
    assert "nompd" in installed.output("id", "-Gn", "nompd-serve").split()


@pytest.mark.parametrize("section,name", MANUALS)
def test_manual(installed, section, name):
    path = installed.output("man", "-w", section, name).strip()
    assert path == f"/usr/share/man/man{section}/{name}.{section}.gz"


def test_programs(installed):
    version = field_version(installed)
    for name in ("nompd-sync", "nompd-serve"):
        assert installed.output(name, "--version").split()[-1] == version


def field_version(root):
    return root.output("dpkg-query", "-W", "-f", "${Version}", "nompd-sync")


def test_smoke(installed):
    """What debian/tests runs."""
    installed.run("sh", "/usr/share/doc/nompd-sync/examples/ci.sh",
                  user="nompd")


def test_mongodb_module(installed):
    """It is found and loaded: what is missing is a server."""
    told = installed.run(
        "nompd-sync", "history", "--store",
        "mongodb://127.0.0.1:1/nompd?serverSelectionTimeoutMS=100", status=74,
        user="nompd")
    assert "module" not in told


def test_mongodb_module_is_not_there(changed):
    changed.run("dpkg", "--purge", "nompd-mongodb")
    told = changed.run("nompd-sync", "history", "--store",
                       "mongodb://127.0.0.1:1/nompd", status=64)
    assert "nompd-mongodb.so" in told


def test_sync_and_serve(changed):
    """A run with the packaged settings, and answers out of its store."""
    result = sync(changed)
    assert (result["version"], result["added"]) == (1, 59)
    assert changed.owned(STORE)[1:] == ("nompd", "nompd")
    assert sync(changed)["unchanged"] == 59
    key = changed.output(
        "nompd-serve", "key", "add", "hospital-a", "--api-keys-file",
        "/etc/nompd/api-keys").strip()
    changed.run("chgrp", "nompd", "/etc/nompd/api-keys")
    changed.run("chmod", "640", "/etc/nompd/api-keys")
    status, body = ask(changed, "/health/ready")
    assert (status, json.loads(body)["version"]) == (200, 2)
    status, body = ask(changed, "/api/v1/treatmentGroup", key)
    assert (status, len(json.loads(body)["items"])) == (200, 8)
    assert ask(changed, "/api/v1/treatmentGroup", "nompd_x")[0] == 401
    # The service reads the store and writes none.
    changed.run("sh", "-c", f"echo >>{STORE}", user="nompd-serve", status=2)


def test_upgrade(changed, packages, tmp_path):
    """What was edited stays, what was not is new; rights and store stay."""
    sync(changed)
    edited = changed.path / "etc/nompd/nompd-sync.env"
    edited.write_text(edited.read_text("utf-8") + EDITED + "\n", "utf-8")
    changed.run("chmod", "600", "/etc/nompd/nompd-serve.env")
    before = field_version(changed)
    changed.install(*put(changed, next_version(packages, tmp_path)))
    assert field_version(changed) == before + "+next"
    text = edited.read_text("utf-8")
    assert EDITED in text and NEWER not in text
    for name in ("nompd-bulk.env", "nompd-serve.env"):
        assert NEWER in (changed.path / "etc/nompd" / name).read_text("utf-8")
    assert changed.owned("/etc/nompd/nompd-sync.env") == (
        "640", "root", "nompd")
    assert changed.owned("/etc/nompd/nompd-bulk.env") == (
        "640", "root", "nompd")
    # A mode that the administrator has chosen.
    assert changed.owned("/etc/nompd/nompd-serve.env")[0] == "600"
    assert sync(changed)["version"] == 2


def test_no_old_module(changed, packages, tmp_path):
    """Programs and module are of one version, or apt does something."""
    newer = {file.name: file for file in next_version(packages, tmp_path)}
    files = put(changed, [file for name, file in newer.items()
                          if not name.startswith("nompd-mongodb")])
    told = changed.run("dpkg", "--install", *files, status=1)
    assert "nompd-mongodb" in told


def test_remove_keeps_settings(changed):
    """The programs go; settings and store wait for the next installation."""
    sync(changed)
    changed.run("apt-get", "-q", "-y", "remove", *NAMES)
    for path in ("usr/bin/nompd-sync", "usr/bin/nompd-serve",
                 "lib/systemd/system/nompd-sync.timer",
                 "usr/lib/nompd-sync"):
        assert not (changed.path / path).exists()
    for name in SETTINGS:
        assert (changed.path / "etc/nompd" / name).exists()
    assert (changed.path / STORE.lstrip("/")).exists()
    changed.install(*(f"/srv/packages/{path.name}" for path in
                      (changed.path / "srv/packages").iterdir()))
    assert sync(changed)["version"] == 2


def test_purge_leaves_nothing(changed):
    """But the users, whom files elsewhere may belong to."""
    assert changed.traces()
    changed.run("apt-get", "-q", "-y", "purge", *NAMES)
    assert changed.traces() == []
    assert "nompd:" in changed.output("cat", "/etc/passwd")


def test_purge_keeps_what_is_not_the_packages(changed):
    """The store and keys; it says where they are."""
    sync(changed)
    key = changed.path / "etc/nompd/upstream.key"
    key.write_text("secret\n", "utf-8")
    told = changed.run("apt-get", "-q", "-y", "purge", *NAMES)
    assert "/etc/nompd stays" in told
    assert "/var/lib/nompd stays" in told
    assert [path for path in changed.traces() if not path.startswith(STORE)
            ] == ["/etc/nompd", "/var/lib/nompd"]
    assert key.exists()


def test_purge_with_the_store_elsewhere(changed):
    """A link to another disk is the administrator's."""
    changed.run("sh", "-ec", "mkdir /srv/disk; chown nompd:nompd /srv/disk;"
                " rmdir /var/lib/nompd; ln -s /srv/disk /var/lib/nompd")
    sync(changed)
    told = changed.run("apt-get", "-q", "-y", "purge", *NAMES)
    assert "/var/lib/nompd stays" in told
    assert (changed.path / "srv/disk/nompd.db").exists()


@pytest.mark.parametrize("name", ["nompd-sync", "nompd-serve"])
def test_alone(changed, name):
    """Either program does without the other, and without the module."""
    others = [other for other in NAMES if other not in (name, "nompd-common")]
    changed.run("apt-get", "-q", "-y", "purge", *others)
    changed.run(name, "--version")
    assert changed.status(name) == "installed"
    assert changed.owned("/var/lib/nompd") == ("750", "nompd", "nompd")


def test_same_files_as_make_install(installed):
    """Nothing that `make install` installs was forgotten on the way."""
    manuals = {path.name for path in (ROOT / "man").iterdir()}
    assert {f"{name}.{section}" for section, name in MANUALS} == manuals
