"""The certificate of a door: what is served when it expires, and what its operator is told."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.certificates import FAR_AWAY, Authority, make_authority
from trustcli.hooks.proxy.metrics import ProxyMetrics
from trustcli.hooks.serving.certificate import ReloadedCertificate

END = datetime(2026, 6, 1, tzinfo=UTC)


class Files:
    """A certificate and its key, both in one file that is replaced; `at`: what time it is."""

    def __init__(self, folder: Path) -> None:
        self.at = END - timedelta(days=1)
        self.file = folder / "tls.pem"
        self._folder = folder
        self._authority: Authority = make_authority(folder)
        self.issue(END)

    def issue(self, until: datetime) -> None:
        host = f"h{until:%Y%m%d}.example"
        self._authority.server_context(self._folder, host=host, until=until)
        (self._folder / f"server-{host}-{until:%Y}.pem").replace(self.file)

    def served(self) -> ReloadedCertificate:
        return ReloadedCertificate(self.file, self.file, at=lambda: self.at)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_an_expiry_is_told_once(files: Files, log: pytest.LogCaptureFixture) -> None:
    tls = files.served()
    assert tls.expiry() == END.timestamp()
    before = tls()
    assert (tls.why_expired, log.text) == ("", "")
    files.at = END
    assert tls() is tls() is before, "clients can say why they refuse it"
    assert tls.why_expired == f"the certificate in {files.file} expired on 2026-06-01T00:00:00Z: clients refuse it"
    assert log.messages == [f"{tls.why_expired}; renew it, and it is read again"]


def test_one_that_has_expired_at_the_start_is_told_and_renewed(files: Files, log: pytest.LogCaptureFixture) -> None:
    files.at = END
    tls = files.served()
    before = tls()
    assert len(log.messages) == 1
    files.issue(END - timedelta(days=2))
    assert tls() is not before, "of two that have expired, the one that is there"
    files.issue(FAR_AWAY)
    tls()
    assert tls.why_expired == ""
    files.at = FAR_AWAY
    tls()
    assert sum("clients refuse it" in line for line in log.messages) == 3, "each is told for itself"


def test_one_that_has_expired_does_not_replace_one_that_counts(files: Files, log: pytest.LogCaptureFixture) -> None:
    tls = files.served()
    before = tls()
    files.issue(END - timedelta(days=2))
    assert tls() is tls() is before
    assert tls.why_expired == ""
    (told,) = log.messages
    assert told == f"{files.file} cannot be used: expired on 2026-05-30T00:00:00Z; the certificate of before serves on"


def test_the_metric_says_when_the_file_expires(files: Files) -> None:
    tls, metrics = files.served(), ProxyMetrics()
    assert b"certificate" not in metrics.text()
    metrics.watch_certificate(tls.expiry)
    assert _shown(metrics) == END.timestamp()
    files.file.unlink()
    assert _shown(metrics) == 0


def _shown(metrics: ProxyMetrics) -> float:
    (line,) = [line for line in metrics.text().splitlines() if line.startswith(b"trust_proxy_certificate_")]
    return float(line.split()[-1])
