"""What is advised after a failure, where the advice depends on the error."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keys.backup.errors import SharesUnsupported
from keys.error_record import about
from keys.errors import KeyNotAuthorised, KeysError, KeySupportMissing
from keys.extras import how_to_install
from tests.simulator.home import Home
from tests.simulator.repository import APP, RepositorySimulator
from trustcli.config.global_options import GlobalOptions
from trustcli.config.settings import load_settings
from trustcli.console.failure_table import advice_pinned_by_key, row_for
from trustcli.console.token_advice import advice_library_missing
from trustcli.doctor.failing import failed
from trustcli.errors import CertificateRefused, RemoteRefused
from trustcli.registry.reference import parse_reference
from trustdata.errors import (
    InvalidName,
    MetadataExpired,
    NoTrustData,
    NotSigned,
    PublishRefused,
    RootNotNamed,
    TooLarge,
    TrustDataWithheld,
    TrustError,
)
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
        ("https://t.example.com:4443/path", "t.example.com:4443"),
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


_WITH_SCHEME = "write it with its scheme: https://{0} (a server without TLS: http://{0})"


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("trust.example.com", _WITH_SCHEME.format("trust.example.com")),
        ("htp://trust.example.com/a", _WITH_SCHEME.format("trust.example.com/a")),
        ("http://t.example.com:80/tuf/?x=1", "write it so: http://t.example.com:80/tuf"),
        ("https://t.example.com/#top", "write it so: https://t.example.com"),
        (
            "https://me:secret@t.example.com",
            "write it so: https://t.example.com; who asks there is said with: trust login https://t.example.com",
        ),
        ("http://t.example.com:99999", ""),
        ("http://", ""),
        ("http://a b", ""),
    ],
)
@pytest.mark.parametrize("source", ["--server", "TRUST_SERVER"])
def test_an_address_that_is_none_is_shown_whole_with_its_source_and_how_to_write_it(
    tmp_path: Path, given: str, advice: str, source: str
) -> None:
    variables = {"HOME": str(tmp_path), source: given}
    options = GlobalOptions(server=given if source == "--server" else None)
    settings = load_settings(options, variables, interactive=False)
    home = Home(tmp_path, RepositorySimulator())
    with pytest.raises(InvalidName) as caught:
        home.session(server=settings.server, server_source=settings.server_source).link(APP)
    assert str(caught.value).startswith(f"'{given.replace('me:secret', '...')}' is no valid trust server: ")
    assert str(caught.value).endswith(f" (it was given by {source})")
    assert row_for(caught.value).advice(caught.value) == advice


def test_an_image_is_written_without_its_scheme() -> None:
    with pytest.raises(InvalidName) as caught:
        parse_reference("https://r.example/app:1")
    assert row_for(caught.value).advice(caught.value) == "write it without its scheme: r.example/app:1"


@pytest.mark.parametrize(
    ("status", "page", "words"),
    [
        (400, False, "see whether the path belongs to the address; without it: https://t.example"),
        (404, True, "whether the path belongs to it (without it: https://t.example)"),
    ],
)
def test_a_path_in_the_address_may_be_what_is_wrong(status: int, words: str, *, page: bool) -> None:
    at_path = RemoteRefused(remote="https://t.example/tuf", status=status, reason="no", page=page)
    assert words in row_for(at_path).advice(at_path)
    alone = RemoteRefused(remote="https://t.example", status=status, reason="no", page=page)
    assert "the path" not in row_for(alone).advice(alone)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("IP address mismatch, certificate is not valid for '10.9.0.1' (for localhost)", "use a name or address that"),
        ("certificate has expired (for t.example)", "set the clock here, if it is wrong"),
        ("certificate is not yet valid", "set the clock here, if it is wrong"),
        ("unable to get local issuer certificate", "a private CA: --cacert FILE or TRUST_CACERT"),
    ],
)
def test_a_ca_is_named_only_where_one_would_help(said: str, words: str) -> None:
    error = CertificateRefused(remote="https://t.example", reason=f"its certificate is refused: {said}")
    assert row_for(error).advice(error).startswith(words)


_AT = "https://t.example:4443"
_LOGIN = "trust login t.example:4443"


def _lacking(subject: object, right: object, **others: Any) -> RemoteRefused:
    details = {"subject": subject, "right": right}
    return RemoteRefused(remote=_AT, status=403, reason="no", server_details=details, login=_LOGIN, **others)


_ASK = f"ask an administrator of {_AT} for the right"
_WHOAMI = "trust whoami r.example/app says what you may do there"
_OTHERWISE = f"{_WHOAMI}; as somebody else: {_LOGIN}"
_DOCTOR = "trust doctor r.example/app says what is wrong"
_ADMINISTRATOR = "an administrator of the trust server"


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            _lacking("token:ci", "delete"),
            f"{_ASK} delete (trust-server access explain token:ci r.example/app says there why); {_OTHERWISE}",
        ),
        (_lacking("anonymous", "push"), f"{_LOGIN}, with an account that has the right push; {_WHOAMI}"),
        *(
            (_lacking(odd, "push"), f"{_ASK} push; {_OTHERWISE}")
            for odd in ("user:a; rm -rf ~", "user:$(id)", "--help", 7, None, "user:a\nb")
        ),
        *(
            (_lacking("user:a", odd), f"{_LOGIN}, with an account that may do this on {_AT}; {_DOCTOR}")
            for odd in ("", "push; rm -rf ~", "Push", 7, None)
        ),
        (
            RemoteRefused(remote=_AT, status=403, reason="no", server_code="token-refused", login=_LOGIN),
            (
                f"compare the job with what {_ADMINISTRATOR} has in its access file for it: issuer, audience and "
                "claims; each token counts once, for some minutes: for another one, start the job anew"
            ),
        ),
        (
            RemoteRefused(
                remote=_AT,
                status=403,
                reason="no",
                server_details={"reason": "the client certificate of CN=dave is no [[certificate]] of this server"},
                login=_LOGIN,
            ),
            (
                f"ask an administrator of {_AT} for a [[certificate]] of this subject in the access file; "
                f"without this certificate: {_LOGIN}"
            ),
        ),
        (RemoteRefused(remote=_AT, status=401, reason="no; nothing was stored", login=""), ""),
        (
            RemoteRefused(remote="https://r.example", status=403, reason="no"),
            f"docker login, with an account that may do this on https://r.example; {_DOCTOR}",
        ),
    ],
)
def test_who_is_not_let_in_learns_who_grants_what(error: RemoteRefused, advice: str) -> None:
    """What stands in a command to copy is a subject or right in form, whatever the server says."""
    with pytest.raises(RemoteRefused), about("r.example/app"):
        raise error
    assert row_for(error).advice(error) == advice
    assert "login" not in error.details()


_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_ABOUT_A_NAME: list[TrustError | KeysError] = [
    RemoteRefused(remote="https://t.example", status=401, reason="no"),
    RemoteRefused(remote="https://t.example", status=404, reason="no", page=True),
    MetadataExpired(role="targets", version=1, expires=_NOON, at=_NOON),
    KeyNotAuthorised(key="for targets"),
    PublishRefused(role="targets", reason="no"),
]


@pytest.mark.parametrize("error", _ABOUT_A_NAME, ids=lambda error: error.code)
def test_a_name_that_is_known_stands_in_the_advice(error: TrustError | KeysError) -> None:
    assert "NAME" in row_for(error).advice(error)
    with pytest.raises(type(error)), about("r.example/outer"), about("r.example/app"):
        raise error
    advice = row_for(error).advice(error)
    assert "r.example/app" in advice
    assert "NAME" not in advice
    assert "about" not in error.details()


def test_the_doctor_sends_nobody_to_the_doctor() -> None:
    others = NoTrustData(gun="r.example/app"), TrustDataWithheld(gun="r.example/app", known_by="here")
    for error in (*_ABOUT_A_NAME, *others):
        found = failed("collection", error)
        assert found.remedy
        assert "trust doctor" not in found.remedy
        assert "  " not in found.remedy


@pytest.mark.parametrize(
    ("kind", "name", "advice"),
    [
        ("registry", "docker://r.example", "write it with its scheme: https://r.example (a server without TLS: http"),
        ("registry", "http://me:secret@r.example/x", "write it so: http://r.example/x"),
        ("proxy", "r.example:5000", "write it with its scheme: https://r.example:5000 (a"),
        ("proxy", "https://r.example", ""),
        ("pin", "sha256:HEX", "its publisher has it: trust init printed it"),
        ("collection name", "https://r.example/a", "write it without its scheme: r.example/a"),
        ("token realm", "https://r.example/a", ""),
        ("redirect", "ftp://r.example/a", ""),
    ],
)
def test_what_is_no_image_is_not_written_like_one(kind: str, name: str, advice: str) -> None:
    error = InvalidName(kind=kind, name=name, reason="is none")
    found = row_for(error).advice(error)
    assert found.startswith(advice)
    assert bool(found) is bool(advice)
    assert "trust login" not in found


@pytest.mark.parametrize(
    ("error", "extra"),
    [
        (lambda: KeySupportMissing(scheme="pkcs11", library="python-pkcs11", extra="content-trust[pkcs11]"), "pkcs11"),
        (lambda: SharesUnsupported(place="shares", library="segno", command=how_to_install("shares")), "shares"),
    ],
)
def test_nobody_is_told_to_install_a_library_where_there_is_no_python(
    error: Callable[[], KeysError], extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert row_for(error()).advice(error()) == how_to_install(extra)
    assert extra in how_to_install(extra)
    monkeypatch.setattr("sys.frozen", True, raising=False)
    advice = row_for(error()).advice(error())
    assert advice.startswith("this build for machines without Python has no such library")
    assert advice.endswith(f": sh install.sh --extras {extra} FOLDER, in the folder of the source")
    assert advice_library_missing(NotSigned(gun="r.example/app", tag="1.0")) == ""
