"""The documentation is true to the code: options, settings, error codes, exit statuses and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from keys.backup.errors import BackupError
from keys.error_record import ErrorRecord
from keys.errors import KeysError
from keys.kms.errors import KeyServiceError
from trustcli.commands import inspect, verify
from trustcli.commands.table import COMMANDS
from trustcli.config.global_options import GlobalOptions, extract
from trustcli.console import exit_codes
from trustcli.console.failure_table import row_for
from trustcli.console.help_text import GLOBAL_OPTIONS
from trustdata.errors import TrustError
from trustserver import __main__ as server
from trustserver import errors as server_errors
from trustserver import settings as server_settings
from trustserver.api import fair_queue, problems, request_turns, upload, upload_room
from trustserver.auth import signature_queue
from trustserver.repository import quotas, retention
from trustserver.responses import in_flight
from trustserver.server import front, serving

_TOP: Final = Path(__file__).resolve().parents[2]
_REFERENCE: Final = _TOP / "docs" / "reference"
_DOCUMENTS: Final = sorted([*_TOP.glob("*.md"), *(_TOP / "docs").rglob("*.md")])
_LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_CODE_BLOCK: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def _text(name: str) -> str:
    return (_REFERENCE / name).read_text(encoding="utf-8")


def _names(text: str, word: str) -> bool:
    """Whether the word stands in the text, not as a part of a longer one: `--key` is not in `--key-file`."""
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None


def _section(text: str, heading: str) -> str:
    """What stands under the heading that begins so, up to the next one of level two."""
    match = re.search(rf"^## {re.escape(heading)}(?![\w-]).*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match is not None, f"no section for {heading}"
    return match.group()


def _options_of_parser(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if parameter.param_type_name == "option" and parameter.name != "help":
            yield from (*parameter.opts, *parameter.secondary_opts)


def _leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command below, with the words that call it."""
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for word, sub in below.items():
        yield from _leaves(sub, f"{name} {word}")


QUICK = {"verify": verify.parser, "inspect": inspect.parser}
"""Commands that are read without Typer."""


def _trust_options() -> Iterator[tuple[str, str]]:
    """(the command as it is called, option) for everything that `trust` understands."""
    for name, entry in COMMANDS.items():
        if name in QUICK:
            for action in QUICK[name]()._actions:
                yield from (
                    (f"trust {name}", option) for option in action.option_strings if option not in {"-h", "--help"}
                )
            continue
        for words, leaf in _leaves(typer.main.get_command(import_module(entry.module).app), f"trust {name}"):
            yield from ((words, option) for option in _options_of_parser(leaf))


def _server_options() -> Iterator[tuple[str, str]]:
    for words, leaf in _leaves(typer.main.get_command(server.app), "trust-server"):
        yield from ((words, option) for option in _options_of_parser(leaf))


_OF_KEYS = {"keys.errors", BackupError.__module__, KeyServiceError.__module__}


def _classes(root: type[ErrorRecord]) -> Iterator[type[ErrorRecord]]:
    """The root and everything below it that the product's own modules define."""
    if root.__module__ in {*_OF_KEYS, "trustcli.errors", "trustdata.errors", "trustserver.errors"}:
        yield root
    for below in root.__subclasses__():
        yield from _classes(below)


def _errors() -> list[type[ErrorRecord]]:
    return sorted(
        {*_classes(KeysError), *_classes(TrustError)},
        key=lambda kind: (kind.__module__, kind.__name__),
    )


