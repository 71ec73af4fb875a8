"""What servers are built from, and where."""
import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil

from processes import run

ROOT = pathlib.Path(__file__).resolve().parents[2]


def folder(name):
    """Where servers are built; name: of those, unless a variable says all."""
    place = pathlib.Path(os.environ.get("NOMPD_TEST_SERVERS_DIR")
                         or ROOT / "build-servers" / name).absolute()
    place.mkdir(parents=True, exist_ok=True)
    return place


@contextlib.contextmanager
def locked(place):
    """One process at a time builds in a folder."""
    with open(place / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fingerprint(sources):
    """Of the content of files: another one is another server."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:8]


def assemble(target, sources, command):
    """Makes the folder target out of copies of files, by a command that runs
    in it; it comes into being as a whole or not at all."""
    if target.exists():
        return
    partial = pathlib.Path(f"{target}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for source in sources:
        shutil.copy(source, partial)
    run(command, cwd=partial)
    partial.rename(target)


def missing(name, tools, packages):
    """Why what needs these tools cannot be had here; None when it can."""
    absent = [tool for tool in tools if shutil.which(tool) is None]
    if absent:
        return f"{name}: not found: {', '.join(absent)} ({packages})"
    return None
