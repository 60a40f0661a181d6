"""The process that judges large uploads: what it accepts and refuses, and what happens when it fails."""

from __future__ import annotations

import gc
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.attackers.uploads import beyond, document, worst_admitted
from tests.support.collector import without_collector
from tests.support.judged_apart import AskedHere
from tests.support.notary_owner import NotaryOwner
from tests.support.notary_site import GUN_N, NotarySite
from tests.support.server_owner import DIGEST, NOW, Owner
from tests.support.server_site import GUN_A, Site
from trustdata.envelope import Envelope
from trustdata.errors import NotStored
from trustdata.gun import GUN
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, RoleName
from trustdata.wire import WireFormat
from trustdata.wire.notary import NotaryFormat
from trustdata.wire.plain_targets import FORMS, PlainPart, find_plain_targets
from trustdata.wire.tuf import TufFormat
from trustserver.process.helper_process import FrameBroken, Helper, python_command, read_frame, write_frame
from trustserver.process.judge_process import JUDGE_MEMORY, open_judge
from trustserver.repository import judging
from trustserver.repository.formats import SERVED_NOTARY, SERVED_TUF, find_format
from trustserver.repository.judge_apart import JudgeApart, answer_question
from trustserver.repository.judging import UploadedFiles
from trustserver.repository.parsed_cache import ParsedCache
from trustserver.settings import Settings
from trustserver.storage.opening import open_store
from trustserver.storage.ports import MetadataStore, Publication

_TAGS = {f"v{number}": DIGEST for number in range(3000)}
"""As many as make an upload a large one."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Those of a server of this module's own."""
    return Settings(data=tmp_path_factory.mktemp("judged") / "data")


@pytest.fixture(scope="module")
def store(settings: Settings) -> Iterator[MetadataStore]:
    """Its database, in a file, as the process needs it."""
    opened = open_store(settings)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def helper(settings: Settings, store: MetadataStore) -> Iterator[Helper]:
    """The process."""
    with open_judge(settings) as started:
        yield started


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what is parsed in this process."""
    sizes: list[int] = []

    def noting(parse: Callable[..., Envelope]) -> object:
        def parse_noted(self: WireFormat, role: RoleName, raw: bytes, *, plain: PlainPart | None = None) -> Envelope:
            sizes.append(len(raw) if plain is None else len(plain.rest))
            return parse(self, role, raw, plain=plain)

        return parse_noted

    for kind in (TufFormat, NotaryFormat):
        monkeypatch.setattr(kind, "parse", noting(kind.parse))
    return sizes


def _tuf(store: MetadataStore, helper: Helper, gun: str) -> tuple[Site, Owner]:
    """A site whose large uploads the process judges, and a collection there."""
    site = Site(store, helper=helper)
    owner = site.begin(gun)
    owner.tags = dict(_TAGS)
    return site, owner


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every upload is a large one."""
    monkeypatch.setattr(judging, "LARGE_UPLOAD", 0)


class _Killed:
    """A helper whose process is killed when it has got the whole question, and before it can answer."""

    def __init__(self, helper: Helper) -> None:
        self._helper = helper

    def ask(self, frames: Iterable[bytes]) -> bytes:
        pid = self._helper.pid
        assert pid is not None

        def sent() -> Iterator[bytes]:
            yield from frames
            os.kill(pid, signal.SIGKILL)

        os.kill(pid, signal.SIGSTOP)
        return self._helper.ask(sent())


def test_a_large_upload_is_stored_and_never_parsed_by_the_server(
    store: MetadataStore, helper: Helper, parsed: list[int]
) -> None:
    gun = "example.com/large"
    site, owner = _tuf(store, helper, gun)
    raw = owner.targets()
    owner.tags["one-more"] = DIGEST
    following = owner.targets()
    parsed.clear()
    answer = site.publish({TARGETS: raw}, gun)
    assert (answer.status_code, answer.json()["versions"]["targets"]) == (200, 2)
    assert site.file("2.targets.json", gun).content == raw
    assert max(parsed, default=0) < 10_000, "root, snapshot and timestamp at most"
    assert site.publish({TARGETS: following}, gun).json()["versions"]["targets"] == 3
    assert max(parsed, default=0) < 10_000
    file = store.load(GUN(gun)).files[TARGETS]
    assert (file.version, file.expires) == (3, NOW + timedelta(days=365))


