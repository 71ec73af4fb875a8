"""HAPI, a FHIR server with Bulk Data, out of Maven's repository."""
import pathlib

import building

VERSION = "8.8.0"
SOURCES = [pathlib.Path(__file__).parent / "java" / name for name in (
    "pom.xml", "HapiServer.java", "Tokens.java", "logback.xml")]
TOOLS = ("mvn", "javac", "java")
NAME = f"HAPI FHIR {VERSION}"
# It is not the speed that is tested: no second compiler, one thread for what
# is thrown away.
OPTIONS = ("-Xmx2g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def why_not():
    """Why it cannot be had here; None when it can."""
    return building.missing(NAME, TOOLS, "`sh tools/deps peers` installs them")


def target(servers):
    return servers / f"hapi-{VERSION}-{building.fingerprint(SOURCES)}"


def build(servers):
    """Fetches it, and compiles the class that starts it."""
    building.assemble(
        target(servers), SOURCES,
        ["mvn", "-q", "-B", "-Dstyle.color=never",
         f"-Dserver.version={VERSION}", "compile",
         "dependency:copy-dependencies"])


def command(servers, token_url, introspection_url, credentials):
    """What starts it; credentials: "client:secret" to look at tokens with."""
    place = target(servers)
    return ["java", *OPTIONS, "-cp",
            f"{place}:{place}/target/classes:{place}/target/dependency/*",
            "HapiServer", token_url, introspection_url, credentials]
