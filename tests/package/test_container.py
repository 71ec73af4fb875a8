"""The images of the Containerfile, built and tried with buildah.

The base image is a fresh Debian made by debootstrap: no registry is asked.
Containers run as the pods of the examples have them: their own user, a read-only
root with volumes, no capability, no new privileges.  Limits of memory there are
none.
"""
import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import debian
from conftest import ROOT
from processes import free_port, kill, spawn, tail

TARGETS = ("nompd-sync", "nompd-serve", "nompd-web")
BASE = "localhost/debian:base"
USERS = {"nompd-sync": "10001:10001", "nompd-serve": "10001:10001",
         "nompd-web": "10002:10001"}
# $1: root, then place, folder and mode of each volume, "--", a command.
READ_ONLY = """\
root=$1
shift
mount --bind "$root" "$root"
while [ "$1" != -- ]; do
	mkdir -p "$root$1"
	mount --bind "$2" "$root$1"
	mount -o "remount,bind,$3" "$root$1"
	shift 3
done
shift
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -o remount,bind,ro "$root"
exec chroot "$root" "$@"
"""
PATIENCE = 1800     # seconds for building an image
PAUSE = 0.1         # seconds between two looks
MAX_START = 30      # seconds


class Engine:
    """buildah, with images and containers of its own."""

    def __init__(self, folder):
        self.command = ["buildah", "--root", folder / "images", "--runroot",
                        folder / "run"]
        self.environment = {**os.environ, "BUILDAH_ISOLATION": "chroot"}

    def run(self, *arguments, **options):
        done = subprocess.run([*self.command, *arguments], text=True,
                              stdin=subprocess.DEVNULL, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=self.environment, timeout=PATIENCE,
                              **options)
        assert done.returncode == 0, (arguments, done.stdout[-2000:],
                                      done.stderr[-4000:])
        return done.stdout.strip()

    def make_base(self):
        container = self.run("from", "scratch")
        place = self.run("mount", container)
        subprocess.run(["cp", "-a", f"{debian.base()}/root/.", place],
                       check=True)
        self.run("umount", container)
        self.run("commit", "--rm", container, BASE)

    def build(self, target):
        self.run("build", "--layers", "--network", "host", "--build-arg",
                 f"BASE={BASE}", "--target", target, "--tag", target,
                 "--file", ROOT / "Containerfile", ROOT)

    def config(self, image):
        found = json.loads(self.run("inspect", "--type", "image", image))
        return found["OCIv1"]["config"]

    @contextlib.contextmanager
    def container(self, image):
        name = self.run("from", image)
        try:
            yield Container(self.run("mount", name), self.config(image))
        finally:
            self.run("rm", name)


class Container:
    """An image that is mounted, and what is told to run in it."""

    def __init__(self, place, config):
        self.place = place
        self.config = config

    def command(self, command, volumes, variables, user=None):
        """In a root that cannot be written to, but for the volumes."""
        user, group = (user or self.config["User"]).split(":")
        given = dict(word.split("=", 1) for word in self.config["Env"])
        return [*debian.ALONE, "sh", "-ec", READ_ONLY, "sh", self.place,
                *(str(word) for place, (folder, mode) in volumes.items()
                  for word in (place, folder, mode)), "--",
                "setpriv", f"--reuid={user}", f"--regid={group}",
                "--clear-groups", "--no-new-privs", "--inh-caps=-all",
                "--bounding-set=-all", "--", "env", "-i",
                *(f"{k}={v}" for k, v in {**given, **variables}.items()),
                *command]

    def run(self, *command, volumes=None, variables=None, user=None, status=0):
        """What it says on its standard output; it must end so."""
        done = subprocess.run(
            self.command(command, volumes or {}, variables or {}, user),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, check=False, timeout=PATIENCE)
        assert done.returncode == status, (command, done.returncode,
                                           done.stdout, done.stderr)
        return done.stdout.strip()

    @contextlib.contextmanager
    def serving(self, log, volumes, variables):
        """The image's own program, until this ends."""
        process = spawn(self.command(self.config["Entrypoint"], volumes,
                                     variables), log)
        try:
            yield
        finally:
            kill(process)
            print(tail(log))


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    reason = debian.why_not()
    if reason:
        pytest.skip(reason)
    debian.need("the images", "buildah")
    folder = tmp_path_factory.mktemp("buildah")
    engine = Engine(folder)
    engine.make_base()
    for target in TARGETS:
        engine.build(target)
    yield engine
    engine.run("rmi", "--all", "--force")
    shutil.rmtree(folder)


