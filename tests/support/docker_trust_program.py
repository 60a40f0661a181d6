"""The console script `docker-trust`, as a module that is started."""

from __future__ import annotations

from trustcli.__main__ import docker_trust

if __name__ == "__main__":
    docker_trust()
