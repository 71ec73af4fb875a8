"""What all the servers have in common."""
import pathlib
import shutil
import tempfile


class Server:
    """A server that runs, and whose data end with it.

    name: what it is, with its version.
    uri: where it is, with credentials; a name of a database may follow.
    tls_uri, ca: where it speaks TLS, and the file of its CA; None without.
    """

    name = None
    uri = None
    tls_uri = None
    ca = None
    has_disk = False    # can its data have a disk of their own?

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nompd-mongodb-"))
        # A process may be another user, who has to reach its own files.
        self.folder.chmod(0o711)

    def up(self):
        """Starts it over its data, a second time at the same place."""
        raise NotImplementedError

    def down(self):
        """Kills its processes (SIGKILL); nothing when there are none."""
        raise NotImplementedError

    def kill(self):
        """Kills it; its data stay, and restart() brings them back."""
        self.down()

    def restart(self):
        """Starts it again after kill(), with the same URI and data."""
        self.up()

    def stop(self):
        """Ends it and removes its data."""
        self.down()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()
