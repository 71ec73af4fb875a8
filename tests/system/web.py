"""nompd-serve behind a real web server, on a free port of 127.0.0.1.

    server = start_server("nginx-fastcgi", tmp_path, store=sync.store)
    key = make_key(server, "hospital-a")
    answer = server.request("GET", "/api/v1/treatmentGroup", key=key)
    server.stop()

The configurations are those of examples/, with paths and ports put in.
NOMPD_SERVE names the program; otherwise it is the one beside nompd-sync.
"""
import collections
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import stores

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PROGRAM = str(pathlib.Path(os.environ.get("NOMPD_SERVE") or pathlib.Path(
    os.environ.get("NOMPD_SYNC", ROOT / "build" / "nompd-sync")
).with_name("nompd-serve")).absolute())

KINDS = ("lighttpd-cgi", "nginx-fastcgi")
MORE_KINDS = ("lighttpd-fastcgi", "apache-cgi", "apache-fastcgi")

# What the trigger runs in the examples.
SYNC_COMMAND = (
    "/usr/bin/env NOMPD_UPSTREAM_API_KEY_FILE=/etc/nompd/upstream.key"
    " /usr/local/bin/nompd-sync --upstream https://nompd.example.org/fhir"
    " --store sqlite:/var/lib/nompd/nompd.db")

PATIENCE = 60       # seconds for a start, an answer, an end
MAX_TRIES = 5       # ports that may turn out to be taken
KEY_FORM = re.compile(r"nompd_[A-Za-z0-9_-]{43}")
SANITIZER_SIGNS = ("Sanitizer", "runtime error:")
# What a sanitizer's run-time reads also reaches a CGI program.
PASSED_ON = ("ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS")

NGINX = """\
daemon off;
worker_processes 1;
pid {run}/pid;
error_log stderr notice;
events {{ worker_connections 256; }}
http {{
	client_body_temp_path {run}/body;
	fastcgi_temp_path {run}/fastcgi;
	proxy_temp_path {run}/proxy;
	scgi_temp_path {run}/scgi;
	uwsgi_temp_path {run}/uwsgi;
	include {run}/site.conf;
}}
"""

APACHE_MODULES = ("mpm_event", "authz_core", "alias", "env", "cgid", "proxy",
                  "proxy_fcgi")
APACHE = """\
ServerRoot {run}
ServerName 127.0.0.1
DefaultRuntimeDir {run}
PidFile {run}/pid
ScriptSock {run}/cgid.sock
ErrorLog {log}
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \
\\"%{{User-Agent}}i\\"" combined
{modules}
StartServers 1
ServerLimit 2
ThreadsPerChild 32
MaxRequestWorkers 64
<Directory "/">
	Require all denied
</Directory>
Include {run}/site.conf
"""


class ServerError(Exception):
    """A server that does not start; the message has its log."""


class Answer(collections.namedtuple("Answer", "status headers body")):
    """headers is a mapping that ignores case; body is bytes."""

    def json(self):
        return json.loads(self.body)


