"""The options that every command takes, before or after its name: read here, so that no command declares them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keys.record import record, replace
from trustcli.errors import UsageError

_WITH_VALUE: Final = {  # option -> field of GlobalOptions
    "--server": "server",
    "--home": "home",
    "--cacert": "cacert",
    "--pin": "pin",
    "--lock": "lock",
}
_FLAGS: Final = {
    "--json": "json",
    "--non-interactive": "non_interactive",
    "--tofu": "tofu",
    "--platform-secrets": "platform_secrets",
    "--verbose": "verbose",
}
_REPEATED: Final = "--insecure-registry"


@record
class GlobalOptions:
    """The global options as typed; None, empty or False if not given.

    `server`: URL. `home`: folder of keys, pins and memory. `cacert`: PEM file. `pin`: `sha256:HEX` or `key:HEX`.
    `lock`: path of a lock file. `insecure_registries`: HOST[:PORT] each.
    """

    server: str | None = None
    home: str | None = None
    cacert: str | None = None
    pin: str | None = None
    lock: str | None = None
    insecure_registries: tuple[str, ...] = ()
    json: bool = False
    non_interactive: bool = False
    tofu: bool = False
    platform_secrets: bool = False
    verbose: bool = False


def extract(argv: Sequence[str]) -> tuple[GlobalOptions, list[str]]:
    """Return the global options of a command line (without the program's name), and the remaining words in order.

    Both `--opt VALUE` and `--opt=VALUE` are read. If an option is given twice, the last is used; of
    `--insecure-registry`, all. A value that begins with `--` must be written with `=`. Words from `--` on are left as
    they are. Raises: UsageError.
    """
    values: dict[str, str] = {}
    flags: dict[str, bool] = {}
    insecure: list[str] = []
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            rest += [word, *words]
            break
        name, equals, value = word.partition("=")
        if name in _FLAGS:
            if equals:
                raise UsageError(f"{name} takes no value")
            flags[_FLAGS[name]] = True
        elif name in _WITH_VALUE or name == _REPEATED:
            given = value if equals else next(words, "")
            if not given or (not equals and given.startswith("--")):
                raise UsageError(f"{name} needs a value")
            if name == _REPEATED:
                insecure.append(given)
            else:
                values[_WITH_VALUE[name]] = given
        else:
            rest.append(word)
    return replace(GlobalOptions(insecure_registries=tuple(insecure)), **values, **flags), rest
