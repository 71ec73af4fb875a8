"""Every form of response that is accepted, and what is stored from it."""
import pytest

import model
from conftest import FILLED, KEY, rows
from upstream import (
    ACTIVITIES, AUTHORIZATIONS, PLANS, Answer, activity, array,
    authorization, bundle, dumps, ndjson, number, outcome, plan)

TWO = [activity("x1"), activity("x2")]


def stored(sync, collection="ActivityDefinitions"):
    """key -> document of a collection's live records."""
    return {key: model.decode(r.data)
            for (name, key), r in sync.dump().records.items()
            if name == collection and not r.deleted}


def expected(*resources):
    return {model.business_key(r): model.on_the_wire(r) for r in resources}


def entry(resource, mode="match"):
    return {"resource": resource, "search": {"mode": mode}}


def searched(*entries, **members):
    return {"resourceType": "Bundle", "type": "searchset",
            "entry": list(entries), **members}


SHAPES = {
    "searchset": bundle(TWO),
    "collection": bundle(TWO, type="collection"),
    "no type": bundle(TWO, type=None),
    "total met": bundle(TWO, total=2),
    "total exceeded": bundle(TWO, total=1),
    "array": array(TWO),
    "array with space": " \r\n\t" + array(TWO) + "\n\n",
    "indented": dumps(bundle(TWO), indent=4),
    "bundle in ASCII": dumps(bundle(TWO), ensure_ascii=True),
    "ndjson": ndjson(TWO),
    "ndjson, CRLF": ndjson(TWO).replace("\n", "\r\n"),
    "ndjson, blank lines": "\n\r\n" + ndjson(TWO).replace("\n", "\n \n\n"),
    "ndjson, no final newline": ndjson(TWO).rstrip("\n"),
    "BOM": "\ufeff" + dumps(bundle(TWO)),
    "BOM, array": "\ufeff" + array(TWO),
    "BOM, ndjson": "\ufeff" + ndjson(TWO),
    "entry without resource": searched(
        {"fullUrl": "urn:x"}, *map(entry, TWO), {}),
    "outcome and include left out": searched(
        entry(outcome("slow"), "outcome"), entry(plan("p9"), "include"),
        entry(activity("x9"), "include"), *map(entry, TWO)),
    "entry before resourceType": {
        "entry": list(map(entry, TWO)), "link": [], "type": "searchset",
        "resourceType": "Bundle"},
    "search before resource": searched(
        {"search": {"mode": "include"}, "resource": activity("x9")},
        *map(entry, TWO)),
    "resourceType last": bundle(
        [{n: r[n] for n in reversed(r)} for r in TWO]),
    "other links": bundle(TWO, link=[
        {"relation": "prev", "url": "http://elsewhere/"},
        {"relation": "last", "url": "ftp://elsewhere/"}]),
    "unknown members": bundle(TWO, meta={"x": [1, {"entry": [1]}]},
                              signature={"link": [{"relation": "next",
                                                   "url": "x"}]}),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shape(sync, upstream, shape):
    upstream.script(ACTIVITIES, Answer(SHAPES[shape]))
    outcome_ = sync.run()
    assert outcome_.result["added"] == 3 + 3 + 2 + 3 + 3, outcome_.err
    found = stored(sync)
    assert found == expected(*TWO)
    for key, resource in expected(*TWO).items():
        if shape != "resourceType last":
            assert list(found[key]) == list(resource)


@pytest.mark.parametrize("transfer", [
    {"chunked": True}, {"gzipped": True}, {"chunked": True, "gzipped": True},
    {"headers": [("Content-Type", "text/plain")]}])
def test_transfer(sync, upstream, transfer):
    upstream.script(ACTIVITIES, Answer(bundle(TWO), **transfer))
    assert sync.run().status == 0
    assert stored(sync) == expected(*TWO)


def test_gzip_is_asked_for(sync, upstream):
    sync.run()
    for request in upstream.requests():
        assert request.method == "GET"
        assert "gzip" in request.headers["accept-encoding"]


@pytest.mark.parametrize("form", ["single", "indented"])
def test_single_resource(sync, upstream, form):
    body = dumps(TWO[0], indent=2 if form == "indented" else None)
    upstream.script(ACTIVITIES, Answer(body))
    assert sync.run().status == 0
    assert stored(sync) == expected(TWO[0])


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("total", [False, True])
def test_pages(sync, upstream, absolute, total):
    resources = [activity(f"x{i}") for i in range(7)]
    upstream.serve_pages(ACTIVITIES, resources, 2, total, absolute)
    assert sync.run().status == 0
    assert stored(sync) == expected(*resources)
    assert len(upstream.requests()) == 4 + 2


@pytest.mark.parametrize("link", [
    "?page=2", "ActivityDefinition?page=2", "./ActivityDefinition?page=2",
    "../HreseptGuidelines/ActivityDefinition?page=2",
    "/api/HreseptGuidelines/ActivityDefinition?page=2",
    "//{authority}/api/HreseptGuidelines/ActivityDefinition?page=2",
    "HTTP://{authority}/api/HreseptGuidelines/ActivityDefinition?page=2"])
def test_next_link_forms(sync, upstream, link):
    link = link.format(authority=f"127.0.0.1:{upstream.port}")
    upstream.script(ACTIVITIES, Answer(bundle(TWO[:1], next=link)))
    upstream.script(ACTIVITIES + "?page=2", Answer(bundle(TWO[1:])))
    assert sync.run().status == 0
    assert stored(sync) == expected(*TWO)


def test_key_goes_with_every_page(sync, upstream):
    upstream.serve_pages(PLANS, [plan(f"x{i}") for i in range(3)], 1)
    assert sync.run().status == 0
    assert len(upstream.requests()) == 5
    for request in upstream.requests():
        assert request.headers["x-api-key"] == KEY


@pytest.mark.parametrize("base", ["{origin}/api/", "{origin}/api"])
def test_slash_after_the_base(sync, upstream, base):
    sync.url = base.format(origin=upstream.origin)
    assert sync.run().status == 0
    assert {r.target for r in upstream.requests()} == {
        f"/api/{p}" for p in (PLANS, ACTIVITIES, AUTHORIZATIONS)}


@pytest.mark.parametrize("shape", ["bundle", "array", "bundle, no entry"])
def test_nothing_on_both_sides(sync, upstream, shape):
    body = {"bundle": bundle([]), "array": "[]", "bundle, no entry":
            {"resourceType": "Bundle", "type": "searchset"}}[shape]
    for path in (PLANS, ACTIVITIES, AUTHORIZATIONS):
        upstream.script(path, Answer(body))
    assert sync.run().result["added"] == 0
    assert sync.run().result["version"] == 2
    assert sync.dump().records == {}


FIDELITY = {
    "text": "æøå 💊 \u2028 \ufeff\uffff \\ \" / \t\n\r\b\f \u0000 \u0001",
    "empty": {"text": "", "list": [], "object": {}},
    "": "a member without a name",
    "constants": [True, False, None],
    "small": [0, -1, 2**31 - 1, -2**31],
    "large": [2**31, -2**31 - 1, 2**63 - 1, -2**63],
    "beyond": [number(str(2**63)), number(str(-2**63 - 1)),
               number("9" * 34)],
    "decimals": [number(n) for n in (
        "1.50", "1.5", "0.0", "-0.0", "1E5", "1e+5", "1.0E-7", "100.000",
        "0." + "1" * 34, "0.000000000000000000000000000000000000001",
        "1234567890.123456789012345678901234", "1E6111", "1E-6176")],
    "$oid": "plain", "$numberLong": {"$date": "plain"},
    "$ref": {"$ref": "a", "$id": "b"}, "a.b": {".": 1, "..": {"$": 2}},
    "_id": "plain", "nested": {"_id": {"_id": [{"_id": 1}]}},
    "deep": [[[[[[[[[[{"x": [[]]}]]]]]]]]]],
}


def test_fidelity(sync, upstream):
    resource = activity("x1", **FIDELITY)
    for body in (bundle([resource]), ndjson([resource]),
                 dumps(resource, ensure_ascii=True, indent=1)):
        upstream.script(ACTIVITIES, Answer(body))
        assert sync.run().status == 0
        record = sync.dump().records["ActivityDefinitions", "x1"]
        assert record.data == model.encode(model.on_the_wire(resource))
        assert record.version == 1


@pytest.mark.parametrize("text,value", [
    (r"\ud83d\ude00", "😀"), (r"\\ud800", "\\ud800"), (r"\u00e6", "æ"),
    (r"\uD83D\uDE00\ud83d\ude00", "😀😀"), (r"\/", "/"),
    (r"a\u0000b", "a\0b"), (r"\ufffe\uffff", "\ufffe\uffff")])
def test_escapes(sync, upstream, text, value):
    body = ('{"resourceType":"ActivityDefinition","identifier":[{"value":'
            f'"x1"}}],"name":"{text}"}}')
    upstream.script(ACTIVITIES, Answer(body))
    assert sync.run().status == 0
    assert stored(sync)["x1"]["name"] == value


@pytest.mark.parametrize("shape", [bundle, array, ndjson])
def test_depth_100(sync, upstream, shape):
    value = 0
    for _ in range(99):
        value = [value]
    resource = activity("x1", deep=value)
    upstream.script(ACTIVITIES, Answer(shape([resource])))
    assert sync.run().status == 0
    assert stored(sync) == expected(resource)


def test_key_of_1024_bytes(sync, upstream):
    key = "ø" * 512
    upstream.script(ACTIVITIES, Answer(bundle([activity(key)])))
    assert sync.run().status == 0
    assert list(stored(sync)) == [key]


def test_resource_of_15_mib(sync, upstream):
    resource = authorization("x1", blob="0123456789abcdef" * 15 * 2**16)
    upstream.script(AUTHORIZATIONS, Answer(bundle([resource])))
    assert sync.run().status == 0
    assert stored(sync, "RegulatedAuthorizations") == expected(resource)


def test_well_packed_gzip_is_fine(sync, upstream):
    resources = [activity(f"x{i}", blob=" " * 2**20) for i in range(8)]
    upstream.script(ACTIVITIES, Answer(ndjson(resources), gzipped=True))
    assert sync.run().status == 0
    assert stored(sync) == expected(*resources)


@pytest.mark.parametrize("identifier", [
    None, [], {}, "x", [{}], [{"value": ""}], [{"value": 7}],
    [{"value": None}], ["x"], [None, {"value": "x"}], {"value": "x"},
    [{"system": "a"}, {"value": "second"}]], ids=dumps)
def test_skipped(sync, upstream, identifier):
    resource = activity("x2", identifier=identifier)
    upstream.script(ACTIVITIES, Answer(bundle([resource, TWO[0]])))
    assert sync.run().status == 0
    assert stored(sync) == expected(TWO[0])
    counted = sync.history()[0]["ActivityDefinitions"]
    assert (counted["Skipped"], counted["Added"]) == (1, 1)


def test_no_identifier_member(sync, upstream):
    resource = activity("x2")
    del resource["identifier"]
    upstream.script(ACTIVITIES, Answer(bundle([resource, TWO[0]])))
    assert sync.run().status == 0
    assert sync.history()[0]["ActivityDefinitions"]["Skipped"] == 1


def test_whole_state(sync):
    """Records, outputs and hashes of the usual upstream by the model."""
    expectation = model.Model()
    counts = expectation.run(*FILLED)
    assert sync.run().counts == tuple(counts[c] for c in model.COUNTS)
    assert rows(sync.dump()) == expectation.rows
