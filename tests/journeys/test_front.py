"""Connections to the front of plain HTTP: what it leaves to the server behind, and that nothing is lost between."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import secrets
import socket
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.front_stage import (
    ANSWER,
    BIG,
    COLD,
    HOT,
    LARGE,
    LOOPS,
    PATH,
    Loop,
    Reads,
    Stage,
    connected,
    response,
    run,
)
from trustserver.responses import cache_control
from trustserver.responses.tuf import file_response
from trustserver.server.connection_timeouts import IDLE_SWEEPS


@LOOPS
def test_hot_reads_are_answered_without_the_server_behind(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            for second in (0, 0, 1):
                s.reads.at += second
                writer.write(HOT)
                head, body = await response(reader)
                assert body == b'{"a":1}'
                assert head[0] == b"HTTP/1.1 200 OK"
                assert b'etag: "' + b"ab" * 32 + b'"' in head
                assert f"date: Tue, 14 Nov 2023 22:13:{20 + int(s.reads.at) % 10:02d} GMT".encode() in head
            writer.write(HOT.replace(PATH, BIG))
            assert (await response(reader))[1] == b"x" * 3_000_000
        assert s.reads.answered == 4
        assert s.behind.accepted.empty()

    run(loop, scene)


@LOOPS
def test_what_the_client_has_already_is_not_sent_again(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            for name, tag, status in (
                (b"If-None-Match", b"ab", b"304 Not Modified"),
                (b"If-None-Match", b"cd", b"200 OK"),
                (b"User-Agent: If-None-Match", b"ab", b"200 OK"),
            ):
                writer.write(HOT[:-2] + name + b': "' + tag * 32 + b'"\r\n\r\n')
                head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
                assert head[0] == b"HTTP/1.1 " + status
                assert b'etag: "' + b"ab" * 32 + b'"' in head
                if status == b"200 OK":
                    assert await reader.readexactly(7) == b'{"a":1}'
        assert s.behind.accepted.empty()

    run(loop, scene)


@LOOPS
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda reads: reads.answers.clear(), id="not in the view, or due for renewal"),
        pytest.param(
            lambda reads: reads.answers.update({PATH: replace(ANSWER, packable=True)}), id="perhaps compressed"
        ),
    ],
)
def test_what_is_not_ready_goes_to_the_server_behind(loop: Loop, change: Callable[[Reads], None]) -> None:
    request = HOT.replace(b"\r\n\r\n", b"\r\nAccept-Encoding: gzip\r\n\r\n")

    async def scene(s: Stage) -> None:
        change(s.reads)
        async with s.client() as (reader, writer):
            writer.write(request)
            heard, said = await s.behind.accepted.get()
            assert await heard.readexactly(len(request)) == request
            said.write(b"from behind")
            assert await reader.readexactly(11) == b"from behind"
        assert s.reads.answered == 0

    run(loop, scene)


@LOOPS
def test_a_compressed_form_is_given_to_those_who_want_it(loop: Loop) -> None:
    packed = file_response(b"packed", "ab" * 32, cache=cache_control.REVALIDATE)
    plain = replace(ANSWER, packable=True, packed=packed)

    async def scene(s: Stage) -> None:
        s.reads.answers[PATH] = plain
        async with s.client() as (reader, writer):
            for wanted, body in ((b"gzip", b"packed"), (b"gzip;q=0", b'{"a":1}'), (b"br", b'{"a":1}')):
                writer.write(HOT[:-2] + b"Accept-Encoding: " + wanted + b"\r\n\r\n")
                assert (await response(reader))[1] == body
            writer.write(HOT[:-2] + b'Accept-Encoding: gzip\r\nIf-None-Match: "' + b"ab" * 32 + b'"\r\n\r\n')
            told = await reader.readuntil(b"\r\n\r\n")
            assert told.startswith(b"HTTP/1.1 304 "), "either form will do for who takes both"
        async with s.client() as (_, writer):  # two preferences: not for the front to judge
            writer.write(HOT[:-2] + b"Accept-Encoding: gzip\r\nAccept-Encoding: br\r\n\r\n")
            await s.behind.accepted.get()

    run(loop, scene)


@LOOPS
def test_the_first_other_request_takes_the_connection_behind_for_good(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(HOT)
            await response(reader)
            writer.write(COLD)
            heard, said = await s.behind.accepted.get()
            assert await heard.readexactly(len(COLD)) == COLD
            writer.write(HOT)
            assert await heard.readexactly(len(HOT)) == HOT
            said.write(b"one ")
            said.write(b"two")
            assert await reader.readexactly(7) == b"one two"
        assert s.reads.answered == 1

    run(loop, scene)


@LOOPS
@pytest.mark.parametrize("pieces", [[HOT[:10], HOT[10:]], [HOT + HOT], [HOT + COLD], [COLD + HOT], [HOT + b"\r\n"]])
def test_requests_in_other_pieces_reach_the_server_behind_byte_for_byte(loop: Loop, pieces: list[bytes]) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (_, writer):
            writer.write(pieces[0])
            heard, _ = await s.behind.accepted.get()
            for piece in pieces[1:]:
                writer.write(piece)
            every = b"".join(pieces)
            assert await heard.readexactly(len(every)) == every

    run(loop, scene)


@LOOPS
def test_large_bodies_pass_both_ways_and_slow_readers_get_all(loop: Loop) -> None:
    upload, download = secrets.token_bytes(6_000_000), secrets.token_bytes(7_000_000)

    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\n\r\n" + upload)
            heard, said = await s.behind.accepted.get()
            assert await heard.readuntil(b"\r\n\r\n")
            said.write(download)  # before anything of the upload is read, and before anybody reads this
            assert await heard.readexactly(len(upload)) == upload
            assert await reader.readexactly(len(download)) == download

    run(loop, scene)


@LOOPS
def test_neither_side_is_read_faster_than_the_other_takes(loop: Loop) -> None:
    """Otherwise one client could have the server hold any amount of its upload, or of the answer."""
    megabyte = bytes(1_000_000)

    async def scene(s: Stage) -> None:
        async with s.client() as (_, writer):
            writer.write(COLD)
            _, said = await s.behind.accepted.get()
            [connection] = s.front.connections
            assert connection._tunnel is not None
            assert connection._tunnel._server is not None
            for _ in range(30):
                writer.write(megabyte)
                said.write(megabyte)
                for _ in range(20):
                    await asyncio.sleep(0)
            assert connection._client.get_write_buffer_size() < 2_000_000
            assert connection._tunnel._server.get_write_buffer_size() < 2_000_000

    run(loop, scene)


@LOOPS
def test_a_client_that_has_said_all_still_gets_the_answer(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(COLD)
            heard, said = await s.behind.accepted.get()
            writer.write_eof()
            assert await heard.read() == COLD
            said.write(b"late answer")
            said.close()
            assert await reader.read() == b"late answer"

    run(loop, scene)


@LOOPS
def test_the_last_hot_answer_is_sent_whole_to_a_client_that_has_said_all(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(HOT.replace(PATH, BIG))
            writer.write_eof()
            assert (await response(reader))[1] == b"x" * 3_000_000
            assert await reader.read() == b""

    run(loop, scene)


@LOOPS
def test_either_end_that_goes_takes_the_other_with_it(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(COLD)
            _, said = await s.behind.accepted.get()
            said.write(b"bye")
            said.close()
            assert await reader.read() == b"bye"
        async with s.client() as (_, writer):
            writer.write(COLD)
            heard, _ = await s.behind.accepted.get()
            writer.close()
            assert await heard.read() == COLD

    run(loop, scene)


@LOOPS
def test_an_answer_that_comes_before_the_request_is_whole_is_not_lost(loop: Loop) -> None:
    """The server behind refuses a request by its head, and closes while the body is on its way."""

    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(COLD)
            heard, said = await s.behind.accepted.get()
            await heard.readexactly(len(COLD))
            (connection,) = s.front.connections
            with socket.socket(fileno=os.dup(said.get_extra_info("socket").fileno())) as own:
                own.send(b"refused")
                own.shutdown(socket.SHUT_RDWR)
            connection.data_received(b"the body")
            assert await reader.read() == b"refused"

    run(loop, scene)


@LOOPS
def test_no_server_behind_ends_the_connection_and_is_logged(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(s: Stage) -> None:
        s.front.behind = f"\0nobody-{secrets.token_hex(8)}"
        async with s.client() as (reader, writer):
            writer.write(COLD)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        assert "takes no connection" in caplog.text

    run(loop, scene)


@LOOPS
def test_without_a_file_for_the_way_behind_the_connection_ends(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """Left open, it would keep its own file for ever, also after its client has gone: so a flood would never end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(HOT)
            await response(reader)
            lowest_free = os.dup(0)
            os.close(lowest_free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
            writer.write(COLD)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert [vars(record)["reason"] for record in caplog.records] == ["[Errno 24] Too many open files"]

    try:
        run(loop, scene)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@LOOPS
def test_who_takes_no_answers_asks_no_more(loop: Loop) -> None:
    """Otherwise one client could have the server hold any number of answers for it."""
    request = HOT.replace(PATH, BIG)

    async def scene(s: Stage) -> None:
        client = connected(s.address)
        try:
            for _ in range(50):
                with contextlib.suppress(BlockingIOError):
                    client.send(request)
                for _ in range(20):
                    await asyncio.sleep(0)
            assert s.reads.answered < 5
        finally:
            client.close()

    run(loop, scene)


@LOOPS
def test_idle_connections_end_at_the_third_sweep(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (silent, _), s.client() as (reader, writer), s.client() as (tunnel, begin):
            begin.write(COLD)
            _, said = await s.behind.accepted.get()
            writer.write(HOT)
            await response(reader)
            for _ in range(IDLE_SWEEPS - 1):
                s.front.sweep()
            writer.write(HOT)
            await response(reader)
            s.front.sweep()
            with contextlib.suppress(ConnectionResetError):
                assert await silent.read() == b""
            writer.write(HOT)
            assert (await response(reader))[1] == b'{"a":1}'
            for _ in range(IDLE_SWEEPS + 1):
                s.front.sweep()
            said.write(b"still here")
            assert await tunnel.readexactly(10) == b"still here"

    run(loop, scene)


@LOOPS
def test_a_reader_that_takes_nothing_is_ended_and_a_slow_one_is_not(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (reader, writer):
            writer.write(HOT.replace(PATH, BIG))
            await reader.readexactly(100)
            [connection] = s.front.connections
            for taken in range(6):
                await reader.readexactly(400_000)
                s.front.sweep()
                assert connection in s.front.connections, taken
            for _ in range(IDLE_SWEEPS + 1):
                s.front.sweep()
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await reader.readexactly(LARGE.size)

    run(loop, scene)


@LOOPS
def test_a_stop_ends_what_is_idle_and_sends_what_is_on_its_way(loop: Loop) -> None:
    async def scene(s: Stage) -> None:
        async with s.client() as (idle, _), s.client() as (reader, writer), s.client() as (tunnel, begin):
            begin.write(COLD)
            _, said = await s.behind.accepted.get()
            writer.write(HOT.replace(PATH, BIG))
            await reader.readexactly(10)
            s.front.stop()
            assert await idle.read() == b""
            assert (await reader.read()).endswith(b"x" * 2_000_000)
            said.write(b"finished")
            said.close()
            assert await tunnel.read() == b"finished"
            with pytest.raises(OSError, match=r"."):
                connected(s.address)

    run(loop, scene)