def _rows(text: str) -> list[list[str]]:
    """The cells of every table row."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


# --- options


def test_every_command_has_a_section() -> None:
    headings = "\n".join(line for line in _text("cli.md").splitlines() if line.startswith("## "))
    assert [name for name in COMMANDS if not _names(headings, f"trust {name}")] == []


@pytest.mark.parametrize(("words", "option"), list(_trust_options()))
def test_every_option_stands_in_its_command_s_section(words: str, option: str) -> None:
    section = _section(_text("cli.md"), " ".join(["`trust", words.split()[1]]))
    assert _names(section, words)
    assert _names(section, option)


def test_subcommands_name_their_own_options() -> None:
    """In the tables of `trust key` and `trust signer` an option stands in the row of its command."""
    rows = {row[0].strip("`"): " ".join(row) for row in _rows(_text("cli.md"))}
    missing = []
    for words, option in _trust_options():
        if len(words.split()) < 3:
            continue
        row = next(text for head, text in rows.items() if head == words or head.startswith(f"{words} "))
        if not _names(row, option):
            missing.append((words, option))
    assert missing == []


def test_global_options() -> None:
    section = _section(_text("cli.md"), "Options of every command")
    named = set(re.findall(r"--[a-z-]+", " ".join(GLOBAL_OPTIONS)))
    assert named == set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE))
    for option in named:
        given, rest = extract([option, "x"])
        assert given != GlobalOptions(), f"{option} is documented and not understood"
        assert option not in rest


@pytest.mark.parametrize(("words", "option"), list(_server_options()))
def test_every_option_of_the_server(words: str, option: str) -> None:
    text = _text("server-settings.md")
    assert _names(text, words)
    assert _names(text, option)


@pytest.mark.parametrize("name", server_settings.SETTING_NAMES)
def test_every_setting_with_option_variable_and_key(name: str) -> None:
    option = "--" + name.replace("_", "-")
    (row,) = [row for row in _rows(_text("server-settings.md")) if re.match(rf"`{option}[ `]", row[0])]
    assert row[1:3] == [f"`{server_settings.ENVIRONMENT_PREFIX}{name.upper()}`", f"`{name}`"]


_DEFAULTS: Final = {name: getattr(server_settings.Settings(), name) for name in server_settings.SETTING_NAMES}


@pytest.mark.parametrize("name", [name for name, value in _DEFAULTS.items() if type(value) is int])
def test_every_default_that_is_a_number(name: str) -> None:
    option = "--" + name.replace("_", "-")
    (row,) = [row for row in _rows(_text("server-settings.md")) if re.match(rf"`{option}[ `]", row[0])]
    assert row[3] == str(_DEFAULTS[name])


_SETTINGS: Final = _REFERENCE / "server-settings.md"
_OPERATING: Final = _TOP / "docs" / "guides" / "operate-server.md"
_FIGURES: Final = [
    (_SETTINGS, "all uploads being read or judged", f"{upload_room.ALL_UPLOADS >> 20} MiB"),
    (_OPERATING, "memory of uploads", f"{upload_room.ALL_UPLOADS >> 20} MiB"),
    (_SETTINGS, "large answers that are being sent", f"{in_flight.MAX_BYTES >> 20} MiB"),
    (_OPERATING, "large files that are being sent", f"{in_flight.MAX_BYTES >> 20} MiB"),
    (_SETTINGS, "clients that take an answer more slowly", f"{front.MAX_SLOW_READERS};"),
    (_OPERATING, "clients that take an answer more slowly", f"{front.MAX_SLOW_READERS};"),
    (_SETTINGS, "requests of one client", f"{request_turns.AT_ONE_TIME};"),
    (_OPERATING, "requests of one client", f"{request_turns.AT_ONE_TIME};"),
    (
        _SETTINGS,
        "tokens whose signature",
        f"{signature_queue.MAX_WAITING} wait, {signature_queue.MAX_WAITING_OF_ONE}",
    ),
    (
        _OPERATING,
        "tokens whose",
        f"{signature_queue.MAX_WAITING}, of one address {signature_queue.MAX_WAITING_OF_ONE}",
    ),
    (_SETTINGS, "superseded versions of one", f"{retention.KEPT_BYTES >> 20} MiB; beyond"),
    (_OPERATING, "superseded versions", f"{retention.KEPT_BYTES >> 20} MiB"),
    (
        _SETTINGS,
        "superseded versions of one",
        f"{quotas.MAX_ROOT_VERSIONS} versions and {quotas.MAX_ROOT_BYTES >> 20} MiB",
    ),
    (_SETTINGS, "uploads judged at one time", f"at most {fair_queue.MAX_WAITING} wait"),
    (_SETTINGS, "one upload", f"{upload.MAX_UPLOAD >> 20} MiB, {upload.MAX_PARTS} parts"),
    (_OPERATING, "connections at one time", f"{serving.MOST_CONNECTIONS}, or"),
]
"""Limits that the documents give: document, beginning of the row, and what stands in it."""


@pytest.mark.parametrize(("document", "beginning", "figure"), _FIGURES)
def test_a_limit_is_what_the_documents_say(document: Path, beginning: str, figure: str) -> None:
    rows = [row for row in _rows(document.read_text(encoding="utf-8")) if row[0].startswith(beginning)]
    assert len(rows) == 1
    assert figure in " ".join(rows[0])


# --- errors


def test_every_error_code() -> None:
    codes = {row[0].strip("`") for row in _rows(_text("errors.md"))}
    assert [kind.__name__ for kind in _errors() if kind.code not in codes] == []


def test_no_error_code_that_does_not_exist() -> None:
    known = {kind.code for kind in _errors()} | {"method-not-allowed", "internal"}
    written = {row[0].strip("`") for row in _rows(_text("errors.md")) if row[0].startswith("`")}
    assert written - known == set()


@pytest.mark.parametrize("kind", [k for k in _errors() if k.__module__ != server_errors.__name__])
def test_an_error_s_exit_status(kind: type[TrustError | KeysError]) -> None:
    named = [row for row in _rows(_text("errors.md")) if row[1] == kind.__name__]
    assert [(row[0], row[3]) for row in named] == [(f"`{kind.code}`", str(row_for(kind.__new__(kind)).status))]


def test_exit_statuses() -> None:
    statuses = {
        value
        for name, value in vars(exit_codes).items()
        if name.isupper() and not name.startswith("_") and type(value) is int
    }
    section = _section(_text("cli.md"), "Exit status")
    assert {int(row[0]) for row in _rows(section) if row[0].isdigit()} == statuses
    order = re.search(r"in the order ([\d, ]+)", section)
    assert order is not None
    written = [int(word) for word in re.findall(r"\d", order.group(1))]
    assert written == [status for status in exit_codes._WORST_FIRST if status != exit_codes.DONE]


@pytest.mark.parametrize(("kind", "status", "title"), problems._STATUS)
def test_http_statuses(kind: type[TrustError], status: int, title: str) -> None:
    rows = [row for row in _rows(_text("http.md")) if f"`{kind.code}`" in row[0] and row[1][:3].isdigit()]
    assert [row[1] for row in rows] == [str(status)], title


# --- links


def _anchors(document: Path) -> set[str]:
    """Anchors of the headings, as GitHub and most renderers make them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", _CODE_BLOCK.sub("", document.read_text(encoding="utf-8")), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(plain.strip().replace(" ", "-"))
    return found


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: str(path.relative_to(_TOP)))
def test_relative_links(document: Path) -> None:
    broken = []
    for target in _LINK.findall(_CODE_BLOCK.sub("", document.read_text(encoding="utf-8"))):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        if not file.is_relative_to(_TOP) or not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(target)
    assert broken == []


def test_every_guide_and_every_page_of_the_reference_is_linked_from_the_readme_itself() -> None:
    linked = set(_LINK.findall((_TOP / "README.md").read_text(encoding="utf-8")))
    files = {target.partition("#")[0] for target in linked}
    pages = [
        path.relative_to(_TOP).as_posix()
        for folder in ("guides", "reference")
        for path in (_TOP / "docs" / folder).glob("*.md")
    ]
    assert sorted(set(pages) - files) == []


def test_every_document_is_reached_from_the_readme() -> None:
    reached, queue = set(), [_TOP / "README.md"]
    while queue:
        document = queue.pop()
        if document in reached:
            continue
        reached.add(document)
        for target in _LINK.findall(document.read_text(encoding="utf-8")):
            file = (document.parent / target.partition("#")[0]).resolve()
            if file.suffix == ".md" and file.is_file():
                queue.append(file)
    assert [str(document.relative_to(_TOP)) for document in _DOCUMENTS if document not in reached] == []
