"""The manifests of docs/deploy/kubernetes: valid in three releases of Kubernetes, built by kubectl, and closed."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import typer
import yaml
from cryptography import x509

from tests.support.cluster_api import empty_cluster, resource_of
from tests.support.programs import program
from tests.support.proxies import DEPLOY
from trustcli.client.policy_file import load_policy
from trustcli.commands.hook.command import app
from trustcli.config.settings import load_hook_settings
from trustcli.hooks.kubernetes.pod_images import POD_SPECS

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

MANIFESTS: Final = DEPLOY / "kubernetes"
RELEASES: Final = ("1.31", "1.34", "1.37")
Manifest = dict[str, Any]
OURS: Final = "content-trust"


def _documents(text: str) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(text) if document]


def written() -> Iterator[Manifest]:
    """Every object that the kustomization names, as its file has it."""
    for name in _kustomization()["resources"]:
        yield from _documents((MANIFESTS / name).read_text())


def _kustomization() -> Manifest:
    (found,) = _documents((MANIFESTS / "kustomization.yaml").read_text())
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """What `kubectl apply -k` sends, after the operator's edit of the CA."""
    folder = tmp_path_factory.mktemp("kubernetes") / "edited"
    shutil.copytree(MANIFESTS, folder)
    bundle = folder / "ca-bundle.yaml"
    bundle.write_text(bundle.read_text().replace('value: ""', f'value: "{base64.b64encode(b"PEM").decode()}"'))
    command = [program("kubectl"), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return _documents(done.stdout)


def only(documents: list[Manifest], kind: str) -> Manifest:
    (found,) = [document for document in documents if document["kind"] == kind]
    return found


def webhooks(documents: list[Manifest]) -> list[Manifest]:
    return [each for document in documents if "webhooks" in document for each in document["webhooks"]]


@pytest.mark.parametrize("release", RELEASES)
def test_each_object_is_one_of_three_releases(release: str) -> None:
    documents = list(written())
    assert len(documents) == 9
    for document in documents:
        assert kubernetes_validate.validate(document, release, strict=True) == release, document["kind"]


def test_the_check_sees_what_is_wrong() -> None:
    document = only(list(written()), "Deployment")
    document["spec"]["replica"] = document["spec"].pop("replicas")
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(document, RELEASES[0], strict=True)


@pytest.mark.parametrize("release", RELEASES)
def test_what_kubectl_builds_is_valid_too(built: list[Manifest], release: str) -> None:
    assert len(built) == 10
    for document in built:
        assert kubernetes_validate.validate(document, release, strict=True) == release, document["kind"]


def test_kubectl_takes_it(built: list[Manifest], tmp_path: Path) -> None:
    file = tmp_path / "built.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": built}))
    with empty_cluster((document["apiVersion"], document["kind"]) for document in built) as server:
        command = [program("kubectl"), "apply", "--dry-run=client", "--validate=false", "--server", server]
        command += ["-f", str(file)]
        done = subprocess.run(
            command, env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=60
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" created (dry run)") == len(built)


