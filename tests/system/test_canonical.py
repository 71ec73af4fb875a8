"""Canonical JSON is what the standard library of Python makes of the same
documents; `make check-canonical` compares more of them, and with more."""
import pathlib
import random
import sys

from conftest import PROGRAM, ROOT

sys.path.insert(0, str(ROOT / "tests" / "canonical"))

import documents  # noqa: E402

CANONICAL = pathlib.Path(PROGRAM).resolve().parent / "canonical"
# The same ones in each run.
SEED = 8785
DOCUMENTS = 2000
DOUBLES = 10000


def test_documents():
    errors = documents.compare_documents(CANONICAL, random.Random(SEED),
                                         DOCUMENTS)
    assert 0 < errors < DOCUMENTS / 4


def test_doubles():
    documents.compare_doubles(CANONICAL, random.Random(SEED), DOUBLES)
