"""How the Python API is called: what its parameters may be, where its sentences go, what its import costs."""

from __future__ import annotations

import logging
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keys.errors import PassphraseMissing, PassphraseWrong
from keys.passphrase import EnvironmentPassphrases, ask_and_try
from tests.support.loaded_modules import modules_loaded_by
from trustcli.api import Trust, UsageError
from trustcli.api.notices import Notices
from trustcli.console.caller_passphrases import CallerPassphrases

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", ["server", "home", "cacert", "pin", "lock"])
def test_a_parameter_that_is_empty_is_refused(name: str) -> None:
    options: dict[str, Any] = {name: ""}
    with pytest.raises(UsageError, match=f"{name} is empty"):
        Trust(**options)


def test_texts_in_place_of_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes a list"):
        Trust(insecure_registries="registry:5000")
    with pytest.raises(UsageError, match="takes a list"):
        Trust(home=tmp_path, environ={}).verify("app:1.0", signers="alice")
    with pytest.raises(UsageError, match="empty value"):
        Trust(home=tmp_path, environ={}).verify("app:1.0", signers=[""])


def test_no_image_is_no_list_of_trusted_images(tmp_path: Path) -> None:
    trust = Trust(home=tmp_path, environ={})
    for call in (trust.verify, trust.sign):
        with pytest.raises(UsageError, match="no image"):
            call()
    anything: Any = True
    with pytest.raises(UsageError, match="timedelta"):
        trust.verify("app:1.0", offline=anything)


def test_nobody_signs_through_an_alias_without_saying_so(tmp_path: Path) -> None:
    for name, text in (
        ("trust.toml", '[verifier]\npolicy = "policy.toml"\n'),
        ("policy.toml", '[[alias]]\nname = "mirror.example.net/app"\ntrust = "registry.example.com/app"\n'),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    said: list[str] = []
    with pytest.raises(UsageError, match=r"name registry\.example\.com/app, .* with through_alias=True"):
        Trust(home=tmp_path, environ={}, notice=said.append).sign("mirror.example.net/app:1.0")
    assert "mirror.example.net/app is an alias of registry.example.com/app" in said[0]


def test_the_variables_of_the_process_do_not_count_beside_given_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUST_TOFU", "nonsense")
    given: dict[str, str] = {"TRUST_HOME": str(tmp_path)}
    trust = Trust(environ=given)
    given["TRUST_TOFU"] = "nonsense"
    assert not trust.verify_one("app:1.0")
    with pytest.raises(Exception, match="TRUST_TOFU"):
        Trust(home=tmp_path).verify_one("app:1.0")


def test_nothing_is_asked_from_the_network_without_a_server(tmp_path: Path) -> None:
    refused = Trust(home=tmp_path, environ={}).verify_one("app:1.0", offline=timedelta(days=1))
    assert refused.error is not None
    assert refused.error.code == "no-trust-server"


def test_every_parameter_is_the_setting_of_its_name(tmp_path: Path) -> None:
    lock = tmp_path / "trust.lock"
    trust = Trust(
        server="https://trust.example.com",
        home=tmp_path,
        cacert=tmp_path / "ca.crt",
        pin="key:ab",
        lock=lock,
        insecure_registries=["registry:5000"],
        tofu=True,
        environ={},
    )
    with closing(trust._open()) as session:
        found = session.settings
    assert (found.server, found.home, found.cacert) == ("https://trust.example.com", tmp_path, tmp_path / "ca.crt")
    assert (found.pin, found.lock, found.insecure_registries) == ("key:ab", lock, ("registry:5000",))
    assert found.tofu
    assert found.non_interactive


# --- sentences


def test_sentences_reach_the_function_of_the_caller_once_and_harmless() -> None:
    told: list[str] = []
    notices = Notices(told.append)
    notices.warn("odd \x1b[1m")
    notices.warn("odd \x1b[1m")
    notices.notice("goes on")
    notices.result("a result")
    notices.raw("raw")
    notices.pieces(["piece"])
    notices.document({})
    assert notices.failure(UsageError("wrong")) == 2
    assert told == ["warning: odd \\x1b[1m", "goes on"]


def test_without_handlers_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    code = "from trustcli.api.notices import Notices\nNotices(None).warn('odd')"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("trustcli").handlers


# --- passphrases


def _opened_by(right: str) -> Any:
    def attempt(passphrase: str) -> str:
        if passphrase != right:
            raise PassphraseWrong(key="k")
        return "opened"

    return attempt


def test_the_caller_may_answer_better_when_asked_again() -> None:
    answers = ["first", "second"]
    source = CallerPassphrases(lambda *_: answers.pop(0), EnvironmentPassphrases({}, None))
    assert ask_and_try(source, _opened_by("second"), purpose="targets", key="k") == ("opened", "second")


def test_the_same_wrong_answer_again_is_final() -> None:
    asked: list[tuple[str, str]] = []

    def ask(purpose: str, key: str) -> str:
        asked.append((purpose, key))
        return "first"

    with pytest.raises(PassphraseWrong):
        ask_and_try(
            CallerPassphrases(ask, EnvironmentPassphrases({}, None)), _opened_by("x"), purpose="signer", key="k"
        )
    assert asked == [("signer", "k")] * 2


@pytest.mark.parametrize("nothing", [None, ""])
def test_without_an_answer_the_environment_counts(nothing: str | None) -> None:
    environ = {"TRUST_REPOSITORY_PASSPHRASE": "first"}
    source = CallerPassphrases(lambda *_: nothing, EnvironmentPassphrases(environ, None))
    assert source.passphrase(purpose="targets", key="k") == "first"
    with pytest.raises(PassphraseMissing):
        source.passphrase(purpose="root", key="k")


# --- the import


def test_importing_the_api_loads_neither_frameworks_nor_what_only_its_calls_need() -> None:
    loaded = modules_loaded_by("import trustcli.api")
    heavy = {"tuf", "cryptography", "securesystemslib", "typer", "http.client", "ssl", "logging", "subprocess"}
    ours = {"trustcli.session", "trustcli.commands.support.judging", "trustdata.wire"}
    assert (heavy | ours) & loaded == set()