def test_what_is_built_belongs_together(built: list[Manifest]) -> None:
    service, deployment = only(built, "Service"), only(built, "Deployment")
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= labels
    for selecting in (deployment["spec"], only(built, "PodDisruptionBudget")["spec"]):
        assert selecting["selector"]["matchLabels"].items() <= labels
    assert only(built, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items() <= labels
    (container,) = template["spec"]["containers"]
    assert "@sha256:" in container["image"]
    named = {volume["configMap"]["name"] for volume in template["spec"]["volumes"] if "configMap" in volume}
    assert named == {only(built, "ConfigMap")["metadata"]["name"]}
    assert set(only(built, "ConfigMap")["data"]) == {"trust.toml", "policy.toml", "pins.toml"}
    for webhook in webhooks(built):
        client = webhook["clientConfig"]
        assert base64.b64decode(client["caBundle"]) == b"PEM"
        assert client["service"]["name"] == service["metadata"]["name"]
        assert client["service"]["namespace"] == only(built, "Namespace")["metadata"]["name"] == OURS
        assert client["service"]["port"] == service["spec"]["ports"][0]["port"]
    assert {document["metadata"].get("namespace", OURS) for document in built} == {OURS}


def test_every_place_of_an_image_is_intercepted_and_no_deletion() -> None:
    for webhook in webhooks(list(written())):
        sent = {
            (group, version, resource)
            for rule in webhook["rules"]
            for group in rule["apiGroups"]
            for version in rule["apiVersions"]
            for resource in rule["resources"]
        }
        wanted = {(kind.group, kind.version, resource_of(kind.kind)) for kind in POD_SPECS}
        pods = {("", "v1", "pods"), ("", "v1", "pods/ephemeralcontainers")}
        mutates = webhook["clientConfig"]["service"]["path"] == "/mutate"
        assert sent == (pods if mutates else wanted | pods)
        assert {tuple(rule["operations"]) for rule in webhook["rules"]} == {("CREATE", "UPDATE")}


def test_nothing_that_users_set_exempts_and_nothing_passes_when_we_are_down() -> None:
    found = webhooks(list(written()))
    assert {webhook["clientConfig"]["service"]["path"] for webhook in found} == {"/validate", "/mutate"}
    for webhook in found:
        assert webhook["failurePolicy"] == "Fail"
        assert webhook["matchPolicy"] == "Equivalent"
        assert webhook["sideEffects"] == "None"
        assert webhook["admissionReviewVersions"] == ["v1"]
        assert webhook["namespaceSelector"] == {
            "matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [OURS, "kube-system"]}
            ]
        }
        assert not webhook.keys() & {"objectSelector", "matchConditions"}


def test_the_pods_have_no_right_that_they_do_not_need() -> None:
    documents = list(written())
    deployment = only(documents, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert deployment["spec"]["replicas"] == 2
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "podAntiAffinity" in pod["affinity"]
    assert only(documents, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert not [document for document in documents if "Role" in document["kind"]]


def test_its_command_line_is_one() -> None:
    (container,) = only(list(written()), "Deployment")["spec"]["template"]["spec"]["containers"]
    program_file, group, command, *options = container["command"]
    assert (program_file, group, command) == ("/opt/content-trust/bin/trust", "hook", "admission")
    parser = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    values = parser.make_context(command, options).params
    assert values["require_digests"] is True
    mounted = {Path(mount["mountPath"]) for mount in container["volumeMounts"]}
    for name in ("tls_cert", "tls_key", "config", "policy", "state"):
        assert mounted & {values[name], values[name].parent}, name


def test_the_settings_are_some(tmp_path: Path) -> None:
    folder = tmp_path / "settings"
    shutil.copytree(MANIFESTS / "settings", folder)
    settings = load_hook_settings({}, config=folder / "trust.toml", state=None)
    assert settings.servers == {"registry.example.com": "https://trust.example.com"}
    (rule,) = load_policy(folder / "policy.toml").rules
    assert rule.max_staleness is not None


def test_the_lines_of_the_guide_make_the_certificate_before_they_stop_who_makes_it(tmp_path: Path) -> None:
    guide = (DEPLOY.parent / "guides" / "kubernetes.md").read_text(encoding="utf-8")
    found = re.search(r"```sh\n(   trust hook admission .*?)```", guide, re.DOTALL)
    assert found is not None
    script = "".join(line for line in found[1].splitlines(keepends=True) if "kubectl" not in line)
    folder = shutil.copytree(MANIFESTS, tmp_path / "admission")
    known = {name: value for name, value in os.environ.items() if not name.startswith("TRUST_")}
    environ = known | {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=environ, capture_output=True, text=True, check=True)
    assert base64.b64decode(done.stdout) == (folder / "own" / "tls" / "ca.crt").read_bytes()
    certificate = x509.load_pem_x509_certificate((folder / "own" / "tls" / "server.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "trust-admission.content-trust.svc" in names.get_values_for_type(x509.DNSName)
