"""A rolling restart: two versions at once, each with its own function library, on one store."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from balances import functions
from balances.connection import Connection
from ratewire.embedded.servers import describe
from tests.acceptance.installation import WORKERS, Installation
from tests.acceptance.test_kills import Stage
from tests.support.servers import server_directory

NEXT: Final = "ratewire_next"

#: Python runs this at the start of every process that finds it on its path: it is then of the next
#: version, as far as the store can tell.
OF_THE_NEXT_VERSION: Final = f"""\
from balances import functions

this = functions.source
functions.source = lambda: this().replace({functions.LIBRARY!r}, {NEXT!r})
functions.LIBRARY = {NEXT!r}
"""


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A system of its own; at the end nothing of it runs."""
    with server_directory() as directory:
        stage = Stage(Installation(directory))
        try:
            yield stage
            assert stage.serving.stop() == 0, stage.serving.log()
        finally:
            stage.serving.kill_everything()


def test_two_versions_serve_the_same_sessions(stage: Stage, tmp_path: Path) -> None:
    """Forward, and back again: no record is lost or charged twice, and no session starts anew."""
    (tmp_path / "sitecustomize.py").write_text(OF_THE_NEXT_VERSION)
    of_the_next: dict[str, str] = {"PYTHONPATH": str(tmp_path)}
    with stage.traffic() as play:
        for environment in (of_the_next, {}):
            before = stage.serving
            after = stage.installation.start(**environment)
            try:
                play.traffic.run_until(
                    lambda a=after: (
                        len(a.role("listener")) == WORKERS
                        and called(stage.installation) == {functions.LIBRARY, NEXT}
                    )
                )
                play.traffic.run(0.5)
                play.assert_all_is_booked()
                play.traffic.run(0.2)
                stage.serving = after
            finally:
                status = before.stop()
            assert status == 0, before.log()
            play.traffic.run_until(after.is_ready)
            play.assert_all_is_booked()
        called(stage.installation)
        play.finish()
        assert called(stage.installation) == {functions.LIBRARY}


def called(installation: Installation) -> set[str]:
    """The libraries whose functions have been called since the last look."""
    [url] = [
        f"unix://{each.socket_path}"
        for each in describe(installation.data_dir)
        if each.name == "valkey"
    ]

    async def look() -> set[str]:
        connection = Connection(url)
        try:
            calls = await connection.command("SLOWLOG", "GET", "-1")
            # From now on every call is in it.
            await connection.command("CONFIG", "SET", "slowlog-max-len", 10_000)
            await connection.command("CONFIG", "SET", "slowlog-log-slower-than", 0)
            await connection.command("SLOWLOG", "RESET")
        finally:
            await connection.close()
        words: list[list[bytes]] = [call[3] for call in calls]
        named = [word[1].decode() for word in words if word[0].upper() == b"FCALL"]
        return {
            library
            for library in (functions.LIBRARY, NEXT)
            if any(name.startswith(f"{library}_") for name in named)
        }

    return asyncio.run(look())
