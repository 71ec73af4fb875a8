"""A Debian of one's own, in a folder: debootstrap makes it, chroot enters it."""
import ctypes
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] /
                       "servers"))

import building  # noqa: E402
from processes import run  # noqa: E402

FORM = 1                # of what is built; another one is built anew
TOOLS = ("debootstrap", "unshare", "chroot", "setpriv")
# ca-certificates and man-db: of what every Debian has, and minbase has not.
INCLUDED = "ca-certificates,man-db"
DEFAULT_MIRROR = "http://deb.debian.org/debian"
SOURCES = pathlib.Path("/etc/apt/sources.list.d/debian.sources")
PATIENCE = 600          # seconds for one command
MAX_WRITTEN = "2G"      # bytes, in one root
CLONE_NEWNS = 0x20000   # <sched.h>
NO_SERVICES = "#!/bin/sh\nexit 101\n"

# Nothing is left mounted, and no process runs, when it has ended.
ALONE = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork",
         "--kill-child"]
# $1: root, $2: folder of packages that have been fetched, then a command.
IN_ROOT = """\
root=$1 fetched=$2
shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$fetched" "$root/var/cache/apt/archives"
exec chroot "$root" "$@"
"""
VARIABLES = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp",
             "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def suite():
    """The Debian of this machine, for which its packages are built."""
    found = re.search(r"(?m)^VERSION_CODENAME=(\w+)$",
                      pathlib.Path("/etc/os-release").read_text("utf-8"))
    return found.group(1) if found else "unknown"


def mirror():
    """Whence this machine has its packages, if that is a Debian mirror."""
    try:
        found = re.search(r"(?m)^URIs: *(\S+)", SOURCES.read_text("utf-8"))
    except OSError:
        found = None
    return found.group(1) if found else DEFAULT_MIRROR


def why_not():
    """Why there can be no root here; None when there can."""
    if os.geteuid() != 0:
        return "making a root and entering it needs root"
    return None


def need(name, *tools):
    """`make check-package` has installed these tools: without them nothing
    would have been tested."""
    lacking = building.missing(name, tools,
                               "sh tools/deps package installs them")
    assert lacking is None, lacking


def base():
    """The folder of a fresh root, made when it is not there: it is copied."""
    need("debootstrap", *TOOLS)
    servers = building.folder("package")
    target = servers / f"debian-{suite()}-{FORM}"
    with building.locked(servers):
        if not target.exists():
            partial = pathlib.Path(f"{target}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            (partial / "fetched/partial").mkdir(parents=True)
            print(f"making a Debian {suite()} once: {target}", flush=True)
            run([*ALONE, "debootstrap", "--variant=minbase",
                 f"--include={INCLUDED}", suite(), partial / "root",
                 mirror()])
            policy = partial / "root/usr/sbin/policy-rc.d"
            policy.write_text(NO_SERVICES, "ascii")
            policy.chmod(0o755)
            partial.rename(target)
    return target


def keep_mounts():
    """From now on nobody else sees what this process mounts, and it is gone
    with it."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    run(["mount", "--make-rprivate", "/"])


class Root:
    """A root of one's own over the fresh one, or over one that is given and
    stays as it is.  What is written is kept in memory."""

    def __init__(self, folder, below=None):
        fresh = base()
        self.fetched = fresh / "fetched"
        self.path = folder / "root"
        self.room = folder / "room"
        upper, work = self.room / "upper", self.room / "work"
        for place in (self.path, self.room):
            place.mkdir()
        run(["mount", "-t", "tmpfs", "-o", f"mode=755,size={MAX_WRITTEN}",
             "tmpfs", self.room])
        for place in (upper, work):
            place.mkdir()
        layers = below.layers if below else [fresh / "root"]
        run(["mount", "-t", "overlay", "-o", "index=off,lowerdir="
             f"{':'.join(map(str, layers))},upperdir={upper},workdir={work}",
             "overlay", self.path])
        self.layers = [upper, *layers]
        for name in ("resolv.conf", "hosts"):
            shutil.copy(f"/etc/{name}", self.path / "etc")

    def end(self):
        """Nothing of it stays."""
        for place in (self.path, self.room):
            run(["umount", "--lazy", place])
            place.rmdir()

    def enter(self):
        """What a command begins with that is to run in it."""
        return [*ALONE, "sh", "-ec", IN_ROOT, "sh", self.path, self.fetched]

    def run(self, *command, user="root", status=0, variables=None):
        """What a command in it says, both outputs, that must end so."""
        done = self.execute(command, user, variables)
        output = done.stdout + done.stderr
        assert done.returncode == status, (command, done.returncode, output)
        return output

    def output(self, *command, user="root", variables=None):
        """The standard output of a command that must end with 0."""
        done = self.execute(command, user, variables)
        assert done.returncode == 0, (command, done.returncode, done.stderr)
        return done.stdout

    def execute(self, command, user, variables):
        given = {**VARIABLES, **(variables or {})}
        become = [] if user == "root" else [
            "setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups",
            "--"]
        return subprocess.run(
            [*self.enter(), *become, "env", "-i", *(f"{k}={v}" for k, v in given.items()),
             *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace", check=False,
            timeout=PATIENCE)

    def install(self, *packages):
        """Has apt install packages: names, or paths in the root."""
        return self.run("apt-get", "-q", "-y", "install",
                        "--no-install-recommends",
                        "-o", "Dpkg::Options::=--force-confdef",
                        "-o", "Dpkg::Options::=--force-confold", *packages)

    def status(self, package):
        """As dpkg says it, e.g. "installed"."""
        return self.output("dpkg-query", "-W", "-f", "${db:Status-Status}",
                           package)

    def owned(self, path):
        """(mode, user, group) of a path, in the root's own names."""
        mode, user, group = self.output(
            "stat", "-c", "%a %U %G", path).split()
        return mode, user, group

    def traces(self):
        """Every path that names us; nothing of ours is without a name."""
        found = self.output("find", "/", "-xdev", "(", "-path", "/proc", "-o",
                            "-path", "/srv", "-o", "-path", "/dev", ")",
                            "-prune", "-o", "-name", "*nompd*", "-print")
        return sorted(found.split())
