"""Keys that live elsewhere: a root in SoftHSM2 through its whole life, signers in tokens and behind commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from keys.algorithms import generate
from tests.support.signing_command import command_for
from tests.support.softhsm import MODULE, PIN, QUERY, SoftHsm
from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser
from trustcli.api import Trust

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TOKEN: Final = f"pkcs11:token=vault{QUERY}"


@pytest.fixture
def hsm(tmp_path: Path) -> SoftHsm:
    made = SoftHsm(tmp_path / "hsm")
    made.make("vault")
    return made


@pytest.fixture
def holder(owner: TrustUser, hsm: SoftHsm) -> TrustUser:
    """Who has the token, and its PIN."""
    owner.environ |= hsm.environ
    return owner


def rows_of(user: TrustUser) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = user.run("--json", "key", "list").document()["keys"]
    return rows


def uri_of(user: TrustUser, name: str) -> str:
    return str(next(row["uri"] for row in rows_of(user) if row["name"] == name))


@pytest.mark.parametrize(
    "kind",
    [
        "tuf ecdsa-p256",
        "tuf ed25519",
        "notary ecdsa-p256",
        "notary ecdsa-p384",
        pytest.param("notary rsa", marks=pytest.mark.long),
    ],
)
def test_root_and_repository_key_in_a_token(holder: TrustUser, people: People, gun: str, put: Put, kind: str) -> None:
    wire, algorithm = kind.split()
    image = put("1.0")
    for name, purpose, of in (("main", "root", ""), ("next", "root", ""), ("repo", "targets", gun)):
        made = holder.run(
            *("key", "generate", name, "--purpose", purpose, "--algorithm", algorithm, "--at", TOKEN),
            *(("--collection", of) if of else ()),
        )
        assert "at pkcs11:token=vault;serial=" in made.stdout
    assert b"PRIVATE" not in b"".join(holder.key_files().values())
    holder.run("init", gun, "--root-key", "main", "--no-recovery-key", "--format", wire)
    reader = people("reader")
    reader.knows(gun, holder.pin_of(gun))
    holder.run("sign", f"{gun}:1.0")
    assert reader.run("verify", f"{gun}:1.0").stdout.strip() == f"{gun}@{image.digest}"
    assert '"met": true' in holder.run("--json", "key", "rotate", "root", gun, "--key", "next", "--plan").stdout.lower()
    holder.run("key", "rotate", "root", gun, "--key", "next")
    holder.run("key", "rotate", "timestamp", gun)
    holder.run("key", "rotate", "targets", gun)
    holder.run("renew", gun, "--all")
    holder.run("sign", f"{gun}:1.0@{image.digest}")
    reader.run("verify", f"{gun}:1.0")
    rows = {row["name"]: row for row in rows_of(holder) if row["name"]}
    assert rows["main"]["retired"]
    assert not rows["next"]["retired"]
    assert rows["next"]["uri"].startswith("pkcs11:token=vault;serial=")
    assert "at pkcs11:token=vault;serial=" in holder.run("key", "list").stdout
    holder.run("doctor", gun)
    holder.run("audit", gun)


def test_a_root_key_that_is_lost_is_replaced_with_another_one_elsewhere(
    holder: TrustUser, people: People, gun: str, put: Put, tmp_path: Path
) -> None:
    put("1.0")
    holder.run("key", "generate", "main", "--purpose", "root", "--at", TOKEN)
    holder.run("key", "import", command_for(generate(), tmp_path), "--purpose", "root", "--name", "safe")
    holder.run("init", gun, "--root-key", "main", "--root-key", "safe", "--no-recovery-key")
    lost = next(row["keyid"] for row in rows_of(holder) if row["name"] == "main")
    holder.run("key", "remove", "main", "--yes").said("its private key stays at pkcs11:token=vault")
    holder.run("key", "generate", "fresh", "--purpose", "root", "--at", TOKEN)
    holder.run("key", "rotate", "root", gun, "--key", "fresh", "--replace", lost)
    holder.run("sign", f"{gun}:1.0")
    reader = people("reader")
    reader.knows(gun, holder.pin_of(gun))
    reader.run("verify", f"{gun}:1.0")


@pytest.mark.parametrize("wire", ["tuf", "notary"])
def test_a_recovery_key_in_a_token_is_the_way_back(
    holder: TrustUser, people: People, gun: str, put: Put, wire: str
) -> None:
    """The root key in the store is lost, and with it the store; the recovery key never was an entry of one."""
    put("1.0")
    keeper = people("keeper")
    keeper.environ |= {name: holder.environ[name] for name in ("SOFTHSM2_CONF", "TRUST_TOKEN_PIN")}
    keeper.run("key", "generate", "way-back", "--purpose", "root", "--at", TOKEN)
    back = uri_of(keeper, "way-back")
    plan = holder.run("--json", "init", gun, "--recovery-key", back, "--format", wire, "--plan").stdout
    assert '"key-uri"' in plan
    assert f"at {back}" in holder.run("init", gun, "--recovery-key", back, "--format", wire, "--plan").stdout
    holder.run("init", gun, "--recovery-key", back, "--format", wire)
    assert not [row for row in rows_of(holder) if row["uri"]], "it is no entry of the store"
    holder.run("sign", f"{gun}:1.0")
    reader = people("reader")
    reader.knows(gun, holder.pin_of(gun))
    reader.run("verify", f"{gun}:1.0")
    assert "(recovery key)" in holder.run("audit", gun, "--recovery-key", back).stdout
    lost = next(row["keyid"] for row in rows_of(holder) if row["purpose"] == "root")
    holder.run("key", "remove", lost, "--yes")
    assert f"at {back}" in holder.run("key", "rotate", "root", gun, "--recovery-key", back, "--plan").stdout
    holder.run("key", "rotate", "root", gun, "--recovery-key", back)
    holder.run("sign", f"{gun}:1.0")
    reader.run("verify", f"{gun}:1.0")
    (gone,) = [row["keyid"] for row in rows_of(holder) if row["purpose"] == "root" and not row["retired"]]
    assert gone != lost


@pytest.mark.parametrize("wire", ["tuf", "notary"])
def test_signers_of_a_new_collection_may_be_named_by_their_uris(
    holder: TrustUser, people: People, gun: str, put: Put, wire: str
) -> None:
    put("1.0")
    holder.run("key", "generate", "alice", "--at", TOKEN)
    uri = uri_of(holder, "alice")
    holder.run("init", gun, "--no-recovery-key", "--signer", f"alice={uri}", "--format", wire)
    holder.run("sign", f"{gun}:1.0", "--key", uri)
    reader = people("reader")
    reader.knows(gun, holder.pin_of(gun))
    reader.run("verify", f"{gun}:1.0", "--signer", "alice")
    holder.run("init", gun, "--no-recovery-key", "--signer", f"alice={uri}", "--format", wire)


@pytest.mark.parametrize("wire", ["tuf", "notary"])
def test_a_signer_with_a_key_in_a_token_and_nothing_in_a_store(
    holder: TrustUser, people: People, gun: str, put: Put, wire: str
) -> None:
    image = put("1.0")
    owner, token = holder, {name: holder.environ[name] for name in ("SOFTHSM2_CONF", "TRUST_TOKEN_PIN")}
    alice = people("alice")
    alice.environ |= token
    alice.run("key", "generate", "alice", "--at", TOKEN)
    uri = uri_of(alice, "alice")
    owner.run("init", gun, "--no-recovery-key", "--format", wire)
    owner.run("signer", "add", "--key", uri, "alice", gun)
    ci = people("ci")
    ci.environ |= token
    once = ["sign", f"{gun}:1.0", "--key", uri, "--pin", owner.pin_of(gun)]
    ci.run("--json", *once, "--plan")
    ci.run(*once)
    assert not (ci.home / "private").exists()
    reader = people("reader")
    reader.knows(gun, owner.pin_of(gun))
    assert reader.run("verify", f"{gun}:1.0", "--signer", "alice").stdout.strip() == f"{gun}@{image.digest}"


def test_what_is_said_of_a_key_that_lives_elsewhere(holder: TrustUser, people: People) -> None:
    holder.run("key", "generate", "alice", "--at", TOKEN)
    uri = uri_of(holder, "alice")
    assert (holder.folder / "alice.pub").read_text().startswith("-----BEGIN PUBLIC KEY-----")
    (known, at_uri, *bad) = holder.run("--json", "key", "test", "alice", uri, "nobody", expect=8).document()["keys"]
    assert known["proven"] is at_uri["proven"] is True
    assert known["keyid"] == at_uri["keyid"]
    assert [row["error"]["code"] for row in bad] == ["key-not-found"]
    assert "alice has signed" not in holder.run("key", "test", "alice").stderr
    for private in (["export", "alice", "-o", "x"], ["export", "alice", "-o", "x", "--notary"], ["passwd", "alice"]):
        holder.run("key", *private, expect=8).said("is not in the key store: it is at pkcs11:token=vault")
    holder.run("key", "export", "alice", "-o", "again.pub", "--public")
    assert (holder.folder / "again.pub").read_bytes() == (holder.folder / "alice.pub").read_bytes()
    (file,) = (holder.home / "private").glob("*.key")
    shown = holder.run("--json", "key", "show", str(file), uri, "alice.pub").document()["keys"]
    assert [row["form"] for row in shown] == ["entry for a key elsewhere", "key at a URI", "public key"]
    assert [row["uri"] for row in shown] == [uri] * 3
    assert f"its private key lives at: {uri}" in holder.run("key", "show", uri).stdout
    other = people("other")
    other.environ |= {name: value for name, value in holder.environ.items() if name.startswith(("SOFT", "TRUST_TOKEN"))}
    other.run("key", "import", str(file), expect=8).said("whose key lives elsewhere", "next: trust key import 'pkcs11:")
    other.run("key", "import", uri, "--name", "alice")
    other.run("--json", "key", "import", uri).said("is in the key store already")
    other.run("key", "remove", "alice", "--yes").said("its private key stays at")
    other.run("key", "test", uri)


def test_refusals_name_the_fault_and_what_to_do(holder: TrustUser, hsm: SoftHsm, gun: str) -> None:
    holder.run("key", "generate", "main", "--purpose", "root", "--at", TOKEN)
    uri = uri_of(holder, "main")
    wrong = {"TRUST_TOKEN_PIN": "00000"}
    holder.run("--json", "init", gun, f"{gun}-2", "--root-key", "main", "--no-recovery-key", expect=8, **wrong).said(
        "the PIN that was given is not that of token vault", "it was tried once", "a few wrong ones lock the token"
    )
    holder.run("key", "test", "main", expect=8, TRUST_TOKEN_PIN="").said("TRUST_TOKEN_PIN")
    faults = {
        "key-not-on-token": f"pkcs11:token=vault;object=nothing{QUERY}",
        "token-missing": f"pkcs11:token=other;object=main{QUERY}",
        "token-module-unusable": "pkcs11:object=main?module-path=/nowhere.so",
        "key-scheme-unknown": "hsm:2?label=main",
        "key-uri-malformed": "pkcs11:object=main;module-path=/x.so",
        "key-command-failed": "exec:/nowhere",
    }
    for code, bad in faults.items():
        for command in (["key", "import", bad], ["key", "test", bad], ["key", "show", bad]):
            ran = holder.run("--json", *command, expect=8)
            assert code in ran.stdout, str(ran)
        holder.run("signer", "add", "--key", bad, "x", gun, expect=8)
        holder.run("sign", f"{gun}:1", "--key", bad, expect=8)
    holder.run("key", "import", f"pkcs11:object=main?pin-value={PIN}&module-path={MODULE}", expect=8).said(
        "pin-value=..."
    )
    holder.run("key", "generate", "main", "--dir", "/tmp", "--at", TOKEN, expect=8).said("the name main")
    holder.run("key", "generate", "other", "--at", f"pkcs11:token=vault;object=main{QUERY}", expect=8).said(
        "a key with object main exists already"
    )
    for command in (
        ["init", gun, "--recovery-key", faults["key-not-on-token"]],
        ["init", gun, "--no-recovery-key", "--signer", f"ci={faults['key-not-on-token']}"],
        ["audit", "--all", "--recovery-key", faults["key-not-on-token"]],
    ):
        holder.run(*command, expect=8).said("there is no key with object nothing")
    holder.run("init", gun, "--root-key", "main", "--recovery-key", uri, expect=2).said(
        "one key is named twice as a root key"
    )
    hsm.make("vault")
    holder.run("key", "generate", "b", "--at", TOKEN, expect=8).said("fits several tokens", "serial=")
    holder.run("key", "test", "main")
    hsm.tokens.rename(hsm.tokens.with_name("away"))
    hsm.tokens.mkdir()
    holder.run("key", "test", "main", expect=8).said("there is no token token=vault;serial=", "there is none at all")


@pytest.mark.parametrize("member", ["recovery_key = {}", "[signers]\nalice = [{}]"])
def test_a_template_names_no_keys_elsewhere(owner: TrustUser, gun: str, member: str) -> None:
    file = owner.folder / "template.toml"
    file.write_text(member.format(f'"pkcs11:object=a?module-path={MODULE}"'))
    owner.run("init", gun, "--template", "template.toml", expect=2).said("which only a command line may name")
    assert not (owner.home / "private").exists()


def test_entries_come_back_from_a_backup_and_the_token_signs(
    holder: TrustUser, people: People, gun: str, put: Put
) -> None:
    """The machine is lost and the token is not: the heir has the PIN, the backup, and no private key of the root."""
    put("1.0")
    holder.run("key", "generate", "main", "--purpose", "root", "--at", TOKEN)
    holder.run("init", gun, "--root-key", "main", "--no-recovery-key")
    holder.run("sign", f"{gun}:1.0")
    holder.run("key", "backup", "keys.backup", "--all").said("is not in the backup, which has its public key alone")
    heir = people("heir")
    heir.environ |= {name: holder.environ[name] for name in ("SOFTHSM2_CONF", "TRUST_TOKEN_PIN")}
    (heir.folder / "keys.backup").write_bytes((holder.folder / "keys.backup").read_bytes())
    restored = heir.run("key", "restore", "keys.backup").said("root key main", "it lives at pkcs11:token=vault;serial=")
    assert "recorded: an entry alone" in restored.stdout
    assert uri_of(heir, "main") == uri_of(holder, "main")
    heir.run("key", "test", "main")
    heir.run("pin", gun, holder.pin_of(gun))
    heir.run("key", "generate", "next", "--purpose", "root", "--at", TOKEN)
    heir.run("key", "rotate", "root", gun, "--key", "next")
    heir.run("key", "rotate", "timestamp", gun)


def test_the_python_api_takes_keys_that_live_elsewhere(owner: TrustUser, gun: str, tmp_path: Path) -> None:
    """The recovery key and a signer's by their URIs; a root key by its entry in the store."""
    uris = []
    for who in ("recovery", "alice", "root"):
        (tmp_path / who).mkdir()
        uris.append(command_for(generate(), tmp_path / who))
    recovery, alice, root = uris
    owner.run("key", "import", root, "--purpose", "root", "--name", "away")
    trust = Trust(environ=owner.environ)
    assert trust.init(gun, recovery_key=recovery, root_keys=["away"], signers={"alice": alice}).signers == ("alice",)
    content = trust.inspect(gun)
    assert (len(content.root_keys), [signer.name for signer in content.signers]) == (2, ["alice"])
