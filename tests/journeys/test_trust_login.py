"""`trust login` where registry and trust server stand behind one host and port, each with its own password."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority, make_authority
from tests.support.images import build_image
from tests.support.programs import RunningProgram, program
from tests.support.proxies import start_nginx
from tests.support.server_process import ServerProcess
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

AT_REGISTRY = ("pusher", "of-the-registry-1")
AT_TRUST_SERVER = ("carol", "of-the-trust-server-1")
_HOST = """
server {{
  listen 127.0.0.1:PORT ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate};
  client_max_body_size 64m;
  proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Authorization "";
  proxy_set_header X-Forwarded-Proto https;
  location /v2/ {{ auth_basic registry; auth_basic_user_file {folder}/registry; proxy_pass http://{registry}; }}
  location /tuf/ {{ proxy_pass http://{trust}; }}
  location /readyz {{ proxy_pass http://{trust}; }}
  location /api/ {{ auth_basic trust; auth_basic_user_file {folder}/trust; proxy_pass http://{trust}; }}
}}
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, shared_registry: RunningProgram
) -> Iterator[RunningProgram]:
    """One address for both."""
    folder = tmp_path_factory.mktemp("host")
    authority.server_context(folder)
    server = ServerProcess(folder / "data")
    server.start("--trusted-proxy", "127.0.0.1")
    for name, (user, password) in (("registry", AT_REGISTRY), ("trust", AT_TRUST_SERVER)):
        (folder / name).write_text(f"{user}:{{PLAIN}}{password}\n")
    text = _HOST.format(
        certificate=next(folder.glob("server-*.pem")),
        folder=folder,
        registry=shared_registry.netloc,
        trust=server.url.removeprefix("http://"),
    )
    with start_nginx(folder / "nginx", text) as nginx:
        yield nginx
    server.kill()


@pytest.fixture
def carol(tmp_path: Path, host: RunningProgram, authority: Authority) -> TrustUser:
    person = TrustUser(tmp_path / "carol", f"https://{host.netloc}")
    certificates = person.folder / "docker" / "tls" / host.netloc
    certificates.mkdir(parents=True)
    (certificates / "ca.crt").write_bytes(authority.file.read_bytes())
    return person


def config_of(person: TrustUser) -> Path:
    return person.folder / "docker" / "config.json"


def stored(person: TrustUser) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(config_of(person).read_text())["auths"]
    return found


def key_of(host: RunningProgram) -> str:
    return f"content-trust+https://{host.netloc}"


def docker_login(person: TrustUser, host: RunningProgram) -> None:
    user, password = AT_REGISTRY
    environ = {**person.environ, "DOCKER_HOST": f"unix://{person.folder}/no-engine.sock"}
    command = [program("docker"), "login", "--username", user, "--password-stdin", host.netloc]
    done = subprocess.run(command, env=environ, input=password, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def push(person: TrustUser, host: RunningProgram, image: str) -> None:
    """With what `docker login` stored: skopeo reads Docker's file."""
    layout = person.folder / f"layout-{image.partition('/')[2].replace('/', '-').replace(':', '-')}"
    built = build_image(layout)
    command = [program("skopeo"), "copy", "--authfile", str(config_of(person)), "--dest-cert-dir"]
    command += [str(person.folder / "docker" / "tls" / host.netloc), built.source, f"docker://{image}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **person.environ})
    assert done.returncode == 0, done.stderr


def log_in(
    person: TrustUser, server: str, password: str = AT_TRUST_SERVER[1], *, expect: int = 0
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trustcli", "login", server]
    command += ["--username", AT_TRUST_SERVER[0], "--password-stdin"]
    environ = {**os.environ, **person.environ}
    done = subprocess.run(command, env=environ, input=f"{password}\n", capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stderr
    assert password not in done.stdout + done.stderr
    return done


def test_each_of_both_on_one_host_has_its_own_login(carol: TrustUser, host: RunningProgram) -> None:
    image = f"{host.netloc}/login/app:1.0"
    docker_login(carol, host)
    push(carol, host, image)
    carol.run("init", image.removesuffix(":1.0"), "--no-recovery-key", expect=7).said("refused (401)")
    before = stored(carol)

    assert f"logged in at https://{host.netloc} as carol" in log_in(carol, host.netloc).stdout
    assert stored(carol) == {**before, key_of(host): stored(carol)[key_of(host)]}
    carol.run("init", image.removesuffix(":1.0"), "--no-recovery-key")
    carol.run("sign", image)
    push(carol, host, image.replace("1.0", "2.0"))
    carol.run("sign", image.replace("1.0", "2.0"))
    assert config_of(carol).stat().st_mode & 0o777 == 0o600

    carol.run("logout", host.netloc)
    assert stored(carol) == before
    push(carol, host, image.replace("1.0", "3.0"))
    carol.run("sign", image.replace("1.0", "3.0"), expect=7).said("refused (401)")


def test_a_wrong_password_is_not_stored(carol: TrustUser, host: RunningProgram) -> None:
    said = log_in(carol, host.netloc, "guess", expect=7).stderr
    assert "refused (401)" in said
    assert "nothing was stored" in said
    assert not config_of(carol).exists()


def test_docker_does_not_mind_the_entry(carol: TrustUser, host: RunningProgram) -> None:
    """It writes its file anew at each login, and keeps what it does not know."""
    log_in(carol, host.netloc)
    docker_login(carol, host)
    assert stored(carol).keys() == {key_of(host), host.netloc}
    encoded = stored(carol)[key_of(host)]["auth"]
    assert base64.b64decode(encoded).decode() == ":".join(AT_TRUST_SERVER)


def test_a_server_that_wants_no_login_stores_none(carol: TrustUser, trust_server: ServerProcess) -> None:
    said = log_in(carol, trust_server.url, expect=2).stderr
    assert "wants no login" in said
    assert "nothing was stored" in said
    assert not config_of(carol).exists()


def test_doctor_shows_which_entry_was_used(carol: TrustUser, host: RunningProgram) -> None:
    docker_login(carol, host)
    image = f"{host.netloc}/login/doctor"
    push(carol, host, f"{image}:1.0")
    log_in(carol, host.netloc)
    carol.run("init", image, "--no-recovery-key")
    carol.run("sign", f"{image}:1.0")
    found = carol.run("--json", "doctor", image, expect=None).document()["findings"]
    assert [row for row in found if row["severity"] == "wrong"] == []
