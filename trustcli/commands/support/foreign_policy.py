"""Read the policies of others: Connaisseur's, Portieris', containers-policy.json and `notary`'s pins, each as JSON.

What comes out never allows more than what went in (docs/reference/policy.md). Where they accept anything, or signatures
of another kind, no rule of ours does; a pattern that cannot be written as ours is refused, since without its rule a
wider one would decide.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from trustcli.client.policy_file import MAX_POLICY_FILE
from trustcli.guarded_files import read_guarded
from trustdata import bounded_json
from trustdata.collection_patterns import PATTERN_RULE, is_pattern, meant_pattern
from trustdata.digest import is_digest
from trustdata.errors import InvalidName, PolicyMalformed, shown
from trustdata.policy import read_policy
from trustdata.policy.tag_patterns import is_tag_pattern
from trustdata.roles import signer_role
from trustdata.suggestion import one_of

_Rule = dict[str, Any]
_ANY: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A policy of ours as TOML, and in sentences what it does not have of theirs."""

    text: str
    losses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """Rules of ours, what they do not have, and the certification authorities that they name."""

    rules: list[_Rule]
    losses: list[str]
    authorities: list[_Rule] = field(default_factory=list)


def read_foreign_policy(file: Path, form: str) -> Converted:
    """Return what a policy of another program says, as far as ours can. `form`: one of FORMS.

    Raises: PolicyMalformed, also for what cannot be left out without allowing more; FileExposed.
    """
    source = str(file)
    try:
        document = bounded_json.loads(read_guarded(file, limit=MAX_POLICY_FILE))
    except OSError as error:
        raise PolicyMalformed(source=source, path="", reason=error.strerror or type(error).__name__) from error
    except (ValueError, RecursionError) as error:
        reason = f"is not JSON ({error}); YAML becomes JSON by: yq -o json FILE"
        raise PolicyMalformed(source=source, path="", reason=reason) from error
    found = FORMS[form](_Reader(source), document)
    text = "".join(f"{_toml('ca', authority)}\n" for authority in found.authorities)
    text += "".join(f"{_toml('rule', rule)}\n" for rule in found.rules)
    import tomllib  # rare: start-up time

    try:
        read_policy(tomllib.loads(text), source=source)  # what cannot be read again is not printed
    except PolicyMalformed as error:
        reason = f"would become a policy that cannot be used, at {error.path}: {error.reason}"
        raise PolicyMalformed(source=source, path="", reason=reason) from error
    return Converted(text=text or "# no rule: every image is refused\n", losses=tuple(found.losses))


