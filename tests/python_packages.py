"""Packages of Python for a test, in a folder of their own.

    python3 tests/python_packages.py FOLDER REQUIREMENTS

Makes FOLDER when it is not there or is for other versions.
"""
import pathlib
import shutil
import subprocess
import sys


def make(folder, requirements):
    """A virtual environment with what the file requirements names."""
    folder = pathlib.Path(folder)
    wanted = pathlib.Path(requirements).read_text(encoding="utf-8")
    stamp = folder / "requirements.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    print(f"making {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet",
                    "--disable-pip-version-check", "-r", str(requirements)],
                   check=True)
    # Last, so that what was cut off is made again.
    stamp.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: tests/python_packages.py FOLDER REQUIREMENTS")
    make(*sys.argv[1:])