def own(path, user, group):
    path.mkdir()
    path.chmod(0o770)
    os.chown(path, user, group)
    return path


def answer(port, path, key=""):
    """(status, JSON) as soon as somebody answers."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}",
                                     headers={"X-API-KEY": key})
    end = time.monotonic() + MAX_START
    while True:
        try:
            with urllib.request.urlopen(request) as found:
                return found.status, json.load(found)
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > end:
                return error.code, error.read()
        except urllib.error.URLError:
            assert time.monotonic() < end, "nobody answers"
        time.sleep(PAUSE)


@pytest.mark.parametrize("target", TARGETS)
def test_ordinary_user(engine, target):
    assert engine.config(target)["User"] == USERS[target]
    with engine.container(target) as container:
        assert container.run("sh", "-c", "echo $(id -u):$(id -g)"
                             ) == USERS[target]
        # No set-uid program gives more, for there is nothing to be had.
        assert "CapBnd:\t0000000000000000" in container.run(
            "cat", "/proc/self/status")


def test_read_only_root(engine):
    """What the other tests rely on: not even its owner writes to it."""
    with engine.container("nompd-sync") as container:
        container.run("sh", "-c", "echo >/var/lib/x", user="0:0", status=2)


@pytest.mark.parametrize("target,program", [
    ("nompd-sync", "nompd-sync"), ("nompd-serve", "nompd-serve"),
    ("nompd-web", "lighttpd")])
def test_program(engine, target, program):
    with engine.container(target) as container:
        container.run("sh", "-c", f"command -v {program}")


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_of_the_build(engine, target):
    """Neither a compiler nor the sources have got into an image."""
    with engine.container(target) as container:
        container.run("sh", "-c", "! command -v cc && ! command -v make &&"
                      " test ! -e /src && test ! -e /packages")


def test_from_upstream_to_consumer(engine, tmp_path):
    """A run, the service and the web server, with the volumes of the pods."""
    store = own(tmp_path / "store", 10001, 10001)
    stage = own(tmp_path / "stage", 10001, 10001)
    run = own(tmp_path / "run", 10001, 10001)
    answers = own(tmp_path / "answers", 10002, 10001)
    keys = own(tmp_path / "keys", 0, 0)
    port = free_port()
    with engine.container("nompd-sync") as container:
        result = json.loads(container.run(
            *container.config["Entrypoint"], "--log-level", "error", volumes={
                "/var/lib/nompd": (store, "rw"), "/var/tmp": (stage, "rw"),
                "/upstream": (ROOT / "examples/upstream", "ro")},
            variables={"NOMPD_UPSTREAM_URL": "file:///upstream"}))
    assert (result["version"], result["added"]) == (1, 59)
    with engine.container("nompd-serve") as serve, \
            engine.container("nompd-web") as web:
        key = serve.run("nompd-serve", "key", "add", "a", user="0:0",
                        volumes={"/etc/nompd/keys": (keys, "rw")},
                        variables={"NOMPD_API_KEYS_FILE":
                                   "/etc/nompd/keys/api-keys"})
        keys.chmod(0o755)
        os.chown(keys / "api-keys", 0, 10001)
        (keys / "api-keys").chmod(0o440)
        with serve.serving(
                tmp_path / "serve.log",
                {"/var/lib/nompd": (store, "ro"), "/run/nompd": (run, "rw"),
                 "/etc/nompd/keys": (keys, "ro")},
                {"NOMPD_API_KEYS_FILE": "/etc/nompd/keys/api-keys"}), \
            web.serving(tmp_path / "web.log",
                        {"/run/nompd": (run, "ro"),
                         "/var/tmp": (answers, "rw")}, {"PORT": port}):
            assert answer(port, "/health/live")[0] == 200
            status, ready = answer(port, "/health/ready")
            assert (status, ready["version"]) == (200, 1)
            status, lists = answer(port, "/api/v1/treatmentGroup", key)
            assert (status, len(lists["items"])) == (200, 8)
            assert answer(port, "/api/v1/treatmentGroup", "x")[0] == 401
