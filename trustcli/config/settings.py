"""The settings of one run, decided once: command line before environment before `trust.toml` before defaults.

`<home>/trust.toml`; every key is optional, an unknown one is an error:

    version = 1                              # of the form of this file
    cacert = "ca.crt"                        # relative to the home folder
    insecure-registries = ["registry:5000"]
    agent = "/run/content-trust/agent.sock"  # a resident verifier that is asked first; "off" asks none
    state = "/var/lib/content-trust"         # where seen.json and cache/ are kept; else the home folder
    [servers]                                # registry, or the beginning of a name -> trust server; the longest wins
    "docker.io" = "https://trust.example.com"
    "registry.example.com/team" = "https://trust.team.example.com"
    [max_life]                               # name pattern -> how long timestamp and snapshot may be valid from now on
    "mirror.example.com/*" = "400d"          # for repositories of others; without it the limits of the format
    [tls."registry.example.com:5000"]        # CA and client certificate for one host: see tls_settings
    [verifier]                               # of the pull-time hook: see verifier_settings
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from keys.document_version import DocumentKind
from keys.file_access import own_folder
from keys.record import record, replace
from trustcli.config.global_options import GlobalOptions
from trustcli.config.home_folder import home_folder
from trustcli.config.setting_checks import check_keys, path_beside, table_of, unusable
from trustcli.config.tls_settings import HostTls, parse_tls_tables
from trustcli.config.verifier_settings import VerifierSettings, parse_verifier_table
from trustcli.console.log_levels import LEVELS
from trustcli.errors import (
    NoTrustServer,
    SettingsUnusable,
)
from trustcli.guarded_files import read_guarded
from trustdata import bounded_toml
from trustdata.collection_patterns import PATTERN_RULE, is_pattern, meant_pattern, pattern_matches, specificity
from trustdata.document_version import refuse_newer
from trustdata.errors import (
    InvalidName,
    shown,
)
from trustdata.gun import GUN, parse_gun
from trustdata.hosts import DOCKER_HUB
from trustdata.lifetimes import MaxLife

LOCK_FILE: Final = "trust.lock"
"""The lock file's name in the folder where a command runs."""
_FILE: Final = "trust.toml"
_SETTINGS: Final = (
    "agent",
    "cacert",
    "insecure-registries",
    "max_life",
    "servers",
    "state",
    "tls",
    "verifier",
    "version",
)
_ELSEWHERE: Final = {
    **dict.fromkeys(("allow", "policy", "timeout"), "; it stands under [verifier]"),
    **dict.fromkeys(
        ("rule", "alias", "distributed"), "; a policy is another file, which policy under [verifier] names"
    ),
}
"""What is written here by mistake, and where it belongs."""
KIND: Final = DocumentKind(what="a file of settings")
MAX_SETTINGS_FILE: Final = 4 * 1024 * 1024  # bytes
_TRUE: Final = {"1", "true", "yes", "on"}
_FALSE: Final = {"", "0", "false", "no", "off"}


@record
class ServerChoice:
    """A trust server's URL as it was given, and what gave it: an option, a variable or a key of the settings file."""

    url: str
    source: str


@record
class Settings:
    """All settings of one run.

    `home`: need not exist yet. `server`: the URL given for all names, or None; `server_source`: what gave it, for
    messages. `servers`: the settings file's servers by beginnings of names. `pin`: as given, not parsed. `lock`: the
    lock file that was named, or the one in the current folder; None in a hook, which never reads one. `config`: a
    hook's settings file. `max_life`: by patterns of names. `platform_secrets`: a container platform has
    mounted the secrets that are named, and the home folder. `log`: the level from which on the run is logged, or empty.
    `state`: the folder for rollback memory and cache, if it is
    not `home`. `agent`: the socket of a resident verifier that is asked first, or `off`; None: where one is usually.
    """

    home: Path
    server: str | None = None
    server_source: str = ""
    servers: Mapping[str, str] = MappingProxyType({})
    cacert: Path | None = None
    cacert_source: str = "cacert of trust.toml:"
    insecure_registries: tuple[str, ...] = ()
    max_life: Mapping[str, MaxLife] = MappingProxyType({})
    pin: str | None = None
    tofu: bool = False
    lock: Path | None = None
    json: bool = False
    non_interactive: bool = False
    platform_secrets: bool = False
    log: str = ""
    config: Path | None = None
    state: Path | None = None
    verifier: VerifierSettings = VerifierSettings()
    tls: Mapping[str, HostTls] = MappingProxyType({})
    agent: str | None = None

    @property
    def file(self) -> Path:
        """The path of the settings file, which need not exist."""
        return self.config or self.home / _FILE

    @property
    def memory_folder(self) -> Path:
        """The folder of rollback memory and cache."""
        return self.state or self.home

    @property
    def named_servers(self) -> tuple[str, ...]:
        """The URLs of all trust servers that this run may speak to."""
        return (self.server,) if self.server else tuple(self.servers.values())

    def server_for(self, gun: GUN) -> str:
        """Return the URL of a collection's trust server as it was given. Raises: NoTrustServer."""
        return self.server_choice(gun).url

    def server_choice(self, gun: GUN) -> ServerChoice:
        """Return the URL of a collection's trust server, and what gave it. Raises: NoTrustServer."""
        if self.server:
            return ServerChoice(url=self.server, source=self.server_source)
        fitting = [prefix for prefix in self.servers if gun == prefix or gun.startswith(f"{prefix}/")]
        if fitting:
            longest = max(fitting, key=len)
            return ServerChoice(url=self.servers[longest], source=f'"{longest}" under [servers] in {self.file}')
        host = gun.partition("/")[0]
        if host == DOCKER_HUB:  # nobody runs a trust server there
            raise NoTrustServer(gun=gun, registry=host, settings=str(self.file))
        return ServerChoice(url=f"https://{host}", source="the registry's host, as nothing else is set")

    def names_server_for(self, gun: GUN) -> bool:
        """Return whether something names the trust server of a collection: not only the host in the name."""
        return bool(self.server) or any(gun == prefix or gun.startswith(f"{prefix}/") for prefix in self.servers)

    def max_life_for(self, gun: GUN) -> MaxLife | None:
        """Return how long timestamp and snapshot of a collection may be valid from now on; None if it is not set."""
        fitting = [pattern for pattern in self.max_life if pattern_matches(pattern, gun)]
        return self.max_life[max(fitting, key=specificity)] if fitting else None