@pytest.mark.parametrize("wire", ["tuf-1.0", "notary-v1"])
def test_a_large_upload_in_an_uncommon_form_is_not_parsed_by_the_server_either(
    store: MetadataStore, helper: Helper, parsed: list[int], wire: str
) -> None:
    """Its tags are no plain ones, of which little needs to be parsed. How many there are is in the overview."""
    site = NotarySite(store, helper=helper)
    owner: Owner | NotaryOwner
    if wire == "tuf-1.0":
        gun = "example.com/uncommon"
        owner = site.begin(gun)
    else:
        gun = "example.com/uncommon-notary"
        owner = site.begin_notary(gun)
    owner.tags = dict(_TAGS)
    raw = owner.targets().replace(b'"length":', b'"length" :')
    assert find_plain_targets(raw, FORMS[wire]) is None
    parsed.clear()
    answer = site.publish({TARGETS: raw}, gun) if wire == "tuf-1.0" else site.upload({TARGETS: raw}, gun)
    assert answer.status_code == 200
    assert max(parsed, default=0) < 10_000, "root, snapshot and timestamp at most"
    assert store.load(GUN(gun)).files[TARGETS].raw == raw
    assert {row.summary.gun: row.tags for row in store.overviews(limit=100)}[GUN(gun)] == len(_TAGS)


def test_a_large_notary_upload_is_stored_and_never_parsed_by_the_server(
    store: MetadataStore, helper: Helper, parsed: list[int]
) -> None:
    """With a delegation and the owner's own snapshot."""
    site = NotarySite(store, helper=helper)
    owner = site.begin_notary(holds_snapshot=True)
    releases = owner.add_delegation("targets/releases")
    owner.tags = dict(_TAGS)
    files = {TARGETS: owner.targets(), releases: owner.targets(releases), SNAPSHOT: owner.snapshot()}
    parsed.clear()
    answer = site.upload(files)
    assert (answer.status_code, answer.content) == (200, b"")
    assert site.versions() == {"root": 1, "targets": 3, "targets/releases": 1, "snapshot": 2, "timestamp": 2}
    assert site.tuf("targets/releases.json").content == files[releases]
    assert max(parsed, default=0) < 10_000


@pytest.mark.parametrize("wire", ["tuf-1.0", "notary-v1"])
def test_what_is_refused_is_refused_in_the_same_words_as_in_the_server(
    store: MetadataStore, helper: Helper, parsed: list[int], wire: str
) -> None:
    documents = {**worst_admitted(wire), **beyond(wire)}
    chosen = ("objects", "escapes", "tags with custom", "nests", "depth")
    apart, here = NotarySite(store, helper=helper), NotarySite()
    for name in chosen:
        files = {TARGETS: documents[name], ROOT: document(wire)}
        answers = []
        for site in (here, apart):
            parsed.clear()
            answers.append(site.upload(files, "example.com/r") if wire == "notary-v1" else site.publish(files, GUN_A))
        assert answers[0].status_code in {400, 413, 422}, name
        assert (answers[1].status_code, answers[1].content) == (answers[0].status_code, answers[0].content), name
        assert parsed == []
    assert helper.pid is not None


def test_the_values_of_all_files_are_counted_before_any_is_parsed(
    store: MetadataStore, helper: Helper, parsed: list[int]
) -> None:
    """Each of the files is within its own limit."""
    raw = worst_admitted("tuf-1.0")["lists"]
    more = {RoleName(f"targets/{name}"): raw for name in ("releases", "alice", "bob")}
    for helped in (None, helper):
        answer = Site(store, helper=helped).publish({TARGETS: raw, **more, ROOT: document("tuf-1.0")})
        assert (answer.status_code, answer.json()["detail"]) == (413, "the upload holds more than 2500000 values")
        assert parsed == []


