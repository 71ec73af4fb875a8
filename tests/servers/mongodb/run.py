"""Runs a command with a MongoDB server.

    python3 tests/servers/mongodb/run.py [--build-only] [-- COMMAND ...]

COMMAND finds it in NOMPD_TEST_MONGODB_URI, and where it speaks TLS in
NOMPD_TEST_MONGODB_TLS_URI, with its CA in NOMPD_TEST_MONGODB_CA.  The server
ends with COMMAND, and so does this, with its status.
"""
import argparse
import os
import pathlib
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import mongodb  # noqa: E402


def variables(server):
    """What tells a command of the server."""
    found = {"NOMPD_TEST_MONGODB_URI": server.uri,
             "NOMPD_TEST_MONGODB_TLS_URI": server.tls_uri,
             "NOMPD_TEST_MONGODB_CA": server.ca}
    return {name: str(value) for name, value in found.items() if value}


def run(command, server):
    """The status of the command, which never outlives this."""
    with subprocess.Popen(command, env={**os.environ, **variables(server)}
                          ) as process:
        try:
            status = process.wait()
        except BaseException:
            process.terminate()
            raise
    return status if status >= 0 else 128 - status


def end(number, _):
    """Ends like an interrupt, so that all is put away."""
    sys.exit(128 + number)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("command", nargs="*")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
    try:
        server = mongodb.start(arguments.build_only)
    except mongodb.ServerError as error:
        print(f"MongoDB server for the tests: {error}", file=sys.stderr)
        return 1
    if server is None:
        return 0
    with server:
        print(f"MongoDB server for the tests: {server.name}", flush=True)
        return run(arguments.command, server) if arguments.command else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
