"""Processes that end with the one that started them, and their ports."""
import os
import pathlib
import signal
import socket
import subprocess
import time

PATIENCE = 60       # seconds for a start or an end
PAUSE = 0.02        # seconds between two looks


class ServerError(Exception):
    """A server that cannot be had; the message says why."""


def free_port():
    """A port of 127.0.0.1 that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def spawn(command, log, **options):
    """Starts a process that is killed when this thread or process ends.

    What it writes is added to the file log.
    """
    command = ["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)]
    with open(log, "ab") as out:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                stdout=out, stderr=out, **options)


def wait_until(process, log, is_ready, patience=PATIENCE):
    """True once it is ready, False when the process has ended before."""
    end = time.monotonic() + patience
    while process.poll() is None:
        if is_ready():
            return True
        if time.monotonic() > end:
            kill(process)
            raise ServerError(f"{process.args[4]} does not get ready within"
                              f" {patience} seconds:\n{tail(log)}")
        time.sleep(PAUSE)
    return False


def is_listening(port):
    """Does somebody listen on this port of 127.0.0.1?"""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def children(process):
    """The numbers of its children; none when it has ended."""
    path = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        return [int(word) for word in path.read_text("ascii").split()]
    except OSError:
        return []


def kill(process, with_children=False):
    """Kills it and waits for its end; None and one that ended are fine.

    with_children: kills those alone, and it ends after them.
    """
    if process is None:
        return
    if process.poll() is None:
        found = children(process) if with_children else []
        for number in found or [process.pid]:
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                pass
    process.wait(PATIENCE)


def tail(log, count=4000):
    """The last characters of a log; nothing when there is none."""
    try:
        return pathlib.Path(log).read_text("utf-8", "replace")[-count:]
    except FileNotFoundError:
        return ""


def run(command, **options):
    """Runs a command to its end; ServerError with its output if it fails."""
    done = subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", check=False, **options)
    if done.returncode != 0:
        raise ServerError(f"{command[0]} ended with status {done.returncode}:"
                          f"\n{done.stdout[-4000:]}")
    return done.stdout


class Disk:
    """A small one that none but who enters its namespace sees.

    enter: what a command begins with that is to see it.
    seen: where it can be looked at from outside.
    """

    MAKE = 'mount -t tmpfs -o "size=$2" none "$1" && exec sleep infinity'

    def __init__(self, place, size, log):
        place.mkdir()
        self.place = place
        self.process = spawn(["unshare", "--mount", "--propagation",
                              "private", "sh", "-c", self.MAKE, "sh", place,
                              size], log)
        self.enter = ["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt"]
        self.seen = pathlib.Path(f"/proc/{self.process.pid}/root{place}")
        if not wait_until(self.process, log, self.is_there):
            raise ServerError(f"no disk of {size}:\n{tail(log)}")

    def is_there(self):
        return self.seen.stat().st_dev != self.place.stat().st_dev

    def leave(self, room):
        """Makes it as large as what is there and so many bytes more."""
        state = os.statvfs(self.seen)
        size = (state.f_blocks - state.f_bfree) * state.f_frsize + room
        run([*self.enter, "mount", "-o", f"remount,size={size}", "none",
             self.place])

    def end(self):
        kill(self.process)
