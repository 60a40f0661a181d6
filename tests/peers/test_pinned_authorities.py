"""The same chains of certificates, asked of `notary` with `trust_pinning.ca` and of us with a pin by CA."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.handmade import HandCollection, target
from tests.support.issuers import CA, LEAF, Form, Issuer, chain, pem_of
from tests.support.notary_client import NotaryUser, digest_of
from tests.support.notary_keys import HandKey, new_ecdsa
from tests.support.trust_program import TrustUser
from tests.support.trust_servers import PeerServer, our_server

REFUSED = "could not validate the path to a trusted root"
CODE, SERVER = ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.SERVER_AUTH
EMAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
LIMITS = x509.NameConstraints([x509.DNSName("example.com")], None)
TOP, SHORT = Issuer.root("Corp Root"), Issuer.root("Short Root", replace(CA, longest=0))


class CertifiedKey(HandKey):
    """A root key that brings the certificates of a chain, its own first."""

    def __init__(self, key: HandKey, certificates: list[x509.Certificate]) -> None:
        super().__init__(key.private, key.name)
        self.__dict__["certificate"] = pem_of(*certificates).encode()


@dataclass(frozen=True, kw_only=True)
class Case:
    """`make`: the certificates of a key. `pinned`: the authorities. `notary`, `ours`: whether the tag is trusted."""

    make: Callable[[HandKey], list[x509.Certificate]]
    pinned: tuple[Issuer, ...] = (TOP,)
    notary: bool
    ours: bool


def _below(*issuers: Issuer, form: Form = LEAF, name: str = "") -> Callable[[HandKey], list[x509.Certificate]]:
    def made(key: HandKey) -> list[x509.Certificate]:
        return [issuers[0].issue(name or key.name, key.private, form), *(each.certificate for each in issuers[:-1])]

    return made


def _mid(form: Form = CA, top: Issuer = TOP) -> Issuer:
    return top.below("Corp Intermediate", form)


LONG = chain(4, TOP)
CASES = {
    "directly": Case(make=_below(TOP), notary=True, ours=True),
    "one between": Case(make=_below(_mid(), TOP), notary=True, ours=True),
    "four between": Case(make=_below(*LONG, TOP), notary=True, ours=True),
    "in another order": Case(
        make=lambda key: [LONG[0].issue(key.name, key.private), *(each.certificate for each in reversed(LONG))],
        notary=True,
        ours=True,
    ),
    "one of several": Case(make=_below(TOP), pinned=(SHORT, TOP), notary=True, ours=True),
    "the one between is pinned": Case(make=_below(_mid(), TOP), pinned=(_mid(),), notary=True, ours=True),
    "for servers": Case(make=_below(TOP, form=replace(LEAF, uses=(SERVER,))), notary=True, ours=True),
    "another authority": Case(make=_below(SHORT), notary=False, ours=False),
    "the one between is missing": Case(
        make=lambda key: [_mid().issue(key.name, key.private)], notary=False, ours=False
    ),
    "no authority between": Case(make=_below(_mid(LEAF), TOP), notary=False, ours=False),
    "not for certificates": Case(
        make=_below(_mid(replace(CA, usage=("digital_signature",))), TOP), notary=False, ours=False
    ),
    "longer than allowed": Case(make=_below(_mid(top=SHORT), SHORT), pinned=(SHORT,), notary=False, ours=False),
    "for e-mail": Case(make=_below(TOP, form=replace(LEAF, uses=(EMAIL,))), notary=False, ours=False),
    "what nobody understands": Case(
        make=_below(TOP, form=replace(LEAF, more=((UNKNOWN, True),))), notary=False, ours=False
    ),
    # Go asks for a server's certificate unless it is told otherwise, and `notary` does not tell it.
    "for signing code": Case(make=_below(TOP, form=replace(LEAF, uses=(CODE,))), notary=False, ours=True),
    # What we refuse beyond `notary`.
    "names are limited": Case(make=_below(_mid(replace(CA, more=((LIMITS, True),))), TOP), notary=True, ours=False),
    "not for signatures": Case(
        make=_below(TOP, form=replace(LEAF, usage=("key_encipherment",))), notary=True, ours=False
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeerServer]:
    with our_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@dataclass
class Readers:
    """Somebody with `notary` and somebody with `trust`, who both pin the authorities of one collection."""

    server: PeerServer
    folder: Path
    gun: str
    pinned: tuple[Issuer, ...]
    notary: NotaryUser = field(init=False)
    trust: TrustUser = field(init=False)

    def __post_init__(self) -> None:
        self.notary = NotaryUser(self.folder / "notary", self.server)
        self.trust = TrustUser(self.folder / "trust", self.server.url, environ={"TRUST_CACERT": str(self.server.ca)})
        pem = "".join(each.pem for each in self.pinned)
        bundle = self.folder / "corp.pem"
        bundle.write_text(pem)
        pinning = {"ca": {self.gun: str(bundle)}, "disable_tofu": True}
        (self.folder / "pinning.json").write_text(json.dumps({"trust_pinning": pinning}))
        ca = f'[[ca]]\nname = "corp"\ncertificates = """\n{pem}"""\n'
        (self.folder / "policy.toml").write_text(f'{ca}[[rule]]\nmatch = "{self.gun}"\npins = ["ca:corp"]\n')

    def verdicts(self) -> tuple[bool, bool]:
        """Whether the tag is trusted: by `notary`, and by us."""
        status, said = self.notary.ended("-c", str(self.folder / "pinning.json"), "lookup", self.gun, "1.0")
        assert status == 0 or REFUSED in said, said
        policy, image = str(self.folder / "policy.toml"), f"{self.gun}@sha256:{digest_of('1.0')}"
        ran = self.trust.run("--json", "verify", "--policy", policy, image, expect=None)
        (verdict,) = ran.document()["images"]
        assert ran.status == 0 or verdict["error"]["code"] == "root-not-certified", ran
        return status == 0, ran.status == 0


def published(server: PeerServer, gun: str, make: Callable[[HandKey], list[x509.Certificate]]) -> HandCollection:
    key = new_ecdsa(gun)
    hand = HandCollection(server, gun, roots=[CertifiedKey(key, make(key))], targets={"1.0": target(digest_of("1.0"))})
    hand.publish()
    return hand


SHORTLY = {"one between", "another authority", "for signing code"}
"""The others prove the table again, which the tests of our rules have, too."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SHORTLY else pytest.mark.long) for name in CASES]
)
def test_verdicts(server: PeerServer, tmp_path: Path, name: str) -> None:
    case, gun = CASES[name], f"registry.example.com/pinned/{name.replace(' ', '-')}"
    published(server, gun, case.make)
    assert Readers(server, tmp_path, gun, case.pinned).verdicts() == (case.notary, case.ours)


