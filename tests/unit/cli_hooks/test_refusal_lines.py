"""What hooks say to do next: it is true, and whoever reads it can do it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from trustcli.console.exit_codes import POLICY, UNREACHABLE
from trustcli.errors import MemoryUnwritable, PolicyNotObtained, ReviewMalformed, VerdictTooLate
from trustcli.hooks.containerd_refusal import HookRequest, refusal_line
from trustcli.hooks.kubernetes.answer import refusal_of
from trustcli.late_verdict import late_line
from trustdata.errors import (
    DENIED,
    DIFFERENT_SERVERS,
    NO_RULE,
    InvalidName,
    PolicyMalformed,
    PolicyRefused,
    TagMismatch,
    TrustError,
)
from trustdata.gun import GUN

REQUEST = HookRequest(name="r.example.com/app:1", home=Path("/etc/content-trust"), settings=Path("/etc/t.toml"))


@pytest.mark.parametrize(
    ("reason", "is_of_the_policy"),
    [
        (NO_RULE, True),
        (DENIED, True),
        (f"{DIFFERENT_SERVERS}: https://a.example, https://b.example", True),
        ("alice has not signed 1", False),
    ],
)
def test_who_can_change_a_refusal_of_the_policy(reason: str, *, is_of_the_policy: bool) -> None:
    status, line = refusal_line(PolicyRefused(name="r.example.com/app", rule="p.toml", reason=reason), REQUEST)
    assert status == POLICY
    assert line.startswith(f"r.example.com/app is refused by p.toml: {reason}; next: ")
    assert ("next: only a change of the policy lets it run; " in line) is is_of_the_policy
    assert "trust --home /etc/content-trust explain r.example.com/app:1; " in line
    assert line.endswith("[verifier] allow in /etc/t.toml")


def test_a_full_disk_needs_room_and_a_folder_of_others_a_writer() -> None:
    for number, advice in ((errno.ENOSPC, "make room on the disk of /s"), (errno.EACCES, "make /s writable for the")):
        _, line = refusal_line(MemoryUnwritable(path="/s", reason=os.strerror(number)), REQUEST)
        assert f"; next: {advice}" in line


def test_an_advice_that_explains_does_it_with_the_files_of_the_hook_and_once() -> None:
    moved = TagMismatch(gun=GUN("r.example.com/app"), tag="1", asked="sha256:aa", signed="sha256:bb")
    _, line = refusal_line(moved, REQUEST)
    assert line.count("explain") == 1
    assert "; trust --home /etc/content-trust explain r.example.com/app:1 says who signed what" in line


@pytest.mark.parametrize(
    ("error", "next_step"),
    [
        (InvalidName(kind="tag", name="-", reason="is none"), "put the name of the image right"),
        (ReviewMalformed(place="request.kind", reason="is unknown"), "tell whoever runs the image admission"),
        (PolicyMalformed(source="p.toml", path="", reason="is not TOML"), "tell whoever runs the image admission"),
        (PolicyNotObtained(name="r/p:now", reason="is away"), "tell whoever runs the image admission"),
        (PolicyRefused(name="a", rule="p.toml", reason=NO_RULE), "name an image that the policy allows, or ask"),
    ],
)
def test_what_somebody_with_kubectl_can_do(error: TrustError, next_step: str) -> None:
    assert f"; next: {next_step}" in refusal_of("u", error).decode()


def test_a_verdict_that_is_late_is_told_in_the_same_words_without_loading_anything() -> None:
    late = VerdictTooLate(seconds=8, doing="asking the agent of this node")
    assert refusal_line(late, REQUEST) == (UNREACHABLE, late_line(8, late.doing))
