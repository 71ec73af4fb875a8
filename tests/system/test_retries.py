"""A fault that passes: asked again, as often as allowed, with the data."""
import email.utils
import time

import pytest

from conftest import EMPTY
from upstream import (
    ACTIVITIES, AUTHORIZATIONS, LISTS, PLANS, Answer, activity, bundle)

TWO = [activity("x1"), activity("x2")]
PASSING = {
    **{str(s): Answer(status=s) for s in (408, 425, 429, 500, 502, 503, 504)},
    "429, Retry-After": Answer(status=429, headers=[("Retry-After", "0")]),
    "503, odd Retry-After": Answer(
        status=503, headers=[("Retry-After", "soon")]),
    "503, negative": Answer(status=503, headers=[("Retry-After", "-5")]),
    "503, past date": Answer(status=503, headers=[
        ("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")]),
    "cut": Answer(bundle(TWO), cut=300),
    "cut chunk": Answer(bundle(TWO), chunked=True, cut=700),
    "cut gzip": Answer(bundle(TWO), gzipped=True, cut=100),
    "reset": Answer(bundle(TWO), cut=300, reset=True),
    "closed": Answer(raw=b""),
    "whole body, no end": Answer(bundle(TWO), length=100000, cut=100000),
    "stalled": Answer(bundle(TWO), hang="body", cut=300),
}


def arguments(name):
    return ("--timeout", "1s") if name == "stalled" else ()


@pytest.mark.parametrize("name", PASSING)
def test_passes(sync, upstream, name):
    upstream.script(ACTIVITIES, PASSING[name], Answer(bundle(TWO)))
    assert sync.run("--retries", 1, *arguments(name)).counts == (14, 0, 0, 0)
    assert len(upstream.requests(ACTIVITIES)) == 2
    assert len(upstream.requests(PLANS)) == 1
    counted = sync.history()[0]["ActivityDefinitions"]
    assert (counted["Added"], counted["Duplicates"]) == (2, 0)


@pytest.mark.parametrize("name", ["503", "cut", "closed", "stalled"])
def test_stays(sync, upstream, name):
    upstream.script(ACTIVITIES, PASSING[name])
    ended = sync.run("--retries", 2, *arguments(name))
    ended.failed(69, "ActivityDefinition")
    asked = len(upstream.requests(ACTIVITIES))
    if name == "closed":
        # A connection that was used before may be closed by chance: the
        # HTTP library asks again by itself (RFC 9112, 9.3.1).
        assert 3 <= asked <= 6
    else:
        assert asked == 3
    assert sync.dump() == EMPTY


def test_no_retries(sync, upstream):
    upstream.script(ACTIVITIES, Answer(status=503), Answer(bundle(TWO)))
    sync.run("--retries", 0).failed(69, "503")
    assert len(upstream.requests(ACTIVITIES)) == 1


def test_fault_then_final(sync, upstream):
    upstream.script(ACTIVITIES, Answer(status=503), Answer(status=401))
    sync.run("--retries", 4).failed(77, "401")
    assert len(upstream.requests(ACTIVITIES)) == 2


def test_every_page_may_fail_once(sync, upstream):
    resources = [activity(f"x{i}") for i in range(4)]
    upstream.serve_pages(ACTIVITIES, resources, 2)
    pages = [ACTIVITIES, ACTIVITIES + "?page=2"]
    for page in pages:
        whole = upstream.answers[f"/api/{page}"][0]
        upstream.script(page, Answer(whole.body, cut=500), whole)
    assert sync.run("--retries", 1).result["added"] == 9 + 4 + 3
    assert [len(upstream.requests(p)) for p in pages] == [2, 2]
    assert sync.history()[0]["ActivityDefinitions"]["Duplicates"] == 0


def test_all_lists_may_fail_once(sync, upstream):
    for path in LISTS:
        upstream.script(path, Answer(status=500), *upstream.answers[
            f"/api/{path}"])
    assert sync.run("--retries", 1).result["added"] == 15
    assert len(upstream.requests()) == 6


def test_redirect_then_fault(sync, upstream):
    upstream.script(AUTHORIZATIONS, Answer(
        status=302, headers=[("Location", "/moved")]))
    upstream.script("/moved", Answer(status=503), Answer(bundle([])))
    assert sync.run("--retries", 1).result["added"] == 9


def waited(upstream):
    first, second = upstream.requests(ACTIVITIES)
    return second.started - first.ended


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_seconds(sync, upstream, status):
    """Without the header the first pause is half a second at most."""
    upstream.script(ACTIVITIES, Answer(
        status=status, headers=[("Retry-After", "1")]), Answer(bundle(TWO)))
    assert sync.run("--retries", 1).status == 0
    assert waited(upstream) >= 0.99


def test_retry_after_date(sync, upstream):
    date = email.utils.formatdate(time.time() + 3, usegmt=True)
    upstream.script(ACTIVITIES, Answer(
        status=503, headers=[("Retry-After", date)]), Answer(bundle(TWO)))
    assert sync.run("--retries", 1).status == 0
    assert len(upstream.requests(ACTIVITIES)) == 2
    assert time.time() >= email.utils.mktime_tz(
        email.utils.parsedate_tz(date)) - 0.01


@pytest.mark.parametrize("value", ["9999999999", "3600",
                                   "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_retry_after_far_away(sync, upstream, value):
    upstream.script(ACTIVITIES, Answer(
        status=503, headers=[("Retry-After", value)]))
    sync.run("--retries", 1, "--deadline", "1s").failed(69)
    assert len(upstream.requests(ACTIVITIES)) == 1
