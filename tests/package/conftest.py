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
import machine  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ("nompd-common", "nompd-sync", "nompd-serve", "nompd-mongodb")
SETTINGS = ("nompd-sync.env", "nompd-bulk.env", "nompd-serve.env")
NEWER = "# new in the next version"
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
    debian.keep_mounts()
    root = debian.Root(tmp_path_factory.mktemp("installed"))
    root.run("apt-get", "-q", "update")
    root.install(*put(root, packages.values()))
    yield root
    root.end()


@pytest.fixture
def changed(installed, tmp_path):
    """Another one like it, for a test that changes something."""
    root = debian.Root(tmp_path, installed)
    yield root
    root.end()


@pytest.fixture
def started(changed, tmp_path):
    """The same, with a systemd that runs."""
    reason = machine.why_not()
    if reason:
        pytest.skip(reason)
    found = machine.Machine(changed, tmp_path)
    yield found
    found.end()


def next_version(packages, folder):
    """The same packages with a higher version, and changed settings."""
    files = []
    for package in packages.values():
        tree = folder / package.stem
        subprocess.run(["dpkg-deb", "--raw-extract", package, tree],
                       check=True)
        control = tree / "DEBIAN/control"
        version = field(package, "Version")
        control.write_text(
            control.read_text("utf-8").replace(version, version + "+next"),
            "utf-8")
        for name in SETTINGS:
            file = tree / "etc/nompd" / name
            if file.exists():
                file.write_text(f"{NEWER}\n{file.read_text('utf-8')}",
                                "utf-8")
        file = folder / f"{package.stem}-next.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree,
                        file], check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(tree)
        files.append(file)
    return files
