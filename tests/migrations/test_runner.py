"""Migrating a real database: in order, once, all or nothing, by one process at a time."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from migrations import runner
from tests.support.servers import DatabaseServer, database_server, fresh_database

__all__ = ["database_server"]

VERSIONS = runner.DIRECTORY / "versions"

# A revision that fails half-way.
BROKEN = """\
CREATE TABLE half_done (id integer);
INSERT INTO half_done VALUES (1);
SELECT 1 / 0;
"""
REVISION = """\
from migrations.steps import refuse, run_sql
revision = "9999"
down_revision = {head!r}
downgrade = refuse
def upgrade():
    run_sql(__file__)
"""


@pytest.fixture
def url(database_server: DatabaseServer) -> Iterator[str]:
    """The URL of a fresh, empty database."""
    with fresh_database(database_server, "template1") as fresh:
        yield fresh


async def fetch(url: str, query: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def test_an_empty_database_gets_every_revision_in_order(url: str) -> None:
    assert await runner.current(url) is None
    assert await runner.migrate(url) == runner.revisions()
    assert await runner.current(url) == runner.HEAD


async def test_a_second_run_applies_nothing(url: str) -> None:
    await runner.migrate(url)
    assert await runner.migrate(url) == []


async def test_a_migrated_database_has_partitions_for_this_month_and_three_more(url: str) -> None:
    await runner.migrate(url)
    names = await fetch(
        url,
        "SELECT count(*) FROM pg_inherits WHERE inhparent::regclass::text"
        " IN ('ledger_postings', 'usage_records')",
    )
    assert names == [(2 * (1 + runner.MONTHS_AHEAD),)]


async def test_two_processes_at_once_apply_each_revision_once(url: str) -> None:
    applied = await asyncio.gather(*(runner.migrate(url) for _ in range(4)))
    assert sorted(applied, reverse=True) == [runner.revisions(), [], [], []]


def test_head_is_the_newest_revision_and_the_chain_has_no_branches() -> None:
    numbers = runner.revisions()
    assert numbers[-1] == runner.HEAD
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


def test_every_sql_file_has_its_revision() -> None:
    stems = sorted(path.stem for path in VERSIONS.glob("*.sql"))
    assert stems == sorted(path.stem for path in VERSIONS.glob("*.py"))
    assert [stem[:4] for stem in stems] == runner.revisions()


def test_no_file_ends_its_transaction() -> None:
    for path in VERSIONS.glob("*.sql"):
        lines = path.read_text(encoding="utf-8").upper().splitlines()
        assert not [line for line in lines if line.startswith(("COMMIT", "ROLLBACK"))], path


async def test_a_database_of_a_newer_version_is_left_alone(url: str) -> None:
    await runner.migrate(url)
    await fetch(url, "UPDATE alembic_version SET version_num = '9998'")
    with pytest.raises(runner.MigrationError, match="9998, which this version does not know"):
        await runner.migrate(url)


async def test_a_database_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(runner.MigrationError, match="no connection"):
        await runner.migrate(f"postgresql://ratewire@/ratewire?host={tmp_path}")


async def test_a_revision_that_fails_leaves_nothing_and_those_before_it_stay(
    url: str, tmp_path: Path
) -> None:
    copy = tmp_path / "100% migrations"
    shutil.copytree(runner.DIRECTORY, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "versions" / "9999_broken.sql").write_text(BROKEN)
    (copy / "versions" / "9999_broken.py").write_text(REVISION.format(head=runner.HEAD))
    with pytest.raises(asyncpg.DivisionByZeroError):
        await runner.migrate(url, to="9999", directory=copy)
    assert await runner.current(url) == runner.HEAD
    assert await fetch(url, "SELECT to_regclass('half_done')::text") == [(None,)]


async def test_a_database_can_be_brought_up_in_parts(url: str) -> None:
    assert await runner.migrate(url, to="0001") == ["0001"]
    assert await runner.migrate(url) == runner.revisions()[1:]
