"""nginx as the peer of plain reads: one worker, files from a folder, no logs, nothing that would slow it down."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import free_port, program, running

_CONFIGURATION = """
daemon off;
master_process off;
user root;
worker_processes 1;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  default_type application/json;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  open_file_cache max=100;
  server {{
    listen 127.0.0.1:{http};
    listen 127.0.0.1:{https} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    root {folder}/www;
  }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Nginx:
    """`http` and `https` without a final slash; files lie at the top."""

    http: str
    https: str
    pid: int


@contextlib.contextmanager
def start_nginx(folder: Path, files: Mapping[str, bytes], *, certificate: Path, key: Path) -> Iterator[Nginx]:
    """Run nginx over these files, with this certificate."""
    (folder / "www").mkdir(parents=True)
    for name, content in files.items():
        (folder / "www" / name).write_bytes(content)
    http, https = free_port(), free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(folder=folder, http=http, https=https, certificate=certificate, key=key)
    )
    command = [program("nginx"), "-p", str(folder), "-c", str(configuration)]
    with running(command, port=http, log=folder / "nginx.log") as started:
        yield Nginx(http=f"http://127.0.0.1:{http}", https=f"https://127.0.0.1:{https}", pid=started.process.pid)