@pytest.mark.long
def test_a_certificate_for_many_names(server: PeerServer, tmp_path: Path) -> None:
    """`notary` takes it; here the files of any other collection that it fits would pass for this one."""
    gun = "registry.example.com/pinned/wildcard"
    published(server, gun, _below(TOP, name="registry.example.com/pinned/*"))
    assert Readers(server, tmp_path, gun, (TOP,)).verdicts() == (True, False)


def test_rotations_out_of_the_authority_and_under_it(server: PeerServer, tmp_path: Path) -> None:
    """The newest root counts, at each look. `notary` asks for the pin only as long as it has no root in its cache."""
    gun = "registry.example.com/pinned/rotated"
    hand = published(server, gun, lambda key: [x509.load_pem_x509_certificate(key.certificate)])
    there = Readers(server, tmp_path / "there", gun, (TOP,))
    assert there.verdicts() == (False, False)
    for version, make, trusted in ((2, _below(TOP), True), (3, None, False), (4, _below(TOP), True)):
        old, key = hand.roots, new_ecdsa(gun)
        hand.roots = [key if make is None else CertifiedKey(key, make(key))]
        hand.version = version
        root = hand.root(version=version, signers=[*old, *hand.roots])
        hand.publish(hand.with_snapshot({"root": root, "targets": hand.targets_file()}))
        fresh = Readers(server, tmp_path / f"fresh-{version}", gun, (TOP,))
        assert fresh.verdicts() == (trusted, trusted)
        assert there.verdicts() == (True, trusted)
