"""The demo's simulated NAS fleet: `ratewire simulate`, a process of its own."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec

from ratewire.demo.ground import LOOPBACK, NASES, DemoFailed, Ground
from ratewire.demo.stock import COA_PORT
from ratewire.fleet.summary import Summary

#: How long to wait for the fleet's last answers.
ENDS_S = 60.0

_INTERIM_S, _SPREAD_S, _MEGABITS = 4.0, 5.0, 20.0


class Traffic:
    """The fleet's process. It loads while the servers become ready, and waits for its secret."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        # Both pipes are read from the beginning, so that it never waits for us.
        self._said = asyncio.gather(_read(process.stdout), _read(process.stderr))

    def begin(self, secret: bytes) -> None:
        """Let the NASes come up."""
        self._input.write(secret)
        self._input.close()

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    async def end(self) -> Summary | None:
        """Stop all sessions, and return what the fleet did; None if it had not begun.

        Raises DemoFailed if it ended by itself before, or does not end.
        """
        allowed = (0, -signal.SIGTERM) if self.runs else ()
        if self.runs:
            self._process.terminate()
        try:
            async with asyncio.timeout(ENDS_S):
                status = await self._process.wait()
                summary, errors = await self._said
        except TimeoutError as error:
            raise DemoFailed(f"the simulated NASes did not end within {ENDS_S:.0f} s") from error
        finally:
            if self.runs:
                self._process.kill()
                await self._process.wait()
        if status not in allowed:
            said = errors.decode(errors="replace").strip() or "it said nothing"
            raise DemoFailed(f"the simulated NASes ended with status {status}: {said}")
        return msgspec.json.decode(summary, type=Summary) if summary else None

    @property
    def _input(self) -> asyncio.StreamWriter:
        assert self._process.stdin is not None
        return self._process.stdin


@asynccontextmanager
async def traffic(ground: Ground, users: Sequence[str]) -> AsyncGenerator[Traffic]:
    """Provide the fleet for these users; it is ended here if it was not before."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ratewire", "simulate", "--json", "--secret", "-"),
        *("--parent", str(os.getpid()), "--server", f"{LOOPBACK}:{ground.acct_port}"),
        *("--first-address", ground.first_address, "--coa-port", str(COA_PORT)),
        *("--nases", str(NASES), "--interim", str(_INTERIM_S), "--spread", str(_SPREAD_S)),
        *("--megabits", str(_MEGABITS), "--seed", str(time.time_ns() % 10**6)),
        *(part for user in users for part in ("--user", user)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    made = Traffic(process)
    try:
        yield made
    finally:
        if made.runs:
            with suppress(DemoFailed):
                await made.end()


async def _read(pipe: asyncio.StreamReader | None) -> bytes:
    assert pipe is not None
    return await pipe.read()
