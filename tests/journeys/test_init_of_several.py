"""`trust init` of several collections, alike: from a template, from options, again, and where something differs."""

from __future__ import annotations

import pytest

from tests.journeys.hostile import Serve, fetched
from tests.support.hostile_server import Request, Wire, reply
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TEMPLATE = """
format = "{format}"
recovery_key = "recovery.key"
[signers]
alice = ["alice.pub"]
bob = ["bob.pub"]
"""


def template(owner: TrustUser, format_: str) -> list[str]:
    """The names of two collections are in a file, what they shall be like is in another."""
    for name in ("alice", "bob"):
        owner.run("key", "generate", name)
    (owner.folder / "template.toml").write_text(TEMPLATE.format(format=format_))
    return ["init", "--names", "names.txt", "--template", "template.toml"]


def names(owner: TrustUser, *each: str) -> None:
    (owner.folder / "names.txt").write_bytes("\r\n# all of the team\r\n".join(["\ufeff", *each]).encode())


def states(owner: TrustUser, *command: str, expect: int = 0) -> list[str]:
    return [row["state"] for row in owner.run("--json", *command, expect=expect).document()["collections"]]


@pytest.mark.parametrize("format_", ["tuf", "notary"])
def test_a_template(owner: TrustUser, gun: str, format_: str) -> None:
    command = template(owner, format_)
    names(owner, f"{gun}/a", f"{gun}/b")
    plans = owner.run("--json", *command, "--plan").document()["plans"]
    assert [plan["gun"] for plan in plans] == [f"{gun}/a"] * 3 + [f"{gun}/b"] * 3
    made = owner.run("--json", *command).document()
    assert [(row["state"], row["signers"]) for row in made["collections"]] == [("done", ["alice", "bob"])] * 2
    assert [row["pin"] for row in made["collections"]] == [owner.pin_of(f"{gun}/a"), owner.pin_of(f"{gun}/b")]
    for name in ("a", "b"):
        listed = owner.run("signer", "list", f"{gun}/{name}").stdout.splitlines()
        assert [line.partition("\t")[0] for line in listed] == ["alice", "bob"]
        owner.run("key", "rotate", "timestamp", f"{gun}/{name}", "--recovery-key", "recovery.key")
    keys = owner.key_files()
    assert states(owner, *command) == ["nothing to do", "nothing to do"]
    names(owner, f"{gun}/a", f"{gun}/c")
    assert states(owner, *command) == ["nothing to do", "done"]
    assert len(owner.key_files()) == len(keys) + 1, "one root key for all, a repository key for each"


def test_what_an_interrupted_run_has_left_undone(owner: TrustUser, gun: str, serve: Serve) -> None:
    """The second signer's publish is refused: the same command adds her."""
    command = template(owner, "tuf")
    names(owner, f"{gun}/a", f"{gun}/b")
    published: list[str] = []

    def script(request: Request, wire: Wire) -> None:
        if request.target.endswith("/publish"):
            published.append(request.target)
        refused = request.target.endswith("/publish") and len(published) == 3
        wire.send(reply(403, b"no") if refused else fetched(owner.environ["TRUST_SERVER"], request))

    assert states(owner, "--server", serve(script).url, *command, expect=7) == ["failed", "done"]
    assert states(owner, *command) == ["done", "nothing to do"]


@pytest.mark.parametrize(
    ("before", "differs"),
    [
        (["--no-recovery-key", "--signer", "alice=alice.pub"], "it has 1 root keys, not 2; it has no signer bob"),
        (["--recovery-key", "other.key"], "the recovery key is not one of its root keys"),
        (["--recovery-key", "recovery.key", "--signer", "alice=bob.pub"], "signer alice has other keys"),
        (["--recovery-key", "recovery.key", "--signer", "carol=bob.pub"], "carol is a signer of it"),
        (["--recovery-key", "recovery.key", "--threshold", "2"], "2 root keys must sign a root, not 1"),
        (["--recovery-key", "recovery.key", "--format", "notary"], "its format is notary-v1, not tuf-1.0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_that_differs_is_told_and_left_alone(owner: TrustUser, gun: str, before: list[str], differs: str) -> None:
    command = template(owner, "tuf")
    owner.run("init", f"{gun}/first", "--recovery-key", "recovery.key")
    owner.run("init", f"{gun}/a", *before)
    names(owner, f"{gun}/a", f"{gun}/b")
    failed = owner.run("--json", *command, expect=7)
    assert [row["state"] for row in failed.document()["collections"]] == ["failed", "not tried"]
    assert differs in failed.document()["error"]["message"]
    assert "left alone" in failed.document()["error"]["message"]


def test_one_name_is_made_or_refused(owner: TrustUser, gun: str) -> None:
    owner.run("init", gun, "--no-recovery-key")
    owner.run("init", gun, "--no-recovery-key", expect=7).said("is known already")
    assert states(owner, "init", gun, f"{gun}/b", "--no-recovery-key") == ["nothing to do", "done"]
    owner.run("init", expect=2).said("NAME... is missing, or --names FILE")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tags = 1", "tags is not known"),
        ("threshold = 0", "threshold must be"),
        ("format = 'x'", "format must be tuf or notary"),
        ("recovery_key = 1", "recovery_key must be"),
        (
            "recovery_key = '~nobody.here/r.pem'",
            "~nobody.here/r.pem begins with a home folder that is not known here",
        ),
        ("[signers]\nalice = ['~nobody.here/a.pub']", "~nobody.here/a.pub begins with a home folder"),
        ("signers = ['alice']", "[signers] must have names"),
        ("[signers]\nalice = []", "signers.alice has no key"),
        ("[signers]\nAlice = ['alice.pub']", "[signers]: "),
        ("root_keys = 'abcd'", "root_keys must be a list"),
        ("x", "is not TOML"),
    ],
)
def test_a_template_that_cannot_be_used(owner: TrustUser, gun: str, text: str, said: str) -> None:
    (owner.folder / "template.toml").write_text(text)
    owner.run("init", gun, "--template", "template.toml", expect=2).said("template.toml cannot be used", said)
