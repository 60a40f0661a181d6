"""Every door of pulls as a real program, asked about one image, with what it says in one form.

A door has its settings, pins and policy in a folder of its own, and remembers what it has seen in another.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import parse_qs, urlsplit

from keys.record import replace
from tests.support.admission import images_of, patched, pod, review
from tests.support.admission_program import Admission
from tests.support.bindir_runner import asked, descriptor, start_verifier
from tests.support.door_cases import REFRESH
from tests.support.hostile_server import HostileServer, Request, Wire, json_reply, reply
from tests.support.loaded_program import LoadedProcess, Started, start_loaded
from tests.support.programs import program
from tests.support.pulling_programs import Containers, Docker
from tests.support.trust_program import COMMAND_SECONDS, TrustUser
from trustcli.config.settings import load_hook_settings
from trustcli.hooks.agent.protocol import MAX_ANSWER, VERSION, receive, send
from trustcli.hooks.deciding.context import context_hash
from trustcli.registry.manifest import ACCEPT
from trustcli.registry.reference import parse_reference
from trustcli.state.memory import MemoryFile
from trustcli.state.pins import PinEntry, PinsFile
from trustdata.gun import GUN

SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a door says. `runs`: `sha256:HEX`; "" if it names none. `text`: the refusal, or warnings.

    `code`, `status`: of the refusal, None where the door does not tell it.
    """

    allowed: bool
    runs: str = ""
    text: str = ""
    code: str | None = None
    status: int | None = None


@dataclass(frozen=True, kw_only=True)
class Question:
    """An image. `served`: what the registry has under it."""

    image: str
    served: str


@dataclass(frozen=True, kw_only=True)
class Files:
    """What every door decides by, `settings` without a line about an agent."""

    settings: str
    policy: str
    pins: Mapping[GUN, PinEntry]

    def write(self, folder: Path, *, agent: str = "off") -> Path:
        """Write all of it into a folder; return the settings file."""
        folder.mkdir(parents=True, exist_ok=True)
        pins = PinsFile(folder / "pins.toml")
        for gun, entry in self.pins.items():
            pins.record(gun, entry)
        (folder / "policy.toml").write_text(self.policy)
        settings = folder / "trust.toml"
        settings.write_text(f'agent = "{agent}"\n{self.settings}\n[verifier]\npolicy = "policy.toml"\n{_PATIENT}\n')
        return settings


_PATIENT = 'timeout = "60s"'


class Door(Protocol):
    """`ask` gives one answer for each question. `start` and `stop`: of what stays; a door that does not does nothing.

    `folder`: with all that it remembers.
    """

    folder: Path

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def ask(self, questions: Sequence[Question]) -> list[Told]: ...


def make_older(folder: Path, names: Iterable[GUN], age: timedelta) -> None:
    """Let it be so long ago that a door has heard of these collections."""
    wanted = frozenset(names)
    for path in folder.rglob("*.json"):
        if path.name == "seen.json" or path.parent.name == "seen":
            file = MemoryFile(path)
            for gun in wanted.intersection(file.names()):
                memory = file.load(gun)
                if memory is not None and memory.refreshed is not None:
                    file.remember(gun, replace(memory, refreshed=memory.refreshed - age))


# --- doors that end


class Ending:
    """A door whose process ends after its answers."""

    def __init__(self, folder: Path, files: Files) -> None:
        self.folder = folder
        self.settings = files.write(folder / "home")

    def start(self) -> None: ...

    def stop(self) -> None: ...


class CommandLine(Ending):
    """`trust verify --json`."""

    def ask(self, questions: Sequence[Question]) -> list[Told]:
        user = TrustUser(self.folder, "", environ={"TRUST_AGENT": "off"})
        policy = str(self.settings.with_name("policy.toml"))
        done = user.run("--json", "verify", "--policy", policy, *(each.image for each in questions), expect=None)
        return [self._told(row) for row in done.document()["images"]]

    def _told(self, row: Mapping[str, Any]) -> Told:
        if row["trusted"]:
            return Told(allowed=True, runs=row["digest"], text="; ".join(row.get("warnings", [])))
        return _refusal(row["error"])


