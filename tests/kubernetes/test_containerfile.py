"""The Containerfile as a text: hadolint, and what a cluster relies on."""
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE = ROOT / "Containerfile"
TARGETS = ("nompd-sync", "nompd-serve", "nompd-web")


def stage(name):
    """The instructions of a stage."""
    found = re.search(rf"(?ms)^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)",
                      FILE.read_text("utf-8"))
    return found.group(1)


def test_hadolint():
    program = pathlib.Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, "--no-color", FILE], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", TARGETS)
def test_ordinary_user(name):
    """A number, so that runAsNonRoot can see it; and nothing after it."""
    text = stage(name)
    user = re.findall(r"(?m)^USER (\d+):(\d+)$", text)
    assert len(user) == 1 and user[0][1] == "10001" and int(user[0][0]) > 10000
    assert "RUN" not in text.split("\nUSER ")[1]


@pytest.mark.parametrize("name", TARGETS)
def test_one_program(name):
    assert len(re.findall(r"(?m)^ENTRYPOINT \[", stage(name))) == 1
    assert set(re.findall(r"COPY --from=\w+ (/\S+/)", stage(name))
               ) <= {"/src/build-deb/"}
