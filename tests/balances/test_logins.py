"""Grants of logins in the server: no key of theirs is left behind. Their contract: contract/."""

from tests.balances.keyspace import keyspace
from tests.balances.world import LIFETIME_MS, SESSION, World, uid_of


async def test_nothing_is_left_of_a_grant_that_expired(server_world: World) -> None:
    world = server_world
    await world.fund(1000)
    before = await keyspace(world.server)
    await world.grant(want=300)
    world.pass_ms(LIFETIME_MS)
    assert await world.logins.expire_grants(10) == (1, None)
    assert await keyspace(world.server) == before


async def test_a_session_leaves_one_entry_that_expires_by_itself(server_world: World) -> None:
    """In the index of its user's logins, which the next login clears."""
    world = server_world
    await world.fund(1000)
    uid = await world.grant(want=300)
    await world.book(uid=uid, takes_grant=True, grant=0)
    await world.book(open=False)
    key = f"{world.server.prefix}:lu:ute"
    assert len(await world.server.command("HGETALL", key)) == 1
    assert await world.server.command("PTTL", key) > 6 * 86_400_000
    assert not await world.server.command("KEYS", f"{world.server.prefix}:g*")
    await world.ask(SESSION, uid=uid_of(SESSION, 8))
    assert list(await world.server.command("HGETALL", key)) == [uid_of(SESSION, 8).hex().encode()]


async def test_what_is_no_grant_is_none(server_world: World) -> None:
    """A damaged value or pointer fails no batch."""
    world = server_world
    await world.fund(1000)
    uid = await world.grant(want=300)
    command, prefix = world.server.command, world.server.prefix
    await command("SET", f"{prefix}:g:{uid.hex()}", "odd")
    assert (await world.find(username="ute")).grant is None
    await command("SET", f"{prefix}:gs:{SESSION}", b"\xff not hex")
    assert (await world.find(username="ute")).grant is None
