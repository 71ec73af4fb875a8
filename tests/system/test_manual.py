"""The manual pages name what --help names, and nothing else."""
import pathlib
import re
import subprocess

import pytest

from conftest import PROGRAM, ROOT

PAGES = {
    "nompd-sync": ROOT / "man" / "nompd-sync.1",
    "nompd-serve": ROOT / "man" / "nompd-serve.8",
}

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
VARIABLE = re.compile(r"\bNOMPD_[A-Z_]*[A-Z]\b")
# A command of the other program, as an example has it on several lines.
OTHER_COMMAND = re.compile(r"(?<==)/usr/bin/env \\e\n(?: .*\n)+")


@pytest.fixture(scope="module", params=PAGES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def help_text(name):
    program = pathlib.Path(PROGRAM).with_name(name)
    return subprocess.run([program, "--help"], check=True, text=True,
                          capture_output=True, timeout=60).stdout


@pytest.fixture(scope="module")
def page(name):
    return PAGES[name].read_text(encoding="utf-8")


def section(page, name):
    return re.search(rf"^\.Sh {name}\n(.*?)(?=^\.Sh )", page,
                     re.M | re.S).group(1)


def items(page, name, pattern):
    """What the items of a section's lists begin with."""
    return re.findall(rf"^\.It {pattern}", section(page, name), re.M)


def test_flags(help_text, page):
    flags = set(FLAG.findall(help_text))
    assert {"--store", "--help"} <= flags
    documented = items(page, "OPTIONS", r"Fl -([a-z-]+)")
    assert len(documented) == len(set(documented))
    assert {"--" + name for name in documented} == flags


def test_variables(help_text, page):
    variables = set(VARIABLE.findall(help_text))
    assert {"NOMPD_STORE", "NOMPD_LOG_LEVEL"} <= variables
    documented = items(page, "ENVIRONMENT", r"Ev (NOMPD_\w+)")
    assert len(documented) == len(set(documented))
    assert set(documented) == variables


def test_a_variable_stands_with_its_flag(help_text, page):
    pairs = re.findall(r"^  (--[a-z-]+).* (NOMPD_[A-Z_]+)", help_text, re.M)
    assert len(pairs) > 5
    documented = items(page, "ENVIRONMENT",
                       r"Ev (NOMPD_\w+)\n\.Fl -([a-z-]+)")
    assert {("--" + flag, name) for name, flag in documented} == set(pairs)


def test_nothing_else_is_mentioned(help_text, page):
    """Also in the text and in the examples there is no unknown name."""
    page = OTHER_COMMAND.sub("", page)
    mentioned = set(FLAG.findall(page)) | {
        "--" + name for name in re.findall(r"\bFl -([a-z-]+)", page)}
    assert mentioned <= set(FLAG.findall(help_text))
    assert set(VARIABLE.findall(page)) <= set(VARIABLE.findall(help_text))


def test_exit_statuses(help_text, page):
    listed = help_text.split("Exit status:\n")[1]
    statuses = set(re.findall(r"^ +(\d+) ", listed, re.M))
    assert {"0", "64", "143"} <= statuses
    documented = items(page, "EXIT STATUS", r"(\d+)(?: , (\d+))?$")
    assert {n for pair in documented for n in pair if n} == statuses


def test_defaults(help_text, page):
    """A default that --help gives stands in the item of its flag."""
    defaults = re.findall(r"^  (--[a-z-]+).*, default (\S+)$", help_text, re.M)
    assert len(defaults) > 2
    for flag, default in defaults:
        item = re.search(rf"^\.It Fl {flag[1:]}\b.*?(?=^\.It |^\.El)",
                         section(page, "OPTIONS"), re.M | re.S).group(0)
        assert re.search(rf"Default:\n\.Cm {re.escape(default)}( [.,])?$",
                         item, re.M), flag
