"""Memory and kinship of processes, from /proc."""

import collections
import os
import pathlib
import select
import subprocess

PROC = pathlib.Path("/proc")
CHUNK = 65536
# How long a program may say nothing before it counts as hanging.
SILENCE_SECONDS = 60

Memory = collections.namedtuple("Memory", "pss_kib rss_kib")
Ran = collections.namedtuple("Ran", "status output peak_kib")


def parents():
    """The parent of every process."""
    found = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except OSError:
            continue        # it has just ended
        found[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    return found


def is_of(pid, program):
    try:
        return os.readlink(PROC / str(pid) / "exe") == str(program)
    except OSError:
        return False


def descends(pid, ancestor, parent):
    while pid in parent and pid != ancestor:
        pid = parent[pid]
    return pid == ancestor


def workers(program):
    """Our processes of this program; of one that has started others of it,
    these alone."""
    parent = parents()
    ours = [pid for pid in parent if is_of(pid, program)
            and descends(pid, os.getpid(), parent)]
    return sorted(pid for pid in ours
                  if not any(parent[other] == pid for other in ours))


def fields(pid, name):
    """The numbers of such a file, most of them in KiB."""
    found = {}
    for line in (PROC / str(pid) / name).read_text().splitlines():
        word, _, rest = line.partition(":")
        number = rest.split()[:1]
        if number and number[0].isdigit():
            found[word] = int(number[0])
    return found


def memory(pid):
    found = fields(pid, "smaps_rollup")
    return Memory(found["Pss"], found["Rss"])


def peak_kib(pid):
    return fields(pid, "status")["VmHWM"]


def run(command, env):
    """Runs it and looks at its memory after every piece of its output.

    What it takes when it has written its last 64 KiB is not seen.  Unlike the
    kernel's account of an ended process, this has no memory of its parent.
    """
    highest = 0
    output = bytearray()
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL)
    try:
        while select.select([process.stdout], [], [], SILENCE_SECONDS)[0]:
            try:
                highest = max(highest, peak_kib(process.pid))
            except (KeyError, OSError):
                pass        # it has just ended
            piece = os.read(process.stdout.fileno(), CHUNK)
            if not piece:
                break
            output += piece
        process.wait(SILENCE_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
    return Ran(process.returncode, bytes(output), highest)
