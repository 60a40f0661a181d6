"""Keys in tokens: every case on real tokens of SoftHSM2, each in a process of its own."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from tests.support.softhsm import SoftHsm


@pytest.fixture
def hsm(tmp_path: Path) -> SoftHsm:
    return SoftHsm(tmp_path / "hsm")


@pytest.fixture
def one(hsm: SoftHsm) -> SoftHsm:
    hsm.make("one")
    return hsm


@pytest.mark.parametrize(
    "case",
    [
        "a_pin_for_each_signature",
        "after_a_fork",
        "keys_that_do_not_fit",
        "names_and_ids",
        "no_such_token",
        "refused_in_the_middle",
        "sixteen_threads",
        "wrong_pin",
    ],
)
def test_on_one_token(one: SoftHsm, case: str) -> None:
    one.run(case)


@pytest.mark.parametrize("case", ["a_token_that_was_added_meanwhile", "removed_in_the_middle", "what_a_token_refuses"])
def test_on_a_token_that_comes_and_goes(one: SoftHsm, case: str) -> None:
    one.run(case, str(one.tokens))


def test_every_algorithm_also_for_certificates_that_openssl_verifies(one: SoftHsm, tmp_path: Path) -> None:
    certificates = one.run("every_algorithm").split()
    assert len(certificates) == 3
    for number, certificate in enumerate(certificates):
        file = tmp_path / f"{number}.pem"
        file.write_bytes(base64.b64decode(certificate))
        subprocess.run(
            ["openssl", "verify", "-check_ss_sig", "-CAfile", file, file], check=True, capture_output=True, timeout=60
        )


def test_two_tokens_of_one_label_are_told_apart_by_serial_number(one: SoftHsm) -> None:
    first = next(one.tokens.iterdir()).name.replace("-", "")[-16:]
    one.run("two_tokens_of_one_label", first, one.make("one"))


def test_tls_of_the_process_goes_on(one: SoftHsm, tmp_path: Path) -> None:
    one.run("tls_after_it", str(tmp_path))


def test_no_token(hsm: SoftHsm) -> None:
    hsm.run("none_at_all")


def test_a_pin_in_a_file(one: SoftHsm, tmp_path: Path) -> None:
    one.run("pin_in_a_file", str(tmp_path / "pin"))


def test_processes_that_log_in_at_once(one: SoftHsm) -> None:
    one.run("many_processes", "4")
