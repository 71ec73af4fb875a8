"""https: only to a server whose certificate holds."""
import ssl
import subprocess

import pytest

from conftest import EMPTY, FILLED
from upstream import PLANS, Answer, Upstream


def openssl(folder, *args):
    subprocess.run(["openssl", *args], cwd=folder, check=True,
                   stdin=subprocess.DEVNULL, capture_output=True)


def certificate(folder, name, alt_name):
    """NAME.pem and NAME.key, self-signed."""
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-addext", f"subjectAltName={alt_name}",
            "-keyout", f"{name}.key", "-out", f"{name}.pem")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificate(folder, "right", "IP:127.0.0.1")
    certificate(folder, "wrong", "DNS:nompd.example")
    return folder


@pytest.fixture
def serve(certificates):
    servers = []

    def start(name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{name}.pem",
                                certificates / f"{name}.key")
        servers.append(Upstream(tls=context))
        servers[-1].serve(*FILLED)
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def test_known_authority(bare, serve, certificates):
    bare.url = serve("right").url
    ended = bare.run("--ca-file", certificates / "right.pem")
    assert ended.counts == (15, 0, 0, 0)


def test_unknown_authority(bare, serve):
    server = serve("right")
    bare.run(url=server.url).failed(69, "certificate|TLS|SSL")
    assert server.requests() == []
    assert bare.dump() == EMPTY


def test_other_authority(bare, serve, certificates):
    server = serve("right")
    ended = bare.run("--ca-file", certificates / "wrong.pem", url=server.url)
    ended.failed(69, "certificate|TLS|SSL")
    assert server.requests() == []


def test_wrong_host(bare, serve, certificates):
    server = serve("wrong")
    ended = bare.run("--ca-file", certificates / "wrong.pem", url=server.url)
    ended.failed(69, "certificate|127.0.0.1|host")
    assert server.requests() == []
    assert bare.dump() == EMPTY


def test_plain_server(bare, upstream):
    url = upstream.url.replace("http:", "https:")
    bare.run(url=url).failed(69)
    assert upstream.requests() == []


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_bad_ca_file(bare, serve, content):
    file = bare.folder / "ca.pem"
    if content is not None:
        file.write_text(content)
    ended = bare.run("--ca-file", file, url=serve("right").url)
    assert ended.status in (64, 69), (ended.status, ended.err)
    ended.failed(ended.status, "ca.pem|ca-file")


def test_redirect_to_plain(bare, serve, certificates, elsewhere):
    server = serve("right")
    server.script(PLANS, Answer(status=302, headers=[
        ("Location", f"http://127.0.0.1:{elsewhere.port}/x")]))
    bare.run("--ca-file", certificates / "right.pem",
             url=server.url).failed(76)
