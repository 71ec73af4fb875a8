"""nginx and lighttpd with answers that lie ready in files.

Set up as the examples set them up for nompd-serve, with one worker, and with a
log of requests where they have one; the kernel sends the file.
"""

import os
import socket
import subprocess
import time

START_SECONDS = 10
STOP_SECONDS = 10
ATTEMPTS = 5
HOST = "127.0.0.1"

NGINX = """\
daemon off;
worker_processes 1;
pid %(folder)s/nginx.pid;
error_log stderr;
%(user)s
events {
}
http {
	access_log %(folder)s/access.log;
	sendfile on;
	tcp_nopush on;
	client_body_temp_path %(folder)s/body;
	fastcgi_temp_path %(folder)s/fastcgi;
	proxy_temp_path %(folder)s/proxy;
	scgi_temp_path %(folder)s/scgi;
	uwsgi_temp_path %(folder)s/uwsgi;
	server {
		listen %(host)s:%(port)d;
		root %(files)s;
		default_type application/json;
	}
}
"""
LIGHTTPD = """\
server.bind = "%(host)s"
server.port = %(port)d
server.document-root = "%(files)s"
mimetype.assign = ("" => "application/json")
"""


def free_port():
    with socket.socket() as one:
        one.bind((HOST, 0))
        return one.getsockname()[1]


def listens(port):
    try:
        socket.create_connection((HOST, port), timeout=1).close()
        return True
    except OSError:
        return False


class Static:
    """One of them; `files` is the folder that it serves."""

    def __init__(self, kind, folder, files):
        self.kind = kind
        self.folder = folder
        self.files = files
        self.log_file = folder / "log"
        self.port = None
        self.process = None
        for _ in range(ATTEMPTS):
            if self.start():
                return
            self.stop()
        raise RuntimeError(f"static {kind} did not start:\n{self.log()}")

    def command(self):
        config = self.folder / "config"
        values = {"host": HOST, "port": self.port, "folder": self.folder,
                  "files": self.files,
                  # Else its worker is a user who may not read the folder.
                  "user": "user root;" if os.geteuid() == 0 else ""}
        if self.kind == "nginx":
            config.write_text(NGINX % values)
            return ["nginx", "-e", "stderr", "-c", str(config)]
        config.write_text(LIGHTTPD % values)
        return ["lighttpd", "-D", "-f", str(config)]

    def start(self):
        """True when it listens; another program may have taken the port."""
        self.port = free_port()
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            if listens(self.port):
                return self.process.poll() is None
            time.sleep(0.02)
        return False

    def log(self):
        return self.log_file.read_text(errors="replace")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
