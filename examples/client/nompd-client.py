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
- The service tells a digest of each version's full list: a copy that has been
  changed is compared with it, and fetched anew when it is not that list, which
  is said on standard error.  A full list that is not what its own digest says
  does not count.  --check compares and changes nothing.
- Status 410 means that the service no longer knows what has gone since the
  version of the copy: fetch everything again.
- A version smaller than that of the copy, or the same one with another
  Last-Modified, means that the service's store was restored from a backup:
  fetch everything again.  So does another URL.  A restored store that has
  overtaken the copy before the next run can be told by the digest alone: who
  restores one tells its consumers, and they run with --full; or once a week.
- A full list without a record does not replace a copy that has some, unless
  --full says that it may.
- Answers that ask for patience, broken connections and broken-off answers
  are tried again, a few times; everything else ends the run.
- The key goes to one origin: no redirect is followed, and no plain http
  is used but on this machine (--plain-http, where the network is trusted).

Standard output has one line a collection.  Exit status: 0 done, 1 --check has
found a copy that is not what the service has, 64 usage or configuration, 65 an
empty list was held back, 69 no usable answer after all tries, or none that
--check could compare with, 74 the copy or standard output cannot be used, 75
another run is active, 76 an answer that should not be, 77 the key was refused,
130 interrupted.
"""
import argparse
import email.utils
import hashlib
import http.client
import ipaddress
import json
import math
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


class Gone(Stop):
    """What was asked for is not kept any more."""


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
        self.digest = digest_in(headers, self.version)  # None: not told


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


def digest_in(headers, version):
    """The digest of the full list of that version, when it is told."""
    if headers["Digest-Version"] != str(version):
        return None
    return headers["Digest-SHA256"]


def digest_of(copy, collection):
    """What it has to be for a copy that is that list; None: for none."""
    whole = hashlib.sha256()
    # SQLite's order of texts is that of their bytes, as is the service's.
    for key, version, data in copy.execute(
            "SELECT id, version, data FROM record WHERE collection = ?"
            " ORDER BY id", (collection,)):
        try:
            text = canonical(json.loads(data, parse_int=float))
            whole.update(
                f"{len(key.encode())} {key} {version}"
                f" {hashlib.sha256(text.encode()).hexdigest()}\n".encode())
        except (ValueError, TypeError, AttributeError, RecursionError):
            return None
    return whole.hexdigest()


def canonical(value):
    """The one JSON text that stands for a value (RFC 8785)."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{%s}" % ",".join(f"{canonical(name)}:{canonical(value[name])}"
                                 for name in names)
    if isinstance(value, list):
        return "[%s]" % ",".join(map(canonical, value))
    if isinstance(value, float):
        return canonical_number(value)
    return json.dumps(value, ensure_ascii=False)


