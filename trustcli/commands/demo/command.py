"""`trust demo`: run the main commands with the real programs in a temporary folder, and show each one as it is typed.

1. start a trust server and a registry on loopback, and push an image that is built from nothing
2. init, sign, verify, inspect
3. move the registry's tag: verify still returns the signed digest, and refuses the other one
4. ask a server that has altered the metadata: refused
5. add a signer, rotate keys, revoke a tag
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import typer

from trustcli.commands.demo.image import build_image
from trustcli.commands.demo.programs import docker_registry, fetch, free_port, running, trust_server
from trustcli.commands.demo.registry import DemoRegistry, EmbeddedRegistry, RealRegistry, serving
from trustcli.console.exit_codes import DONE, NOT_SIGNED, NOT_TRUSTED, OTHER
from trustcli.console.output import Output
from trustcli.errors import UsageError
from trustcli.registry.reference import parse_reference
from trustcli.session import Session

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_REPOSITORY: Final = "demo/app"


class DemoFailed(Exception):
    """A command of the demo ended with another exit status than expected."""


@app.command("demo")
def command(ctx: typer.Context) -> int:
    """Show the whole main job on embedded defaults; everything is deleted afterwards."""
    session: Session = ctx.obj
    if getattr(sys, "frozen", False):
        raise UsageError("the demo starts a trust server, which this build for machines without Python does not have")
    with tempfile.TemporaryDirectory(prefix="trust-demo-") as name, ExitStack() as stack:
        folder = Path(name)
        port = free_port()
        stack.enter_context(running(trust_server(folder, port), folder=folder, port=port, ready="/readyz"))
        registry_port = free_port()
        registry = stack.enter_context(_registry(folder, registry_port))
        demo = _Demo(session.output, folder, port, f"127.0.0.1:{registry_port}", registry)
        try:
            demo.play()
        except DemoFailed as error:
            session.output.notice(f"error: the demo stopped: {error}")
            session.output.document({"demo": "stopped", "exit": OTHER})
            return OTHER
    session.output.document({"demo": "done", "exit": DONE})
    return DONE


@contextmanager
def _registry(folder: Path, port: int) -> Iterator[DemoRegistry]:
    command_line = docker_registry(folder, port)
    if command_line is not None:
        with running(command_line, folder=folder, port=port, ready="/v2/"):
            yield RealRegistry(port)
    else:
        embedded = EmbeddedRegistry()
        with embedded.serving(port):
            yield embedded


class _Demo:
    def __init__(self, output: Output, folder: Path, port: int, registry_host: str, registry: DemoRegistry) -> None:
        self._output = output
        self._folder = folder
        self._port = port
        self._server = server = f"http://127.0.0.1:{port}"
        self._registry = registry
        self._image = f"{registry_host}/{_REPOSITORY}"
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("TRUST_")} | {
            "TRUST_SERVER": server,
            "TRUST_HOME": str(folder / "home"),
            "TRUST_ROOT_PASSPHRASE": "demo root passphrase",
            "TRUST_REPOSITORY_PASSPHRASE": "demo repository passphrase",
            "TRUST_RECOVERY_PASSPHRASE": "demo recovery passphrase",
            "TRUST_NON_INTERACTIVE": "1",
        }

    def play(self) -> None:
        """Run the demo from start to end. Raises: DemoFailed."""
        image, good, other = self._image, build_image("hello"), build_image("something else")
        self._say(f"A trust server runs at {self._server}, and {self._registry.what} holds {image}:1.0.")
        self._registry.push(_REPOSITORY, "1.0", good)
        self._trust("verify", f"{image}:1.0", expected=NOT_SIGNED)
        self._say("Nothing is signed yet. Make the collection, with a recovery root key kept elsewhere; then sign.")
        self._trust("init", image, "--recovery-key", "recovery.key")
        self._trust("sign", f"{image}:1.0")
        self._trust("verify", f"{image}:1.0")
        self._trust("inspect", "--pretty", image)

        self._say("Somebody with push rights moves the tag. The signed digest stays what it was; the other is refused.")
        self._registry.push(_REPOSITORY, "1.0", other)
        self._trust("verify", f"{image}:1.0")
        self._trust("verify", f"{image}:1.0@{other.digest}", expected=NOT_TRUSTED)

        self._say("A server (or network) that alters the metadata is found out.")
        with self._tampering() as liar:
            self._trust("--server", liar, "verify", f"{image}:1.0", expected=NOT_TRUSTED)

        self._say("A second signer names the digest that is known to be good, since the tag is still the moved one.")
        self._trust("key", "generate", "alice")
        self._trust("signer", "add", "--key", "alice.pub", "alice", image)
        self._trust("sign", f"{image}:1.0@{good.digest}", "--signer", "alice")

        self._say("New keys: tags, signers and pins stay.")
        self._trust("key", "rotate", "root", image)
        self._trust("key", "rotate", "targets", image)
        self._trust("verify", "--signer", "alice", f"{image}:1.0")
        self._trust("revoke", "--yes", f"{image}:1.0")
        self._trust("verify", f"{image}:1.0", expected=NOT_SIGNED)
        self._say("That was all of it: signed, fresh, rollback-protected, and revoked again.")

    def _say(self, text: str) -> None:
        self._output.paragraph("", f"# {text}")

    def _trust(self, *arguments: str, expected: int = DONE) -> None:
        self._output.paragraph("", f"$ trust {shlex.join(arguments)}")
        done = subprocess.run(
            [sys.executable, "-m", "trustcli", *arguments],
            cwd=self._folder,
            env=self._environment,
            stdout=sys.stderr if self._output.as_json else None,
            check=False,
        )
        if done.returncode != expected:
            raise DemoFailed(f"trust {shlex.join(arguments)} ended with {done.returncode}, expected {expected}")
        if expected != DONE:
            self._output.notice(f"(exit status {done.returncode}, as it should be)")

    @contextmanager
    def _tampering(self) -> Iterator[str]:
        """Serve the collection with a timestamp that claims to be valid for ten years more, and yield the URL."""
        gun = parse_reference(self._image).gun
        path = f"/tuf/{gun}/metadata/timestamp.json"
        genuine = fetch(self._port, path)
        altered = re.sub(rb'"expires":"20(\d)', rb'"expires":"21\1', genuine)
        port = free_port()
        with serving(port, {path: altered}, "application/json"):
            yield f"http://127.0.0.1:{port}"