def test_a_version_conflict_and_a_missing_signature_are_named(store: MetadataStore, helper: Helper) -> None:
    gun = "example.com/conflicts"
    site, owner = _tuf(store, helper, gun)
    stranger = Owner()
    stranger.tags, stranger.versions = dict(_TAGS), {TARGETS: 1}
    answer = site.publish({TARGETS: stranger.targets()}, gun)
    assert (answer.status_code, answer.json()["code"]) == (422, "threshold-not-met")
    assert (answer.json()["threshold"], answer.json()["signed"]) == (1, [])
    owner.versions[TARGETS] = 4
    answer = site.publish({TARGETS: owner.targets()}, gun)
    assert (answer.status_code, answer.json()["offered"], answer.json()["stored"]) == (409, 5, 1)
    assert site.store.load(GUN(gun)).revision == 1


def test_a_small_upload_asks_nobody() -> None:
    site = Site()
    asked = AskedHere(site.store)
    beside = Site(site.store, helper=asked)
    owner = beside.begin()
    owner.tags = {**_TAGS}
    assert asked.asked == 0
    assert beside.publish({TARGETS: owner.targets()}).status_code == 200
    assert asked.asked == 1


def test_a_process_that_is_killed_refuses_one_upload_and_is_started_again(store: MetadataStore, helper: Helper) -> None:
    gun = "example.com/killed"
    site, owner = _tuf(store, helper, gun)
    raw = owner.targets()
    assert site.publish({TARGETS: raw}, gun).status_code == 200
    begun, killed = helper.started, helper.pid
    owner.tags["2.0"] = DIGEST
    raw = owner.targets()
    failing = Site(store, helper=_Killed(helper))
    answer = failing.publish({TARGETS: raw}, gun)
    assert (answer.status_code, answer.json()["code"]) == (503, "not-stored")
    assert "judging a large upload has ended (signal 9)" in answer.json()["detail"]
    assert store.load(GUN(gun)).revision == 2
    assert site.publish({TARGETS: raw}, gun).json()["versions"]["targets"] == 3
    assert (helper.started, helper.pid != killed) == (begun + 1, True)


def test_a_process_that_ended_between_two_uploads_is_started_for_the_next(store: MetadataStore, helper: Helper) -> None:
    gun = "example.com/idle"
    site, owner = _tuf(store, helper, gun)
    assert site.publish({TARGETS: owner.targets()}, gun).status_code == 200
    assert helper.pid is not None
    end = os.pidfd_open(helper.pid)
    os.kill(helper.pid, signal.SIGKILL)
    os.waitid(os.P_PIDFD, end, os.WEXITED | os.WNOWAIT)
    os.close(end)
    assert site.publish({TARGETS: owner.targets()}, gun).status_code == 200


