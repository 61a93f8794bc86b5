"""The embedded Valkey's settings, and what it says about being ready."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ratewire.embedded.place import Place
from ratewire.embedded.programs import Programs
from ratewire.embedded.server import LOG_BOUND_OCTETS, Answer, Server
from ratewire.embedded.valkey import Valkey


@pytest.fixture
def valkey(place: Place) -> Valkey:
    return Valkey(place, place.prepare_run_directory(), 64)


@asynccontextmanager
async def scripted(server: Server, reply: bytes | None) -> AsyncGenerator[None]:
    """Somebody on the server's socket who sends `reply` and hangs up, or (None) says nothing."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        if reply is None:
            await reader.read()
        else:
            writer.write(reply)
        writer.close()

    listener = await asyncio.start_unix_server(respond, str(server.socket_path))
    async with listener:
        yield


def test_the_arguments_make_it_durable_bounded_and_private(valkey: Valkey) -> None:
    words = valkey.arguments()
    settings = dict(zip(words[::2], words[1::2], strict=True))
    assert settings["--port"] == "0"
    assert settings["--unixsocketperm"] == "700"
    assert settings["--appendonly"] == "yes"
    assert settings["--appendfsync"] == "always"
    assert settings["--save"] == ""
    assert settings["--maxmemory"] == "64mb"
    assert settings["--maxmemory-policy"] == "noeviction"
    assert settings["--aof-load-truncated"] == "yes"
    assert settings["--dir"] == str(valkey.data_directory)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (b"+PONG\r\n", Answer.READY),
        (b"-LOADING Valkey is loading the dataset in memory\r\n", Answer.LOADING),
        (b"-ERR what\r\n", Answer.SILENT),
        (b"", Answer.SILENT),
    ],
)
async def test_what_a_reply_means(valkey: Valkey, reply: bytes, answer: Answer) -> None:
    async with scripted(valkey, reply):
        assert await valkey.answer() is answer


async def test_no_listener_and_no_reply_are_silence(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratewire.embedded.valkey.ANSWER_SECONDS", 0.05)
    assert await valkey.answer() is Answer.SILENT
    async with scripted(valkey, None):
        assert await valkey.answer() is Answer.SILENT


def test_a_killed_servers_pid_is_forgotten_before_a_start(
    valkey: Valkey, programs: Programs
) -> None:
    """Its number may be somebody else's by now, and the new server writes its own only later."""
    valkey.prepare(programs)
    valkey.pid_file.write_text("1\n")
    valkey.prepare(programs)
    assert not valkey.pid_file.exists()


def test_its_log_is_bounded(valkey: Valkey, programs: Programs) -> None:
    valkey.prepare(programs)
    with valkey.log_file.open("wb") as file:
        file.truncate(LOG_BOUND_OCTETS)
    valkey.bound_logs()
    assert [path.name for path in valkey.data_directory.iterdir()] == ["valkey.log.1"]


def test_its_url_is_the_path_of_its_socket(valkey: Valkey) -> None:
    assert Path(valkey.url.removeprefix("unix://")) == valkey.socket_path
