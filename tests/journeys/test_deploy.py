"""The files of docs/deploy with the real programs: nginx, Caddy, systemd, `docker login` and our command line."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Authority, make_authority
from tests.support.programs import RunningProgram, program
from tests.support.proxies import (
    DEPLOY,
    PASSWORD,
    USER,
    nginx_of_the_docs,
    of_the_docs,
    start_caddy,
    start_nginx,
)
from tests.support.server_process import ServerProcess
from tests.support.stage import Put
from tests.support.trust_program import SECRETS, TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

PersonAt = Callable[[str, RunningProgram], TrustUser]
_NOT_PASSED_ON = "/metrics"


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server as the files want it: on loopback, believing the proxy there."""
    server = ServerProcess(tmp_path_factory.mktemp("behind") / "data")
    server.start("--trusted-proxy", "127.0.0.1")
    yield server
    server.kill()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def certificate(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key of the proxy, in one file."""
    folder = tmp_path_factory.mktemp("certificate")
    authority.server_context(folder)
    return next(folder.glob("server-*.pem"))


@pytest.fixture(scope="module")
def with_password(
    behind: ServerProcess, certificate: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningProgram]:
    """Nginx with a password, as in nginx.conf."""
    folder = tmp_path_factory.mktemp("nginx")
    text = nginx_of_the_docs("nginx.conf", upstream=upstream_of(behind), certificate=certificate, folder=folder)
    with start_nginx(folder / "run", text) as nginx:
        yield nginx


@pytest.fixture(scope="module")
def with_certificates(
    behind: ServerProcess, certificate: Path, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningProgram]:
    """Nginx that wants a client certificate, as in nginx-client-certificates.conf."""
    folder = tmp_path_factory.mktemp("nginx")
    text = nginx_of_the_docs(
        "nginx-client-certificates.conf",
        upstream=upstream_of(behind),
        certificate=certificate,
        folder=folder,
        clients=authority.file,
    )
    with start_nginx(folder / "run", text) as nginx:
        yield nginx


@pytest.fixture(scope="module")
def caddy(
    behind: ServerProcess, certificate: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningProgram]:
    """Caddy with a password, as in Caddyfile."""
    hashing = [program("caddy"), "hash-password", "--plaintext", PASSWORD]
    hashed = subprocess.run(hashing, capture_output=True, text=True, check=True).stdout.strip()
    replaced = {
        "trust.example.com {": f"https://127.0.0.1:PORT {{\n\ttls {certificate} {certificate}",
        "reverse_proxy 127.0.0.1:4443": f"reverse_proxy {upstream_of(behind)}",
    }
    text = of_the_docs("Caddyfile", replaced)
    with start_caddy(tmp_path_factory.mktemp("caddy") / "run", text, {"TRUST_PASSWORD_HASH": hashed}) as proxy:
        yield proxy


def upstream_of(server: ServerProcess) -> str:
    return server.url.removeprefix("http://")


@pytest.fixture
def person_at(tmp_path: Path, authority: Authority) -> PersonAt:
    """Somebody who knows the proxy's CA, as docker does: by a file of any name in the folder of the host."""

    def make(name: str, proxy: RunningProgram) -> TrustUser:
        person = TrustUser(tmp_path / name, f"https://{proxy.netloc}")
        certificates = tls_folder(person, proxy)
        certificates.mkdir(parents=True)
        (certificates / "our-own.crt").write_bytes(authority.file.read_bytes())
        return person

    return make


@pytest.fixture
def image(gun: str, put: Put) -> str:
    """The test's collection, with an image under 1.0."""
    put("1.0")
    return gun


def tls_folder(person: TrustUser, proxy: RunningProgram) -> Path:
    return person.folder / "docker" / "tls" / proxy.netloc


def docker_login(person: TrustUser, proxy: RunningProgram, password: str) -> subprocess.CompletedProcess[str]:
    """Docker's own, which finds no engine and asks the host itself; on loopback it believes every certificate."""
    environ = {**person.environ, "DOCKER_HOST": f"unix://{person.folder}/no-engine.sock"}
    command = [program("docker"), "login", "--username", USER, "--password-stdin", proxy.netloc]
    return subprocess.run(command, env=environ, input=password, capture_output=True, text=True, check=False, timeout=60)


def wrong(person: TrustUser, *arguments: str) -> dict[str, str]:
    """What doctor calls wrong, by check."""
    found = person.run("--json", "doctor", *arguments, expect=None).document()["findings"]
    return {row["check"]: f"{row['text']} | {row['remedy']}" for row in found if row["severity"] == "wrong"}


# --- a password


@pytest.mark.parametrize("name", ["with_password", "caddy"])
@pytest.mark.parametrize("format_", ["tuf", "notary"])
def test_owners_log_in_with_docker_and_everybody_verifies(
    request: pytest.FixtureRequest, person_at: PersonAt, image: str, name: str, format_: str
) -> None:
    proxy: RunningProgram = request.getfixturevalue(name)
    gun, owner = image, person_at("owner", proxy)
    made = ("init", gun, "--no-recovery-key", "--format", format_)
    owner.run(*made, expect=7).said("refused (401)", f"trust login {proxy.netloc}")
    assert docker_login(owner, proxy, "wrong").returncode != 0
    done = docker_login(owner, proxy, PASSWORD)
    assert done.returncode == 0, done.stderr
    assert proxy.netloc in json.loads((owner.folder / "docker" / "config.json").read_text())["auths"]
    owner.run(*made)
    owner.run("sign", f"{gun}:1.0")
    assert wrong(owner, gun) == {}

    stranger = person_at("stranger", proxy)
    stranger.knows(gun, owner.pin_of(gun))
    stranger.run("verify", f"{gun}:1.0")
    assert wrong(stranger, gun) == {}
    stranger.run("--non-interactive", "init", f"{gun}/other", "--no-recovery-key", expect=7).said("refused (401)")


def test_a_wrong_password_is_blamed_on_who_refused_it(
    person_at: PersonAt, gun: str, with_password: RunningProgram
) -> None:
    person = person_at("person", with_password)
    entry = {"auth": base64.b64encode(f"{USER}:guess".encode()).decode()}
    (person.folder / "docker" / "config.json").write_text(json.dumps({"auths": {with_password.netloc: entry}}))
    ran = person.run("init", gun, "--no-recovery-key", expect=7)
    ran.said(f"https://{with_password.netloc} refused (401): 401 Authorization Required (nginx/", f"asked as {USER}")


@pytest.mark.parametrize("name", ["with_password", "with_certificates", "caddy"])
def test_what_is_for_the_own_network_is_not_passed_on(
    request: pytest.FixtureRequest, behind: ServerProcess, authority: Authority, tmp_path: Path, name: str
) -> None:
    proxy: RunningProgram = request.getfixturevalue(name)
    assert behind.get(_NOT_PASSED_ON)[0] == 200
    cert, key = authority.client_certificate(tmp_path)
    command = [program("curl"), "--silent", "--insecure", "--cert", str(cert), "--key", str(key)]
    command += ["--output", "/dev/null", "--write-out", "%{http_code}", f"https://{proxy.netloc}"]
    for path, status in ((_NOT_PASSED_ON, "404"), ("/readyz", "200"), ("/healthz", "200")):
        done = subprocess.run([*command[:-1], command[-1] + path], capture_output=True, text=True, check=True)
        assert done.stdout == status, path


# --- client certificates


@pytest.mark.parametrize("how", ["folder", "trust.toml"])
def test_who_has_a_client_certificate_is_let_in(
    person_at: PersonAt, authority: Authority, image: str, with_certificates: RunningProgram, how: str
) -> None:
    gun, owner = image, person_at("owner", with_certificates)
    made = ("init", gun, "--no-recovery-key")
    refused = owner.run(*made, expect=7)
    refused.said("refused (400): 400 No required SSL certificate was sent (nginx/", "client.cert and client.key")
    assert "docker login" not in refused.stderr
    assert "No required SSL certificate" in wrong(owner, gun)["trust-server"]
    folder = tls_folder(owner, with_certificates) if how == "folder" else owner.home
    folder.mkdir(exist_ok=True, mode=0o700)
    cert, key = authority.client_certificate(folder)
    if how == "trust.toml":
        text = f'[tls."{with_certificates.netloc}"]\ncert = "{cert.name}"\nkey = "{key.name}"\n'
        (owner.home / "trust.toml").write_text(text)
    owner.run(*made)
    owner.run("sign", f"{gun}:1.0")
    owner.run("verify", f"{gun}:1.0")
    assert wrong(owner, gun) == {}
    assert f"ours, if it asks for one: {cert}" in owner.run("doctor", gun).stdout
    key.chmod(0o644)
    owner.run("verify", f"{gun}:1.0", expect=8).said(f"chmod 600 {key}")


def test_a_client_certificate_of_somebody_else_is_refused(
    tmp_path: Path, person_at: PersonAt, gun: str, with_certificates: RunningProgram
) -> None:
    person = person_at("person", with_certificates)
    make_authority(tmp_path, "Other CA").client_certificate(tls_folder(person, with_certificates))
    person.run("init", gun, "--no-recovery-key", expect=7).said("The SSL certificate error (nginx/")


@pytest.mark.parametrize("name", ["with_password", "with_certificates", "caddy"])
def test_docker_trust_works_behind_it(
    request: pytest.FixtureRequest, person_at: PersonAt, authority: Authority, gun: str, name: str
) -> None:
    """It sends the trust server what is stored for the image's registry, and shows it the same certificates as we."""
    proxy: RunningProgram = request.getfixturevalue(name)
    person = person_at("person", proxy)
    if name == "with_certificates":
        authority.client_certificate(tls_folder(person, proxy))
    else:
        entry = {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
        auths = dict.fromkeys((gun.partition("/")[0], proxy.netloc), entry)
        (person.folder / "docker" / "config.json").write_text(json.dumps({"auths": auths}))
    environ = {
        **person.environ,
        "DOCKER_CONTENT_TRUST_SERVER": f"https://{proxy.netloc}",
        "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE": SECRETS["TRUST_ROOT_PASSPHRASE"],
        "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE": SECRETS["TRUST_REPOSITORY_PASSPHRASE"],
    }
    for arguments in (["key", "generate", "bob"], ["signer", "add", "--key", "bob.pub", "bob", gun]):
        command = [program("docker"), "trust", *arguments]
        done = subprocess.run(command, env=environ, cwd=person.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    person.run("--tofu", "inspect", gun)
    assert "bob" in person.run("inspect", "--pretty", gun).stdout


# --- a proxy that hides something


@pytest.fixture
def hiding(behind: ServerProcess, certificate: Path) -> Callable[[bool], str]:
    """A configuration of nginx that passes on nothing, or trust data alone."""

    def make(serves: bool) -> str:  # noqa: FBT001
        location = f"location /tuf/ {{ proxy_pass http://{upstream_of(behind)}; }}" if serves else ""
        tls = f"ssl_certificate {certificate}; ssl_certificate_key {certificate};"
        return f"server {{ listen 127.0.0.1:PORT ssl; {tls} {location} location / {{ return 404; }} }}"

    return make


@pytest.mark.parametrize("serves", [True, False])
def test_a_proxy_that_hides_a_server_is_told_from_no_server(
    hiding: Callable[[bool], str],
    person_at: PersonAt,
    tmp_path: Path,
    gun: str,
    serves: bool,  # noqa: FBT001
) -> None:
    with start_nginx(tmp_path / "nginx", hiding(serves)) as nginx:
        person = person_at("person", nginx)
        found = person.run("--json", "doctor", gun, expect=1).document()["findings"]
    (row,) = (row for row in found if row["check"] == "trust-server")
    assert f"https://{nginx.netloc} answers 404 to /readyz, but not as a trust server does" in row["text"]
    assert "(it says: 404 Not Found (nginx/" in row["text"]
    assert row["severity"] == ("note" if serves else "wrong")
    assert ("there is a trust server, and the proxy before it hides /readyz" in row["text"]) is serves
    assert ("so there is no trust server, or a proxy hides all of it" in row["text"]) is not serves


def test_an_upload_that_a_proxy_finds_too_large(
    behind: ServerProcess, person_at: PersonAt, tmp_path: Path, certificate: Path, gun: str
) -> None:
    text = (
        f"server {{ listen 127.0.0.1:PORT ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate};"
        f" client_max_body_size 1k; location / {{ proxy_pass http://{upstream_of(behind)}; }} }}"
    )
    with start_nginx(tmp_path / "nginx", text) as nginx:
        refused = person_at("person", nginx).run("init", gun, "--no-recovery-key", expect=7)
    refused.said("refused (413): 413 Request Entity Too Large (nginx/", "client_max_body_size", "the proxy before it")


# --- the others


def test_the_unit_is_one_for_systemd(tmp_path: Path) -> None:
    """Its program is replaced by one that is here: systemd looks for it."""
    unit = tmp_path / "trust-server.service"
    unit.write_text(of_the_docs("trust-server.service", {"/opt/content-trust/bin/trust-server": "/bin/true"}))
    command = [program("systemd-analyze"), "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_settings_of_the_unit_are_those_of_the_server(tmp_path: Path) -> None:
    """Started with the options of the unit: the settings, and the seal key that systemd hands over."""
    text = of_the_docs("trust-server.toml", {"/var/lib/trust-server": str(tmp_path / "data"), "4443": "0"})
    (tmp_path / "settings.toml").write_text(text)
    (tmp_path / "seal.key").write_bytes(base64.b64encode(bytes(32)))
    (tmp_path / "seal.key").chmod(0o400)
    (line,) = (
        row for row in (DEPLOY / "trust-server.service").read_text().splitlines() if row.startswith("ExecStart=")
    )
    _, command, *options = line.replace("%d", str(tmp_path)).split()
    assert "/etc/trust-server.toml" in options
    options = [word.replace("/etc/trust-server.toml", str(tmp_path / "settings.toml")) for word in options]
    server = ServerProcess(tmp_path / "data", program=("trustserver", command))
    server.start(*options)
    try:
        assert server.get("/readyz")[0] == 200
        assert not (tmp_path / "data" / "seal.key").exists()
    finally:
        server.kill()


def test_compose_mounts_what_nginx_reads() -> None:
    compose, nginx = (DEPLOY / "compose.yaml").read_text(), (DEPLOY / "nginx.conf").read_text()
    read = {word.rstrip(";") for word in nginx.split() if word.startswith("/etc/nginx/trust.") and word.endswith(";")}
    assert len(read) == 3
    for path in read:
        assert f":{path}:ro" in compose
    for file in ("nginx.conf", "trust-server.toml", "Dockerfile"):
        assert (DEPLOY / file).is_file()
        assert file in compose
