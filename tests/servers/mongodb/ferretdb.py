"""FerretDB on PostgreSQL with DocumentDB, out of a Debian of its own.

It is built once, by build.sh, into the folder of the servers; each start has
data, ports and a certificate of its own.  PostgreSQL refuses to run as root,
so it is an ordinary user in a chroot, in namespaces that end with it.
"""
import base64
import hashlib
import hmac
import os
import pathlib
import shutil
import signal
from urllib.parse import quote

from processes import (
    PATIENCE, Disk, ServerError, children, free_port, is_listening, kill, run,
    spawn, tail, wait_until)

from .base import Server

FERRETDB = "2.7.0"
POSTGRESQL = "18"
SUITE = "forky"
FORM = 1            # of what is built; another one is built anew
TOOLS = ("debootstrap", "unshare", "chroot", "setpriv", "openssl")
MAX_TRIES = 5       # ports that may turn out to be taken

USER = "tester"
PASSWORD = "p4ss/w:rd@of %the-t3sts"
SALT_BYTES = 28     # libmongoc 1.23 refuses any other number
ITERATIONS = 4096
# One connection, for upserts that race on several end in deadlocks.
POOL = "pool_min_conns=1&pool_max_conns=1"

# The data of a server are thrown away, but a kill of it must not lose what it
# has confirmed: fsync stays on.  Its only client is FerretDB, as postgres.
SETTINGS = """\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 60
shared_buffers = 128MB
shared_preload_libraries = 'pg_cron,pg_documentdb_core,pg_documentdb'
cron.database_name = 'postgres'
documentdb.enableUserCrud = on
documentdb.maxWriteBatchSize = 100000
documentdb_core.enableCollation = on
fsync = on
"""
ACCESS = "host all all 127.0.0.1/32 trust\n"

# $1: root, $2: folder of the data, then a command for its user postgres.
# /dev/shm is its own, so that nothing of it is left there.
IN_ROOT = """\
root=$1 data=$2
shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
mount --bind "$data" "$root/srv/pg"
exec chroot --userspec=postgres:postgres "$root" \\
    setpriv --pdeathsig KILL -- env -i HOME=/tmp LC_ALL=C.UTF-8 \\
    PATH=/usr/lib/postgresql/{}/bin:/usr/bin:/bin "$@"
""".format(POSTGRESQL)


def why_not(servers):
    """Why it cannot be had here; None when it can."""
    if os.geteuid() != 0:
        return "FerretDB: building and starting it needs root"
    needed = TOOLS[1:] if folder(servers).exists() else TOOLS
    missing = [tool for tool in needed if shutil.which(tool) is None]
    if missing:
        return (f"FerretDB: not found: {', '.join(missing)}"
                " (`sh tools/deps mongodb` installs them)")
    return None


def folder(servers):
    return pathlib.Path(servers) / (
        f"ferretdb-{FERRETDB}-pg{POSTGRESQL}-{SUITE}-{FORM}")


def build(servers):
    """Builds what is not there yet; what it does goes to standard error."""
    target = folder(servers)
    if not target.exists():
        script = pathlib.Path(__file__).with_name("build.sh")
        log = pathlib.Path(f"{target}.log")
        print(f"building FerretDB {FERRETDB} once, for some minutes; what is"
              f" done: {log}", flush=True)
        process = spawn(["sh", script, target, SUITE, POSTGRESQL, FERRETDB],
                        log)
        try:
            status = process.wait()
        finally:
            kill(process)
        if status != 0:
            raise ServerError(f"FerretDB: building it failed:\n{tail(log)}")
    if not (target / "template").exists():
        make_template(target)


def owner(root):
    """Number of the user and group of postgres in the root."""
    for line in (root / "etc/passwd").read_text("utf-8").splitlines():
        fields = line.split(":")
        if fields[0] == "postgres":
            return int(fields[2]), int(fields[3])
    raise ServerError(f"{root}: no user postgres")


def inside(target, data, *command):
    """The command as one for this machine, to run within the root.

    It is the first process of its namespace: all others end with it.
    """
    return ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child",
            "--propagation", "private", "sh", "-ec", IN_ROOT, "sh",
            target / "root", data, *command]


def make_template(target):
    """A database with the extension and the user, which each start copies."""
    partial = target / "template.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    os.chown(partial, *owner(target / "root"))
    run(inside(target, partial, "initdb", "-D", "/srv/pg", "-U", "postgres",
               "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"))
    with open(partial / "postgresql.conf", "a", encoding="utf-8") as file:
        file.write(SETTINGS)
    (partial / "pg_hba.conf").write_text(ACCESS, "utf-8")
    database = Postgres(target, partial, target / "template.log")
    database.start()
    try:
        database.sql("CREATE EXTENSION documentdb CASCADE",
                     f"CREATE ROLE {USER} SUPERUSER LOGIN"
                     f" PASSWORD '{verifier(PASSWORD)}'")
        database.stop()
    finally:
        database.kill()
    partial.rename(target / "template")


