"""What Alembic is given, and what it refuses."""

from pathlib import Path

import asyncpg
import pytest
from alembic import command
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from migrations import runner
from migrations.upgrading import alembic_config, known_revisions
from tests.support.servers import DatabaseServer, database_server, fresh_database

__all__ = ["database_server"]


async def test_going_back_is_refused(database_server: DatabaseServer) -> None:
    with fresh_database(database_server, "template1") as url:
        await runner.migrate(url)

        async def connect() -> "asyncpg.Connection[asyncpg.Record]":
            return await asyncpg.connect(url)

        def downgrade(connection: Connection) -> None:
            config = alembic_config(runner.DIRECTORY)
            config.attributes["connection"] = connection
            command.downgrade(config, "-1")

        engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=connect, poolclass=NullPool
        )
        async with engine.connect() as connection:
            with pytest.raises(NotImplementedError, match="only go forward"):
                await connection.run_sync(downgrade)
        assert await runner.current(url) == runner.HEAD


def test_the_revisions_of_a_directory_come_oldest_first(tmp_path: Path) -> None:
    (tmp_path / "env.py").touch()
    assert known_revisions(tmp_path) == []
    (tmp_path / "versions").mkdir()
    for name, before in (("b", "a"), ("a", None)):
        text = f"revision = {name!r}\ndown_revision = {before!r}\n"
        (tmp_path / "versions" / f"{name}.py").write_text(text)
    assert known_revisions(tmp_path) == ["a", "b"]
