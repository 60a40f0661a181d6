"""Which commands of which guides are typed one after the other on one machine, and which are typed nowhere, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tests.support.guide_commands import Typed, commands, files
from tests.support.guide_machine import ROOT
from tests.support.trust_program import SECRETS

TUTORIAL: Final = "docs/tutorial.md"
ACCESS: Final = "docs/guides/access.md"
AGENT: Final = "docs/guides/agent.md"
BACK_UP: Final = "docs/guides/back-up-keys.md"
CI: Final = "docs/guides/ci.md"
CONTAINERD: Final = "docs/guides/containerd.md"
CLOCK_JUMP: Final = "docs/guides/clock-jump.md"
DENY: Final = "docs/guides/deny-and-scan.md"
DISTRIBUTE: Final = "docs/guides/distribute-policy.md"
DOCKER_PLUGIN: Final = "docs/guides/docker-plugin.md"
HARDWARE: Final = "docs/guides/hardware-keys.md"
KUBERNETES: Final = "docs/guides/kubernetes.md"
LOCK_FILE: Final = "docs/reference/lock-file.md"
MIGRATE: Final = "docs/guides/migrate.md"
PROXY: Final = "docs/guides/proxy.md"
OPERATE: Final = "docs/guides/operate-server.md"
RESTORED: Final = "docs/guides/restored-backup.md"
ROTATE: Final = "docs/guides/rotate-and-recover.md"
DRILL: Final = "docs/guides/rotation-drill.md"
TUF_FORMAT: Final = "docs/reference/tuf-format.md"
_AFTER_SIGNERS: Final = "How tags and signers are laid out"

LEFT_OUT: Final = {
    (TUTORIAL, "sudo apt install python3-venv docker-registry skopeo curl docker.io"): "peers/test_guide_on_debian",
    (TUTORIAL, "sudo systemctl disable --now docker-registry"): "peers/test_guide_on_debian",
    (MIGRATE, "docker trust sign docker.io/example/app:1.1"): "peers/test_docker_engine_trust",
}
"""Commands that no story has, and where they are typed: they change the machine, or need an engine."""
INSTALLING: Final = (
    (TUTORIAL, "sh install.sh ~/content-trust"),
    (CONTAINERD, "sh install.sh /opt/content-trust"),
)
"""In place of these the programs that are tested are put there, in all stories but those that install."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Sections of a guide; all of them if none is named. `before`: what they take for granted besides earlier parts.

    `compared`: whether they print here what the guide shows.
    """

    guide: str
    headings: tuple[str, ...] = ()
    before: str = ""
    compared: bool = True

    def steps(self) -> Iterator[Typed]:
        found = commands(self.guide)
        assert set(self.headings) <= {step.heading for step in found}, self
        for step in found:
            if (not self.headings or step.heading in self.headings) and (step.guide, step.command) not in LEFT_OUT:
                yield step


@dataclass(frozen=True, kw_only=True)
class Story:
    """What somebody types in one shell.

    `there`: names and folders of the guides, and what stands here in their place. `programs`: where they are installed,
    below the home; with `installs` by what is typed. `needs`: programs besides those of the tutorial.
    """

    parts: tuple[Part, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    there: Mapping[str, str] = field(default_factory=dict)
    programs: str = "content-trust"
    installs: bool = False
    needs: tuple[str, ...] = ()

    def typed(self) -> Iterator[tuple[Typed, bool]]:
        """Every command, and whether what it prints is compared."""
        for part in self.parts:
            if part.before:
                yield Typed(guide=part.guide, heading="", command=part.before, shown=""), False
            for step in part.steps():
                if self.installs or (step.guide, step.command) not in INSTALLING:
                    yield step, part.compared


def _tutorial(first: int, last: int, *, compared: bool = True, engine: bool = False) -> Part:
    """The steps from one to the other; `engine`: with the one that needs Docker's."""
    wanted = [f"{number}. " for number in range(first, last + 1) if engine or number != _NEEDS_THE_ENGINE]
    headings = dict.fromkeys(step.heading for step in commands(TUTORIAL))
    chosen = tuple(heading for heading in headings if heading.startswith(tuple(wanted)))
    return Part(guide=TUTORIAL, headings=chosen, compared=compared)


