"""What parsers refuse is said in one form, whichever of them has refused it."""

from __future__ import annotations

import pytest

from trustdata.usage_words import command_meant, usage_sentence


@pytest.mark.parametrize(
    ("words", "sentence", "meant"),
    [
        ("No such command 'lst'. Did you mean 'list'?", "there is no command 'lst'; did you mean 'list'?", "list"),
        ("No such command 'x'.", "there is no command 'x'", ""),
        ("No such option: --x", "there is no option '--x'", ""),
        ("No such option: --x Did you mean --y?", "there is no option '--x'; did you mean '--y'?", ""),
        (
            "No such option: --x (Possible options: --y, --z)",
            "there is no option '--x'; did you mean '--y'?",
            "",
        ),
        ("unrecognized arguments: a --x=1", "there is no option '--x'", ""),
        ("unrecognized arguments: a b", "there is a word too many: a b", ""),
        ("Got unexpected extra argument(s) (a)", "there is a word too many: a", ""),
        ("Got unexpected extra arguments (a b)", "there is a word too many: a b", ""),
        ("Missing argument 'NAME...'.", "NAME... is missing", ""),
        ("Missing option '--data'.", "--data is missing", ""),
        ("Invalid value for '--n': Not a number.", "--n cannot be used: not a number", ""),
        ("Invalid value for '--n': Value error, is too odd", "--n cannot be used: is too odd", ""),
        (
            "Invalid value for '--kind': Value error, 'rs' is not one of 'ecdsa-p256', 'rsa'",
            "--kind rs is unknown; write one of ecdsa-p256, rsa; did you mean 'rsa'?",
            "",
        ),
        ("Invalid value for '--kind': 'x' is not one of 'a', 'b'.", "--kind x is unknown; write one of a, b", ""),
        (
            "Invalid value for '--jobs' / '-j': Input should be a valid integer, unable to parse string as an integer",
            "--jobs / -j must be a whole number",
            "",
        ),
        ("Option '--x' requires an argument.", "option --x needs a value", ""),
        ("argument --x: expected one argument", "option --x needs a value", ""),
        ("argument -y/--yes: expected at least one argument", "option -y needs a value", ""),
        ("Option '--x' does not take a value.", "option --x takes no value", ""),
        ("argument --x: ignored explicit argument '3'", "option --x takes no value", ""),
        (
            "ambiguous option: --s=1 could match --signer, --server",
            "there is no option '--s': --signer, --server?",
            "",
        ),
        ("Something new.", "Something new", ""),
    ],
)
def test_a_refusal_has_one_form(words: str, sentence: str, meant: str) -> None:
    assert usage_sentence(words) == sentence
    assert command_meant(sentence) == meant
