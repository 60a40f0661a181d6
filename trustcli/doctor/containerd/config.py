"""Judge containerd's configuration: parsed documents in, findings about its image verifiers out.

Tried with containerd 2.0.11, 2.1.9 and 2.3.4, and read in their sources (docs/guides/containerd.md, docs/adr/0014).
containerd calls verifiers only for pulls through its transfer service; some settings make CRI fall back to a local
pull, with no more than a warning in the log. Each file is judged alone, without merging: a dangerous setting is
reported even if a later file might override it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from trustcli.doctor.findings import Finding

PLUGIN: Final = "io.containerd.image-verifier.v1.bindir"
DEFAULT_BIN_DIR: Final = "/opt/containerd/image-verifier/bin"
DEFAULT_MAX_VERIFIERS: Final = 10
CONTAINERD_TIMEOUT: Final = 10.0
_VERSIONS: Final = (2, 3, 4)
_IMAGES: Final = "io.containerd.cri.v1.images"  # configuration version 3
_CRI: Final = "io.containerd.grpc.v1.cri"  # configuration version 2; containerd splits this table when it reads it
_TRANSFER: Final = "io.containerd.transfer.v1.local"
_SPAN: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYPASSED: Final = "CRI falls back to a local pull and does not call the verifier: every image passes"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """One parsed file of a configuration. `path`: for messages. The first of several is the main file."""

    path: str
    document: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifiers:
    """How containerd calls verifiers.

    `timeout`: seconds, None if the value cannot be read. `max_verifiers` < 0: no limit. `place`: where this is set.
    """

    bin_dir: str
    max_verifiers: int
    timeout: float | None
    place: str


@dataclass(frozen=True, slots=True)
class _LocalPull:
    """A setting that makes CRI pull locally unless it has its harmless value."""

    plugin: str
    path: tuple[str, ...]
    harmless: Callable[[object], bool]
    remedy: str


def _is_three(value: object) -> bool:
    return type(value) is int and value == 3


def _is_false(value: object) -> bool:
    return value is False


def _is_true(value: object) -> bool:
    return value is True


def _is_empty(value: object) -> bool:
    return value == {}


_MIRRORS: Final = "take it away; describe registries in hosts.toml files under registry.config_path"
_LOCAL_PULLS: Final = tuple(
    _LocalPull(plugin, (*prefix, *path), harmless, remedy)
    for plugin, containerd in ((_IMAGES, ()), (_CRI, ("containerd",)))
    for prefix, path, harmless, remedy in (
        ((), ("max_concurrent_downloads",), _is_three, f"take it away or set 3; [plugins.'{_TRANSFER}'] has its own"),
        (containerd, ("discard_unpacked_layers",), _is_false, "set it to false"),
        (containerd, ("disable_snapshot_annotations",), _is_true, "set it to true, which is the default"),
        ((), ("image_pull_with_sync_fs",), _is_false, "set it to false"),
        ((), ("use_local_image_pull",), _is_false, "set it to false"),
        ((), ("registry", "mirrors"), _is_empty, _MIRRORS),
        ((), ("registry", "configs"), _is_empty, _MIRRORS),
        ((), ("registry", "auths"), _is_empty, "take it away; use image pull secrets, or the kubelet's credentials"),
    )
)


def judge_config(files: Sequence[ConfigFile]) -> list[Finding]:
    """Return all findings that need the configuration alone. `files`: at least one."""
    return [
        *_version(files[0]),
        *_disabled(files),
        *_local_pulls(files),
        *_contradictions(files),
    ]


def read_verifiers(files: Sequence[ConfigFile]) -> Verifiers:
    """Return the settings of the verifier plugin; a later file overrides an earlier one."""
    found: dict[str, object] = {}
    place = f"{files[0].path}: the defaults of {PLUGIN}"
    for file in files:
        table = _plugin(file, PLUGIN)
        if table:
            found |= table
            place = f"{file.path}: plugins.{PLUGIN}"
    bin_dir = found.get("bin_dir", DEFAULT_BIN_DIR)
    at_most = found.get("max_verifiers", DEFAULT_MAX_VERIFIERS)
    timeout = found.get("per_verifier_timeout")
    return Verifiers(
        bin_dir=bin_dir if isinstance(bin_dir, str) else "",
        max_verifiers=at_most if type(at_most) is int else 0,
        timeout=CONTAINERD_TIMEOUT if timeout is None else seconds(timeout),
        place=place,
    )


def sandbox_images(files: Sequence[ConfigFile]) -> list[tuple[str, str]]:
    """Return the images that every pod needs, each with the place that names it."""
    found = []
    for file in files:
        for plugin, path in ((_IMAGES, ("pinned_images", "sandbox")), (_CRI, ("sandbox_image",))):
            image = _at(_plugin(file, plugin), path)
            if isinstance(image, str) and image:
                found.append((image, f"{file.path}: plugins.{plugin}.{'.'.join(path)}"))
    return found


def imports(file: ConfigFile) -> list[str]:
    """Return the names that the file imports, as written."""
    value = _lowered(file.document).get("imports", [])
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def seconds(value: object) -> float | None:
    """Return the seconds of a Go duration (`10s`, `1m30s`, `500ms`); None if it is none."""
    if not isinstance(value, str):
        return None
    if value in {"0", "+0", "-0"}:
        return 0.0
    sign = -1.0 if value.startswith("-") else 1.0
    rest = value.removeprefix("-").removeprefix("+")
    if not rest or _SPAN.sub("", rest):
        return None
    return sign * sum(float(number) * _UNITS[unit] for number, unit in _SPAN.findall(rest))


def _version(main: ConfigFile) -> Iterator[Finding]:
    version = _lowered(main.document).get("version")
    place = f"{main.path}: version"
    if type(version) is int and version in _VERSIONS:
        yield Finding(check="version", severity="ok", text=f"configuration version {version}", place=place)
        return
    text = "there is no version, which means 1" if version is None else f"version {version} is not known here"
    remedy = "containerd config migrate, which writes a version that can be judged"
    yield Finding(
        check="version", severity="wrong", text=f"{text}: plugin names may mean others", remedy=remedy, place=place
    )


def _disabled(files: Sequence[ConfigFile]) -> Iterator[Finding]:
    required = False
    for file in files:
        document = _lowered(file.document)
        for plugin, effect in (
            (PLUGIN, "containerd asks no verifier: every image passes"),
            (_TRANSFER, "CRI cannot pull through the transfer service, the only one that asks verifiers"),
        ):
            if plugin in _texts(document.get("disabled_plugins")):
                yield Finding(
                    check="plugins",
                    severity="wrong",
                    text=f"{plugin} is disabled: {effect}",
                    remedy="take it out of disabled_plugins",
                    place=f"{file.path}: disabled_plugins",
                )
        required = required or PLUGIN in _texts(document.get("required_plugins"))
    if not required:
        yield Finding(
            check="plugins",
            severity="note",
            text="a containerd without image verifiers (1.7 and older) would start all the same, and let every image "
            "pass; 2.0 asks them for ctr only, 2.1 and newer for CRI, too",
            remedy=f'required_plugins = ["{PLUGIN}"], above all tables: then such a containerd does not start',
            place=f"{files[0].path}: required_plugins",
        )


def _local_pulls(files: Sequence[ConfigFile]) -> Iterator[Finding]:
    clean = True
    for file in files:
        for setting in _LOCAL_PULLS:
            value = _at(_plugin(file, setting.plugin), setting.path)
            if value is None or setting.harmless(value):
                continue
            clean = False
            shape = "is set" if isinstance(value, Mapping) else f"is {str(value).lower()}"
            yield Finding(
                check="local-pull",
                severity="wrong",
                text=f"{'.'.join(setting.path)} {shape}: {_BYPASSED}",
                remedy=setting.remedy,
                place=f"{file.path}: plugins.{setting.plugin}.{'.'.join(setting.path)}",
            )
    if clean:
        yield Finding(
            check="local-pull", severity="ok", text="CRI pulls through the transfer service, which asks the verifiers"
        )


def _contradictions(files: Sequence[ConfigFile]) -> Iterator[Finding]:
    for key in ("bin_dir", "max_verifiers", "per_verifier_timeout"):
        given = [(file.path, value) for file in files if (value := _plugin(file, PLUGIN).get(key)) is not None]
        if len({str(value) for _, value in given}) > 1:
            yield Finding(
                check="contradiction",
                severity="wrong",
                text=f"{key} stands in several files with different values: which one counts is not certain",
                remedy="keep it in one file",
                place=", ".join(path for path, _ in given),
            )


def _plugin(file: ConfigFile, plugin: str) -> Mapping[str, object]:
    """Return the plugin's table. As in containerd, the plugin's name is case-sensitive, and the keys are not."""
    plugins = _lowered(file.document).get("plugins")
    table = plugins.get(plugin) if isinstance(plugins, Mapping) else None
    return _lowered(table) if isinstance(table, Mapping) else {}


def _at(table: Mapping[str, object], path: Sequence[str]) -> object:
    value: object = table
    for key in path:
        value = _lowered(value).get(key) if isinstance(value, Mapping) else None
    return value


def _lowered(table: Mapping[str, object]) -> dict[str, object]:
    return {key.lower(): value for key, value in table.items()}


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
