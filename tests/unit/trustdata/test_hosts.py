"""Hosts: one spelling in names, one in credentials, and patterns that fit what names are spelled like."""

from __future__ import annotations

import pytest

from trustcli.registry.reference import parse_reference
from trustdata.collection_patterns import is_pattern, meant_pattern
from trustdata.hosts import DOCKER_HUB, HUB_HOSTS, address_group, has_one_spelling, normal_host, same_host

_SPELLINGS = [
    # given, in names, for credentials
    ("docker.io", "docker.io", "docker.io"),
    ("Index.Docker.io", "docker.io", "docker.io"),
    ("registry-1.docker.io", "registry-1.docker.io", "docker.io"),
    ("R.example", "r.example", "r.example"),
    ("r.example:443", "r.example", "r.example"),
    ("r.example:5000", "r.example:5000", "r.example:5000"),
    ("LOCALHOST:443", "localhost", "localhost"),
    ("registry:443", "registry:443", "registry"),
]


@pytest.mark.parametrize(("given", "normal", "same"), _SPELLINGS)
def test_spellings(given: str, normal: str, same: str) -> None:
    assert normal_host(given) == normal
    assert normal_host(normal) == normal
    assert same_host(given) == same
    assert same_host(normal) == same


@pytest.mark.parametrize(("given", "normal", "_"), _SPELLINGS)
def test_a_pattern_is_one_that_a_name_can_fit(given: str, normal: str, _: str) -> None:
    gun = parse_reference(f"{given}/team/app").gun
    assert gun == f"{normal}/team/app"
    assert is_pattern(gun)
    assert is_pattern(f"{normal}/team/*")
    assert is_pattern(f"{given}/team/*") is (given == normal)


@pytest.mark.parametrize(
    ("host", "is_plain"),
    [
        ("r.example", True),
        ("r.example:5000", True),
        ("r.example:0443", False),
        ("r.example:0", False),
        ("r5.example5", True),
        ("r.5", False),
        ("127.0.0.1", True),
        ("127.0.0.1:5000", True),
        ("127.0.0.1:05000", False),
        ("127.1", False),
        ("0177.0.0.1", False),
        ("2130706433:5000", False),
        ("0x7f000001:5000", False),
        ("[::1]", True),
        ("[::1]:5000", True),
        ("[::1]:05000", False),
        ("[0::1]", False),
        ("[::ffff:7f00:1]", False),
        ("[::ffff:127.0.0.1]", False),
        ("[x]", False),
        ("localhost", True),
    ],
)
def test_which_spelling_of_a_host_is_the_plain_one(host: str, *, is_plain: bool) -> None:
    assert has_one_spelling(host) is is_plain


def test_docker_hub_has_several_names() -> None:
    assert {same_host(host) for host in HUB_HOSTS} == {DOCKER_HUB}
    assert not is_pattern("docker.io/alpine")
    assert is_pattern("docker.io/library/alpine")


@pytest.mark.parametrize("host", ["registry.example.com", "localhost", "127.0.0.1:5000", "docker.io", "docker.io/"])
def test_a_host_alone_is_no_pattern_since_no_image_has_that_name(host: str) -> None:
    assert not is_pattern(host)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("R.example.com/team/*", "r.example.com/team/*"),
        ("r.example.com/team/a*", "r.example.com/team/*"),
        ("r.example.com:443/team/app", "r.example.com/team/app"),
        ("https://r.example.com/team/app:1.0", "r.example.com/team/app"),
        ("docker://r.example.com/app@sha256:ab", "r.example.com/app"),
        ("r.example.com:5000*", "r.example.com:5000/*"),
        ("r.example.com", "r.example.com/*"),
        ("localhost:5000", "localhost:5000/*"),
        ("docker.io", "docker.io/*"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("docker.io/nginx*", "docker.io/*"),
        ("index.docker.io/corp/*", "docker.io/corp/*"),
        ("alpine", "docker.io/library/alpine"),
        ("alpine:3.20", "docker.io/library/alpine"),
        ("team/*", "docker.io/team/*"),
        ("team/app:1", "docker.io/team/app"),
        ("alpine*", ""),
        ("r.example.com/*/app", ""),
        ("*.example.com/app", ""),
        ("**", ""),
        ("/", ""),
        ("", ""),
    ],
)
def test_what_may_have_been_meant_by_what_is_no_pattern(text: str, meant: str) -> None:
    assert meant_pattern(text) == (f"; did you mean {meant}?" if meant else "")


def test_addresses_of_one_customer_are_counted_together() -> None:
    assert address_group("2001:db8:0:1::5") == address_group("2001:db8:0:1:ffff::9") == "2001:db8:0:1::/64"
    assert address_group("2001:db8:0:2::5") != address_group("2001:db8:0:1::5")
    assert address_group("::ffff:192.0.2.1") == address_group("192.0.2.1") == "192.0.2.1"
    assert address_group("fe80::1%eth0") == "fe80::/64"
    assert address_group("no:address") == "no:address"
