"""A short new passphrase from a variable or file warns; one that is in use does not."""

from __future__ import annotations

from keys.passphrase import EnvironmentPassphrases
from trustcli.console.passphrase_comparison import ComparedPassphrases

SHORT = {"TRUST_ROOT_PASSPHRASE": "seven77", "TRUST_REPOSITORY_PASSPHRASE": "eight888"}


def test_a_short_new_one_warns_once_and_is_not_shown() -> None:
    told: list[str] = []
    passphrases = ComparedPassphrases(EnvironmentPassphrases(SHORT, None), told.append)
    passphrases.passphrase(purpose="targets", key="a targets key", new=True)
    assert told == []
    for _ in range(2):
        passphrases.passphrase(purpose="root", key="the new root key", new=True)
    [warning] = told
    assert "the new root key has fewer than 8 characters" in warning
    assert "seven77" not in warning


def test_one_in_use_may_be_short() -> None:
    told: list[str] = []
    ComparedPassphrases(EnvironmentPassphrases(SHORT, None), told.append).passphrase(purpose="root", key="a root key")
    assert told == []
