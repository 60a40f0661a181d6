"""What every command says: results, one JSON document, exit statuses, and never a secret."""

from __future__ import annotations

import pytest

from tests.support.images import BuiltImage
from tests.support.server_process import ServerProcess
from tests.support.stage import OTHER_DIGEST, People, Put
from tests.support.trust_program import SECRETS, TrustUser, no_secret_in

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def test_one_json_document_on_success(owner: TrustUser, people: People, gun: str, put: Put) -> None:
    put("1.0")
    (owner.folder / "keys").mkdir()
    commands: list[tuple[str, ...]] = [
        ("init", gun, "--recovery-key", "recovery.key"),
        ("sign", f"{gun}:1.0"),
        ("sign", f"{gun}:1.0"),
        ("verify", f"{gun}:1.0", f"{gun}:1.0"),
        ("verify", "--offline", f"{gun}:1.0"),
        ("key", "generate", "alice", "--dir", "keys"),
        ("signer", "add", "--key", "keys/alice.pub", "alice", gun),
        ("signer", "list", gun),
        ("key", "list"),
        ("key", "export", "alice", "--output", "alice.pem"),
        ("key", "remove", "--yes", "alice"),
        ("key", "import", "alice.pem", "--name", "alice"),
        ("key", "rotate", "timestamp", gun),
        ("pins",),
        ("pin", gun, "REF"),
        ("revoke", "--yes", f"{gun}:1.0"),
        ("signer", "remove", "alice", gun),
    ]
    for command in commands:
        actual = [owner.pin_of(gun) if argument == "REF" else argument for argument in command]
        document = owner.run("--json", *actual).document()
        assert document["exit"] == 0, command
        assert "error" not in document
    assert isinstance(owner.run("--json", "inspect", gun).document(), list), "docker's own form"


FAILURES: list[tuple[int, str, tuple[str, ...]]] = [
    (2, "usage", ("sign",)),
    (2, "usage", ("nonsense",)),
    (2, "usage", ("verify",)),
    (2, "usage", ("verify", "--nonsense")),
    (2, "usage", ("init", "GUN")),
    (2, "usage", ("revoke", "GUN:1.0")),
    (2, "usage", ("sign", "GUN")),
    (2, "invalid-name", ("signer", "list", "../GUN")),
    (3, "image-not-found", ("sign", "GUN:9.9")),
    (3, "no-trust-data", ("signer", "list", "GUN-unknown")),
    (4, "pins-disagree", ("pin", "GUN", OTHER_DIGEST)),
    (6, "remote-unreachable", ("--server", "http://127.0.0.1:1", "signer", "list", "GUN")),
    (7, "collection-exists", ("init", "GUN", "--no-recovery-key")),
    (7, "collection-exists", ("init", "GUN", "--format", "notary", "--no-recovery-key")),
    (8, "key-not-found", ("key", "remove", "--yes", "nobody")),
]
VERDICTS: list[tuple[int, str, tuple[str, ...]]] = [
    (3, "not-signed", ("GUN:9.9",)),
    (3, "no-trust-data", ("GUN-unknown:1.0",)),
    (4, "tag-mismatch", (f"GUN:1.0@{OTHER_DIGEST}",)),
    (5, "policy-refused", ("--signer", "bob", "GUN:1.0")),
    (6, "remote-unreachable", ("--server", "http://127.0.0.1:1", "GUN:1.0")),
]


def test_one_json_document_on_failure_with_the_status_and_the_sentence(
    owner: TrustUser, gun: str, begun: BuiltImage
) -> None:
    for status, code, command in FAILURES:
        failed = owner.run("--json", *(part.replace("GUN", gun) for part in command), expect=status)
        document = failed.document()
        assert document["exit"] == document["error"]["exit"] == status
        _same_fields(document["error"], code, failed.stderr)
    for status, code, arguments in VERDICTS:
        failed = owner.run("--json", "verify", *(part.replace("GUN", gun) for part in arguments), expect=status)
        (row,) = failed.document()["images"]
        assert (failed.document()["exit"], row["trusted"]) == (status, False)
        _same_fields(row["error"], code, failed.stderr)


