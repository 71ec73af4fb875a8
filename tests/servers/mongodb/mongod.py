"""A mongod on PATH, as a replica set of one member."""
import re
import shutil
import time

import pymongo
import pymongo.errors

from processes import (
    PATIENCE, ServerError, free_port, is_listening, kill, run, spawn, tail,
    wait_until)

from .base import Server

PAUSE = 0.1         # seconds between two looks
MAX_TRIES = 5       # ports that may turn out to be taken
SET = "nompd"


def why_not(_):
    """Why it cannot be had here; None when it can."""
    return None if shutil.which("mongod") else "mongod: not on PATH"


def build(_):
    """There is nothing to build."""


class Mongod(Server):
    """Without a login, which a replica set has only with a key file."""

    def __init__(self, _):
        super().__init__()
        told = run(["mongod", "--version"])
        found = re.search(r"v\d+[.\d]*", told)
        self.name = f"mongod {found.group() if found else told.strip()}"
        self.data = self.folder / "data"
        self.data.mkdir()
        self.log = self.folder / "mongod.log"
        self.port = None
        self.process = None

    def up(self):
        is_new = self.port is None
        for _ in range(MAX_TRIES):
            port = self.port or free_port()
            self.process = spawn([
                "mongod", "--dbpath", self.data, "--bind_ip", "127.0.0.1",
                "--port", port, "--replSet", SET, "--nounixsocket"], self.log)
            if wait_until(self.process, self.log,
                          lambda: is_listening(port)):
                break
            if self.port:
                raise ServerError(f"mongod: no restart:\n{tail(self.log)}")
        else:
            raise ServerError(f"mongod does not start:\n{tail(self.log)}")
        self.port = port
        self.uri = f"mongodb://127.0.0.1:{port}/"
        self.lead(is_new)

    def lead(self, is_new):
        """Makes it the primary of the set, and waits until it is."""
        client = pymongo.MongoClient("127.0.0.1", self.port,
                                     directConnection=True)
        try:
            if is_new:
                client.admin.command("replSetInitiate", {
                    "_id": SET, "members": [
                        {"_id": 0, "host": f"127.0.0.1:{self.port}"}]})
            end = time.monotonic() + PATIENCE
            while not client.admin.command("isMaster").get("ismaster"):
                if time.monotonic() > end:
                    raise ServerError("mongod: no primary within"
                                      f" {PATIENCE} seconds")
                time.sleep(PAUSE)
        except pymongo.errors.PyMongoError as error:
            raise ServerError(f"mongod: {error}") from error
        finally:
            client.close()

    def down(self):
        kill(self.process)
