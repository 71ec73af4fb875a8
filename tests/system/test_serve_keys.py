"""The keys of nompd-serve: its commands, its keys file, its command line."""
import base64
import datetime
import hashlib
import os
import pathlib
import random
import re
import signal
import socket
import stat
import subprocess
import time

import pytest

from web import KEY_FORM, PATIENCE, PROGRAM, SANITIZER_SIGNS

TREATMENTS = "/api/v1/treatmentGroup"
TRIGGER = "/api/internal/sync"

LINE = re.compile(r"(\S+) (read|sync) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) "
                  r"sha256:([0-9a-f]{64})\n")
HASH = "sha256:" + "0" * 64
MAX_NAME = 64               # characters
MAX_FILE = 1024 * 1024      # bytes
ADDS_AT_ONCE = 16
KILLS = 30


class Ended:
    """How a process ended and what it said."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def failed(self, status, *pieces):
        assert self.status == status, (self.status, self.out, self.err)
        assert not KEY_FORM.search(self.out)
        for piece in pieces:
            assert re.search(piece, self.err), (piece, self.err)


class Keys:
    """nompd-serve as in a shell, with a keys file in a folder."""

    def __init__(self, folder, store):
        self.folder = folder
        self.store = store
        self.file = folder / "api-keys"
        self.made = []
        self.said = ""

    def environment(self, **more):
        env = {name: value for name, value in os.environ.items()
               if not name.startswith("NOMPD_")}
        env.update(NOMPD_API_KEYS_FILE=str(self.file),
                   NOMPD_STORE=f"sqlite:{self.store}")
        env.update(more)
        return {name: value for name, value in env.items()
                if value is not None}

    def start(self, *args, env=None, wrap=(), **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.Popen(
            [*wrap, PROGRAM, *map(str, args)], stderr=subprocess.PIPE,
            env=self.environment(**(env or {})), cwd=self.folder, **options)

    def finish(self, process):
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        out, err = (out or b"").decode(), err.decode()
        for sign in SANITIZER_SIGNS:
            assert sign not in err, err
        assert not KEY_FORM.search(err), "a key in the log"
        self.said += err
        return Ended(process.returncode, out, err)

    def run(self, *args, **options):
        return self.finish(self.start(*args, **options))

    def add(self, name, *args, **options):
        ended = self.run("key", "add", name, *args, **options)
        assert ended.status == 0, ended.err
        assert KEY_FORM.fullmatch(ended.out[:-1]) and ended.out[-1] == "\n"
        self.made.append(ended.out[:-1])
        return ended.out[:-1]

    def lines(self):
        """(name, scope, created, hash) of each key in the file."""
        text = self.file.read_text(encoding="utf-8")
        found = [LINE.fullmatch(line) for line in text.splitlines(True)
                 if not line.startswith("#")]
        assert None not in found, text
        return [match.groups() for match in found]

    def names(self):
        return [line[0] for line in self.lines()]

    def status(self, key, method="GET", path=TREATMENTS, **env):
        """The status that a request with the key gets."""
        env = {"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": method,
               "SCRIPT_NAME": path, "HTTP_X_API_KEY": key,
               "NOMPD_SYNC_COMMAND": "false", **env}
        ended = self.run(env=env)
        assert ended.status == 0, ended.err
        return int(re.match(r"Status: (\d{3}) ", ended.out).group(1))


@pytest.fixture
def keys(tmp_path, filled_store):
    keys = Keys(tmp_path, filled_store)
    yield keys
    kept = keys.file.read_text("utf-8") if keys.file.is_file() else ""
    for key in keys.made:
        assert key not in kept + keys.said
        assert key[len("nompd_"):] not in kept + keys.said


@pytest.fixture
def by_owner():
    """A prefix for commands: root then has the rights of an owner only."""
    if os.geteuid() == 0:
        return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    return []


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


# A new key

def test_add(keys):
    before = int(time.time())
    ended = keys.run("key", "add", "hospital-a")
    after = time.time()
    assert ended.status == 0
    assert re.fullmatch(r"nompd_[A-Za-z0-9_-]{43}\n", ended.out)
    key = ended.out[:-1]
    keys.made.append(key)
    assert len(base64.urlsafe_b64decode(key[len("nompd_"):] + "=")) == 32
    assert len(ended.err.splitlines()) == 1
    assert "hospital-a" in ended.err
    (name, scope, created, digest), = keys.lines()
    assert (name, scope) == ("hospital-a", "read")
    assert before <= datetime.datetime.fromisoformat(
        created.replace("Z", "+00:00")).timestamp() <= after
    assert digest == hashlib.sha256(key.encode()).hexdigest()
    assert mode_of(keys.file) == 0o600
    assert keys.status(key) == 200


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_file_is_its_owners_alone(keys, umask):
    keys.add("a", umask=umask)
    assert mode_of(keys.file) == 0o600
    assert list(keys.folder.iterdir()) == [keys.file]


def test_every_key_is_another(keys):
    made = {keys.add(f"k{i}") for i in range(10)}
    assert len(made) == 10
    assert len({line[3] for line in keys.lines()}) == 10


@pytest.mark.parametrize("args, scope, trigger", [
    ((), "read", 403), (("--scope", "read"), "read", 403),
    (("--scope=sync",), "sync", 500)])
def test_scope(keys, args, scope, trigger):
    """With false as its command the trigger itself answers 500."""
    key = keys.add("a", *args)
    assert keys.lines()[0][1] == scope
    assert keys.status(key) == 200
    assert keys.status(key, "POST", TRIGGER) == trigger


def test_the_flag_wins_over_the_variable(keys):
    other = keys.folder / "other"
    key = keys.add("a", "--api-keys-file", other)
    assert not keys.file.exists()
    assert keys.status(key, NOMPD_API_KEYS_FILE=str(other)) == 200
    assert keys.status(key) == 503


@pytest.mark.parametrize("key", [
    "", "nompd_", "nompd_" + "A" * 43, "hospital-a", HASH])
def test_what_is_no_key(keys, key):
    good = keys.add("hospital-a")
    keys.file.write_text(keys.file.read_text() + f"empty sync x {HASH}\n")
    assert keys.status(key) == 401
    assert keys.status(None) == 401
    assert keys.status(good[:-1]) == 401
    assert keys.status(good + "A") == 401
    assert keys.status(good) == 200
    digest = hashlib.sha256(good.encode()).hexdigest()
    assert keys.status(digest) == 401
    assert keys.status("sha256:" + digest) == 401


def test_a_key_of_nothing_is_no_key(keys):
    """A line with the hash of the empty text lets nobody in."""
    digest = hashlib.sha256(b"").hexdigest()
    keys.file.write_text(f"empty sync x sha256:{digest}\n")
    keys.file.chmod(0o600)
    assert keys.status("") == 401
    assert keys.status(None) == 401


def test_the_file_is_written_by_hand(keys):
    """Comments, blank lines, CR LF, no newline at the end: all are kept."""
    by_hand = hashlib.sha256(b"a key of another kind").hexdigest()
    text = ("# first\n\n \t\n  # second\n"
            f"x\tread  2025-01-01  sha256:{by_hand}\r\n"
            f"y sync long-ago {HASH}")
    keys.file.write_bytes(text.encode())
    keys.file.chmod(0o600)
    assert keys.status("a key of another kind") == 200
    key = keys.add("z")
    added = keys.file.read_bytes().decode()
    assert added.startswith(text + "\nz read ")
    assert keys.status(key) == 200
    assert keys.run("key", "revoke", "z").status == 0
    assert keys.file.read_bytes().decode() == text + "\n"


# The list

def test_list(keys):
    keys.add("hospital-a")
    keys.add("b" * MAX_NAME, "--scope", "sync")
    ended = keys.run("key", "list")
    assert (ended.status, ended.err) == (0, "")
    rows = [row.split() for row in ended.out.splitlines()]
    assert rows == [["NAME", "SCOPE", "CREATED"],
                    *(list(line[:3]) for line in keys.lines())]
    for key in keys.made:
        assert key not in ended.out
        assert hashlib.sha256(key.encode()).hexdigest() not in ended.out


def test_list_of_nothing(keys):
    keys.file.touch(0o600)
    assert keys.run("key", "list").out.split() == ["NAME", "SCOPE", "CREATED"]
    keys.file.unlink()
    keys.run("key", "list").failed(74, "api-keys")
    assert not keys.file.exists()


@pytest.mark.parametrize("spoil", [
    lambda path: path.unlink(), lambda path: path.chmod(0o644),
    lambda path: path.write_text(f"a read x {HASH}\nb read\n")],
    ids=["missing", "open", "broken"])
def test_list_that_fails(keys, spoil):
    """Half a table would look like a whole one."""
    keys.add("a")
    spoil(keys.file)
    ended = keys.run("key", "list")
    assert (ended.status, ended.out) == (74, "")


# Revoking

def test_revoke(keys):
    gone, kept = keys.add("gone"), keys.add("kept")
    ended = keys.run("key", "revoke", "gone")
    assert (ended.status, ended.out) == (0, "")
    assert keys.names() == ["kept"]
    assert (keys.status(gone), keys.status(kept)) == (401, 200)
    before = keys.file.read_bytes()
    keys.run("key", "revoke", "gone").failed(66, "gone")
    keys.run("key", "revoke", "kep").failed(66)
    keys.run("key", "revoke", "KEPT").failed(66)
    assert keys.file.read_bytes() == before


def test_revoke_takes_every_line_of_the_name(keys):
    keys.file.write_text(f"a read x {HASH}\nb read x {HASH}\n"
                         f"a sync x {HASH}\n")
    keys.file.chmod(0o600)
    assert keys.run("key", "revoke", "a").status == 0
    assert keys.file.read_text() == f"b read x {HASH}\n"


def test_revoke_without_a_file(keys):
    ended = keys.run("key", "revoke", "a")
    assert ended.status in (66, 74) and "api-keys" in ended.err
    assert not keys.file.exists()


def test_rotation(keys):
    """Old and new are good side by side until the old one is revoked."""
    old = keys.add("hospital-a")
    before = keys.file.read_bytes()
    keys.run("key", "add", "hospital-a").failed(64, "hospital-a-2")
    assert keys.file.read_bytes() == before
    new = keys.add("hospital-a-2")
    assert (keys.status(old), keys.status(new)) == (200, 200)
    assert keys.run("key", "revoke", "hospital-a").status == 0
    assert (keys.status(old), keys.status(new)) == (401, 200)
    again = keys.add("hospital-a")
    assert again != old
    assert (keys.status(old), keys.status(again)) == (401, 200)


# What may go wrong

@pytest.mark.parametrize("name", [
    "", "a b", "a\nb", "a#", "å", "a/b", "../a", "a:", "\x1b", "*",
    "x" * (MAX_NAME + 1)])
def test_bad_name(keys, name):
    for command in ("add", "revoke"):
        keys.run("key", command, name).failed(64, f"key {command}: want a ")
    assert not keys.file.exists()


@pytest.mark.parametrize("name", ["a", "A.b_c-9", ".", "0", "x" * MAX_NAME])
def test_good_name(keys, name):
    keys.add(name)
    assert keys.names() == [name]
    assert keys.run("key", "revoke", name).status == 0


def test_no_file_is_named(keys):
    for command in (("add", "a"), ("list",), ("revoke", "a")):
        for value in (None, ""):
            keys.run("key", *command, env={"NOMPD_API_KEYS_FILE": value}
                     ).failed(64, "NOMPD_API_KEYS_FILE")
    assert list(keys.folder.iterdir()) == []


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o620, 0o660, 0o777])
def test_file_open_to_others(keys, mode):
    key = keys.add("a")
    before = keys.file.read_bytes()
    keys.file.chmod(mode)
    for command in (("add", "b"), ("list",), ("revoke", "a")):
        keys.run("key", *command).failed(74, f"0{mode:o}", "chmod 600")
    assert keys.file.read_bytes() == before and mode_of(keys.file) == mode
    assert keys.status(key) == 503
    keys.file.chmod(0o640)
    assert keys.status(key) == 200


@pytest.mark.parametrize("line", [
    "hospital-b", "hospital-b read", "hospital-b admin x " + HASH,
    "hospital-b READ x " + HASH, f"hospital-b read {HASH}",
    "hospital-b read x " + HASH[:-1], "hospital-b read x " + HASH + "0",
    "hospital-b read x " + HASH.replace("0", "A"),
    "hospital-b read x sha512:" + "0" * 64,
    f"hospital-b read x {HASH} more", f"hospital-b read x {HASH} # c",
    f"h\u00e5 read x {HASH}", "x" * (MAX_NAME + 1) + f" read x {HASH}",
    "nompd_" + "k" * 43, "\0", f"hospital-b\0 read x {HASH}",
    f"hospital-b read {'x' * 41} {HASH}"], ids=lambda line: "line")
def test_broken_line(keys, line):
    """Its number is named; its text may be a key that was pasted there."""
    key = keys.add("a")
    with open(keys.file, "ab") as file:
        file.write(line.encode() + b"\n" + f"c read x {HASH}\n".encode())
    before = keys.file.read_bytes()
    for command in (("add", "b"), ("list",), ("revoke", "a")):
        ended = keys.run("key", *command)
        assert ended.status == 74
        assert re.search(r"api-keys: line 4: want ", ended.err), ended.err
        said = ended.err.replace(str(keys.folder), "")
        for word in ("hospital", "nompd_", "kk", "00000", "xxx"):
            assert word not in said
    assert keys.file.read_bytes() == before
    assert keys.status(key) == 503
    assert "line 4" in keys.said.splitlines()[-2]


@pytest.mark.parametrize("command", [("add", "b"), ("revoke", "a")])
def test_folder_that_cannot_be_written(keys, by_owner, command):
    folder = keys.folder / "closed"
    folder.mkdir()
    keys.file = folder / "api-keys"
    keys.add("a")
    before = keys.file.read_bytes()
    folder.chmod(0o500)
    try:
        keys.run("key", *command, wrap=by_owner).failed(74, "api-keys")
        assert keys.file.read_bytes() == before
        assert list(folder.iterdir()) == [keys.file]
        assert keys.run("key", "list", wrap=by_owner).status == 0
    finally:
        folder.chmod(0o700)


def test_folder_that_is_missing(keys):
    keys.file = keys.folder / "missing" / "api-keys"
    keys.run("key", "add", "a").failed(74, "missing")
    keys.run("key", "list").failed(74, "missing")
    assert not keys.file.parent.exists()


def test_file_that_cannot_be_read(keys, by_owner):
    keys.add("a")
    keys.file.chmod(0o200)
    for command in (("add", "b"), ("list",), ("revoke", "a")):
        keys.run("key", *command, wrap=by_owner).failed(74, "api-keys")
    keys.file.chmod(0o600)
    assert keys.names() == ["a"]


@pytest.mark.parametrize("make", [
    lambda path: path.mkdir(), lambda path: os.mkfifo(path, 0o600),
    lambda path: path.symlink_to("/dev/null"),
    lambda path: path.symlink_to(path)], ids=lambda make: "make")
def test_what_is_no_file(keys, make):
    make(keys.file)
    for command in (("add", "a"), ("list",), ("revoke", "a")):
        keys.run("key", *command).failed(74, "api-keys|/dev/null")
    assert keys.status("x") == 503
    assert list(keys.folder.iterdir()) == [keys.file]


def test_a_link_stays_one(keys):
    real = keys.folder / "real"
    real.touch(0o600)
    keys.file.symlink_to(real)
    keys.add("a")
    assert keys.file.is_symlink() and "a read " in real.read_text()


def test_file_that_is_too_large(keys):
    """At the limit it is read and can be made smaller, not larger."""
    line = f"last read x {HASH}\n"
    key = keys.add("a")
    fill = MAX_FILE - keys.file.stat().st_size - len(line)
    with open(keys.file, "a", encoding="utf-8") as file:
        file.write("#" * (fill - 1) + "\n" + line)
    before = keys.file.read_bytes()
    assert len(before) == MAX_FILE
    assert keys.status(key) == 200
    keys.run("key", "add", "b").failed(74, str(MAX_FILE))
    assert keys.file.read_bytes() == before
    with open(keys.file, "ab") as file:
        file.write(b"\n")
    keys.run("key", "list").failed(74, str(MAX_FILE))
    assert keys.status(key) == 503
    keys.file.write_bytes(before)
    assert keys.run("key", "revoke", "last").status == 0
    assert keys.status(key) == 200


# Rights

@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400, 0o440, 0o700])
def test_mode_is_kept(keys, mode):
    keys.add("a")
    keys.file.chmod(mode)
    keys.add("b", umask=0o077)
    assert mode_of(keys.file) == mode
    assert keys.run("key", "revoke", "a").status == 0
    assert mode_of(keys.file) == mode and keys.names() == ["b"]


def test_owner_and_group_are_kept(keys):
    """Of another user where we may give a file away; else of our groups."""
    keys.add("a")
    if os.geteuid() == 0:
        owner = (23456, 34567)
    else:
        owner = (os.getuid(), os.getgroups()[-1])
    os.chown(keys.file, *owner)
    keys.file.chmod(0o640)
    keys.add("b")
    assert keys.run("key", "revoke", "a").status == 0
    info = keys.file.stat()
    assert (info.st_uid, info.st_gid) == owner
    assert mode_of(keys.file) == 0o640


def test_owner_that_cannot_be_kept(keys, by_owner):
    """A change would shut the owner out, so there is none."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    keys.add("a")
    os.chown(keys.file, 0, 34567)
    keys.file.chmod(0o640)
    before = keys.file.read_bytes()
    keys.run("key", "add", "b", wrap=by_owner).failed(74, "owner")
    assert keys.file.read_bytes() == before
    assert list(keys.folder.iterdir()) == [keys.file]


