"""The function library: loaded where it is missing or another, under versioned names."""

from balances import functions
from tests.balances.world import World


async def test_a_library_that_is_there_is_not_loaded_again(server_world: World) -> None:
    sent: list[object] = []
    assert server_world.connection is not None
    command = server_world.connection.command

    async def execute(*arguments: bytes | str | int) -> object:
        sent.append(arguments[1])
        return await command(*arguments)

    await functions.load(execute)
    assert sent == ["LIST"]
    await functions.load(execute, functions.source() + "\n-- another\n")
    assert sent == ["LIST", "LIST", "LOAD"]


async def test_the_library_is_loaded_by_the_first_call(server_world: World) -> None:
    """As after the functions were flushed, or on a new master that never had them."""
    assert server_world.connection is not None
    await server_world.connection.command("FUNCTION", "FLUSH")
    await server_world.fund(5)
    assert (await server_world.account()).balance == 5


async def test_versions_of_the_library_live_side_by_side(server_world: World) -> None:
    """In a rolling restart old workers call the old functions, new ones the new."""
    assert server_world.connection is not None
    other = functions.source().replace(functions.LIBRARY, "ratewire_next")
    await server_world.connection.command("FUNCTION", "LOAD", "REPLACE", other)
    try:
        await server_world.fund(5)
        answer = await server_world.connection.command(
            "FCALL_RO", "ratewire_next_inspect", 1, server_world.connection.prefix, "alice"
        )
        assert answer[0][0] is not None
    finally:
        await server_world.connection.command("FUNCTION", "DELETE", "ratewire_next")


def test_every_function_carries_the_version() -> None:
    registered = [
        line for line in functions.source().splitlines() if line.startswith("redis.register")
    ]
    assert len(registered) > 10
    assert all(f"'{functions.LIBRARY}_" in line for line in registered)
