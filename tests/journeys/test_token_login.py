"""`trust login` with a token of the server: one that counts is stored, and a misplaced one is not shown."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server_process import ServerProcess, server_command
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path_factory.mktemp("server") / "data")
    server_command("migrate", "--data", str(server.data))
    token_of(server, "first")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def ci(tmp_path: Path, server: ServerProcess) -> TrustUser:
    return TrustUser(tmp_path / "ci", server.url)


def token_of(server: ServerProcess, name: str) -> str:
    return server_command("access", "token", "add", name, "--expires", "1h", "--data", str(server.data)).stdout.strip()


def token_file(person: TrustUser, token: str) -> str:
    file = person.folder / "token"
    file.write_text(f"{token}\n")
    file.chmod(0o600)
    return str(file)


def test_a_token_that_counts_is_stored_though_it_has_no_rights(ci: TrustUser, server: ServerProcess) -> None:
    file = token_file(ci, token_of(server, "without-rights"))
    assert "with a token" in ci.run("login", "--token-file", file).stdout
    ran = ci.run("--json", "whoami").said(
        "these are the rights on every name; those on a collection: trust whoami NAME"
    )
    assert ran.document()["subject"] == "token:without-rights"


def test_a_token_that_does_not_count_is_not_stored(ci: TrustUser, server: ServerProcess) -> None:
    ended = token_of(server, "ended")
    server_command("access", "token", "revoke", "ended", "--data", str(server.data))
    for token, why in [
        (ended[:-1], "mistyped or cut off"),
        ("correct-horse-battery", "does not know such a credential"),
        (ended, "was revoked"),
        ("eyJhbGciOiJub25lIn0.e30.", "that of a CI job is exchanged for one (trust login --oidc)"),
    ]:
        said = ci.run("login", "--token-file", token_file(ci, token), expect=7).stderr
        assert why in said
        assert "nothing was stored" in said
        assert not (ci.folder / "docker" / "config.json").exists()


def test_a_token_in_the_wrong_place_is_refused_and_not_shown(ci: TrustUser, server: ServerProcess) -> None:
    token = token_of(server, "misplaced")
    for ran in (
        ci.run("login", "--username", token, expect=2),
        ci.run("login", "--token-file", token, expect=2),
        ci.run("whoami", expect=2, TRUST_TOKEN_FILE=token),
        ci.run("login", "--oidc", expect=2, TRUST_ID_TOKEN_FILE="eyJhbGciOiJub25lIn0.e30."),
    ):
        assert token not in ran.stdout + ran.stderr
        assert "eyJ" not in ran.stderr
        assert "token" in ran.stderr


def test_a_token_of_the_environment_is_named_where_it_is_what_is_wrong(ci: TrustUser, server: ServerProcess) -> None:
    said = ci.run("whoami", expect=7, TRUST_TOKEN="wrong").stderr
    assert f"next: give another token in TRUST_TOKEN, or unset it and: trust login {server.url}" in said
    assert "gone (TRUST_TOKEN_FILE)" in ci.run("whoami", expect=2, TRUST_TOKEN_FILE="gone").stderr
    good = token_file(ci, token_of(server, "good"))
    said = ci.run("login", "--token-file", good, TRUST_TOKEN_FILE=good).stderr
    assert "TRUST_TOKEN_FILE is set and counts before this login" in said


def test_a_job_is_no_user(ci: TrustUser) -> None:
    said = ci.run("login", "--oidc", "--username", "alice", expect=2, TRUST_ID_TOKEN="x").stderr
    assert "leave --username out" in said


def test_a_token_that_others_may_read_is_told(server: ServerProcess, tmp_path: Path) -> None:
    for mode, warned in ((0o644, True), (0o600, False)):
        file = tmp_path / f"{mode:o}.token"
        file.touch(mode)
        file.chmod(mode)
        command = [sys.executable, "-m", "trustserver", "access", "token", "add", f"of-{mode:o}", "--expires", "1h"]
        with file.open("w") as output:
            done = subprocess.run(
                [*command, "--data", str(server.data)], stdout=output, stderr=subprocess.PIPE, text=True, check=True
            )
        assert file.read_text().startswith("ct_")
        assert (f"others may read the token in {file}" in done.stderr) is warned
