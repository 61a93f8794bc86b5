"""Writing the books anew in a server: large ones, and odd names."""

from balances.messages import Account, RestoredSession, Subscriber
from tests.balances.keyspace import keyspace
from tests.balances.world import World, uid_of


async def test_a_restart_leaves_no_key_of_the_old_books(server_world: World) -> None:
    world = server_world
    assert world.connection is not None
    await world.keeping.fence("rebuilding")
    await world.restoration.restart(2)
    empty = await keyspace(world.connection)
    await world.keeping.fence("")
    for account in ("a", "a*[b]", "é\0"):
        await world.fund(5, account)
        await world.subscribe(f"user {account}", account)
        await world.cut(f"n?|{account}", account=account)
        await world.top_up(5, account)
        await world.book(f"m|{account}", account)
    await world.hot.commit([], [b"x"])
    await world.keeping.fence("rebuilding")
    await world.restoration.restart(2)
    assert await keyspace(world.connection) == empty


async def test_many_are_restored_in_one_call(server_world: World) -> None:
    world = server_world
    names = [f"a{number}" for number in range(3000)]
    await world.keeping.fence("rebuilding")
    await world.restoration.restart(2)
    await world.restoration.restore_accounts(
        [Account(name, "EUR", 7, 0, 5, 1, 1, 2, 3) for name in names]
    )
    await world.restoration.restore_subscribers(
        [(name, Subscriber(name, "metered")) for name in names]
    )
    await world.restoration.restore_sessions(
        [RestoredSession(f"n|{name}", "n", name, uid_of(name), True, 900, b"s") for name in names]
    )
    await world.keeping.fence("")
    books = await world.keeping.books()
    assert (books.accounts, books.open_sessions) == (3000, 3000)
    assert (books.totals["EUR"].balance, books.totals["EUR"].limit) == (21_000, 12_000)
    assert len((await world.due(limit=5000)).sessions) == 3000
