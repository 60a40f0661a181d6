"""What is advised after a failure, where the advice depends on the error."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulator.home import Home
from tests.simulator.repository import APP, RepositorySimulator
from trustcli.console.failure_table import advice_pinned_by_key, row_for
from trustcli.errors import CertificateRefused
from trustdata.errors import NotSigned, RootNotNamed, TooLarge
from trustdata.verification.trust_pinning import Pin
from trustdata.wire.tuf import TUF


@pytest.mark.parametrize(("recorded", "ends"), [(True, " --replace; "), (False, "; ")])
def test_only_a_recorded_pin_is_replaced(ends: str, *, recorded: bool) -> None:
    """The name of the source does not count: a policy may be called pins.toml."""
    error = RootNotNamed(
        gun="r.example/app", pin="key:aa", pin_source="/policies/pins.toml", found="sha256:bb", pin_recorded=recorded
    )
    assert f"then: trust pin r.example/app sha256:bb{ends}its owner" in row_for(error).advice(error)
    assert "then: trust --home '/a {b}' pin r.example" in advice_pinned_by_key(error, trust="trust --home '/a {b}'")
    assert "pin_recorded" not in error.details()


def test_pins_toml_has_the_recorded_pins(tmp_path: Path) -> None:
    recorded, given = Pin("key", "a" * 64), Pin("key", "b" * 64)
    home = Home(tmp_path, RepositorySimulator())
    home.session().record_pin(APP, recorded, "pin", TUF)
    known = home.session(pin=str(given)).known_pins(APP)
    assert {pinned.pin: pinned.recorded for pinned in known} == {recorded: True, given: False}


def test_it_is_no_advice_about_anything_else() -> None:
    assert advice_pinned_by_key(NotSigned(gun="r.example/app", tag="1.0")) == ""


@pytest.mark.parametrize(
    ("remote", "folder"),
    [
        ("https://t.example.com", "t.example.com:443"),
        ("https://t.example.com:4443", "t.example.com:4443"),
        ("https://[::1]", "[::1]:443"),
        ("https://[::1]:4443", "[::1]:4443"),
    ],
)
def test_a_private_ca_is_put_where_it_is_looked_for(remote: str, folder: str) -> None:
    error = CertificateRefused(remote=remote, reason="unknown issuer")
    assert f"copy it to ~/.docker/tls/{folder}/ca.crt (" in row_for(error).advice(error)


def test_what_is_too_large_has_a_way_out_for_both_sides() -> None:
    error = TooLarge(what="targets metadata", limit=1)
    assert "tell its operator" in row_for(error).advice(error)
    assert "several names" in row_for(error).advice(error)
