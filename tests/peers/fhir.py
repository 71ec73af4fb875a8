"""A FHIR server as the tests see it, without the program."""
import time
import urllib.error
import urllib.parse
import urllib.request

import model
import upstream

BATCH = 200         # resources in one transaction
PAGE = 500          # resources in one page of a search
PATIENCE = 300      # seconds
PAUSE = 0.1         # seconds between two looks at a job


class Fhir:
    """url: its base; headers: what each request has."""

    def __init__(self, url, headers=None):
        self.url = url
        self.headers = headers or {}

    def ask(self, method, url, body=None, **headers):
        """(status, headers, JSON or bytes) of an answer, whatever it is."""
        if not url.startswith("http"):
            url = f"{self.url}/{url}" if url else self.url
        data = None if body is None else upstream.to_bytes(body)
        request = urllib.request.Request(
            url, data, method=method,
            headers={"Content-Type": "application/fhir+json", **self.headers,
                     **headers})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return content_of(answer)
        except urllib.error.HTTPError as answer:
            with answer:
                return content_of(answer)

    def get(self, url):
        status, _, found = self.ask("GET", url)
        assert status == 200, (status, found)
        return found

    def change(self, entries):
        """Transactions, in the order of the entries."""
        for at in range(0, len(entries), BATCH):
            status, _, answer = self.ask("POST", "", {
                "resourceType": "Bundle", "type": "transaction",
                "entry": entries[at:at + BATCH]}, Prefer="return=minimal")
            assert status == 200, answer

    def put(self, *resources):
        self.change([{"resource": resource, "request": {
            "method": "PUT", "url": name_of(resource)}}
            for resource in resources])

    def delete(self, *names):
        """names: Type/id"""
        self.change([{"request": {"method": "DELETE", "url": name}}
                     for name in names])

    def read(self, type):
        """All there are of a type, by name (Type/id)."""
        found = {}
        url = f"{type}?_count={PAGE}"
        while url:
            page = self.get(url)
            for entry in page.get("entry", []):
                found[name_of(entry["resource"])] = entry["resource"]
            url = next((link["url"] for link in page["link"]
                        if link["relation"] == "next"), None)
        return found

    def begin_export(self, level="", **parameters):
        """The URL of the job; level: as Patient or Group/id."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        status, headers, answer = self.ask(
            "GET", f"{level}/$export?{query}".lstrip("/"),
            Prefer="respond-async")
        assert status == 202, answer
        return headers["Content-Location"]

    def end_export(self, job):
        """(manifest, resources by name), once the job has ended."""
        end = time.monotonic() + PATIENCE
        while True:
            status, _, manifest = self.ask("GET", job)
            if status != 202:
                break
            assert time.monotonic() < end
            time.sleep(PAUSE)
        assert status == 200, manifest
        found = {}
        for item in manifest["output"]:
            status, _, text = self.ask("GET", item["url"],
                                       Accept="application/fhir+ndjson")
            assert status == 200, text
            for line in [text] if isinstance(text, dict) else map(
                    model.parse, text.decode().splitlines()):
                found[name_of(line)] = line
        return manifest, found

    def clear(self, types):
        for type in types:
            self.delete(*self.read(type))


def content_of(answer):
    text = answer.read()
    try:
        found = model.parse(text)
    except ValueError:
        found = text
    return answer.status, answer.headers, found


def name_of(resource):
    return f"{resource['resourceType']}/{resource['id']}"


class World:
    """Builds synthetic resources, whose ids begin with the mark.

    Ids are not used again: for HAPI the patients of a group whose ids were
    once deleted stay so for a while.
    """

    def __init__(self, mark):
        self.mark = mark

    def patient(self, number, **members):
        return {"resourceType": "Patient", "id": f"{self.mark}-p{number}",
                "identifier": [{"system": "urn:mrn", "value": f"{number}"}],
                "active": number % 7 != 0,
                "name": [{"family": f"Åsen {number % 97}"}],
                "gender": "female" if number % 2 else "male",
                "birthDate": f"{1930 + number % 90}-01-{1 + number % 28:02}",
                **members}

    def reference(self, number):
        return {"reference": name_of(self.patient(number))}

    def condition(self, number, patient, **members):
        """patient: whose it is."""
        return {"resourceType": "Condition", "id": f"{self.mark}-c{number}",
                "subject": self.reference(patient),
                "code": {"text": f"Tilstand {number} – æøå"}, **members}

    def observation(self, number, patient, **members):
        return {"resourceType": "Observation", "id": f"{self.mark}-o{number}",
                "status": "final", "subject": self.reference(patient),
                "code": {"text": "vekt"},
                "valueQuantity": {"value": upstream.number(f"{number}.50"),
                                  "unit": "kg"}, **members}

    def group(self, numbers):
        return {"resourceType": "Group", "id": f"{self.mark}-g",
                "type": "person", "actual": True, "member": [
                    {"entity": self.reference(number)} for number in numbers]}

    def guidelines(self, number):
        """One of each of the three types."""
        key = f"{self.mark}-{number}"
        for resource in (upstream.plan(key, key, f"{self.mark}-{number + 1}"),
                         upstream.activity(key), upstream.authorization(key)):
            # What a server sets itself, and what is no FHIR.
            yield {name: value for name, value in resource.items()
                   if name not in ("meta", "articleNumbers")}