_NEEDS_THE_ENGINE: Final = 9
_TUF_FORMAT: Final = tuple(
    dict.fromkeys(step.heading for step in commands(TUF_FORMAT) if step.heading != _AFTER_SIGNERS)
)
_PATH: Final = "export PATH=~/content-trust/bin:$PATH\n"
_SOURCE: Final = "mkdir ~/source && cd ~/source && mkdir .venv && ln -s ~/content-trust/bin .venv/bin"
_FOLDER: Final = "mkdir ~/w && cd ~/w\n"
_SERVER_AND_REGISTRY: Final = replace(_tutorial(2, 3, compared=False), before=_PATH)
_OWN_HOME: Final = "unset TRUST_HOME\nexport TRUST_SERVER=http://127.0.0.1:4443\n"
_VAULT: Final = """\
python -m tests.support.vault_program $(echo 127.0.0.1:4444 | cut -d : -f 2) > /dev/null 2>&1 &
echo hvs.token > ~/vault-token
"""
_READY: Final = "curl -s --retry 60 --retry-delay 1 --retry-connrefused http://127.0.0.1:4443/readyz > /dev/null\n"
_STOP: Final = "kill $SERVER; wait $SERVER\n"
_GO_BACK: Final = _STOP + "rm trust-server-data/trust.db*; install -m 600 backup.db trust-server-data/trust.db\n"
_BACKUP: Final = 'sqlite3 trust-server-data/trust.db ".backup backup.db"\n'
_APP: Final = "127.0.0.1:5000/demo/app"
_TEAM: Final = "registry.example.com/team"
_SERVER_OF_THE_GUIDES: Final = {"https://trust.example.com": "http://127.0.0.1:4443"}
_RESTORED: Final = {
    "registry.example.com/app": _APP,
    "registry.example.com%2Fapp": "127.0.0.1%3A5000%2Fdemo%2Fapp",
    "/var/lib/trust-server": "/home/you/tutorial/trust-server-data",
    **_SERVER_OF_THE_GUIDES,
}

_LOCKED: Final = f"""\
trust init {_APP} --no-recovery-key
trust sign {_APP}:1.0
trust key generate ci
trust signer add --key ci.pub ci {_APP}
trust sign {_APP}:2.0@$(cat first.digest)
trust key rotate timestamp {_APP}
trust lock {_APP}
trust sign {_APP}:3.0@$(cat first.digest)
"""
"""A collection that is locked at the versions of the page's example, and one signature after that."""

_ACCESS: Final = tuple(dict.fromkeys(step.heading for step in commands(ACCESS)))
_GITHUB: Final = "GitHub Actions"
_ACCESS_BEFORE: Final = """\
skopeo copy --quiet --dest-tls-verify=false oci:layout-1 docker://127.0.0.1:5000/team/app:1.0
AUDIENCE=https://127.0.0.1:4443 ci-platforms $(echo 127.0.0.1:4444 | cut -d : -f 2) ~/jobs > /dev/null 2>&1 &
"""
"""The image that is signed, and the platforms whose jobs log in."""
_OF_GITHUB: Final = """\
export ACTIONS_ID_TOKEN_REQUEST_URL=http://127.0.0.1:4444/github/idtoken ACTIONS_ID_TOKEN_REQUEST_TOKEN=of-the-runner
"""
_OF_KUBERNETES: Final = "unset TRUST_ID_TOKEN; export TRUST_ID_TOKEN_FILE=~/jobs/cluster\n"

_RESTORED_TAGS: Final = f"""\
python3 make-image.py layout-2 second
skopeo copy --quiet --dest-tls-verify=false --digestfile 1.1.digest oci:layout-2 docker://{_APP}:1.1
trust init {_APP} {_APP}-2 --no-recovery-key
trust sign {_APP}:1.0
{_BACKUP}
trust sign {_APP}:1.1@$(cat 1.1.digest)
{_STOP}
DAYS=2 late-server serve > late.log 2>&1 & SERVER=$!
{_READY}
for name in {_APP} {_APP}-2; do trust --home ~/client inspect --tofu $name; done
cp ~/client/seen.json .
{_GO_BACK}
export TRUST_SERVER_DATA=/var/lib/trust-server
"""
"""Two collections after a backup: a tag more in one, a renewal in both, all of it seen by a client. Then back."""


def _backed_up(wire: str) -> Story:
    before = f"""\
mkdir ~/stick
skopeo copy --quiet --dest-tls-verify=false oci:layout-1 docker://{_APP}:1.1
trust init {_APP} --no-recovery-key --format {wire}
"""
    return Story(
        parts=(_SERVER_AND_REGISTRY, Part(guide=BACK_UP, before=_OWN_HOME + before)),
        there={"registry.example.com/team/app": _APP},
        environ=SECRETS,
    )


def _drilled(wire: str) -> Story:
    return Story(
        parts=(_SERVER_AND_REGISTRY, Part(guide=DRILL, compared=wire == "tuf")),
        there={"FORMAT=tuf": f"FORMAT={wire}"},
        environ=SECRETS,
        needs=("softhsm2-util", "notary"),
    )


