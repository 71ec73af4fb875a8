#!/usr/bin/env python3
"""Keeps a copy of what nompd-serve offers: an example of a consumer.

    export NOMPD_API_KEY_FILE=/etc/hospital/nompd.key
    python3 nompd-client.py --url https://nompd.example.org --store copy.db

Start it as often as the copy should be fresh, say every 15 minutes; a run
with nothing new costs one small request a collection.  Python 3.8 or later,
nothing else.  The first run fetches the full lists, a later one what has
changed since.  The copy is an SQLite database; in its table "record" stands
every live record with its data as JSON, and nothing that is gone:

    sqlite3 copy.db "SELECT id, data FROM record
        WHERE collection = 'treatmentGroup'"

With --resource Patient it keeps the Patients of the service as well, as the
collection 'resource/Patient'.

What to take over into a consumer of your own:

- Items and version of an answer go into the copy in one transaction, so a run
  may be killed anywhere: the next one asks again from the version it finds.
- An answer counts only when all of it has come and has the expected form.
- A version smaller than that of the copy, or the same one with another
  Last-Modified, means that the service's store was restored from a backup:
  fetch everything again.  So does another URL.  A restored store that has
  overtaken the copy before the next run cannot be told from the outside: who
  restores one tells its consumers, and they run with --full; or once a week.
- A full list without a record does not replace a copy that has some, unless
  --full says that it may.
- Answers that ask for patience, broken connections and broken-off answers
  are tried again, a few times; everything else ends the run.
- The key goes to one origin: no redirect is followed, and no plain http
  is used but on this machine (--plain-http, where the network is trusted).

Standard output has one line a collection.  Exit status: 0 done, 64 usage or
configuration, 65 an empty list was held back, 69 no usable answer after all
tries, 74 the copy or standard output cannot be used, 75 another run is active,
76 an answer that should not be, 77 the key was refused, 130 interrupted.
"""
import argparse
import email.utils
import http.client
import ipaddress
import json
import os
import random
import re
import secrets
import sqlite3
import ssl
import sys
import time
import urllib.parse

COLLECTIONS = ("treatmentGroup", "reimbursementGroup")
PATIENCE = {429, 502, 503, 504}     # statuses that a later try may not have
MAX_BODY = 256 << 20                # bytes of an answer
MAX_SECONDS = 600                   # for one answer, first to last byte
IDLE_SECONDS = 60                   # without a byte
MAX_VERSION = (1 << 63) - 1
MAX_KEY = 1024                      # bytes of a key
MAX_TEXT = 300                      # characters of a message from outside
LAYOUT = 0x4e434c32                 # application_id of the copy: "NCL2"
TABLES = """
CREATE TABLE IF NOT EXISTS state (collection TEXT PRIMARY KEY,
    url TEXT NOT NULL, version INTEGER NOT NULL, modified TEXT, etag TEXT);
CREATE TABLE IF NOT EXISTS record (collection TEXT, id TEXT,
    version INTEGER NOT NULL, lastChanged TEXT NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (collection, id)) WITHOUT ROWID;
"""