# Many at once, kills, output that goes nowhere

def test_many_at_once(keys):
    """Adding and revoking side by side, nothing is lost."""
    for i in range(ADDS_AT_ONCE):
        keys.add(f"old{i}")
    jobs = [keys.start("key", "add", f"new{i}") for i in range(ADDS_AT_ONCE)]
    jobs += [keys.start("key", "revoke", f"old{i}")
             for i in range(ADDS_AT_ONCE)]
    ended = [keys.finish(job) for job in jobs]
    assert [one.status for one in ended] == [0] * len(jobs)
    made = {f"new{i}": hashlib.sha256(one.out[:-1].encode()).hexdigest()
            for i, one in enumerate(ended[:ADDS_AT_ONCE])}
    assert {line[0]: line[3] for line in keys.lines()} == made
    assert len(keys.lines()) == ADDS_AT_ONCE
    assert list(keys.folder.iterdir()) == [keys.file]


def test_the_same_name_at_once(keys):
    jobs = [keys.start("key", "add", "a") for _ in range(ADDS_AT_ONCE)]
    ended = [keys.finish(job) for job in jobs]
    assert sorted(one.status for one in ended) == (
        [0] + [64] * (ADDS_AT_ONCE - 1))
    good, = [one.out[:-1] for one in ended if one.status == 0]
    assert keys.names() == ["a"] and keys.status(good) == 200