_LOST_ROOT: Final = f"""\
trust init {_APP} --no-recovery-key
trust key rotate root {_APP}
{_BACKUP}
trust key rotate root {_APP}
{_GO_BACK}
trust-server check --accept-restore
trust-server serve > server.log 2>&1 & SERVER=$!
{_READY}
"""

_ON_THE_NODE: Final = f"""\
mkdir -p /etc/content-trust /etc/containerd /usr/local/bin
cat > /etc/content-trust/trust.toml <<'END'
{files(CONTAINERD, "toml")[0]}END
cat > /etc/containerd/config.toml <<'END'
{files(CONTAINERD, "toml")[1]}END
trust init {_APP} --no-recovery-key
FINGERPRINT=$(trust pins | awk '$1 == "{_APP}" {{print $2}}')
PATH=/usr/local/bin:/usr/bin:/bin
"""


def _containerd(*, programs: str, path: str, before: str = "", installs: bool = False) -> Story:
    return Story(
        parts=(
            replace(_SERVER_AND_REGISTRY, before=f"export PATH={path}:$PATH\n"),
            Part(guide=CONTAINERD, before=_OWN_HOME + _ON_THE_NODE + before),
        ),
        there={
            "content-trust doctor containerd": "content-trust doctor containerd --config /etc/containerd/config.toml",
            "sha256:HEX": "$FINGERPRINT",
            "registry.example.com/team/app": _APP,
            '"registry.example.com"': '"127.0.0.1:5000"',
            "/etc/content-trust": f"{ROOT}/etc/content-trust",
            "/etc/containerd": f"{ROOT}/etc/containerd",
            "/opt/containerd": f"{ROOT}/opt/containerd",
            "/opt/content-trust": f"{ROOT}/opt/content-trust",
            "/var/lib/content-trust": f"{ROOT}/var/lib/content-trust",
            "/usr/local/bin": f"{ROOT}/usr/local/bin",
            **_SERVER_OF_THE_GUIDES,
        },
        programs=programs,
        installs=installs,
        environ=SECRETS,
    )


_WITH_AN_AGENT: Final = f"""\
mkdir -p /etc/content-trust
cat > /etc/content-trust/trust.toml <<'END'
{files(AGENT, "toml")[0]}END
cat > /etc/content-trust/policy.toml <<'END'
{files(AGENT, "toml")[1]}END
skopeo copy --quiet --dest-tls-verify=false --digestfile 1.0.digest oci:layout-1 docker://{_APP}:1.0
trust init {_APP} --no-recovery-key
trust sign {_APP}:1.0
FINGERPRINT=$(trust pins | awk '$1 == "{_APP}" {{print $2}}')
"""


_BEHIND_A_PROXY: Final = f"""\
mkdir -p /etc/content-trust
cat > /etc/content-trust/trust.toml <<'END'
{files(PROXY, "toml")[0]}END
cat > /etc/content-trust/trust-policy.toml <<'END'
{files(PROXY, "toml")[1]}END
python3 make-image.py layout-unsigned unsigned
skopeo copy --quiet --dest-tls-verify=false oci:layout-unsigned docker://{_APP}:unsigned
trust init {_APP} --no-recovery-key
trust sign {_APP}:1.0
FINGERPRINT=$(trust pins | awk '$1 == "{_APP}" {{print $2}}')
"""


_DISTRIBUTED: Final = f"""\
python3 make-image.py layout-2 second
skopeo copy --quiet --dest-tls-verify=false oci:layout-2 docker://{_APP}:1.1
trust init {_APP} --no-recovery-key
trust sign {_APP}:1.0 {_APP}:1.1
"""
_NAMED_ON_THE_NODE: Final = f"""\
cat > policy.toml <<END
{files(DISTRIBUTE, "toml")[0]}END
sed -i "s/sha256:HEX/$(trust pins | awk '$1 ~ "policies/nodes" {{print $2}}')/" policy.toml
"""


