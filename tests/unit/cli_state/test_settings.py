"""Command line, then environment, then trust.toml, then defaults; and which server speaks for a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from trustcli.config.global_options import GlobalOptions
from trustcli.config.settings import Settings, load_hook_settings, load_settings
from trustcli.config.tls_settings import HostTls
from trustcli.errors import (
    FileExposed,
    NoTrustServer,
    SettingsUnusable,
)
from trustdata.gun import parse_gun
from trustdata.lifetimes import MaxLife


def load(
    home: Path,
    options: GlobalOptions | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    file: str | None = None,
    interactive: bool = True,
) -> Settings:
    if file is not None:
        (home / "trust.toml").write_text(file)
    environ = {"TRUST_HOME": str(home), **(environ or {})}
    return load_settings(options or GlobalOptions(), environ, interactive=interactive, folder=home)


def test_defaults(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings(home=tmp_path)


def test_the_agent_is_a_socket_beside_the_file_or_none(tmp_path: Path) -> None:
    assert load(tmp_path, file='agent = "run/s"\n').agent == str(tmp_path / "run" / "s")
    assert load(tmp_path, file='agent = "/run/s"\n').agent == "/run/s"
    assert load(tmp_path, file='agent = "off"\n').agent == "off"
    with pytest.raises(SettingsUnusable, match="agent"):
        load(tmp_path, file="agent = 5\n")


def test_home_from_option_then_variable_then_home_folder(tmp_path: Path) -> None:
    def home(options: GlobalOptions, environ: Mapping[str, str]) -> Path:
        return load_settings(options, environ, interactive=True, folder=tmp_path).home

    environ = {"HOME": "/home/alice", "TRUST_HOME": "/elsewhere"}
    assert home(GlobalOptions(home="/given"), environ) == Path("/given")
    assert home(GlobalOptions(), environ) == Path("/elsewhere")
    assert home(GlobalOptions(), {"HOME": "/home/alice", "TRUST_HOME": ""}) == Path("/home/alice/.trust")
    assert home(GlobalOptions(), {}) == Path.home() / ".trust"


SERVERS = """
[servers]
"docker.io" = "https://hub.example.com"
"registry.example.com" = "https://one.example.com"
"registry.example.com/team" = "https://two.example.com"
"registry.example.com:5000" = "http://127.0.0.1:4443"
"""


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("docker.io/library/alpine", "https://hub.example.com"),
        ("registry.example.com/app", "https://one.example.com"),
        ("registry.example.com/team/app", "https://two.example.com"),
        ("registry.example.com/team", "https://two.example.com"),
        ("registry.example.com/teams/app", "https://one.example.com"),
        ("registry.example.com:5000/app", "http://127.0.0.1:4443"),
        ("registry.example.com:5001/app", "https://registry.example.com:5001"),
        ("other.example.com/app", "https://other.example.com"),
        ("localhost:5000/app", "https://localhost:5000"),
        ("127.0.0.1:5000/app", "https://127.0.0.1:5000"),
        ("[::1]:5000/app", "https://[::1]:5000"),
    ],
)
def test_the_longest_beginning_wins_else_the_registry_itself(tmp_path: Path, name: str, server: str) -> None:
    assert load(tmp_path, file=SERVERS).server_for(parse_gun(name)) == server


def test_a_server_that_is_given_goes_before_the_map_in_this_order(tmp_path: Path) -> None:
    gun = parse_gun("registry.example.com/app")
    environ = {"TRUST_SERVER": "https://t", "DOCKER_CONTENT_TRUST_SERVER": "https://d"}
    assert load(tmp_path, GlobalOptions(server="https://o"), environ, file=SERVERS).server_for(gun) == "https://o"
    assert load(tmp_path, None, environ, file=SERVERS).server_for(gun) == "https://t"
    assert load(tmp_path, None, {**environ, "TRUST_SERVER": ""}, file=SERVERS).server_for(gun) == "https://d"


def test_docker_io_has_no_default_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoTrustServer) as caught:
        load(tmp_path).server_for(parse_gun("docker.io/library/alpine"))
    for word in ("docker.io", "--server", "TRUST_SERVER", str(tmp_path / "trust.toml")):
        assert word in str(caught.value)


def test_file_values_and_what_goes_before_them(tmp_path: Path) -> None:
    text = 'cacert = "ca.crt"\ninsecure-registries = ["a:5000", "b"]\n'
    assert load(tmp_path, file=text).cacert == tmp_path / "ca.crt"
    assert load(tmp_path, file='cacert = "/abs/ca.crt"').cacert == Path("/abs/ca.crt")
    assert load(tmp_path, None, {"TRUST_CACERT": "env.crt"}, file=text).cacert == Path("env.crt")
    options = GlobalOptions(cacert="given.crt", insecure_registries=("c", "b"))
    settings = load(tmp_path, options, {"TRUST_CACERT": "env.crt"}, file=text)
    assert settings.cacert == Path("given.crt")
    assert settings.insecure_registries == ("c", "b", "a:5000")


def test_pin_and_lock(tmp_path: Path) -> None:
    assert load(tmp_path, None, {"TRUST_PIN": "sha256:x"}).pin == "sha256:x"
    assert load(tmp_path, GlobalOptions(pin="key:y"), {"TRUST_PIN": "sha256:x"}).pin == "key:y"
    assert load(tmp_path, GlobalOptions(lock="missing")).lock == Path("missing")
    assert load(tmp_path).lock is None
    (tmp_path / "trust.lock").write_text("")
    assert load(tmp_path).lock == tmp_path / "trust.lock"
    assert load(tmp_path, GlobalOptions(lock="missing")).lock == Path("missing")


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_a_lock_that_is_no_file_is_not_passed_over(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "trust.lock")
    assert load(tmp_path).lock == tmp_path / "trust.lock"


def test_switches(tmp_path: Path) -> None:
    for value in ("1", "true", "YES", "on"):
        assert load(tmp_path, None, {"TRUST_TOFU": value}).tofu
        assert load(tmp_path, None, {"TRUST_NON_INTERACTIVE": value}).non_interactive
    for value in ("", "0", "false", "No", "off"):
        assert not load(tmp_path, None, {"TRUST_TOFU": value}).tofu
        assert not load(tmp_path, None, {"TRUST_NON_INTERACTIVE": value}).non_interactive
    assert load(tmp_path, GlobalOptions(tofu=True, non_interactive=True, json=True)) == Settings(
        home=tmp_path, tofu=True, non_interactive=True, json=True
    )
    for name in ("TRUST_TOFU", "TRUST_NON_INTERACTIVE"):
        with pytest.raises(SettingsUnusable, match=name):
            load(tmp_path, None, {name: "maybe"})


def test_without_a_terminal_nobody_is_asked(tmp_path: Path) -> None:
    assert load(tmp_path, interactive=False).non_interactive


def test_certificates_of_single_hosts(tmp_path: Path) -> None:
    text = '[tls."r.example:5000"]\ncacert = "ca.crt"\ncert = "c.cert"\nkey = "/abs/c.key"\n'
    settings = load(tmp_path, file=text)
    cert, key = tmp_path / "c.cert", Path("/abs/c.key")
    assert settings.tls == {"r.example:5000": HostTls(cacert=tmp_path / "ca.crt", cert=cert, key=key)}
    for given in ({"TRUST_CACERT": "env.crt"}, None):
        options = GlobalOptions(cacert=None if given else "given.crt")
        settings = load(tmp_path, options, given, file=text)
        assert settings.tls == {"r.example:5000": HostTls(cert=cert, key=key)}, "what is named for one command counts"
        assert settings.cacert_source == ("TRUST_CACERT" if given else "--cacert")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('cacerts = "x"', "cacerts"),
        ('[server]\n"a.example.com" = "https://x"', "server"),
        ("tofu = true", "tofu"),
        ("cacert = 5", "cacert"),
        ('cacert = ""', "cacert"),
        ('insecure-registries = "a"', "insecure-registries"),
        ("insecure-registries = [5]", "insecure-registries"),
        ("servers = 5", "servers"),
        ("tls = 5", "tls"),
        ("[tls]\nx = 5", r"tls\.x must be a table"),
        ('[tls."R.example"]\ncert = "a"', r"tls\.R\.example"),
        ('[tls."https://r.example"]\ncert = "a"', r"tls\.https"),
        ('[tls."r.example"]\nca = "a"', r"tls\.r\.example\.ca is not a setting"),
        ('[tls."r.example"]\ncert = 5', r"tls\.r\.example\.cert"),
        ('[tls."r.example"]\nkey = "a"', r"tls\.r\.example\.key needs a cert"),
        ('[servers]\n"a.example.com" = 5', r"servers\.a\.example\.com"),
        ('[servers]\n"a.example.com" = "ftp://x"', r"servers\.a\.example\.com"),
        ('[servers]\n"A.example.com" = "https://x"', r"servers\.A\.example\.com"),
        ('[servers]\n"a.example.com/" = "https://x"', r"servers\.a\.example\.com/"),
        ('[servers]\n"" = "https://x"', r"servers\."),
        ("= 5", "TOML"),
        ("a = [", "TOML"),
    ],
)
def test_a_wrong_settings_file_is_named_with_the_key(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsUnusable, match=named) as caught:
        load(tmp_path, file=text)
    assert caught.value.place == str(tmp_path / "trust.toml")


def test_a_settings_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "trust.toml").write_bytes(b"\xff")
    with pytest.raises(SettingsUnusable, match=r"trust\.toml"):
        load(tmp_path)
    (tmp_path / "trust.toml").unlink()
    (tmp_path / "trust.toml").mkdir()
    with pytest.raises(SettingsUnusable, match=r"trust\.toml"):
        load(tmp_path)


def test_how_long_online_roles_may_live(tmp_path: Path) -> None:
    settings = load(tmp_path, file='[max_life]\n"mirror.example.com/*" = "400d"')
    assert settings.max_life_for(parse_gun("mirror.example.com/a")) == MaxLife.parse("400d")
    assert settings.max_life_for(parse_gun("other.example.com/a")) is None
    hook = load_hook_settings({}, config=tmp_path / "trust.toml", state=None)
    assert hook.max_life == settings.max_life, "hooks, too"


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("[server]\n", r"server is not a setting; .*; did you mean 'servers'\?"),
        ('policy = "p.toml"', r"policy is not a setting; .*; it stands under \[verifier\]"),
        ('[[rule]]\nmatch = "*"', r"rule is not a setting; .*; a policy is another file, which policy under"),
        ('[verifier]\npolcy = "p"', r"verifier\.polcy is not a setting; .*; did you mean 'policy'\?"),
        ('[servers]\n"https://R.example/" = "https://t.example"', r"; write it so: r\.example$"),
        ('[servers]\n"a b" = "https://t.example"', "in lower case$"),
    ],
)
def test_what_was_meant_by_a_setting_is_told(tmp_path: Path, file: str, said: str) -> None:
    with pytest.raises(SettingsUnusable, match=said):
        load(tmp_path, file=file)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("max_life = 5", "max_life must be a table"),
        ('[max_life]\n"mirror.example.com/*" = "long"', r"max_life\.mirror\.example\.com/\* 'long' is no span of time"),
        ('[max_life]\n"mirror.example.com/*" = 400', 'must be a time such as "400d"'),
        ('[max_life]\n"Mirror" = "400d"', "max_life.Mirror must be a name"),
        ('[max_life]\n"mirror.example.com" = "400d"', r"did you mean mirror\.example\.com/\*\?"),
    ],
)
def test_a_max_life_that_cannot_be_used_is_named(tmp_path: Path, file: str, said: str) -> None:
    with pytest.raises(SettingsUnusable, match=said):
        load(tmp_path, file=file)


def test_a_home_folder_that_a_platform_has_mounted_holds_one_of_our_own(tmp_path: Path) -> None:
    home = tmp_path / "mounted"
    home.mkdir()
    home.chmod(0o777)
    (home / "trust.toml").write_text('cacert = "of-others.crt"')
    with pytest.raises(FileExposed):
        load_settings(GlobalOptions(), {"TRUST_HOME": str(home)}, interactive=True, folder=tmp_path)
    for options, environ in (
        (GlobalOptions(platform_secrets=True), {}),
        (GlobalOptions(), {"TRUST_PLATFORM_SECRETS": "1"}),
    ):
        found = load_settings(options, {"TRUST_HOME": str(home), **environ}, interactive=True, folder=tmp_path)
        assert (found.home, found.cacert, found.platform_secrets) == (home / "content-trust", None, True)
    home.chmod(0o700)
    found = load_settings(
        GlobalOptions(platform_secrets=True), {"TRUST_HOME": str(home)}, interactive=True, folder=tmp_path
    )
    assert found.home == home
    (tmp_path / "file").touch()
    with pytest.raises(SettingsUnusable, match="Not a directory"):
        load_settings(GlobalOptions(platform_secrets=True, home=str(tmp_path / "file" / "x")), {}, interactive=True)
