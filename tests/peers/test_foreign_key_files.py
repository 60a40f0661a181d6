"""Keys that other programs have made, in their own forms: each option names what it is, and how it is converted.

The command of the `next:` line is run, and what it makes is taken.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from keys.material import write_private_pem
from tests.support.foreign_keys import FOREIGN, KEY, PASSPHRASE, Foreign
from tests.support.programs import program
from tests.support.server_process import ServerProcess
from tests.support.trust_program import SECRETS, TrustUser

_NEXT = re.compile(r"^  next: (.*)$", re.MULTILINE)


@pytest.fixture
def person(tmp_path: Path, trust_server: ServerProcess) -> TrustUser:
    """Somebody whose keys all have one passphrase."""
    return TrustUser(tmp_path / "person", trust_server.url, environ=dict.fromkeys(SECRETS, PASSPHRASE))


@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=list(FOREIGN))
def test_every_option_says_what_a_file_is(person: TrustUser, collection: str, foreign: Foreign) -> None:
    file = person.folder / "odd.file"
    file.write_bytes(foreign.data)
    file.chmod(0o600)
    sealed = "sealed by trust" if foreign is FOREIGN["sealed by trust"] else ""
    command = foreign.commands.get("private key", "").replace("FILE", "odd.file")
    for words in (("key", "import"), ("key", "load")):
        ran = person.run(*words, "odd.file", expect=8)
        ran.said("it is a file of a key store of trust" if sealed else foreign.kind)
        assert (f"  next: {command}" in ran.stderr) if command else bool(sealed) is ("next:" in ran.stderr)
    ran = person.run("signer", "add", "--key", "odd.file", "alice", collection, expect=8)
    ran.said("odd.file holds a private key, and a public key is wanted" if foreign.is_private else foreign.kind)
    command = foreign.commands.get("public key", "").replace("FILE", "odd.file")
    assert foreign.is_private or (f"  next: {command}" in ran.stderr if command else "next:" not in ran.stderr)
    person.run("init", collection, "--root-key", "odd.file", "--no-recovery-key", expect=None).said(
        "no private key 'odd.file' in the key store", "a key in a file is brought by trust key import FILE"
    )
    if not sealed:
        ran = person.run("init", collection, "--recovery-key", "odd.file", expect=8)
        ran.said(foreign.kind)


def test_a_key_of_another_store_is_copied(person: TrustUser) -> None:
    (person.folder / "odd.file").write_bytes(FOREIGN["sealed by trust"].data)
    found = _NEXT.search(person.run("key", "import", "odd.file", expect=8).stderr)
    assert found is not None
    converted(found[1], person.folder)
    (row,) = person.run("--json", "key", "list").document()["keys"]
    assert row["purpose"] == "root"
    person.run("key", "import", "odd.file").said("is in the key store already: nothing to do")
    person.run("key", "export", row["keyid"], "--output", "out.pem", TRUST_ROOT_PASSPHRASE=PASSPHRASE)


def test_a_recovery_key_stays_in_its_file(person: TrustUser, collection: str) -> None:
    person.run("init", collection, "--recovery-key", "recovery.key")
    ran = person.run("key", "import", "recovery.key", expect=8)
    ran.said("it is a recovery key, which stays in its file: --recovery-key names it")
    assert "next:" not in ran.stderr


def converted(command: str, folder: Path, answers: str = "") -> None:
    """Run the command of a `next:` line in a shell, without a terminal."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        input=answers,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


@dataclass(frozen=True, kw_only=True)
class Real:
    """A key file that a program has made. `answers`: to each command that converts it."""

    make: Callable[[Path], None]
    programs: tuple[str, ...]
    answers: tuple[str, ...] = ()


def run(folder: Path, *command: str) -> None:
    subprocess.run([program(command[0]), *command[1:]], cwd=folder, check=True, capture_output=True, timeout=60)


def ssh_keygen(kind: str, passphrase: str) -> Callable[[Path], None]:
    return lambda folder: run(folder, "ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", "odd.file")


def puttygen(folder: Path) -> None:
    ssh_keygen("ecdsa", "")(folder)
    (folder / "odd.file").rename(folder / "ssh")
    run(folder, "puttygen", "ssh", "-O", "private", "-o", "odd.file")


