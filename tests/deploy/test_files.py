"""What can be found out about deploy/ without an engine that runs containers."""

from __future__ import annotations

import http.server
import re
import subprocess
import sys
import threading
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml
from tests.deploy.programs import DEPLOY

from unbroken.server import safety
from unbroken.server.safety.finding import Verdict
from unbroken.server.settings import Settings, load

if TYPE_CHECKING:
    from pathlib import Path

MANIFESTS = sorted(DEPLOY.glob("kubernetes/*.yaml"))
COMPOSE = sorted(DEPLOY.glob("compose/*.yaml"))


def documents(path: Path) -> list[Any]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document is not None]


def pods(path: Path) -> list[Any]:
    return [
        document["spec"]["template"]["spec"] for document in documents(path) if "template" in document.get("spec", {})
    ]


def services(path: Path) -> dict[str, Any]:
    return dict(documents(path)[0]["services"])


def seconds(text: str) -> float:
    (number,) = re.findall(r"^(\d+)s$", text)
    return float(number)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_kubernetes_knows_every_field_of_the_manifests(path):
    for document in documents(path):
        kubernetes_validate.validate(document, "1.34", strict=True)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_no_container_may_do_more_than_serve(path):
    for pod in pods(path):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False, "a service named unbroken sets UNBROKEN_PORT to a URL"
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_pod_has_longer_to_stop_than_the_platform_takes(path):
    for pod in pods(path):
        assert pod["terminationGracePeriodSeconds"] > Settings().stop_timeout_s + 5


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_every_volume_that_is_mounted_is_there(path):
    for document in documents(path):
        pod = document.get("spec", {}).get("template", {}).get("spec")
        if pod is None:
            continue
        there = {volume["name"] for volume in pod["volumes"]}
        there |= {claim["metadata"]["name"] for claim in document["spec"].get("volumeClaimTemplates", [])}
        mounted = {
            mount["name"]
            for container in [*pod["containers"], *pod.get("initContainers", [])]
            for mount in container["volumeMounts"]
        }
        assert mounted == there


def test_the_litestream_of_kubernetes_is_that_of_the_file():
    (configured,) = (
        document["data"]["litestream.yml"]
        for document in documents(DEPLOY / "kubernetes" / "embedded.yaml")
        if document["kind"] == "ConfigMap"
    )
    assert yaml.safe_load(configured) == yaml.safe_load((DEPLOY / "litestream.yml").read_text())


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_every_image_of_a_compose_file_has_a_version(path):
    for name, service in services(path).items():
        assert re.search(r":v?\d+\.\d+", service["image"]), name


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_a_compose_file_lets_the_platform_write_to_its_data_only(path):
    platforms = [service for service in services(path).values() if service["image"].startswith("unbroken:")]
    assert platforms
    for service in platforms:
        assert service["image"].startswith(f"unbroken:{version('unbroken')}")
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "ports" not in service, "whoever reaches the platform must come through the proxy"
        assert service["networks"] == ["inside"]
        assert seconds(service["stop_grace_period"]) > Settings().stop_timeout_s


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_every_secret_of_a_compose_file_comes_from_outside(path):
    example = (DEPLOY / "compose" / "example.env").read_text()
    asked = set(re.findall(r"\$\{(\w+)[:}]", path.read_text()))
    assert asked <= set(re.findall(r"^(\w+)=", example, re.MULTILINE))


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_every_volume_and_file_of_a_compose_file_is_there(path):
    whole = documents(path)[0]
    for name, service in whole["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in whole["volumes"] or (path.parent / source).exists(), (name, source)


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_a_platform_of_compose_believes_its_own_network_and_no_other(path):
    (inside,) = documents(path)[0]["networks"]["inside"]["ipam"]["config"]
    for service in services(path).values():
        if service["image"].startswith("unbroken:"):
            assert service["environment"]["UNBROKEN_TRUSTED_PROXIES"] == inside["subnet"]


@pytest.mark.parametrize("path", [*COMPOSE, *MANIFESTS], ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_platform_is_served_with_the_settings_of_the_file(path):
    for given in environments(path):
        settings = load({"UNBROKEN_HOST": "0.0.0.0"} | given)
        findings = list(safety.examine(settings, is_lab=False))
        assert [finding for finding in findings if finding.verdict is Verdict.PROBLEM] == []
        assert not {finding.check for finding in findings if finding.verdict is Verdict.WARNING} & {"proxies", "limits"}


def environments(path: Path) -> list[dict[str, str]]:
    """What is set for each platform, as far as it stands in the file."""
    if path in COMPOSE:
        platforms = [service for service in services(path).values() if service["image"].startswith("unbroken:")]
        return [{name: str(value) for name, value in service["environment"].items()} for service in platforms]
    containers = [container for pod in pods(path) for container in pod["containers"] if container["name"] == "unbroken"]
    return [
        {each["name"]: each["value"] for each in container["env"] if "value" in each}
        | ({"UNBROKEN_ROLE": container["args"][-1]} if "--role" in container["args"] else {})
        for container in containers
    ]


def test_a_service_of_systemd_has_as_many_files_as_a_container():
    """A connection is a file, and systemd allows 1,024: beyond that callers are hung up on, and no log says why."""
    page = (DEPLOY.parent / "docs" / "how-to" / "run-as-a-service.md").read_text()
    (allowed,) = re.findall(r"^LimitNOFILE=(\d+)$", page, re.MULTILINE)
    for path in COMPOSE:
        given = [service["ulimits"]["nofile"] for service in services(path).values() if "ulimits" in service]
        assert set(given) == {int(allowed)}


def test_every_node_of_the_payload_log_syncs_before_it_answers():
    configuration = (DEPLOY / "nats.conf").read_text()
    assert re.search(r"^  sync_interval: always$", configuration, re.MULTILINE)


def test_the_image_copies_only_files_that_are_not_ignored():
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    kept = set(re.findall(r"^!(.+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE))
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE) for word in line.split()[:-1]
    }
    assert copied == kept
    assert all((DEPLOY.parent / name).exists() for name in copied)


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_ends_as_the_platform_says(status, code):
    class Platform(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.path == "/health/ready"
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Platform) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        assert check_health(server.server_port) == code
        answering.join()


def test_the_health_check_fails_where_nothing_listens():
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        port = server.server_port
    assert check_health(port) == 1


def check_health(port):
    done = subprocess.run(
        [sys.executable, str(DEPLOY / "healthcheck.py")], env={"UNBROKEN_PORT": str(port)}, check=False
    )
    return done.returncode
