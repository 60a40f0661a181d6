"""Key URIs as text: what is one, what is refused by name, and that no PIN is shown."""

from __future__ import annotations

import pytest

from keys.errors import KeySchemeUnknown, KeyUriMalformed
from keys.uris.uri import absolute_path, decoded, is_key_uri, shown_uri, split_uri


@pytest.mark.parametrize(
    "text", ["pkcs11:object=a", "PKCS11:object=a", "exec:/x", "file:/x", "awskms:alias/x", "hv:k/1"]
)
def test_what_is_meant_as_a_uri(text: str) -> None:
    assert is_key_uri(text)


@pytest.mark.parametrize("text", ["alice.pub", "./pkcs11:x", "keys/a:b", "ci:1.key", "pkcs11", ":x", ""])
def test_what_is_the_name_of_a_file(text: str) -> None:
    assert not is_key_uri(text)


def test_the_scheme_is_read_in_any_case() -> None:
    assert split_uri("EXEC:/bin/x") == ("exec", "/bin/x")


@pytest.mark.parametrize("scheme", ["gnupg", "hsm", "sigstore", "tkey", "yubikey", "x-new"])
def test_a_kind_that_is_not_known_is_refused_by_name(scheme: str) -> None:
    with pytest.raises(KeySchemeUnknown, match=f"kind {scheme}: are not known here; known are file:, pkcs11:, exec:"):
        split_uri(f"{scheme}:alias/x")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("alice.pub", "does not begin with a scheme"),
        ("exec:/a b", "' ' in it is written as %20"),
        ("exec:/\xe4", "is written as %C3%A4"),
        ("exec:/a%2", "followed by no two hex digits"),
        ("exec:/a%zz", "%zz is followed by no two hex digits; a percent sign itself is %25"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, reason: str) -> None:
    with pytest.raises(KeyUriMalformed) as caught:
        split_uri(text)
    assert reason in str(caught.value)


def test_percent_signs_are_utf8_without_nul() -> None:
    assert decoded("a%C3%A4%25", uri="exec:/x") == "a\xe4%"
    for part in ("%ff", "a%00b"):
        with pytest.raises(KeyUriMalformed):
            decoded(part, uri="exec:/x")


@pytest.mark.parametrize(
    ("part", "path"), [("/a/b", "/a/b"), ("///a/b", "/a/b"), ("/a%20b", "/a b"), ("/a//b", "/a//b")]
)
def test_paths(part: str, path: str) -> None:
    assert absolute_path(part, uri="file:x", what="it") == path


@pytest.mark.parametrize("part", ["", "a/b", "./a", "//host/a", "~/a"])
def test_a_path_that_depends_on_where_one_is_is_refused(part: str) -> None:
    with pytest.raises(KeyUriMalformed, match="it is an absolute path"):
        absolute_path(part, uri="file:x", what="it")


def test_a_pin_is_not_shown_and_nothing_else_is_left_out() -> None:
    assert shown_uri("pkcs11:a=b?PIN-value=1234&module-path=/x;pin-value=99") == (
        "pkcs11:a=b?PIN-value=...&module-path=/x;pin-value=..."
    )
    assert shown_uri("exec:\x1b[2J") == r"exec:\x1b[2J"
    longest = "exec:/" + "a" * 294
    assert shown_uri(longest) == longest
    assert shown_uri(longest + "a" * 5000) == f"{longest}..."
