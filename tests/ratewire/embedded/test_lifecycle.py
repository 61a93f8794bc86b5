"""Starting, adopting, waiting and stopping, with a real Valkey and a real Postgres."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from ratewire.embedded import lifecycle
from ratewire.embedded import server as server_module
from ratewire.embedded.errors import ServerStartError
from ratewire.embedded.lifecycle import Waited, start_or_adopt, stop, wait_until_ready
from ratewire.embedded.locks import FileLock
from ratewire.embedded.place import Place, claim_place
from ratewire.embedded.postgres import Postgres
from ratewire.embedded.process import ProcessIdentity
from ratewire.embedded.programs import Programs
from ratewire.embedded.server import Answer
from ratewire.embedded.valkey import Valkey
from tests.support.valkey_command import valkey_command


class SlowValkey(Valkey):
    """It takes half a millisecond over each command that it loads, and answers every 1,024."""

    def arguments(self) -> list[str]:
        return [*super().arguments(), "--key-load-delay", "500"]


@pytest.fixture
def valkey(place: Place) -> Valkey:
    return Valkey(place, place.prepare_run_directory(), 64)


@pytest.fixture
def postgres(data_dir: Path) -> Postgres:
    place = claim_place(data_dir)
    return Postgres(place, place.prepare_run_directory())


async def test_a_server_is_started_then_adopted_then_stopped(
    valkey: Valkey, programs: Programs
) -> None:
    first = await start_or_adopt(valkey, programs)
    again = await start_or_adopt(valkey, programs)
    assert (first.adopted, again.adopted) == (False, True)
    assert first.process == again.process == valkey.find()
    assert await stop(valkey)
    assert valkey.find() is None
    assert not valkey.socket_path.exists()
    assert await stop(valkey), "there is nothing to stop"


async def test_a_running_server_holds_its_lock(valkey: Valkey, programs: Programs) -> None:
    """Should its pid file be lost, still no second one is started on its data."""
    started = await start_or_adopt(valkey, programs)
    valkey.pid_file.unlink()
    lock = FileLock(valkey.lock_path)
    assert not lock.try_acquire()
    started.process.signal(signal.SIGKILL)
    assert await lock.acquire(timeout_seconds=30)
    lock.release()


async def test_no_second_server_starts_while_the_first_cannot_be_recognised(
    valkey: Valkey, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pid is not recorded, and this system hides the processes of others."""
    started = await start_or_adopt(valkey, programs)
    valkey.pid_file.unlink()
    monkeypatch.setattr(server_module, "session_leaders", tuple)
    monkeypatch.setattr(lifecycle, "LEFTOVER_SECONDS", 0.1)
    with pytest.raises(ServerStartError, match="still hold"):
        await start_or_adopt(valkey, programs)
    started.process.signal(signal.SIGKILL)
    assert await started.process.wait_until_gone(30)


async def test_a_server_that_has_not_recorded_its_pid_is_adopted_and_stopped(
    valkey: Valkey, programs: Programs
) -> None:
    """It has not come to it yet; or it cannot, since the disk is full."""
    started = await start_or_adopt(valkey, programs)
    valkey.pid_file.unlink()
    adopted = await start_or_adopt(valkey, programs)
    assert adopted.adopted
    assert adopted.process == started.process
    assert await stop(valkey)
    assert not started.process.is_alive()


async def test_killed_servers_start_again_with_what_they_had_acknowledged(
    valkey: Valkey, postgres: Postgres, programs: Programs
) -> None:
    killed = [await start_or_adopt(server, programs) for server in (valkey, postgres)]
    assert await valkey_command(valkey.url, "SET", "balance", "42") == "OK"
    connection = await asyncpg.connect(postgres.url)
    await connection.execute("CREATE TABLE ledger AS SELECT 42 AS micros")
    for started in killed:
        started.process.signal(signal.SIGKILL)
    for server in (valkey, postgres):
        started = await start_or_adopt(server, programs)
        assert not started.adopted
    assert await valkey_command(valkey.url, "GET", "balance") == "42"
    connection.terminate()
    connection = await asyncpg.connect(postgres.url)
    assert await connection.fetchval("SELECT micros FROM ledger") == 42
    await connection.close()
    assert await stop(valkey)
    assert await stop(postgres)


async def test_a_busy_session_of_a_killed_postgres_does_not_outlive_it(
    postgres: Postgres, programs: Programs
) -> None:
    """Its processes keep the lock, and a new postmaster waits for them rather than failing."""
    started = await start_or_adopt(postgres, programs)
    connection = await asyncpg.connect(postgres.url)
    sleeping = asyncio.create_task(connection.execute("SELECT pg_sleep(600)"))
    await asyncio.sleep(0)
    started.process.signal(signal.SIGKILL)
    again = await start_or_adopt(postgres, programs)
    assert not again.adopted
    with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
        await sleeping
    assert await stop(postgres)