def keytool(folder: Path) -> None:
    key = ("-genkeypair", "-alias", "a", "-keyalg", "EC", "-groupname", "secp256r1", "-dname", "CN=a")
    store = ("-keystore", "odd.file", "-storetype", "JKS", "-storepass", PASSPHRASE, "-keypass", PASSPHRASE)
    run(folder, "keytool", *key, *store)


def openssl(*command: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "plain.pem").write_bytes(write_private_pem(KEY, None))
        run(folder, "openssl", "req", "-x509", "-key", "plain.pem", "-subj", "/CN=a", "-days", "3", "-out", "cert.pem")
        run(folder, "openssl", *command, "-out", "odd.file")

    return make


P = f"{PASSPHRASE}\n"
PRIVATE = {
    "PKCS#12": Real(
        make=openssl("pkcs12", "-export", "-inkey", "plain.pem", "-in", "cert.pem", "-passout", f"pass:{PASSPHRASE}"),
        programs=("openssl",),
        answers=(P * 3,),
    ),
    "DER": Real(make=openssl("pkey", "-in", "plain.pem", "-outform", "DER"), programs=("openssl",), answers=(P * 2,)),
    "encrypted DER": Real(
        make=openssl("pkcs8", "-topk8", "-in", "plain.pem", "-outform", "DER", "-passout", f"pass:{PASSPHRASE}"),
        programs=("openssl",),
        answers=(P * 3,),
    ),
    "OpenSSH": Real(make=ssh_keygen("ecdsa", ""), programs=("ssh-keygen",), answers=("", P * 2)),
    "OpenSSH with a passphrase": Real(
        make=ssh_keygen("rsa", PASSPHRASE), programs=("ssh-keygen",), answers=("", P * 3)
    ),
    "PuTTY": Real(make=puttygen, programs=("ssh-keygen", "puttygen")),
    "JKS": Real(make=keytool, programs=("keytool", "openssl"), answers=(P * 3, P * 3)),
}
PUBLIC = {
    "PKCS#12": PRIVATE["PKCS#12"],
    "a certificate in DER": Real(make=openssl("x509", "-in", "cert.pem", "-outform", "DER"), programs=("openssl",)),
    "a public key in DER": Real(
        make=openssl("pkey", "-in", "plain.pem", "-pubout", "-outform", "DER"), programs=("openssl",)
    ),
    "PKCS#7": Real(make=openssl("crl2pkcs7", "-nocrl", "-certfile", "cert.pem"), programs=("openssl",)),
    "a request": Real(make=openssl("req", "-new", "-key", "plain.pem", "-subj", "/CN=a"), programs=("openssl",)),
    "SSH": Real(make=ssh_keygen("ecdsa", ""), programs=("ssh-keygen",)),
}


@pytest.mark.parametrize("real", PRIVATE.values(), ids=list(PRIVATE))
def test_the_command_makes_a_key_that_is_imported(person: TrustUser, real: Real) -> None:
    for name in real.programs:
        program(name)
    real.make(person.folder)
    found = _NEXT.search(person.run("key", "import", "odd.file", expect=8).stderr)
    assert found is not None
    for command, answers in zip(found[1].split(" && "), real.answers or ("",), strict=True):
        converted(command, person.folder, answers)
    person.run("key", "import", "KEY.pem")
    assert len(person.run("--json", "key", "list").document()["keys"]) == 1


@pytest.mark.parametrize("real", PUBLIC.values(), ids=list(PUBLIC))
def test_the_command_makes_a_public_key_that_is_added(person: TrustUser, collection: str, real: Real) -> None:
    for name in real.programs:
        program(name)
    real.make(person.folder)
    if (person.folder / "odd.file.pub").exists():
        shutil.move(person.folder / "odd.file.pub", person.folder / "odd.file")
    adding = ("signer", "add", "alice", collection, "--key")
    found = _NEXT.search(person.run(*adding, "odd.file", expect=8).stderr)
    assert found is not None
    converted(found[1], person.folder, real.answers[0] if real.answers else "")
    (made,) = (name for name in ("KEY.pem", "CERT.pem") if (person.folder / name).exists())
    person.run("init", collection, "--no-recovery-key")
    person.run(*adding, made)
