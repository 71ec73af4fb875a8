"""SMART Backend Services, with an authorization server that is not our own."""
import base64
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import pytest

from conftest import Client, place
from fhir import Fhir
from recorder import Recorder

ALGORITHMS = ("ES384", "RS384")
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCOPE = "system/Patient.rs"
ALL_SCOPES = " ".join(f"system/{type}.rs" for type in (
    "*", "Patient", "Condition"))
LIFE = 240          # seconds of an assertion
MAX_LIFE = 300      # seconds, that the specification allows
BRIEF = 3           # seconds of a token that ends within a run


@pytest.fixture
def way():
    """The way to the server's other door, which wants a token."""
    with Recorder(place("NOMPD_TEST_FHIR_SMART_URL")) as recorder:
        yield recorder


@pytest.fixture(scope="session")
def token_url():
    return place("NOMPD_TEST_TOKEN_URL")


class Backend(Client):
    """The program as a client that the authorization server knows."""

    id = None
    key_file = None

    def make_key(self, algorithm):
        """A key of its own; gives the key set to register."""
        self.key_file = self.folder / f"{algorithm}.json"
        public = self.folder / f"{algorithm}-public.json"
        ended = self.run("keygen", "--alg", algorithm, "--private-key-file",
                         self.key_file, "--public-jwks-file", public)
        assert ended.status == 0, ended.err
        return json.loads(public.read_text("utf-8"))

    def use_key(self, key, name="other.json"):
        self.key_file = self.folder / name
        self.key_file.touch(0o600)
        self.key_file.write_text(json.dumps(key), "utf-8")

    def arguments(self, args, url=None):
        if args[0] == "keygen":
            return [str(arg) for arg in args]
        args = super().arguments(args, url)
        if args[0] not in ("show", "history"):
            args += ["--client-id", self.id, "--private-key-file",
                     str(self.key_file)]
        return args

    def start(self, *args, **options):
        return super().start(*args, **{"key": None, **options})

    def finish(self, process):
        ended = super().finish(process)
        if self.key_file and self.key_file.exists():
            key = json.loads(self.key_file.read_text("utf-8"))
            assert key["d"] not in ended.out + ended.err
        return ended


@pytest.fixture
def client(tmp_path, way):
    program = Backend(tmp_path, way)
    yield program
    program.close()


@pytest.fixture
def outsider(tmp_path, way):
    """The program that is no client of the authorization server."""
    program = Client(tmp_path, way)
    yield program
    program.close()