async def test_a_server_that_loads_is_waited_for_beyond_the_limit_of_silence(
    place: Place, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading much data takes long, and says so."""
    valkey = SlowValkey(place, place.prepare_run_directory(), 64)
    await start_or_adopt(valkey, programs)
    script = "for i = 1, 6000 do redis.call('SET', 'key' .. i, 'x') end"
    await valkey_command(valkey.url, "EVAL", script, "0")
    await stop(valkey)
    monkeypatch.setattr(lifecycle, "SILENCE_SECONDS", 1.5)

    answers: list[Answer] = []
    ask = valkey.answer

    async def note_answer() -> Answer:
        answers.append(await ask())
        return answers[-1]

    monkeypatch.setattr(valkey, "answer", note_answer)
    began = asyncio.get_running_loop().time()
    await start_or_adopt(valkey, programs)
    assert asyncio.get_running_loop().time() - began > lifecycle.SILENCE_SECONDS
    assert Answer.LOADING in answers
    assert await valkey_command(valkey.url, "DBSIZE") == "6000"
    await stop(valkey)


async def test_a_server_that_dies_while_it_starts_shows_its_log(
    valkey: Valkey, programs: Programs
) -> None:
    """Here on a damaged append-only file, which is a case for people and not for a restart."""
    await start_or_adopt(valkey, programs)
    await valkey_command(valkey.url, "SET", "key", "value")
    await stop(valkey)
    for path in (valkey.data_directory / "appendonlydir").glob("*.incr.aof"):
        path.write_bytes(b"garbage\r\n" + path.read_bytes())
    with pytest.raises(ServerStartError, match="ended while it started") as caught:
        await start_or_adopt(valkey, programs)
    assert "Bad file format" in caught.value.log_tail


async def test_a_torn_last_command_is_dropped_and_the_rest_kept(
    valkey: Valkey, programs: Programs
) -> None:
    """What a power cut leaves of a command that was never acknowledged."""
    await start_or_adopt(valkey, programs)
    await valkey_command(valkey.url, "SET", "first", "1")
    await stop(valkey)
    [path] = (valkey.data_directory / "appendonlydir").glob("*.incr.aof")
    with path.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$6\r\nsec")
    await start_or_adopt(valkey, programs)
    assert await valkey_command(valkey.url, "DBSIZE") == "1"
    await stop(valkey)


async def test_an_unknown_setting_shows_the_early_output(place: Place, programs: Programs) -> None:
    """Valkey has not opened its log yet when it reads its settings."""

    class Misconfigured(Valkey):
        def arguments(self) -> list[str]:
            return [*super().arguments(), "--no-such-setting", "1"]

    with pytest.raises(ServerStartError, match="no-such-setting"):
        await start_or_adopt(Misconfigured(place, place.prepare_run_directory(), 64), programs)


async def test_a_frozen_server_is_an_error_and_not_replaced(
    valkey: Valkey, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be its disk that hangs: a second one on the same data would be no remedy."""
    started = await start_or_adopt(valkey, programs)
    started.process.signal(signal.SIGSTOP)
    monkeypatch.setattr(lifecycle, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr("ratewire.embedded.valkey.ANSWER_SECONDS", 0.05)
    with pytest.raises(ServerStartError, match="runs but does not answer"):
        await start_or_adopt(valkey, programs)
    assert valkey.find() == started.process
    started.process.signal(signal.SIGCONT)
    await stop(valkey)


async def test_a_server_without_its_socket_is_replaced(
    valkey: Valkey, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something cleared it away; nobody can ever reach that server again."""
    started = await start_or_adopt(valkey, programs)
    valkey.socket_path.unlink()
    monkeypatch.setattr(lifecycle, "NO_SOCKET_SECONDS", 0.1)
    again = await start_or_adopt(valkey, programs)
    assert not again.adopted
    assert again.process != started.process
    await stop(valkey)


async def test_a_server_that_is_stopping_is_waited_for_and_started_again(
    postgres: Postgres, programs: Programs
) -> None:
    started = await start_or_adopt(postgres, programs)
    started.process.signal(postgres.stop_signal)
    again = await start_or_adopt(postgres, programs)
    assert again.process != started.process
    await stop(postgres)


async def test_stopping_is_bounded_and_leaves_the_server_to_finish(
    valkey: Valkey, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = await start_or_adopt(valkey, programs)
    started.process.signal(signal.SIGSTOP)
    monkeypatch.setattr(lifecycle, "STOP_SECONDS", 0.1)
    assert not await stop(valkey)
    started.process.signal(signal.SIGCONT)
    assert await started.process.wait_until_gone(30), "it had been told"


async def test_waiting_ends_when_the_process_does(valkey: Valkey) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    gone = ProcessIdentity(pid=process.pid, start_ticks=1)
    assert await wait_until_ready(valkey, gone) is Waited.ENDED


async def test_other_settings_of_an_adopted_server_are_mentioned(
    valkey: Valkey, programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="ratewire.embedded")
    await start_or_adopt(valkey, programs)
    await start_or_adopt(valkey, programs)
    assert "other settings" not in caplog.text
    valkey.memory_mb = 128
    await start_or_adopt(valkey, programs)
    assert "runs with other settings" in caplog.text
    await stop(valkey)


async def test_a_server_is_out_of_reach_of_our_terminal(valkey: Valkey, programs: Programs) -> None:
    """Ctrl-C goes to the terminal's foreground group: the server is in another session."""
    started = await start_or_adopt(valkey, programs)
    assert os.getsid(started.process.pid) == started.process.pid != os.getsid(0)
    await stop(valkey)
