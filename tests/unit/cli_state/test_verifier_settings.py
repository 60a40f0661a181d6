"""`[verifier]` of the settings, and what a hook goes by."""

from __future__ import annotations

from pathlib import Path

import pytest

from trustcli.config.settings import Settings, load_hook_settings
from trustcli.config.verifier_settings import AllowedImage, VerifierSettings
from trustcli.errors import SettingsUnusable
from trustdata.gun import parse_gun

DIGEST = f"sha256:{'a' * 64}"
PAUSE = parse_gun("registry.k8s.io/pause")


def load(folder: Path, text: str, environ: dict[str, str] | None = None, state: Path | None = None) -> Settings:
    file = folder / "node.toml"
    file.write_text(text)
    return load_hook_settings(environ or {}, config=file, state=state)


def test_a_settings_file_alone_counts(tmp_path: Path) -> None:
    environ = {"TRUST_HOME": "/x", "TRUST_SERVER": "https://x", "TRUST_TOFU": "1", "TRUST_PIN": "x", "HOME": "/y"}
    settings = load(tmp_path, "", environ)
    assert settings == Settings(home=tmp_path, config=tmp_path / "node.toml", non_interactive=True)
    assert settings.file == tmp_path / "node.toml"
    assert settings.memory_folder == tmp_path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, 'cacert = "ca.crt"\nstate = "../state"\n[verifier]\npolicy = "policy.toml"')
    assert settings.cacert == tmp_path / "ca.crt"
    assert settings.memory_folder == tmp_path / "../state"
    assert settings.verifier == VerifierSettings(policy=tmp_path / "policy.toml")
    assert load(tmp_path, 'state = "/var/lib/x"').memory_folder == Path("/var/lib/x")
    assert load(tmp_path, 'state = "/var/lib/x"', state=Path("/given")).memory_folder == Path("/given")


def test_without_a_file_the_environment_counts_but_no_lock_and_no_tofu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trust.lock").write_text("")
    environ = {"TRUST_HOME": str(tmp_path / "home"), "TRUST_SERVER": "https://x", "TRUST_TOFU": "1"}
    settings = load_hook_settings(environ, config=None, state=None)
    assert settings == Settings(
        home=tmp_path / "home", server="https://x", server_source="TRUST_SERVER", non_interactive=True
    )
    assert load_hook_settings(environ, config=None, state=tmp_path).memory_folder == tmp_path


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsUnusable, match="No such file"):
        load_hook_settings({}, config=tmp_path / "missing.toml", state=None)


def test_the_allow_list(tmp_path: Path) -> None:
    text = f'[verifier]\nallow = ["{PAUSE}@{DIGEST}", "registry.example.com/cni/*", "docker.io/library/x"]'
    exact, prefix, name = load(tmp_path, text).verifier.allow
    assert exact == AllowedImage(pattern=PAUSE, digest=DIGEST)
    assert exact.allows(PAUSE, DIGEST)
    assert not exact.allows(PAUSE, DIGEST.replace("a", "b"))
    assert not exact.allows(parse_gun(f"{PAUSE}/x"), DIGEST)
    assert prefix.allows(parse_gun("registry.example.com/cni/a/b"), DIGEST)
    assert not prefix.allows(parse_gun("registry.example.com/cni"), DIGEST)
    assert not prefix.allows(parse_gun("registry.example.com/cnix/a"), DIGEST)
    assert name.allows(parse_gun("docker.io/library/x"), DIGEST)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("verifier = 5", "verifier must be a table"),
        ("[verifier]\nallowed = []", r"verifier\.allowed"),
        ('[verifier]\nallow = "x"', r"verifier\.allow must be a list"),
        ("[verifier]\nallow = [5]", r"verifier\.allow\[0\]"),
        ('[verifier]\nallow = ["a.example.com/x", "*"]', r"verifier\.allow\[1\].*nothing would be verified"),
        ('[verifier]\nallow = ["pause"]', r"verifier\.allow\[0\]"),
        ('[verifier]\nallow = ["alpine:3"]', r"verifier\.allow\[0\]"),
        (
            '[verifier]\nallow = ["a.example.com/x:1"]',
            r"verifier\.allow\[0\].*, or the beginning of one before /\*; no tag",
        ),
        ('[verifier]\nallow = ["A.example.com/x"]', r"verifier\.allow\[0\] is 'A\.example\.com/x', but must be a name"),
        ('[verifier]\nallow = ["nginx@sha256:x"]', r"; did you mean docker\.io/library/nginx\?"),
        ('[verifier]\nallow = ["a.example.com"]', r"; did you mean a\.example\.com/\*\?"),
        ('[verifier]\nallow = ["a.example.com/x@"]', r"verifier\.allow\[0\]"),
        ('[verifier]\nallow = ["a.example.com/x@sha256:abc"]', r"verifier\.allow\[0\]"),
        (f'[verifier]\nallow = ["a.example.com/*@{DIGEST}"]', r"verifier\.allow\[0\]"),
        ('[verifier]\nallow = [""]', r"verifier\.allow\[0\]"),
        ("[verifier]\npolicy = 5", r"verifier\.policy"),
        ('[verifier]\npolicy = ""', r"verifier\.policy"),
        ("[verifier]\ntimeout = 8", r"verifier\.timeout"),
        ('[verifier]\ntimeout = "0s"', r"verifier\.timeout"),
        ('[verifier]\ntimeout = "6m"', r"verifier\.timeout"),
        ('[verifier]\ntimeout = "soon"', r"verifier\.timeout"),
        ('state = ""', "state must be the path of a folder"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsUnusable, match=named) as caught:
        load(tmp_path, text)
    assert caught.value.place == str(tmp_path / "node.toml")


@pytest.mark.parametrize(("text", "expected"), [("1s", 1.0), ("90s", 90.0), ("5m", 300.0)])
def test_the_timeout(tmp_path: Path, text: str, expected: float) -> None:
    assert load(tmp_path, f'[verifier]\ntimeout = "{text}"').verifier.timeout == expected
