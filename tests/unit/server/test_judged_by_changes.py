"""Large uploads that differ little from what is stored are judged by the server itself, in the words of the process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from tests.support.judged_apart import AskedHere
from tests.support.notary_owner import NotaryOwner
from tests.support.notary_site import GUN_N, NotarySite
from tests.support.server_owner import DIGEST, Owner
from tests.support.server_site import GUN_A
from trustdata.gun import GUN
from trustdata.roles import TARGETS
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.plain_targets import FORMS, find_plain_targets
from trustdata.wire.tuf import TUF
from trustserver.repository import judging
from trustserver.repository.stored_envelope import StoredEnvelope

_TAGS = {f"v{number}": DIGEST for number in range(3000)}
OTHER = "cd" * 32


@dataclass
class _Stage:
    """A collection of 3000 tags on a server that remembers it, and the judge beside that server."""

    site: NotarySite
    owner: Owner | NotaryOwner
    asked: AskedHere
    gun: str

    def upload(self, raw: bytes, site: NotarySite | None = None) -> tuple[int, bytes]:
        """Publish targets."""
        server = site or self.site
        if isinstance(self.owner, NotaryOwner):
            answer = server.upload({TARGETS: raw}, self.gun)
        else:
            answer = server.publish({TARGETS: raw}, self.gun)
        return answer.status_code, answer.content

    def version(self) -> int:
        """Return the version of targets that is stored."""
        return self.site.store.load(GUN(self.gun)).files[TARGETS].version


@pytest.fixture(params=["tuf-1.0", "notary-v1"])
def stage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> _Stage:
    """In both formats; python-tuf's second opinion is asked for, but does not keep the file from being judged here."""
    monkeypatch.setattr(judging, "SECOND_OPINION_BELOW", 0)
    first = NotarySite()
    asked = AskedHere(first.store)
    site = NotarySite(first.store, helper=asked)
    owner: Owner | NotaryOwner = site.begin() if request.param == "tuf-1.0" else site.begin_notary()
    made = _Stage(site=site, owner=owner, asked=asked, gun=GUN_A if request.param == "tuf-1.0" else GUN_N)
    owner.tags = dict(_TAGS)
    assert made.upload(owner.targets())[0] == 200
    assert asked.asked == 1, "the first large one is judged apart"
    return made


def test_one_tag_more_is_judged_here(stage: _Stage) -> None:
    for name in ("0", "v1500-more", "z"):
        stage.owner.tags[name] = OTHER
        assert stage.upload(stage.owner.targets())[0] == 200
    del stage.owner.tags["v1500"]
    raw = stage.owner.targets()
    assert stage.upload(raw)[0] == 200
    assert stage.asked.asked == 1
    assert stage.site.store.load(GUN(stage.gun)).files[TARGETS].raw == raw


def test_a_server_that_remembers_nothing_has_it_judged_apart(stage: _Stage) -> None:
    stage.owner.tags["one-more"] = OTHER
    fresh = NotarySite(stage.site.store, helper=stage.asked)
    assert stage.upload(stage.owner.targets(), fresh)[0] == 200
    assert stage.asked.asked == 2


def test_what_differs_in_much_is_judged_apart(stage: _Stage) -> None:
    stage.owner.tags = dict.fromkeys(_TAGS, OTHER)
    assert stage.upload(stage.owner.targets())[0] == 200
    assert stage.asked.asked == 2
    stage.owner.tags["one-more"] = DIGEST
    assert stage.upload(stage.owner.targets())[0] == 200
    assert stage.asked.asked == 2


def test_what_differs_beside_the_tags_is_judged_apart(stage: _Stage) -> None:
    raw = stage.owner.targets()
    grown = raw.replace(b'"targets":{"v0"', b'"a":"' + b"x" * 300_000 + b'","targets":{"v0"')
    assert stage.upload(grown)[0] in {400, 422}
    assert stage.asked.asked == 2


def test_an_upload_of_one_file_that_the_second_opinion_reads_is_judged_apart(
    stage: _Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "SECOND_OPINION_BELOW", 512 * 1024)
    stage.owner.tags["one-more"] = OTHER
    assert stage.upload(stage.owner.targets())[0] == 200
    assert stage.asked.asked == (2 if stage.gun == GUN_A else 1), "there is none in Notary v1"


_SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "another signature": lambda raw: raw.replace(b'"length":1000', b'"length":1001', 1),
    "a tag twice": lambda raw: raw.replace(b'"v1":', b'"v0":', 1),
    "no number": lambda raw: raw.replace(b'"length":1000', b'"length":1000.0', 1),
    "no end": lambda raw: raw[:-1],
    "custom": lambda raw: raw.replace(b'"length":1000', b'"custom":[],"length":1000', 1),
    "a member twice": lambda raw: raw.replace(b'"version":', b'"version":1,"version":', 1),
    "targets twice": lambda raw: raw.replace(b',"version":', b',"targets":{},"version":', 1),
    "no version": lambda raw: raw.replace(b'"version":', b'"wersion":', 1),
    "targets elsewhere": lambda raw: raw.replace(b'"targets":{"v0', b'"a":{"targets":{"v0', 1)[:-1] + b"}}",
    "an odd name": lambda raw: raw.replace(b'"v1500":', b'"v1500 ":', 1),
}


@pytest.mark.parametrize("name", _SPOILT)
def test_what_is_wrong_is_refused_in_the_words_of_the_judge_that_reads_all_of_it(stage: _Stage, name: str) -> None:
    spoilt = _SPOILT[name](stage.owner.targets())
    before = stage.version()
    expected = stage.upload(spoilt, NotarySite(stage.site.store, helper=stage.asked))
    assert stage.upload(spoilt) == expected
    assert expected[0] in {400, 413, 422}
    assert stage.version() == before


def test_another_spelling_of_what_is_signed_is_read_whole(stage: _Stage) -> None:
    raw = stage.owner.targets().replace(b'"v1500":', b' "v1500":', 1)
    assert stage.upload(raw)[0] == 200
    assert stage.asked.asked == 2


def test_a_file_that_is_not_as_it_was_said_to_be_is_read_whole(stage: _Stage) -> None:
    """What the process says of a file is a help and no verdict on what is in it."""
    file = stage.site.store.load(GUN(stage.gun)).files[TARGETS]
    wire: WireFormat = TUF if stage.gun == GUN_A else NOTARY
    plain = find_plain_targets(file.raw, FORMS[wire.name])
    assert plain is not None
    wrong = replace(plain, start=plain.start - 1)
    told, read = StoredEnvelope(file, wire, plain=wrong), StoredEnvelope(file, wire)
    assert told.plain == wrong
    assert len(told.targets.targets) == len(read.targets.targets) == len(_TAGS)
    assert told.payload == read.payload
    assert told.plain == plain
