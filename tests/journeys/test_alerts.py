"""The alerts of docs/deploy as Prometheus reads them, about the metrics that the programs really have."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.programs import program
from tests.support.proxies import DEPLOY
from tests.support.server_site import Site
from trustcli.hooks.deciding.decision import Decision
from trustcli.hooks.deciding.distributed import Obtained
from trustcli.hooks.kubernetes.measures import Measures
from trustcli.hooks.proxy.metrics import ProxyMetrics
from trustcli.hooks.resident.metrics import ResidentMetrics
from trustcli.hooks.serving.messages import Response
from trustcli.state.kept_policy import KeptPolicy
from trustdata.errors import NotSigned
from trustdata.gun import parse_gun
from trustdata.policy import read_distributed

ALERTS = DEPLOY / "alerts.yml"
DAY = 86_400
HEALTHY = {
    'up{job="trust-server",instance="a"}': "1x120",
    'trust_server_writes_refused{instance="a"}': "0x120",
    'trust_server_clock_jumped{instance="a"}': "0x120",
    'trust_server_keys_unavailable{instance="a"}': "0x120",
    'trust_server_overlong_files_total{instance="a"}': "3x120",
    'trust_server_renewals_total{instance="a",outcome="failed"}': "5x120",
    'trust_server_renewals_total{instance="a",outcome="renewed"}': "5+1x120",
    'trust_server_seconds_to_expiry{instance="a",role="timestamp"}': f"{1.5 * DAY}x120",
    'trust_server_seconds_to_expiry{instance="a",role="snapshot"}': f"{40 * DAY}x120",
    'trust_server_seconds_to_expiry{instance="a",role="root"}': f"{90 * DAY}x120",
    'trust_server_seconds_to_expiry{instance="a",role="delegation"}': f"{31 * DAY}x120",
    'trust_server_seconds_to_expiry{instance="n",role="root"}': f"{9 * DAY}x120",
    'trust_server_seconds_to_expiry{instance="n",gun="r/app",role="root"}': f"{31 * DAY}x120",
    'trust_server_seconds_to_expiry{instance="n",gun="r/app",role="timestamp"}': f"{1.5 * DAY}x120",
    'trust_server_request_seconds_bucket{instance="a",kind="read",le="1.0"}': "0+100x120",
    'trust_server_request_seconds_bucket{instance="a",kind="read",le="2.5"}': "0+100x120",
    'trust_server_request_seconds_bucket{instance="a",kind="read",le="+Inf"}': "0+100x120",
    'trust_server_publishes_total{instance="a",outcome="stored"}': "0+600x120",
    'trust_server_publishes_total{instance="a",outcome="revision-moved"}': "0+600x120",
    'trust_server_publishes_total{instance="a",outcome="not-signed"}': "0+50x120",
    'up{job="trust-admission",instance="b"}': "1x120",
    'up{job="trust-admission",instance="c"}': "1x80 0x40",
    'trust_admission_reviews_total{instance="b",path="/validate",outcome="allowed"}': "0+60x120",
    'trust_admission_reviews_total{instance="b",path="/validate",outcome="refused"}': "0+2x120",
    'trust_admission_reviews_total{instance="b",path="/validate",outcome="failed"}': "2x120",
    'trust_admission_images_total{instance="b",outcome="allowed"}': "0+60x120",
    'trust_admission_images_total{instance="b",outcome="watched"}': "0+60x120",
    'trust_admission_images_total{instance="b",outcome="not-signed"}': "0+2x120",
    'trust_admission_images_total{instance="b",outcome="verdict-too-late"}': "1x120",
    'trust_admission_stale_images_total{instance="b"}': "4x120",
    'trust_admission_certificate_expiry_timestamp_seconds{instance="b"}': f"{30 * DAY}x120",
    'trust_admission_strangers_total{instance="b"}': "7x120",
    'up{job="trust-proxy",instance="p"}': "1x120",
    'up{job="trust-proxy",instance="q"}': "0x120",
    'trust_proxy_answers_total{instance="p",endpoint="manifests",status="200"}': "0+600x120",
    'trust_proxy_answers_total{instance="p",endpoint="manifests",status="502"}': "0+1x120",
    'trust_proxy_refusals_total{instance="p",code="not-signed"}': "0+2x120",
    'trust_proxy_turned_away{instance="p"}': "3x120",
    'up{job="trust-agent",instance="n"}': "1x120",
    'trust_configuration_usable{instance="n"}': "1x120",
    'trust_oldest_seconds{instance="n"}': "3600x120",
    'trust_decisions_total{job="trust-agent",instance="n",verdict="allowed",mode="enforce",stale="0"}': "0+9x120",
    'trust_decisions_total{job="trust-agent",instance="n",verdict="allowed",mode="enforce",stale="1"}': "4x120",
    'trust_decisions_total{job="trust-agent",instance="n",verdict="refused",mode="enforce",stale="1"}': "0+1x120",
    'trust_refusals_total{instance="n",code="not-signed"}': "0+5x120",
    'trust_refusals_total{instance="n",code="version-rollback"}': "2x120",
    'trust_distributed_policy_newest{instance="n"}': "1x120",
    'trust_distributed_policy_expiry_timestamp_seconds{instance="n"}': f"{2 * DAY}x120",
    'trust_proxy_certificate_expiry_timestamp_seconds{instance="p"}': f"{30 * DAY}x120",
}
"""Series of programs that are well, with a value each minute for two hours."""
FAULTS: Mapping[str, Mapping[str, str]] = {
    "TrustServerDown": {'up{job="trust-server",instance="a"}': "1x80 0x40"},
    "TrustServerRefusesWrites": {'trust_server_writes_refused{instance="a"}': "0x80 1x40"},
    "TrustServerClockJumped": {'trust_server_clock_jumped{instance="a"}': "0x80 1x40"},
    "TrustServerKeysUnavailable": {'trust_server_keys_unavailable{instance="a"}': "0x80 1x40"},
    "TrustServerSignedAhead": {'trust_server_overlong_files_total{instance="a"}': "3x80 4x40"},
    "TrustServerRenewalFails": {'trust_server_renewals_total{instance="a",outcome="failed"}': "5+1x120"},
    "TrustServerOnlineRoleRunsOut": {
        'trust_server_seconds_to_expiry{instance="a",role="timestamp"}': f"{DAY + 3600}-60x120"
    },
    "TrustServerOwnersRoleRunsOut": {
        'trust_server_seconds_to_expiry{instance="a",role="delegation"}': f"{30 * DAY - 1}x120"
    },
    "TrustServerCollectionRunsOut": {
        'trust_server_seconds_to_expiry{instance="n",gun="r/app",role="root"}': f"{30 * DAY - 1}x120"
    },
    "TrustServerCollectionExpired": {
        'trust_server_seconds_to_expiry{instance="n",gun="r/app",role="root"}': "0-60x120"
    },
    "TrustServerSlow": {'trust_server_request_seconds_bucket{instance="a",kind="read",le="1.0"}': "0+98x120"},
    "TrustServerRefusesUploads": {'trust_server_publishes_total{instance="a",outcome="not-signed"}': "0+70x120"},
    "TrustAdmissionDown": {'up{job="trust-admission",instance="b"}': "1x80 0x40"},
    "TrustAdmissionFails": {'trust_admission_reviews_total{instance="b",path="/validate",outcome="failed"}': "2+1x120"},
    "TrustAdmissionLate": {'trust_admission_images_total{instance="b",outcome="verdict-too-late"}': "1+1x120"},
    "TrustAdmissionStale": {'trust_admission_stale_images_total{instance="b"}': "4+1x120"},
    "TrustAdmissionRefuses": {'trust_admission_images_total{instance="b",outcome="not-signed"}': "0+6x120"},
    "TrustAdmissionCertificateRunsOut": {
        'trust_admission_certificate_expiry_timestamp_seconds{instance="b"}': f"{13 * DAY}x120"
    },
    "TrustAdmissionStrangers": {'trust_admission_strangers_total{instance="b"}': "7+1x120"},
    "TrustProxyDown": {'up{job="trust-proxy",instance="p"}': "1x80 0x40"},
    "TrustProxyFails": {'trust_proxy_answers_total{instance="p",endpoint="manifests",status="502"}': "0+3x120"},
    "TrustProxyFull": {'trust_proxy_turned_away{instance="p"}': "3+1x120"},
    "TrustProxyRefuses": {'trust_proxy_refusals_total{instance="p",code="not-signed"}': "0+6x120"},
    "TrustProxyCertificateRunsOut": {
        'trust_proxy_certificate_expiry_timestamp_seconds{instance="p"}': f"{13 * DAY}x120"
    },
    "TrustAgentDown": {'up{job="trust-agent",instance="n"}': "1x80 0x40"},
    "TrustVerifierUnusable": {'trust_configuration_usable{instance="n"}': "1x80 0x40"},
    "TrustVerifierOldData": {'trust_oldest_seconds{instance="n"}': "3600+60x120"},
    "TrustVerifierStale": {
        'trust_decisions_total{job="trust-agent",instance="n",verdict="allowed",mode="enforce",stale="1"}': "4+1x120"
    },
    "TrustVerifierDeceived": {'trust_refusals_total{instance="n",code="version-rollback"}': "2x80 3x40"},
    "TrustPolicyRunsOut": {'trust_distributed_policy_expiry_timestamp_seconds{instance="n"}': f"{DAY + 3600}x120"},
    "TrustPolicyOlder": {'trust_distributed_policy_newest{instance="n"}': "1x80 0x40"},
    "TrustPolicyMissing": {
        'trust_distributed_policy_expiry_timestamp_seconds{instance="n"}': f"{2 * DAY}x80 0x40",
        'trust_distributed_policy_newest{instance="n"}': "1x80 0x40",
    },
}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def promtool(*arguments: str) -> None:
    done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def of_the_verifiers() -> str:
    """The metrics of webhook, proxy and agent after something of each kind has happened."""
    resident, proxy = ResidentMetrics(), ProxyMetrics()
    proxy.watch_certificate(float)
    resident.decided(Decision.refused("app", parse_gun("r.example/app"), NotSigned(gun="r.example/app", tag="1")))
    resident.configured(None)
    at = datetime(2026, 12, 1, tzinfo=UTC)
    kept = KeptPolicy(digest="sha256:" + "a" * 64, text="", verified=at, fresh_until=at)
    resident.distributed = lambda: Obtained(policy=read_distributed({}, source="d"), kept=kept)
    proxy.answered("manifests", Response(status=502))
    proxy.refused("not-signed")
    return (Measures().text() + proxy.text() + resident.text()).decode()


def test_each_alert_asks_for_metrics_and_labels_that_there_are() -> None:
    site = Site(named_expiries=1)
    site.begin()
    page = site.get("/metrics").text + of_the_verifiers()
    for rule in rules():
        for name, label in re.findall(r"\b(trust_\w+)(?:\{(\w+))?", rule["expr"]):
            base = re.sub("_(bucket|total)$", "", name)
            assert re.search(rf"^# TYPE {base}(_total)? ", page, re.MULTILINE), rule["alert"]
            assert not label or re.search(rf"^{name}{{.*\b{label}=", page, re.MULTILINE) or label == "outcome"
    assert {rule["alert"] for rule in rules()} == set(FAULTS)


@pytest.mark.parametrize("fault", ["", *FAULTS])
def test_each_fault_has_its_alert_and_no_other(fault: str, tmp_path: Path) -> None:
    series = {**HEALTHY, **FAULTS.get(fault, {})}
    firing = [{"labels": f'{{alertname="{fault}"}}', "value": 1}] if fault else []
    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "119m",
                "exp_samples": firing,
            }
        ],
    }
    test = tmp_path / "test.yml"
    test.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [case]}))
    promtool("check", "rules", str(ALERTS))
    promtool("test", "rules", str(test))
