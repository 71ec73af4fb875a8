"""Runs a command with a FHIR server and an authorization server.

    python3 tests/servers/fhir/run.py [--build-only] [--or-without]
        [-- COMMAND ...]

COMMAND finds in
    NOMPD_TEST_FHIR_URL          a FHIR server with Bulk Data
    NOMPD_TEST_FHIR_SMART_URL    the same data, for those with a token
    NOMPD_TEST_TOKEN_URL         where tokens are to be had
    NOMPD_TEST_REGISTRATION_URL  where clients register (RFC 7591)
    NOMPD_TEST_SIGNER            a script for node that makes keys and signs
The servers end with COMMAND, and so does this, with its status.  With
--or-without COMMAND runs even if they cannot be had; NOMPD_TEST_NO_PEERS then
says why.
"""
import argparse
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import fhir  # noqa: E402
from commands import end_in_order, run_with  # noqa: E402


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--or-without", action="store_true")
    parser.add_argument("command", nargs="*")
    arguments = parser.parse_args()
    end_in_order()
    try:
        if arguments.build_only:
            fhir.prepare()
            return 0
        peers = fhir.start()
    except fhir.ServerError as error:
        print(f"FHIR servers for the tests: {error}", file=sys.stderr,
              flush=True)
        is_unavailable = isinstance(error, fhir.Unavailable)
        if not (is_unavailable and arguments.or_without):
            return 1
        return run_with(arguments.command,
                        {"NOMPD_TEST_NO_PEERS": str(error)})
    with peers:
        print(f"FHIR servers for the tests: {peers.name}", flush=True)
        return (run_with(arguments.command, peers.variables)
                if arguments.command else 0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
