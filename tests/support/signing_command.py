"""A command that signs, as the protocol of `exec:` keys has it; what it does wrong is said by its second argument.

python -m tests.support.signing_command KEY.pem [FAULT]
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from keys.algorithms import PrivateKey, generate
from keys.material import write_private_pem

TOP: Final = Path(__file__).resolve().parents[2]
_PSS: Final = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=32)


def command_for(private: PrivateKey, folder: Path, fault: str = "") -> str:
    """Put a program for a key into a folder; return the URI by which it is used."""
    key, program = folder / "held.pem", folder / "sign it"
    key.write_bytes(write_private_pem(private, None))
    key.chmod(0o600)
    words = [sys.executable, "-m", "tests.support.signing_command"]
    program.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(TOP))} exec {shlex.join(words)} "$@"\n')
    program.chmod(0o700)
    arguments = [str(key), *([fault] if fault else [])]
    return f"exec:{quote(str(program))}?{'&'.join(f'arg={quote(each)}' for each in arguments)}"


def _answer(private: Any, request: dict[str, Any]) -> dict[str, object]:
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    if request["operation"] == "public":
        return {"version": 1, "public": public}
    payload = base64.b64decode(request["payload"])
    how = {
        "ecdsa-sha256": lambda: private.sign(payload, ECDSA(SHA256())),
        "ecdsa-sha384": lambda: private.sign(payload, ECDSA(SHA384())),
        "ed25519": lambda: private.sign(payload),
        "rsa-pss-sha256": lambda: private.sign(payload, _PSS, SHA256()),
        "rsa-pkcs1v15-sha256": lambda: private.sign(payload, padding.PKCS1v15(), SHA256()),
    }
    return {"version": 1, "signature": base64.b64encode(how[request["scheme"]]()).decode()}


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _fail(text: str) -> None:
    _say(text)
    sys.exit(3)


def _say_for_ever() -> None:
    while True:
        _say("x" * 65536)


def main() -> None:
    """Answer one request."""
    key, fault = sys.argv[1], (*sys.argv[2:], "")[0]
    private: Any = load_pem_private_key(Path(key).read_bytes(), None)
    request = json.loads(sys.stdin.read())
    assert request["version"] == 1
    faults: dict[str, Callable[[], object]] = {
        "status": lambda: sys.exit(3),
        "status and reason": lambda: _fail('{"error": "no \\u001b device"}'),
        "status and answer": lambda: _fail('{"version": 1}'),
        "status and list": lambda: _fail('["error"]'),
        "signal": lambda: os.kill(os.getpid(), 9),
        "no json": lambda: _say("Traceback"),
        "a list": lambda: _say("[]"),
        "version": lambda: _say('{"version": 2, "public": "x"}'),
        "error": lambda: _say('{"version": 1, "error": "touch it"}'),
        "nothing": lambda: _say('{"version": 1}'),
        "no text": lambda: _say('{"version": 1, "public": 7, "signature": 7}'),
        "no pem": lambda: _say('{"version": 1, "public": "x", "signature": "?"}'),
        "endless": _say_for_ever,
        "secrets": lambda: _say(
            json.dumps({"version": 1, "error": sorted(n for n in os.environ if n.startswith(("TRUST_", "OTHER")))})
        ),
    }
    if fault in faults:
        faults[fault]()
    elif fault == "another key":
        _say(json.dumps(_answer(generate(), request)))
    else:
        _say(json.dumps(_answer(private, request)))
    sys.stderr.write("touch the device\n")


if __name__ == "__main__":
    main()
