"""SMART Backend Services: tokens for a bulk run, and the keys for them."""
import json
import stat
import time

import pytest

from bulk_server import (
    SMART, TOKEN, Auth, Export, File, in_progress, patient, resource)
from conftest import EMPTY, KEY, KIND, Sync
from upstream import Answer

ALGORITHMS = ("ES384", "RS384")
FILES = [[patient("1")], [patient("2")], [patient("3")]]


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    """A private key of each algorithm."""
    folder = tmp_path_factory.mktemp("keys")
    program = Sync(folder)
    found = {}
    for algorithm in ALGORITHMS:
        found[algorithm] = folder / f"{algorithm}.json"
        keygen(program, algorithm, found[algorithm],
               folder / f"{algorithm}-jwks.json")
    return found


def keygen(program, algorithm, private, public):
    ended = program.run("keygen", "--alg", algorithm, "--private-key-file",
                        private, "--public-jwks-file", public)
    assert ended.status == 0, ended.err


class Client:
    """A run with a client's id and key."""

    def __init__(self, bulk, key, id="client-1"):
        self.bulk = bulk
        self.args = ("--client-id", id, "--private-key-file", key)

    def run(self, *args, **options):
        options.setdefault("key", None)
        return self.bulk.run(*self.args, *args, **options)


@pytest.fixture
def client(bulk, server, keys):
    server.auth = Auth()
    server.exports = [Export([File("Patient", lines) for lines in FILES])]
    return Client(bulk, keys["ES384"])


# Good answers

@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_run(bulk, server, client, keys, algorithm):
    client = Client(bulk, keys[algorithm])
    assert client.run().counts == (3, 0, 0, 0)
    assert len(server.auth.assertions) == 1
    header, claims = server.auth.assertions[0]
    known = json.loads(keys[algorithm].read_text())
    assert header["alg"] == algorithm and header["kid"] == known["kid"]
    assert claims["iss"] == "client-1"
    assert server.auth.forms[0].keys() == {
        "scope", "grant_type", "client_assertion_type", "client_assertion"}
    assert server.job.is_deleted
    for request in server.requests():
        assert "x-api-key" not in request.headers


def test_variables(bulk, server, client, keys):
    env = {"NOMPD_CLIENT_ID": "from-outside",
           "NOMPD_PRIVATE_KEY_FILE": str(keys["ES384"]),
           "NOMPD_TOKEN_SCOPE": "system/Patient.read",
           "NOMPD_TOKEN_URL": server.origin + TOKEN}
    assert bulk.run(key=None, env=env).counts == (3, 0, 0, 0)
    assert server.auth.assertions[0][1]["sub"] == "from-outside"
    assert server.auth.forms[0]["scope"] == "system/Patient.read"
    assert server.requests(SMART) == []


def test_token_url_overrides(server, client):
    server.smart["token_endpoint"] = "http://127.0.0.1:1/"
    assert client.run("--token-url", server.origin + TOKEN).status == 0


@pytest.mark.parametrize("capabilities,args,scope", [
    (["permission-v2"], (), "system/*.rs"), (["permission-v1"], (),
                                             "system/*.read"),
    ([], (), "system/*.rs"),
    (["permission-v1", "permission-v2"], ("--type", "Patient,Basic"),
     "system/Patient.rs system/Basic.rs"),
    (["permission-v1"], ("--type", "Patient"), "system/Patient.read"),
    ([], ("--token-scope", "a b"), "a b")])
def test_scopes(server, client, capabilities, args, scope):
    server.smart["capabilities"] = [
        "client-confidential-asymmetric", *capabilities]
    assert client.run(*args).status == 0
    assert sorted(server.auth.forms[0]["scope"].split()) == sorted(
        scope.split())


def test_hints_that_are_missing(server, client):
    """Only the endpoint is needed."""
    for name in ("token_endpoint_auth_methods_supported", "capabilities",
                 "token_endpoint_auth_signing_alg_values_supported"):
        server.smart[name] = None
    assert client.run().status == 0


@pytest.mark.parametrize("members", [
    {"token_type": "Bearer"}, {"token_type": "BEARER"}, {"expires_in": "300"},
    {"expires_in": 300.0}, {"expires_in": None}, {"more": [1]}], ids=str)
def test_forms_of_the_answer(server, client, members):
    server.auth.answer = members
    assert client.run().counts == (3, 0, 0, 0)


# Tokens that end

