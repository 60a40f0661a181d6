"""`trust doctor containerd` on a node: nothing is wrong where nothing is, and each way around the verifier is named."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.containerd_configs import (
    DEFAULT_2,
    DEFAULT_3,
    LIKE_GKE,
    LIKE_TALOS,
    LIKE_TALOS_IMPORTED,
)
from tests.support.pulling_node import Node
from tests.support.stage import OTHER_DIGEST
from tests.support.trust_program import no_secret_in

PLUGIN = 'plugins."io.containerd.image-verifier.v1.bindir"'
ALLOW = f'allow = ["registry.k8s.io/pause@{OTHER_DIGEST}"]'


class Checked:
    """A node on which all is well, and its containerd's configuration."""

    def __init__(self, folder: Path) -> None:
        self.node = Node(folder / "node", {}, verifier=ALLOW)
        self.config = folder / "config.toml"
        self.node.admin.run("pin", "registry.example.com/app", OTHER_DIGEST, "--format", "tuf")
        self.write(DEFAULT_3)

    def write(self, text: str) -> None:
        self.config.write_text(text.replace("/opt/containerd/image-verifier/bin", str(self.node.containerd.bin_dir)))

    @property
    def bin_dir(self) -> Path:
        return self.node.containerd.bin_dir

    def wrong(self) -> list[dict[str, Any]]:
        """What is wrong; the exit status must say whether anything is."""
        status, findings = self.node.doctor(self.config)
        found = [finding for finding in findings if finding["severity"] == "wrong"]
        assert status == (1 if found else 0)
        for finding in found:
            assert finding["text"], finding
            assert finding["place"], finding
            assert finding["remedy"], finding
        return found


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    return Checked(tmp_path)


def test_nothing_is_wrong_where_all_is_well(checked: Checked) -> None:
    assert checked.wrong() == []
    done = checked.node.admin.run("doctor", "containerd", "--config", str(checked.config))
    assert "nothing is wrong" in done.stdout
    assert "ctr image pull --local" in done.stdout
    assert "ctr images import" in done.stdout
    assert sorted(path.name for path in checked.bin_dir.iterdir()) == ["trust-image-verifier"]


