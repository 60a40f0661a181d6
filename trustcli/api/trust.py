"""One machine's trust: its settings, pins, memory and keys, for programs that verify and sign."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from trustcli.api.values import Initialised, Inspected, Signed, Verdict
from trustcli.config.global_options import GlobalOptions
from trustcli.console.caller_passphrases import AskCaller
from trustcli.errors import UsageError

if TYPE_CHECKING:
    from trustcli.session import Session

PathText: TypeAlias = str | os.PathLike[str]


class Trust:
    """What the commands `trust verify`, `inspect`, `sign` and `init` do, on this machine and with its settings.

    The parameters are the options of every command; what is not given comes from the environment and `trust.toml`, as
    it does there. Nothing is read before a method is called, and everything anew by each call: settings, pins, keys and
    the clock. An object never changes, so several threads may use it at the same time.

    `lock`: a lock file; without it none is read, whatever lies in the current folder. `environ`: the variables that
    count, in place of the process's own. `passphrase`: is called with the purpose of a key (`targets`, `signer`, `root`
    or `recovery`) and its name, and returns its passphrase, or None for that of the environment; nobody is ever asked
    at a terminal. For keys at `pkcs11:` URIs it is called with `token` and the name of the token, once, for the PIN.
    `notice`: is called with each sentence of progress or warning (`warning: ...`), in the thread of the call; without
    it they go to the logger `trustcli.api`. Nothing is printed.

    Raises: UsageError (a parameter that is empty).
    """

    def __init__(
        self,
        *,
        server: str | None = None,
        home: PathText | None = None,
        cacert: PathText | None = None,
        pin: str | None = None,
        lock: PathText | None = None,
        insecure_registries: Iterable[str] = (),
        tofu: bool = False,
        environ: Mapping[str, str] | None = None,
        passphrase: AskCaller | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        self._options = GlobalOptions(
            server=_value("server", server),
            home=_value("home", home),
            cacert=_value("cacert", cacert),
            pin=_value("pin", pin),
            lock=_value("lock", lock),
            insecure_registries=_several("insecure_registries", insecure_registries),
            tofu=tofu,
        )
        self._environ = None if environ is None else dict(environ)
        self._passphrase = passphrase
        self._notice = notice

    def verify(
        self,
        *images: str,
        signers: Iterable[str] = (),
        policy: PathText | None = None,
        offline: timedelta | None = None,
    ) -> list[Verdict]:
        """Judge images, and return one verdict for each, in order. An image that cannot be judged is not trusted.

        `signers`: all of them must have signed each image. `policy`: a policy file. `offline`: judge from the cache
        alone, if the last refresh is not longer ago than this.

        Raises only what keeps all of them from being judged: UsageError (no image is named), SettingsUnusable,
        FileExposed, FileNewer, PolicyMalformed; the last four are TrustErrors.
        """
        from trustcli.api.verifying import verify

        if offline is not None and not isinstance(offline, timedelta):
            raise UsageError("offline takes a timedelta: how long ago the last refresh may be")
        named, required, file = _images(images), _several("signers", signers), _value("policy", policy)
        with closing(self._open()) as session:
            return verify(session, named, signers=required, policy=file, offline=offline)

    def verify_one(
        self,
        image: str,
        *,
        signers: Iterable[str] = (),
        policy: PathText | None = None,
        offline: timedelta | None = None,
    ) -> Verdict:
        """Judge one image. Raises: as `verify`."""
        return self.verify(image, signers=signers, policy=policy, offline=offline)[0]

    def inspect(self, image: str) -> Inspected:
        """Return what a collection holds, or one tag of it if the image names one; expired roles are among it.

        Raises: TrustError (there is no such collection, its root, timestamp, snapshot or targets do not verify, its
        server cannot be reached, and others).
        """
        from trustcli.api.inspecting import inspect

        with closing(self._open()) as session:
            return inspect(session, image)

    def sign(
        self, *images: str, signer: str | None = None, local: bool = False, through_alias: bool = False
    ) -> list[Signed]:
        """Sign images by digest, publish and verify them; return one value for each, in order.

        The images of one repository are published together. With several repositories, each is checked, and the keys
        that will sign are opened, before the first publish. A repository that has no trust data is not initialised.

        `images`: `NAME:TAG`, or `NAME:TAG@sha256:HEX` for exactly that digest. `signer`: sign as this signer only.
        `local`: take what the container engine of this machine has pushed. `through_alias`: also where a name is an
        alias, whose collection has another name.

        Raises: UsageError (no image, one without a tag, one tag as two digests, an alias), TrustError or KeysError (of
        one repository), NotAllSigned (of several, with what was signed). Any other exception after a publish, such as
        one of `passphrase` or KeyboardInterrupt, has a note that names what is signed.
        """
        from trustcli.api.signing import sign

        named, role = _images(images), _value("signer", signer)
        with closing(self._open()) as session:
            return sign(session, named, signer=role, local=local, through_alias=through_alias)

    def init(
        self,
        name: str,
        *,
        recovery_key: PathText | None,
        format: str = "tuf",  # noqa: A002 - it is called so everywhere else
        root_keys: Iterable[str] = (),
        threshold: int = 1,
        signers: Mapping[str, PathText] = MappingProxyType({}),
    ) -> Initialised:
        """Make a collection, record its pin here and return it; of one that is there, make what is missing.

        A collection that is as it is asked for has nothing to do. One that differs is left alone.

        `recovery_key`: the file of the recovery root key, made if it is not there, or the URI of one that is there
        (`pkcs11:...`, `awskms:...`); None decides to do without: a root key that is lost is then lost for good.
        `format`: `tuf` or `notary`. `root_keys`: ids or names in the key store; without any, its only root key, else a
        new one. `threshold`: how many of them must sign a root.
        `signers`: files of public keys (PEM), or key URIs, by the names of signers.

        Raises: UsageError (a parameter that cannot be meant), InvalidName, CollectionExists (it is there and differs),
        KeysError, and every TrustError of `sign`.
        """
        from trustcli.api.initialising import init

        file = _value("recovery_key", recovery_key)
        keys, chosen = _several("root_keys", root_keys), _value("format", format)
        files = {signer: _value(f"signers[{signer!r}]", key) or "" for signer, key in signers.items()}
        if threshold < 1:
            raise UsageError("threshold must be 1 or more")
        with closing(self._open()) as session:
            return init(
                session,
                name,
                recovery_key=file,
                wire_format=chosen or "",
                root_keys=keys,
                threshold=threshold,
                signers=files,
            )

    def _open(self) -> Session:
        from trustcli.api.notices import Notices
        from trustcli.session import open_called_session

        environ = os.environ if self._environ is None else self._environ
        return open_called_session(self._options, environ, output=Notices(self._notice), ask=self._passphrase)


def _value(name: str, value: PathText | None) -> str | None:
    """Return a parameter as text. An empty one is refused: it would count as not given."""
    if value is None:
        return None
    text = os.fspath(value)
    if not text:
        raise UsageError(f"{name} is empty; leave it out, or say what it is")
    return text


def _several(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Return a parameter of several texts. One text alone is refused: its letters would be taken for them."""
    if isinstance(values, str):
        raise UsageError(f"{name} takes a list: [{values!r}]")
    found = tuple(values)
    if not all(found):
        raise UsageError(f"{name} holds an empty value")
    return found


def _images(images: Sequence[object]) -> Sequence[str]:
    """Return the images. None at all is refused: every one of no verdicts would be trusted."""
    if not images:
        raise UsageError("no image is named")
    for image in images:
        if not isinstance(image, str):
            raise UsageError(f"an image is a text such as registry.example.com/app:1.0, not a {type(image).__name__}")
    return [str(image) for image in images]
