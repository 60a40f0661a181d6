"""What docs/guides/containerd.md tells people to write is what the programs read."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from trustcli.config.settings import load_hook_settings
from trustcli.doctor.containerd.config import PLUGIN, ConfigFile, judge_config, read_verifiers
from trustdata.policy import read_policy

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "containerd.md"
BLOCKS = re.findall(r"^```toml\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def in_the_config_map(name: str) -> str:
    """The text of a file of the ConfigMap, which is indented by four."""
    text = GUIDE.read_text(encoding="utf-8")
    match = re.search(rf"^  {re.escape(name)}: \|\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    assert match is not None
    return re.sub(r"^    ", "", match.group(1), flags=re.MULTILINE)


@pytest.mark.parametrize("text", [BLOCKS[0], in_the_config_map("trust.toml")])
def test_the_settings(tmp_path: Path, text: str) -> None:
    file = tmp_path / "trust.toml"
    file.write_text(text)
    settings = load_hook_settings({}, config=file, state=None)
    assert str(settings.state) == "/var/lib/content-trust"
    assert settings.verifier.allow
    assert settings.servers


def test_containerd_s_configuration() -> None:
    file = ConfigFile(path="config.toml", document=tomllib.loads(BLOCKS[1]))
    assert [finding.severity for finding in judge_config([file])] == ["ok", "ok"]
    assert read_verifiers([file]).place.endswith(PLUGIN)


@pytest.mark.parametrize("text", [BLOCKS[2], in_the_config_map("policy.toml")])
def test_the_policies(text: str) -> None:
    whole = text.replace("3c0abc59...", "3c0abc59" * 8).replace("5f70bf18...", "5f70bf18" * 8)
    assert read_policy(tomllib.loads(whole), source="policy.toml").rules
