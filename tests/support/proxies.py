"""Real proxies in front of a server: nginx and Caddy with the files of docs/deploy, on loopback ports."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.programs import RunningProgram, free_port, program, running

DEPLOY = Path(__file__).resolve().parents[2] / "docs" / "deploy"
UPSTREAM = "127.0.0.1:4443"
"""Where the server is, in the files."""
USER = "alice"
PASSWORD = "Vorzimmer-Geheimnis-9"
_HTPASSWD = "alice:{PLAIN}Vorzimmer-Geheimnis-9\n"
_MAIN = """
daemon off;
user root;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  include {folder}/trust.conf;
}}
"""


@contextlib.contextmanager
def start_nginx(folder: Path, text: str) -> Iterator[RunningProgram]:
    """Nginx with this text in place of a file of /etc/nginx/conf.d; PORT in it is the port that it listens on."""
    folder.mkdir(parents=True)
    port = free_port()
    (folder / "trust.conf").write_text(text.replace("PORT", str(port)))
    main = folder / "nginx.conf"
    main.write_text(_MAIN.format(folder=folder))
    with running([program("nginx"), "-c", str(main), "-p", str(folder)], port=port, log=folder / "nginx.log") as nginx:
        try:
            yield nginx
        finally:
            nginx.process.terminate()  # killed, it would leave its workers behind
            nginx.process.wait()


@contextlib.contextmanager
def start_caddy(folder: Path, text: str, environ: Mapping[str, str]) -> Iterator[RunningProgram]:
    """Caddy with this Caddyfile; PORT in it is the port that it listens on."""
    folder.mkdir(parents=True)
    port = free_port()
    file = folder / "Caddyfile"
    file.write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text.replace("PORT", str(port)))
    whole = {"HOME": str(folder), "PATH": os.environ["PATH"], **environ}
    command = [program("caddy"), "run", "--config", str(file), "--adapter", "caddyfile"]
    with running(command, port=port, log=folder / "caddy.log", environ=whole) as caddy:
        yield caddy


def of_the_docs(name: str, replaced: Mapping[str, str]) -> str:
    """A file of docs/deploy, with addresses and paths of the test; each of them stands in the file."""
    text = (DEPLOY / name).read_text()
    for old, new in replaced.items():
        assert old in text, f"{name} has no {old}"
        text = text.replace(old, new)
    return text


def nginx_of_the_docs(name: str, *, upstream: str, certificate: Path, folder: Path, clients: Path | None = None) -> str:
    """The configuration `name`. `certificate`: with its key. `clients`: the CA of client certificates."""
    folder.mkdir(parents=True, exist_ok=True)
    replaced = {
        UPSTREAM: upstream,
        "listen 443 ssl": "listen 127.0.0.1:PORT ssl",
        "/etc/nginx/trust.crt": str(certificate),
        "/etc/nginx/trust.key": str(certificate),
    }
    if clients is None:
        (folder / "htpasswd").write_text(_HTPASSWD)
        replaced["/etc/nginx/trust.htpasswd"] = str(folder / "htpasswd")
    else:
        replaced["/etc/nginx/clients-ca.crt"] = str(clients)
    return of_the_docs(name, replaced)
