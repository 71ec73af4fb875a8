"""A folder as upstream."""
import pytest

import model
from conftest import EMPTY, FILLED, folder_upstream, rows
from upstream import (
    ACTIVITIES, LISTS, PLANS, Answer, activity, array, bundle, dumps, ndjson)


@pytest.fixture
def folder(bare):
    bare.url = folder_upstream(bare.folder / "up stream", *FILLED)
    return bare.folder / "up stream"


def page(folder, name, body):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body if isinstance(body, str) else dumps(body))
    return path


@pytest.mark.parametrize("suffix,shape", [
    ("", bundle), (".json", bundle), (".json", array), (".ndjson", ndjson),
    ("", ndjson)])
def test_names(bare, suffix, shape):
    for path, resources in zip(LISTS, FILLED):
        body = shape(list(resources))
        page(bare.folder / "up", path + suffix, body)
    bare.url = (bare.folder / "up").as_uri()
    assert bare.run(key=None).counts == (15, 0, 0, 0)
    expectation = model.Model()
    expectation.run(*FILLED)
    assert rows(bare.dump()) == expectation.rows


def test_order_of_names(bare):
    """As it is, before .json, before .ndjson."""
    folder = bare.folder / "up"
    bare.url = folder.as_uri()
    for path in LISTS:
        page(folder, path + ".json", "[]")
        page(folder, path + ".ndjson", "not this one")
    assert bare.run(key=None).result["added"] == 0
    page(folder, ACTIVITIES, array([activity("x1")]))
    page(folder, ACTIVITIES + ".json", "not this one")
    assert bare.run(key=None).result["added"] == 1


@pytest.mark.parametrize("end", ["", "/"])
def test_slash_and_space(bare, folder, end):
    assert bare.run(key=None, url=bare.url + end).result["added"] == 15


@pytest.mark.parametrize("link", [
    "ActivityDefinition2.json", "./ActivityDefinition2.json", "more/2.json",
    "../HreseptGuidelines/ActivityDefinition2.json", "more/%32.json"])
def test_next_inside(bare, folder, link):
    page(folder, ACTIVITIES + ".json", bundle([activity("x1")], next=link))
    target = ("more/2.json" if "more" in link else "ActivityDefinition2.json")
    page(folder, f"HreseptGuidelines/{target}", bundle([activity("x2")]))
    assert bare.run(key=None).result["added"] == 6 + 2 + 6


@pytest.mark.parametrize("link", [
    "../../secret.json", "../../../x/../secret.json", "/etc/hostname",
    "..%2f..%2fsecret.json", "%2e%2e/%2e%2e/secret.json",
    "http://127.0.0.1/x", "../../up%20stream-2/secret.json",
    "linked.json", "linked/secret.json"])
def test_next_outside(bare, folder, link):
    secret = dumps(bundle([activity("secret")]))
    page(bare.folder, "secret.json", secret)
    page(bare.folder / "up stream-2", "secret.json", secret)
    lists = folder / "HreseptGuidelines"
    (lists / "linked.json").symlink_to(bare.folder / "secret.json")
    (lists / "linked").symlink_to(bare.folder)
    page(folder, ACTIVITIES + ".json", bundle([activity("x1")], next=link))
    bare.run(key=None).failed(76, "ActivityDefinition")
    assert bare.dump() == EMPTY


def test_next_as_file_url_outside(bare, folder):
    secret = page(bare.folder, "secret.json", bundle([activity("secret")]))
    page(folder, ACTIVITIES + ".json", bundle([], next=secret.as_uri()))
    bare.run(key=None).failed(76)
    assert bare.dump() == EMPTY


def test_http_never_leads_to_a_file(sync, upstream, folder):
    target = (folder / (ACTIVITIES + ".json")).as_uri()
    upstream.script(ACTIVITIES, bundle([], next=target))
    sync.run(url=upstream.url).failed(76)
    upstream.script(ACTIVITIES, Answer(
        status=302, headers=[("Location", target)]))
    sync.run(url=upstream.url).failed(76)
    assert sync.dump() == EMPTY


@pytest.mark.parametrize("path", LISTS)
def test_missing(bare, folder, path):
    (folder / (path + ".json")).unlink()
    bare.run(key=None).failed(69, path.split("/")[1])
    assert bare.dump() == EMPTY


def test_missing_folder(bare):
    bare.run(key=None, url=(bare.folder / "none").as_uri()).failed(69)
    assert bare.dump() == EMPTY


def test_missing_next(bare, folder):
    page(folder, ACTIVITIES + ".json", bundle([], next="none.json"))
    bare.run(key=None).failed(69, "none.json")


def test_looping_next(bare, folder):
    page(folder, ACTIVITIES + ".json",
         bundle([], next="ActivityDefinition.json"))
    page(folder, "HreseptGuidelines/2.json", bundle([], next="2.json"))
    page(folder, PLANS + ".json", bundle([], next="2.json"))
    bare.run(key=None).failed(76)


@pytest.mark.parametrize("body", ["", " \n", "x", '{"resourceType":"x"}'])
def test_wrong_content(bare, folder, body):
    page(folder, ACTIVITIES + ".json", body)
    bare.run(key=None).failed(76, "ActivityDefinition")
    assert bare.dump() == EMPTY


def test_folder_in_place_of_a_list(bare, folder):
    (folder / (PLANS + ".json")).unlink()
    (folder / PLANS).mkdir()
    bare.run(key=None).failed(69, "PlanDefinition")


def test_second_run_changes_nothing(bare, folder):
    assert bare.run(key=None).result["added"] == 15
    before = bare.dump()
    assert bare.run(key=None).counts == (0, 0, 15, 0)
    assert bare.dump().records == before.records
