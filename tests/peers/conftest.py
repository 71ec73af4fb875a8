"""What the tests on servers that are not our own share.

tests/servers/fhir/run.py starts these servers and says where they are; without
them all of these tests are skipped.
"""
import importlib.util
import json
import os
import pathlib
import secrets
import subprocess
import sys

import pytest

sys.dont_write_bytecode = True
SYSTEM = pathlib.Path(__file__).resolve().parents[1] / "system"
sys.path.insert(0, str(SYSTEM))


def system_tests():
    """What the system tests share; a conftest of its own name is here."""
    spec = importlib.util.spec_from_file_location(
        "system_conftest", SYSTEM / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


import fhir as fhirs  # noqa: E402
import model  # noqa: E402
from recorder import Recorder  # noqa: E402

system = system_tests()

PATIENCE = 120      # seconds until what does not happen is a failure
GUIDELINES = ("PlanDefinition", "ActivityDefinition",
              "RegulatedAuthorization")
TYPES = ("Group", "Observation", "Condition", "Patient", *GUIDELINES)
MEMBERS = range(5, 12)      # the numbers of the patients in the group


def resources(world):
    """What the server has at the beginning of a test."""
    return [
        *(world.patient(i) for i in range(30)),
        *(world.condition(i, i % 15) for i in range(40)),
        *(world.observation(i, i % 10) for i in range(20)),
        world.group(MEMBERS),
        *(resource for i in range(10) for resource in world.guidelines(i)),
    ]


class Client(system.Bulk):
    """nompd-sync --mode bulk."""

    DEFAULTS = {"--mode": "bulk", "--max-poll-wait": "1s"}

    def documents(self, collection, deleted=False):
        """Those that live, or those that do not, by key."""
        return {key: model.decode(record.data)
                for (where, key), record in self.dump().records.items()
                if where == collection and bool(record.deleted) == deleted}

    def check_equals(self, server, *types):
        """The store has what the server has, and nothing else of it."""
        for type in types:
            assert self.documents(type) == server.read(type)
        assert {where for where, _ in self.dump().records} - set(types) <= {
            "TreatmentGroups", "ReimbursementGroups"}


def place(name):
    """What a variable says, or the end of a test that needs it."""
    found = os.environ.get(name)
    if not found:
        pytest.skip(os.environ.get("NOMPD_TEST_NO_PEERS")
                    or f"{name} is not set (tests/servers/fhir/run.py does)")
    return found


# Fixtures

@pytest.fixture(scope="session", autouse=True)
def program():
    if not os.access(system.PROGRAM, os.X_OK):
        pytest.exit(f"{system.PROGRAM}: no program to test", 2)


@pytest.fixture
def world():
    return fhirs.World(secrets.token_hex(3))


@pytest.fixture
def server(world):
    """The FHIR server, with the usual resources and nothing else."""
    found = fhirs.Fhir(place("NOMPD_TEST_FHIR_URL"))
    found.clear(TYPES)
    found.put(*resources(world))
    return found


@pytest.fixture
def way(server):
    """The way to it that the program goes."""
    with Recorder(server.url) as recorder:
        yield recorder


@pytest.fixture
def client(tmp_path, way):
    program = Client(tmp_path, way)
    yield program
    program.close()


@pytest.fixture(scope="session")
def jose():
    """Runs the script that makes keys and signs."""
    script = place("NOMPD_TEST_SIGNER")

    def run(*arguments, key=None):
        return subprocess.run(
            ["node", script, *arguments], check=True, text=True,
            input=key and json.dumps(key), stdout=subprocess.PIPE
        ).stdout.strip()
    return run
