"""Two examples for each command, which its help shows. A test reads each of them with the command's own parser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_APP: Final = "registry.example.com/team/app"

EXAMPLES: Final[Mapping[str, tuple[str, str]]] = {
    "init": (
        f"trust init {_APP} --recovery-key /media/stick/recovery.key",
        "trust init --names repositories.txt --template team.toml",
    ),
    "sign": (
        f"trust sign {_APP}:1.0@sha256:{'ab' * 32}",
        f"trust sign --images images.txt --key ci.key --pin sha256:{'ab' * 32}",
    ),
    "verify": (f"trust verify {_APP}:1.0", f"trust verify {_APP}:1.0 --signer alice --signer bob"),
    "pull": (f"trust pull {_APP}:1.0", f"trust pull {_APP}:1.0 {_APP}:1.1"),
    "inspect": (f"trust inspect --pretty {_APP}", f"trust inspect {_APP}:1.0"),
    "revoke": (f"trust revoke {_APP}:1.0", "trust revoke --signer alice --all --plan"),
    "deny": (
        f"trust deny {_APP}@sha256:{'ab' * 32} --reason 'CVE-2026-1234'",
        f"trust deny --list {_APP}",
    ),
    "prune": (f"trust prune {_APP} --plan", "trust prune --names repositories.txt --yes"),
    "delete": (f"trust delete {_APP} --plan", "trust delete --names repositories.txt --yes"),
    "signer add": (
        f"trust signer add --key alice.pub alice {_APP}",
        "trust signer add --key alice.pub alice --names repositories.txt --plan",
    ),
    "signer remove": (f"trust signer remove alice {_APP}", "trust signer remove alice --everywhere --plan"),
    "signer rotate": (
        f"trust signer rotate alice {_APP} --new-key alice-2.pub",
        "trust signer rotate alice --all-with alice --plan",
    ),
    "signer list": (f"trust signer list {_APP}", "trust signer list --names repositories.txt"),
    "key generate": ("trust key generate alice", "trust key generate alice --algorithm ed25519 --dir keys"),
    "key import": (
        "trust key import ~/.docker/trust",
        f"trust key import repo.key --purpose targets --collection {_APP}",
    ),
    "key load": ("trust key load alice.key --name alice", "trust key load root.key --purpose root"),
    "key list": ("trust key list", "trust --json key list"),
    "key compromised": (
        "trust key compromised alice",
        "trust key compromised stolen.pub --glob 'registry.example.com/*'",
    ),
    "key show": ("trust key show alice.pub", "trust key show --decrypt old.key"),
    "key test": ("trust key test alice", "trust key test root 0123456789ab"),
    "key export": ("trust key export alice -o alice.key", "trust key export alice --public -o alice.pub"),
    "key passwd": ("trust key passwd alice", "trust key passwd 0123456789ab"),
    "key remove": ("trust key remove alice", "trust key remove 0123456789ab carol --yes"),
    "key backup": (
        "trust key backup /media/stick/keys.backup --all",
        "trust key backup /media/stick/keys.backup root --shares 2/3 --shares-dir shares --qr",
    ),
    "key backup-verify": (
        "trust key backup-verify /media/stick/keys.backup",
        "trust key backup-verify keys.backup --share 1.txt --share 3.txt",
    ),
    "key restore": (
        "trust key restore /media/stick/keys.backup",
        "trust key restore keys.backup root --share 1.txt --share 3.txt",
    ),
    "key rotate": (
        "trust key rotate targets --glob 'registry.example.com/team/*' --plan",
        f"trust key rotate root {_APP} --recovery-key /media/stick/recovery.key",
    ),
    "pin": (f"trust pin {_APP} sha256:{'ab' * 32}", f"trust pin 'registry.example.com/team/*' key:{'ab' * 32}"),
    "pins": ("trust pins", "trust pins --as commands"),
    "lock": (f"trust lock {_APP}", "trust lock"),
    "expiring": (f"trust expiring {_APP} --within 30d", "trust expiring --all --ics expiry.ics"),
    "audit": (f"trust audit {_APP}", "trust audit --all --signer carol --csv"),
    "renew": (f"trust renew {_APP} --plan", "trust renew --due --within 90d"),
    "collections": ("trust collections trust.example.com", "trust --json collections"),
    "login": ("trust login trust.example.com", "trust login trust.example.com -u ci --password-stdin"),
    "logout": ("trust logout trust.example.com", "trust logout"),
    "whoami": (f"trust whoami {_APP}", "trust --server https://trust.example.com whoami"),
    "migrate from-notary": (
        f"trust migrate from-notary https://notary.example.com {_APP} --plan",
        "trust migrate from-notary https://notary.example.com --names repositories.txt",
    ),
    "plugin install": ("trust plugin install", "trust plugin install --dir ~/.docker/cli-plugins"),
    "plugin uninstall": ("trust plugin uninstall", "trust plugin uninstall --dir ~/.docker/cli-plugins"),
    "policy check": (f"trust policy check policy.toml {_APP}:1.0", "trust policy check --distributed nodes.toml"),
    "policy push": (
        "trust policy push nodes.toml registry.example.com/policies/nodes:now",
        "trust policy push nodes.toml registry.example.com/policies/nodes:now --plan",
    ),
    "policy convert": (
        "trust policy convert --from connaisseur connaisseur.json",
        "trust policy convert --from containers /etc/containers/policy.json",
    ),
    "agent": (
        "trust agent",
        "trust agent --config /etc/trust/verifier.toml --state /var/lib/content-trust/agent --metrics 127.0.0.1:9469",
    ),
    "hook containerd": (
        "trust hook containerd --bin-dir /opt/containerd/image-verifier/bin",
        "trust hook containerd --bin-dir /opt/verifier --config /etc/trust/verifier.toml --state /var/lib/trust",
    ),
    "hook admission": (
        "trust hook admission --listen 127.0.0.1:8443 --self-signed --policy policy.toml",
        "trust hook admission --listen 0.0.0.0:8443 --tls-cert tls.crt --tls-key tls.key --policy policy.toml",
    ),
    "hook proxy": (
        "trust hook proxy --listen 127.0.0.1:5443 --upstream https://registry.example.com --policy trust-policy.toml",
        "trust hook proxy config podman --address https://proxy.example.com --registry registry.example.com",
    ),
    "scan": ("trust scan --policy policy.toml", "trust scan --pods pods.json --csv"),
    "explain": (f"trust explain {_APP}:1.0", f"trust explain {_APP}:1.0 --at 2027-12-01"),
    "doctor": ("trust doctor", f"trust doctor {_APP}"),
    "doctor containerd": ("trust doctor containerd", "trust doctor containerd --config /etc/containerd/config.toml"),
    "completion": ("trust completion bash", "trust completion zsh"),
    "demo": ("trust demo", "trust --json demo"),
}