def load_settings(
    options: GlobalOptions, environ: Mapping[str, str], *, interactive: bool, folder: Path = Path()
) -> Settings:
    """Return the settings from command line, environment and settings file.

    `interactive`: whether standard input is a terminal. `folder`: where `trust.lock` is looked for. An empty variable
    counts as not set. Raises: SettingsUnusable, which names the file and key, or the variable; FileExposed.
    """
    home = _home(options, environ)
    platform_secrets = options.platform_secrets or _switch("TRUST_PLATFORM_SECRETS", environ)
    if platform_secrets:
        home = _own_folder(home)
    found = _SettingsFile(home / _FILE).settings(home=home)
    cacert, cacert_source = _cacert(options, environ)
    lock = Path(options.lock) if options.lock else folder / LOCK_FILE
    server, server_source = _server(options, environ)
    return replace(
        found,
        server=server,
        server_source=server_source,
        cacert=cacert or found.cacert,
        cacert_source=cacert_source or found.cacert_source,
        insecure_registries=tuple(dict.fromkeys((*options.insecure_registries, *found.insecure_registries))),
        pin=options.pin or environ.get("TRUST_PIN") or None,
        tofu=options.tofu or _switch("TRUST_TOFU", environ),
        lock=lock if options.lock or _is_there(lock) else None,
        json=options.json,
        non_interactive=options.non_interactive or not interactive or _switch("TRUST_NON_INTERACTIVE", environ),
        platform_secrets=platform_secrets,
        log=_log_level(options, environ),
        tls=_without_ca(found.tls) if cacert else found.tls,
    )


def load_hook_settings(environ: Mapping[str, str], *, config: Path | None, state: Path | None) -> Settings:
    """Return the settings of a pull-time hook: it asks nobody, reads no lock file, and never trusts on first use.

    `config`: a settings file; it alone counts then, and pins are looked for beside it. Without it the settings come
    from the environment and `<home>/trust.toml`. `state` overrides the file's. Raises: SettingsUnusable, FileExposed.
    """
    if config is None:
        without_tofu = {name: value for name, value in environ.items() if name != "TRUST_TOFU"}
        found = replace(load_settings(GlobalOptions(), without_tofu, interactive=False), lock=None)
    else:
        file = _SettingsFile(config, must_exist=True)
        found = replace(file.settings(home=config.parent), non_interactive=True, config=config)
    return found if state is None else replace(found, state=state)


def _cacert(options: GlobalOptions, environ: Mapping[str, str]) -> tuple[Path | None, str]:
    """Return the CA file that counts alone, and what gave it; None if neither command line nor environment does."""
    if options.cacert:
        return Path(options.cacert), "--cacert"
    given = environ.get("TRUST_CACERT")
    return (Path(given), "TRUST_CACERT") if given else (None, "")


def _without_ca(tls: Mapping[str, HostTls]) -> dict[str, HostTls]:
    """Return the settings without CAs: one that the command line or the environment names counts alone."""
    return {host: HostTls(cert=found.cert, key=found.key) for host, found in tls.items()}


