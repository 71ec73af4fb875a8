"""A command that runs with servers, and ends with them."""
import os
import signal
import subprocess
import sys


def end(number, _):
    """Ends like an interrupt, so that all is put away."""
    sys.exit(128 + number)


def end_in_order():
    """From now on signals that end this process do so in order."""
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)


def run_with(command, variables):
    """The status of the command, which never outlives this.

    variables: what tells it of the servers, beside the environment.
    """
    with subprocess.Popen(command, env={**os.environ, **variables}
                          ) as process:
        try:
            status = process.wait()
        except BaseException:
            process.terminate()
            raise
    return status if status >= 0 else 128 - status
