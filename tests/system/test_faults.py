"""Everything that may go wrong upstream: status, message, store untouched."""
import gzip
import json
import re
import zlib

import pytest

from upstream import (
    ACTIVITIES, AUTHORIZATIONS, LISTS, PLANS, Answer, activity, array, bundle,
    dumps, ndjson, number, outcome, plan, refused_port, to_bytes)

ONE = [activity("x1")]
TWO = [activity("x1"), activity("x2")]
GOOD = dumps(ONE[0])
# A resource with a hole, for bytes that json.dumps would not write.
HOLED = to_bytes(dumps(activity("x1", hole="HOLE")))


def filled_hole(data):
    return Answer(HOLED.replace(b"HOLE", data))


def named_hole(data):
    return Answer(HOLED.replace(b'"hole"', b'"' + data + b'"'))


def value_hole(text):
    return Answer(HOLED.replace(b'"HOLE"', to_bytes(text)))


def nested(depth):
    value = 0
    for _ in range(depth - 1):
        value = [value]
    return activity("x1", deep=value)


def corrupt_gzip(at, mask=0xFF):
    data = bytearray(gzip.compress(to_bytes(bundle(TWO))))
    data[at] ^= mask
    return Answer(bytes(data), headers=[("Content-Encoding", "gzip")])


def cut_gzip():
    """A stream that ends early, its decoded part whole lines."""
    lines = to_bytes(ndjson([activity(f"x{i}") for i in range(200)]))
    packer = zlib.compressobj(wbits=31)
    data = packer.compress(lines)
    data += packer.flush(zlib.Z_FULL_FLUSH)
    return Answer(data, headers=[("Content-Encoding", "gzip")])


def bomb():
    body = to_bytes(array(ONE)) + b" " * (40 << 20)
    return Answer(body, gzipped=True)


# What is wrong: (answer, status, pieces of the message)
STATUSES = {
    str(status): (Answer(outcome("why it failed"), status=status), end,
                  [str(status)] + (["why it failed"] if status < 500 else []))
    for status, end in [
        (400, 69), (401, 77), (403, 77), (404, 69), (405, 69), (406, 69),
        (408, 69), (409, 69), (410, 69), (422, 69), (425, 69), (429, 69),
        (500, 69), (501, 69), (502, 69), (503, 69), (504, 69), (511, 69)]}

