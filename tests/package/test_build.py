"""The packages as files: what lintian says, and whether they can be made again."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import debian
from conftest import NAMES, ROOT, field

NOBODY = 65534
# What a build says that must not be in a log of a good one.
BAD_WORDS = ("warning:", "dpkg-gencontrol: warn", "dh_missing: warning")


def run(command, as_nobody=False, **options):
    """Its output; the command must end with 0."""
    if as_nobody and os.geteuid() == 0:
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                   "--clear-groups", "--", *command]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, **options)
    assert done.returncode == 0, done.stdout
    return done.stdout


def digests(folder):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for pattern in ("*.deb", "*.tar.xz")
            for file in folder.glob(pattern)}


def test_lintian(folder):
    """Nothing to say, not even by the way; what is overridden says why."""
    debian.need("the packages' checker", "lintian")
    changes, = folder.glob("*.changes")
    output = run(["lintian", "--fail-on", "error,warning", "--pedantic",
                  "--display-info", "--tag-display-limit", "0", changes],
                 as_nobody=True)
    print(output)
    assert "E: " not in output and "W: " not in output


def test_the_build_warns_of_nothing(folder):
    log = (folder / "build.log").read_text("utf-8")
    assert [line for line in log.splitlines()
            if any(word in line for word in BAD_WORDS)] == []


@pytest.fixture
def place():
    """A folder for anybody: other runs of pytest close what pytest makes."""
    found = pathlib.Path(tempfile.mkdtemp(prefix="nompd-package-"))
    if os.geteuid() == 0:
        os.chown(found, NOBODY, NOBODY)
    yield found
    shutil.rmtree(found)


def test_the_same_again(folder, place):
    """An ordinary user, elsewhere, with another umask: byte by byte."""
    run(["sh", "-c", 'umask 077; exec sh "$@"', "sh",
         ROOT / "tools/deb", place / "built"], as_nobody=True,
        env={**os.environ, "HOME": "/nonexistent", "TZ": "Asia/Tokyo",
             "DEB_BUILD_PROFILES": "nocheck", "DEB_BUILD_OPTIONS": "nocheck",
             "LC_ALL": "C"})
    found = digests(place / "built")
    assert len(found) >= len(NAMES) + 1
    assert found == digests(folder)


@pytest.mark.parametrize("name", NAMES)
def test_one_version(packages, name):
    """All are of the version that the programs tell."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    version = field(packages[name], "Version")
    assert f"\nVERSION\t= {version}\n" in makefile


def test_each_unit_is_the_example(packages, tmp_path):
    """There is one text of each unit; the program's path alone differs."""
    for name in ("nompd-sync", "nompd-serve"):
        run(["dpkg-deb", "--extract", packages[name], tmp_path])
    # The drop-in is no unit; an administrator copies it.
    found = {path.name: path.read_text("utf-8")
             for pattern in ("lib/systemd/system/*",
                             "usr/share/doc/*/examples/systemd/*")
             for path in tmp_path.glob(pattern)}
    examples = {path.name: path.read_text("utf-8")
                for path in (ROOT / "examples/systemd").iterdir()}
    assert found == {
        name: text.replace("/usr/local/bin/", "/usr/bin/")
        for name, text in examples.items()}
