"""`trust explain` with the real programs: whom it asked and why, and the alarm when the registry's tag has moved."""

from __future__ import annotations

import shutil

import pytest

from tests.support.images import BuiltImage
from tests.support.stage import OTHER_DIGEST, People, Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def test_a_trusted_image_from_the_server_to_the_registry(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    owner.run("key", "rotate", "root", gun)
    told = owner.run("explain", f"{gun}:1.0")
    host = gun.partition("/")[0]
    for sentence in (
        f"trusted: {gun}@{begun.digest}",
        f"{owner.environ['TRUST_SERVER']} (TRUST_SERVER)",
        f"({owner.home / 'pins.toml'}): matches root version 1",
        "(1 of 2 needed), and by",
        "; current, expires ",
        "seen before",
        f"1.0 is {begun.digest} (a manifest of {len(begun.raw)} bytes), by targets",
        f"{host} serves {begun.digest} under this tag, as signed",
        "expires: refused from then on, unless the server has issued a newer one",
    ):
        assert sentence in told.stdout, f"{told}\nlacks: {sentence}"
    assert told.stderr == ""
    row = owner.run("--json", "explain", f"{gun}:1.0").document()["explanation"]
    assert (row["trusted"], row["digest"], row["registry"]["diverges"]) == (True, begun.digest, False)
    assert [root["version"] for root in row["roots"]] == [1, 2]


def test_the_server_s_choice_is_told(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    url = owner.environ.pop("TRUST_SERVER")
    (owner.home / "trust.toml").write_text(f'[servers]\n"{gun.partition("/")[0]}" = "{url}"\n')
    chosen = owner.run("--json", "explain", f"{gun}:1.0").document()["explanation"]["server"]
    assert chosen["url"] == url
    assert chosen["source"] == f'"{gun.partition("/")[0]}" under [servers] in {owner.home / "trust.toml"}'
    given = owner.run("--json", "--server", url, "explain", f"{gun}:1.0").document()["explanation"]["server"]
    assert given["source"] == "--server"


def test_the_divergence_alarm(owner: TrustUser, gun: str, begun: BuiltImage, put: Put) -> None:
    moved = put("1.0", text="something else")
    told = owner.run("explain", f"{gun}:1.0").said(
        f"warning: {gun}:1.0: {gun.partition('/')[0]} serves {moved.digest} under this tag, which is not what is signed"
    )
    assert f"trusted: {gun}@{begun.digest}" in told.stdout
    assert "DIVERGES" in told.stdout
    assert owner.run("verify", f"{gun}:1.0").stdout == f"{gun}@{begun.digest}\n"
    quiet = owner.run("explain", "--offline", f"{gun}:1.0")
    assert "registry " not in quiet.stdout
    assert "(not asked (--offline))" in quiet.stdout


def test_refusals_have_verify_s_status_and_say_where_it_broke(
    owner: TrustUser, people: People, gun: str, begun: BuiltImage
) -> None:
    stranger = people("stranger")
    for user, status, place, arguments in (
        (stranger, 4, "the pins", (f"{gun}:1.0",)),
        (owner, 3, "the release", (f"{gun}:9",)),
        (owner, 4, "the release", (f"{gun}:1.0@{OTHER_DIGEST}",)),
        (owner, 5, "the signers asked for", ("--signer", "alice", f"{gun}:1.0")),
        (owner, 6, "the request to the trust server", ("--server", "http://127.0.0.1:1", f"{gun}:1.0")),
        (owner, 2, "the command line and settings", ("UPPER",)),
        (TrustUser(owner.folder, ""), 2, "the command line and settings", ("alpine",)),
    ):
        told = user.run("explain", *arguments, expect=status)
        verified = user.run("verify", *arguments, expect=status)
        assert f"refused at {place}: " in told.stdout.partition("\n")[0], str(told)
        assert told.stderr == verified.stderr
        assert verified.stdout == ""
    owner.run("explain", "--max-age", "1h", f"{gun}:1.0", expect=2).said("--max-age bounds --offline")
    owner.run("explain", expect=2)


def test_nothing_but_what_verify_writes_is_written(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    other = TrustUser(owner.folder.parent / "copy", owner.environ["TRUST_SERVER"])
    shutil.copytree(owner.home, other.home)
    owner.run("verify", f"{gun}:1.0")
    other.run("explain", f"{gun}:1.0")
    files = {file.relative_to(owner.home) for file in owner.home.rglob("*")}
    assert {file.relative_to(other.home) for file in other.home.rglob("*")} == files
    assert (other.home / "pins.toml").read_bytes() == (owner.home / "pins.toml").read_bytes()