def _server(options: GlobalOptions, environ: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the server given for all names, and what gave it."""
    if options.server:
        return options.server, "--server"
    for name in ("TRUST_SERVER", "DOCKER_CONTENT_TRUST_SERVER"):
        if environ.get(name):
            return environ[name], name
    return None, ""


def _home(options: GlobalOptions, environ: Mapping[str, str]) -> Path:
    given = options.home or environ.get("TRUST_HOME")
    if given:
        return Path(given)
    return home_folder(environ, instead="--home DIR or TRUST_HOME") / ".trust"


def _own_folder(home: Path) -> Path:
    try:
        return own_folder(home)
    except OSError as error:
        raise SettingsUnusable(place=str(home), reason=error.strerror or type(error).__name__) from error


def _is_there(path: Path) -> bool:
    """Return whether the path exists in any form; whether it can be read is found out by its reader."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _log_level(options: GlobalOptions, environ: Mapping[str, str]) -> str:
    """Return the level of the log; the more that is asked for, the more there is."""
    given = environ.get("TRUST_LOG", "").lower()
    if given and given not in LEVELS:
        raise SettingsUnusable(place="TRUST_LOG", reason=f"'{shown(given)}' is neither {' nor '.join(LEVELS)}")
    return given or (LEVELS[0] if options.verbose else "")


def _switch(name: str, environ: Mapping[str, str]) -> bool:
    value = environ.get(name, "").lower()
    if value not in _TRUE | _FALSE:
        raise SettingsUnusable(place=name, reason=f"'{shown(value)}' is neither 1 nor 0")
    return value in _TRUE


class _SettingsFile:
    """A file of settings. Raises: SettingsUnusable, FileNewer, FileExposed, when made; its methods SettingsUnusable."""

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        self._path = path
        self._must_exist = must_exist
        self._values = self._read()
        refuse_newer(KIND, self._values, path=str(path))
        check_keys(self._values, _SETTINGS, file=path, elsewhere=_ELSEWHERE)
        if not KIND.is_known(self._values):
            raise self._unusable(KIND.member, "must be a whole number from 1 on")

    def settings(self, *, home: Path) -> Settings:
        """Return all that the file says, and defaults for the rest. Every setting of a file is read here."""
        return Settings(
            home=home,
            servers=self._servers(),
            cacert=self._beside("cacert", "a file"),
            insecure_registries=tuple(dict.fromkeys(self._insecure_registries())),
            max_life=self._max_life(),
            state=self._beside("state", "a folder"),
            agent=self._agent(),
            verifier=parse_verifier_table(self._values.get("verifier", {}), file=self._path),
            tls=parse_tls_tables(self._values.get("tls", {}), file=self._path),
        )

    def _agent(self) -> str | None:
        if self._values.get("agent") == "off":
            return "off"
        found = self._beside("agent", "a socket, or off")
        return None if found is None else str(found)

    def _servers(self) -> dict[str, str]:
        found = {}
        for name, url in self._table("servers").items():
            key = f"servers.{shown(name)}"
            try:
                parse_gun(f"{name}/x")
            except InvalidName as error:
                plain = name.rpartition("://")[2].rstrip("/").lower()
                meant = f"; write it so: {shown(plain)}" if plain and plain != name else ""
                reason = f"is no registry, nor the beginning of a name, in lower case{meant}"
                raise self._unusable(key, reason) from error
            if not isinstance(url, str) or not url.startswith(("https://", "http://")):
                example = url.rpartition("://")[2] if isinstance(url, str) and url else "HOST"
                raise self._unusable(key, f"must be an https:// or http:// URL, such as https://{shown(example)}")
            found[name] = url
        return found

    def _max_life(self) -> dict[str, MaxLife]:
        table = self._table("max_life")
        found = {}
        for pattern, span in table.items():
            key = f"max_life.{shown(pattern)}"
            if not is_pattern(pattern):
                raise self._unusable(key, f"{PATTERN_RULE}{meant_pattern(pattern)}")
            try:
                found[pattern] = MaxLife.parse(span)
            except ValueError as error:
                raise self._unusable(key, str(error)) from error
        return found

    def _beside(self, key: str, kind: str) -> Path | None:
        value = self._values.get(key)
        return None if value is None else path_beside(value, file=self._path, key=key, kind=kind)

    def _insecure_registries(self) -> list[str]:
        value = self._values.get("insecure-registries", [])
        if not isinstance(value, list) or not all(isinstance(host, str) and host for host in value):
            raise self._unusable("insecure-registries", "must be a list of HOST or HOST:PORT")
        return value

    def _read(self) -> dict[str, object]:
        try:
            return bounded_toml.loads(read_guarded(self._path, limit=MAX_SETTINGS_FILE))
        except OSError as error:
            if isinstance(error, FileNotFoundError | NotADirectoryError) and not self._must_exist:
                return {}
            reason = error.strerror or type(error).__name__
            raise SettingsUnusable(place=str(self._path), reason=reason) from error
        except (ValueError, RecursionError) as error:
            raise SettingsUnusable(place=str(self._path), reason=f"is not TOML: {error}") from error

    def _table(self, key: str) -> dict[str, object]:
        return table_of(self._values.get(key, {}), file=self._path, key=key)

    def _unusable(self, key: str, reason: str) -> SettingsUnusable:
        return unusable(self._path, key, reason)
