"""A way to an HTTP server that notes what goes over it.

    with Recorder("http://127.0.0.1:8080/fhir") as recorder:
        ... a client of recorder.url
        recorder.requests("GET", "Binary")

The server is told the same Host as this, so that its links lead here as well.
"""
import http.client
import http.server
import threading
from urllib.parse import unquote, urlsplit

# What belongs to a connection and not to what goes over it.
HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")
PATIENCE = 120      # seconds until a server that does not answer is a failure


class Request:
    """One that was answered; before that, status is None."""

    def __init__(self, method, target, headers, body):
        self.method = method
        self.target = target
        self.headers = headers      # names in lower case
        self.body = body
        self.status = None
        self.answer_headers = {}


class Recorder:
    """before: called with each request, in a thread of its own, before it is
    passed on; when it gives False the connection ends without an answer.
    after: called before the answer goes back."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.target = parts.netloc
        self.log = []
        self.before = self.after = None
        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), handler_of(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}{parts.path}"
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       args=(0.02,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(PATIENCE)

    def requests(self, method=None, part=""):
        """Those whose target has the part, in the order of their coming."""
        return [request for request in list(self.log)
                if method in (None, request.method)
                and part in unquote(request.target)]

    @property
    def secrets(self):
        """The tokens that were shown, in the order of their coming."""
        return list(dict.fromkeys(
            request.headers["authorization"].removeprefix("Bearer ")
            for request in list(self.log)
            if "authorization" in request.headers))

    def pass_on(self, request):
        """The server's answer and its body."""
        connection = http.client.HTTPConnection(self.target,
                                                timeout=PATIENCE)
        try:
            connection.request(request.method, request.target, request.body,
                               request.headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()


def handler_of(recorder):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            size = int(self.headers.get("Content-Length", 0))
            headers = {name.lower(): value
                       for name, value in self.headers.items()
                       if name.lower() not in HOP}
            request = Request(self.command, self.path, headers,
                              self.rfile.read(size) or None)
            recorder.log.append(request)
            if recorder.before and recorder.before(request) is False:
                self.close_connection = True
                return
            answer, body = recorder.pass_on(request)
            request.answer_headers = {
                name.lower(): value for name, value in answer.getheaders()}
            request.status = answer.status
            if recorder.after:
                recorder.after(request)
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def handle(self):
            try:
                super().handle()
            except ConnectionError:     # of a client that was killed
                pass

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *unused):
            pass

    return Handler
