"""One root of trust for all names of a team: a pattern that is pinned to a root key, in both formats."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser

Begin = Callable[..., str]

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

MEMBER = {"tuf": "keyid", "notary": "notary_keyid"}
"""The id of a root key in each format, in `trust key list --json`."""


@pytest.fixture
def sign(put: Put) -> Callable[..., str]:
    """`sign(user, NAME, format)` makes a collection with one tag, 1.0, and returns the digest."""

    def begun(user: TrustUser, name: str, wire: str = "tuf") -> str:
        user.run("init", name, "--no-recovery-key", "--format", wire)
        image = put("1.0", repository=name)
        user.run("sign", f"{name}:1.0")
        return image.digest

    return begun


def root_key(user: TrustUser, wire: str) -> str:
    rows = user.run("--json", "key", "list").document()["keys"]
    return str(next(row[MEMBER[wire]] for row in rows if row["purpose"] == "root"))


@pytest.mark.parametrize("wire", ["tuf", "notary"])
def test_one_pin_for_what_there_is_and_what_will_be(wire: str, people: People, gun: str, sign: Begin) -> None:
    owner = people("owner")
    for name in ("a", "b"):
        digest = sign(owner, f"{gun}/{name}", wire)
    reader = people("reader")
    pinned = reader.run("--json", "pin", f"{gun}/*", f"key:{root_key(owner, wire)}").document()
    assert pinned["pattern"] == f"{gun}/*"
    for name in ("a", "b"):
        assert reader.run("verify", f"{gun}/{name}:1.0").stdout.strip() == f"{gun}/{name}@{digest}"
    found = reader.run("doctor", f"{gun}/a", expect=None).stdout
    assert f"is pinned to key:{root_key(owner, wire)} by {gun}/*" in found

    audited = reader.run("--json", "audit", "--all").document()["collections"]
    assert [row["gun"] for row in audited] == [f"{gun}/a", f"{gun}/b"]
    reader.run("expiring").said("nothing runs out within", "in 2 collections")

    # What is made later is trusted without another word; what somebody else makes there is not, with --tofu either.
    reader.run("verify", f"{gun}/later:1.0", expect=3).said("has no trust data")
    sign(owner, f"{gun}/later", wire)
    reader.run("verify", f"{gun}/later:1.0")
    mallory = people("mallory")
    sign(mallory, f"{gun}/evil", wire)
    refused = reader.run("--json", "verify", f"{gun}/evil:1.0", "--tofu", expect=4).document()
    assert refused["images"][0]["error"]["code"] == "root-not-pinned"
    assert f"{gun}/*" in refused["images"][0]["error"]["details"]["pin_source"]
    reader.run("verify", f"{gun}:1.0", expect=None).said(f"{gun}:1.0")
    assert reader.run("--json", "pins").document()["pins"] == []


def test_a_name_s_own_pin_and_a_narrower_pattern_count_alone(people: People, gun: str, sign: Begin) -> None:
    owner, guest = people("owner"), people("guest")
    for user, name in ((owner, "team/a"), (guest, "team/guests/b"), (guest, "team/c")):
        sign(user, f"{gun}/{name}")
    reader = people("reader")
    reader.run("pin", f"{gun}/team/*", f"key:{root_key(owner, 'tuf')}")
    reader.run("pin", f"{gun}/team/guests/*", f"key:{root_key(guest, 'tuf')}")
    reader.run("verify", f"{gun}/team/a:1.0", f"{gun}/team/guests/b:1.0")
    reader.run("verify", f"{gun}/team/c:1.0", expect=4)
    reader.knows(f"{gun}/team/c", guest.pin_of(f"{gun}/team/c"))
    reader.run("verify", f"{gun}/team/c:1.0")
    listed = reader.run("pins").stdout.splitlines()
    assert [line.split("\t")[0] for line in listed] == [f"{gun}/team/c", f"{gun}/team/*", f"{gun}/team/guests/*"]
    commands = reader.run("pins", "--as", "commands").stdout.splitlines()
    assert commands[1] == f"trust pin '{gun}/team/*' key:{root_key(owner, 'tuf')}"
    assert reader.run("pins", "--as", "names").stdout.split() == [f"{gun}/team/c"]


def test_another_key_replaces_the_first_only_on_purpose(people: People, gun: str, sign: Begin) -> None:
    owner, reader = people("owner"), people("reader")
    sign(owner, f"{gun}/a")
    key, other = root_key(owner, "tuf"), "cd" * 32
    reader.run("pin", f"{gun}/*", f"key:{key}")
    reader.run("pin", f"{gun}/*", f"key:{key}")
    reader.run("verify", f"{gun}/a:1.0")
    reader.run("pin", f"{gun}/*", f"key:{other}", expect=4).said(other, "disagree")
    reader.run("verify", f"{gun}/a:1.0")
    reader.run("pin", f"{gun}/*", f"key:{other}", "--replace")
    reader.run("verify", f"{gun}/a:1.0", expect=4)
    reader.run("pin", f"{gun}/*", f"key:{key}", "--replace")
    reader.run("verify", f"{gun}/a:1.0")


def test_a_root_that_the_pattern_would_refuse_is_not_made(people: People, gun: str) -> None:
    owner, member = people("owner"), people("member")
    owner.run("init", f"{gun}/a", "--no-recovery-key")
    key = root_key(owner, "tuf")
    member.run("pin", f"{gun}/*", f"key:{key}")
    for plan in ([], ["--plan"]):
        member.run("init", f"{gun}/b", "--no-recovery-key", *plan, expect=2).said(
            f"{gun}/*", "is not in the store here"
        )
    assert member.key_files() == {}, "no key is made for it"
    owner.run("key", "generate", "spare", "--purpose", "root")
    owner.run("pin", f"{gun}/*", f"key:{key}")
    wrong = ["init", f"{gun}/b", "--no-recovery-key", "--root-key", "spare"]
    owner.run(*wrong, expect=2).said(f"name it: --root-key {key}")
    there = root_key(owner, "notary")
    other = ["init", f"{gun}/n", "--no-recovery-key", "--root-key", key, "--format", "notary"]
    owner.run(*other, expect=2).said(f"the id of that key in the other format; in this one it is {there}")
    owner.run("init", f"{gun}/b", "--no-recovery-key", "--root-key", key)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["*", "key:" + "ab" * 32], "no pattern of names"),
        (["*.example.com/*", "key:" + "ab" * 32], "no pattern of names"),
        (["registry.example.com/te*", "key:" + "ab" * 32], "no pattern of names"),
        (["registry.example.com/team/*", "sha256:" + "ab" * 32], "a root file belongs to one collection"),
        (["registry.example.com/team/*", "key:" + "ab" * 32, "--format", "tuf"], "leave them out"),
        (["registry.example.com/team/*", "key:" + "ab" * 32, "--named", "example.com/x"], "leave them out"),
    ],
)
def test_what_is_no_pattern_of_names(words: list[str], said: str, people: People) -> None:
    reader = people("reader")
    reader.run("pin", *words, expect=2).said(said)
    assert not (reader.home / "pins.toml").exists()