def _toml(kind: str, table: _Rule) -> str:
    # What JSON writes as it is, and TOML does not: DEL.
    texts = ((key, json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")) for key, value in table.items())
    lines = [f"{key} = {text}" for key, text in texts]
    return "\n".join([f"[[{kind}]]", *lines, ""])


class _Reader:
    """Reads members of a document, and names the place of what is not as expected."""

    def __init__(self, source: str) -> None:
        self._source = source

    def beside(self, path: str) -> Path:
        """Return the place of a file that the document names: beside it, if its path is not absolute."""
        return Path(self._source).parent / path

    def refusal(self, path: str, reason: str) -> PolicyMalformed:
        return PolicyMalformed(source=self._source, path=path, reason=reason)

    def mapping(self, value: object, path: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self.refusal(path, "is missing" if value is None else "must be an object")
        return value

    def array(self, value: object, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise self.refusal(path, "is missing" if value is None else "must be an array")
        return value

    def text(self, value: object, path: str) -> str:
        if not isinstance(value, str) or not value:
            raise self.refusal(path, "is missing" if value is None else "must be a text")
        return value

    def pattern(self, text: str, path: str) -> str:
        if not is_pattern(text):
            reason = f"'{shown(text, 60)}' is no pattern of ours, and to leave it out could allow more"
            raise self.refusal(path, f"{reason}: it {PATTERN_RULE}{meant_pattern(text)}")
        return text


# --- containers-policy.json


def _containers(read: _Reader, document: object) -> _Found:
    """Convert a containers-policy.json, whose signatures are of other kinds: of it, only what it rejects is left."""
    policy = read.mapping(document, "")
    found = _Found([], [])
    _scope(read, found, "*", policy.get("default"), "default")
    transports = read.mapping(policy.get("transports", {}), "transports")
    for transport, scopes in transports.items():
        if transport != "docker":
            found.losses.append(f"transport {transport} is left out: nothing of it comes from a registry")
            continue
        for scope, requirements in read.mapping(scopes, "transports.docker").items():
            _scope(read, found, scope or "*", requirements, f"transports.docker.{scope}")
    return found


def _scope(read: _Reader, found: _Found, scope: str, requirements: object, path: str) -> None:
    kinds = [read.text(read.mapping(each, path).get("type"), f"{path}.type") for each in read.array(requirements, path)]
    if not kinds:
        raise read.refusal(path, "must not be empty")
    if "reject" not in kinds:
        losses = {"insecureAcceptAnything": "an exemption needs a reason and an end"}
        why = losses.get(kinds[0], "such signatures are not ours; pin the name, and require signers")
        found.losses.append(f"{scope}: {kinds[0]} has no rule here, so it is refused: {why}")
        return
    rules = list(_scope_rules(scope))
    if not rules:
        found.losses.append(f"{scope}: is rejected, and is no name of ours; nothing here allows it")
    found.rules.extend(rules)


def _scope_rules(scope: str) -> Iterator[_Rule]:
    """Yield rules that deny a scope: a repository and all below it, one tag, one digest, or a host."""
    name, at, digest = scope.partition("@")
    path, colon, tag = name.rpartition(":")
    if at and is_pattern(name) and is_digest(digest):
        yield {"match": name, "digests": [digest], "mode": "deny"}
    elif colon and "/" not in tag and is_pattern(path) and is_tag_pattern(tag):
        yield {"match": path, "tags": [tag], "mode": "deny"}
    else:
        patterns = [scope] if scope == _ANY else [scope, f"{scope}/*"]
        named = (each for each in patterns if is_pattern(each) and (each == _ANY or "/" in each))
        yield from ({"match": pattern, "mode": "deny"} for pattern in named)


# --- Portieris


def _portieris(read: _Reader, document: object) -> _Found:
    """Convert one ImagePolicy or ClusterImagePolicy, as `kubectl get ... -o json` prints it."""
    policies = [policy for policy in _objects(read, document) if str(policy.get("kind", "")).endswith("ImagePolicy")]
    if len(policies) != 1:
        many = f"holds {len(policies)} image policies; convert them one by one, each has its own scope"
        raise read.refusal("", many if policies else "holds no ImagePolicy and no ClusterImagePolicy")
    spec = read.mapping(policies[0].get("spec"), "spec")
    found = _Found([], [])
    for index, repository in enumerate(read.array(spec.get("repositories"), "spec.repositories")):
        path = f"spec.repositories[{index}]"
        entry = read.mapping(repository, path)
        name = read.text(entry.get("name"), f"{path}.name")
        policy = read.mapping(entry.get("policy") or {}, f"{path}.policy")
        trust = read.mapping(policy.get("trust") or {}, f"{path}.policy.trust")
        others = [each for each in ("simple", "vulnerability") if policy.get(each)]
        if trust.get("enabled") is not True and not others:
            found.losses.append(
                f"{name}: accepts anything, and has no rule here: an exemption needs a reason and an end"
            )
            continue
        match = read.pattern(name, f"{path}.name")
        signers = read.array(trust.get("signerSecrets") or [], f"{path}.policy.trust.signerSecrets")
        missing = [*others, *(["signerSecrets, whose keys no rule names"] if signers else [])]
        if missing:
            found.losses.append(f"{name}: is denied here, since {' and '.join(missing)} cannot be expressed")
            found.rules.append({"match": match, "mode": "deny"})
            continue
        server = trust.get("trustServer")
        found.rules.append(
            {"match": match, **({"server": _url(read.text(server, f"{path}.policy.trust"))} if server else {})}
        )
    found.losses.append("names must be pinned (trust pin): Portieris believes the first root that it sees")
    return found


def _objects(read: _Reader, document: object) -> list[Mapping[str, Any]]:
    top = read.mapping(document, "")
    items = read.array(top["items"], "items") if "items" in top else [top]
    return [read.mapping(item, f"items[{index}]") for index, item in enumerate(items)]


# --- Connaisseur


def _connaisseur(read: _Reader, document: object) -> _Found:
    """Convert the configuration of Connaisseur: its validators and policy, also below `application` (Helm's values)."""
    top = read.mapping(document, "")
    top = read.mapping(top.get("application", top), "application")
    validators = {}
    for index, each in enumerate(read.array(top.get("validators"), "validators")):
        validator = read.mapping(each, f"validators[{index}]")
        validators[read.text(validator.get("name"), f"validators[{index}].name")] = validator
    found = _Found([], [])
    for index, each in enumerate(read.array(top.get("policy"), "policy")):
        path = f"policy[{index}]"
        entry = read.mapping(each, path)
        pattern = read.text(entry.get("pattern"), f"{path}.pattern")
        name = entry.get("validator", "default")
        if name not in validators:
            meant = one_of(str(name), validators) if validators else ""
            raise read.refusal(f"{path}.validator", f"'{shown(str(name))}' is no validator of this file{meant}")
        terms = read.mapping(entry.get("with") or {}, f"{path}.with")
        _pattern(read, found, pattern, validators[name], terms, path)
    found.losses.append("a digest without a tag is refused; after a rotation of root keys the new ones count")
    return found


def _pattern(
    read: _Reader, found: _Found, pattern: str, validator: Mapping[str, Any], terms: Mapping[str, Any], path: str
) -> None:
    kind = validator.get("type")
    if kind == "static" and (terms.get("approve", validator.get("approve"))) is True:
        found.losses.append(
            f"{pattern}: accepts anything, and has no rule here: an exemption needs a reason and an end"
        )
        return
    about = _about(read, pattern, f"{path}.pattern")
    rule: _Rule = {"mode": "deny"}
    if kind != "static":
        try:
            rule = _verifying(read, validator, terms, path)
        except (ValueError, InvalidName) as error:
            found.losses.append(f"{pattern}: is denied here: {error}")
    found.rules.append({**about, **rule})


def _about(read: _Reader, pattern: str, path: str) -> _Rule:
    """Return the names and tags of a pattern, which is one of names with tags: no digest without a tag matches it."""
    name, colon, tag = pattern.rpartition(":")
    if not colon or "/" in tag:
        name, tag = pattern, _ANY
    if not is_tag_pattern(tag):
        raise read.refusal(path, f"'{shown(tag)}' is no pattern of tags, and to leave it out could allow more")
    return {"match": read.pattern(name, path), "tags": [tag]}


def _verifying(read: _Reader, validator: Mapping[str, Any], terms: Mapping[str, Any], path: str) -> _Rule:
    """Return what a validator requires. Raises: PolicyMalformed; ValueError, InvalidName: it cannot be expressed."""
    if validator.get("type") != "notaryv1":
        raise ValueError(f"validators of type {validator.get('type')} are of other signatures")
    if unknown := set(terms) - {"trustRoot", "trust_root", "delegations"}:
        raise ValueError(f"with {', '.join(sorted(unknown))} cannot be expressed")
    named = [terms[key] for key in ("trustRoot", "trust_root") if key in terms] or ["default"]
    wanted = named[0]
    roots = read.array(validator.get("trustRoots", validator.get("trust_roots")), "validators.trustRoots")
    keys = [root.get("key") for root in roots if isinstance(root, dict) and root.get("name") == wanted]
    if len(keys) != 1 or named[-1] != wanted:
        raise ValueError(f"trust root {' or '.join(map(str, named))} is not one key")
    host = read.text(validator.get("host"), "validators.host")
    rule: _Rule = {"pins": [f"key:{_keyid(str(keys[0]))}"], "server": _url(host)}
    delegations = terms.get("delegations")
    if not delegations:
        return rule | {"released": "releases"}
    names = [
        read.text(name, f"{path}.with.delegations").removeprefix("targets/")
        for name in read.array(delegations, f"{path}.with.delegations")
    ]
    for name in names:
        signer_role(name)
    return rule | {"signers": list(dict.fromkeys(names)), "released": False}


# --- notary


def _notary(read: _Reader, document: object) -> _Found:
    """Convert the settings of the `notary` client: the certificates and CAs that it pins (`trust_pinning`).

    It looks for the name in `certs`, then for the longest beginning there, then for the longest one in `ca`, each the
    beginning of any text.
    """
    top = read.mapping(document, "")
    pinning = read.mapping(top.get("trust_pinning"), "trust_pinning")
    url = read.mapping(top.get("remote_server") or {}, "remote_server").get("url")
    server = {"server": _url(read.text(url, "remote_server.url"))} if url else {}
    found = _Found([], [])
    certs = read.mapping(pinning.get("certs") or {}, "trust_pinning.certs")
    for name, ids in certs.items():
        path = f"trust_pinning.certs.{name}"
        match, pinned = read.pattern(name, path), [read.text(each, path) for each in read.array(ids, path)]
        if len(pinned) == 1:
            found.rules.append({"match": match, "pins": [f"key:{pinned[0]}"], **server})
        else:
            found.losses.append(f"{name}: is denied here: pins of which any may hold cannot be expressed")
            found.rules.append({"match": match, "mode": "deny"})
    beginnings = read.mapping(pinning.get("ca") or {}, "trust_pinning.ca")
    for beginning, file in beginnings.items():
        path = f"trust_pinning.ca.{beginning}"
        if any(beginning.startswith(name[:-1]) for name in certs if name.endswith(_ANY)):
            found.losses.append(f"{beginning}: its CA is left out: certificates are pinned for all of its names")
            continue
        patterns = _patterns_of(read, beginning, list(beginnings), path)
        name = f"ca-{len(found.authorities) + 1}"
        certificates = _certificates(read, read.text(file, path), path)
        found.authorities.append({"name": name, "certificates": certificates})
        found.rules.extend({"match": pattern, "pins": [f"ca:{name}"], **server} for pattern in patterns)
    if pinning.get("disable_tofu") is not True:
        found.losses.append("names without a pin are refused: notary believes the first root that it sees of them")
    if certs:
        found.losses.append("a certificate must have signed root version 1; after a rotation of it the new ones count")
    if found.authorities:
        found.losses.append(
            "a CA must vouch each time, and not only for the first root; certificates for code signing do"
        )
    return found


def _patterns_of(read: _Reader, beginning: str, others: Sequence[str], path: str) -> list[str]:
    """Return our patterns for the names with a beginning, which may end within a word.

    Raises: PolicyMalformed if names that are left out would fall under another one of the beginnings (`others`).
    """
    if beginning.endswith("/"):
        return [read.pattern(f"{beginning}*", path)]
    if any(beginning.startswith(other) and beginning != other for other in others):
        reason = f"'{shown(beginning, 60)}' is the beginning of other names, too, of which something else is said"
        raise read.refusal(path, f"{reason}; write {shown(beginning, 60)}/ if names below it are meant")
    below = read.pattern(f"{beginning}/*", path)
    return [beginning, below] if is_pattern(beginning) else [below]


def _certificates(read: _Reader, file: str, path: str) -> str:
    """Return the CAs in a file, as a policy of ours may hold them. Raises: PolicyMalformed, FileExposed."""
    from keys.authorities import NotCertified, read_authorities

    try:
        text = read_guarded(read.beside(file), limit=MAX_POLICY_FILE).decode()
        read_authorities(text)
    except OSError as error:
        raise read.refusal(path, f"{shown(file)} cannot be read: {error.strerror or type(error).__name__}") from error
    except (ValueError, NotCertified) as error:
        raise read.refusal(path, f"{shown(file)} holds CAs that cannot be pinned: {shown(str(error))}") from error
    return text


def _url(host: str) -> str:
    return host if "://" in host else f"https://{host}"


def _keyid(pem: str) -> str:
    """Return the id that Notary v1 gives to a root key. Raises: ValueError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    from keys.errors import KeyNotAccepted
    from keys.notary import bare_key

    try:
        return str(bare_key(load_pem_public_key(pem.encode())).keyid)  # type: ignore[arg-type]
    except (ValueError, UnsupportedAlgorithm, KeyNotAccepted) as error:
        raise ValueError("its trust root is no public key that can be read") from error


FORMS: Final[Mapping[str, Callable[[_Reader, object], _Found]]] = {
    "connaisseur": _connaisseur,
    "portieris": _portieris,
    "containers": _containers,
    "notary": _notary,
}
"""The forms that are read."""
