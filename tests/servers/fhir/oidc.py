"""oidc-provider, an authorization server, out of the repository of npm."""
import pathlib

import building

# Its version is in package.json, that of all it needs in package-lock.json; it
# is one for the Node.js of Debian 12.
SOURCES = [pathlib.Path(__file__).parent / "node" / name for name in (
    "package.json", "package-lock.json", "server.mjs", "jwt.mjs")]
TOOLS = ("node", "npm")
NAME = "oidc-provider"


def why_not():
    """Why it cannot be had here; None when it can."""
    return building.missing(NAME, TOOLS, "`sh tools/deps peers` installs them")


def target(servers):
    return servers / f"oidc-{building.fingerprint(SOURCES)}"


def build(servers):
    """Fetches what the lock file names."""
    building.assemble(
        target(servers), SOURCES, ["npm", "ci", "--no-audit", "--no-fund",
                                   "--no-progress"])


def command(servers, client, secret):
    """What starts it; client, secret: of who may look at tokens."""
    return ["node", target(servers) / "server.mjs", client, secret]


def signer(servers):
    """The script that makes keys and signs; see there."""
    return target(servers) / "jwt.mjs"