class Server:
    """One running server; made by start_server()."""

    def __init__(self, kind, folder, store, sync_command, env, workers, edit):
        self.kind = kind
        self.folder = pathlib.Path(
            tempfile.mkdtemp(prefix=kind + "-", dir=folder))
        self.has_own_store = store is None
        self.store = store or stores.KIND.new(self.folder)
        self.keys_file = self.folder / "api-keys"
        self.port = None
        self.keys = []
        self.workers = workers
        self.edit = edit
        if sync_command is None:
            sync_command = ""
        elif not isinstance(sync_command, str):
            sync_command = json.dumps([str(word) for word in sync_command])
        self.settings = {
            "NOMPD_STORE": stores.uri(self.store),
            "NOMPD_API_KEYS_FILE": str(self.keys_file),
            "NOMPD_SYNC_COMMAND": sync_command,
        }
        self.more = {name: os.environ[name] for name in PASSED_ON
                     if name in os.environ}
        for name, value in (env or {}).items():
            target = self.settings if name in self.settings else self.more
            target[name] = str(value)
        # Short, for the path of a socket has 107 bytes at most.
        self.run = pathlib.Path(tempfile.mkdtemp(prefix="nompd-web-"))
        self.log_file = self.folder / "server.log"
        self.access_log_file = self.folder / "access.log"
        self.socket = self.run / "serve.sock"
        self.program = None         # nompd-serve as FastCGI
        self.web = None

    # What a test uses

    def request(self, method, path, headers=(), body=None, key=None,
                timeout=PATIENCE):
        """One request on a connection of its own.  A body that is broken off
        raises http.client.HTTPException."""
        headers = dict(headers)
        if key is not None:
            headers["X-API-KEY"] = key
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=timeout)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def log(self):
        """All that nompd-serve and the web server wrote so far."""
        return read(self.log_file)

    def access_log(self):
        """The web server's log of requests; empty for lighttpd."""
        return read(self.access_log_file)

    def stop(self):
        """Ends the server, and checks what holds for every log."""
        self.end()
        log = self.log()
        for sign in SANITIZER_SIGNS:
            assert sign not in log, log
        for key in self.keys:
            assert key not in log + self.access_log()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()

    # Starting and ending

    def start(self):
        if FAMILIES[self.kind].fastcgi:
            self.start_program()
        for _ in range(MAX_TRIES):
            self.port = free_port()
            before = len(self.log())
            (self.run / "pid").unlink(missing_ok=True)
            self.web = self.spawn(FAMILIES[self.kind].prepare(self))
            if self.wait():
                return
            if "Address already in use" not in self.log()[before:]:
                break
        raise ServerError(f"{self.kind} does not start:\n{self.log()}")

    def start_program(self):
        """The workers, with a listening socket as standard input."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.socket))
            listener.listen(128)
            self.program = self.spawn(
                [PROGRAM, "--workers", str(self.workers)], stdin=listener)

    def spawn(self, command, stdin=subprocess.DEVNULL):
        """In a group of its own, so that all it starts ends with it."""
        with open(self.log_file, "ab") as log:
            return subprocess.Popen(
                command, stdin=stdin, stdout=log, stderr=log,
                env=self.environment(), cwd=self.folder,
                start_new_session=True)

    def environment(self):
        env = {name: value for name, value in os.environ.items()
               if not name.startswith("NOMPD_")}
        env.update(self.settings, **self.more)
        return env

    def wait(self):
        """True when the web server listens, False when it has ended.

        Each of them writes its number to a file once it has its port, so an
        answer of somebody else on that port is not taken for ours.
        """
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.web.poll() is not None:
                return False
            if read(self.run / "pid").strip() == str(self.web.pid):
                socket.create_connection(("127.0.0.1", self.port),
                                         timeout=PATIENCE).close()
                return True
            time.sleep(0.01)
        raise ServerError(f"{self.kind} does not listen:\n{self.log()}")

    def end(self):
        """Ends what was started; nothing when that was done before."""
        late = [process.args[0] for process in (self.web, self.program)
                if process is not None and not end_group(process)]
        self.web = self.program = None
        late += end_strays(f"NOMPD_API_KEYS_FILE={self.keys_file}".encode())
        shutil.rmtree(self.run, ignore_errors=True)
        if self.has_own_store:
            stores.KIND.drop(self.store)
        assert not late, (late, self.log())

    # The configuration

    def example(self, name, *replacements):
        """An example with the replacements made; each must find its text."""
        text = (EXAMPLES / name).read_text(encoding="utf-8")
        for old, new in replacements:
            assert old in text, (name, old)
            text = text.replace(old, str(new))
        if self.edit is not None:
            edited = self.edit(text)
            assert edited != text, name
            text = edited
        return text

    def write(self, name, text):
        path = self.run / name
        path.write_text(text, encoding="utf-8")
        return str(path)


def lighttpd(server):
    """Its settings come from the environment."""
    server.settings.update(PROGRAM=PROGRAM, PORT=str(server.port),
                           PID_FILE=f"{server.run}/pid")
    if FAMILIES[server.kind].fastcgi:
        text = server.example("lighttpd/fastcgi.conf", socket_of(server))
    else:
        text = server.example("lighttpd/lighttpd.conf")
        text += "".join(
            f'setenv.add-environment += ( "{name}" => env.{name} )\n'
            for name in server.more)
    return [find("lighttpd"), "-D", "-f", server.write("site.conf", text)]


def nginx(server):
    """Its workers keep our user, who alone may enter the folder."""
    server.write("site.conf", server.example(
        "nginx/nompd-serve.conf", port_of(server), socket_of(server),
        ("/var/log/nginx/nompd-serve.log", server.access_log_file)))
    text = NGINX.format(run=server.run)
    if os.geteuid() == 0:
        text = "user root;\n" + text
    return [find("nginx"), "-e", "stderr", "-c",
            server.write("nginx.conf", text)]


def apache(server):
    """It does not serve as root, so there it is nobody, who may reach what
    root may reach: the folder of a test lets in nobody else."""
    access_log = ("/var/log/apache2/nompd-serve.log", server.access_log_file)
    if FAMILIES[server.kind].fastcgi:
        text = server.example("apache/nompd-fastcgi.conf", port_of(server),
                              socket_of(server), access_log)
    else:
        text = server.example(
            "apache/nompd-cgi.conf", port_of(server), access_log,
            ('"/usr/local/bin/nompd-serve/"', apache_quote(PROGRAM + "/")),
            *((f"SetEnv {name} {old}",
               f"SetEnv {name} {apache_quote(server.settings[name])}")
              for name, old in (
                  ("NOMPD_STORE", '"sqlite:/var/lib/nompd/nompd.db"'),
                  ("NOMPD_API_KEYS_FILE", '"/etc/nompd/api-keys"'))),
            (f'#SetEnv NOMPD_SYNC_COMMAND "{SYNC_COMMAND}"',
             "SetEnv NOMPD_SYNC_COMMAND "
             + apache_quote(server.settings["NOMPD_SYNC_COMMAND"])))
        text += "".join(f"SetEnv {name} {apache_quote(value)}\n"
                        for name, value in server.more.items())
    server.write("site.conf", text)
    modules = "\n".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
        for name in APACHE_MODULES)
    config = server.write("apache.conf", APACHE.format(
        run=server.run, log=apache_quote(str(server.log_file)),
        modules=modules))
    prefix = []
    if os.geteuid() == 0:
        prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup",
                  "--clear-groups", "--inh-caps=+dac_override",
                  "--ambient-caps=+dac_override", "--"]
    return [*prefix, find("apache2"), "-f", config, "-DFOREGROUND"]


Family = collections.namedtuple("Family", "prepare fastcgi")
FAMILIES = {
    "lighttpd-cgi": Family(lighttpd, False),
    "lighttpd-fastcgi": Family(lighttpd, True),
    "nginx-fastcgi": Family(nginx, True),
    "apache-cgi": Family(apache, False),
    "apache-fastcgi": Family(apache, True),
}


def port_of(server):
    return "127.0.0.1:8080", f"127.0.0.1:{server.port}"


def socket_of(server):
    return "/run/nompd-serve.sock", server.socket


def apache_quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def find(name):
    """A web server; Debian keeps them where users do not look."""
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if path is None:
        raise ServerError(f"{name} is not installed; see tools/deps")
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def read(path):
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def living(group):
    """Is there a process in the group, zombies left aside?"""
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text("latin-1").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            return True
    return False


def end_group(process):
    """Ends a process and its group; False when that took force."""
    process.send_signal(signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    told = False
    while process.poll() is None or living(process.pid):
        if time.monotonic() > end:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False
        if process.poll() is not None and not told:
            # The last of it may have ended just now.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            told = True
        time.sleep(0.01)
    return True


def strays(sign):
    """The processes that have the sign in their environment."""
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            if sign in path.read_bytes().split(b"\0"):
                yield int(path.parent.name)
        except OSError:
            continue


def end_strays(sign):
    """Ends the runs that a trigger started, which go on by themselves; gives
    those that took force."""
    end = time.monotonic() + PATIENCE
    told = set()
    while True:
        left = set(strays(sign))
        if not left or time.monotonic() > end:
            break
        for process in left - told:
            send(process, signal.SIGTERM)
        told |= left
        time.sleep(0.01)
    for process in left:
        send(process, signal.SIGKILL)
    return sorted(left)


def send(process, number):
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass


def start_server(kind, folder, store=None, sync_command=None, env=None,
                 workers=2, edit=None):
    """A server of the kind, with its files in a folder of its own in folder.

    store: as in stores.py, need not exist; by default one in the server's
    folder.  sync_command: text as in NOMPD_SYNC_COMMAND, or a list
    of words; None: there is no trigger.  env: more variables for nompd-serve.
    workers: of FastCGI.  edit: a function from the example's text to another.
    """
    server = Server(kind, folder, store, sync_command, env, workers, edit)
    try:
        server.start()
    except BaseException:
        server.end()
        raise
    return server


def make_key(server, name, scope="read"):
    """A new key; that it stands in no log is checked at stop()."""
    done = subprocess.run(
        [PROGRAM, "key", "add", name, "--scope", scope],
        env=server.environment(), capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    key = done.stdout.rstrip("\n")
    assert KEY_FORM.fullmatch(key), (done.stdout, done.stderr)
    assert key not in done.stderr
    server.keys.append(key)
    return key