def canonical_number(value):
    """A double as ECMAScript writes it, with the fewest digits."""
    if not math.isfinite(value):
        raise ValueError("a number is too large for a double")
    if value == 0:
        return "0"
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = int(exponent or 0) + len(digits) - len(fraction)
    digits = digits.rstrip("0")     # the value is 0.DIGITS * 10 ** point
    if len(digits) <= point <= 21:
        text = digits.ljust(point, "0")
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        text = f"{digits[0]}.{digits[1:]}".rstrip(".") + f"e{point - 1:+}"
    return "-" * (value < 0) + text


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
        return self.patiently(self.ask_once, path, etag)

    def ask_digest(self, path, version):
        """The digest of that version's full list; None: it is not told."""
        return self.patiently(self.ask_digest_once, path, version)

    def patiently(self, ask_once, *question):
        for left in reversed(range(self.tries)):
            try:
                return ask_once(*question)
            except Again as reason:
                if left == 0:
                    raise Stop(69, f"{reason} (try {self.tries} of"
                               f" {self.tries})") from None
                wait = reason.wait
                if wait is None:    # 1, 2, 4 ... seconds, less by chance
                    wait = random.uniform(0, 2 ** (self.tries - 1 - left))
                time.sleep(min(wait, self.max_wait))

    def ask_once(self, path, etag):
        where, response, body = self.request("GET", path, etag)
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

    def ask_digest_once(self, path, version):
        where, response, body = self.request(
            "HEAD", f"{path}?asOfVersion={version}", None)
        if response.status in PATIENCE or response.status in (401, 403):
            raise self.refusal(where, response, body)
        # Others have not that version, or know nothing of this.
        return response.status == 200 and digest_in(
            response.headers, version) or None

    def request(self, method, path, etag):
        """What was asked, for people, and the response and its body."""
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
            connection.request(method, self.url.path.rstrip("/") + path,
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
        return f"{path}, request {request}", response, body

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
        if response.status == 410:
            return Gone(76, message)
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


def read_state(copy, service, collection):
    """(version, modified, etag) of the copy; None: it has none."""
    return copy.execute(
        "SELECT version, modified, etag FROM state WHERE collection = ?"
        " AND url = ?", (collection, service.url.geturl())).fetchone()


def update(copy, service, collection, full):
    """Brings one collection up to date and says what it did."""
    known = read_state(copy, service, collection)
    said = follow(copy, service, collection, known) if known and not full \
        else None
    return said or replace(copy, service, collection, full)


def follow(copy, service, collection, known):
    """Takes over what has changed; None: a full list is needed."""
    path, (version, modified, etag) = f"/api/v1/{collection}", known
    try:
        answer = service.ask(f"{path}?sinceVersion={version}", etag)
    except Gone:
        say(f"nompd-client: {collection}: what has gone since version"
            f" {version} is not known any more; a full list follows",
            sys.stderr)
        return None
    if answer is None:
        return f"version {version}, nothing new"
    same = (answer.version, answer.modified) == (version, modified)
    if not same and answer.version <= version:
        return None
    # An ETag belongs to one question; this one is asked next time when the
    # version has not moved.
    written, removed = write(copy, service, collection, answer,
                             answer.etag if same else None)
    if same and not answer.rows:
        return f"version {version}, nothing new"
    digest = service.ask_digest(path, answer.version)
    if digest not in (None, digest_of(copy, collection)):
        say(f"nompd-client: {collection}: the copy is not what the service has"
            f" at version {answer.version}; a full list follows", sys.stderr)
        return None
    return (f"version {version} to {answer.version},"
            f" {written} written, {removed} removed")


def replace(copy, service, collection, full):
    """Puts the full list in the place of the copy."""
    path = f"/api/v1/{collection}"
    answer = service.ask(path, None)
    before, = copy.execute("SELECT count(*) FROM record WHERE collection = ?",
                           (collection,)).fetchone()
    if before and not answer.rows and not full:
        raise Stop(65, f"{path}: an empty list; the copy has {before} records"
                   " and stays as it is; --full lets the list through")
    copy.execute("DELETE FROM record WHERE collection = ?", (collection,))
    written, _ = write(copy, service, collection, answer, None)
    if answer.digest not in (None, digest_of(copy, collection)):
        raise Stop(76, f"{path}: the full list of version {answer.version} is"
                   " not what its digest says")
    return (f"version {answer.version}, full list, {written} written,"
            f" {before} before")


def check(copy, service, collection):
    """Compares the copy with the service's digest: (status, what it is)."""
    known = read_state(copy, service, collection)
    if known is None:
        return 1, "no copy"
    version = known[0]
    digest = service.ask_digest(f"/api/v1/{collection}", version)
    if digest is None:
        return 69, f"version {version}, the service tells no digest of it"
    if digest != digest_of(copy, collection):
        return 1, f"version {version}, not what the service has"
    return 0, f"version {version}, as the service has it"


def write(copy, service, collection, answer, etag):
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
                 (collection, service.url.geturl(), answer.version,
                  answer.modified, etag))
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
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--full", action="store_true",
                      help="replace the copy by the full lists")
    what.add_argument("--check", action="store_true",
                      help="only compare the copy with the service's digests")
    parser.add_argument("--plain-http", action="store_true",
                        help="send the key without TLS, also elsewhere")
    parser.add_argument("--tries", type=bounded(1, 100), default=5,
                        help="for each request (default %(default)s)")
    parser.add_argument("--max-wait", type=bounded(0, 3600), default=300,
                        help="seconds between tries (default %(default)s)")
    return parser.parse_args(arguments)


def bring_up_to_date(copy, service, collection, options):
    with copy:      # commits, or rolls back
        copy.execute("BEGIN IMMEDIATE")     # one run at a time
        return 0, update(copy, service, collection, options.full)


def compare(copy, service, collection, options):
    with copy:
        copy.execute("BEGIN")
        return check(copy, service, collection)


def main():
    unsaid = None       # ends the run, but after all collections
    ends = {0}
    try:
        options = parse(sys.argv[1:])
        service = Service(options)
        if options.check and not os.path.exists(options.store):
            raise Stop(74, f"{options.store}: there is no copy to check")
        copy = open_copy(options.store)
        work = compare if options.check else bring_up_to_date
        for collection in (*COLLECTIONS, *options.resource):
            status, done = work(copy, service, collection, options)
            ends.add(status)
            unsaid = say(f"{collection}: {done}", sys.stdout) or unsaid
        if unsaid:
            raise unsaid
        return 1 if 1 in ends else max(ends)
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