def test_what_takes_more_memory_than_the_process_may_have_is_refused(
    settings: Settings, store: MetadataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # to be measured takes memory, too
    files = {TARGETS: beyond("notary-v1")["depth"], RoleName("targets/a"): beyond("notary-v1")["depth"]}
    upload = UploadedFiles(gun=GUN(GUN_N), files=files, at=NOW, served_format=SERVED_NOTARY)
    stored = ParsedCache(store).load(upload.gun)
    with open_judge(settings, memory=72 * 1024 * 1024) as small:
        against = JudgeApart(small).judging(upload)
        with pytest.raises(NotStored, match="takes more memory than it may have"):
            against(stored)
        assert small.pid is None


def test_an_answer_that_does_not_come_in_time_is_given_up() -> None:
    with Helper([sys.executable, "-c", "import sys; sys.stdin.read()"], what="waiting", seconds=0.01) as silent:
        with pytest.raises(NotStored, match=r"waiting took longer than 0\.01 seconds"):
            silent.ask([b"?"])
        assert silent.pid is None


@pytest.mark.parametrize("said", ["", "import sys; sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read(9)"])
def test_half_an_answer_is_none(said: str) -> None:
    with Helper([sys.executable, "-c", said], what="talking", seconds=60) as odd:
        with pytest.raises(NotStored, match="talking has ended"):
            odd.ask([b"?" * 5])
        assert odd.pid is None


def test_a_program_that_is_not_there_is_no_answer_either() -> None:
    missing = Helper(["/nonexistent/python"], what="nothing", seconds=1)
    with missing, pytest.raises(NotStored, match="for nothing cannot be started: No such file"):
        missing.ask([b"?"])


def test_a_closed_helper_starts_nothing() -> None:
    helper = Helper([sys.executable, "-c", ""], what="talking", seconds=60)
    helper.close()
    with pytest.raises(NotStored, match="stopping"):
        helper.ask([b"?"])
    assert helper.started == 0


def test_a_process_at_work_ends_when_nobody_can_ask_any_more() -> None:
    """Its question would keep it busy for ever."""
    program = (
        "import threading; from trustserver.process.helper_process import read_frame, serve_frames; "
        "serve_frames(lambda file: (read_frame(file), print('begun', flush=True), threading.Event().wait()))"
    )
    busy = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with busy:
        assert busy.stdin is not None
        assert busy.stderr is not None
        write_frame(busy.stdin, b"?")
        busy.stdin.flush()
        assert busy.stderr.readline() == b"begun\n", "what is printed goes to standard error, and is no answer"
        busy.stdin.close()
        assert busy.wait(timeout=60) == 0


def test_the_process_finds_its_modules_where_the_server_does_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    done = subprocess.run(python_command("trustserver.judge", "no order"), capture_output=True, check=False)
    assert done.returncode == 1
    assert b"JSONDecodeError" in done.stderr


def test_if_memory_runs_out_on_the_machine_the_process_goes_first(store: MetadataStore, helper: Helper) -> None:
    site, owner = _tuf(store, helper, "example.com/first-to-go")
    assert site.publish({TARGETS: owner.targets()}, "example.com/first-to-go").status_code == 200
    assert Path(f"/proc/{helper.pid}/oom_score_adj").read_text() == "1000\n"
    limits = Path(f"/proc/{helper.pid}/limits").read_text()
    assert re.search(rf"Max data size +{JUDGE_MEMORY} +{JUDGE_MEMORY} ", limits)
    assert re.search(r"Max core file size +0 +0 ", limits)


def test_frames_are_whole_or_refused() -> None:
    file = io.BytesIO()
    for content in (b"", b"one", b"\x00" * 5):
        write_frame(file, content)
    whole = file.getvalue()
    file.seek(0)
    assert [read_frame(file) for _ in range(4)] == [b"", b"one", b"\x00" * 5, None]
    for broken in (whole[:2], whole[4:-10], b"\xff" * 8):
        with pytest.raises(FrameBroken):
            read_frame(io.BytesIO(broken))


def test_a_large_import_is_verified_apart(store: MetadataStore, helper: Helper, parsed: list[int]) -> None:
    old = NotarySite()
    owner = old.begin_notary("example.com/imported")
    owner.tags = dict(_TAGS)
    assert old.upload({TARGETS: owner.targets()}, owner.gun).status_code == 200
    files = {str(role): file.raw for role, file in old.store.load(GUN(owner.gun)).files.items()}
    names = {"1.root" if role == ROOT else role: raw for role, raw in files.items()}
    site = NotarySite(store, helper=helper)
    parsed.clear()

    def take_over(parts: dict[str, bytes]) -> tuple[int, dict[str, object]]:
        sent = [("files", (name, raw)) for name, raw in parts.items()]
        answer = site.request("POST", f"/api/v1/collections/{owner.gun}/take-over", files=sent)
        return answer.status_code, answer.json()

    spoilt = files["targets"].replace(b'"length":1000', b'"length":1001', 1)
    status, refused = take_over({**names, "targets": spoilt})
    assert (status, refused["code"], refused["role"]) == (422, "content-mismatch", "targets")
    status, stored = take_over(names)
    assert (status, stored["versions"]) == (200, {"root": 1, "targets": 3, "snapshot": 2, "timestamp": 2})
    assert site.tuf("targets.json", owner.gun).content == files["targets"]
    assert max(parsed, default=0) < 10_000


@pytest.mark.parametrize("wire", ["tuf-1.0", "notary-v1"])
def test_a_judgement_leaves_nothing_to_a_garbage_collector(wire: str) -> None:
    """Accepted or refused: what waits for one holds megabytes."""
    owner: Owner | NotaryOwner
    site = NotarySite()
    owner = site.begin(signers=("alice",)) if wire == "tuf-1.0" else site.begin_notary()
    gun, role = (GUN(GUN_A), RoleName("targets/alice")) if isinstance(owner, Owner) else (GUN(owner.gun), TARGETS)
    served_format = find_format(wire)
    assert served_format is not None
    parsed = ParsedCache(site.store)
    owner.tags = dict(_TAGS)
    raw = owner.delegation(role, _TAGS) if isinstance(owner, Owner) else owner.targets()
    for files, expected in (({role: raw}, b'"revision"'), ({role: raw.replace(b"v2999", b"v3000")}, b'"error"')):
        upload = UploadedFiles(gun=gun, files=files, at=NOW, served_format=served_format)
        assert expected in answer_question(parsed, upload)  # what is imported and cached on the way is so now
        with without_collector():
            gc.set_debug(gc.DEBUG_SAVEALL)
            try:
                answer_question(parsed, upload)
                gc.collect()
                assert [found for found in gc.garbage if isinstance(found, Envelope | bytes)] == []
            finally:
                gc.set_debug(0)
                gc.garbage.clear()


def test_forty_uploads_take_no_more_memory_than_one(settings: Settings, store: MetadataStore) -> None:
    """In a process that has little more than one takes."""
    with open_judge(settings, memory=110 * 1024 * 1024) as small:
        site, owner = _tuf(store, small, "example.com/many")
        raw = owner.targets()
        upload = UploadedFiles(gun=GUN("example.com/many"), files={TARGETS: raw}, at=NOW, served_format=SERVED_TUF)
        stored = ParsedCache(site.store).load(upload.gun)
        versions = {JudgeApart(small).judging(upload)(stored).candidate.targets.version for _ in range(40)}
        assert (versions, small.started) == ({2}, 1)


# -- a collection that moves on meanwhile -------------------------------------------------------------------


def _moved(site: Site, owner: Owner) -> None:
    """Somebody else publishes, in another process: this server's memory does not know it."""
    signer = RoleName("targets/alice")
    site.app_publish({signer: owner.delegation(signer, {"a": DIGEST})})


@pytest.mark.usefixtures("large")
def test_what_was_judged_on_a_newer_state_than_the_server_remembers_is_judged_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site()
    owner = site.begin(signers=("alice",))
    asked = AskedHere(site.store)
    beside = Site(site.store, helper=asked)
    assert beside.publish({TARGETS: owner.targets()}).json()["revision"] == 2
    _moved(site, owner)
    tried: list[int] = []
    store_it = site.store.publish

    def noting(publication: Publication) -> int:
        tried.append(publication.base)
        return store_it(publication)

    monkeypatch.setattr(site.store, "publish", noting)
    assert beside.publish({TARGETS: owner.targets()}).json()["revision"] == 4
    assert asked.asked == 2
    assert tried == [3], "and nothing was signed for the old state"


@pytest.mark.usefixtures("large")
def test_a_collection_that_moves_before_the_judgement_is_read_again() -> None:
    site = Site()
    owner = site.begin(signers=("alice",))
    assert site.publish({TARGETS: owner.targets()}).status_code == 200

    def first_time() -> None:
        if asked.asked == 1:
            _moved(site, owner)

    asked = AskedHere(site.store, before=first_time)
    beside = Site(site.store, helper=asked)  # it remembers nothing
    answer = beside.publish({TARGETS: owner.targets()}).json()
    assert (answer["revision"], answer["versions"]["targets/alice"], asked.asked) == (4, 1, 1)


@pytest.mark.usefixtures("large")
def test_a_collection_that_moves_after_the_judgement_has_the_upload_judged_again() -> None:
    site = Site()
    owner = site.begin(signers=("alice",))

    def first_time() -> None:
        if asked.asked == 1:
            _moved(site, owner)

    asked = AskedHere(site.store, after=first_time)
    beside = Site(site.store, helper=asked)
    answer = beside.publish({TARGETS: owner.targets()}).json()
    assert (answer["revision"], answer["versions"]["targets/alice"], asked.asked) == (3, 1, 2)


@pytest.mark.usefixtures("large")
def test_a_refusal_counts_for_the_newest_state_only() -> None:
    """The server remembers an old state, and the upload does not follow the new one."""
    site = Site()
    owner = site.begin()
    asked = AskedHere(site.store)
    beside = Site(site.store, helper=asked)
    assert beside.publish({TARGETS: owner.targets()}).status_code == 200
    site.app_publish({TARGETS: owner.targets()})
    owner.versions[TARGETS] = 2
    answer = beside.publish({TARGETS: owner.targets()}).json()
    assert (answer["code"], answer["offered"], answer["stored"]) == ("version-conflict", 3, 3)
