"""Every setting that lets images pass without a verifier, on and off, in both places where configurations have it."""

from __future__ import annotations

import tomllib

import pytest

from tests.support.containerd_configs import (
    DEFAULT_2,
    DEFAULT_3,
    LIKE_GKE,
    LIKE_TALOS,
    LIKE_TALOS_IMPORTED,
)
from trustcli.doctor.containerd.config import (
    PLUGIN,
    ConfigFile,
    imports,
    judge_config,
    read_verifiers,
    sandbox_images,
    seconds,
)
from trustcli.doctor.findings import Finding

CRI_2 = 'plugins."io.containerd.grpc.v1.cri"'
CRI_3 = 'plugins."io.containerd.cri.v1.images"'


def files(*texts: str) -> list[ConfigFile]:
    return [ConfigFile(path=f"/etc/{n}.toml", document=tomllib.loads(text)) for n, text in enumerate(texts)]


def judged(*texts: str) -> list[Finding]:
    return judge_config(files(*texts))


def wrong(*texts: str) -> list[Finding]:
    return [finding for finding in judged(*texts) if finding.severity == "wrong"]


@pytest.mark.parametrize("text", [DEFAULT_2, DEFAULT_3, "version = 2", "version = 3", "version = 4"])
def test_what_containerd_writes_by_default_is_no_bypass(text: str) -> None:
    assert wrong(text) == []
    assert [f.check for f in judged(text) if f.severity == "ok"] == ["version", "local-pull"]


BYPASSES = [
    (CRI_3, "max_concurrent_downloads = 4", "max_concurrent_downloads is 4"),
    (CRI_3, "max_concurrent_downloads = 0", "max_concurrent_downloads is 0"),
    (CRI_3, 'max_concurrent_downloads = "3"', "max_concurrent_downloads is 3"),
    (CRI_3, "discard_unpacked_layers = true", "discard_unpacked_layers is true"),
    (CRI_3, "Discard_Unpacked_Layers = true", "discard_unpacked_layers is true"),
    (CRI_3, "disable_snapshot_annotations = false", "disable_snapshot_annotations is false"),
    (CRI_3, "image_pull_with_sync_fs = true", "image_pull_with_sync_fs is true"),
    (CRI_3, "use_local_image_pull = true", "use_local_image_pull is true"),
    (CRI_3, 'registry.mirrors."docker.io".endpoint = ["https://x"]', "registry.mirrors is set"),
    (CRI_3, 'registry.configs."docker.io".auth.username = "x"', "registry.configs is set"),
    (CRI_3, 'registry.auths."https://x".username = "x"', "registry.auths is set"),
    (CRI_2, "max_concurrent_downloads = 10", "max_concurrent_downloads is 10"),
    (CRI_2, "containerd.discard_unpacked_layers = true", "containerd.discard_unpacked_layers is true"),
    (CRI_2, "containerd.disable_snapshot_annotations = false", "containerd.disable_snapshot_annotations is false"),
    (CRI_2, "image_pull_with_sync_fs = true", "image_pull_with_sync_fs is true"),
    (CRI_2, "use_local_image_pull = true", "use_local_image_pull is true"),
    (CRI_2, 'registry.mirrors."docker.io".endpoint = ["https://x"]', "registry.mirrors is set"),
    (CRI_2, 'registry.configs."docker.io".auth.username = "x"', "registry.configs is set"),
    (CRI_2, 'registry.auths."https://x".username = "x"', "registry.auths is set"),
]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(("plugin", "setting", "said"), BYPASSES)
def test_a_bypass_is_named_with_file_key_and_effect(version: int, plugin: str, setting: str, said: str) -> None:
    (found,) = wrong(f"version = {version}\n[{plugin}]\n{setting}\n")
    assert found.check == "local-pull"
    assert said in found.text
    assert "every image passes" in found.text
    assert found.place is not None
    assert found.place.startswith("/etc/0.toml: plugins.io.containerd.")
    assert found.remedy


HARMLESS = [
    (CRI_3, "max_concurrent_downloads = 3"),
    (CRI_3, "discard_unpacked_layers = false"),
    (CRI_3, "disable_snapshot_annotations = true"),
    (CRI_3, "image_pull_with_sync_fs = false"),
    (CRI_3, "use_local_image_pull = false"),
    (CRI_3, "registry.mirrors = {}"),
    (CRI_3, 'registry.config_path = "/etc/containerd/certs.d"'),
    (CRI_2, "containerd.discard_unpacked_layers = false"),
    (CRI_2, "containerd.disable_snapshot_annotations = true"),
    ('plugins."io.containerd.transfer.v1.local"', "max_concurrent_downloads = 20"),
]