def test_version_2_with_the_plugin_in_a_file_of_its_own(checked: Checked, tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    own = tmp_path / "conf.d" / "verifier.toml"
    own.write_text(f"version = 2\n[{PLUGIN}]\nbin_dir = {json.dumps(str(checked.bin_dir))}\n")
    checked.write(DEFAULT_2.replace("imports = []", 'imports = ["conf.d/*.toml"]'))
    assert checked.wrong() == []
    own.write_text(own.read_text() + '[plugins."io.containerd.cri.v1.images"]\nuse_local_image_pull = true\n')
    (found,) = checked.wrong()
    assert found["place"].startswith(str(own))


def test_like_gke(checked: Checked) -> None:
    checked.write(f'{LIKE_GKE}\n[{PLUGIN}]\nbin_dir = "/opt/containerd/image-verifier/bin"\n')
    assert [finding["check"] for finding in checked.wrong()] == ["local-pull", "sandbox-image"]


def test_like_talos(checked: Checked, tmp_path: Path) -> None:
    imported = tmp_path / "cri.toml"
    imported.write_text(LIKE_TALOS_IMPORTED + f"[{PLUGIN}]\nbin_dir = {json.dumps(str(checked.bin_dir))}\n")
    checked.write(LIKE_TALOS.replace("/etc/cri/conf.d/cri.toml", str(imported)))
    assert [finding["check"] for finding in checked.wrong()] == ["plugins", "local-pull"]


def _no_folder(checked: Checked) -> None:
    (checked.bin_dir / "trust-image-verifier").unlink()
    checked.bin_dir.rmdir()


def _empty(checked: Checked) -> None:
    (checked.bin_dir / "trust-image-verifier").unlink()


def _another_default(checked: Checked) -> None:
    checked.config.write_text(DEFAULT_3.replace("/opt/containerd/image-verifier/bin", "/nowhere/at/all"))


def _readme(checked: Checked) -> None:
    (checked.bin_dir / "README").write_text("x")


def _not_executable(checked: Checked) -> None:
    (checked.bin_dir / "trust-image-verifier").chmod(0o644)


def _only_another(checked: Checked) -> None:
    script = checked.bin_dir / "trust-image-verifier"
    script.write_text("#!/bin/sh\nexit 0\n")


def _changed(checked: Checked) -> None:
    script = checked.bin_dir / "trust-image-verifier"
    script.write_text(script.read_text().replace('"$@"', '"$@" || true'))


def _skipped(checked: Checked) -> None:
    for name in ("aa", "bb"):
        script = checked.bin_dir / name
        script.write_text("#!/bin/sh\nexit 0\n")
        script.chmod(0o755)
    checked.write(DEFAULT_3.replace("max_verifiers = 10", "max_verifiers = 2"))


def _none_called(checked: Checked) -> None:
    checked.write(DEFAULT_3.replace("max_verifiers = 10", "max_verifiers = 0"))


def _open_folder(checked: Checked) -> None:
    checked.bin_dir.chmod(0o777)


def _open_script(checked: Checked) -> None:
    (checked.bin_dir / "trust-image-verifier").chmod(0o775)


def _open_settings(checked: Checked) -> None:
    checked.node.config.chmod(0o666)


def _short(checked: Checked) -> None:
    checked.write(DEFAULT_3.replace("'10s'", "'8s'"))


def _longer_than_containerd(checked: Checked) -> None:
    checked.node.configure({}, verifier=f'{ALLOW}\ntimeout = "20s"')


def _unreadable_time(checked: Checked) -> None:
    checked.write(DEFAULT_3.replace("'10s'", "10"))


def _no_settings(checked: Checked) -> None:
    checked.node.config.unlink()


def _wrong_settings(checked: Checked) -> None:
    checked.node.configure({}, verifier='allow = ["*"]')


def _no_policy(checked: Checked) -> None:
    checked.node.configure({}, verifier=f'{ALLOW}\npolicy = "missing.toml"')


def _damaged_memory(checked: Checked) -> None:
    checked.node.state.mkdir(exist_ok=True)
    (checked.node.state / "seen.json").write_text("{")


def _state_is_a_file(checked: Checked) -> None:
    checked.node.state.write_text("")


def _damaged_pins(checked: Checked) -> None:
    (checked.node.etc / "pins.toml").write_text("= 5")


def _pause_unknown(checked: Checked) -> None:
    checked.node.configure({}, verifier="")


def _no_program(checked: Checked) -> None:
    script = checked.bin_dir / "trust-image-verifier"
    words = script.read_text().split(" ")
    place = next(n for n, word in enumerate(words) if word.endswith("/trust-image-verifier"))
    words[place] = "/nowhere/trust-image-verifier"
    script.write_text(" ".join(words))


def _allows_everything(checked: Checked) -> None:
    program = checked.node.etc / "bin" / "trust-image-verifier"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    (checked.bin_dir / "trust-image-verifier").unlink()
    (checked.bin_dir / "trust-image-verifier").symlink_to(program)


@pytest.mark.parametrize(
    ("spoil", "checks", "said"),
    [
        (_no_folder, ["bin-dir"], "missing or empty: every image passes"),
        (_empty, ["bin-dir"], "missing or empty: every image passes"),
        (_another_default, ["bin-dir"], "/nowhere/at/all is missing"),
        (_readme, ["bin-dir"], "README is not executable"),
        (_not_executable, ["bin-dir", "verifier"], "trust-image-verifier is not executable"),
        (_only_another, ["verifier"], "not among what containerd calls"),
        (_changed, ["verifier"], "its script was changed"),
        (_skipped, ["max-verifiers", "verifier"], "trust-image-verifier are never called"),
        (_none_called, ["max-verifiers", "verifier"], "max_verifiers is 0"),
        (_open_folder, ["bin-dir"], "may be changed by others"),
        (_open_script, ["bin-dir"], "may be changed by others"),
        (_open_settings, ["settings"], "may be changed by others"),
        (_short, ["timeout"], "killed before it can say why"),
        (_longer_than_containerd, ["timeout"], "the verifier may take 20 s"),
        (_unreadable_time, ["timeout"], "cannot be read"),
        (_no_settings, ["settings"], "every image is refused"),
        (_wrong_settings, ["settings"], "nothing would be verified"),
        (_no_policy, ["settings"], "missing.toml"),
        (_damaged_memory, ["state"], "seen.json is damaged"),
        (_state_is_a_file, ["state"], "cannot be written"),
        (_damaged_pins, ["pins"], "pins.toml cannot be used"),
        (_pause_unknown, ["sandbox-image"], "every pod needs registry.k8s.io/pause:3.10"),
        (_no_program, ["verifier"], "was called without a name"),
    ],
)
def test_what_is_wrong_is_named(
    checked: Checked, spoil: Callable[[Checked], None], checks: list[str], said: str
) -> None:
    spoil(checked)
    found = checked.wrong()
    assert sorted({finding["check"] for finding in found}) == sorted(checks), found
    assert any(said in finding["text"] for finding in found), found


def test_what_a_policy_exempts_and_what_its_owner_should_know(checked: Checked) -> None:
    pause = '[[rule]]\nmatch = "registry.k8s.io/pause"\nmode = "allow"\nreason = "of every pod"\nuntil = %s\n'
    checked.node.configure({}, verifier='policy = "policy.toml"')
    rules = checked.node.etc / "policy.toml"
    rules.write_text(pause % "2999-01-01")
    assert [finding["check"] for finding in checked.wrong()] == []
    rules.write_text(pause % "2020-01-01")
    assert [finding["check"] for finding in checked.wrong()] == ["sandbox-image"]
    _, findings = checked.node.doctor(checked.config)
    (told,) = [finding for finding in findings if finding["check"] == "policy"]
    assert "has run out" in told["text"]
    assert told["remedy"] == f"trust policy check {shlex.quote(str(rules))}"


def test_a_verifier_that_allows_nonsense_is_named(checked: Checked) -> None:
    environ = {"HOME": str(checked.node.etc), "TRUST_HOME": str(checked.node.etc)}
    checked.node.admin.environ.update(environ)
    _allows_everything(checked)
    texts = [finding["text"] for finding in checked.wrong()]
    assert any("must refuse in words: it allowed it" in text for text in texts)


@pytest.mark.parametrize("open_to_all", ["", "bin", "bin/trust-image-verifier"])
def test_a_program_that_others_may_change_is_not_run_and_none_learns_a_passphrase(
    checked: Checked, open_to_all: str
) -> None:
    checked.node.admin.environ.update(HOME=str(checked.node.etc), TRUST_HOME=str(checked.node.etc))
    _allows_everything(checked)
    learnt = checked.node.etc / "learnt"
    (checked.node.etc / "bin" / "trust-image-verifier").write_text(f"#!/bin/sh\nenv > {shlex.quote(str(learnt))}\n")
    runs = not open_to_all
    if not runs:
        (checked.node.etc / open_to_all).chmod(0o777)
    _, findings = checked.node.doctor(checked.config)
    assert learnt.exists() == runs
    assert any("was not tried" in finding["text"] for finding in findings) != runs
    if runs:
        no_secret_in(learnt.read_text())


def test_a_bin_dir_that_no_path_can_name_is_a_finding(checked: Checked) -> None:
    checked.config.write_text(f'version = 3\n[{PLUGIN}]\nbin_dir = "a\\u0000b"\n')
    assert [found["check"] for found in checked.wrong()] == ["bin-dir"]


def test_an_allowed_beginning_and_an_empty_pins_file_are_noted(checked: Checked) -> None:
    checked.node.configure({}, verifier='allow = ["registry.k8s.io/*"]')
    (checked.node.etc / "pins.toml").unlink()
    _, findings = checked.node.doctor(checked.config)
    notes = {finding["check"]: finding["text"] for finding in findings if finding["severity"] == "note"}
    assert "whatever content its registry serves" in notes["allow"]
    assert "nothing is pinned" in notes["pins"]


def test_without_options_the_verifier_depends_on_containerd_s_environment(checked: Checked) -> None:
    checked.node.admin.run("hook", "containerd", "--bin-dir", str(checked.bin_dir))
    _, findings = checked.node.doctor(checked.config)
    (note,) = [f for f in findings if f["check"] == "settings" and f["severity"] == "note"]
    assert "environment and home of containerd" in note["text"]


def test_a_configuration_that_is_not_there(checked: Checked) -> None:
    checked.config.unlink()
    (found,) = checked.wrong()
    assert found["check"] == "config"


# --- trust hook containerd


def test_installing_prints_what_containerd_needs_and_the_doctor_agrees(checked: Checked) -> None:
    checked.node.configure({}, verifier=f'{ALLOW}\ntimeout = "30s"')
    command = ("hook", "containerd", "--bin-dir", str(checked.bin_dir), "--config", str(checked.node.config))
    done = checked.node.admin.run(*command)
    assert done.stdout == f"{checked.bin_dir / 'trust-image-verifier'}\n"
    printed = done.stderr[done.stderr.index("version = 3") : done.stderr.index("required_plugins keeps")]
    assert 'per_verifier_timeout = "32s"' in printed
    checked.config.write_text(printed)
    assert checked.wrong() == []


def test_nothing_is_installed_with_settings_that_cannot_be_read(checked: Checked, tmp_path: Path) -> None:
    checked.node.config.write_text("[verifier]\nallow = [")
    command = ("hook", "containerd", "--bin-dir", str(tmp_path / "new"), "--config", str(checked.node.config))
    checked.node.admin.run(*command, expect=2).said("is not TOML")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_is_named(checked: Checked) -> None:
    checked.node.admin.run("hook", "containerd", "--bin-dir", "/proc/nothing/bin", expect=1).said("/proc/nothing")


def test_another_verifier_is_kept_and_named(checked: Checked) -> None:
    other = checked.bin_dir / "other"
    other.write_text("#!/bin/sh\nexit 0\n")
    other.chmod(0o755)
    checked.node.admin.run("hook", "containerd", "--bin-dir", str(checked.bin_dir)).said("other lies there, too")
    assert other.exists()


@pytest.mark.parametrize("spoil", [_not_executable, _changed, _no_program])
def test_installing_again_mends_a_spoilt_script(checked: Checked, spoil: Callable[[Checked], None]) -> None:
    spoil(checked)
    assert checked.wrong() != []
    checked.node.install()
    assert checked.wrong() == []
