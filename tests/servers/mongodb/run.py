"""Runs a command with a MongoDB server.

    python3 tests/servers/mongodb/run.py [--build-only] [-- COMMAND ...]

COMMAND finds it in NOMPD_TEST_MONGODB_URI, and where it speaks TLS in
NOMPD_TEST_MONGODB_TLS_URI, with its CA in NOMPD_TEST_MONGODB_CA.  The server
ends with COMMAND, and so does this, with its status.
"""
import argparse
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import mongodb  # noqa: E402
from commands import end_in_order, run_with  # noqa: E402


def variables(server):
    """What tells a command of the server."""
    found = {"NOMPD_TEST_MONGODB_URI": server.uri,
             "NOMPD_TEST_MONGODB_TLS_URI": server.tls_uri,
             "NOMPD_TEST_MONGODB_CA": server.ca}
    return {name: str(value) for name, value in found.items() if value}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("command", nargs="*")
    arguments = parser.parse_args()
    end_in_order()
    try:
        server = mongodb.start(arguments.build_only)
    except mongodb.ServerError as error:
        print(f"MongoDB server for the tests: {error}", file=sys.stderr)
        return 1
    if server is None:
        return 0
    with server:
        print(f"MongoDB server for the tests: {server.name}", flush=True)
        return (run_with(arguments.command, variables(server))
                if arguments.command else 0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
