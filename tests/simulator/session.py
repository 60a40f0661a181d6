"""A session of the real commands on a simulated machine: what they print, without a process and without a network."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from keys.errors import KeysError
from keys.key_info import KeyInfo, Purpose
from tests.simulator.client import Client
from tests.simulator.keyring import private
from tests.simulator.memory_keystore import MemoryKeyStore
from trustcli.client.collection import Collection
from trustcli.client.local_state import RollbackStore
from trustcli.commands import inspect, verify
from trustcli.commands.table import dispatch
from trustcli.config.settings import Settings
from trustcli.console.output import Output, failure_document
from trustcli.errors import ImageNotFound, RemoteUnreachable
from trustcli.http.record import Observer
from trustcli.registry.client import PULL, Registry
from trustcli.registry.manifest import Manifest
from trustcli.registry.reference import ImageReference
from trustcli.session import Session
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.lifetimes import MaxLife
from trustdata.verification.lock_entry import SourcedLock
from trustdata.verification.trust_pinning import SourcedPin
from trustdata.wire import WireFormat

SECRET: Final = "secret"
"""The passphrase of every private key."""
_PURPOSES: Final[Mapping[str, Purpose]] = {"root": "root", "recovery": "root", "targets": "targets"}


class SimulatedRegistry(Registry):
    """Serves one digest under every tag, or cannot be reached. `asked`: what was looked up.

    `contents`: manifests and blobs by their digest, which are not compared; without them it cannot be reached either.
    """

    def __init__(self, digest: str | None, contents: Mapping[str, bytes] | None = None) -> None:
        self._digest = digest
        self._contents = contents
        self.asked: list[str] = []

    def resolve(self, reference: ImageReference) -> Manifest:
        self.asked.append(str(reference))
        if self._digest is None:
            raise RemoteUnreachable(remote="https://registry.example.com", reason="no answer in time")
        return Manifest(digest=self._digest, size=1, media_type="application/x", children=())

    def manifest_bytes(self, reference: ImageReference, *, actions: str = PULL) -> bytes:
        del actions
        return self._content(str(reference.gun), str(reference.digest))

    def blob(self, reference: ImageReference, digest: str, *, limit: int) -> bytes:
        del limit
        return self._content(str(reference.gun), digest)

    def _content(self, gun: str, digest: str) -> bytes:
        self.asked.append(f"{gun}@{digest}")
        if self._contents is None:
            raise RemoteUnreachable(remote="https://registry.example.com", reason="no answer in time")
        if digest not in self._contents:
            raise ImageNotFound(image=gun, registry="https://registry.example.com", reason="no such digest")
        return self._contents[digest]

    def close(self) -> None:
        pass


class SimulatedSession(Session):
    """One invocation on `client`'s machine; `run` gives the exit status and what was said.

    `keys`: the names of the actors whose private keys are in its store.
    """

    def __init__(
        self, client: Client, *, as_json: bool = False, registry_digest: str | None = None, keys: Sequence[str] = ()
    ) -> None:
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        super().__init__(
            settings=Settings(
                home=Path("/nowhere"), server=client.server.name, server_source="TRUST_SERVER", non_interactive=True
            ),
            environ={"TRUST_ROOT_PASSPHRASE": SECRET, "TRUST_REPOSITORY_PASSPHRASE": SECRET},
            output=Output(stdout=self.stdout, stderr=self.stderr, as_json=as_json),
            at=client.at,
        )
        self.client = client
        self.simulated_registry = SimulatedRegistry(registry_digest)
        self.store = MemoryKeyStore()
        for name in keys:
            info = KeyInfo.of(private(name), purpose=_PURPOSES.get(name, "signer"), name=name)
            self.store.add(private(name), info, SECRET)
        self.__dict__["keystore"] = self.store

    def collection(
        self,
        gun: GUN,
        *,
        policy_pins: Iterable[SourcedPin] = (),
        policy_max_life: MaxLife | None = None,
        policy_server: str = "",
        by_policy: bool = False,
        memory_required: bool = False,
        memory: RollbackStore | None = None,
        locks: Mapping[GUN, SourcedLock] | None = None,
        wire: WireFormat | None = None,
        wrap_wire: Callable[[WireFormat], WireFormat] | None = None,
        offline: bool = False,
        keep: bool = True,
    ) -> Collection:
        del policy_pins, policy_server, by_policy, memory_required, memory, locks, wire, offline
        assert gun == self.client.server.gun
        self.client.max_life = policy_max_life or self.settings.max_life_for(gun)
        found = self.client.server.wire
        kept = keep and self.keeps
        return self.client.collection(wire=wrap_wire(found) if wrap_wire else None, keep=kept, at=self.at)

    def registry(self, observer: Observer | None = None) -> Registry:
        del observer
        return self.simulated_registry

    def run(self, *arguments: str) -> int:
        name, *rest = arguments
        quick = {"verify": verify.main, "inspect": inspect.main}
        return quick[name](self, rest) if name in quick else dispatch(self, arguments)

    def ends(self, *arguments: str) -> int:
        """Run a command, and return its status also when it ends with an error, which is then said."""
        try:
            return self.run(*arguments)
        except (TrustError, KeysError) as error:
            self.output.document({"error": failure_document(error)})
            return self.output.failure(error)

    def document(self) -> Any:
        return json.loads(self.stdout.getvalue())
