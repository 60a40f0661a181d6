"""Which words may stand where in a command line of `trust`, as far as something can be suggested for them.

A table of its own, since asking the parsers means loading Typer and every command, which takes longer than a person
waits for a key. Tests hold it against the parsers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from keys.record import record

Value: TypeAlias = str | tuple[str, ...]
"""What is suggested for a value: one of the kinds below, or these words."""

FLAG: Final = ""
"""Marks an option that has no value."""
NAME: Final = "name"
IMAGE: Final = "image"
SIGNER: Final = "signer"
KEY: Final = "key"
KEY_OR_FILE: Final = "key or file"
"""A key of the store; what begins as none of them does is a file."""
SERVER: Final = "server"
FILE: Final = "file"
FOLDER: Final = "folder"
FREE: Final = "free"
"""Nothing can be suggested."""

SHELLS: Final = ("bash", "zsh", "fish")
FORMATS: Final = ("tuf", "notary")
PURPOSES: Final = ("signer", "root", "targets", "snapshot")
ALGORITHMS: Final = ("ecdsa-p256", "ecdsa-p384", "ed25519", "rsa")
ROTATABLE: Final = ("root", "targets", "snapshot", "timestamp")
FORMS: Final = ("table", "names", "commands")
POLICIES: Final = ("connaisseur", "portieris", "containers", "notary")


@record
class Words:
    """The words of a command.

    `arguments`: their values in order, of which the last may be repeated. `below`: the commands of a group, or words
    that may stand in place of the first argument.
    """

    options: Mapping[str, Value] = {}
    arguments: tuple[Value, ...] = ()
    below: Mapping[str, Words] = {}


GLOBAL: Final[Mapping[str, Value]] = {
    "--server": SERVER,
    "--home": FOLDER,
    "--cacert": FILE,
    "--pin": FREE,
    "--tofu": FLAG,
    "--lock": FILE,
    "--insecure-registry": FREE,
    "--json": FLAG,
    "--non-interactive": FLAG,
    "--platform-secrets": FLAG,
    "--verbose": FLAG,
    "--help": FLAG,
}

_PLAN: Final = {"--plan": FLAG}
_YES: Final = {"--yes": FLAG, "-y": FLAG}
_NAMES: Final = {"--names": FILE}
_BULK_NAMES: Final = {"--glob": FREE, "--jobs": FREE, "--report": FILE}
_BULK: Final = {**_BULK_NAMES, "--all-with": KEY_OR_FILE}
_IMAGES: Final = {"--images": FILE}
_DECISIONS: Final[Mapping[str, Value]] = {
    "--accept-unsigned": FREE,
    "--accept-expired": FREE,
    "--start-empty": ("targets/releases",),
}
_LOOK: Final[Mapping[str, Value]] = {**_DECISIONS, "--accept-unseen": FREE}
_RECOVERY: Final = {"--recovery-key": FILE, "--no-recovery-key": FLAG}
_JUDGED: Final = {**_IMAGES, "--signer": SIGNER, "--policy": FILE, "--offline": FLAG, "--max-age": FREE}
_KEY_FILE: Final[Mapping[str, Value]] = {"--name": FREE, "--purpose": PURPOSES, "--collection": NAME}
_PLUGIN: Final = Words(options={"--dir": FOLDER})

TRUST: Final = Words(
    options={"--version": FLAG},
    below={
        "init": Words(
            options={
                **_NAMES,
                "--template": FILE,
                **_RECOVERY,
                "--format": FORMATS,
                "--root-key": KEY,
                "--threshold": FREE,
                "--signer": FREE,
                **_PLAN,
            },
            arguments=(NAME,),
        ),
        "sign": Words(
            options={
                **_IMAGES,
                "--signer": SIGNER,
                "--key": FILE,
                "--local": FLAG,
                "--init": FLAG,
                **_RECOVERY,
                "--format": FORMATS,
                **_PLAN,
                **_DECISIONS,
                **_YES,
            },
            arguments=(IMAGE,),
        ),
        "verify": Words(options={**_JUDGED, "--fresh": FLAG}, arguments=(IMAGE,)),
        "pull": Words(options={**_IMAGES, "--signer": SIGNER, "--policy": FILE}, arguments=(IMAGE,)),
        "inspect": Words(options={**_IMAGES, "--pretty": FLAG}, arguments=(IMAGE,)),
        "revoke": Words(
            options={
                **_IMAGES,
                "--digest": FREE,
                "--signer": SIGNER,
                **_NAMES,
                "--glob": FREE,
                "--all": FLAG,
                **_YES,
                **_PLAN,
                **_DECISIONS,
            },
            arguments=(IMAGE,),
        ),
        "deny": Words(
            options={
                **_IMAGES,
                "--reason": FREE,
                "--remove": FLAG,
                "--list": FLAG,
                **_YES,
                **_PLAN,
                "--accept-unsigned": FREE,
            },
            arguments=(IMAGE,),
        ),
        "prune": Words(options={**_NAMES, **_YES, **_PLAN}, arguments=(NAME,)),
        "delete": Words(options={**_NAMES, **_YES, **_PLAN}, arguments=(NAME,)),
        "signer": Words(
            below={
                "add": Words(options={"--key": FILE, **_NAMES, **_PLAN, **_LOOK, **_YES}, arguments=(SIGNER, NAME)),
                "remove": Words(
                    options={
                        **_NAMES,
                        **_BULK_NAMES,
                        "--everywhere": FLAG,
                        "--existing": FLAG,
                        **_PLAN,
                        **_LOOK,
                        **_YES,
                    },
                    arguments=(SIGNER, NAME),
                ),
                "rotate": Words(
                    options={
                        **_NAMES,
                        **_BULK,
                        "--key": KEY_OR_FILE,
                        "--new-key": KEY_OR_FILE,
                        "--replace": KEY_OR_FILE,
                        **_PLAN,
                        **_LOOK,
                        **_YES,
                    },
                    arguments=(SIGNER, NAME),
                ),
                "list": Words(options=_NAMES, arguments=(NAME,)),
            }
        ),
        "key": Words(
            below={
                "generate": Words(
                    options={
                        "--dir": FOLDER,
                        "--algorithm": ALGORITHMS,
                        "--purpose": PURPOSES,
                        "--at": FREE,
                        "--collection": NAME,
                    },
                    arguments=(FREE,),
                ),
                "load": Words(options=_KEY_FILE, arguments=(FILE,)),
                "import": Words(options=_KEY_FILE, arguments=(FILE,)),
                "list": Words(),
                "show": Words(options={"--decrypt": FLAG}, arguments=(KEY_OR_FILE,)),
                "test": Words(arguments=(KEY,)),
                "export": Words(
                    options={"--output": FILE, "-o": FILE, "--public": FLAG, "--plain": FLAG, "--notary": FLAG},
                    arguments=(KEY,),
                ),
                "compromised": Words(
                    options={
                        **_NAMES,
                        "--glob": FREE,
                        "--remove": FLAG,
                        "--keep": IMAGE,
                        "--keep-images": FILE,
                        "--keep-if-signed-by": SIGNER,
                        "--accept-keys": FREE,
                        "--recovery-key": FILE,
                        "--new-recovery-key": FILE,
                        "--jobs": FREE,
                        "--report": FILE,
                        **_YES,
                        **_PLAN,
                    },
                    arguments=(KEY_OR_FILE, NAME),
                ),
                "passwd": Words(arguments=(KEY,)),
                "remove": Words(options=_YES, arguments=(KEY,)),
                "backup": Words(
                    options={"--all": FLAG, "--shares": FREE, "--shares-dir": FOLDER, "--qr": FLAG},
                    arguments=(FILE, KEY),
                ),
                "backup-verify": Words(options={"--share": FILE}, arguments=(FILE,)),
                "restore": Words(options={"--share": FILE, "--name": FREE}, arguments=(FILE, KEY)),
                "rotate": Words(
                    options={
                        **_NAMES,
                        **_BULK,
                        "--key": KEY_OR_FILE,
                        "--new-key": KEY_OR_FILE,
                        "--replace": KEY_OR_FILE,
                        "--recovery-key": FILE,
                        **_PLAN,
                        **_LOOK,
                        **_YES,
                    },
                    arguments=(ROTATABLE, NAME),
                ),
            }
        ),
        "pin": Words(
            options={"--format": FORMATS, "--named": NAME, "--replace": FLAG, "--remove": FLAG, **_YES},
            arguments=(NAME, FREE),
        ),
        "pins": Words(options={"--format": FORMATS, "--as": FORMS}),
        "lock": Words(options={**_IMAGES, "--replace": FLAG, "--remove": FLAG}, arguments=(IMAGE,)),
        "expiring": Words(options={**_NAMES, "--within": FREE, "--all": FLAG, "--ics": FILE}, arguments=(NAME,)),
        "audit": Words(
            options={
                **_NAMES,
                "--all": FLAG,
                "--signer": SIGNER,
                "--key": KEY,
                "--recovery-key": FILE,
                "--csv": FLAG,
            },
            arguments=(NAME,),
        ),
        "renew": Words(
            options={**_NAMES, "--within": FREE, "--all": FLAG, "--due": FLAG, **_PLAN, **_LOOK, **_YES},
            arguments=(NAME,),
        ),
        "collections": Words(arguments=(SERVER,)),
        "login": Words(
            options={
                "--username": FREE,
                "-u": FREE,
                "--password-stdin": FLAG,
                "--token-stdin": FLAG,
                "--token-file": FILE,
                "--oidc": FLAG,
                "--audience": FREE,
            },
            arguments=(SERVER,),
        ),
        "logout": Words(arguments=(SERVER,)),
        "whoami": Words(arguments=(NAME,)),
        "migrate": Words(
            below={
                "from-notary": Words(
                    options={
                        **_NAMES,
                        "--server-keys": FILE,
                        "--no-rotation": FLAG,
                        **_PLAN,
                        "--accept-expired": FREE,
                    },
                    arguments=(FREE, NAME),
                )
            }
        ),
        "plugin": Words(below={"install": _PLUGIN, "uninstall": _PLUGIN}),
        "policy": Words(
            below={
                "check": Words(options={**_IMAGES, "--distributed": FLAG}, arguments=(FILE, IMAGE)),
                "push": Words(options={**_YES, **_PLAN}, arguments=(FILE, IMAGE)),
                "convert": Words(options={"--from": POLICIES}, arguments=(FILE,)),
            }
        ),
        "hook": Words(
            below={
                "admission": Words(
                    options={
                        "--listen": FREE,
                        "--policy": FILE,
                        "--refresh": FREE,
                        "--tls-cert": FILE,
                        "--tls-key": FILE,
                        "--self-signed": FLAG,
                        "--dns-name": FREE,
                        "--tls-client-ca": FILE,
                        "--namespace-policy": FREE,
                        "--mutate-templates": FLAG,
                        "--require-digests": FLAG,
                        "--config": FILE,
                        "--state": FOLDER,
                    }
                ),
                "containerd": Words(options={"--bin-dir": FOLDER, "--config": FILE, "--state": FOLDER}),
                "proxy": Words(
                    options={
                        "--listen": FREE,
                        "--upstream": FREE,
                        "--registry": FREE,
                        "--policy": FILE,
                        "--refresh": FREE,
                        "--tls-cert": FILE,
                        "--tls-key": FILE,
                        "--insecure-http": FLAG,
                        "--blobs": ("stream", "redirect"),
                        "--referrers": FLAG,
                        "--allow-push": FLAG,
                        "--metrics": FREE,
                        "--config": FILE,
                        "--state": FOLDER,
                        "--address": FREE,
                    },
                    arguments=(("config", "docker", "containerd", "podman", "crio"),),
                ),
            },
        ),
        "agent": Words(
            options={
                "--socket": FILE,
                "--socket-mode": FREE,
                "--config": FILE,
                "--state": FOLDER,
                "--refresh": FREE,
                "--metrics": FREE,
            }
        ),
        "scan": Words(
            options={
                "--crictl": FILE,
                "--pods": FILE,
                "--policy": FILE,
                "--offline": FLAG,
                "--max-age": FREE,
                "--csv": FLAG,
            }
        ),
        "explain": Words(options={**_JUDGED, "--at": FREE}, arguments=(IMAGE,)),
        "doctor": Words(arguments=(NAME,), below={"containerd": Words(options={"--config": FILE})}),
        "completion": Words(arguments=(SHELLS,)),
        "demo": Words(),
    },
)
"""The whole program."""

DOCKER_TRUST: Final = Words(
    below={
        "sign": Words(options={"--local": FLAG}, arguments=(IMAGE,)),
        "inspect": Words(options={"--pretty": FLAG}, arguments=(IMAGE,)),
        "revoke": Words(options=_YES, arguments=(IMAGE,)),
        "pull": Words(arguments=(IMAGE,)),
        "key": Words(
            below={
                "generate": Words(options={"--dir": FOLDER}, arguments=(FREE,)),
                "load": Words(options={"--name": FREE}, arguments=(FILE,)),
            }
        ),
        "signer": Words(
            below={
                "add": Words(options={"--key": FILE}, arguments=(SIGNER, NAME)),
                "remove": Words(options={"--force": FLAG, "-f": FLAG}, arguments=(SIGNER, NAME)),
            }
        ),
    }
)
"""What `docker trust` has of it."""
