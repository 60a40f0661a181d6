"""Hosts: one spelling in names, one in credentials, and patterns that fit what names are spelled like."""

from __future__ import annotations

import pytest

from trustcli.registry.reference import parse_reference
from trustdata.collection_patterns import is_pattern
from trustdata.hosts import DOCKER_HUB, HUB_HOSTS, normal_host, same_host

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


def test_docker_hub_has_several_names() -> None:
    assert {same_host(host) for host in HUB_HOSTS} == {DOCKER_HUB}
    assert not is_pattern("docker.io/alpine")
    assert is_pattern("docker.io/library/alpine")
