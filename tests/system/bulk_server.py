"""A scriptable FHIR Bulk Data server, over upstream.py, on 127.0.0.1.

    server = BulkServer()
    server.exports = [Export([File("Patient", [patient("1")])])]
    server.polls = [in_progress("20 %"), Answer(status=500)]

A kick-off at any level makes a job, which takes the next of the exports (the
last one stays), or without any gives what server.world has.  Its poll URL gives
the scripted polls first and then the manifest; files go wrong as their scripts
say.  What a client did is in server.jobs, and in the log of all requests.
"""
import base64
import collections
import datetime
import json
import re
import secrets
import time
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

from upstream import BASE, Answer, Upstream, ndjson, outcome, to_bytes

KICK_OFF = re.compile(re.escape(BASE) + r"/(?:(Patient|Group/[^/]+)/)?\$export")
JOB = re.compile(re.escape(BASE) + r"/jobs/(\d+)")
FILE = re.compile(re.escape(BASE) + r"/files/(\d+)/(\w+)/(\d+)")
SMART = f"{BASE}/.well-known/smart-configuration"
METADATA = f"{BASE}/metadata"
TOKEN = "/token"
NDJSON = "application/fhir+ndjson"
# Parameters of a list, which a GET may give in one, between commas.
LISTS = ("_type", "_elements", "_typeFilter")
MAX_ASSERTION_SECONDS = 300
GOOD = object()     # in a file's script: the file as it is


def in_progress(progress=None, retry_after=0, status=202, body=b""):
    """A poll's answer that asks to come back."""
    headers = [("Retry-After", str(retry_after))]
    if retry_after is None:
        headers = []
    if progress is not None:
        headers.append(("X-Progress", progress))
    return Answer(body, status=status, headers=headers)


def partial(count):
    """A poll that gives the first files of the manifest and goes on."""
    return lambda job: in_progress(
        body=dict(job.manifest(0), output=job.manifest(0)["output"][:count]))


def issue(code, text="as scripted", severity="error"):
    return {"resourceType": "OperationOutcome", "issue": [
        {"severity": severity, "code": code, "diagnostics": text}]}


def deletions(*references):
    """A line of a file of `deleted`."""
    return {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "DELETE", "url": reference}}
        for reference in references]}


def resource(type, id, version=1, **members):
    """Its time follows from its version: the day of a December."""
    return {"resourceType": type, "id": id, "meta": {
        "versionId": str(version),
        "lastUpdated": f"2024-12-{version:02}T12:00:00.000Z"}, **members}


def patient(id, version=1, **members):
    return resource("Patient", id, version, **members)


class File:
    """A file of a manifest.

    body     its bytes, instead of lines
    count    True: the true number; False: none; else what is said
    script   Answers of its URL before it is given as it is (GOOD is that, too)
    expired  the URL of so many manifests is refused with 403
    at       another BulkServer that has it
    item     more members of its item in the manifest
    options  of its Answer: gzipped, chunked, cut, drip, headers ...
    """

    def __init__(self, type, lines=(), *, body=None, count=True, script=(),
                 expired=0, at=None, item=(), **options):
        self.type = type
        self.body = to_bytes(ndjson(lines) if body is None else body)
        self.count = len([line for line in self.body.splitlines()
                          if line.strip()]) if count is True else count
        self.script = list(script)
        self.expired = expired
        self.at = at
        self.item = dict(item)
        options.setdefault("headers", [("Content-Type", NDJSON)])
        self.options = options

    def listed(self, url):
        item = {"type": self.type, "url": url}
        if self.count is not False:
            item["count"] = self.count
        return {**item, **self.item}

    def answer(self, generation):
        if generation <= self.expired:
            return Answer(outcome("the link has expired"), status=403)
        answer = self.script.pop(0) if self.script else GOOD
        if answer is GOOD:
            answer = Answer(self.body, **self.options)
        return answer


class Export:
    """What a job gives.

    time     its transactionTime
    page     files a page of the manifest
    token    requiresAccessToken
    leave    names of members that its manifest does not have
    members  others, or in the place of those that it would have
    """

    KINDS = ("output", "deleted", "error", "outcome")

    def __init__(self, output=(), deleted=(), error=(), outcome=(), *,
                 time="2025-01-01T00:00:00.000Z", page=None, token=True,
                 leave=(), **members):
        self.files = {kind: list(files) for kind, files in zip(
            self.KINDS, (output, deleted, error, outcome))}
        self.time = time
        self.page = page
        self.token = token
        self.leave = ("outcome",) * (not outcome) + tuple(leave)
        self.members = members