class DockerPlugin(Ending):
    """`docker trust pull`, with an engine that does what it is told and notes it."""

    def __init__(self, folder: Path, files: Files) -> None:
        super().__init__(folder, files)
        self._pulled: list[str] = []

    def ask(self, questions: Sequence[Question]) -> list[Told]:
        self._pulled.clear()
        engine = HostileServer(self._engine)
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "DOCKER_CONFIG": str(self.folder / "docker"),
            "TRUST_HOME": str(self.settings.parent),
            "TRUST_AGENT": "off",
        }
        words = ["-H", f"tcp://{engine.netloc}", "trust", "pull", "--json"]
        words += ["--policy", str(self.settings.with_name("policy.toml")), *(each.image for each in questions)]
        module = "tests.support.docker_trust_program"
        try:
            done = Started(module, words, package="trustcli", cwd=self.folder, environ=environ).ended(COMMAND_SECONDS)
        finally:
            engine.stop()
        assert done.returncode in {0, 1}, done
        rows = json.loads(done.stdout)["images"]
        told = [self._told(row, done.stderr.decode()) for row in rows]
        names = [parse_reference(each.image).gun for each in questions]
        assert self._pulled == [f"{name}@{each.runs}" for name, each in zip(names, told, strict=True) if each.allowed]
        return told

    def _told(self, row: Mapping[str, Any], said: str) -> Told:
        if "error" in row:
            return _refusal(row["error"])
        warnings = [line for line in said.splitlines() if line.startswith("warning: ") and row["image"] in line]
        return Told(allowed=True, runs=row["digest"], text="; ".join(warnings))

    def _engine(self, request: Request, wire: Wire) -> None:
        parts = urlsplit(request.target)
        if parts.path.endswith("/images/create"):
            query = parse_qs(parts.query)
            self._pulled.append(f"{query['fromImage'][0]}@{query['tag'][0]}")
        wire.send(reply(201) if parts.path.endswith("/tag") else json_reply(200, {}))


class Verifier(Ending):
    """`trust-image-verifier`, as containerd calls it. `agent`: which it asks first, with the same policy."""

    def __init__(self, folder: Path, files: Files, *, agent: Agent | None = None) -> None:
        super().__init__(folder, files)
        if agent is not None:
            self.settings = agent.settings

    def ask(self, questions: Sequence[Question]) -> list[Told]:
        return [self._asked(each) for each in questions]

    def _asked(self, question: Question) -> Told:
        options = ["-config", str(self.settings), "-state", str(self.folder / "state")]
        words = [*options, *asked(question.image, question.served)]
        environ = {"PATH": os.environ["PATH"]}
        raw = descriptor(question.served)
        done = start_verifier(words, raw, cwd=self.folder, environ=environ, seconds=SECONDS)
        reason, status = done.stdout.decode(), done.returncode
        assert b"Traceback" not in done.stderr, done.stderr
        if status:
            return Told(allowed=False, text=reason, status=status)
        return Told(allowed=True, runs=question.served, text=f"{reason}{done.stderr.decode()}")


def _refusal(error: Mapping[str, Any]) -> Told:
    return Told(allowed=False, text=error["message"], code=error["code"], status=error["exit"])


# --- doors that stay


