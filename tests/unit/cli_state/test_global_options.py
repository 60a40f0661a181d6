"""Global options anywhere on the command line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustcli.config.global_options import GlobalOptions, extract
from trustcli.errors import UsageError


@pytest.mark.parametrize(
    "argv",
    [
        ["--server", "https://s", "--json", "verify", "app:1"],
        ["verify", "--server", "https://s", "app:1", "--json"],
        ["verify", "app:1", "--json", "--server=https://s"],
    ],
)
def test_before_and_after_the_command_mean_the_same(argv: list[str]) -> None:
    assert extract(argv) == (GlobalOptions(server="https://s", json=True), ["verify", "app:1"])


def test_every_option_in_both_spellings() -> None:
    expected = GlobalOptions(
        server="s", home="h", cacert="c", pin="p", lock="l", insecure_registries=("a", "b"),
        json=True, non_interactive=True, tofu=True,
    )  # fmt: skip
    values = [("--server", "s"), ("--home", "h"), ("--cacert", "c"), ("--pin", "p"), ("--lock", "l")]
    values += [("--insecure-registry", "a"), ("--insecure-registry", "b")]
    flags = ["--json", "--non-interactive", "--tofu"]
    assert extract([word for pair in values for word in pair] + flags) == (expected, [])
    assert extract([f"{name}={value}" for name, value in values] + flags) == (expected, [])


def test_the_last_one_counts() -> None:
    assert extract(["--server=a", "--server", "b"])[0].server == "b"


def test_nothing_after_two_dashes_is_touched() -> None:
    assert extract(["sign", "--", "--json", "--server"]) == (GlobalOptions(), ["sign", "--", "--json", "--server"])


def test_a_value_may_hold_an_equals_sign_or_one_dash() -> None:
    assert extract(["--server=https://s/?a=b", "--home", "-"])[0] == GlobalOptions(server="https://s/?a=b", home="-")


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--server"], "--server"),
        (["--server="], "--server"),
        (["--server", ""], "--server"),
        (["--server", "--json"], "--server"),
        (["--server", "--"], "--server"),
        (["--insecure-registry"], "--insecure-registry"),
        (["--json=true"], "--json"),
        (["--tofu="], "--tofu"),
    ],
)
def test_wrong_usage_names_the_option(argv: list[str], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        extract(["verify", *argv])


@given(st.lists(st.text()))
def test_what_is_not_global_stays_in_its_order(words: list[str]) -> None:
    foreign = [w for w in words if w.partition("=")[0] not in GLOBAL]
    assert extract(foreign) == (GlobalOptions(), foreign)


GLOBAL = {
    "--server", "--home", "--cacert", "--pin", "--lock", "--insecure-registry", "--json", "--non-interactive", "--tofu",
}  # fmt: skip


def test_words_that_only_begin_like_a_global_option_are_not_ours() -> None:
    words = ["--serve", "--json-lines", "-json", "json", "--tofutti"]
    assert extract(words) == (GlobalOptions(), words)