class Job:
    """An export under way, and how it came to be."""

    def __init__(self, server, number, request, level, parameters):
        self.server = server
        self.number = number
        self.method = request.method
        self.headers = request.headers
        self.level = level              # "", "Patient" or "Group/ID"
        self.parameters = parameters    # name to a list of texts
        self.target = request.target
        self.export = None
        self.polls = []
        self.polled = 0
        self.manifests = 0
        self.is_deleted = False
        self.url = f"{server.url}/jobs/{number}"

    def since(self):
        found = self.parameters.get("_since", [None])
        assert len(found) == 1
        return found[0]

    def file_url(self, kind, index):
        server = self.export.files[kind][index].at or self.server
        self.server.files_at(server)
        sig = ""
        if self.server.signs:
            sig = f"?sig={self.server.secret(f'sig-{self.manifests}-')}"
        return f"{server.url}/files/{self.number}/{kind}/{index}{sig}"

    def manifest(self, number):
        """A page of it."""
        export = self.export
        every = [(kind, i) for kind, files in export.files.items()
                 for i in range(len(files))]
        size = export.page or max(1, len(every))
        mine = every[number * size:(number + 1) * size]
        page = {"transactionTime": export.time, "request": self.target,
                "requiresAccessToken": export.token}
        for kind in export.KINDS:
            page[kind] = [export.files[kind][i].listed(self.file_url(kind, i))
                          for k, i in mine if k == kind]
        if (number + 1) * size < len(every):
            page["link"] = [{"relation": "next",
                             "url": f"{self.url}?page={number + 1}"}]
        page.update(export.members)
        return {n: v for n, v in page.items() if n not in export.leave}

    def poll(self, number):
        if self.is_deleted:
            return Answer(outcome("no such job"), status=404)
        if number == 0:
            self.polled += 1
        if self.polls and number == 0:
            answer = self.polls.pop(0)
            return answer(self) if callable(answer) else answer
        if number == 0:
            self.manifests += 1
        return Answer(self.manifest(number), headers=[
            ("Content-Type", "application/json")])


