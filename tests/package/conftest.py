"""What the tests of the Debian packages share.

NOMPD_TEST_PACKAGES is the folder that `make deb` has made (default:
build-deb).  What has to install packages is skipped where no root can be made.
"""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.dont_write_bytecode = True

import debian  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ("nompd-common", "nompd-sync", "nompd-serve", "nompd-mongodb")
PLACE = "/srv/packages"     # of the packages, in a root


def field(package, name):
    """A field of a package's control file."""
    return subprocess.run(["dpkg-deb", "--field", package, name], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.strip()


@pytest.fixture(scope="session")
def folder():
    """Where the packages are."""
    return ROOT / os.environ.get("NOMPD_TEST_PACKAGES", "build-deb")


@pytest.fixture(scope="session")
def packages(folder):
    """The packages' files, by name."""
    found = {name: list(folder.glob(f"{name}_*.deb")) for name in NAMES}
    assert all(len(files) == 1 for files in found.values()), found
    return {name: files[0] for name, files in found.items()}


def put(root, files):
    """Copies packages into a root: their paths in it."""
    place = root.path / PLACE.lstrip("/")
    place.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copy(file, place)
    return [f"{PLACE}/{file.name}" for file in files]


@pytest.fixture(scope="session")
def installed(packages, tmp_path_factory):
    """A root with all of them; tests look at it, or copy it."""
    reason = debian.why_not()
    if reason:
        pytest.skip(reason)
    root = debian.Root(tmp_path_factory.mktemp("installed"))
    root.run("apt-get", "-q", "update")
    root.install(*put(root, packages.values()))
    yield root
    shutil.rmtree(root.path)


@pytest.fixture
def changed(installed, tmp_path):
    """A copy of it, for a test that changes something."""
    copy = debian.Root(tmp_path, installed.path)
    yield copy
    shutil.rmtree(copy.path)
