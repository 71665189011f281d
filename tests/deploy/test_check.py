"""What `make check` says of Kubernetes resources that are wrong; that ours are right it says itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from deploy.check import problems
from ser.version import VERSION

ROOT = Path(__file__).parents[2]
SOUND = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: x}}
spec:
  selector: {{matchLabels: {{a: b}}}}
  template:
    metadata: {{labels: {{a: b}}}}
    spec:
      securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
        - name: c
          image: ser-server:{VERSION}
          resources: {{requests: {{cpu: "1"}}}}
          securityContext:
            {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
          volumeMounts: [{{name: v, mountPath: /v}}]
      volumes: [{{name: v, emptyDir: {{}}}}]
"""


def test_what_is_sound_has_no_problem() -> None:
    assert list(problems(SOUND)) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("selector:", "selectors:", "'selector' is a required property"),
        ("mountPath: /v", "mountPaths: /v", "mountPath"),
        ("runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot"),
        ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "readOnlyRootFilesystem"),
        ("drop: [ALL]", "drop: [CHOWN]", "capabilities"),
        (f":{VERSION}", ":latest", f"expected an image of version {VERSION}, got ser-server:latest"),
        ("name: v, mountPath", "name: w, mountPath", "mounts volume w, which is not there"),
        ("emptyDir: {}", "persistentVolumeClaim: {claimName: gone}", "wants claim gone, which is not there"),
        ('requests: {cpu: "1"}', 'limits: {cpu: "1"}', "resource requests"),
    ],
)
def test_what_is_wrong_is_told(old: str, new: str, says: str) -> None:
    assert old in SOUND
    found = list(problems(SOUND.replace(old, new)))
    assert found
    assert any(says in problem for problem in found), found


SERVICE_MONITOR = (ROOT / "deploy" / "overlays" / "production" / "service-monitor.yaml").read_text()
INFERENCE_SERVICE = (ROOT / "deploy" / "kserve" / "inference-service.yaml").read_text()


@pytest.mark.parametrize(
    ("text", "old", "new", "says"),
    [
        (SERVICE_MONITOR, "interval: 15s", "intervals: 15s", "spec.endpoints.0: .*'intervals' was unexpected"),
        (SERVICE_MONITOR, "interval: 15s", "interval: often", "spec.endpoints.0.interval: 'often' does not match"),
        (SERVICE_MONITOR, "  selector:", "  selectors:", "spec: 'selector' is a required property"),
        (SERVICE_MONITOR, "com/v1", "com/v9", "no schema of monitoring.coreos.com/v9 ServiceMonitor"),
        (INFERENCE_SERVICE, "maxReplicas: 10", "maxReplica: 10", "spec.predictor: .*'maxReplica' was unexpected"),
        (INFERENCE_SERVICE, "minReplicas: 1", "minReplicas: few", "spec.predictor.minReplicas: 'few' is not of type"),
        (INFERENCE_SERVICE, "secretRef:", "secretsRef:", "containers.0.envFrom.0: .*'secretsRef' was unexpected"),
    ],
)
def test_a_wrong_field_of_a_custom_resource_is_told_by_name(text: str, old: str, new: str, says: str) -> None:
    assert list(problems(text)) == []
    assert old in text
    found = list(problems(text.replace(old, new, 1)))
    assert any(re.search(says, problem) for problem in found), found


def test_compose_has_the_images_of_this_version_and_opens_nothing_to_others() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert {name: service["image"].rpartition("}")[2] for name, service in services.items()} == {
        "server": f"ser-server:{VERSION}",
        "trainer": f"ser-training:{VERSION}",
    }
    assert all(port.startswith("127.0.0.1:") for port in services["server"]["ports"])
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in services.values())