class Auth:
    """A token endpoint that believes every assertion of the right form.

    life     seconds that a token lives, as it is said
    uses     requests that a token is good for; None: until the end of its life
    script   Answers of the endpoint before the good ones
    """

    ALGORITHMS = ("ES384", "RS384")

    def __init__(self, life=300, uses=None, script=()):
        self.life = life
        self.uses = uses
        self.script = list(script)
        self.tokens = {}        # to the moment of its end and the uses left
        self.assertions = []    # header and claims
        self.forms = []
        self.answer = {}        # members in the place of the usual ones
        self.seen = set()       # jti

    def grant(self, server, request):
        form = dict(parse_qsl(request.body.decode(), strict_parsing=True))
        self.forms.append(form)
        server.secrets.add(form.get("client_assertion", ""))
        if self.script:
            return self.script.pop(0)
        fault = self.fault_of(server, request, form)
        if fault:
            return Answer({"error": "invalid_client",
                           "error_description": fault}, status=400)
        token = server.secret("token-")
        self.tokens[token] = [time.monotonic() + self.life, self.uses]
        return Answer({"access_token": token, "token_type": "bearer",
                       "expires_in": self.life, "scope": form["scope"],
                       **self.answer})

    def fault_of(self, server, request, form):
        """What is wrong with it, in words."""
        wanted = {
            "grant_type": "client_credentials", "client_assertion_type":
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
        if request.method != "POST" or request.headers.get(
                "content-type") != "application/x-www-form-urlencoded":
            return "no form"
        if "authorization" in request.headers:
            return "a token where none is wanted"
        if {name: form.get(name) for name in wanted} != wanted:
            return "wrong members"
        parts = form.get("client_assertion", "").split(".")
        if len(parts) != 3 or not all(parts) or not form.get("scope"):
            return "no assertion, or no scope"
        header, claims = (json.loads(base64.urlsafe_b64decode(
            part + "=" * (-len(part) % 4))) for part in parts[:2])
        self.assertions.append((header, claims))
        if (header.get("alg") not in self.ALGORITHMS or header.get(
                "typ") != "JWT" or not header.get("kid")):
            return f"header {header}"
        left = claims["exp"] - time.time()
        if (not claims["iss"] == claims["sub"] or
                claims["aud"] != server.origin + TOKEN or
                not 0 < left <= MAX_ASSERTION_SECONDS or "nbf" in claims):
            return f"claims {claims}"
        if not claims.get("jti") or claims["jti"] in self.seen:
            return "a jti again"
        self.seen.add(claims["jti"])
        return None

    def is_good(self, request):
        kind, _, token = request.headers.get("authorization", "").partition(
            " ")
        entry = self.tokens.get(token)
        if kind != "Bearer" or entry is None:
            return False
        if entry[0] < time.monotonic() or entry[1] == 0:
            return False
        if entry[1] is not None:
            entry[1] -= 1
        return True


class BulkServer(Upstream):
    """See above.

    kick_offs   Answers of kick-offs before one is accepted
    polls       what each new job's poll URL gives before the manifest
    deletes     Answers of DELETE before the good ones
    signs       file URLs are capabilities, with a secret in the query
    reuses      every kick-off leads to the first job
    auth        an Auth: all else wants its tokens
    refuses     requests with any credentials get 400 (a storage)
    makes       methods of a kick-off that are known; others get 405
    """

    def __init__(self, tls=None):
        self.world = World()
        self.exports = []
        self.jobs = []
        self.kick_offs = []
        self.polls = []
        self.deletes = []
        self.signs = False
        self.reuses = False
        self.auth = None
        self.refuses = False
        self.makes = ("GET", "POST")
        self.metadata = {"resourceType": "CapabilityStatement"}
        self.smart = {}         # members in the place of the usual ones
        self.secrets = set()    # what no log may show
        self.owner = self       # whose files this server has
        super().__init__(tls)

    # what tests ask

    @property
    def job(self):
        """The last one."""
        return self.jobs[-1]

    def downloads(self):
        """How often each file was asked for: (job, kind, index)."""
        return collections.Counter(
            self.file_of(request) for request in self.requests()
            if FILE.fullmatch(urlsplit(request.target).path))

    @staticmethod
    def file_of(request):
        number, kind, index = FILE.fullmatch(
            urlsplit(request.target).path).groups()
        return int(number), kind, int(index)

    def wait_for_file(self, index, kind="output", count=1):
        """Waits until a file of the last job is asked for."""
        self.wait_for_request(
            lambda r: (found := FILE.fullmatch(urlsplit(r.target).path))
            and (found[2], int(found[3])) == (kind, index), count)

    def wait_for_poll(self, count=1):
        self.wait_for_request(lambda r: r.method == "GET"
                              and JOB.fullmatch(r.target), count)

    def of_method(self, method):
        return [r for r in self.requests() if r.method == method]

    def secret(self, prefix):
        text = prefix + secrets.token_urlsafe(24)
        self.secrets.add(text)
        return text

    def files_at(self, server):
        """Another one has files of this one's jobs."""
        if server is not self:
            server.owner = self

    # the server

    def answer_to(self, request):
        if request.target in self.answers:
            return super().answer_to(request)
        path, _, query = request.target.partition("?")
        if self.refuses and {"authorization", "x-api-key"
                             } & request.headers.keys():
            return Answer("<Error>OnlyOneAuthMechanismAllowed</Error>",
                          status=400)
        if path == TOKEN and self.auth:
            return self.auth.grant(self, request)
        if path == SMART and self.auth:
            return self.smart_configuration()
        if path == METADATA:
            return Answer(self.metadata)
        if FILE.fullmatch(path):
            return self.download(request, path, query)
        if self.auth and not self.auth.is_good(request):
            return Answer(outcome("no such token"), status=401)
        if KICK_OFF.fullmatch(path):
            return self.kick_off(request, path, query)
        if JOB.fullmatch(path):
            return self.job_answer(request, path, query)
        return super().answer_to(request)

    def smart_configuration(self):
        found = {
            "token_endpoint": self.origin + TOKEN,
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported":
                list(Auth.ALGORITHMS),
            "capabilities": ["client-confidential-asymmetric",
                             "permission-v2"], **self.smart}
        return Answer({n: v for n, v in found.items() if v is not None},
                      headers=[("Content-Type", "application/json")])

    def kick_off(self, request, path, query):
        if request.method not in self.makes:
            return Answer(outcome("not this way"), status=405)
        if self.kick_offs:
            return self.kick_offs.pop(0)
        job = Job(self, len(self.jobs), request,
                  KICK_OFF.fullmatch(path)[1] or "",
                  parameters_of(request, query))
        self.jobs.append(job)
        if self.reuses and job.number > 0:
            job.url = self.jobs[0].url
        else:
            job.polls = list(self.polls)
            job.export = self.next_export(job)
        return Answer(status=202, headers=[("Content-Location", job.url)])

    def next_export(self, job):
        if not self.exports:
            return self.world.export(job)
        return (self.exports.pop(0) if len(self.exports) > 1
                else self.exports[0])

    def job_answer(self, request, path, query):
        number = int(JOB.fullmatch(path)[1])
        if number >= len(self.jobs):
            return Answer(outcome("no such job"), status=404)
        job = self.jobs[number]
        if request.method == "DELETE":
            if self.deletes:
                return self.deletes.pop(0)
            if job.is_deleted:
                return Answer(outcome("no such job"), status=404)
            job.is_deleted = True
            return Answer(status=202)
        return job.poll(int(parse_qs(query).get("page", ["0"])[0]))

    def download(self, request, path, query):
        owner = self.owner
        number, kind, index = self.file_of(request)
        job = owner.jobs[number] if number < len(owner.jobs) else None
        if job is None or job.is_deleted:
            return Answer(outcome("no such file"), status=404)
        if self.auth and job.export.token and not self.auth.is_good(request):
            return Answer(outcome("no such token"), status=401)
        if self.auth and not job.export.token and (
                "authorization" in request.headers):
            return Answer(outcome("two ways to be let in"), status=400)
        if owner.signs and unquote(query)[4:] not in owner.secrets:
            return Answer(outcome("no such signature"), status=403)
        generation = int(query.split("-")[1]) if owner.signs else job.manifests
        return job.export.files[kind][index].answer(generation)


def parameters_of(request, query):
    """Of a kick-off: names to lists of texts.  In a GET a list is one text with
    commas, and a filter's own commas are encoded once more."""
    pairs = parse_qsl(query, strict_parsing=bool(query))
    if request.method == "POST":
        assert request.headers["content-type"].startswith(
            "application/fhir+json")
        body = json.loads(request.body)
        assert body["resourceType"] == "Parameters"
        pairs += [(entry["name"], value) for entry in body.get(
            "parameter", []) for name, value in entry.items()
            if name.startswith("value")]
    found = collections.defaultdict(list)
    for name, value in pairs:
        if request.method == "GET" and name in LISTS:
            found[name] += [re.sub("%2c", ",", part, flags=re.I)
                            for part in value.split(",")]
        else:
            found[name].append(value)
    return dict(found)


# A world that changes

class World:
    """Resources with meta.versionId and meta.lastUpdated, by Type/id.

    lists_deleted   an export with _since names what was deleted
    size            resources a file
    """

    START = datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc)

    def __init__(self):
        self.now = self.START
        self.resources = {}
        self.versions = collections.Counter()
        self.deleted = {}       # to the moment
        self.groups = {}        # id to ids of patients
        self.lists_deleted = True
        self.size = 1000

    @staticmethod
    def instant(moment):
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + (
            f"{moment.microsecond // 1000:03}Z")

    def pass_time(self, seconds=3600):
        self.now += datetime.timedelta(seconds=seconds)

    def put(self, type, id, **members):
        """Makes or changes a resource, a second after what was before."""
        self.pass_time(1)
        reference = f"{type}/{id}"
        self.versions[reference] += 1
        self.deleted.pop(reference, None)
        self.resources[reference] = {
            "resourceType": type, "id": id,
            "meta": {"versionId": str(self.versions[reference]),
                     "lastUpdated": self.instant(self.now)}, **members}
        return self.resources[reference]

    def delete(self, reference):
        self.pass_time(1)
        self.versions[reference] += 1
        del self.resources[reference]
        self.deleted[reference] = self.now

    def patient_of(self, resource):
        if resource["resourceType"] == "Patient":
            return resource["id"]
        reference = resource.get("subject", {}).get("reference", "")
        return reference.partition("Patient/")[2] or None

    def is_wanted(self, resource, job):
        types = job.parameters.get("_type")
        if types and resource["resourceType"] not in types:
            return False
        patient = self.patient_of(resource)
        if job.level.startswith("Group/"):
            return patient in self.groups[job.level.partition("/")[2]]
        return job.level == "" or patient is not None

    def export(self, job):
        """Each one has a time of its own."""
        self.pass_time(1)
        since = job.since() and datetime.datetime.fromisoformat(job.since())
        by_type = collections.defaultdict(list)
        for resource in self.resources.values():
            updated = datetime.datetime.fromisoformat(
                resource["meta"]["lastUpdated"])
            if self.is_wanted(resource, job) and (
                    since is None or updated > since):
                by_type[resource["resourceType"]].append(
                    self.part(resource, job.parameters.get("_elements")))
        output = [File(type, resources[i:i + self.size])
                  for type, resources in by_type.items()
                  for i in range(0, len(resources), self.size)]
        types = job.parameters.get("_type")
        gone = [reference for reference, moment in self.deleted.items()
                if since is not None and moment > since and self.lists_deleted
                and (types is None or reference.split("/")[0] in types)]
        return Export(output, [File("Bundle", [deletions(*gone)])]
                      if gone else [], time=self.instant(self.now))

    @staticmethod
    def part(resource, elements):
        """What _elements leaves of it, with the tag for that."""
        if not elements:
            return resource
        names = {"resourceType", "id", *(
            e.rpartition(".")[2] for e in elements)}
        return {**{n: v for n, v in resource.items() if n in names},
                "meta": {**resource["meta"], "tag": [{
                    "system": "http://terminology.hl7.org/CodeSystem/"
                              "v3-ObservationValue", "code": "SUBSETTED"}]}}