@pytest.mark.parametrize("uses", [1, 2, 3])
def test_a_token_that_ends_in_the_middle(server, client, uses):
    """401: another token, and the request again."""
    server.auth.uses = uses
    server.polls = [in_progress()] * 3
    assert client.run("--max-downloads", "1").counts == (3, 0, 0, 0)
    assert len(server.auth.tokens) > 1
    assert len(server.jobs) == 1
    assert len({claims["jti"] for _, claims in server.auth.assertions}) == len(
        server.auth.assertions)


def test_a_token_is_renewed_before_its_end(server, client):
    """No request is refused for it."""
    server.auth.life = 2
    server.polls = [in_progress(retry_after=1)] * 4
    assert client.run("--max-poll-wait", "1s").status == 0
    assert len(server.auth.tokens) >= 2
    assert all(r.answer.status != 401 for r in server.requests())


def test_a_short_life_is_no_reason_to_ask_each_time(server, client):
    server.polls = [in_progress()] * 20
    assert client.run().status == 0
    assert len(server.auth.tokens) == 1


def test_a_token_that_is_always_refused(server, client):
    """Once more, and no further."""
    server.auth.uses = 0
    before = client.bulk.dump()
    client.run("--retries", "5").failed(77, "401")
    assert len(server.auth.tokens) == 2
    assert client.bulk.dump() == before == EMPTY


def test_a_renewal_that_fails_once(server, client):
    """As some servers do to a client that was let in before."""
    server.auth.uses = 2
    server.polls = [in_progress()] * 3
    grant = server.auth.grant

    def flaky(*args):
        if len(server.auth.forms) == 1:
            server.auth.script = [Answer(
                {"error": "invalid_client"}, status=400)]
        return grant(*args)
    server.auth.grant = flaky
    assert client.run().counts == (3, 0, 0, 0)


# Where a token goes

def test_no_token_where_none_is_wanted(server, client, storage):
    server.signs = True
    server.exports = [Export([File("Patient", FILES[0], at=storage),
                              File("Patient", FILES[1])], token=False)]
    assert client.run().counts == (2, 0, 0, 0)
    for request in [*storage.requests(), *server.requests()]:
        if "/files/" in request.target:
            assert "authorization" not in request.headers
    assert len(storage.requests()) == 1


@pytest.mark.parametrize("status", [302, 307])
def test_no_token_behind_a_redirect(server, client, storage, status):
    storage.script("/blob", Answer(json.dumps(patient("1")) + "\n"))
    server.exports[0].files["output"][0].script = [Answer(
        status=status, headers=[("Location", storage.origin + "/blob")])]
    assert client.run().counts == (3, 0, 0, 0)
    assert "authorization" not in storage.requests()[0].headers


def test_no_token_to_another_server(server, client, storage):
    """Whatever the manifest says."""
    server.exports = [Export([File("Patient", FILES[0], at=storage)])]
    assert client.run().counts == (1, 0, 0, 0)
    assert "authorization" not in storage.requests()[0].headers


# Refusals

REFUSALS = {
    "invalid_client": (Answer({
        "error": "invalid_client", "error_description": "unknown kid"},
        status=401), ["invalid_client", "unknown kid", "key", "client"]),
    "invalid_client, 400": (Answer({"error": "invalid_client"}, status=400),
                            ["invalid_client", "key"]),
    "invalid_scope": (Answer({
        "error": "invalid_scope", "error_description": "not for you"},
        status=400), ["invalid_scope", "not for you"]),
    "escapes": (Answer({"error": "invalid_request",
                        "error_description": "\x1b[31mred"}, status=400),
                ["invalid_request", "red"]),
    "HTML": (Answer("<html>x</html>", status=400), ["400"]),
    "403": (Answer(status=403), ["403"]),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal(server, client, name):
    answer, pieces = REFUSALS[name]
    server.auth.script = [answer] * 9
    ended = client.run("--retries", "2")
    ended.failed(77, *pieces)
    assert "\x1b" not in ended.err
    assert server.jobs == []


def test_the_clock_is_a_hint(server, client):
    server.auth.script = [Answer({"error": "invalid_client"}, status=400,
                                 headers=[("Date", "Wed, 01 Jan 2020 "
                                           "00:00:00 GMT")])] * 9
    client.run().failed(77, "clock")


BAD_TOKENS = {
    "no token": {"access_token": None}, "a number": {"access_token": 7},
    "empty": {"access_token": ""}, "two lines": {"access_token": "a\r\nX: y"},
    "another type": {"token_type": "mac"}, "no type": {"token_type": None},
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_a_broken_answer(server, client, name):
    server.auth.answer = BAD_TOKENS[name]
    client.run().failed(76, "token")
    assert server.jobs == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"<html>"])
