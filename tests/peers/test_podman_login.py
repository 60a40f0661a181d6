"""Where the real podman has logged in: `trust` uses what it stored, from the places and in the order of ADR 0063."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.certificates import make_authority
from tests.support.credential_helpers import Helpers
from tests.support.images import build_image
from tests.support.programs import PASSWORD, USER, RunningProgram, program, push, start_registry
from tests.support.proxies import start_nginx
from tests.support.server_process import ServerProcess
from tests.support.trust_program import TrustUser
from trustcli.config.stored_credentials import StoredCredentials

_NGINX = """
server {{
  listen 127.0.0.1:PORT ssl;
  ssl_certificate {certificate};
  ssl_certificate_key {certificate};
  client_max_body_size 0;
  location / {{
    auth_basic "registry";
    auth_basic_user_file {htpasswd};
    proxy_pass http://{upstream};
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-Proto https;
  }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """A registry that lets USER in. `authority`: the CA of its certificate; None where it speaks plain HTTP."""

    registry: RunningProgram
    authority: Path | None

    @property
    def host(self) -> str:
        return self.registry.netloc


@pytest.fixture(scope="module", params=["its own password", "nginx with TLS and a password"])
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Debian's docker-registry, which asks for a password itself, or has nginx in front that does."""
    folder = tmp_path_factory.mktemp("guarded")
    with start_registry(folder / "registry", password=request.param == "its own password") as registry:
        if request.param == "its own password":
            yield Guarded(registry=registry, authority=None)
            return
        authority = make_authority(folder)
        authority.server_context(folder)
        (folder / "htpasswd").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        text = _NGINX.format(
            certificate=next(folder.glob("server-*.pem")), htpasswd=folder / "htpasswd", upstream=registry.netloc
        )
        with start_nginx(folder / "nginx", text) as nginx:
            yield Guarded(registry=nginx, authority=authority.file)


@pytest.fixture
def gun(request: pytest.FixtureRequest, guarded: Guarded) -> str:
    """A collection of the test's own, below the namespace `team`."""
    return f"{guarded.host}/team/{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]}"


@pytest.fixture
def person(tmp_path: Path, guarded: Guarded, gun: str, trust_server: ServerProcess) -> TrustUser:
    """Somebody whose image lies in the registry, and who has a session and no login."""
    push(build_image(tmp_path / "image"), guarded.registry, gun.partition("/")[2], "1.0", password=True)
    someone = TrustUser(tmp_path / "someone", trust_server.url)
    (tmp_path / "session").mkdir()
    someone.environ["XDG_RUNTIME_DIR"] = str(tmp_path / "session")
    if guarded.authority is not None:
        tls = someone.folder / "docker" / "tls" / guarded.host
        tls.mkdir(parents=True)
        (tls / "ca.crt").write_bytes(guarded.authority.read_bytes())
    return someone


def podman_login(person: TrustUser, guarded: Guarded, place: str, *options: str) -> None:
    """`podman login`, which asks the registry whether the password is right, and stores it."""
    environ = {name: value for name, value in person.environ.items() if name != "DOCKER_CONFIG"}  # else it stores there
    if guarded.authority is None:
        tls = ["--tls-verify=false"]
    else:
        tls = ["--cert-dir", str(guarded.authority.parent / "podman")]
        (guarded.authority.parent / "podman").mkdir(exist_ok=True)
        (guarded.authority.parent / "podman" / "ca.crt").write_bytes(guarded.authority.read_bytes())
    command = [program("podman"), "login", *tls, *options, "--username", USER, "--password-stdin", place]
    done = subprocess.run(
        command, env=environ, input=PASSWORD, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def docker_login(person: TrustUser, host: str, password: str) -> Path:
    """Leave what `docker login` leaves."""
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    config = person.folder / "docker" / "config.json"
    config.parent.mkdir(exist_ok=True)
    config.write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return config


def uses(person: TrustUser, gun: str, file: Path, entry: str) -> None:
    """`sign` and `doctor` get in with this entry of this file, and with nothing else."""
    assert entry in json.loads(file.read_text())["auths"]
    person.run("sign", f"{gun}:1.0", "--init", "--no-recovery-key")
    found = person.run("--json", "doctor", gun).document()["findings"]
    assert [row for row in found if row["severity"] == "wrong"] == []
    (row,) = (row for row in found if row["check"] == "credentials")
    assert f"{USER} (" in row["text"]
    assert str(file) in row["text"], row
    assert entry in row["text"], row
    assert str(file) in row["place"], row


@pytest.mark.parametrize("namespace", ["", "/team", "repository"])
@pytest.mark.parametrize("where", ["authfile", "session"])
def test_what_podman_stored_is_used(
    person: TrustUser, guarded: Guarded, gun: str, tmp_path: Path, *, where: str, namespace: str
) -> None:
    person.run("sign", f"{gun}:1.0", "--init", "--no-recovery-key", expect=7).said(f"docker login {guarded.host}")
    file = tmp_path / "session" / "containers" / "auth.json"
    options = []
    if where == "authfile":
        file = tmp_path / "somewhere.json"
        person.environ["REGISTRY_AUTH_FILE"] = str(file)
        options = ["--authfile", str(file)]
    place = gun if namespace == "repository" else guarded.host + namespace
    podman_login(person, guarded, place, *options)
    uses(person, gun, file, place)


def test_a_login_for_another_namespace_is_none(person: TrustUser, guarded: Guarded, gun: str) -> None:
    podman_login(person, guarded, f"{guarded.host}/other")
    person.run("sign", f"{gun}:1.0", "--init", "--no-recovery-key", expect=7).said(f"docker login {guarded.host}")


def test_a_file_that_is_named_counts_before_docker_s_and_docker_s_before_the_session_s(
    person: TrustUser, guarded: Guarded, gun: str, tmp_path: Path
) -> None:
    config = docker_login(person, guarded.host, "guess")
    podman_login(person, guarded, f"{guarded.host}/team")
    signing = ("sign", f"{gun}:1.0", "--init", "--no-recovery-key")
    person.run(*signing, expect=7).said(f"as {USER} ({config}")
    named = tmp_path / "named.json"
    podman_login(person, guarded, guarded.host, "--authfile", str(named))
    person.environ["REGISTRY_AUTH_FILE"] = str(named)
    uses(person, gun, named, guarded.host)


def test_a_named_file_without_the_host_is_passed_over(
    person: TrustUser, guarded: Guarded, gun: str, tmp_path: Path
) -> None:
    podman_login(person, guarded, f"{guarded.host}/other", "--authfile", str(tmp_path / "named.json"))
    podman_login(person, guarded, f"{guarded.host}/team")
    person.environ["REGISTRY_AUTH_FILE"] = str(tmp_path / "named.json")
    uses(person, gun, tmp_path / "session" / "containers" / "auth.json", f"{guarded.host}/team")


def test_who_has_logged_out_is_refused_again(person: TrustUser, guarded: Guarded, gun: str) -> None:
    podman_login(person, guarded, guarded.host)
    person.run("sign", f"{gun}:1.0", "--init", "--no-recovery-key")
    environ = {**os.environ, **person.environ}
    del environ["DOCKER_CONFIG"]
    subprocess.run([program("podman"), "logout", guarded.host], env=environ, check=True, capture_output=True)
    person.run("sign", f"{gun}:1.0", expect=7).said(f"none stored for {guarded.host}")


@pytest.mark.parametrize(
    ("main", "dropped_in"),
    [
        ('["unknown", "containers-auth.json", "known"]', None),
        ('["known", "containers-auth.json"]', None),
        ('["unknown"]', None),
        ('["absent", "broken", "known"]', None),
        ('["containers-auth.json"]', '["known"]'),
        ('["known"]', "[]"),
        (None, '["known"]'),
    ],
)
def test_helpers_are_asked_as_podman_asks_them(tmp_path: Path, main: str | None, dropped_in: str | None) -> None:
    helpers, folder = Helpers(tmp_path / "bin"), tmp_path / ".config" / "containers"
    for answer in ("known", "unknown", "broken"):
        helpers.add(answer, answer)
    (folder / "registries.conf.d").mkdir(parents=True)
    for file, names in (("registries.conf", main), ("registries.conf.d/1.conf", dropped_in)):
        if names is not None:
            (folder / file).write_text(f"credential-helpers = {names}\n")
    login = base64.b64encode(b"file:pw").decode()
    (folder / "auth.json").write_text(json.dumps({"auths": {"r.example": {"auth": login}}}))
    environ = {
        "HOME": str(tmp_path),
        "PATH": f"{helpers.folder}:{os.environ['PATH']}",
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    command = [program("podman"), "login", "--get-login", "r.example"]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    asked = helpers.calls()
    found = StoredCredentials(environ).credential_for("r.example")
    assert (found.username if found else None) == (done.stdout.strip() or None), done.stderr
    assert helpers.calls() == asked
