"""Reviews of every kind, read and answered by the pure part of the webhook: no server, no network, no trust data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.support.admission import (
    KINDS,
    UID,
    Object,
    answered,
    holding,
    images_of,
    patched,
    pod,
    pod_spec,
    review,
    sent,
)
from trustcli.errors import ReviewMalformed
from trustcli.hooks.deciding.decision import Decision, Mode
from trustcli.hooks.kubernetes.answer import MAX_MESSAGE, MAX_WARNING, MAX_WARNINGS, answer_to, refusal_of
from trustcli.hooks.kubernetes.judging import Asked, Manner, Verdict, ask, judge
from trustcli.hooks.kubernetes.patch import pointer
from trustcli.hooks.kubernetes.review import MAX_DEPTH, MAX_REVIEW, read_review, read_sent
from trustcli.registry.reference import ImageReference
from trustdata.errors import NotSigned, TagMismatch, TrustError

DIGEST = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
VALIDATE = Manner(mutate=False)
MUTATE = Manner(mutate=True)
SIGNED = "registry.example.com/team/app:1.0"
UNSIGNED = "registry.example.com/team/app:2.0"


class Policy:
    """Knows what is signed by name and tag; everything else is not. `asked`: what it was asked."""

    def __init__(self, signed: Mapping[str, str] | None = None, *, mode: Mode = "enforce", **fields: Any) -> None:
        self.signed = {SIGNED: DIGEST} if signed is None else signed
        self.mode: Mode = mode
        self.fields = fields
        self.asked: list[tuple[str, str | None]] = []

    def decide(self, reference: ImageReference, digest: str | None = None) -> Decision:
        self.asked.append((str(reference), digest))
        found = self.signed.get(f"{reference.gun}:{reference.tag}" if reference.tag else "")
        if reference.digest is not None and found is None and reference.digest in self.signed.values():
            found = reference.digest
        refusal: TrustError | None = None
        if found is None:
            refusal = NotSigned(gun=reference.gun, tag=reference.tag or str(reference.digest))
        elif reference.digest not in {None, found}:
            refusal = TagMismatch(gun=reference.gun, tag=str(reference.tag), asked=str(reference.digest), signed=found)
        return Decision(
            image=str(reference),
            trust_name=reference.gun,
            allowed=refusal is None or self.mode in {"audit", "allow"},
            digest=None if refusal else found,
            mode=self.mode,
            rule="policy.toml [team/*]",
            reason=str(refusal or "signed"),
            refusal=refusal,
            **self.fields,
        )

    def signed_tags(self, gun: object) -> Any:
        raise AssertionError(gun)

    def named_digests(self, gun: object) -> Any:
        raise AssertionError(gun)


def verdict_of(document: Object, *, manner: Manner = VALIDATE, **policies: Policy) -> Verdict:
    """Judge a review. `policies`: `cluster` (by default one that knows SIGNED), and by the names of namespaces."""
    known = {"" if name == "cluster" else name.replace("_", "-"): policy for name, policy in policies.items()}
    known.setdefault("", Policy())

    def decide(questions: Sequence[Asked]) -> Mapping[Asked, Decision]:
        return {question: ask(known[question.namespace], question.image) for question in questions}

    return judge(read_review(read_sent(sent(document))), manner, decide=decide, namespaces=frozenset(known) - {""})


def response_to(document: Object, *, manner: Manner = VALIDATE, **policies: Policy) -> Object:
    return answered(answer_to(verdict_of(document, manner=manner, **policies)))


def message(response: Object) -> str:
    assert response["allowed"] is False
    assert (response["status"]["code"], response["status"]["reason"]) == (403, "Forbidden")
    return str(response["status"]["message"])


# --- where images stand

PLACES: Mapping[str, Object] = {
    "container": pod_spec(SIGNED, UNSIGNED),
    "init container": pod_spec(SIGNED, initContainers=[{"name": "c", "image": UNSIGNED}]),
    "sidecar": pod_spec(SIGNED, initContainers=[{"name": "c", "image": UNSIGNED, "restartPolicy": "Always"}]),
    "ephemeral container": pod_spec(SIGNED, ephemeralContainers=[{"name": "c", "image": UNSIGNED}]),
    "image volume": pod_spec(SIGNED, volumes=[{"name": "c", "image": {"reference": UNSIGNED}}]),
    "only an image volume": pod_spec(volumes=[{"name": "c", "image": {"reference": UNSIGNED, "pullPolicy": "Always"}}]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_an_unsigned_image_is_found_wherever_it_stands(kind: str, place: str) -> None:
    thing = holding(kind, PLACES[place])
    refused = message(response_to(review(thing)))
    assert UNSIGNED in refused
    assert "is not signed" in refused
    assert SIGNED not in refused
    signed = json.loads(json.dumps(thing).replace(UNSIGNED, SIGNED))
    assert response_to(review(signed))["allowed"] is True


@pytest.mark.parametrize("kind", KINDS)
def test_tags_become_digests_at_pods_and_elsewhere_if_that_is_wanted(kind: str) -> None:
    spec = pod_spec(
        SIGNED,
        initContainers=[{"name": "a", "image": SIGNED}],
        ephemeralContainers=[{"name": "b", "image": SIGNED}],
        volumes=[{"name": "none", "emptyDir": {}}, {"name": "c", "image": {"reference": SIGNED}}],
    )
    thing = holding(kind, spec)
    expected = json.loads(json.dumps(thing).replace(SIGNED, f"{SIGNED}@{DIGEST}"))
    everywhere = response_to(review(thing), manner=Manner(mutate=True, templates=True))
    assert patched(thing, everywhere) == expected
    assert len(images_of(expected)) == 4
    assert patched(thing, response_to(review(thing), manner=MUTATE)) == (expected if kind == "Pod" else thing)
    assert patched(thing, response_to(review(thing))) == thing
    assert response_to(review(expected), manner=MUTATE).keys() & {"patch", "patchType"} == set()


@pytest.mark.parametrize(
    ("written", "pinned", "asked"),
    [
        ("app", f"app:latest@{DIGEST}", "docker.io/library/app:latest"),
        ("team/app:1.0", f"team/app:1.0@{DIGEST}", "docker.io/team/app:1.0"),
        ("index.docker.io/team/app", f"index.docker.io/team/app:latest@{DIGEST}", "docker.io/team/app:latest"),
        ("R.example.com:443/app:1", f"R.example.com:443/app:1@{DIGEST}", "r.example.com/app:1"),
        ("localhost:5000/app", f"localhost:5000/app:latest@{DIGEST}", "localhost:5000/app:latest"),
        (f"r.example.com/app@{DIGEST}", f"r.example.com/app@{DIGEST}", f"r.example.com/app@{DIGEST}"),
        (f"r.example.com/app:1@{DIGEST}", f"r.example.com/app:1@{DIGEST}", f"r.example.com/app:1@{DIGEST}"),
    ],
)
def test_an_image_keeps_its_spelling_and_is_judged_by_its_normal_name(written: str, pinned: str, asked: str) -> None:
    policy = Policy({asked.partition("@")[0]: DIGEST})
    response = response_to(review(pod(written)), manner=MUTATE, cluster=policy)
    assert images_of(patched(pod(written), response)) == [pinned]
    assert policy.asked == [(asked, DIGEST if "@" in written else None)]


def test_a_json_pointer_escapes_what_it_must() -> None:
    assert pointer(("a/b", 0, "c~d")) == "/a~1b/0/c~0d"


def _unsigned(name: str) -> str:
    return f"{name} is not signed; next: its publisher signs it with: trust sign {name}"


def test_one_refused_image_is_enough_and_then_nothing_is_patched() -> None:
    response = response_to(review(pod(SIGNED, UNSIGNED, "other:1")), manner=MUTATE)
    docker_io = "docker.io/library/other:1"
    assert message(response).splitlines() == [
        f"container c1, image {UNSIGNED}: {_unsigned(UNSIGNED)}",
        f"container c2, image other:1: {_unsigned(docker_io)}",
    ]
    assert response.keys() & {"patch", "patchType"} == set()


def test_an_image_that_stands_many_times_is_asked_for_once() -> None:
    policy = Policy()
    assert response_to(review(pod(*[SIGNED] * 20)), cluster=policy)["allowed"] is True
    assert policy.asked == [(SIGNED, None)]


# --- what is not judged


@pytest.mark.parametrize(
    "document",
    [
        review(None, operation="DELETE", old=pod(UNSIGNED)),
        review({"kind": "PodExecOptions", "apiVersion": "v1"}, operation="CONNECT"),
        review({"kind": "Scale", "apiVersion": "autoscaling/v1"}, operation="UPDATE", subResource="scale"),
        review({"kind": "Eviction", "apiVersion": "policy/v1"}, subResource="eviction"),
        review({"kind": "Binding", "apiVersion": "v1"}, subResource="binding"),
        review(pod(UNSIGNED, nodeName="a"), operation="UPDATE", old=pod(UNSIGNED)),
        review(pod(SIGNED), operation="UPDATE", old=pod(SIGNED, UNSIGNED)),
        review(
            holding("Deployment", pod_spec(UNSIGNED)), operation="UPDATE", old=holding("Deployment", pod_spec(UNSIGNED))
        ),
        review(holding("Deployment", pod_spec("")), operation="CREATE"),
        review({"apiVersion": "v1", "kind": "ReplicationController", "spec": {"template": None}}),
    ],
)
def test_what_brings_no_image_is_let_pass_unasked(document: Object) -> None:
    policy = Policy({})
    response = response_to(document, manner=MUTATE, cluster=policy)
    assert (response["allowed"], response["auditAnnotations"]) == (True, {"verdict": "no-image-changed"})
    assert policy.asked == []


def _two(first: str, second: str) -> Object:
    return pod(first, second)


@pytest.mark.parametrize(
    ("new", "old", "judged"),
    [
        (pod(UNSIGNED), pod(SIGNED), [UNSIGNED]),
        (pod(SIGNED, UNSIGNED), pod(SIGNED), [UNSIGNED]),
        (_two(UNSIGNED, SIGNED), _two(SIGNED, UNSIGNED), [UNSIGNED, SIGNED]),
        (pod(SIGNED, initContainers=[{"name": "c0", "image": SIGNED}]), pod(SIGNED), [SIGNED]),
        (pod(SIGNED, ephemeralContainers=[{"name": "debug", "image": UNSIGNED}]), pod(SIGNED), [UNSIGNED]),
        (pod(volumes=[{"name": "c0", "image": {"reference": UNSIGNED}}]), pod(UNSIGNED), [UNSIGNED]),
        (
            pod(containers=[{"name": "a", "image": SIGNED}] * 2),
            pod(containers=[{"name": "a", "image": SIGNED}]),
            [SIGNED],
        ),
        (pod(UNSIGNED), None, [UNSIGNED]),
    ],
)
def test_an_update_is_judged_by_what_it_adds_or_changes(new: Object, old: Object | None, judged: list[str]) -> None:
    verdict = verdict_of(review(new, operation="UPDATE", old=old))
    assert [image.place.image for image in verdict.images] == judged
    assert verdict.allowed is (UNSIGNED not in judged)


def test_labels_annotations_users_and_dry_runs_change_nothing() -> None:
    marked = pod(UNSIGNED)
    marked["metadata"] |= {
        "labels": {"kubernetes.io/metadata.name": "kube-system", "trust": "off"},
        "annotations": {"trust": "off", "kubernetes.io/config.mirror": "x"},
        "namespace": "kube-system",
    }
    plain = message(response_to(review(pod(UNSIGNED))))
    for change in ({}, {"dryRun": True}, {"userInfo": {"username": "system:admin", "groups": ["system:masters"]}}):
        assert message(response_to(review(marked, **change))) == plain


# --- what cannot be read


def _broken(**members: Any) -> Object:
    return review(pod(SIGNED), **members)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (_broken(operation="PATCH"), "request.operation"),
        (_broken(operation=None), "request.operation"),
        (_broken(kind="v1 Service"), "request.kind"),
        (_broken(kind="apps/v1beta1 Deployment"), "request.kind"),
        (_broken(kind="argoproj.io/v1alpha1 Rollout"), "request.kind"),
        (_broken(kind="apps/v1 Deployment"), "request.object"),
        (_broken(namespace=7), "request.namespace"),
        (review(pod()), "request.object.spec"),
        (review({"apiVersion": "v1", "kind": "Pod"}), "request.object.spec"),
        (review(None, old=pod(SIGNED)), "request.object"),
        (_broken(object=[]), "request.object"),
        (review({"apiVersion": "v1", "kind": "Pod", "spec": []}), "request.object.spec"),
        (review(pod(containers={"name": "a"})), "request.object.containers"),
        (review(pod(containers=["a"])), "request.object.spec.containers[0]"),
        (review(pod(containers=[None])), "request.object.spec.containers[0]"),
        (review(pod(containers=[{"name": "a", "image": [SIGNED]}])), "request.object.spec.containers[0].image"),
        (review(pod(containers=[{"name": 1, "image": SIGNED}])), "request.object.spec.containers[0].name"),
        (review(pod(SIGNED, volumes=[{"name": "a", "image": SIGNED}])), "request.object.spec.volumes[0].image"),
        (review(pod(SIGNED, volumes=[{"image": {"reference": 1}}])), "request.object.spec.volumes[0].image.reference"),
        (review(pod(SIGNED, warmContainers=[{"image": SIGNED}])), "request.object.spec.warmContainers"),
        (review(pod(SIGNED), operation="UPDATE", old={"apiVersion": "v1", "kind": "Node"}), "request.oldObject"),
    ],
)
def test_what_cannot_be_judged_names_the_place(document: Object, place: str) -> None:
    with pytest.raises(ReviewMalformed) as refused:
        verdict_of(document)
    assert refused.value.details()["place"] == place
    response = answered(refusal_of(UID, refused.value, code=400))
    assert response["allowed"] is False
    assert place in response["status"]["message"]


def test_members_of_one_name_in_several_objects_are_no_doubles() -> None:
    annotations = {"": "", "a:b": '":', "\\": "{", "k": '"k": "k"'}
    sent_request = read_sent(sent(review(pod(SIGNED, annotations=annotations), old=pod(SIGNED))))
    assert sent_request.members["object"]["spec"]["annotations"] == annotations


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "cannot be read"),
        (b"[]", "is no object"),
        (b"{}", "is no AdmissionReview"),
        (sent({**review(pod(SIGNED)), "apiVersion": "admission.k8s.io/v1beta1"}), "is no AdmissionReview of"),
        (sent({**review(pod(SIGNED)), "request": None}), "request is no object"),
        (sent(review(pod(SIGNED), uid="")), "request.uid is no identifier"),
        (sent(review(pod(SIGNED), uid="a\nb")), "request.uid is no identifier"),
        (sent(review(pod(SIGNED), uid="x" * 129)), "request.uid is no identifier"),
        (sent(review(pod(SIGNED)))[:-1] + b',"request":{}}', "a member occurs twice"),
        (sent(review(pod(SIGNED))).replace(b'"operation"', b'"uid":"b","operation"'), "a member occurs twice"),
        (sent(review(pod(SIGNED))).replace(b'"image"', b'"image":"evil","image"'), "a member occurs twice"),
        (sent(review(pod(SIGNED))).replace(b'"image"', b'"im\\u0061ge":"evil","image"'), "a member occurs twice"),
        (sent(review(pod(SIGNED)))[:-1] + b',"a":[[{"":{},"b":":"}],{"":{},"":{}}]}', "a member occurs twice"),
        (sent(review(pod("app:\ud800"))), "cannot be read"),  # which no API server writes: Go's JSON has none
        (sent(review(pod(SIGNED))).decode().encode("utf-16"), "cannot be read"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), f"nested deeper than {MAX_DEPTH}"),
        (b"[" + b"0," * 400_000 + b"0]", "holds more than 400000 values"),
        (b" " * (MAX_REVIEW + 1), f"longer than {MAX_REVIEW} bytes"),
        (b'{"a":' + b"1" * 5000 + b"}", "cannot be read"),
    ],
)
def test_what_is_no_review_is_not_answered_as_one(raw: bytes, reason: str) -> None:
    with pytest.raises(ReviewMalformed, match=reason):
        read_sent(raw)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("", "'' is no valid image reference"),
        (" ", "is no valid"),
        (f"{SIGNED} ", "is no valid"),
        ("https://registry.example.com/app", "is no valid image reference: leave out the scheme"),
        (f"{SIGNED}@sha256:abc", "is no valid"),
        (f"{SIGNED}@sha512:{'ab' * 64}", "is no valid"),
        ("Team/App", "lower-case"),
        ("registry.example.com/app:1\u202e0", "is no valid"),
        ("ab" * 32, "is no valid"),
    ],
)
def test_a_name_that_means_nothing_is_refused_and_shown_safely(image: str, reason: str) -> None:
    refused = message(response_to(review(pod(image))))
    assert reason in refused
    assert refused.isprintable()


def test_many_images_are_refused_before_anybody_is_asked() -> None:
    policy = Policy()
    refused = message(response_to(review(pod(*[f"app:{number}" for number in range(300)])), cluster=policy))
    assert "it has 300 images, and at most 256" in refused
    assert policy.asked == []


# --- policies


def test_a_namespace_can_only_require_more() -> None:
    everything = Policy({SIGNED: DIGEST, UNSIGNED: DIGEST})
    nothing = Policy({})
    same = review(pod(SIGNED))
    assert response_to(same, cluster=Policy(), team_a=everything)["allowed"] is True
    assert "is not signed" in message(response_to(same, cluster=Policy(), team_a=nothing))
    assert "is not signed" in message(response_to(review(pod(UNSIGNED)), cluster=Policy(), team_a=everything))
    assert response_to(same, cluster=Policy(), team_b=nothing)["allowed"] is True
    assert "is not signed" in message(response_to(same, cluster=Policy({}), team_a=Policy(mode="allow")))


def test_two_policies_that_allow_different_digests_allow_none() -> None:
    refused = message(response_to(review(pod(SIGNED)), cluster=Policy(), team_a=Policy({SIGNED: OTHER})))
    assert f"they allow different digests, {DIGEST} and {OTHER}" in refused


def test_where_one_policy_verifies_nothing_the_other_pins() -> None:
    for policies in (
        {"cluster": Policy(mode="allow", signed={}), "team_a": Policy()},
        {"team_a": Policy({}, mode="audit")},
    ):
        response = response_to(review(pod(SIGNED)), manner=MUTATE, **policies)
        assert images_of(patched(pod(SIGNED), response)) == [f"{SIGNED}@{DIGEST}"]


def test_audit_lets_pass_and_says_so_within_the_limits() -> None:
    names = [f"registry.example.com/{'long/' * 20}app-{number}:1" for number in range(30)]
    response = response_to(review(pod(*names)), manner=MUTATE, cluster=Policy({}, mode="audit"))
    assert response["allowed"] is True
    assert "patch" not in response
    assert len(response["warnings"]) == MAX_WARNINGS + 1
    assert response["warnings"][-1] == "and 15 more"
    assert all(len(warning) <= MAX_WARNING for warning in response["warnings"])
    assert response["auditAnnotations"]["verdict"] == "allowed"
    assert "not-signed" in response["auditAnnotations"]["watched"]
    assert len(response["auditAnnotations"]["images"]) <= 2001


def test_warnings_and_age_of_a_decision_are_passed_on_once() -> None:
    policy = Policy(warnings=("the trust server is away: judged by data of 3 h ago",), stale=True)
    response = response_to(review(pod(SIGNED, SIGNED)), cluster=policy)
    assert response["warnings"] == ["the trust server is away: judged by data of 3 h ago"]
    assert response["auditAnnotations"]["stale"] == 'container "c0"; container "c1"'


def test_a_decision_that_says_yes_to_nothing_is_a_refusal() -> None:
    class Sloppy(Policy):
        def decide(self, reference: ImageReference, digest: str | None = None) -> Decision:
            given = OTHER if reference.digest else None
            return Decision(
                image=str(reference),
                trust_name=reference.gun,
                allowed=True,
                digest=given,
                mode="enforce",
                rule="",
                reason="",
            )

    for image in (SIGNED, f"{SIGNED}@{DIGEST}"):
        assert response_to(review(pod(image)), manner=MUTATE, cluster=Sloppy())["allowed"] is False


def test_a_rule_that_denies_is_told_with_its_reason() -> None:
    class Denying(Policy):
        def decide(self, reference: ImageReference, digest: str | None = None) -> Decision:
            return Decision(
                image=str(reference),
                trust_name=reference.gun,
                allowed=False,
                digest=None,
                mode="deny",
                rule="policy.toml [evil/*]",
                reason="the rule denies it",
            )

    assert "is refused by policy.toml [evil/*]: the rule denies it" in message(
        response_to(review(pod(SIGNED)), cluster=Denying())
    )


def test_a_pod_may_be_made_to_name_digests() -> None:
    strict = Manner(mutate=False, require_digests=True)
    refused = message(response_to(review(pod(SIGNED)), manner=strict))
    assert f"{SIGNED} is refused by --require-digests" in refused
    assert response_to(review(pod(f"{SIGNED}@{DIGEST}")), manner=strict)["allowed"] is True
    assert response_to(review(holding("Deployment", pod_spec(SIGNED))), manner=strict)["allowed"] is True
    exempted = Policy({}, mode="allow")
    assert response_to(review(pod("pause:1")), manner=strict, cluster=exempted)["allowed"] is True
    mutated = patched(pod(SIGNED), response_to(review(pod(SIGNED)), manner=MUTATE))
    assert response_to(review(mutated), manner=strict)["allowed"] is True


def test_a_refusal_has_a_length_that_kubernetes_shows() -> None:
    refused = message(response_to(review(pod(*[f"registry.example.com/app:{number}" for number in range(100)]))))
    assert len(refused) == MAX_MESSAGE
    assert refused.endswith("…")
