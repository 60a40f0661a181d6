"""The Python API against a real server and registry, in both formats: verdicts, tags, signatures, and silence."""

from __future__ import annotations

import logging
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import trustcli.session
from keys.errors import PassphraseMissing, PassphraseWrong
from tests.support.images import BuiltImage
from tests.support.stage import OTHER_DIGEST, People, Put
from tests.support.trust_program import SECRETS, TrustUser, no_secret_in
from trustcli.api import KeysError, NotAllSigned, Trust, TrustError, UsageError, signing
from trustcli.commands.support.signing import sign_tags
from trustcli.errors import TagChanged
from trustcli.session import Session
from trustdata.gun import GUN

NOBODY = "http://127.0.0.1:1"
"""A trust server that cannot be reached."""
ONE_FORMAT = pytest.mark.parametrize("stage", ["tuf"], indirect=True)
"""For what has nothing to do with the format."""
SECRET = SECRETS["TRUST_REPOSITORY_PASSPHRASE"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A collection with tag 1.0 signed by alice, its owner, and a reader who has its pin."""

    gun: str
    image: BuiltImage
    owner: TrustUser
    reader: TrustUser
    notices: list[str]

    def trust(self, person: TrustUser | None = None, **options: Any) -> Trust:
        return Trust(environ=(person or self.reader).environ, notice=self.notices.append, **options)

    @property
    def one(self) -> str:
        return f"{self.gun}:1.0"


@pytest.fixture(params=["tuf", pytest.param("notary", marks=pytest.mark.long)])
def stage(request: pytest.FixtureRequest, people: People, owner: TrustUser, gun: str, put: Put) -> Stage:
    image = put("1.0", text="first")
    owner.run("init", gun, "--no-recovery-key", "--format", request.param)
    owner.run("key", "generate", "alice")
    owner.run("signer", "add", "alice", gun, "--key", "alice.pub")
    owner.run("sign", f"{gun}:1.0")
    reader = people("reader")
    reader.knows(gun, owner.pin_of(gun))
    return Stage(gun=gun, image=image, owner=owner, reader=reader, notices=[])


@pytest.fixture(autouse=True)
def silence(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing is ever printed, and no sentence holds a passphrase."""
    yield
    assert capfd.readouterr() == ("", "")


def _codes(failures: NotAllSigned) -> dict[str, str]:
    return {name: failure.code for name, failure in failures.failures.items()}


# --- verify


def test_a_trusted_image_has_all_that_the_command_tells(stage: Stage) -> None:
    (verdict,) = stage.trust().verify(stage.one)
    (row,) = stage.reader.run("--json", "verify", stage.one).document()["images"]
    assert verdict
    assert verdict.fresh_until is not None
    assert row == {
        "image": verdict.image,
        "trusted": verdict.trusted,
        "name": verdict.name_or_raise(),
        "digest": verdict.digest_or_raise(),
        "tags": list(verdict.tags),
        "signers": list(verdict.signers),
        "released_by": verdict.released_by,
        "versions": verdict.versions,
        "fresh_until": verdict.fresh_until.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    assert (verdict.digest, verdict.signers, verdict.error) == (stage.image.digest, ("alice",), None)


def test_each_image_has_its_verdict_in_order(stage: Stage) -> None:
    unknown = f"{stage.gun}-none:1.0"
    images = [f"{stage.gun}:9.9", stage.one, unknown, "UPPER/case:1.0", f"{stage.one}@{OTHER_DIGEST}", stage.one]
    verdicts = stage.trust().verify(*images)
    assert [verdict.image for verdict in verdicts] == images
    assert [bool(verdict) for verdict in verdicts] == [False, True, False, False, False, True]
    codes = [verdict.error.code if verdict.error else None for verdict in verdicts]
    assert codes == ["not-signed", None, "no-trust-data", "invalid-name", "tag-mismatch", None]
    for verdict in verdicts:
        if not verdict:
            assert (verdict.digest, verdict.name, verdict.tags, verdict.versions) == (None, None, (), {})
            with pytest.raises(TrustError) as raised:
                verdict.digest_or_raise()
            assert raised.value is verdict.error


def test_signers_and_a_policy_are_demanded(stage: Stage, tmp_path: Path) -> None:
    trust = stage.trust()
    assert trust.verify_one(stage.one, signers=["alice"])
    carol = trust.verify_one(stage.one, signers=["alice", "carol"])
    assert carol.error is not None
    assert carol.error.code == "policy-refused"
    policy = tmp_path / "policy.toml"
    policy.write_text(f'[[rule]]\nmatch = "{stage.gun}"\naction = "verify"\nsigners = ["alice"]\n')
    assert trust.verify_one(stage.one, policy=policy)
    policy.write_text(f'[[rule]]\nmatch = "{stage.gun}"\naction = "deny"\n')
    denied = trust.verify_one(stage.one, policy=policy)
    assert denied.error is not None
    assert denied.error.code == "policy-refused"
    policy.write_text("[[rule]]\n")
    with pytest.raises(TrustError, match=r"policy\.toml"):
        trust.verify(stage.one, policy=policy)


def test_an_image_of_another_digest_than_the_signed_one(stage: Stage, put: Put) -> None:
    """The registry serves something else under the tag: the verdict names what was signed."""
    moved = put("1.0", text="somebody else's")
    assert moved.digest != stage.image.digest
    assert stage.trust().verify_one(stage.one).digest == stage.image.digest
    assert not stage.trust().verify_one(f"{stage.one}@{moved.digest}")


def test_without_the_server_only_within_a_bound(stage: Stage) -> None:
    assert stage.trust().verify_one(stage.one)
    cut_off = stage.trust(server=NOBODY)
    unreachable = cut_off.verify_one(stage.one)
    assert unreachable.error is not None
    assert unreachable.error.code == "remote-unreachable"
    assert cut_off.verify_one(stage.one, offline=timedelta(hours=1))
    too_old = cut_off.verify_one(stage.one, offline=timedelta(0))
    assert too_old.error is not None
    assert too_old.error.code == "offline-too-old"


def test_who_has_no_pin_trusts_nothing(stage: Stage, people: People) -> None:
    stranger = stage.trust(people("stranger"))
    refused = stranger.verify_one(stage.one)
    assert refused.error is not None
    assert refused.error.code == "unpinned"
    pin = stage.owner.pin_of(stage.gun)
    assert stage.trust(people("stranger"), pin=pin).verify_one(stage.one)
    assert not stranger.verify_one(stage.one), "a pin of one object is not recorded"
    assert stage.trust(people("stranger"), tofu=True).verify_one(stage.one)
    assert [notice for notice in stage.notices if notice.startswith("warning: ")], "first use is told"
    assert stranger.verify_one(stage.one), "it is recorded"


@ONE_FORMAT
def test_the_clock_is_read_by_each_call(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        later = timedelta(0)

        @classmethod
        def now(cls, zone: Any) -> datetime:
            return datetime.now(zone) + cls.later

    trust = stage.trust()
    monkeypatch.setattr(trustcli.session, "datetime", Clock)
    assert trust.verify_one(stage.one)
    Clock.later = timedelta(days=4000)
    expired = trust.verify_one(stage.one)
    assert expired.error is not None
    assert expired.error.code == "metadata-expired"


@ONE_FORMAT
def test_settings_are_read_by_each_call(stage: Stage) -> None:
    trust = stage.trust()
    assert trust.verify_one(stage.one)
    (stage.reader.home / "trust.toml").write_text("nonsense = 1\n")
    with pytest.raises(TrustError) as refused:
        trust.verify_one(stage.one)
    assert refused.value.code == "settings-unusable"


@ONE_FORMAT
def test_no_lock_file_counts_that_was_not_named(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "where-it-runs"
    folder.mkdir()
    lock = folder / "trust.lock"
    lock.write_text("no lock file")
    monkeypatch.chdir(folder)
    assert stage.trust().verify_one(stage.one)
    damaged = stage.trust(lock=lock).verify_one(stage.one)
    assert damaged.error is not None
    assert damaged.error.code == "lock-damaged"


def test_many_threads_share_one_object(stage: Stage, put: Put) -> None:
    put("2.0", text="second")
    reader, owner = stage.trust(), stage.trust(stage.owner)
    with ThreadPoolExecutor(8) as threads:
        verdicts = [threads.submit(reader.verify_one, stage.one) for _ in range(12)]
        signed = [threads.submit(owner.sign, f"{stage.gun}:{tag}") for tag in ("1.0", "2.0")]
        assert all(future.result() for future in verdicts)
        assert [future.result()[0].tag for future in signed] == ["1.0", "2.0"]
    assert reader.verify_one(f"{stage.gun}:2.0")


# --- inspect


def test_a_collection_is_shown_as_the_command_shows_it(stage: Stage) -> None:
    found = stage.trust().inspect(stage.gun)
    (shown,) = stage.reader.run("--json", "inspect", stage.gun).document()
    assert [
        {"SignedTag": tag.tag, "Digest": tag.digest.removeprefix("sha256:"), "Signers": list(tag.signers)}
        for tag in found.tags
    ] == shown["SignedTags"]
    keys = {holder["Name"]: [key["ID"] for key in holder["Keys"]] for holder in shown["AdministrativeKeys"]}
    assert keys == {"Root": sorted(found.root_keys), "Repository": sorted(found.repository_keys)}
    assert {holder.name: sorted(holder.keys) for holder in found.signers} == {
        holder["Name"]: [key["ID"] for key in holder["Keys"]] for holder in shown["Signers"]
    }
    (tag,) = found.tags
    assert (found.repository, tag.digest) == (stage.gun, stage.image.digest)
    assert tag.size > 100
    assert tag.released_by
    assert (found.expired, found.faults, found.unusable) == ((), {}, {})
    assert stage.trust().inspect(f"{stage.gun}:9.9").tags == ()


@ONE_FORMAT
def test_what_cannot_be_inspected_is_an_error(stage: Stage) -> None:
    with pytest.raises(TrustError) as refused:
        stage.trust().inspect(f"{stage.gun}-none")
    assert refused.value.code == "no-trust-data"


# --- sign


def test_what_is_signed_is_trusted(stage: Stage, put: Put) -> None:
    second, third = put("2.0", text="second"), put("3.0", text="third")
    trust = stage.trust(stage.owner)
    signed = trust.sign(f"{stage.gun}:2.0", f"{stage.gun}:3.0@{third.digest}", f"{stage.gun}:2.0")
    assert [(one.tag, one.digest, one.published) for one in signed] == [
        ("2.0", second.digest, True),
        ("3.0", third.digest, True),
        ("2.0", second.digest, True),
    ]
    assert [one.name for one in signed[:2]] == [
        f"{stage.gun}:2.0@{second.digest}",
        f"{stage.gun}:3.0@{third.digest}",
    ]
    assert any(second.digest in notice for notice in stage.notices)
    verdicts = stage.trust().verify(f"{stage.gun}:2.0", f"{stage.gun}:3.0")
    assert [verdict.digest for verdict in verdicts] == [second.digest, third.digest]
    assert [one.published for one in trust.sign(f"{stage.gun}:2.0", signer="alice")] == [False]
    no_secret_in("".join(stage.notices))


@pytest.mark.parametrize(
    ("images", "sentence"), [((), "no image"), (("{gun}",), "names no tag"), (("{gun}:1.0", "{gun}@x"), "x")]
)
@ONE_FORMAT
def test_what_nobody_can_sign_is_refused_before_all(stage: Stage, images: tuple[str, ...], sentence: str) -> None:
    with pytest.raises((UsageError, TrustError), match=sentence):
        stage.trust(stage.owner).sign(*(image.format(gun=stage.gun) for image in images))


@ONE_FORMAT
def test_who_signs_and_where_the_digest_is_from_can_be_said(stage: Stage, put: Put) -> None:
    second = put("2.0", text="second")
    trust = stage.trust(stage.owner)
    with pytest.raises((TrustError, KeysError), match="bob"):
        trust.sign(f"{stage.gun}:2.0", signer="bob")
    no_engine = {**stage.owner.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    with pytest.raises(TrustError) as refused:
        Trust(environ=no_engine, notice=stage.notices.append).sign(f"{stage.gun}:2.0", local=True)
    assert refused.value.code == "engine-unreachable"
    trust.sign(f"{stage.gun}:2.0", signer="alice")
    assert stage.trust().verify_one(f"{stage.gun}:2.0", signers=["alice"]).digest == second.digest


@ONE_FORMAT
def test_a_repository_that_nobody_has_initialised_is_not(stage: Stage, put: Put) -> None:
    put("1.0", repository=f"{stage.gun}-new")
    with pytest.raises(TrustError) as refused:
        stage.trust(stage.owner).sign(f"{stage.gun}-new:1.0")
    assert refused.value.code == "no-trust-data"
    assert not stage.trust(stage.owner).verify_one(f"{stage.gun}-new:1.0")


def test_one_that_cannot_be_signed_holds_back_all(stage: Stage, put: Put) -> None:
    put("2.0", text="second")
    put("1.0", repository=f"{stage.gun}-new")
    with pytest.raises(NotAllSigned) as refused:
        stage.trust(stage.owner).sign(f"{stage.gun}:2.0", f"{stage.gun}-new:1.0")
    error = refused.value
    assert (error.signed, _codes(error), error.not_tried) == ((), {f"{stage.gun}-new": "no-trust-data"}, (stage.gun,))
    assert error.__cause__ is error.failures[f"{stage.gun}-new"]
    assert "no-trust-data" in str(error.details())
    assert not stage.trust().verify_one(f"{stage.gun}:2.0"), "nothing was published"


def _two_repositories(stage: Stage, put: Put) -> tuple[str, str]:
    """Two collections of the owner: the tag of the first is to be signed, that of the other is signed."""
    other = f"{stage.gun}-other"
    put("1.0", repository=other)
    stage.owner.run("init", other, "--no-recovery-key")
    stage.owner.run("sign", f"{other}:1.0")
    put("2.0", text="second")
    return f"{stage.gun}:2.0", f"{other}:1.0"


@ONE_FORMAT
def test_what_was_signed_before_a_failure_is_not_lost(stage: Stage, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = _two_repositories(stage, put)
    refusal = TagChanged(gun="other", tag="1.0", ours="sha256:aa", theirs="sha256:bb")

    def fails_at_the_second(session: Session, gun: GUN, *arguments: Any, **options: Any) -> bool:
        if second.startswith(f"{gun}:"):
            raise refusal
        return sign_tags(session, gun, *arguments, **options)

    monkeypatch.setattr(signing, "sign_tags", fails_at_the_second)
    with pytest.raises(NotAllSigned) as raised:
        stage.trust(stage.owner).sign(first, second)
    (signed,) = raised.value.signed
    assert (signed.image, signed.published, raised.value.not_tried) == (first, True, ())
    assert raised.value.failures == {second.removesuffix(":1.0"): refusal}
    assert stage.trust().verify_one(first).digest == signed.digest


@ONE_FORMAT
def test_an_interruption_names_what_is_signed(stage: Stage, put: Put) -> None:
    first, second = _two_repositories(stage, put)

    def notice(sentence: str) -> None:
        if "nothing to publish" in sentence:  # of the second: the first is published by then
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as interrupted:
        Trust(environ=stage.owner.environ, notice=notice).sign(first, second)
    (note,) = interrupted.value.__notes__
    assert first in note
    assert second not in note
    assert stage.trust().verify_one(first)


# --- passphrases


def _without_passphrases(person: TrustUser) -> dict[str, str]:
    return {name: value for name, value in person.environ.items() if name not in SECRETS}


@ONE_FORMAT
def test_nobody_is_asked_for_a_passphrase_but_the_caller(stage: Stage, put: Put) -> None:
    put("2.0", text="second")
    environ = _without_passphrases(stage.owner)
    with pytest.raises(PassphraseMissing):
        Trust(environ=environ, notice=stage.notices.append).sign(f"{stage.gun}:2.0")
    asked: list[tuple[str, str]] = []

    def passphrase(purpose: str, key: str) -> str:
        asked.append((purpose, key))
        return SECRET

    Trust(environ=environ, notice=stage.notices.append, passphrase=passphrase).sign(f"{stage.gun}:2.0")
    assert {purpose for purpose, _ in asked} <= {"targets", "signer"}
    assert len(asked) == len(set(asked)) > 0
    assert stage.trust().verify_one(f"{stage.gun}:2.0")


@ONE_FORMAT
def test_the_caller_counts_before_the_environment(stage: Stage, put: Put) -> None:
    put("2.0", text="second")
    asked = []

    def wrong(purpose: str, key: str) -> str:
        asked.append(key)
        return "Falsches-Geheimnis-1"

    with pytest.raises(PassphraseWrong):
        stage.trust(stage.owner, passphrase=wrong).sign(f"{stage.gun}:2.0")
    assert len(asked) == 2, "asked again once, and not again after the same answer"
    stage.trust(stage.owner, passphrase=lambda *_: None).sign(f"{stage.gun}:2.0")


@ONE_FORMAT
def test_a_collection_is_made_once(stage: Stage, put: Put, tmp_path: Path) -> None:
    trust, name = stage.trust(stage.owner), f"{stage.gun}/made"
    put("1.0", repository=name)
    recovery, alice = tmp_path / "recovery.key", stage.owner.folder / "alice.pub"
    asked: dict[str, Any] = {"recovery_key": recovery, "format": "notary", "signers": {"alice": alice}}
    made = trust.init(name, **asked)
    assert (made.repository, made.format, made.signers, made.published) == (name, "notary-v1", ("alice",), True)
    assert made.pin == stage.owner.pin_of(name)
    assert recovery.exists()
    assert trust.init(name, **asked) == replace(made, published=False)
    assert [one.published for one in trust.sign(f"{name}:1.0")] == [True]
    assert {key.name for key in trust.inspect(name).signers} == {"alice"}
    with pytest.raises(TrustError, match="is there and differs") as caught:
        trust.init(name, recovery_key=recovery, format="tuf")
    assert caught.value.code == "collection-exists"
    no_secret_in("".join(stage.notices))


@ONE_FORMAT
@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.invalid/b", {"recovery_key": ""}, "recovery_key is empty"),
        ("a.invalid/b", {"format": "nottary"}, "did you mean 'notary'"),
        ("a.invalid/b", {"threshold": 0}, "threshold must be 1 or more"),
        ("a.invalid/b", {"root_keys": "key"}, "takes a list"),
        ("a.invalid/b", {"signers": {"alice": ""}}, "signers['alice'] is empty"),
        ("a.invalid/b:1.0", {}, "without tag or digest"),
    ],
)
def test_what_cannot_be_meant_makes_nothing(stage: Stage, name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        stage.trust(stage.owner).init(name, **{"recovery_key": None, **options})
    assert words in str(caught.value)


@ONE_FORMAT
def test_at_a_terminal_nobody_is_asked(stage: Stage, put: Put, tmp_path: Path) -> None:
    """Neither is anything written there."""
    put("2.0", text="second")
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys\n"
        "terminal = os.open(sys.argv[1], os.O_RDWR)  # of a new session: it becomes the controlling one\n"
        "for number in (0, 1, 2):\n"
        "    os.dup2(terminal, number)\n"
        "from trustcli.api import KeysError, Trust\n"
        "try:\n"
        "    Trust().sign(sys.argv[2])\n"
        "except KeysError as error:\n"
        "    sys.exit(17 if error.code == 'passphrase-missing' and os.isatty(0) else 18)\n"
    )
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, program, os.ttyname(theirs), f"{stage.gun}:2.0"],
            env={**_without_passphrases(stage.owner), "PYTHONPATH": str(Path(trustcli.__file__).parents[1])},
            start_new_session=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 17
        os.set_blocking(ours, False)
        with pytest.raises(BlockingIOError):
            os.read(ours, 1)
    finally:
        os.close(ours)
        os.close(theirs)


# --- notices


@ONE_FORMAT
def test_without_a_function_notices_are_logged(stage: Stage, people: People, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="trustcli"):
        assert Trust(environ=people("stranger").environ, tofu=True).verify_one(stage.one)
        Trust(environ={**stage.owner.environ, "TRUST_LOG": "debug"}).sign(stage.one)
    no_secret_in(caplog.text)
    levels = {record.levelname for record in caplog.records if record.name == "trustcli.api"}
    assert levels == {"INFO", "WARNING"}
    assert not any(record.getMessage().startswith("warning:") for record in caplog.records)
