"""A FHIR server and an authorization server for the tests, not our own.

    with start() as peers:
        peers.variables     # where they are

Both are fetched and built once, into the folder that NOMPD_TEST_SERVERS_DIR
names, by default build-servers/fhir.  They are on free ports of 127.0.0.1,
begin empty, and end with the process that started them.
"""
import os
import pathlib
import secrets
import shutil
import tempfile

import building
from processes import ServerError, kill, spawn, tail, wait_until

from . import hapi, oidc

__all__ = ["Peers", "ServerError", "Unavailable", "start"]

CHOICE = "NOMPD_TEST_PEERS"     # skip: as if they could not be had
PATIENCE = 600      # seconds; HAPI takes 15 on a machine with nothing to do
SIGN = "READY "     # how a server begins to tell its URL
CLIENT = "fhir-server"


class Unavailable(ServerError):
    """What the servers are made of cannot be had here."""


def why_not():
    """Why they cannot be had here; None when they can."""
    if os.environ.get(CHOICE) == "skip":
        return f"{CHOICE} says so"
    return hapi.why_not() or oidc.why_not()


def prepare():
    """Builds what is not there yet; gives the folder."""
    reason = why_not()
    if reason is not None:
        raise Unavailable(reason)
    servers = building.folder("fhir")
    with building.locked(servers):
        for module in (hapi, oidc):
            if module.target(servers).exists():
                continue
            print(f"fetching {module.NAME} once", flush=True)
            try:
                module.build(servers)
            except ServerError as error:
                raise Unavailable(f"{module.NAME}: {error}") from error
    return servers


def start():
    """Starts both.  Unavailable: they cannot be had; ServerError: they do not
    start, though they could be had."""
    peers = Peers(prepare())
    try:
        peers.up()
    except BaseException:
        peers.stop()
        raise
    return peers


class Peers:
    """Both servers, which run.

    name: what they are.
    variables: by name, what the tests are told of them.
    """

    name = f"{hapi.NAME}, {oidc.NAME}"

    def __init__(self, servers):
        self.servers = servers
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nompd-peers-"))
        self.processes = []
        self.variables = {}

    def up(self):
        secret = secrets.token_hex(16)
        issuer = self.started("oidc", oidc.command(
            self.servers, CLIENT, secret))
        fhir = self.started("hapi", hapi.command(
            self.servers, f"{issuer}/token", f"{issuer}/token/introspection",
            f"{CLIENT}:{secret}"))
        self.variables = {
            "NOMPD_TEST_FHIR_URL": f"{fhir}/fhir",
            "NOMPD_TEST_FHIR_SMART_URL": f"{fhir}/smart",
            "NOMPD_TEST_TOKEN_URL": f"{issuer}/token",
            "NOMPD_TEST_REGISTRATION_URL": f"{issuer}/reg",
            "NOMPD_TEST_SIGNER": str(oidc.signer(self.servers)),
        }

    def started(self, name, command):
        """Starts a server; gives the URL that it tells."""
        log = self.folder / f"{name}.log"
        process = spawn(command, log)
        self.processes.append(process)

        def url():
            lines = log.read_text("utf-8", "replace").splitlines(True)
            return next((line[len(SIGN):-1] for line in lines
                         if line.startswith(SIGN) and line.endswith("\n")),
                        None)

        if not wait_until(process, log, url, PATIENCE):
            raise ServerError(f"{name} does not start:\n{tail(log)}")
        return url()

    def stop(self):
        """Ends them; nothing is left."""
        for process in self.processes:
            kill(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()
