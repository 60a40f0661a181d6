from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustcli.registry.reference import parse_reference
from trustdata.digest import parse_digest
from trustdata.errors import InvalidName

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("alpine", "docker.io/library/alpine"),
        ("alpine:3.20", "docker.io/library/alpine:3.20"),
        ("team/app", "docker.io/team/app"),
        ("docker.io/alpine", "docker.io/library/alpine"),
        ("index.docker.io/alpine", "docker.io/library/alpine"),
        ("Docker.IO/library/alpine", "docker.io/library/alpine"),
        ("docker.io:443/alpine", "docker.io/library/alpine"),
        ("localhost/app", "localhost/app"),
        ("LOCALHOST/app", "localhost/app"),
        ("localhost:443/app", "localhost/app"),
        ("registry.example.com/app", "registry.example.com/app"),
        ("Registry.Example.COM:443/app:V1", "registry.example.com/app:V1"),
        ("registry:5000/a/b/c:x", "registry:5000/a/b/c:x"),
        ("registry:443/app", "registry:443/app"),
        ("FOO:443/app", "foo:443/app"),
        ("host:5000", "docker.io/library/host:5000"),
        ("[::1]:5000/app:1", "[::1]:5000/app:1"),
        ("[2001:DB8::1]/app", "[2001:db8::1]/app"),
        ("[::1]:443/app", "[::1]/app"),
        ("127.0.0.1:5000/app", "127.0.0.1:5000/app"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}"),
        (f"r.example/app:1.0@{DIGEST}", f"r.example/app:1.0@{DIGEST}"),
        ("app:_", "docker.io/library/app:_"),
        ("sha256:v1", "docker.io/library/sha256:v1"),
        ("docker.io/library/sha256:ab", "docker.io/library/sha256:ab"),
        ("app:" + "x" * 128, "docker.io/library/app:" + "x" * 128),
        ("a__b/c---d/e.f", "docker.io/a__b/c---d/e.f"),
    ],
)
def test_normal_forms(text: str, normal: str) -> None:
    reference = parse_reference(text)
    assert str(reference) == normal
    assert reference.given == text
    assert parse_reference(normal) == reference


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", ""),
        ("App", "lower-case"),
        ("team/App:1", "lower-case"),
        ("registry.example.com/Team/app", "repository Team/app must be lower-case"),
        ("FOO/bar", "lower-case"),
        ("NO NAME", "Docker's grammar"),
        ("https://registry.example.com/app", "scheme"),
        (HEX, "image id"),
        (DIGEST, "image id"),
        ("sha256:0123456789ab", "image id"),
        (f"sha256:{HEX}@{DIGEST}", "image id"),
        (f"sha512:{HEX * 2}", "image id"),
        ("registry.example.com/", ""),
        ("/app", ""),
        ("a//b", ""),
        ("a/../b", ""),
        ("a/%2f/b", ""),
        ("a b", ""),
        ("app:", ""),
        ("app:-x", ""),
        ("app:" + "x" * 129, "128"),
        ("app:a:b", ""),
        ("app@", ""),
        (f"app@{DIGEST}@{DIGEST}", ""),
        (f"app@sha256:{HEX.upper()}", "lower-case"),
        (f"app@sha256:{HEX[1:]}", ""),
        (f"app@sha512:{HEX * 2}", "sha256"),
        (f"app@{DIGEST}\n", ""),
        ("app\n", ""),
        ("app:1\n", ""),
        ("äpp", ""),
        ("r.example/" + "x" * 250, "255"),
        ("[::1/app", ""),
        ("[::1]", ""),
        ("[::g]/app", ""),
        ("host:99999999/app", ""),
        ("user@host.example/app", ""),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidName) as caught:
        parse_reference(text)
    assert reason in str(caught.value)


def test_parts() -> None:
    reference = parse_reference(f"registry.example.com:5000/team/app:1.0@{DIGEST}")
    assert reference.host == reference.registry_host == "registry.example.com:5000"
    assert reference.repository == "team/app"
    assert (reference.tag, reference.digest) == ("1.0", DIGEST)
    hub = parse_reference("alpine")
    assert (hub.host, hub.registry_host, hub.repository) == ("docker.io", "registry-1.docker.io", "library/alpine")
    assert (hub.tag, hub.digest) == (None, None)


def test_digests() -> None:
    assert parse_digest(DIGEST) == DIGEST
    with pytest.raises(InvalidName):
        parse_digest(HEX)


hosts = st.from_regex(
    r"[A-Za-z0-9]{1,8}(\.[A-Za-z0-9]{1,8})?(:(443|[0-9]{1,5}))?|\[[0-9a-fA-F:]{2,8}\](:443)?", fullmatch=True
)
paths = st.from_regex(r"[a-z0-9]{1,5}((\.|_|__|-+)[a-z0-9]{1,5})?(/[a-z0-9]{1,5}){0,3}", fullmatch=True)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)


@settings(deadline=None, max_examples=40)
@given(
    host=st.none() | hosts,
    path=paths,
    tag=st.none() | tags,
    digest=st.none() | st.just(DIGEST),
)
def test_the_normal_form_parses_to_the_same(host: str | None, path: str, tag: str | None, digest: str | None) -> None:
    text = (f"{host}/" if host else "") + path + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    with suppress(InvalidName):
        reference = parse_reference(text)
        again = parse_reference(str(reference))
        assert again == reference
        assert str(again) == str(reference)
        assert (reference.tag, reference.digest) == (tag, digest)
        assert reference.gun == reference.gun.lower()


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_parses_or_is_refused(text: str) -> None:
    with suppress(InvalidName):
        reference = parse_reference(text)
        assert parse_reference(str(reference)) == reference
