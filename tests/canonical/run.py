"""Compares canonical JSON with that of other implementations of RFC 8785.

    python3 tests/canonical/run.py [--build BUILD] [--documents N] [--seed N]

These are the standard library of Python (see documents.py) and the package
rfc8785, which is fetched into BUILD/venv-canonical when it is not there.  The
documents are other ones with each seed.  The last line says `canonical: N
passed, N failed`.
"""
import argparse
import pathlib
import random
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# So many at once.
BATCH = 2000


def compare(program, documents, seed):
    """Compares all, batch by batch; how many were compared."""
    import documents as ours
    import rfc8785
    chance = random.Random(seed)
    compared = errors = 0
    while compared < documents:
        errors += ours.compare_documents(program, chance, BATCH,
                                         rfc8785.dumps)
        ours.compare_doubles(program, chance, BATCH, rfc8785.dumps)
        compared += BATCH
    # Neither kind may be missing.
    assert 0 < errors < compared
    print(f"{compared} documents, {errors} of them errors")
    return compared


def main():
    """Compares, in the virtual environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build", type=pathlib.Path)
    parser.add_argument("--documents", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--inside", action="store_true",
                        help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    build = (ROOT / arguments.build).resolve()
    if not arguments.inside:
        venv = build / "venv-canonical"
        subprocess.run([sys.executable, str(ROOT / "tests/python_packages.py"),
                        str(venv), str(HERE / "requirements.txt")], check=True)
        return subprocess.run([str(venv / "bin/python"), *sys.argv, "--inside",
                               "--seed", str(arguments.seed)],
                              check=False).returncode
    print(f"seed {arguments.seed}", flush=True)
    try:
        compare(build / "canonical", arguments.documents, arguments.seed)
    except AssertionError as fault:
        print(f"differs: {fault}\ncanonical: 0 passed, 1 failed")
        return 1
    print("canonical: 1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
