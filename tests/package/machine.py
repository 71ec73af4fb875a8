"""A root in which systemd runs, as on a machine that has been started."""
import contextlib
import os
import pathlib
import re
import socket
import struct
import time

import debian
from processes import children, kill, spawn, tail, wait_until

MAX_END = 30            # seconds for its processes to be gone
PAUSE = 0.05            # seconds between two looks
APART = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork",
         "--kill-child", "--uts", "--ipc", "--net", "--cgroup"]
# $1: root, $2: control group.  The kernel's settings are not for this systemd
# to change; it does not start a getty or anything else of a real machine.
START = """\
root=$1
echo $$ >"$2/cgroup.procs"
shift 2
exec "$@" sh -ec '
root=$1
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for place in run dev; do
	mount -t tmpfs -o mode=755 tmpfs "$root/$place"
done
for name in null zero full random urandom tty; do
	: >"$root/dev/$name"
	mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/before"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs tmpfs "$root/dev/shm"
cd "$root"
pivot_root . before
umount --lazy before
rmdir before
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    /lib/systemd/systemd --log-target=console --show-status=0 \\
    --unit=basic.target
' sh "$root"
"""


def control_groups():
    """Where the second kind of them is mounted; None when it is not."""
    found = re.search(r"(?m)^\S+ (\S+) cgroup2 rw",
                      pathlib.Path("/proc/mounts").read_text("ascii"))
    return pathlib.Path(found.group(1)) if found else None


def why_not():
    """Why no systemd can run here; None when it can."""
    if control_groups() is None:
        return "no systemd without cgroup2, and nobody has mounted that"
    return None


class Machine(debian.Root):
    """A root that has been started; it has a network of its own."""

    def __init__(self, root, folder):
        self.path = root.path
        self.log = folder / "systemd.log"
        (self.path / "usr/sbin/policy-rc.d").unlink()
        self.group = control_groups() / f"nompd-test-{os.getpid()}"
        self.group.mkdir()
        self.process = spawn(["sh", "-ec", START, "sh", self.path, self.group,
                              *APART], self.log)
        assert wait_until(self.process, self.log, self.is_running), \
            tail(self.log)

    def first(self):
        """The number of its systemd, seen from here."""
        return next(iter(children(self.process)), None)

    def enter(self):
        return ["nsenter", "--all", f"--target={self.first()}"]

    def is_running(self):
        # It is not what it will be before it has a root of its own.
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{self.first()}/exe").endswith("/systemd"):
                return self.said("is-system-running") in ("running", "degraded")
        return False

    def end(self):
        kill(self.process)
        end = time.monotonic() + MAX_END
        while (self.group.exists() and time.monotonic() < end):
            # The innermost first; those with processes are still busy.
            for group in sorted(self.group.glob("**/"), reverse=True):
                with contextlib.suppress(OSError):
                    group.rmdir()
            time.sleep(PAUSE)
        assert not self.group.exists()

    def said(self, *arguments):
        """What systemctl says, whatever its status."""
        return self.execute(["systemctl", *arguments], "root",
                            None).stdout.strip()

    def shown(self, unit, member):
        return self.said("show", "--value", f"--property={member}", unit)

    def journal(self, unit):
        """All that a unit's programs have written."""
        self.run("journalctl", "--sync")
        return self.output("journalctl", "--unit", unit, "--output=cat",
                           "--no-pager")

    def beside(self, command, log):
        """A process of this machine that sees the network of that one."""
        return spawn(["nsenter", f"--net=/proc/{self.first()}/ns/net",
                      *command], log)

    def ask(self, path, place, key=""):
        """(status, content) of an answer, by FastCGI over a socket there."""
        inside = f"/proc/{self.first()}/root{place}"
        with socket.socket(socket.AF_UNIX) as found:
            found.settimeout(debian.PATIENCE)
            found.connect(inside)
            return fastcgi(found, {
                "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET",
                "SERVER_PROTOCOL": "HTTP/1.1", "SCRIPT_NAME": "",
                "PATH_INFO": path, "QUERY_STRING": "",
                "REMOTE_ADDR": "127.0.0.1", "HTTP_X_API_KEY": key})


# Kinds of a record.
BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6
HEAD = struct.Struct(">BBHHBx")


def fastcgi(connection, variables):
    """Asks one request with them: (status, content)."""
    def record(kind, data=b""):
        return HEAD.pack(1, kind, 1, len(data), 0) + data

    pairs = b"".join(
        struct.pack(">BB", len(name), len(value)) + name + value
        for name, value in ((name.encode(), value.encode())
                            for name, value in variables.items()))
    connection.sendall(record(BEGIN, struct.pack(">HB5x", 1, 0)) +
                       record(PARAMS, pairs) + record(PARAMS) + record(STDIN))
    answer = b""
    with connection.makefile("rb") as stream:
        while True:
            _, kind, _, size, padding = HEAD.unpack(stream.read(HEAD.size))
            data = stream.read(size)
            stream.read(padding)
            if kind == END:
                break
            if kind == STDOUT:
                answer += data
    head, _, body = answer.decode("utf-8").replace("\r\n", "\n").partition(
        "\n\n")
    status = re.search(r"(?m)^Status: (\d+)", head)
    return int(status.group(1)) if status else 200, body