def test_no_answer_of_the_kind(server, client, body):
    server.auth.script = [Answer(body)] * 9
    client.run().failed(76, "token")


def test_a_scope_that_is_too_narrow(server, client):
    server.auth.answer = {"scope": "system/Patient.rs"}
    ended = client.run("--type", "Patient,Basic,Condition")
    ended.failed(77, "Basic", "Condition")
    assert server.jobs == []


@pytest.mark.parametrize("scope", [
    "system/*.rs", "system/*.cruds", "system/Patient.rs system/Basic.rs other",
    "system/*.read"])
def test_a_scope_that_is_enough(server, client, scope):
    server.exports = [Export([File("Basic", [resource("Basic", "b")])])]
    server.auth.answer = {"scope": scope}
    assert client.run("--type", "Patient,Basic").status == 0


def test_a_token_endpoint_that_is_down(server, client):
    args = ("--retries", "1", "--kick-off", "get")
    server.auth.script = [Answer(status=503)] * 2
    client.run(*args).failed(69, "503")
    server.auth.script = [Answer(status=503)]
    assert client.run(*args).counts == (3, 0, 0, 0)


DISCOVERIES = {
    "404": (Answer(status=404), (69, 76, 77)), "no JSON": (Answer("x"), 76),
    "an array": (Answer("[]"), 76),
    "no endpoint": (Answer({"capabilities": []}), 76),
    "a number": (Answer({"token_endpoint": 7}), 76),
    "a relative URL": (Answer({"token_endpoint": "/token"}), 76),
    "another scheme": (Answer({"token_endpoint": "ftp://127.0.0.1/"}), 76),
    "plain HTTP elsewhere": (Answer(
        {"token_endpoint": "http://192.0.2.1/token"}), 76),
}


@pytest.mark.parametrize("name", DISCOVERIES)
def test_discovery_fails(server, client, name):
    answer, statuses = DISCOVERIES[name]
    server.script(SMART, answer)
    ended = client.run()
    assert ended.status in (
        statuses if isinstance(statuses, tuple) else (statuses,)), ended.err
    ended.failed(ended.status, "smart-configuration|token")
    assert server.jobs == []
    assert server.auth.forms == []


def test_a_token_url_without_tls(server, client):
    """Its answers are secrets; only this machine may give them openly."""
    client.run("--token-url", "http://192.0.2.1/token").failed(64, "token")
    assert server.jobs == []


@pytest.mark.parametrize("args,key,words", [
    ((), None, "No such file"),
    ((), {"kty": "EC", "crv": "P-384", "kid": "1"}, "key"),
    (("--upstream", "http://192.0.2.1/fhir"), {}, "--upstream: want https"),
    (("--token-url", "http://192.0.2.1/token"), {}, "--token-url: want https"),
], ids=["no file", "no key", "http", "http for a token"])
def test_what_is_no_good_makes_no_job(
        bulk, server, client, keys, args, key, words):
    """Nor a store: it is seen before there is anything to run."""
    file = keys["ES384"] if key == {} else bulk.folder / "key.json"
    if key:
        file.write_text(json.dumps(key))
        file.chmod(0o600)
    before = sorted(bulk.folder.iterdir())
    Client(bulk, file).run(*args).failed(64, words)
    assert not KIND.exists(bulk.store)
    assert sorted(bulk.folder.iterdir()) == before
    assert server.connections == 0


# Keys

def test_keygen(bulk, keys):
    for algorithm, kty in zip(ALGORITHMS, ("EC", "RSA")):
        private = keys[algorithm]
        public = private.with_name(f"{algorithm}-jwks.json")
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
        secret = json.loads(private.read_text())
        shown = json.loads(public.read_text())["keys"]
        assert len(shown) == 1
        assert shown[0]["kty"] == secret["kty"] == kty
        assert shown[0]["kid"] == secret["kid"]
        assert shown[0]["alg"] == algorithm
        assert secret["d"]
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & shown[0].keys()


def test_keygen_overwrites_nothing(bulk):
    private, public = bulk.folder / "a", bulk.folder / "b"
    command = ("keygen", "--private-key-file", private, "--public-jwks-file",
               public)
    for there in (private, public):
        there.write_text("x")
        ended = bulk.run(*command)
        assert ended.status not in (0, -11) and str(there) in ended.err
        assert there.read_text() == "x"
        assert [p.name for p in bulk.folder.iterdir()
                if p.name in "ab"] == [there.name]
        there.unlink()
    assert bulk.run(*command).status == 0
    secret = json.loads(private.read_text())["d"]
    ended = bulk.run(*command)
    assert ended.status != 0 and secret not in ended.err