def register(keys, algorithm, **members):
    """The id of a new client with these keys (a JWK Set)."""
    status, _, answer = Fhir("").ask(
        "POST", place("NOMPD_TEST_REGISTRATION_URL"), {
            "grant_types": ["client_credentials"], "response_types": [],
            "redirect_uris": [], "jwks": keys, "scope": ALL_SCOPES,
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": algorithm, **members},
        **{"Content-Type": "application/json"})
    assert status == 201, answer
    return answer["client_id"]


@pytest.fixture
def known(client):
    """The program with a key and an id."""
    client.id = register(client.make_key("ES384"), "ES384")
    return client


# What works

@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_own_key(client, server, way, algorithm):
    client.id = register(client.make_key(algorithm), algorithm)
    assert client.key_file.stat().st_mode & 0o077 == 0
    client.run("--type", "Patient,Condition").result
    client.check_equals(server, "Patient", "Condition")
    assert len(way.requests("GET", ".well-known/smart-configuration")) == 1
    for request in way.requests():
        assert "x-api-key" not in request.headers
        assert "authorization" in request.headers or any(
            part in request.target for part in ("well-known", "metadata"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_key_that_others_made(client, server, jose, token_url, algorithm):
    key = json.loads(jose("key", algorithm))
    client.use_key(key)
    client.id = register({"keys": [public_part(key)]}, algorithm)
    client.run("--type", "Patient", "--token-url", token_url).result
    client.check_equals(server, "Patient")


def public_part(key):
    return {**{name: value for name, value in key.items()
               if name in ("kty", "crv", "x", "y", "n", "e", "kid", "alg")},
            "use": "sig"}


def test_two_runs(known, server):
    known.run("--type", "Patient", "--since", "auto").result
    counts = known.run("--type", "Patient", "--since", "auto").counts
    assert counts == (0, 0, len(server.read("Patient")), 0)
    assert len(known.server.secrets) == 2


def test_assertion(known, server, token_url):
    """What the specification says of it, seen on the way."""
    with Recorder(token_url) as tokens:
        for _ in range(2):
            known.run("--type", "Patient", "--token-url", tokens.url).result
    requests = tokens.requests("POST")
    assert len(requests) == 2
    seen = set()
    for request in requests:
        form = urllib.parse.parse_qs(request.body.decode())
        assert form["grant_type"] == ["client_credentials"]
        assert form["scope"] == [SCOPE]
        assert form["client_assertion_type"] == [ASSERTION]
        header, claims = map(part_of, form["client_assertion"][0].split(
            ".")[:2])
        key = json.loads(known.key_file.read_text("utf-8"))
        assert (header["alg"], header["kid"], header["typ"]) == (
            "ES384", key["kid"], "JWT")
        assert claims["iss"] == claims["sub"] == known.id
        assert claims["aud"] == tokens.url
        assert 0 < claims["exp"] - time.time() <= MAX_LIFE
        assert "nbf" not in claims
        seen.add(claims["jti"])
    assert len(seen) == 2


def part_of(text):
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


# Tokens that end

def test_brief_tokens(client, server):
    """Each ends long before the run does, while the server thinks."""
    client.id = register(client.make_key("ES384"), "ES384",
                         token_seconds=BRIEF)
    client.server.after = lambda request: time.sleep(
        BRIEF + 1 if "$export" in request.target else 0)
    client.run("--type", "Patient,Condition", "--max-downloads", "1").result
    client.check_equals(server, "Patient", "Condition")
    assert len(client.server.secrets) > 1


def test_revoked_token(known, server, way, jose, token_url):
    """One that is taken back in the middle: the next request gets 401, and
    goes out again with another."""
    def revoke(request):
        if "/Binary/" in request.target and len(known.server.secrets) == 1:
            way.before = None
            status, _ = ask_token_server(
                token_url + "/revocation", token=known.server.secrets[0],
                client_assertion_type=ASSERTION,
                client_assertion=assertion(known, jose, token_url))
            assert status == 200

    way.before = revoke
    known.run("--type", "Patient", "--max-downloads", "1").result
    known.check_equals(server, "Patient")
    statuses = [request.status for request in way.requests("GET", "/Binary/")]
    assert statuses == [401] + [200] * (len(statuses) - 1)
    assert len(known.server.secrets) == 2


# What is refused

def refused(client, *pieces):
    """The program says so, and nothing was asked for without a token."""
    client.run("--type", "Patient").failed(77, *pieces)
    assert not client.server.requests(part="$export")


def test_wrong_key(known, jose):
    """Another one under the name of the right one."""
    kid = json.loads(known.key_file.read_text("utf-8"))["kid"]
    known.use_key({**json.loads(jose("key", "ES384")), "kid": kid})
    refused(known, "invalid_client")


def test_unknown_key(known, jose):
    known.use_key(json.loads(jose("key", "ES384")))
    refused(known, "invalid_client")


def test_other_algorithm(known, jose):
    known.use_key(json.loads(jose("key", "RS384")))
    refused(known, "invalid_client")


def test_wrong_client_id(known):
    known.id = "nobody"
    refused(known, "invalid_client")


def test_scope_that_is_not_given(known):
    """The server knows it not and is silent about it: no scope in its answer,
    which is to mean that all were given (RFC 6749, 5.1)."""
    ended = known.run("--type", "Patient", "--token-scope",
                      "system/Nonsense.rs")
    assert ended.status == 0
    assert re.search("warn .*scope.*system/Nonsense.rs", ended.err)


def test_scope_of_others(known):
    """The server knows it, but not for this client."""
    known.run("--type", "Patient", "--token-scope",
              "system/Observation.rs").failed(77, "invalid_scope")


def test_no_token(outsider):
    """The server wants one, and the program was told of none."""
    outsider.run("--type", "Patient").failed(77, "401")


# The token server's own strictness, which the tests above stand on

def assertion(client, jose, audience, **changes):
    """A JWT as the program makes it, but for the changes; None: without."""
    now = int(time.time())
    claims = {"iss": client.id, "sub": client.id, "aud": audience,
              "exp": now + LIFE, "jti": uuid.uuid4().hex, **changes}
    key = json.loads(client.key_file.read_text("utf-8"))
    return jose("sign", json.dumps({
        name: value for name, value in claims.items() if value is not None}),
        key=key)


def ask_token_server(url, **form):
    request = urllib.request.Request(
        url, urllib.parse.urlencode(form).encode())
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, json.load(answer)


def ask_token(url, signed, scope=SCOPE):
    return ask_token_server(
        url, grant_type="client_credentials", scope=scope,
        client_assertion_type=ASSERTION, client_assertion=signed)


@pytest.fixture
def stranger(client, jose):
    """A client whose key the program has not made."""
    key = json.loads(jose("key", "ES384"))
    client.use_key(key)
    client.id = register({"keys": [public_part(key)]}, "ES384")
    return client


def test_good_assertion_is_accepted(stranger, jose, token_url):
    status, answer = ask_token(token_url, assertion(stranger, jose,
                                                    token_url))
    assert (status, answer["scope"]) == (200, SCOPE)
    assert answer["token_type"].lower() == "bearer"


@pytest.mark.parametrize("changes", [
    {"exp": 1}, {"exp": None}, {"jti": None}, {"iss": "nobody"},
    {"aud": "http://127.0.0.1/token"}], ids=str)
def test_bad_assertion_is_refused(stranger, jose, token_url, changes):
    status, answer = ask_token(token_url, assertion(stranger, jose, token_url,
                                                    **changes))
    assert (status, answer["error"]) == (401, "invalid_client")


def test_assertion_is_good_once(stranger, jose, token_url):
    signed = assertion(stranger, jose, token_url)
    assert ask_token(token_url, signed)[0] == 200
    status, answer = ask_token(token_url, signed)
    assert (status, answer["error"]) == (401, "invalid_client")


def test_unknown_scope_is_no_error(stranger, jose, token_url):
    status, answer = ask_token(
        token_url, assertion(stranger, jose, token_url), "system/Nonsense.rs")
    assert status == 200
    assert "scope" not in answer
