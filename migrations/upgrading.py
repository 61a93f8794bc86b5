"""Alembic at work. To load it takes longer than most commands take: `runner` does if it must."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

Connect = Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]


def alembic_config(directory: Path) -> Config:
    """Return what an alembic.ini would say; env.py takes the attribute `connection` from it."""
    config = Config()
    # A path may hold a %, which the configuration would take for an interpolation.
    config.set_main_option("script_location", str(directory).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def known_revisions(directory: Path) -> list[str]:
    """Return the revisions of a directory, oldest first."""
    scripts = ScriptDirectory.from_config(alembic_config(directory))
    return [revision.revision for revision in scripts.walk_revisions()][::-1]


async def upgrade(connect: Connect, directory: Path, to: str) -> None:
    """Apply a directory's revisions up to `to`, each in a transaction of its own."""
    config = alembic_config(directory)

    def run(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, to)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run)
