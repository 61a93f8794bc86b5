"""The desk is made of the settings and the system's own parts."""

from pathlib import Path

from config.load import load
from ratewire.access.credentials import Credentials
from ratewire.access.desk import Desk
from ratewire.access.office import desk_of
from ratewire.wiring import System, Urls
from tests.ratewire.provider import Counting


async def test_a_desk_is_made_without_a_connection(tmp_path: Path) -> None:
    config = tmp_path / "ratewire.toml"
    config.write_text(f'[data]\ndir = "{tmp_path}"\n[logins]\nreject_delay_ms = 0\n')
    system = System(load(config, {}), Urls("redis://127.0.0.1:1", "postgresql://u@127.0.0.1:1/d"))
    credentials = Credentials(system.keyring, threads=1)
    try:
        assert isinstance(desk_of(system, credentials, Counting()), Desk)
    finally:
        credentials.close()
        await system.close()