_OLD_NOTARY: Final = """\
trust-server serve --self-signed > server.log 2>&1 & SERVER=$!
curl -s --retry 60 --retry-delay 1 --retry-all-errors --cacert trust-server-data/tls/ca.crt \\
  https://127.0.0.1:4443/readyz > /dev/null
mkdir -p ~/.docker/tls/127.0.0.1:4443 ~/.docker/tls/${OLD#https://}
cp trust-server-data/tls/ca.crt ~/.docker/tls/127.0.0.1:4443/
cp $OLD_CA ~/.docker/tls/${OLD#https://}/
old() { notary -s $OLD --tlscacert $OLD_CA -d ~/.docker/trust "$@"; }
"""
"""A new server whose certificate `trust` believes, as it does that of the old one, $OLD; `notary` for the latter."""
_SIGNED_THERE: Final = """\
old init docker.io/example/app
old key rotate docker.io/example/app snapshot -r
old addhash docker.io/example/app 1.0 418 --sha256 $(cut -c 8- first.digest) -p
skopeo copy --quiet --dest-tls-verify=false oci:layout-1 docker://docker.io/example/app:1.1
"""


def _migration(before: str, *chosen: str) -> Story:
    registry = replace(_tutorial(3, 3, compared=False), before=_PATH + _FOLDER)
    return Story(
        parts=(registry, Part(guide=MIGRATE, headings=chosen, before=_OLD_NOTARY + before)),
        there={"docker.io/example/app": _APP, "https://trust.example.com": "https://127.0.0.1:4443"},
    )


_OF_THE_OPERATOR: Final = "The operator of the old server"
MIGRATION: Final = {
    "publisher": _migration(
        _SIGNED_THERE, *dict.fromkeys(step.heading for step in commands(MIGRATE) if step.heading != _OF_THE_OPERATOR)
    ),
    "operator": _migration("export TRUST_SERVER=https://trust.example.com\n", _OF_THE_OPERATOR),
}
"""Both in this order, with one old server: what the first signs there is what the second takes over."""

