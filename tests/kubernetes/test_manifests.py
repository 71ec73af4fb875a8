"""The examples for Kubernetes: as its schema has them, and with each other.

No cluster is asked.  What a schema does not know (names that one resource gives
and another one uses, the Pod Security Standard "restricted") is looked up here.
"""
import pathlib

import kubernetes_validate
import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "kubernetes"
# The oldest one that the examples name, and the newest one that is known.
VERSIONS = ("1.31", kubernetes_validate.latest_version())
# The Secrets that the comments in the files tell one to make.
MADE_BY_HAND = {"nompd-upstream", "nompd-api-keys"}


def load():
    """(file, resource) of all there is."""
    return [(file.name, resource)
            for file in sorted(FOLDER.glob("*.yaml"))
            for resource in yaml.safe_load_all(file.read_text("utf-8"))]


RESOURCES = load()
NAMES = [f"{file}-{resource['kind']}" for file, resource in RESOURCES]


def of_kind(kind):
    return [resource for _, resource in RESOURCES if resource["kind"] == kind]


def pods():
    """(name, template) of every pod there will be."""
    return ([(job["metadata"]["name"],
              job["spec"]["jobTemplate"]["spec"]["template"])
             for job in of_kind("CronJob")] +
            [(deployment["metadata"]["name"], deployment["spec"]["template"])
             for deployment in of_kind("Deployment")])


PODS = pods()
CONTAINERS = [(f"{name}-{container['name']}", template["spec"], container)
              for name, template in PODS
              for container in template["spec"]["containers"]]
each_pod = pytest.mark.parametrize("template", [pod for _, pod in PODS],
                                   ids=[name for name, _ in PODS])
each_container = pytest.mark.parametrize(
    "pod,container", [found[1:] for found in CONTAINERS],
    ids=[name for name, *_ in CONTAINERS])


def matches(selector, template):
    labels = template["metadata"]["labels"].items()
    return selector["matchLabels"].items() <= labels


def test_all_is_there():
    kinds = sorted(resource["kind"] for _, resource in RESOURCES)
    assert kinds == ["CronJob", "Deployment", "NetworkPolicy",
                     "NetworkPolicy", "PersistentVolumeClaim", "Service"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("resource", [found for _, found in RESOURCES],
                         ids=NAMES)
def test_schema(resource, version):
    """No member that Kubernetes does not know, either."""
    kubernetes_validate.validate(resource, version, strict=True)


@each_pod
def test_pod_is_restricted(template):
    spec = template["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    context = spec["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert not any("hostPath" in volume for volume in spec["volumes"])


@each_container
def test_container_is_restricted(pod, container):
    context = container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    user = context.get("runAsUser", pod["securityContext"].get("runAsUser"))
    assert user >= 10000
    assert container["resources"]["limits"]["memory"]


@each_container
def test_image_is_of_this_version(pod, container):
    """And is a target of the Containerfile."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    version = makefile.split("\nVERSION\t= ")[1].splitlines()[0]
    name, tag = container["image"].rsplit("/", 1)[1].split(":")
    assert tag == version
    assert f" AS {name}\n" in (ROOT / "Containerfile").read_text("utf-8")


@each_container
def test_secrets_are_mounted(pod, container):
    """Never variables; read-only, and for the group alone."""
    for variable in container.get("env", []):
        assert "valueFrom" not in variable
        assert not variable["name"].endswith(("_KEY", "_PASSWORD", "_SECRET"))
    assert "envFrom" not in container
    secrets = {volume["name"]: volume["secret"] for volume in pod["volumes"]
               if "secret" in volume}
    assert {secret["secretName"] for secret in secrets.values()
            } <= MADE_BY_HAND
    for secret in secrets.values():
        assert secret["defaultMode"] == 0o440
    for mount in container["volumeMounts"]:
        if mount["name"] in secrets:
            assert mount["readOnly"] is True


@each_container
def test_paths_are_mounted(pod, container):
    """What a variable names lies in a volume: the root is read-only."""
    mounts = {mount["mountPath"]: mount["name"]
              for mount in container["volumeMounts"]}
    assert set(mounts.values()) <= {volume["name"]
                                    for volume in pod["volumes"]}
    for variable in container.get("env", []):
        path = variable["value"].removeprefix("sqlite:")
        if path.startswith("/"):
            assert any(path == mount or path.startswith(f"{mount}/")
                       for mount in mounts), variable


@each_pod
def test_every_volume_is_used(template):
    spec = template["spec"]
    used = {mount["name"] for container in spec["containers"]
            for mount in container["volumeMounts"]}
    assert used == {volume["name"] for volume in spec["volumes"]}
    claims = {claim["metadata"]["name"]
              for claim in of_kind("PersistentVolumeClaim")}
    for volume in spec["volumes"]:
        if "persistentVolumeClaim" in volume:
            assert volume["persistentVolumeClaim"]["claimName"] in claims


def test_deployment_and_service_find_the_pods():
    deployment, = of_kind("Deployment")
    service, = of_kind("Service")
    template = deployment["spec"]["template"]
    assert matches(deployment["spec"]["selector"], template)
    assert matches({"matchLabels": service["spec"]["selector"]}, template)
    ports = {port["name"]: port["containerPort"]
             for container in template["spec"]["containers"]
             for port in container.get("ports", [])}
    assert service["spec"]["ports"][0]["targetPort"] in ports
    # The probes of nompd-serve go through the web server.
    for container in template["spec"]["containers"]:
        if container["name"] == "nompd-serve":
            for kind, path in (("liveness", "/health/live"),
                               ("readiness", "/health/ready")):
                probe = container[f"{kind}Probe"]["httpGet"]
                assert probe == {"path": path, "port": ports["http"]}


def test_a_run_is_near_the_service():
    job, = of_kind("CronJob")
    deployment, = of_kind("Deployment")
    spec = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    terms = spec["affinity"]["podAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"]
    assert matches(terms[0]["podAffinityTerm"]["labelSelector"],
                   deployment["spec"]["template"])


@each_pod
def test_every_pod_has_a_network_policy(template):
    found = [policy["spec"] for policy in of_kind("NetworkPolicy")
             if matches(policy["spec"]["podSelector"], template)]
    assert len(found) == 1
    assert set(found[0]["policyTypes"]) == {"Ingress", "Egress"}


def test_network_policies_are_for_pods():
    for policy in of_kind("NetworkPolicy"):
        assert any(matches(policy["spec"]["podSelector"], template)
                   for _, template in PODS)
