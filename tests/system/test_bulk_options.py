"""The options of bulk mode: what is refused, before anybody is asked."""
import pytest

from conftest import EMPTY, KEY

FAULTS = [
    (["--mode", "bulky"], "--mode"), (["--mode", ""], "--mode"),
    (["--type", ""], "--type"), (["--type", "Patient,"], "--type"),
    (["--type", "patient"], "--type"), (["--type", "../x"], "--type"),
    (["--type", "Patient Basic"], "--type"),
    (["--type", "SyncMetadata"], "--type"), (["--type", "A" * 65], "--type"),
    (["--patients", "--group", "g"], "--group"),
    (["--group", ""], "--group"), (["--group", "a/b"], "--group"),
    (["--group", "a?b"], "--group"), (["--group", "x" * 65], "--group"),
    (["--type-filter", "name=x"], "--type-filter"),
    (["--type-filter", ""], "--type-filter"),
    (["--elements", ""], "--elements"), (["--elements", "a b"], "--elements"),
    (["--kick-off", "put"], "--kick-off"),
    (["--max-downloads", "0"], "--max-downloads"),
    (["--max-downloads", "33"], "--max-downloads"),
    (["--max-poll-wait", "x"], "--max-poll-wait"),
    (["--max-poll-wait", "-1s"], "--max-poll-wait"),
    (["--save", "all"], "--save"),
    (["--since", "yesterday"], "--since"), (["--since", ""], "--since"),
    (["--since", "2025-01-01"], "--since"),
    (["--since", "2025-01-01T00:00:00"], "--since"),
    (["--since", "2025-13-01T00:00:00Z"], "--since"),
    (["--since", "2025-01-01T00:00:00Z", "--save", "overwrite"], "--save"),
    (["--overlap", "x"], "--overlap"), (["--overlap", "-1s"], "--overlap"),
    (["--reconcile-every", "x"], "--reconcile-every"),
    (["--reconcile-every", "-1"], "--reconcile-every"),
    (["--on-bad-record", "skip"], "--on-bad-record"),
    (["--max-bad", "x"], "--max-bad"), (["--max-bad", "-1"], "--max-bad"),
    (["--spool", ""], "--spool"), (["--client-id", ""], "--client-id"),
    (["--client-id", "x"], "--private-key-file"),
    (["--private-key-file", "/nonexistent"], "--client-id"),
    (["--reconcile-every", "2"], "--since"),
    (["--reconcile-every", "2", "--since", "2025-01-01T00:00:00Z"],
     "--since"),
    (["--client-id", "x", "--private-key-file", "/nonexistent"],
     "nonexistent"),
    (["--token-url", "nonsense"], "--token-url"),
    (["--token-url", "https://127.0.0.1/token"], "--client-id"),
    (["--token-scope", "system/*.rs"], "--client-id"),
    (["--no-resume=1"], "--no-resume"),
    (["--upstream", "file:///tmp"], "--upstream|--mode|file"),
]


@pytest.mark.parametrize("args,name", FAULTS, ids=str)
def test_fault(bulk, server, args, name):
    bulk.run(*args).failed(64, name)
    assert server.connections == 0
    assert bulk.dump() == EMPTY


def test_all_faults_at_once(bulk):
    bulk.run("--type", "x", "--group", "", "--save", "y", "--since", "z",
             "--max-downloads", "0", "--overlap", "q").failed(
        64, "--type", "--group", "--save", "--since", "--max-downloads",
        "--overlap")


ALONE = [
    ["--type", "Patient"], ["--patients"], ["--group", "g"],
    ["--type-filter", "Patient?a=b"], ["--elements", "id"],
    ["--kick-off", "get"], ["--max-downloads", "2"], ["--max-poll-wait", "1s"],
    ["--save", "merge"], ["--since", "auto"], ["--full-refresh"],
    ["--overlap", "1s"], ["--reconcile-every", "2"],
    ["--on-bad-record", "fail"], ["--max-bad", "1"], ["--no-resume"],
    ["--spool", "x"], ["--client-id", "x"], ["--private-key-file", "x"],
    ["--token-url", "https://127.0.0.1/"], ["--token-scope", "x"],
]


@pytest.mark.parametrize("args", ALONE, ids=str)
def test_not_in_the_other_mode(sync, upstream, args):
    sync.run(*args).failed(64, args[0], "--mode")
    sync.run("--mode", "api", *args).failed(64, args[0], "--mode")
    assert upstream.connections == 0


def test_variables_of_the_other_mode_do_no_harm(sync):
    """Both modes may run in one environment."""
    env = {"NOMPD_TYPE": "Patient", "NOMPD_SINCE": "auto",
           "NOMPD_CLIENT_ID": "x", "NOMPD_GROUP": "g"}
    assert sync.run(env=env).counts == (15, 0, 0, 0)


@pytest.mark.parametrize("command", ["init", "history", "reconvert"])
def test_not_with_a_question(bulk, command):
    bulk.run("init")
    bulk.run(command, "--since", "auto").failed(64, "--since")


def test_key_is_wanted(bulk, server):
    bulk.run(key=None).failed(64, "NOMPD_UPSTREAM_API_KEY")
    assert bulk.run("--no-upstream-key", key=None).status == 0
    for request in server.requests():
        assert "x-api-key" not in request.headers
    server.world.pass_time()
    assert bulk.run("--upstream-key-header", "X-Other").status == 0
    assert server.requests()[-1].headers["x-other"] == KEY


def test_help(bare):
    ended = bare.run("--help")
    for args in [["--mode"], *ALONE]:
        assert args[0] in ended.out


@pytest.mark.parametrize("args,name", [
    (["--alg", "RS256"], "--alg"), (["--alg", ""], "--alg"),
    (["--private-key-file", ""], "--private-key-file"),
    (["--store", "sqlite:x"], "--store"), (["x"], "x")], ids=str)
def test_keygen(bulk, args, name):
    bulk.run("keygen", *args).failed(64, name)
    assert not (bulk.folder / "nompd-key.json").exists()
