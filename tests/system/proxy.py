"""A network between MongoDB clients and their server, and what befalls it.

    with Proxy("127.0.0.1", 27017) as proxy:
        proxy.fault = Fault("cut", message=12)
        ... a client at 127.0.0.1, port proxy.port

Every question has one answer.  Messages are told apart by the length in their
header (MongoDB wire protocol, MsgHeader); what is in them is not looked at.
"""
import contextlib
import socket
import struct
import threading

PATIENCE = 60       # seconds until a connection that is stuck is a failure
HEADER = 16         # bytes of a message's header
LARGE = 64 * 1024   # bytes of a message with records, and of no other
PIECE = 64 * 1024   # bytes that are passed on at once


class Fault:
    """What happens at one of the clients' messages.

    act      "cut": all connections end; "hold": it goes on when released is
             set; "swallow": there are no answers any more
    message  its number, from 1, among all of the clients
    large    or its number among the large ones
    size     or: the bytes that clients have sent; the rest does not arrive
    where    "question": the server does not get it; "answer": the client does
             not get the answer, or the rest of it
    reset    a connection ends with a RST instead of a FIN
    stays    new connections end as well
    """

    def __init__(self, act, message=None, large=None, size=None,
                 where="question", reset=False, stays=False):
        self.act, self.where = act, where
        self.message, self.large, self.size = message, large, size
        self.reset, self.stays = reset, stays
        self.reached = threading.Event()
        self.released = threading.Event()

    def befalls(self, sizes):
        """Is it the turn of the last of these messages?"""
        if self.reached.is_set():
            return False
        if self.size is not None:
            return sum(sizes) > self.size
        if self.large is not None:
            return sizes[-1] >= LARGE and self.large == sum(
                size >= LARGE for size in sizes)
        return len(sizes) == self.message

    def part(self, sizes):
        """How much of the last of these messages comes through."""
        if self.size is None:
            return 0
        return sizes[-1] - (sum(sizes) - self.size)


class Proxy:
    """pause: seconds before each piece of so many bytes that is passed on."""

    def __init__(self, host, port, pause=None, piece=PIECE):
        self.target = host, port
        self.pause, self.piece = pause, piece
        self.fault = None
        self.sizes = []         # of the clients' messages
        self.is_cut = False     # new connections end at once
        self.is_silent = False  # there are no answers
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.sockets = set()
        self.threads = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.spawn(self.accept)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stopping.set()
        if self.fault:
            self.fault.released.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut(False)
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a connection does not end"

    def mend(self):
        """The network is whole, and nothing has gone over it."""
        self.fault = None
        self.is_cut = self.is_silent = False
        self.sizes = []

    def spawn(self, work, *args):
        thread = threading.Thread(target=work, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.spawn(self.serve, client)

    def serve(self, client):
        server = socket.socket()
        with self.lock:
            self.sockets |= {client, server}
        try:
            if self.is_cut:
                return
            if self.is_silent:
                swallow(client)
                return
            server.connect(self.target)
            for end in client, server:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while self.pass_on(client, server):
                pass
        except OSError:
            pass
        finally:
            with self.lock:
                self.sockets -= {client, server}
            client.close()
            server.close()

    def pass_on(self, client, server):
        """A question and its answer; False at the end."""
        question = read_message(client)
        if question is None:
            return False
        with self.lock:
            self.sizes.append(len(question))
            fault = self.fault
            if fault and not fault.befalls(self.sizes):
                fault = None
        if self.is_silent:
            swallow(client)
            return False
        if fault and fault.where == "question":
            server.sendall(question[:fault.part(self.sizes)])
            if not self.strike(fault, client):
                return False
        self.send(server, question)
        answer = read_message(server)
        if answer is None:
            return False
        if fault and fault.where == "answer" and not self.strike(
                fault, client):
            return False
        self.send(client, answer)
        return True

    def strike(self, fault, client):
        """False when the connection is at its end."""
        if fault.act == "cut":
            self.is_cut = fault.stays
            self.cut(fault.reset)
        elif fault.act == "swallow":
            self.is_silent = True
        fault.reached.set()
        if fault.act == "swallow":
            swallow(client)
        if fault.act == "hold":
            fault.released.wait()
        return fault.act == "hold"

    def cut(self, reset):
        """Ends all connections; their threads close them then."""
        with self.lock:
            for end in self.sockets:
                with contextlib.suppress(OSError):
                    if reset:
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
                    end.shutdown(socket.SHUT_RD if reset
                                 else socket.SHUT_RDWR)

    def send(self, end, data):
        if self.pause is None:
            end.sendall(data)
            return
        for at in range(0, len(data), self.piece):
            if self.stopping.wait(self.pause):
                return
            end.sendall(data[at:at + self.piece])


def read_message(end):
    """None at the end of the connection, also within a message."""
    head = read(end, HEADER)
    if head is None:
        return None
    length, = struct.unpack("<i", head[:4])
    rest = read(end, length - HEADER)
    return None if rest is None else head + rest


def read(end, size):
    data = bytearray()
    while len(data) < size:
        part = end.recv(min(size - len(data), 1 << 20))
        if not part:
            return None
        data += part
    return bytes(data)


def swallow(end):
    while end.recv(PIECE):
        pass
