"""The registry client against Debian's docker-registry, with images that skopeo put there."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.support.certificates import make_authority
from tests.support.images import INDEX, BuiltImage, build_image, build_index
from tests.support.programs import PASSWORD, USER, RunningProgram, free_port, program, push, start_registry
from tests.support.proxies import start_nginx
from trustcli.config.stored_credentials import StoredCredentials
from trustcli.errors import (
    ImageNotFound,
    RemoteFailing,
    RemoteRefused,
    RemoteUnreachable,
)
from trustcli.http.network import Network
from trustcli.http.tls import CertificateAuthorities
from trustcli.registry.client import Registry
from trustcli.registry.manifest import Manifest
from trustcli.registry.reference import parse_reference
from trustdata.errors import ContentMismatch

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "docker")}


def resolve(environ: dict[str, str], image: str, cacert: Path | None = None) -> Manifest:
    network = Network(authorities=CertificateAuthorities(environ, cacert=cacert), environ=environ)
    with contextlib.closing(Registry(network, StoredCredentials(environ))) as registry:
        return registry.resolve(parse_reference(image))


def log_in(environ: dict[str, str], server: str, password: str) -> None:
    folder = Path(environ["DOCKER_CONFIG"])
    folder.mkdir()
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {server: {"auth": auth}}}))


def test_one_platform_by_tag_and_by_digest(registry: RunningProgram, environ: dict[str, str], tmp_path: Path) -> None:
    image = build_image(tmp_path / "image")
    push(image, registry, "team/app", "1.0")
    found = resolve(environ, f"{registry.netloc}/team/app:1.0")
    assert (found.digest, found.size, found.children) == (image.digest, len(image.raw), ())
    assert resolve(environ, f"{registry.netloc}/team/app@{image.digest}") == found


def test_an_index_with_its_platforms(registry: RunningProgram, environ: dict[str, str], tmp_path: Path) -> None:
    index = build_index(tmp_path / "index")
    push(index, registry, "team/app", "multi")
    found = resolve(environ, f"{registry.netloc}/team/app:multi")
    assert (found.digest, found.size, found.children) == (index.digest, len(index.raw), index.children)
    assert len(found.children) == 2
    child = resolve(environ, f"{registry.netloc}/team/app@sha256:{index.children[1]}")
    assert (child.digest, child.children) == (f"sha256:{index.children[1]}", ())


def test_a_moved_tag_and_the_digest_asked_for(
    registry: RunningProgram, environ: dict[str, str], tmp_path: Path
) -> None:
    old, new = build_image(tmp_path / "old"), build_image(tmp_path / "new", text="other")
    push(old, registry, "team/app", "1.0")
    push(new, registry, "team/app", "1.0")
    assert resolve(environ, f"{registry.netloc}/team/app:1.0").digest == new.digest
    assert resolve(environ, f"{registry.netloc}/team/app:1.0@{old.digest}").digest == old.digest


def test_what_is_not_there(registry: RunningProgram, environ: dict[str, str], tmp_path: Path) -> None:
    push(build_image(tmp_path / "image"), registry, "team/app", "1.0")
    for image in ("team/app:2.0", f"team/app@sha256:{'0' * 64}", "team/other:1.0"):
        with pytest.raises(ImageNotFound):
            resolve(environ, f"{registry.netloc}/{image}")


def test_a_registry_with_a_password(password_registry: RunningProgram, environ: dict[str, str], tmp_path: Path) -> None:
    image = build_image(tmp_path / "image")
    push(image, password_registry, "team/app", "1.0", password=True)
    with pytest.raises(RemoteRefused, match=f"docker login {password_registry.netloc}"):
        resolve(environ, f"{password_registry.netloc}/team/app:1.0")
    log_in(environ, password_registry.netloc, PASSWORD)
    assert resolve(environ, f"{password_registry.netloc}/team/app:1.0").digest == image.digest


@pytest.mark.parametrize("named", [True, False])
def test_where_skopeo_has_logged_in(
    password_registry: RunningProgram,
    environ: dict[str, str],
    tmp_path: Path,
    named: bool,  # noqa: FBT001
) -> None:
    """In the file that REGISTRY_AUTH_FILE names, or in that of the session; for a namespace or the whole registry."""
    image = build_image(tmp_path / "image")
    push(image, password_registry, "team/app", "1.0", password=True)
    environ["XDG_RUNTIME_DIR"] = str(tmp_path / "run")
    (tmp_path / "run").mkdir()
    place = f"{password_registry.netloc}/team" if named else password_registry.netloc
    if named:
        environ["REGISTRY_AUTH_FILE"] = str(tmp_path / "auth.json")
    command = [program("skopeo"), "login", "--tls-verify=false", "--username", USER, "--password-stdin", place]
    skopeo = {**environ, "PATH": os.environ["PATH"]}
    del skopeo["DOCKER_CONFIG"]  # else it stores there
    done = subprocess.run(command, env=skopeo, input=PASSWORD, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    written = tmp_path / ("auth.json" if named else "run/containers/auth.json")
    assert place in json.loads(written.read_text())["auths"]
    assert resolve(environ, f"{password_registry.netloc}/team/app:1.0").digest == image.digest


def test_a_wrong_password(password_registry: RunningProgram, environ: dict[str, str]) -> None:
    log_in(environ, password_registry.netloc, "wrong guess")
    with pytest.raises(RemoteRefused, match=f"may not be read as {USER}") as caught:
        resolve(environ, f"{password_registry.netloc}/team/app:1.0")
    assert caught.value.status == 401
    assert "wrong guess" not in str(caught.value)


def test_https_with_a_private_ca(environ: dict[str, str], tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    authority.server_context(tmp_path)
    pem = next(tmp_path.glob("server-*.pem"))  # key and certificate in one file
    image = build_image(tmp_path / "image")
    with start_registry(tmp_path / "registry", tls=(pem, pem)) as secure:
        push(image, secure, "app", "1")
        assert resolve(environ, f"{secure.netloc}/app:1", authority.file).digest == image.digest
        # HTTPS is spoken, so that a refused certificate does not lead to plain HTTP.
        with pytest.raises(RemoteUnreachable, match="certificate is refused"):
            resolve(environ, f"{secure.netloc}/app:1")
        folder = Path(environ["DOCKER_CONFIG"]) / "tls" / secure.netloc
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes(authority.file.read_bytes())
        assert resolve(environ, f"{secure.netloc}/app:1").digest == image.digest


def test_altered_storage_is_noticed(registry: RunningProgram, environ: dict[str, str], tmp_path: Path) -> None:
    image = build_image(tmp_path / "image")
    push(image, registry, "team/app", "1.0")
    hex_digest = image.digest.removeprefix("sha256:")
    blob = next((tmp_path / "registry" / "storage").rglob(f"{hex_digest}/data"))
    blob.write_bytes(blob.read_bytes() + b" ")
    # This registry hands out what lies on its disk without a look.
    with pytest.raises(ContentMismatch):
        resolve(environ, f"{registry.netloc}/team/app@{image.digest}")


# --- images of images, and what stands before a registry


def put_index(registry: RunningProgram, repository: str, tag: str, *children: BuiltImage) -> bytes:
    """Put an index over other indexes into a registry, as buildx does for images of images."""
    entries = [{"mediaType": INDEX, "digest": child.digest, "size": len(child.raw)} for child in children]
    raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    url = f"http://{registry.netloc}/v2/{repository}/manifests/{tag}"
    request = urllib.request.Request(url, data=raw, method="PUT", headers={"Content-Type": INDEX})
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 201
    return raw


def test_platforms_below_an_index_in_an_index(
    registry: RunningProgram, environ: dict[str, str], tmp_path: Path
) -> None:
    inner = [build_index(tmp_path / text, text=text) for text in ("one", "two")]
    for image in inner:
        push(image, registry, "team/app", "inner")
    raw = put_index(registry, "team/app", "outer", *inner)
    found = resolve(environ, f"{registry.netloc}/team/app:outer")
    assert found.digest == f"sha256:{hashlib.sha256(raw).hexdigest()}"
    platforms = {child for image in inner for child in image.children}
    assert set(found.children) == platforms | {image.digest.removeprefix("sha256:") for image in inner}
    assert len(platforms) == 4


def test_a_vanity_name_before_a_registry_with_a_password(
    password_registry: RunningProgram, environ: dict[str, str], tmp_path: Path
) -> None:
    """Nginx redirects all of it; only the registry itself asks, and only it gets the login."""
    image = build_image(tmp_path / "image")
    push(image, password_registry, "team/app", "1.0", password=True)
    location = f"http://{password_registry.netloc}/v2/team/app$1"
    text = f"server {{ listen 127.0.0.1:PORT; rewrite ^/v2/app(/.*)$ {location} redirect; }}"
    with start_nginx(tmp_path / "nginx", text) as nginx:
        with pytest.raises(RemoteRefused, match=f"docker login {password_registry.netloc}") as caught:
            resolve(environ, f"{nginx.netloc}/app:1.0")
        assert caught.value.remote == f"http://{password_registry.netloc}"
        log_in(environ, password_registry.netloc, PASSWORD)
        assert resolve(environ, f"{nginx.netloc}/app:1.0").digest == image.digest


def test_nginx_with_nothing_behind_it_and_one_that_forbids(environ: dict[str, str], tmp_path: Path) -> None:
    text = (
        f"server {{ listen 127.0.0.1:PORT; location / {{ proxy_pass http://127.0.0.1:{free_port()}; }}"
        " location /v2/forbidden/ { deny all; } }"
    )
    with start_nginx(tmp_path / "nginx", text) as nginx:
        with pytest.raises(RemoteFailing, match=r"502 Bad Gateway \(nginx/[0-9.]+\); usually a proxy"):
            resolve(environ, f"{nginx.netloc}/app:1.0")
        with pytest.raises(RemoteRefused, match=r"403 Forbidden \(nginx/[0-9.]+\); usually a firewall or a proxy"):
            resolve(environ, f"{nginx.netloc}/forbidden/app:1.0")
