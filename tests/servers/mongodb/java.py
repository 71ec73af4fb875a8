"""mongo-java-server, in memory: the last choice.

It comes from Maven's repository.  It knows no login, no TLS, and has lost all
it held after a kill.
"""
import pathlib

import building
from processes import (
    ServerError, free_port, is_listening, kill, spawn, tail, wait_until)

from .base import Server

VERSION = "1.47.0"
SOURCES = ("pom.xml", "MemoryServer.java")
TOOLS = ("mvn", "javac", "java")
MAX_TRIES = 5       # ports that may turn out to be taken


def why_not(_):
    """Why it cannot be had here; None when it can."""
    return building.missing(
        "mongo-java-server", TOOLS,
        "Debian packages maven and default-jdk-headless")


def target(servers):
    return pathlib.Path(servers) / f"mongo-java-server-{VERSION}"


def build(servers):
    """Fetches it, and compiles the class that starts it."""
    here = pathlib.Path(__file__).parent / "java"
    building.assemble(
        target(servers), [here / name for name in SOURCES],
        ["mvn", "-q", "-B", "-Dstyle.color=never",
         f"-Dserver.version={VERSION}", "compile",
         "dependency:copy-dependencies"])


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