def test_kill_at_any_moment(keys):
    """The file is the old one or the new one, and the next command works."""
    seed = 20250410
    chance = random.Random(seed)
    key = keys.add("a")
    started = time.monotonic()
    keys.add("b")
    seconds = time.monotonic() - started
    outcomes = set()
    for i in range(KILLS):
        before = keys.names()
        job = keys.start("key", "add", f"k{i}")
        try:
            job.wait(chance.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            job.kill()
        status = keys.finish(job).status
        assert status in (0, -signal.SIGKILL)
        after = keys.names()
        assert after in (before, before + [f"k{i}"]), (seed, i)
        assert status != 0 or after != before
        assert mode_of(keys.file) == 0o600
        outcomes.add((status, after != before))
    assert (-signal.SIGKILL, False) in outcomes
    keys.add("last")
    assert keys.status(key) == 200
    assert list(keys.folder.iterdir()) == [keys.file]


def test_what_a_killed_command_left(keys):
    """Half a file aside is no obstacle, and nothing of it is kept."""
    aside = keys.folder / "api-keys.new"
    for name, mode in (("a", 0o644), ("b", 0o600), ("c", 0o666)):
        aside.write_text("half a line" * 1000)
        aside.chmod(mode)
        keys.add(name)
        assert mode_of(keys.file) == 0o600
    assert keys.names() == ["a", "b", "c"]
    assert list(keys.folder.iterdir()) == [keys.file]


def closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def full_device():
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize("output", [closed_pipe, full_device])
@pytest.mark.parametrize("existing", [False, True])
def test_a_key_that_nobody_sees_is_not_added(keys, output, existing):
    """Also where the shell has not asked for SIGPIPE to be ignored."""
    if existing:
        keys.add("a")
    fd = output()
    try:
        ended = keys.run("key", "add", "b", stdout=fd)
    finally:
        os.close(fd)
    assert ended.status == 74, ended.status
    assert "standard output" in ended.err
    assert keys.names() == (["a"] if existing else [])
    keys.add("b")


@pytest.mark.parametrize("closed", [">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_output(keys, closed):
    """No file of ours takes the place of a closed descriptor."""
    key = keys.add("a")
    before = keys.file.read_bytes()
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$0" key add b {closed}', PROGRAM],
        env=keys.environment(), cwd=keys.folder, capture_output=True,
        timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (74, b"")
    assert keys.file.read_bytes() == before
    assert keys.status(key) == 200


@pytest.mark.parametrize("args", [
    ("key", "list"), ("--help",), ("--version",)])
def test_output_that_is_full(keys, args):
    keys.add("a")
    with open("/dev/full", "wb") as full:
        keys.run(*args, stdout=full).failed(74, "standard output")


# The command line

@pytest.mark.parametrize("args", [
    ("--version",), ("key", "add", "a", "--version"), ("--nope", "--version")])
def test_version(keys, args):
    ended = keys.run(*args, env={"NOMPD_API_KEYS_FILE": None})
    assert (ended.status, ended.err) == (0, "")
    assert re.fullmatch(r"nompd-serve \d+\.\d+\.\d+\n", ended.out)
    assert list(keys.folder.iterdir()) == []


@pytest.mark.parametrize("args", [
    ("--help",), ("key", "add", "a", "--help"), ("key", "revoke", "--help"),
    ("frob", "--help")])
def test_help(keys, args):
    """It names every command, option and variable, and does nothing."""
    keys.file.write_text(f"a read x {HASH}\n")
    before = os.stat(keys.file)
    ended = keys.run(*args, env={"NOMPD_WORKERS": "x"})
    assert (ended.status, ended.err) == (0, "")
    for text in ("key add", "key list", "key revoke", "--scope", "--store",
                 "NOMPD_STORE", "--api-keys-file", "NOMPD_API_KEYS_FILE",
                 "--sync-command", "NOMPD_SYNC_COMMAND", "--workers",
                 "NOMPD_WORKERS", "--log-level", "--log-format"):
        assert text in ended.out, text
    assert "--upstream" not in ended.out
    assert max(map(len, ended.out.splitlines())) <= 80
    after = os.stat(keys.file)
    assert (before.st_ino, before.st_mtime_ns) == (
        after.st_ino, after.st_mtime_ns)
    assert list(keys.folder.iterdir()) == [keys.file]


def by_hand():
    """Standard inputs that are no listening socket."""
    left, right = socket.socketpair()
    right.close()
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        return left, deaf.dup(), open("/dev/null", "rb")


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("env", [
    {}, {"GATEWAY_INTERFACE": "CGI/1.1"}, {"REQUEST_METHOD": "GET"}])
def test_started_by_hand(keys, index, env):
    inputs = by_hand()
    try:
        ended = keys.run(stdin=inputs[index], env=env)
    finally:
        for one in inputs:
            one.close()
    ended.failed(64, "CGI", "FastCGI", "--help")
    assert ended.out == ""


def test_started_without_a_standard_input(keys):
    done = subprocess.run(
        ["/bin/sh", "-c", '"$0" <&-', PROGRAM], env=keys.environment(),
        capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 64


@pytest.mark.parametrize("args, pieces", [
    (("--nope",), ["--nope: no such option"]),
    (("key", "list", "--nope=s3cret"), ["--nope: no such option"]),
    (("key", "list", "--nope", "s3cret"), ["--nope: no such option"]),
    (("--upstream", "https://x/s3cret"), ["--upstream: no such option"]),
    (("key", "list", "--max-delete", "5"), ["no such option"]),
    (("-h",), ["-h: no such option"]),
    (("frob",), ['"frob": no such command']),
    (("init",), ['"init": no such command']),
    (("key",), ["key: want one of add, list, revoke"]),
    (("key", "frob"), ["key: want one of add, list, revoke"]),
    (("add", "a"), ['"add": no such command']),
    (("key", "add"), ["key add: want NAME"]),
    (("key", "add", "a", "b"), ["key add: want NAME"]),
    (("key", "revoke"), ["key revoke: want NAME"]),
    (("key", "list", "a"), ["key list: want nothing"]),
    (("key", "list", "--scope", "read"), ["--scope does not apply"]),
    (("key", "revoke", "a", "--scope", "read"), ["--scope does not apply"]),
    (("--scope", "read"), ["--scope does not apply"]),
    (("key", "add", "a", "--store", "sqlite:x"), ["--store does not apply"]),
    (("key", "add", "a", "--workers", "2"), ["--workers does not apply"]),
    (("key", "add", "a", "--scope"), ["--scope: want a value"]),
    (("key", "add", "a", "--scope", "write"), ["--scope: want read"]),
    (("key", "add", "a", "--scope", "Sync"), ["--scope: want read"]),
    (("key", "add", "a", "--log-level", "loud"), ["--log-level: want"]),
    (("--workers", "0"), ["--workers: want"]),
    (("--workers", "65"), ["--workers: want"]),
    (("--workers", "1x"), ["--workers: want"]),
    (("--workers", "-1"), ["--workers: want"]),
    (("--store", "/x"), ["--store: want"]),
    (("--sync-command", "[]"), ["--sync-command: want"]),
    # All faults at once.
    (("key", "add", "a b", "--scope", "x", "--nope"),
     ["key add: want a name", "--scope: want", "--nope: no such"])])
def test_usage(keys, args, pieces):
    ended = keys.run(*args)
    ended.failed(64, *pieces)
    assert ended.out == "" and "s3cret" not in ended.err
    assert list(keys.folder.iterdir()) == []


@pytest.mark.parametrize("env, piece", [
    ({"NOMPD_WORKERS": "many"}, "NOMPD_WORKERS: want"),
    ({"NOMPD_STORE": "x"}, "NOMPD_STORE: want"),
    ({"NOMPD_LOG_FORMAT": "xml"}, "NOMPD_LOG_FORMAT: want"),
    ({"NOMPD_SYNC_COMMAND": '["a", 1]'}, "NOMPD_SYNC_COMMAND: want"),
    ({"NOMPD_SYNC_COMMAND": '["a"'}, "NOMPD_SYNC_COMMAND: want"),
    ({"NOMPD_SYNC_COMMAND": '[""]'}, "NOMPD_SYNC_COMMAND: want"),
    ({"NOMPD_SYNC_COMMAND": "  "}, "NOMPD_SYNC_COMMAND: want")])
def test_bad_variable(keys, env, piece):
    """A client learns only that it is so; those of others do not matter."""
    keys.run(env=env).failed(64, piece)
    env.update(GATEWAY_INTERFACE="CGI/1.1", REQUEST_METHOD="GET",
               SCRIPT_NAME="/health/live")
    ended = keys.run(env=env)
    assert ended.status == 64 and re.search(piece, ended.err)
    assert ended.out.startswith("Status: 500 ")
    assert "NOMPD" not in ended.out
    if "NOMPD_LOG_FORMAT" not in env:
        del env["GATEWAY_INTERFACE"]
        keys.add("a", env=env)


def test_unknown_variable(keys):
    ended = keys.run("key", "list", env={"NOMPD_API_KEY_FILE": "s3cret"})
    assert "NOMPD_API_KEY_FILE: no such variable" in ended.err
    assert "s3cret" not in ended.err


def test_a_query_is_no_command_line(keys):
    """A web server gives a query without = as arguments (RFC 3875, 4.4)."""
    env = {"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET",
           "SCRIPT_NAME": "/health/live"}
    for args in (("key", "add", "evil"), ("--version",), ("--nope",)):
        ended = keys.run(*args, env=env)
        assert ended.status == 0 and ended.out.startswith("Status: 200 ")
        assert "nompd" not in ended.out
    assert not keys.file.exists()


def test_json_log(keys):
    ended = keys.run("key", "add", "a", "--log-format", "json")
    assert ended.status == 0
    keys.made.append(ended.out[:-1])
    assert re.fullmatch(r'\{"time":"[^"]+","level":"info","message":"[^"]+"'
                        r"\}\n", ended.err)


def test_the_key_is_in_no_file(keys):
    """Not in the keys file, and not beside it."""
    key = keys.add("a", "--log-level", "debug")
    assert keys.status(key) == 200
    assert keys.run("key", "list").status == 0
    for path in pathlib.Path(keys.folder).rglob("*"):
        assert key.encode() not in path.read_bytes(), path
