"""What the files in `versions` are made of."""

from pathlib import Path
from typing import Any, Never

import asyncpg
from alembic import op

#: A change that cannot have its locks soon gives up, rather than let all queries queue behind it.
LOCK_TIMEOUT = "10s"
STATEMENT_TIMEOUT = "30min"


def run_sql(revision_file: str) -> None:
    """Run the .sql file beside a revision's own file, in the revision's transaction, as it is.

    It goes to the driver whole, because SQLAlchemy prepares what it is given, and only a single
    statement can be prepared.
    """
    text = Path(revision_file).with_suffix(".sql").read_text(encoding="utf-8")
    bind = op.get_bind()
    # Through SQLAlchemy, and first: with its first statement it begins the driver's transaction.
    bind.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    bind.exec_driver_sql(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
    adapted: Any = bind.connection.dbapi_connection

    async def run(driver: "asyncpg.Connection[asyncpg.Record]") -> None:
        await driver.execute(text)

    adapted.run_async(run)


def refuse() -> Never:
    """Refuse to go back: a change is corrected by a further one."""
    raise NotImplementedError("migrations only go forward; restore a backup to go back")