def test_keygen_by_default(bulk):
    assert bulk.run("keygen").status == 0
    assert json.loads((bulk.folder / "nompd-key.json").read_text())[
        "alg"] == "ES384"
    assert (bulk.folder / "nompd-jwks.json").exists()


def broken(keys, name):
    key = json.loads(keys["ES384"].read_text())
    if name == "public":
        key.pop("d")
    elif name == "algorithm":
        key["alg"] = "ES256"
    elif name == "curve":
        key["crv"] = "P-256"
    elif name == "kind":
        key = {"kty": "oct", "k": "c2VjcmV0", "kid": "1", "alg": "HS384"}
    elif name == "no JSON":
        return "nonsense"
    elif name == "empty":
        return ""
    elif name == "empty set":
        key = {"keys": []}
    elif name == "public set":
        key.pop("d")
        key = {"keys": [key]}
    return json.dumps(key)


@pytest.mark.parametrize("name", [
    "public", "algorithm", "curve", "kind", "no JSON", "empty", "empty set",
    "public set"])
def test_a_key_that_is_none(bulk, server, client, keys, name):
    file = bulk.folder / "key.json"
    file.write_text(broken(keys, name))
    file.chmod(0o600)
    ended = Client(bulk, file).run()
    ended.failed(ended.status, "key")
    assert ended.status in (64, 76)
    assert server.connections == 0


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o666, 0o660, 0o602])
def test_a_key_that_others_may_read(bulk, server, client, keys, mode):
    file = bulk.folder / "key.json"
    file.write_bytes(keys["ES384"].read_bytes())
    file.chmod(mode)
    ended = Client(bulk, file).run()
    ended.failed(ended.status, str(file))
    assert ended.status in (64, 77)
    assert server.connections == 0


def test_a_set_of_keys(bulk, server, client, keys):
    """The one that can sign is taken."""
    public = json.loads(keys["RS384"].with_name(
        "RS384-jwks.json").read_text())["keys"]
    private = json.loads(keys["ES384"].read_text())
    file = bulk.folder / "set.json"
    file.write_text(json.dumps({"keys": [*public, private]}))
    file.chmod(0o600)
    assert Client(bulk, file).run().status == 0
    assert server.auth.assertions[0][0]["kid"] == private["kid"]


# Secrets

@pytest.mark.parametrize("level", ["info", "debug"])
@pytest.mark.parametrize("format", ["text", "json"])
def test_no_log_shows_a_secret(bulk, server, client, keys, level, format):
    """Neither when all goes well nor when it does not; finish() looks for the
    tokens and the assertions, here for the key."""
    logged = ("--log-level", level, "--log-format", format)
    secret = json.loads(keys["ES384"].read_text())["d"]
    server.auth.uses = 2
    said = [client.run(*logged)]
    server.auth.uses = 0
    server.exports = [Export(time="2025-06-01T00:00:00Z")]
    said.append(client.run(*logged, "--since", "auto"))
    assert [ended.status for ended in said] == [0, 77]
    for ended in said:
        assert secret not in ended.out + ended.err


def test_what_is_sent_back_is_not_shown(server, client):
    """A server that repeats the token in its words."""
    def told(request, *_):
        token = request.headers["authorization"].partition(" ")[2]
        return Answer({"resourceType": "OperationOutcome", "issue": [
            {"severity": "error", "code": "login",
             "diagnostics": f"bad token {token}"}]}, status=403)
    server.kick_off = told
    client.run("--log-level", "debug").failed(77, "bad token")


def test_no_file_has_a_token(bulk, server, client):
    server.exports[0].files["output"][1].script = [Answer(status=500)]
    client.run("--max-downloads", "1").failed(69)
    left = [path for path in bulk.folder.rglob("*") if path.is_file()]
    assert left
    for path in left:
        content = path.read_bytes()
        for secret in server.secrets:
            assert secret.encode() not in content, path


def test_a_key_beside_a_client(bulk, server, client, storage):
    """A gateway may want it as well; it goes where the token goes."""
    server.exports = [Export([File("Patient", FILES[0], at=storage)])]
    assert client.run(key=KEY).counts == (1, 0, 0, 0)
    assert server.jobs[0].headers["x-api-key"] == KEY
    assert "x-api-key" not in server.requests(TOKEN)[0].headers
    assert "x-api-key" not in storage.requests()[0].headers


def test_time_of_an_assertion(server, client):
    before = int(time.time())
    assert client.run().status == 0
    claims = server.auth.assertions[0][1]
    assert isinstance(claims["exp"], int)
    assert before < claims["exp"] <= time.time() + 300
    assert "nbf" not in claims
