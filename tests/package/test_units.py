"""The units as systemd understands them.

No systemd runs here; systemd-analyze reads the units as it would.
"""
import pytest

SERVICES = ("nompd-sync.service", "nompd-serve.service")
UNITS = SERVICES + ("nompd-sync.timer", "nompd-serve.socket")
# systemd-analyze's scale: 0 is best, up to 100; below 50 is "OK".
MAX_EXPOSURE = 20
DROP_IN = "/etc/systemd/system/nompd-sync.service.d/nompd-bulk.conf"


def verify(root, *units):
    """What systemd has to say against units; unsettled things are no news."""
    return root.run("systemd-analyze", "verify", "--man=yes",
                    "--recursive-errors=yes", *units).strip()


@pytest.mark.parametrize("unit", UNITS)
def test_verify(installed, unit):
    assert verify(installed, f"/lib/systemd/system/{unit}") == ""


def test_verify_all_at_once(installed):
    assert verify(installed, *UNITS) == ""


def exposure(root, unit):
    """(number of 0 to 100, what is told)."""
    told = root.run("systemd-analyze", "security", "--offline=yes",
                    "--no-pager", f"--threshold={MAX_EXPOSURE}", unit)
    return told


@pytest.mark.parametrize("unit", SERVICES)
def test_exposure(installed, unit):
    """"OK" or better, and by far: a directive that is lost shows."""
    told = exposure(installed, unit)
    print(told)
    assert "Overall exposure level" in told


def test_bulk_drop_in(changed):
    """The drop-in of the examples is understood, and no less strict."""
    changed.run("mkdir", "-p", DROP_IN.rsplit("/", 1)[0])
    changed.run("cp", "/usr/share/doc/nompd-sync/examples/systemd/nompd-bulk.conf",
                DROP_IN)
    assert verify(changed, "nompd-sync.service") == ""
    text = changed.output("systemd-analyze", "cat-config",
                          "systemd/system/nompd-sync.service.d/nompd-bulk.conf")
    assert "ExecStart=/usr/bin/nompd-sync --private-key-file" in text
    exposure(changed, "nompd-sync.service")


def test_timer(installed):
    """It is due three times a day."""
    text = (installed.path / "lib/systemd/system/nompd-sync.timer"
            ).read_text("utf-8")
    when = text.split("OnCalendar=")[1].splitlines()[0]
    told = installed.run("systemd-analyze", "calendar", "--iterations=4",
                         "--base-time=2026-01-01 00:00:00 UTC", when)
    for due in ("01-01 04:17:00", "01-01 12:17:00", "01-01 20:17:00",
                "01-02 04:17:00"):
        assert due in told
    assert "Persistent=true" in text
    assert "RandomizedDelaySec=" in text


def test_nothing_is_enabled(installed):
    """Neither by the installation nor by a preset of ours."""
    for unit in UNITS:
        told = installed.execute(["systemctl", "is-enabled", unit], "root",
                                 None).stdout.strip()
        assert told in ("disabled", "static"), (unit, told)
