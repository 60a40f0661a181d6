"""Text that somebody else has chosen does not reach the terminal raw: every command, and whoever has chosen it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys.hostile import Serve
from tests.support.hostile_server import Request, Script, Wire, json_reply, reply
from tests.support.trust_program import Ran, TrustUser
from trustcli.commands.table import COMMANDS

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

HOSTILE = "x\x1b[2K\r\x9b31m\u202ey"
"""Erase the line, return to its start, a color in the C1 alphabet, and a text that runs to the left."""
SHOWN = "x\\x1b[2K\\r\\x9b31m\\u202ey"
WORDS = sorted({*COMMANDS, "verify", "inspect"} - {"demo"})


def harmless(ran: Ran) -> Ran:
    """Nothing but lines of printable text and tabs came out."""
    for stream in (ran.stdout, ran.stderr):
        for character in stream:
            assert character.isprintable() or character in "\n\t", repr(stream)
    return ran


@pytest.mark.parametrize("word", WORDS)
def test_what_a_user_typed(tmp_path: Path, word: str) -> None:
    person = TrustUser(tmp_path / "person", "http://127.0.0.1:1")
    for arguments in (
        [word, HOSTILE],
        [word, f"127.0.0.1:1/{HOSTILE}:1.0"],
        [word, "127.0.0.1:1/app:1.0", HOSTILE],
        [word, f"127.0.0.1:1/app:{HOSTILE}", HOSTILE],
        [word, f"--{HOSTILE}"],
        [word, "--policy", HOSTILE, "127.0.0.1:1/app:1.0"],
        [HOSTILE, word],
        ["--server", HOSTILE, word, "127.0.0.1:1/app:1.0"],
        ["--home", HOSTILE, word, "127.0.0.1:1/app:1.0"],
        ["--cacert", HOSTILE, "--server", "https://127.0.0.1:1", word, "127.0.0.1:1/app:1.0"],
        ["--lock", HOSTILE, word, "127.0.0.1:1/app:1.0"],
        ["--json", word, HOSTILE],
    ):
        ran = harmless(person.run(*arguments, expect=None))
        assert ran.status in range(9), str(ran)
    for variable in ("TRUST_TOFU", "TRUST_SERVER", "TRUST_PIN", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"):
        harmless(person.run(word, "127.0.0.1:1/app:1.0", expect=None, **{variable: HOSTILE}))


def test_it_is_escaped_once(tmp_path: Path) -> None:
    person = TrustUser(tmp_path / "person", "http://127.0.0.1:1")
    for arguments in (["verify", f"app:{HOSTILE}"], ["pin", f"app/{HOSTILE}", "key:0"], ["sign", HOSTILE]):
        ran = harmless(person.run(*arguments, expect=None))
        assert SHOWN in ran.stderr, str(ran)
        assert "\\\\" not in ran.stderr, str(ran)


def test_the_name_of_a_key(tmp_path: Path) -> None:
    user = TrustUser(tmp_path / "user", "http://127.0.0.1:1")
    user.run("key", "generate", "k")
    user.run("key", "export", "k", "--plain", "-o", "k.pem")
    user.run("key", "remove", "--yes", "k")
    harmless(user.run("key", "load", "k.pem", "--name", HOSTILE))
    assert SHOWN in harmless(user.run("key", "list")).stdout


# --- servers


def everywhere(text: str) -> Callable[[int], Script]:
    """Servers that say this in every form in which trust servers, registries and proxies say something."""

    def make(form: int) -> Script:
        said = {"code": text, "message": text, "detail": text, "title": text}

        def script(_: Request, wire: Wire) -> None:
            headers = {"Content-Type": "application/json"}
            answers = (
                json_reply(403, {**said, "errors": [said]}, {**headers, "Server": "nginx"}),
                reply(502, f"<h1>{text}</h1>".encode()),
                reply(503, text.encode(), {"Retry-After": "999"}),
                json_reply(404, {"errors": [said]}),
                reply(302, headers={"Location": "http://127.0.0.1:1/" + text.encode("unicode_escape").decode()}),
                reply(401, headers={"WWW-Authenticate": f'Bearer realm="http://127.0.0.1:1/{ascii_of(text)}"'}),
                json_reply(200, {"schemaVersion": 2, "mediaType": text}),
            )
            wire.send(answers[form])

        return script

    return make


def ascii_of(text: str) -> str:
    """What a header can hold of it."""
    return "".join(character for character in text if character.isascii() and character not in "\r\n")


@pytest.mark.parametrize("form", range(7))
def test_what_a_server_says(tmp_path: Path, serve: Serve, form: int) -> None:
    server = serve(everywhere(HOSTILE)(form))
    gun = f"{server.netloc}/app"
    person = TrustUser(tmp_path / "person", server.url)
    for arguments in (
        ["--tofu", "verify", f"{gun}:1.0"],
        ["inspect", "--pretty", gun],
        ["inspect", gun],
        ["sign", f"{gun}:1.0"],
        ["init", gun, "--no-recovery-key"],
        ["doctor", gun],
        ["explain", f"{gun}:1.0"],
        ["migrate", "from-notary", server.url, gun],
        ["--json", "sign", f"{gun}:1.0"],
    ):
        ran = harmless(person.run(*arguments, expect=None))
        assert ran.status != 0 or arguments[0] == "inspect", str(ran)