STORIES: Final = {
    "readme": Story(
        parts=(
            replace(_tutorial(3, 3, compared=False), before=_SOURCE),
            Part(guide="README.md"),
        ),
        environ=SECRETS,
    ),
    "tutorial": Story(parts=(_tutorial(1, 13),)),
    "tutorial, and what it leads to": Story(
        parts=(
            _tutorial(1, 6),
            Part(guide=TUF_FORMAT, headings=_TUF_FORMAT),
            _tutorial(7, 10),
            Part(guide=TUF_FORMAT, headings=(_AFTER_SIGNERS,)),
            _tutorial(11, 12),
            Part(guide=ROTATE),
            _tutorial(13, 13),
        ),
    ),
    "ci": Story(parts=(_tutorial(1, 7, compared=False), Part(guide=CI))),
    "hardware-keys": Story(
        parts=(_SERVER_AND_REGISTRY, Part(guide=HARDWARE, before=_OWN_HOME + _VAULT)),
        environ=SECRETS,
        needs=("softhsm2-util",),
        there={"https://vault.example.com:8200": "http://127.0.0.1:4444"},
    ),
    "rotation-drill": _drilled("tuf"),
    "rotation-drill in Notary v1": _drilled("notary"),
    "operate-server": Story(
        parts=(replace(_tutorial(3, 3, compared=False), before=_PATH + _FOLDER), Part(guide=OPERATE)),
        environ=SECRETS,
    ),
    "access": Story(
        parts=(
            replace(_tutorial(3, 3, compared=False), before=_PATH + _FOLDER),
            Part(guide=ACCESS, headings=_ACCESS[: _ACCESS.index(_GITHUB)], before=_ACCESS_BEFORE),
            Part(guide=ACCESS, headings=(_GITHUB,), before=_OF_GITHUB),
            Part(guide=ACCESS, headings=("GitLab CI",), before="export TRUST_ID_TOKEN=$(cat ~/jobs/gitlab)\n"),
            Part(guide=ACCESS, headings=("Kubernetes",), before=_OF_KUBERNETES),
            Part(guide=ACCESS, headings=_ACCESS[-2:]),
        ),
        there={
            "https://trust.example.com": "https://127.0.0.1:4443",
            "registry.example.com": "127.0.0.1:5000",
            "https://token.actions.githubusercontent.com": "http://127.0.0.1:4444/github",
            "https://gitlab.example.com": "http://127.0.0.1:4444/gitlab",
            "https://kubernetes.example.com": "http://127.0.0.1:4444/cluster",
        },
        environ=SECRETS,
    ),
    "back-up-keys": _backed_up("tuf"),
    "back-up-keys in Notary v1": _backed_up("notary"),
    "docker-plugin": Story(parts=(Part(guide=DOCKER_PLUGIN, before=_PATH),)),
    "kubernetes": Story(parts=(replace(_tutorial(2, 5, compared=False), before=_PATH), Part(guide=KUBERNETES))),
    "deny-and-scan": Story(parts=(replace(_tutorial(2, 5, compared=False), before=_PATH), Part(guide=DENY))),
    "distribute-policy": Story(
        parts=(
            _SERVER_AND_REGISTRY,
            Part(guide=DISTRIBUTE, headings=("Write, push and sign it",), before=_OWN_HOME + _DISTRIBUTED),
            Part(
                guide=DISTRIBUTE,
                headings=("Name it on each node", "Let an image be refused"),
                before=_NAMED_ON_THE_NODE,
            ),
        ),
        there={
            "registry.example.com/team/*": "127.0.0.1:5000/demo/*",
            "registry.example.com/team/app": _APP,
            "registry.example.com/policies": "127.0.0.1:5000/policies",
        },
        environ=SECRETS,
    ),
    "clock-jump": Story(
        parts=(
            _SERVER_AND_REGISTRY,
            Part(guide=CLOCK_JUMP, before=_OWN_HOME + f"trust init {_TEAM}/app {_TEAM}/web --no-recovery-key\n"),
        ),
        environ=SECRETS,
        there={_TEAM: "127.0.0.1:5000/team"},
    ),
    "lock-file": Story(
        parts=(_SERVER_AND_REGISTRY, Part(guide=LOCK_FILE, before=_OWN_HOME + _LOCKED)),
        there={"registry.example.com/team/app": _APP},
        environ=SECRETS,
    ),
    "restored-backup": Story(
        parts=(
            _SERVER_AND_REGISTRY,
            Part(guide=RESTORED, headings=("The operator", "The owner"), before=_OWN_HOME + _RESTORED_TAGS),
        ),
        there=_RESTORED,
        environ=SECRETS,
    ),
    "lost-root": Story(
        parts=(
            _SERVER_AND_REGISTRY,
            Part(guide=RESTORED, headings=("Roots that were lost",), before=_OWN_HOME + _LOST_ROOT),
        ),
        there=_RESTORED,
        environ=SECRETS,
    ),
    "containerd": _containerd(programs="root/opt/content-trust", path="/opt/content-trust/bin"),
    "proxy": Story(
        parts=(_SERVER_AND_REGISTRY, Part(guide=PROXY, before=_OWN_HOME + _BEHIND_A_PROXY)),
        there={
            "sha256:HEX": "$FINGERPRINT",
            "https://registry.example.com": "http://127.0.0.1:5000",
            "registry.example.com/team": "127.0.0.1:5000/demo",
            "registry.example.com": "127.0.0.1:5000",
            "team/app": "demo/app",
            "127.0.0.1:5443": "127.0.0.1:4444",
            "/etc/content-trust": f"{ROOT}/etc/content-trust",
            "/var/lib/content-trust": f"{ROOT}/var/lib/content-trust",
            **_SERVER_OF_THE_GUIDES,
        },
        environ=SECRETS,
    ),
    "agent": Story(
        parts=(_SERVER_AND_REGISTRY, Part(guide=AGENT, before=_OWN_HOME + _WITH_AN_AGENT)),
        there={
            "sha256:HEX": "$FINGERPRINT",
            "registry.example.com/team/*": "127.0.0.1:5000/demo/*",
            "registry.example.com/team/app": _APP,
            '"registry.example.com"': '"127.0.0.1:5000"',
            "127.0.0.1:9469": "127.0.0.1:4444",
            "/opt/content-trust/bin/": "",
            "/etc/content-trust": f"{ROOT}/etc/content-trust",
            "/run/content-trust": f"{ROOT}/r",  # a socket's path has room for 107 bytes
            "/var/lib/content-trust": f"{ROOT}/var/lib/content-trust",
            **_SERVER_OF_THE_GUIDES,
        },
        environ=SECRETS,
    ),
}
INSTALLED: Final = {
    "tutorial": Story(
        parts=(
            replace(_tutorial(1, 6), before="cd $SOURCE"),
            Part(guide=TUF_FORMAT, headings=_TUF_FORMAT),
            _tutorial(13, 13),
        ),
        installs=True,
    ),
    "containerd": _containerd(programs="tools", path="~/tools/bin", before="cd $SOURCE\n", installs=True),
}
"""The stories in which `install.sh` is typed. $SOURCE is the folder of the source."""
WITH_DETOURS: Final = Story(
    parts=(
        _tutorial(1, 7, compared=False),
        Part(guide=CI, compared=False),
        replace(_tutorial(8, 12, compared=False), before="cd ~/tutorial"),
        Part(guide=ROTATE, compared=False),
        _tutorial(13, 13, compared=False),
    )
)
"""The tutorial with what its reader may do in between. What it shows would be without that."""
WITH_THE_ENGINE: Final = Story(parts=(_tutorial(1, 8, compared=False), _tutorial(9, 9, engine=True)))