TRANSPORT = {
    "cut, length": (Answer(bundle(TWO), cut=300), 69, []),
    "cut after whole lines": (Answer(
        ndjson(TWO), cut=len(to_bytes(ndjson(ONE)))), 69, []),
    "cut before the body": (Answer(bundle(TWO), cut=0), 69, []),
    "cut chunk": (Answer(bundle(TWO), chunked=True, cut=700), 69, []),
    "no last chunk": (Answer(ndjson(ONE), chunked=True, cut=-5), 69, []),
    "reset in the middle": (Answer(bundle(TWO), cut=300, reset=True), 69, []),
    "closed at once": (Answer(raw=b""), 69, []),
    "half a header": (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Le"), 69, []),
    "not HTTP": (Answer(raw=b"220 ftp ready\r\n"), 69, []),
    "cut gzip": (Answer(bundle(TWO), gzipped=True, cut=100), 69, []),
    "unfinished gzip of whole lines": (cut_gzip(), (69, 76), ["gzip"]),
}

CONTENT = {
    "empty body": (Answer(b""), 76, ["empty"]),
    "no content": (Answer(status=204), 76, []),
    "whitespace": (Answer(" \r\n\n\t "), 76, ["empty|not JSON"]),
    "BOM only": (Answer("\ufeff"), 76, []),
    "two BOMs": (Answer("\ufeff\ufeff" + GOOD), 76, []),
    "BOM on a line": (Answer(GOOD + "\n\ufeff" + GOOD), 76, []),
    "UTF-16": (Answer(GOOD.encode("utf-16")), 76, []),
    "HTML": (Answer("<html><body>Sign in</body></html>"), 76, []),
    "not JSON": (Answer("x"), 76, []),
    "number": (Answer("1"), 76, []),
    "text": (Answer('"x"'), 76, []),
    "null": (Answer("null"), 76, []),
    "true": (Answer("true"), 76, []),
    "empty object": (Answer("{}"), 76, []),
    "array of numbers": (Answer("[1]"), 76, []),
    "array in array": (Answer("[[]]"), 76, []),
    "array of null": (Answer(f"[{GOOD},null]"), 76, []),
    "array of empty object": (Answer("[{}]"), 76, []),
    "unfinished": (Answer('{"resourceType":"Bundle","entry":['), 76, []),
    "unfinished array": (Answer(f"[{GOOD}"), 76, []),
    "unfinished line": (Answer(GOOD + "\n" + GOOD[:-1]), 76, []),
    "trailing garbage": (Answer(dumps(bundle(ONE)) + "x"), 76, []),
    "trailing brace": (Answer(dumps(bundle(ONE)) + "}"), 76, []),
    "trailing bundle": (Answer(dumps(bundle(ONE)) * 2), 76, []),
    "trailing after array": (Answer("[]\n[]"), 76, []),
    "two on a line": (Answer(GOOD + GOOD), 76, []),
    "two on a line with space": (Answer(GOOD + " " + GOOD), 76, []),
    "comma between lines": (Answer(GOOD + ",\n" + GOOD), 76, []),
    "array after a line": (Answer(GOOD + "\n[]"), 76, []),
    "trailing comma": (Answer(f"[{GOOD},]"), 76, []),
    "comment": (Answer("/* x */" + array(ONE)), 76, []),
    "single quotes": (Answer("[{'resourceType':'x'}]"), 76, []),
    "wrong type": (Answer(bundle([plan("x1")])), 76, ["PlanDefinition"]),
    "wrong type, second": (
        Answer(bundle([*ONE, plan("x1")])), 76, ["PlanDefinition"]),
    "wrong type, single": (Answer(plan("x1")), 76, ["PlanDefinition"]),
    "wrong type, lines": (
        Answer(ndjson([*ONE, plan("x")])), 76, ["PlanDefinition"]),
    "wrong type, array": (
        Answer(array([*ONE, plan("x")])), 76, ["PlanDefinition"]),
    "no resourceType": (Answer(bundle([{"id": "x"}])), 76, ["resourceType"]),
    "resourceType a number": (
        Answer(bundle([{"resourceType": 1}])), 76, ["resourceType"]),
    "OperationOutcome": (
        Answer(outcome("come back later")), 76, ["OperationOutcome"]),
    "OperationOutcome, entry": (
        Answer(bundle([outcome("x")])), 76, ["OperationOutcome"]),
    "OperationOutcome, array": (
        Answer(array([outcome("x")])), 76, ["OperationOutcome"]),
    "transaction": (Answer(bundle(ONE, type="transaction")), 76, ["type"]),
    "history bundle": (Answer(bundle(ONE, type="history")), 76, ["type"]),
    "type last": (Answer({"resourceType": "Bundle", "entry": [
        {"resource": ONE[0]}], "type": "batch-response"}), 76, ["type"]),
    "bundle in bundle": (Answer(bundle([bundle(ONE)])), 76, ["Bundle"]),
    "entry an object": (Answer(bundle(ONE, entry={})), 76, ["entry"]),
    "entry of numbers": (Answer(bundle(ONE, entry=[1])), 76,
                         ["entry|element"]),
    "resource a text": (
        Answer(bundle([], entry=[{"resource": "x"}])), 76, ["resource"]),
    "total unmet": (Answer(bundle(TWO, total=3)), 76, ["3"]),
    "total unmet, last": (Answer({
        "resourceType": "Bundle", "entry": [{"resource": ONE[0]}],
        "total": 1000}), 76, ["1000"]),
    "total unmet, includes": (Answer(bundle([], total=2, entry=[
        {"resource": r, "search": {"mode": m}}
        for r, m in zip(TWO, ("match", "include"))])), 76, []),
    "gzip bomb": (bomb(), 76, []),
    "corrupt gzip header": (corrupt_gzip(0), (69, 76), []),
    "corrupt gzip sum": (corrupt_gzip(-6), (69, 76), []),
    "corrupt gzip data": (corrupt_gzip(40), (69, 76), []),
    "gzip in name only": (Answer(
        bundle(ONE), headers=[("Content-Encoding", "gzip")]), (69, 76), []),
    "17 MiB": (Answer(bundle([activity("x1", blob="x" * (17 << 20))])), 76,
               ["x1"]),
    "17 MiB before the key": (Answer(bundle([dict(
        resourceType="ActivityDefinition", blob=["x" * 2**20] * 17,
        **{"identifier": [{"value": "x1"}]})])), 76, []),
    "depth 101": (Answer(bundle([nested(101)])), 76, ["100"]),
    "depth 101, array": (Answer(array([nested(101)])), 76, ["100"]),
    "depth 101, line": (Answer(ndjson([nested(101)])), 76, ["100"]),
    "depth 100,000": (value_hole("[" * 100000 + "]" * 100000), 76, []),
    "only brackets": (Answer("[" * 200000), 76, []),
    "key of 1025": (Answer(bundle([activity("k" * 1025)])), 76, ["1024"]),
    "key of 1025 bytes": (
        Answer(bundle([activity("k" + "ø" * 512)])), 76, ["1024"]),
}

BYTES = {
    "ff": b"\xff", "lone continuation": b"\x80", "overlong /": b"\xc0\xaf",
    "overlong /, 3": b"\xe0\x80\xaf", "overlong, 4": b"\xf0\x80\x80\xaf",
    "overlong NUL": b"\xc0\x80", "surrogate": b"\xed\xa0\x80",
    "surrogate pair": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80", "f5": b"\xf5\x80\x80\x80",
    "cut short": b"\xe2\x82", "cut by text": b"\xe2\x82x",
    "Latin-1": "blå".encode("latin-1"), "raw NUL": b"\0",
    "raw control": b"\x01", "raw newline": b"\n", "raw tab": b"\t",
    "high surrogate": rb"\ud800", "low surrogate": rb"\udc00",
    "high, text": rb"\ud800x", "two high": rb"\ud800\ud800",
    "high, other escape": rb"\ud800\n", "high, escaped": rb"\ud800\\udc00",
    "low, high": rb"\udc00\ud800", "high at the end": rb"x\uDBFF",
    "bad escape": rb"\x41", "half an escape": rb"\u12",
}

NUMBERS = {
    "35 digits": "1." + "1" * 34, "35 digits, integer": "1" * 35,
    "35 digits, small": "0.0001" + "1" * 34, "exponent too big": "1E6200",
    "exponent too small": "1E-6200", "huge exponent": "1E99999999999999999",
    "leading zero": "01", "plus": "+1", "no fraction": "1.",
    "no integer": ".5", "no exponent": "1e", "hexadecimal": "0x1",
    "NaN": "NaN", "Infinity": "-Infinity", "minus": "-",
}

NAMES = {
    "duplicate": '"hole":1,"hole":2', "duplicate, apart":
    '"hole":1,"x":2,"hole":1', "duplicate, escaped":
    '"hole":1,"h\\u006fle":2', "NUL in a name": '"ho\\u0000le":1',
    "NUL ends a name": '"hole\\u0000":1', "high surrogate in a name":
    '"\\ud800":1', "duplicate, nested": '"hole":{"a":[{"b":1,"b":1}]}',
    "NUL, nested": '"hole":[{"a":{"b\\u0000":1}}]',
    "duplicate identifier": '"identifier":[{"value":"x2"}]',
    "duplicate resourceType": '"resourceType":"ActivityDefinition"',
}

ENVELOPE = {
    "entry": '{"resourceType":"Bundle","entry":[],"entry":[%s]}',
    "resourceType": '{"resourceType":"Bundle","resourceType":"Bundle",'
                    '"entry":[%s]}',
    "total": '{"resourceType":"Bundle","total":9,"total":1,"entry":[%s]}',
    "link": '{"resourceType":"Bundle","link":[{"relation":"next","url":"?2"}]'
            ',"link":[],"entry":[%s]}',
    "resource": '{"resourceType":"Bundle","entry":[{"resource":{},%s}]}',
    "search": '{"resourceType":"Bundle","entry":[{"search":{"mode":"include"}'
              ',"search":{"mode":"match"},%s}]}',
}


def envelope(text):
    resource = '"resource":' + GOOD
    if '"resource":{}' not in text and '"search"' not in text:
        resource = "{" + resource + "}"
    return Answer(text % resource)


for name, data in BYTES.items():
    CONTENT[f"text: {name}"] = (filled_hole(data), 76, ["position|byte|line"])
for name in ("ff", "overlong /", "surrogate", "cut short"):
    CONTENT[f"name: {name}"] = (named_hole(BYTES[name]), 76, [])
for name, digits in NUMBERS.items():
    CONTENT[f"number: {name}"] = (value_hole(digits), 76, [])
for name, text in NAMES.items():
    CONTENT[f"name: {name}"] = (
        Answer(HOLED.replace(b'"hole": "HOLE"', text.encode())), 76, ["x1"])
for name, text in ENVELOPE.items():
    CONTENT[f"envelope: {name}"] = (envelope(text), 76, [name])

FAULTS = {**STATUSES, **TRANSPORT, **CONTENT}
ONCE = [name for name, row in FAULTS.items()
        if row[1] in (76, 77) or name in ("400", "404", "410", "422", "501")]


def fails(sync, end, pieces, *args):
    """The run fails as it should and the store stays as it was."""
    before = sync.dump()
    ended = sync.run(*args)
    ends = end if isinstance(end, tuple) else (end,)
    assert ended.status in ends, (ended.status, ended.out, ended.err)
    ended.failed(ended.status, *pieces)
    assert sync.dump() == before
    return ended


@pytest.mark.parametrize("store", ["sync", "filled"])
@pytest.mark.parametrize("name", FAULTS)
def test_fault(request, upstream, name, store):
    answer, end, pieces = FAULTS[name]
    upstream.script(ACTIVITIES, answer)
    fails(request.getfixturevalue(store), end, ["ActivityDefinition", *pieces])


@pytest.mark.parametrize("name", ONCE)
def test_final_answers_are_asked_for_once(filled, upstream, name):
    answer, end, _ = FAULTS[name]
    upstream.script(ACTIVITIES, answer)
    fails(filled, end, [], "--retries", 2)
    assert len(upstream.requests(ACTIVITIES)) == 1


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("name", ["500", "401", "not JSON", "cut, length"])
def test_fault_of_any_list(filled, upstream, name, path):
    answer, end, _ = FAULTS[name]
    upstream.script(path, answer)
    fails(filled, end, [path.split("/")[1]])


@pytest.mark.parametrize("name", ["500", "401", "404", "not JSON", "reset in "
                                  "the middle", "total unmet", "35 digits"])
def test_fault_of_a_later_page(filled, upstream, name):
    answer, end, _ = FAULTS.get(name) or FAULTS[f"number: {name}"]
    upstream.script(ACTIVITIES, bundle(ONE, next="?page=2"))
    upstream.script(ACTIVITIES + "?page=2", answer)
    if name == "total unmet":       # only the first page's counts
        assert filled.run().status == 0
    else:
        fails(filled, end, [])


def test_position_and_page_in_the_message(filled, upstream):
    upstream.script(ACTIVITIES, bundle(ONE, next="?page=2"))
    body = array([activity("x2"), activity("bad-one", hole="HOLE")])
    at = to_bytes(body).index(b"HOLE")
    upstream.script(ACTIVITIES + "?page=2",
                    Answer(to_bytes(body).replace(b"HOLE", b"\xff")))
    ended = fails(filled, 76, ["page=2|page 2", "bad-one"])
    numbers = [int(n) for n in re.findall(r"\d+", ended.err)]
    assert any(at <= n <= at + 8 for n in numbers), (at, ended.err)


@pytest.mark.parametrize("answer", [
    Answer(hang="start"), Answer(bundle(TWO), hang="body", cut=300),
    Answer(bundle(TWO), drip=0.2),
    Answer(bundle(TWO), drip=0.2, chunked=True)],
    ids=["silence", "stalled", "drip", "drip, chunked"])
@pytest.mark.parametrize("option", ["--timeout", "--deadline"])
def test_too_slow(filled, upstream, answer, option):
    upstream.script(PLANS, answer)
    fails(filled, 69, [f"time|{option}|slow"], option, "1s")


def test_deadline_ends_the_retries(filled, upstream):
    answer = Answer(status=503, headers=[("Retry-After", "3600")])
    upstream.script(PLANS, answer)
    fails(filled, 69, [], "--deadline", "1s", "--retries", 4)
    assert len(upstream.requests(PLANS)) == 1


def test_nobody_listens(filled):
    sock, port = refused_port()
    with sock:
        filled.url = f"http://127.0.0.1:{port}/api"
        fails(filled, 69, ["connect|refused"])


def test_host_without_address(filled):
    filled.url = "http://nompd.invalid/api"
    fails(filled, 69, ["nompd.invalid"])


# Links

def test_missing_next(filled, upstream):
    """A first page of five that says it is one of many."""
    upstream.script(ACTIVITIES, bundle(TWO, total=5, next="?page=2"))
    upstream.script(ACTIVITIES + "?page=2", bundle([activity("x3")]))
    fails(filled, 76, ["total|5"])


@pytest.mark.parametrize("back", ["?page=2", "?page=3", "ActivityDefinition"])
def test_looping_next(filled, upstream, back):
    upstream.script(ACTIVITIES, bundle(ONE, next="?page=2"))
    upstream.script(ACTIVITIES + "?page=2", bundle(ONE, next="?page=3"))
    upstream.script(ACTIVITIES + "?page=3", bundle(ONE, next=back))
    fails(filled, 76, ["link|next|seen|loop"])
    assert len(upstream.requests(ACTIVITIES)) == 1
    assert len(upstream.requests(ACTIVITIES + "?page=2")) == 1


FOREIGN = [
    "http://127.0.0.1:{other}/x", "http://localhost:{port}/x",
    "https://127.0.0.1:{port}/x", "http://127.0.0.1/x",
    "http://user@127.0.0.1:{port}/x", "http://u:p@127.0.0.1:{port}/x",
    "http://127.0.0.1:{port}@127.0.0.1:{other}/x", "//127.0.0.1:{other}/x",
    "http://127.0.0.1:{other}\\@127.0.0.1:{port}/x", "ftp://127.0.0.1/x",
    "http://127.1:{other}/x", "http://2130706433:{other}/x",
    "http://127.0.0.1.:{port}/x", "http://127.0.0.1:{port}x/",
    "file:///etc/hostname", "\\\\127.0.0.1:{other}/x", "javascript:1",
    "/\\127.0.0.1:{other}/x", "http:///x", "http://[::1]:{port}/x",
]


@pytest.mark.parametrize("link", FOREIGN)
def test_foreign_next(filled, upstream, elsewhere, link):
    link = link.format(port=upstream.port, other=elsewhere.port)
    upstream.script(ACTIVITIES, bundle(ONE, next=link))
    if "\\" in link and not link.startswith("http:"):
        # Taken as a path of this origin, it may as well be not found.
        fails(filled, (69, 76), [])
    else:
        fails(filled, 76, ["next|link"])


@pytest.mark.parametrize("link", [1, None, {}, "", "?a\r\nX-Evil: 1", "? b"])
def test_next_that_is_no_link(filled, upstream, link):
    upstream.script(ACTIVITIES, bundle(ONE, link=[
        {"relation": "next", "url": link}]))
    fails(filled, (69, 76), [])
    for request in upstream.requests():
        assert "x-evil" not in request.headers


def test_two_next_links(filled, upstream):
    upstream.script(ACTIVITIES, bundle(ONE, link=[
        {"relation": "next", "url": "?page=2"},
        {"relation": "next", "url": "?page=3"}]))
    fails(filled, (69, 76), [])


# Redirects

def redirect(target, status=302):
    return Answer(status=status, headers=[("Location", target)])


def redirect_chain(upstream, count):
    for i in range(count):
        upstream.script(ACTIVITIES if i == 0 else f"/hop{i}",
                        redirect(f"/hop{i + 1}"))
    upstream.script(f"/hop{count}", bundle(TWO))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_status(sync, upstream, status):
    upstream.script(ACTIVITIES, redirect("/moved", status))
    upstream.script("/moved", bundle(TWO))
    assert sync.run().result["added"] == 6 + 3 + 2 + 3


def test_five_redirects(sync, upstream):
    redirect_chain(upstream, 5)
    assert sync.run().result["added"] == 14


def test_six_redirects(filled, upstream):
    redirect_chain(upstream, 6)
    fails(filled, 76, ["redirect"])
    assert upstream.requests("/hop6") == []


def test_redirect_loop(filled, upstream):
    upstream.script(ACTIVITIES, redirect("/loop"))
    upstream.script("/loop", redirect("/loop"))
    fails(filled, 76, ["redirect"])


@pytest.mark.parametrize("target", FOREIGN)
@pytest.mark.parametrize("hops", [0, 1])
def test_redirect_elsewhere(filled, upstream, elsewhere, target, hops):
    target = target.format(port=upstream.port, other=elsewhere.port)
    upstream.script(ACTIVITIES, redirect("/hop" if hops else target))
    upstream.script("/hop", redirect(target))
    if "\\" in target and not target.startswith("http:"):
        fails(filled, (69, 76), [])
    else:
        fails(filled, 76, [])
    hops_seen = [r.target for r in upstream.requests()]
    assert "/x" not in hops_seen


def test_next_after_a_redirect(sync, upstream):
    """A relative link counts from where the page was found."""
    upstream.script(ACTIVITIES, redirect("/moved/list"))
    upstream.script("/moved/list", bundle(ONE, next="list2"))
    upstream.script("/moved/list2", bundle(TWO[1:]))
    assert sync.run().result["added"] == 14


def test_several_lists_fail(filled, upstream):
    for path in (PLANS, AUTHORIZATIONS):
        upstream.script(path, Answer(status=404))
    fails(filled, 69, ["404"])


def test_operation_outcome_is_cleaned(filled, upstream):
    """Foreign text cannot write control characters to a terminal."""
    text = "line\x1b[2J\r\nERROR forged\u0007\u009b\u202e"
    upstream.script(ACTIVITIES, Answer(outcome(text), status=400))
    ended = fails(filled, 69, ["forged"])
    for char in "\x1b\r\x07\x9b":
        assert char not in ended.err
    assert not any(line.startswith("ERROR forged")
                   for line in ended.err.splitlines())


@pytest.mark.parametrize("body", [
    b"\xff\xfe", b"x" * 100000, b"<html>", b"",
    json.dumps({"resourceType": "OperationOutcome", "issue": 1}).encode(),
    json.dumps(outcome("x" * 100000)).encode()],
    ids=["bytes", "long", "html", "empty", "odd outcome", "long outcome"])
def test_body_of_a_refusal(filled, upstream, body):
    upstream.script(ACTIVITIES, Answer(body, status=400))
    ended = fails(filled, 69, ["400"])
    assert len(ended.err) < 10000


def test_unused_number_marker():
    """The builder writes a number's digits and nothing else."""
    assert dumps({"a": number("1.50")}) == '{"a": 1.50}'