def verifier(password):
    """What PostgreSQL keeps of a password, with a salt of SALT_BYTES."""
    salt = os.urandom(SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt,
                                 ITERATIONS)

    def key(name):
        return hmac.new(salted, name, hashlib.sha256).digest()

    def text(data):
        return base64.b64encode(data).decode()

    stored = hashlib.sha256(key(b"Client Key")).digest()
    return (f"SCRAM-SHA-256${ITERATIONS}:{text(salt)}"
            f"${text(stored)}:{text(key(b'Server Key'))}")


class Postgres:
    """PostgreSQL over a folder with its data."""

    def __init__(self, target, data, log, disk=None):
        self.target, self.data, self.log = target, data, log
        self.enter = disk.enter if disk else []
        self.seen = disk.seen if disk else data
        self.port = None
        self.process = None

    def start(self):
        """Starts it on a port of its own; restarted, on the same."""
        for _ in range(MAX_TRIES):
            port = self.port or free_port()
            self.process = spawn([*self.enter, *inside(
                self.target, self.data, "postgres", "-D", "/srv/pg",
                "-p", port)], self.log)
            if wait_until(self.process, self.log,
                          lambda: self.is_ready(port)):
                self.port = port
                return
            if self.port:
                break
        raise ServerError(f"PostgreSQL does not start:\n{tail(self.log)}")

    def is_ready(self, port):
        """Its own file says so, not whoever has the port."""
        try:
            lines = (self.seen / "postmaster.pid").read_text(
                "utf-8").splitlines()
        except FileNotFoundError:
            return False
        return (len(lines) > 7 and lines[3] == str(port)
                and lines[7].strip() == "ready")

    def sql(self, *statements):
        """Runs statements as its superuser."""
        words = [word for statement in statements
                 for word in ("-c", statement)]
        return run(["chroot", self.target / "root",
                    f"/usr/lib/postgresql/{POSTGRESQL}/bin/psql", "-X", "-At",
                    "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p",
                    self.port, "-U", "postgres", *words])

    def stop(self):
        """Ends it as a whole, with its data in order."""
        for number in children(self.process):
            os.kill(number, signal.SIGINT)
        self.process.wait(PATIENCE)

    def kill(self):
        """Kills all of its processes at once."""
        kill(self.process, with_children=True)
        (self.seen / "postmaster.pid").unlink(missing_ok=True)


class FerretDB(Server):
    """FerretDB and its PostgreSQL, with data of their own."""

    name = f"FerretDB v{FERRETDB} (PostgreSQL {POSTGRESQL}, DocumentDB)"

    has_disk = True

    def __init__(self, servers, disk=None):
        super().__init__()
        self.target = folder(servers)
        data = self.folder / "data"
        log = self.folder / "postgres.log"
        self.disk = Disk(data, disk, log) if disk else None
        run([*(self.disk.enter if disk else []), "cp", "-a", "-T",
             self.target / "template", data])
        self.postgres = Postgres(self.target, data, log, self.disk)
        self.log = self.folder / "ferretdb.log"
        self.ca, self.certificate, self.key = make_certificate(self.folder)
        self.ports = None
        self.process = None

    def up(self):
        self.postgres.start()
        for _ in range(MAX_TRIES):
            plain, tls = self.ports or (free_port(), free_port())
            self.process = spawn([
                self.target / "root/usr/local/bin/ferretdb",
                "--telemetry=disable", "--debug-addr=-",
                f"--state-dir={self.folder}",
                f"--postgresql-url=postgres://postgres@127.0.0.1:"
                f"{self.postgres.port}/postgres?{POOL}",
                f"--listen-addr=127.0.0.1:{plain}",
                f"--listen-tls=127.0.0.1:{tls}",
                f"--listen-tls-cert-file={self.certificate}",
                f"--listen-tls-key-file={self.key}"], self.log)
            if wait_until(self.process, self.log, lambda: is_listening(plain)
                          and is_listening(tls)):
                break
            if self.ports:
                raise ServerError(f"no start:\n{tail(self.log)}")
        else:
            raise ServerError(f"FerretDB does not start:\n{tail(self.log)}")
        self.ports = plain, tls
        user = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
        self.uri = f"mongodb://{user}@127.0.0.1:{plain}/"
        self.tls_uri = f"mongodb://{user}@127.0.0.1:{tls}/"

    def down(self):
        kill(self.process)
        self.postgres.kill()

    def stop(self):
        super().stop()
        if self.disk:
            self.disk.end()


def make_certificate(place):
    """A CA for this start, and what it says of 127.0.0.1."""
    def new_key(name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-nodes", "-keyout", place / f"{name}.key"]
    ca, certificate, key, request, extensions = (place / name for name in (
        "ca.pem", "server.pem", "server.key", "server.csr", "extensions"))
    run(["openssl", "req", "-x509", *new_key("ca"), "-days", "30", "-subj",
         "/CN=CA of the tests", "-out", ca, "-addext",
         "keyUsage=critical,keyCertSign,cRLSign"])
    run(["openssl", "req", *new_key("server"), "-subj", "/CN=localhost",
         "-out", request])
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n"
                          "extendedKeyUsage=serverAuth\n"
                          "basicConstraints=CA:FALSE\n", "ascii")
    run(["openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey",
         place / "ca.key", "-CAcreateserial", "-days", "30", "-extfile",
         extensions, "-out", certificate])
    return ca, certificate, key