@pytest.mark.parametrize(("plugin", "setting"), HARMLESS)
def test_the_same_settings_in_their_harmless_values_are_not(plugin: str, setting: str) -> None:
    assert wrong(f"version = 3\n[{plugin}]\n{setting}\n") == []


def test_a_bypass_in_any_imported_file_is_named_there() -> None:
    off = f"version = 3\n[{CRI_3}]\ndiscard_unpacked_layers = false\n"
    (found,) = wrong(off, off.replace("false", "true"), off)
    assert found.place is not None
    assert found.place.startswith("/etc/1.toml")


def test_like_gke() -> None:
    (found,) = wrong(LIKE_GKE)
    assert "containerd.discard_unpacked_layers" in found.text
    assert sandbox_images(files(LIKE_GKE))[0][0] == "gke.gcr.io/pause:3.8"


def test_like_talos() -> None:
    texts = [finding.text for finding in wrong(LIKE_TALOS, LIKE_TALOS_IMPORTED)]
    assert len(texts) == 2
    assert texts[0].startswith(f"{PLUGIN} is disabled")
    assert "discard_unpacked_layers" in texts[1]


@pytest.mark.parametrize("plugin", [PLUGIN, "io.containerd.transfer.v1.local"])
def test_a_disabled_plugin_is_named_in_whatever_file_it_is(plugin: str) -> None:
    (found,) = wrong("version = 3", f'version = 3\ndisabled_plugins = ["{plugin}"]')
    assert found.check == "plugins"
    assert found.place == "/etc/1.toml: disabled_plugins"
    assert wrong('version = 3\ndisabled_plugins = ["io.containerd.nri.v1.nri"]') == []


def test_a_containerd_without_verifiers_is_warned_of_until_the_plugin_is_required() -> None:
    def notes(text: str) -> list[str]:
        return [finding.check for finding in judged(text) if finding.severity == "note"]

    assert notes("version = 3") == ["plugins"]
    assert notes(f'version = 3\nrequired_plugins = ["{PLUGIN}"]') == []


@pytest.mark.parametrize("text", ["", "version = 1", "version = 5", 'version = "3"', "version = true"])
def test_a_version_that_nobody_here_knows_is_wrong(text: str) -> None:
    assert [finding.check for finding in wrong(text)] == ["version"]


def test_the_plugin_s_settings() -> None:
    defaults = read_verifiers(files("version = 3"))
    assert (defaults.bin_dir, defaults.max_verifiers, defaults.timeout) == (
        "/opt/containerd/image-verifier/bin",
        10,
        10.0,
    )
    given = f'version = 3\n[plugins."{PLUGIN}"]\nbin_dir = "/a"\nmax_verifiers = -1\nper_verifier_timeout = "1m30s"\n'
    found = read_verifiers(files("version = 3", given))
    assert (found.bin_dir, found.max_verifiers, found.timeout) == ("/a", -1, 90.0)
    assert found.place.startswith("/etc/1.toml")
    other = f'version = 3\n[plugins."{PLUGIN}"]\nBin_Dir = "/b"\nper_verifier_timeout = 10\n'
    found = read_verifiers(files(given, other))
    assert (found.bin_dir, found.timeout) == ("/b", None)
    assert [finding.check for finding in wrong(given, other)] == ["contradiction", "contradiction"]
    assert wrong(given, given) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10s", 10.0),
        ("1m30s", 90.0),
        ("500ms", 0.5),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("0", 0.0),
        ("-3s", -3.0),
        ("10", None),
        ("", None),
        ("10 s", None),
        ("s", None),
        ("ten", None),
        (10, None),
        (None, None),
    ],
)
def test_go_s_spans_of_time(text: object, expected: float | None) -> None:
    assert seconds(text) == (pytest.approx(expected) if expected is not None else None)


def test_imports_as_they_stand() -> None:
    (file,) = files('imports = ["a.toml", "conf.d/*.toml"]')
    assert imports(file) == ["a.toml", "conf.d/*.toml"]
    (file,) = files('Imports = "a.toml"')
    assert imports(file) == []


def test_tables_of_the_wrong_kind_are_no_crash() -> None:
    text = f'version = 3\ndisabled_plugins = "x"\n[plugins]\n"{PLUGIN}" = 5\n"io.containerd.cri.v1.images" = []\n'
    assert wrong(text) == []
    (found,) = wrong('version = 3\n[plugins."io.containerd.cri.v1.images"]\nregistry = {mirrors = 5}\n')
    assert "registry.mirrors" in found.text
