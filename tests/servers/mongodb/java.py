"""mongo-java-server, in memory: the last choice.

It comes from Maven's repository.  It knows no login, no TLS, and has lost all
it held after a kill.
"""
import pathlib
import shutil

from .base import Server
from .processes import (
    ServerError, free_port, is_listening, kill, run, spawn, tail, wait_until)

VERSION = "1.47.0"
SOURCES = ("pom.xml", "MemoryServer.java")
TOOLS = ("mvn", "javac", "java")
MAX_TRIES = 5       # ports that may turn out to be taken


def why_not(_):
    """Why it cannot be had here; None when it can."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return (f"mongo-java-server: not found: {', '.join(missing)}"
                " (Debian packages maven and default-jdk-headless)")
    return None


def target(servers):
    return pathlib.Path(servers) / f"mongo-java-server-{VERSION}"


def build(servers):
    """Fetches it, and compiles the class that starts it."""
    if target(servers).exists():
        return
    partial = pathlib.Path(f"{target(servers)}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name in SOURCES:
        shutil.copy(pathlib.Path(__file__).parent / "java" / name, partial)
    run(["mvn", "-q", "-B", "-Dstyle.color=never",
         f"-Dserver.version={VERSION}", "compile",
         "dependency:copy-dependencies"], cwd=partial)
    partial.rename(target(servers))


class MongoJavaServer(Server):
    name = f"mongo-java-server {VERSION} (in memory)"

    def __init__(self, servers):
        super().__init__()
        self.built = target(servers) / "target"
        self.log = self.folder / "server.log"
        self.process = None
        self.port = None

    def up(self):
        for _ in range(MAX_TRIES):
            port = self.port or free_port()
            self.process = spawn([
                "java", "-cp", f"{self.built}/classes:"
                f"{self.built}/dependency/*", "MemoryServer", port], self.log)
            if wait_until(self.process, self.log,
                          lambda: is_listening(port)):
                self.port = port
                self.uri = f"mongodb://127.0.0.1:{port}/"
                return
        raise ServerError("mongo-java-server does not start:\n"
                          f"{tail(self.log)}")

    def down(self):
        kill(self.process)

    def restart(self):
        raise ServerError("mongo-java-server keeps nothing over a restart")