def _same_fields(error: dict[str, object], code: str, stderr: str) -> None:
    assert set(error) == {"code", "message", "details", "next", "exit"}, error
    assert error["code"] == code
    assert isinstance(error["message"], str)
    assert error["message"] in stderr
    assert isinstance(error["next"], str)
    assert f"next: {error['next']}" in stderr or not error["next"]


def test_every_exit_status_without_json(owner: TrustUser, people: People, gun: str, begun: BuiltImage) -> None:
    """One command for each status that the contract names; standard output carries results only."""
    sentences = {
        2: (("verify",), "error: "),
        3: (("verify", f"{gun}:9.9"), f"error: {gun}:9.9 is not signed"),
        4: (("verify", f"{gun}:1.0@{OTHER_DIGEST}"), "is signed as"),
        5: (("verify", "--signer", "bob", f"{gun}:1.0"), f"bob is no signer of {gun}"),
        6: (("--server", "http://127.0.0.1:1", "verify", f"{gun}:1.0"), "http://127.0.0.1:1 cannot be reached"),
        7: (("init", gun, "--no-recovery-key"), f"{gun} is known already"),
        8: (("key", "export", "nobody", "--output", "x.pem"), "nobody"),
    }
    for status, (command, sentence) in sentences.items():
        failed = owner.run(*command, expect=status).said(sentence)
        assert failed.stdout == ""
    stranger = people("stranger")
    stranger.run("verify", f"{gun}:1.0", expect=4).said(f"{gun} is not pinned here", f"trust pin {gun} sha256:")


def test_a_wrong_passphrase_names_the_key_and_tells_nothing(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    keys = {row["purpose"]: row["keyid"] for row in owner.run("--json", "key", "list").document()["keys"]}
    wrong = "Falsches-Geheimnis-99"
    for purpose, command in (
        ("targets", ("sign", f"{gun}:2.0@{begun.digest}")),
        ("root", ("key", "rotate", "root", gun)),
    ):
        variable = "TRUST_ROOT_PASSPHRASE" if purpose == "root" else "TRUST_REPOSITORY_PASSPHRASE"
        failed = owner.run(*command, expect=8, **{variable: wrong}).said(keys[purpose][:12])
        assert wrong not in failed.stdout + failed.stderr
        missing = owner.run(*command, expect=8, **{variable: ""}).said(variable)
        assert missing.stdout == ""
    owner.run("key", "rotate", "root", gun, "--recovery-key", "recovery.key", expect=8, TRUST_RECOVERY_PASSPHRASE=wrong)
    owner.run("verify", f"{gun}:1.0")


def test_passphrases_from_a_file_and_from_dockers_variable(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    secret = owner.folder / "passphrase"
    secret.write_text(SECRETS["TRUST_REPOSITORY_PASSPHRASE"] + "\n")
    secret.chmod(0o600)
    del owner.environ["TRUST_REPOSITORY_PASSPHRASE"]
    owner.run("sign", f"{gun}:2.0@{begun.digest}", TRUST_REPOSITORY_PASSPHRASE_FILE=str(secret))
    owner.run("verify", f"{gun}:2.0")
    owner.environ["DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE"] = SECRETS["TRUST_REPOSITORY_PASSPHRASE"]
    owner.run("sign", f"{gun}:3.0@{begun.digest}")
    owner.run("verify", f"{gun}:3.0")


def test_no_secret_lies_open_on_disk_or_in_the_servers_log(
    owner: TrustUser, gun: str, begun: BuiltImage, trust_server: ServerProcess
) -> None:
    owner.run("key", "rotate", "root", gun)
    no_secret_in(trust_server.log())
    assert owner.key_files()
    for file in owner.folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes().decode(errors="replace")
            no_secret_in(content)
            assert "PRIVATE KEY" not in content, file
            assert file.suffix == ".pub" or file.stat().st_mode & 0o077 == 0, file
