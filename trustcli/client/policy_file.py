"""Read a policy file, and build the question about an image that its rules ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from trustcli.guarded_files import read_guarded
from trustcli.registry.reference import ImageReference
from trustdata import bounded_toml
from trustdata.denied import DenyList
from trustdata.errors import PolicyMalformed
from trustdata.gun import GUN
from trustdata.judgement import Question
from trustdata.policy import Policy, Rule, read_distributed, read_policy

MAX_POLICY_FILE: Final = 16 * 1024 * 1024
"""The highest number of bytes; of rules, some tens of thousands."""
LATEST = "latest"
"""The tag that is meant by an image name without tag and digest."""


def load_policy(file: Path) -> Policy:
    """Read a policy file (TOML). Raises: PolicyMalformed, FileNewer, FileExposed (others may change it)."""
    try:
        return read_policy(_parsed(read_guarded(file, limit=MAX_POLICY_FILE), str(file)), source=str(file))
    except OSError as error:
        raise PolicyMalformed(source=str(file), path="", reason=error.strerror or type(error).__name__) from error


def read_to_distribute(file: Path) -> tuple[bytes, Policy]:
    """Return a file that is to be distributed, and the policy in it, read as nodes read it.

    Others may change the file: on this machine it decides nothing, and what is pushed is signed by its digest.
    Raises: PolicyMalformed, FileNewer.
    """
    from trustcli.registry.policy_artifact import MAX_POLICY  # only for whoever distributes one: start-up time

    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_POLICY + 1)
    except OSError as error:
        raise PolicyMalformed(source=str(file), path="", reason=error.strerror or type(error).__name__) from error
    if len(raw) > MAX_POLICY:
        raise PolicyMalformed(
            source=str(file), path="", reason=f"is larger than {MAX_POLICY} bytes, which no node reads"
        )
    return raw, parse_distributed(raw, source=str(file))


def parse_distributed(raw: bytes, *, source: str) -> Policy:
    """Read a policy that was distributed (TOML). Raises: PolicyMalformed, FileNewer."""
    return read_distributed(_parsed(raw, source), source=source)


def _parsed(raw: bytes, source: str) -> dict[str, Any]:
    try:
        return bounded_toml.loads(raw)
    except (ValueError, RecursionError) as error:
        raise PolicyMalformed(source=source, path="", reason=f"is not TOML: {error}") from error


def question_about(
    reference: ImageReference,
    *,
    rule: Rule | None,
    gun: GUN | None = None,
    signers: tuple[str, ...] = (),
    digest: str | None = None,
    denied: tuple[DenyList, ...] = (),
) -> Question:
    """Return the question to judge for an image reference.

    `rule`: the policy's rule for its name, if any. `gun`: the name whose collection counts, if it is another one.
    `digest`: the content that was found under the tag, used if the reference has no digest of its own. `denied`: the
    lists of other collections that count.
    """
    return Question(
        gun=gun or reference.gun,
        tag=tag_meant(reference),
        digest=reference.digest or digest,
        required_signers=signers,
        policy=rule.requirements if rule else (),
        denied=denied,
    )


def tag_meant(reference: ImageReference) -> str | None:
    """Return the tag of a reference: `latest` if it has neither tag nor digest, None if it has a digest alone."""
    return reference.tag or (None if reference.digest else LATEST)
