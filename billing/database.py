"""The connections to Postgres, and what its errors mean."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeAlias, TypeVar, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

CONNECT_SECONDS = 10

#: No statement of ours takes this long; one that does waits for something that will not come.
STATEMENT_SECONDS = 60

#: An idle transaction holds what others wait for; ours idle only while they wait for the store.
IDLE_SECONDS = 600

#: For the few statements that read or write all there is: SET LOCAL lifts the bounds of the server,
#: and this, as their timeout, that of the client.
WHOLE_SECONDS = 86_400.0

#: A server that vanished without closing its connections is noticed after this.
SILENCE_SECONDS = STATEMENT_SECONDS + 10

#: SQLSTATE classes of faults that are neither the statement's nor the data's: connection (08),
#: rollback (40), resources (53), operator (57), system (58).
_OUTSIDE = ("08", "40", "53", "57", "58")

#: Those of the data: data exception (22), integrity constraint (23).
_DATA = ("22", "23")

#: A lock that was not to be had in time, a transaction that idled, a standby that does not write.
_OUTSIDE_STATES = ("55P03", "25P03", "25006")


#: The role that connections work in (migrations 0018). It cannot change what is append-only.
APPLICATION_ROLE = "ratewire_application"

#: Whoever logs in steps down to it where it was migrated, and may. A login that is no more than
#: the role needs not; before the first migration there is nothing to step down from.
_STEP_DOWN = """
SELECT set_config('role', rolname, false) FROM pg_roles
WHERE rolname = $1 AND pg_has_role(session_user, oid, 'SET')
    AND has_table_privilege(oid, to_regclass('billing_transactions'), 'INSERT')
"""


class DatabaseUnavailable(Exception):
    """Postgres cannot be reached, or does not let us in; the message says which."""


async def connect(url: str, *, size: int, actor: str = "", source: str = "") -> Pool:
    """Return a pool of at most `size` connections to the database at `url`.

    On the trail of changes (billing.audit) what they do is by `actor`, from `source`, unless a
    transaction says otherwise; by the database's user if there is no actor.

    On its connections jsonb values are read as `bytes` of JSON text, for a typed decoder; they may
    be given as text, too. Raises DatabaseUnavailable when there is no connection at all.
    """
    try:
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=CONNECT_SECONDS,
            command_timeout=SILENCE_SECONDS,
            init=prepare,
            server_settings={
                "application_name": "ratewire",
                "statement_timeout": f"{STATEMENT_SECONDS}s",
                "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
                "timezone": "UTC",
                # Its plans take longer to compile than our statements take to run.
                "jit": "off",
                "ratewire.actor": actor,
                "ratewire.source": source,
            },
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable(f"no connection to the database: {_told(error)}") from error


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; raise DatabaseUnavailable if it takes longer than that.

    A server that has frozen keeps even the connection from being given back, so `work` is cancelled
    and then left to itself.
    """
    task = asyncio.create_task(work)
    _left_alone.add(task)
    task.add_done_callback(_ended)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        task.cancel()
    if not done:
        raise DatabaseUnavailable(f"the database does not answer within {seconds:g} s")
    return task.result()


_left_alone: set[asyncio.Task[Any]] = set()


def _ended(task: asyncio.Task[Any]) -> None:
    _left_alone.discard(task)
    if not task.cancelled():
        task.exception()  # whoever still waits is told; nobody may


async def prepare(connection: Connection) -> None:
    """Make a new connection speak as those of `connect` do, in the application's role."""
    await connection.fetchval(_STEP_DOWN, APPLICATION_ROLE)
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_to_jsonb, decoder=_from_jsonb, format="binary"
    )


def unavailable(error: BaseException) -> bool:
    """Return whether a statement failed for a reason outside of it, so that it may succeed later.

    The connection was lost or refused, Postgres shuts down, starts, is out of a resource, took too
    long, or rolled back because of another transaction. Whether it was committed is unknown if the
    statement was a commit.
    """
    if isinstance(error, DatabaseUnavailable | OSError):
        return True
    if isinstance(error, asyncpg.PostgresError):
        state = sqlstate(error)
        return state.startswith(_OUTSIDE) or state in _OUTSIDE_STATES
    # What asyncpg says of a connection that was lost under it: between two statements, and in the
    # middle of its own bookkeeping. Its other InterfaceErrors are bugs of ours.
    if isinstance(error, asyncpg.InterfaceError):
        lost = ("connection is closed", "released back to the pool")
        return any(words in str(error) for words in lost)
    return isinstance(error, asyncpg.InternalClientError)


def refused(error: BaseException) -> bool:
    """Return whether Postgres refused a statement for its data: out of range, or a constraint."""
    return isinstance(error, asyncpg.PostgresError) and sqlstate(error).startswith(_DATA)


def sqlstate(error: asyncpg.PostgresError) -> str:
    """Return the SQLSTATE of an error of Postgres, five characters."""
    return cast("str | None", getattr(error, "sqlstate", None)) or "XX000"


async def may_change_the_ledger(connection: Connection) -> bool:
    """Return whether this connection's role could, but for the triggers, change what was posted."""
    return await connection.fetchval(
        "SELECT bool_or(has_table_privilege(name, 'UPDATE, DELETE, TRUNCATE'))"
        " FROM unnest(ARRAY['billing_transactions', 'ledger_postings']) AS ledger (name)"
    )


async def schema_version(connection: Connection) -> str | None:
    """Return the revision of the schema (migrations.runner.HEAD); None if there is none."""
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    return await connection.fetchval("SELECT version_num FROM alembic_version")


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__


def _to_jsonb(text: bytes | str) -> bytes:
    octets = text.encode() if isinstance(text, str) else text
    return b"\x01" + octets  # the version of the binary format


def _from_jsonb(value: Any) -> bytes:
    return bytes(value[1:])
