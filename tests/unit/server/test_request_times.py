"""The histogram of /metrics: every request that is not answered from memory, in one of two kinds."""

from __future__ import annotations

import re

from tests.support.server_site import GUN_A, Site


def counted(site: Site) -> dict[str, float]:
    text = site.get("/metrics").text
    return {kind: float(number) for kind, number in re.findall(r'_request_seconds_count\{kind="(\w+)"\} (\S+)', text)}


def test_reads_and_changes_are_counted_apart_also_if_they_are_refused() -> None:
    site = Site()
    site.begin()
    before = counted(site)
    assert site.get("/tuf/nobody.example.com/x/metadata/1.root.json").status_code == 404
    assert site.publish({}).status_code == 400
    after = counted(site)
    assert after["change"] == before["change"] + 1
    assert after["read"] == before["read"] + 2, "the page of metrics itself, too"


def test_what_is_in_memory_is_not_measured() -> None:
    site = Site()
    site.begin()
    site.get(f"/tuf/{GUN_A}/metadata/timestamp.json")
    before = counted(site)
    assert site.get(f"/tuf/{GUN_A}/metadata/timestamp.json").status_code == 200
    assert counted(site)["read"] == before["read"] + 1, "the page alone"


def test_the_version_is_told() -> None:
    assert re.search(r'trust_server_info\{version="[0-9][^"]*"\} 1\.0', Site().get("/metrics").text)
