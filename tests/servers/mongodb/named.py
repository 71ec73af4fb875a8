"""The server that somebody else runs and NOMPD_TEST_MONGODB_URI names."""
import os

import pymongo
import pymongo.errors

from processes import ServerError

from .base import Server

VARIABLE = "NOMPD_TEST_MONGODB_URI"
PATIENCE_MS = 10000


def why_not(_):
    """Why it cannot be had here; None when it can."""
    return None if os.environ.get(VARIABLE) else f"{VARIABLE} is not set"


def build(_):
    """There is nothing to build."""


class Named(Server):
    """It is neither started nor ended by the tests."""

    def __init__(self, _):
        self.uri = os.environ[VARIABLE]
        self.tls_uri = os.environ.get("NOMPD_TEST_MONGODB_TLS_URI")
        self.ca = os.environ.get("NOMPD_TEST_MONGODB_CA")

    def up(self):
        try:
            client = pymongo.MongoClient(
                self.uri, serverSelectionTimeoutMS=PATIENCE_MS)
            info = client.server_info()
            client.close()
        except pymongo.errors.PyMongoError as error:
            raise ServerError(f"the server that {VARIABLE} names:"
                              f" {error}") from error
        product = "FerretDB on" if "ferretdb" in info else "a"
        self.name = (f"the one that {VARIABLE} names, {product} MongoDB"
                     f" {info['version']}")

    def kill(self):
        raise ServerError(f"the server that {VARIABLE} names is not killed")

    def stop(self):
        """It goes on."""