@dataclass(kw_only=True)
class Staying:
    """A process of `trust` that stays, forked from one that is loaded. `said`: its standard error."""

    folder: Path
    settings: Path
    said: IO[str] | None = field(default=None, init=False)
    _process: LoadedProcess | None = field(default=None, init=False)

    def _run(self, *words: str) -> str:
        """Start it, and return the first line on standard output or standard error."""
        reads, writes = os.pipe()
        with os.fdopen(writes, "w") as output:
            self._process = start_loaded(
                "trustcli",
                [*words, "--refresh", REFRESH, "--config", str(self.settings), "--state", str(self.folder / "state")],
                package="trustcli",
                cwd=self.folder,
                environ={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
                stdout=output,
                stderr=output,
            )
        self.said = os.fdopen(reads)
        return self.said.readline()

    def stop(self) -> None:
        """End it in order, if it runs."""
        if self._process is not None and self.said is not None:
            self._process.send_signal(signal.SIGTERM)
            status, rest = self._process.wait(SECONDS), self.said.read()
            self.said.close()
            self._process = None
            assert status == 0, rest
            assert "Traceback" not in rest, rest


class Agent(Staying):
    """`trust agent`, asked over its socket what it decides itself."""

    def __init__(self, folder: Path, files: Files) -> None:
        self.socket = folder / "run" / "s"
        super().__init__(folder=folder, settings=files.write(folder / "home", agent=str(self.socket)))
        settings = load_hook_settings({}, config=self.settings, state=None)
        self._context = context_hash(settings, policy=settings.verifier.policy, with_allow_list=True)

    def start(self) -> None:
        line = self._run("agent", "--socket", str(self.socket))
        assert line == f"listening at {self.socket}\n", line

    def ask(self, questions: Sequence[Question]) -> list[Told]:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.connect(str(self.socket))
            return [self._asked(connection, each.image) for each in questions]

    def _asked(self, connection: socket.socket, image: str) -> Told:
        question = {"version": VERSION, "id": "1", "context": self._context, "image": image, "digest": None}
        until = time.monotonic() + SECONDS
        send(connection, question, until=until)
        answer: Any = receive(connection, limit=MAX_ANSWER, until=until)
        assert answer is not None
        if not answer["allowed"]:
            return Told(allowed=False, text=answer["reason"], code=answer["code"])
        return Told(allowed=True, runs=answer["runs"] or "", text="; ".join(answer["warnings"]))


class Proxy(Staying):
    """`trust hook proxy`, asked as skopeo asks for a manifest."""

    def __init__(self, folder: Path, files: Files, *, upstream: str) -> None:
        super().__init__(folder=folder, settings=files.write(folder / "home"))
        self.upstream = upstream
        self.netloc = ""

    def start(self) -> None:
        options = ("--listen", "127.0.0.1:0", "--upstream", f"http://{self.upstream}")
        line = self._run("hook", "proxy", *options, "--policy", str(self.settings.with_name("policy.toml")))
        assert " verified at http://" in line, line
        self.netloc = line.split("//")[-1].strip()

    def ask(self, questions: Sequence[Question]) -> list[Told]:
        return [self._asked(each.image) for each in questions]

    def _asked(self, image: str) -> Told:
        name = image.removeprefix(f"{self.upstream}/")
        repository, _, reference = name.partition("@") if "@" in name else name.partition(":")
        with contextlib.closing(http.client.HTTPConnection(self.netloc, timeout=SECONDS)) as client:
            client.request("GET", f"/v2/{repository}/manifests/{reference}", headers={"Accept": ACCEPT})
            answer = client.getresponse()
            raw, digest = answer.read(), answer.headers.get("Docker-Content-Digest", "")
        if answer.status == 200:
            return Told(allowed=True, runs=digest)
        (error,) = json.loads(raw)["errors"]
        return Told(allowed=False, text=f"{error['code']}: {error['message']}")


class Webhook:
    """`trust hook admission`, asked by `/mutate` for a Pod with one container."""

    def __init__(self, folder: Path, files: Files) -> None:
        self.folder = folder
        self._program = Admission(folder, {})
        self._runs = False
        files.write(self._program.etc)

    def start(self) -> None:
        self._program.start("--refresh", REFRESH)
        self._runs = True

    def stop(self) -> None:
        if self._runs:
            self._runs = False
            assert self._program.stop() == 0

    def ask(self, questions: Sequence[Question]) -> list[Told]:
        with contextlib.closing(self._program.connect()) as connection:
            return [self._asked(connection, each.image) for each in questions]

    def _asked(self, connection: http.client.HTTPSConnection, image: str) -> Told:
        thing = pod(image)
        response = self._program.review(review(thing), "/mutate?timeout=30s", connection=connection)
        if not response["allowed"]:
            return Told(allowed=False, text=response["status"]["message"])
        (runs,) = images_of(patched(thing, response))
        return Told(allowed=True, runs=runs.partition("@")[2], text="; ".join(response.get("warnings", [])))


class Skopeo:
    """The real skopeo, which asks the proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self.folder = proxy.folder
        self._proxy = proxy

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def ask(self, questions: Sequence[Question]) -> list[Told]:
        return [self._asked(each.image) for each in questions]

    def _asked(self, image: str) -> Told:
        name = image.replace(self._proxy.upstream, self._proxy.netloc, 1)
        command = [program("skopeo"), "inspect", "--raw", "--tls-verify=false", f"docker://{name}"]
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        done = subprocess.run(command, env=environ, capture_output=True, check=False, timeout=SECONDS)
        if done.returncode:
            return Told(allowed=False, text=done.stderr.decode())
        return Told(allowed=True, runs=f"sha256:{hashlib.sha256(done.stdout).hexdigest()}")


class Podman:
    """The real podman, which asks the proxy: one process for all questions, as `podman pull` takes several images."""

    def __init__(self, proxy: Proxy, folder: Path) -> None:
        self.folder = proxy.folder
        self._proxy = proxy
        self._containers = Containers(folder)

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def ask(self, questions: Sequence[Question]) -> list[Told]:
        names = [each.image.replace(self._proxy.upstream, self._proxy.netloc, 1) for each in questions]
        # What podman shows as the digest of an image is the one that it came to it by first, and cases share images.
        tags_first = sorted(names, key=lambda name: "@" in name)
        done = self._containers.podman_pull("--tls-verify=false", *tags_first)
        rows = json.loads(self._containers.podman("images", "--digests", "--format", "json"))
        return [self._told(name, done.stderr, rows) for name in names]

    def _told(self, name: str, said: str, rows: Sequence[Mapping[str, Any]]) -> Told:
        """Errors name the image. What podman has under a name it knows by all digests that it came to it by."""
        row = next((row for row in rows if name in (row["Names"] or ())), None)
        refusals = [line for line in said.splitlines() if f"docker://{name}:" in line]
        assert (row is None) == bool(refusals), (name, row, said)
        if row is None:
            return Told(allowed=False, text="; ".join(refusals))
        asked = name.partition("@")[2] or row["Digest"]
        repository = name.removesuffix(f"@{asked}") if "@" in name else name.rpartition(":")[0]
        assert f"{repository}@{asked}" in row["RepoDigests"], row
        return Told(allowed=True, runs=asked)


class Engine:
    """Docker's engine with its CLI, which asks the proxy."""

    def __init__(self, proxy: Proxy, docker: Docker) -> None:
        self.folder = proxy.folder
        self._proxy = proxy
        self._docker = docker

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def ask(self, questions: Sequence[Question]) -> list[Told]:
        return [self._asked(each.image.replace(self._proxy.upstream, self._proxy.netloc, 1)) for each in questions]

    def _asked(self, name: str) -> Told:
        digest, refusal = self._docker.pulled(name)
        return Told(allowed=bool(digest), runs=digest, text=refusal)
