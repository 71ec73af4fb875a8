"""A MongoDB server for the tests, the best that can be had here.

    server = start(own=True)
    pymongo.MongoClient(server.uri)
    server.kill()           # as a machine that loses power
    server.restart()        # the same data at the same place
    server.stop()

Servers are built into the folder that NOMPD_TEST_SERVERS_DIR names, by default
build-servers/mongodb.  Several may run side by side, each with its own data on
free ports of 127.0.0.1; all end with the process that started them.
"""
import os
import sys

import building
from processes import ServerError

from . import ferretdb, java, mongod, named
from .base import Server

__all__ = ["Server", "ServerError", "start"]

# In the order of choice.
KINDS = (
    (named, named.Named),
    (mongod, mongod.Mongod),
    (ferretdb, ferretdb.FerretDB),
    (java, java.MongoJavaServer),
)


def folder():
    """Where servers are built."""
    return building.folder("mongodb")


def prepare(module):
    """Builds what a kind of server needs; one process at a time."""
    with building.locked(folder()):
        module.build(folder())


def start(build_only=False, own=False, disk=None):
    """Starts the first kind of server that can be had; build_only: None.

    One that NOMPD_TEST_MONGODB_URI names is the only choice, but not with own,
    for one that may be killed.  disk: its data are on a disk of this size, as
    mount(8) has it; own alone has that.  ServerError: there is none, with all
    that was tried.
    """
    tried = []
    for module, kind in KINDS:
        if own and kind is named.Named or disk and not kind.has_disk:
            continue
        reason = module.why_not(folder())
        if reason is None:
            try:
                prepare(module)
                return None if build_only else started(kind, disk)
            except (ServerError, OSError) as error:
                reason = str(error)
                print(f"MongoDB server for the tests: {reason}",
                      file=sys.stderr, flush=True)
        tried.append(reason)
        if kind is named.Named and os.environ.get(named.VARIABLE):
            break
    raise ServerError("no MongoDB server can be had:\n" + "\n".join(
        "    " + reason.replace("\n", "\n    ") for reason in tried))


def started(kind, disk):
    server = kind(folder(), disk) if disk else kind(folder())
    try:
        server.up()
    except BaseException:
        server.stop()
        raise
    return server