class Stop(Exception):
    """Ends the run with an exit status and a sentence."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Again(Exception):
    """A failure that may be over at the next try."""

    def __init__(self, message, wait=None):
        super().__init__(message)
        self.wait = wait


# Stands before the digits of a number while it is text; nobody can guess it.
MARK = secrets.token_hex(16)


class Digits:
    """A number with a fraction or an exponent, as it was written."""

    def __init__(self, text):
        self.text = text


def dump(data):
    """JSON in which 1.50 is still 1.50."""
    text = json.dumps(data, ensure_ascii=False,
                      default=lambda digits: MARK + digits.text)
    return re.sub(f'"{MARK}([^"]*)"', r"\1", text)


class Answer:
    """The run that it shows, and rows to write (data None: to remove)."""

    def __init__(self, text, headers):
        whole = json.loads(text, parse_float=Digits,
                           parse_constant=number)   # NaN is none
        if not isinstance(whole["items"], list):
            raise ValueError("items is an array")
        self.rows = [row(item) for item in whole["items"]]
        self.version = number(whole["currentVersion"])
        self.modified, self.etag = headers["Last-Modified"], headers["ETag"]


def number(value):
    if type(value) is not int or not 0 <= value <= MAX_VERSION:
        raise ValueError("a version is a whole number")
    return value


def row(item):
    """(id, version, lastChanged, data); unknown members do not matter."""
    key, when = item["data"]["id"], item["lastChanged"]
    gone = item["isDeleted"]
    if not (isinstance(key, str) and key and isinstance(when, str)
            and isinstance(gone, bool)):
        raise ValueError("not an item")
    data = dump(item["data"])
    (key + when + data).encode()    # no half characters
    return key, number(item["version"]), when, None if gone else data


def read_key():
    file, key = map(os.environ.get, ("NOMPD_API_KEY_FILE", "NOMPD_API_KEY"))
    if (file is None) == (key is None):
        raise Stop(64, "set NOMPD_API_KEY_FILE or NOMPD_API_KEY, one of them")
    if file is not None:
        try:
            with open(file, encoding="ascii") as opened:
                key = opened.read(MAX_KEY + 2)
        except OSError as error:
            raise Stop(64, f"NOMPD_API_KEY_FILE: {error}") from None
        except UnicodeError:
            key = ""
    key = key.strip()
    if not re.fullmatch(r"[!-~]{1,%d}" % MAX_KEY, key):
        raise Stop(64, "the key is not one word of ASCII characters")
    return key


def is_local(host):
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(text, plain_http):
    try:
        url = urllib.parse.urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        host = None
    if not host or url.scheme not in ("http", "https") or "@" in url.netloc \
            or url.query or url.fragment or not re.fullmatch("[!-~]+", text):
        raise Stop(64, "--url: want http(s)://HOST[:PORT][/PATH]")
    if url.scheme == "http" and not (plain_http or is_local(host)):
        raise Stop(64, "--url: plain http would show the key to the network;"
                   " use https, or --plain-http")
    return url


class Service:
    """Asks nompd-serve, patiently."""

    def __init__(self, options):
        self.url = check_url(options.url, options.plain_http)
        self.key = read_key()
        self.tries, self.max_wait = options.tries, options.max_wait

    def ask(self, path, etag):
        """An Answer, or None when the ETag is still good."""
        for left in reversed(range(self.tries)):
            try:
                return self.ask_once(path, etag)
            except Again as reason:
                if left == 0:
                    raise Stop(69, f"{reason} (try {self.tries} of"
                               f" {self.tries})") from None
                wait = reason.wait
                if wait is None:    # 1, 2, 4 ... seconds, less by chance
                    wait = random.uniform(0, 2 ** (self.tries - 1 - left))
                time.sleep(min(wait, self.max_wait))

    def ask_once(self, path, etag):
        request = secrets.token_hex(8)
        headers = {"X-API-KEY": self.key, "X-Request-Id": request,
                   "Accept": "application/json"}
        if etag:
            headers["If-None-Match"] = etag
        make = (http.client.HTTPSConnection if self.url.scheme == "https"
                else http.client.HTTPConnection)
        connection = make(self.url.hostname, self.url.port,
                          timeout=IDLE_SECONDS)
        try:
            connection.request("GET", self.url.path.rstrip("/") + path,
                               headers=headers)
            response = connection.getresponse()
            body = read_body(response)
        except ssl.SSLCertVerificationError as error:
            raise Stop(69, self.clean(f"{path}: {error}")) from None
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            what = str(error) or type(error).__name__
            raise Again(self.clean(f"{path}: {what}")) from None
        finally:
            connection.close()
        where = f"{path}, request {request}"
        if response.status == 304 and etag:
            return None
        if response.status != 200:
            raise self.refusal(where, response, body)
        try:
            return Answer(body, response.headers)
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise Again(f"{where}: the answer is not whole JSON") from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Stop(76, f"{where}: not the expected form") from None

    def refusal(self, where, response, body):
        try:
            said = str(json.loads(body)["error"])
        except (ValueError, KeyError, TypeError, RecursionError):
            said = response.reason
        message = self.clean(f"{where}: {response.status} {said}")
        if 300 <= response.status < 400:
            message += " (redirects are not followed)"
        if response.status in PATIENCE:
            return Again(message, seconds(response.getheader("Retry-After")))
        return Stop(77 if response.status in (401, 403) else 76, message)

    def clean(self, text):
        """Text from outside, for people: no key, no control characters."""
        text = text.replace(self.key, "***")
        return "".join(c if c.isprintable() else "?" for c in text)[:MAX_TEXT]


def read_body(response):
    """The whole body; what is too long or too slow is given up."""
    end = time.monotonic() + MAX_SECONDS
    length = response.length    # None when it was not told
    pieces, total = [], 0
    while True:
        piece = response.read1(1 << 16)
        if not piece:
            if length not in (None, total):
                raise OSError(f"{total} bytes of {length} came")
            return b"".join(pieces)
        pieces.append(piece)
        total += len(piece)
        if total > MAX_BODY:
            raise Stop(76, f"an answer has more than {MAX_BODY} bytes")
        if time.monotonic() > end:
            raise OSError(f"an answer took more than {MAX_SECONDS} s")


def seconds(retry_after):
    """Retry-After is a number of seconds or a date; None: neither."""
    if re.fullmatch("[0-9]{1,9}", retry_after or ""):
        return int(retry_after)
    try:
        when = email.utils.parsedate_to_datetime(retry_after).timestamp()
        return max(0, when - time.time())
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def open_copy(path):
    copy = sqlite3.connect(path, timeout=0, isolation_level=None)
    layout, = copy.execute("PRAGMA application_id").fetchone()
    empty = not copy.execute("SELECT 1 FROM sqlite_master").fetchone()
    if layout != LAYOUT and not (empty and layout == 0):
        raise Stop(74, f"{path}: not a copy, or one of another version of this"
                   " program; move it away, and the next run makes a new one")
    if layout != LAYOUT:
        copy.execute(f"PRAGMA application_id = {LAYOUT}")
    copy.execute("PRAGMA journal_mode = WAL")   # readers are not disturbed
    copy.executescript(TABLES)
    return copy


def update(copy, service, collection, full):
    """Brings one collection up to date and says what it did."""
    path, url = f"/api/v1/{collection}", service.url.geturl()
    known = copy.execute(
        "SELECT version, modified, etag FROM state WHERE collection = ?"
        " AND url = ?", (collection, url)).fetchone()
    if known and not full:
        version, modified, etag = known
        answer = service.ask(f"{path}?sinceVersion={version}", etag)
        if answer is None:
            return f"version {version}, nothing new"
        same = (answer.version, answer.modified) == (version, modified)
        if same or answer.version > version:
            # An ETag belongs to one question; this one is asked next time
            # when the version has not moved.
            written, removed = write(copy, collection, url, answer,
                                     answer.etag if same else None)
            if same and not answer.rows:
                return f"version {version}, nothing new"
            return (f"version {version} to {answer.version},"
                    f" {written} written, {removed} removed")
    answer = service.ask(path, None)
    before, = copy.execute("SELECT count(*) FROM record WHERE collection = ?",
                           (collection,)).fetchone()
    if before and not answer.rows and not full:
        raise Stop(65, f"{path}: an empty list; the copy has {before} records"
                   " and stays as it is; --full lets the list through")
    copy.execute("DELETE FROM record WHERE collection = ?", (collection,))
    written, _ = write(copy, collection, url, answer, None)
    return (f"version {answer.version}, full list, {written} written,"
            f" {before} before")


def write(copy, collection, url, answer, etag):
    """(written, removed); a record that comes again is put in its place."""
    removed = 0
    for key, version, when, data in answer.rows:
        if data is None:
            removed += copy.execute(
                "DELETE FROM record WHERE collection = ? AND id = ?",
                (collection, key)).rowcount
        else:
            copy.execute("REPLACE INTO record VALUES (?, ?, ?, ?, ?)",
                         (collection, key, version, when, data))
    copy.execute("REPLACE INTO state VALUES (?, ?, ?, ?, ?)",
                 (collection, url, answer.version, answer.modified, etag))
    return sum(data is not None for *_, data in answer.rows), removed


def say(text, stream):
    """Prints it, or gives the Stop that says why not."""
    if stream is None:
        return Stop(74, "standard output is closed")
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        # Python tries again at its end, and is not to complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return Stop(74, f"standard output: {error}")
    return None


def bounded(low, high):
    def whole(text):
        if not re.fullmatch("[0-9]{1,9}", text) or \
                not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"want {low} to {high}")
        return int(text)
    return whole


def fhir_type(text):
    if not re.fullmatch("[A-Z][A-Za-z]{0,63}", text):
        raise argparse.ArgumentTypeError("want a FHIR type, such as Patient")
    return f"resource/{text}"


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Stop(64, message)

    def print_help(self, file=None):
        unsaid = say(self.format_help().rstrip(), sys.stdout)
        if unsaid:
            raise unsaid


def parse(arguments):
    parser = Parser(allow_abbrev=False, description=__doc__.split("\n")[0])
    parser.add_argument("--url", required=True, help="where the service is")
    parser.add_argument("--store", required=True, help="the copy, a file")
    parser.add_argument("--resource", metavar="TYPE", action="append",
                        type=fhir_type, default=[],
                        help="these resources, too; may be repeated")
    parser.add_argument("--full", action="store_true",
                        help="replace the copy by the full lists")
    parser.add_argument("--plain-http", action="store_true",
                        help="send the key without TLS, also elsewhere")
    parser.add_argument("--tries", type=bounded(1, 100), default=5,
                        help="for each request (default %(default)s)")
    parser.add_argument("--max-wait", type=bounded(0, 3600), default=300,
                        help="seconds between tries (default %(default)s)")
    return parser.parse_args(arguments)


def main():
    unsaid = None       # ends the run, but after all collections
    try:
        options = parse(sys.argv[1:])
        service = Service(options)
        copy = open_copy(options.store)
        for collection in (*COLLECTIONS, *options.resource):
            with copy:      # commits, or rolls back
                copy.execute("BEGIN IMMEDIATE")     # one run at a time
                done = update(copy, service, collection, options.full)
            unsaid = say(f"{collection}: {done}", sys.stdout) or unsaid
        if unsaid:
            raise unsaid
        return 0
    except Stop as stop:
        status, message = stop.status, stop
    except sqlite3.Error as error:
        busy = "locked" in str(error)
        status, message = (75 if busy else 74), f"{options.store}: {error}"
    except KeyboardInterrupt:
        status, message = 130, "interrupted"
    say(f"nompd-client: {message}", sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
