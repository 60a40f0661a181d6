"""The log of a run: who asks for it, what it looks like, and that it ends with the run."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest

from trustcli.config.global_options import extract
from trustcli.config.settings import load_settings
from trustcli.console.client_log import start_log
from trustcli.console.output import Output
from trustcli.errors import SettingsUnusable
from trustcli.http.connection import _without_query

LOG = logging.getLogger("trustcli.somewhere")


def level(*words: str, home: Path, **environ: str) -> str:
    options, _ = extract(["--home", str(home), *words])
    return load_settings(options, environ, interactive=False, folder=home).log


def test_it_is_off_unless_somebody_asks_for_it(tmp_path: Path) -> None:
    assert level(home=tmp_path) == level(home=tmp_path, TRUST_LOG="") == ""
    assert level("--verbose", home=tmp_path) == level("verify", "--verbose", home=tmp_path) == "info"
    assert level(home=tmp_path, TRUST_LOG="Debug") == level("--verbose", home=tmp_path, TRUST_LOG="debug") == "debug"
    with pytest.raises(SettingsUnusable, match="TRUST_LOG cannot be used: 'loud' is neither info nor debug"):
        level(home=tmp_path, TRUST_LOG="loud")


def test_lines_go_to_standard_error_and_what_is_foreign_is_escaped() -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    start_log("info", Output(stdout=stdout, stderr=stderr, as_json=True))
    try:
        LOG.info("a name: %s", "x\x1b[2K\ny")
        LOG.debug("not asked for")
        logging.getLogger("tuf.api").warning("of others")
    finally:
        start_log("", Output(stdout=stdout, stderr=stderr, as_json=True))
    LOG.info("after the end")
    assert (stdout.getvalue(), stderr.getvalue()) == ("", "info: a name: x\\x1b[2K\\ny\n")


def test_a_second_run_does_not_write_to_the_output_of_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    start_log("debug", Output(stdout=first, stderr=first, as_json=False))
    start_log("info", Output(stdout=second, stderr=second, as_json=False))
    try:
        LOG.debug("a request")
        LOG.info("a step")
    finally:
        start_log("", Output(stdout=first, stderr=first, as_json=False))
    assert (first.getvalue(), second.getvalue()) == ("", "info: a step\n")


def test_the_query_of_a_url_may_be_a_secret() -> None:
    assert _without_query("/blob?X-Signature=abc") == "/blob?..."
    assert _without_query("/v2/") == "/v2/"
