"""migrate, nas, token: what the operator of the system does."""

import asyncio
import enum
from typing import Annotated

import typer

from billing.nas import register as nas_register
from billing.nas.client import NasEntry
from billing.tokens import register as tokens
from billing.tokens.register import IssuedToken, Role
from migrations import runner
from radius.profiles import builtin_profiles
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    Refused,
    moment,
    print_json,
    print_table,
    publish,
    run,
    secret_value,
    settings_of,
)
from ratewire.wiring import System, now, servers


def register(app: typer.Typer) -> None:
    """Add the commands."""
    nas = typer.Typer(help="The NASes that may speak: add, list, remove.", no_args_is_help=True)
    nas.command("add")(nas_add)
    nas.command("list")(nas_list)
    nas.command("remove")(nas_remove)
    token = typer.Typer(help="Tokens for the HTTP API: create, list, revoke.", no_args_is_help=True)
    token.command("create")(token_create)
    token.command("list")(token_list)
    token.command("revoke")(token_revoke)
    app.command()(migrate)
    app.add_typer(nas, name="nas")
    app.add_typer(token, name="token")


def migrate(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Bring the database's schema up to date."""
    settings = settings_of(config)

    async def work() -> list[str]:
        async with servers(settings) as (urls, _):
            return await runner.migrate(urls.database)

    applied = asyncio.run(work())
    if as_json:
        print_json({"applied": applied, "version": runner.HEAD})
    else:
        print(f"applied {', '.join(applied)}" if applied else "nothing to apply")
        print(f"the schema is at {runner.HEAD}")


class MessageAuthenticator(enum.StrEnum):
    """Whether a NAS's Access-Requests must have a Message-Authenticator."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    PROFILE = "profile"


_SIGNS = {
    MessageAuthenticator.REQUIRED: True,
    MessageAuthenticator.OPTIONAL: False,
    MessageAuthenticator.PROFILE: None,
}


def nas_add(
    name: Annotated[str, typer.Argument(help="A name for it, unique.")],
    source: Annotated[str, typer.Option(help="Where it sends from: an address, or a CIDR.")],
    secret: Annotated[str, typer.Option(help="The shared secret: @FILE, - (standard input).")],
    vendor: Annotated[str, typer.Option(help="Its profile.")] = "generic",
    coa_port: Annotated[int | None, typer.Option(help="Where it takes Disconnects.")] = None,
    coa_host: Annotated[str | None, typer.Option(help="If not where it sends from.")] = None,
    coa_bind: Annotated[
        str | None, typer.Option(help="Local address that Disconnects leave from.")
    ] = None,
    message_authenticator: Annotated[
        MessageAuthenticator,
        typer.Option(help="Of its Access-Requests; profile: as its vendor sends them."),
    ] = MessageAuthenticator.PROFILE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a NAS speak. Running listeners heed it at once."""
    known = builtin_profiles()
    if vendor not in known:
        raise Refused(f"vendor {vendor!r} is not known; allowed are {', '.join(known)}")
    shared = secret_value(secret, "--secret")

    async def work(system: System) -> NasEntry:
        pool = await system.pool()
        async with pool.acquire() as conn:
            entry = await nas_register.add(
                conn,
                system.keyring,
                name,
                source=source,
                secret=shared,
                vendor=vendor,
                coa_host=coa_host,
                coa_port=coa_port,
                coa_bind=coa_bind,
                signs_logins=_SIGNS[message_authenticator],
                now=now(),
            )
        await publish(system)
        return entry

    entry = run(config, work)
    if as_json:
        print_json(entry)
    else:
        print(f"NAS {entry.name} may speak from {entry.source}, vendor {entry.vendor}")


def nas_list(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the NASes."""

    async def work(system: System) -> list[NasEntry]:
        async with (await system.pool()).acquire() as conn:
            return await nas_register.list_(conn)

    entries = run(config, work, store=False)
    if as_json:
        print_json(entries)
    else:
        print_table(
            "NASes",
            ("name", "source", "vendor", "CoA host", "CoA port"),
            [(e.name, e.source, e.vendor, e.coa_host, e.coa_port) for e in entries],
        )


def nas_remove(name: str, config: ConfigOption = None) -> None:
    """Listen to a NAS no more."""

    async def work(system: System) -> None:
        async with (await system.pool()).acquire() as conn:
            await nas_register.remove(conn, name)
        await publish(system)

    run(config, work)
    print(f"NAS {name} is removed")


def token_create(
    role: Annotated[Role, typer.Option(help="What its holder may do.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token for the HTTP API. It is shown once; only its hash is kept."""

    async def work(system: System) -> str:
        async with (await system.pool()).acquire() as conn:
            return await tokens.create(conn, role, now())

    token = run(config, work, store=False)
    if as_json:
        print_json({"token": token, "role": role})
    else:
        print(token)


def token_list(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the tokens, newest first: their ids, and never themselves."""

    async def work(system: System) -> list[IssuedToken]:
        async with (await system.pool()).acquire() as conn:
            return await tokens.list_(conn)

    found = run(config, work, store=False)
    if as_json:
        print_json(found)
        return
    print_table(
        "Tokens",
        ("id", "role", "created (UTC)", "revoked (UTC)"),
        [
            (
                each.token_id,
                each.role.value,
                moment(each.created_at),
                None if each.revoked_at is None else moment(each.revoked_at),
            )
            for each in found
        ],
    )


def token_revoke(
    token_id: Annotated[str, typer.Argument(help="As `token list` shows it.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token invalid, at once and for good."""

    async def work(system: System) -> IssuedToken:
        async with (await system.pool()).acquire() as conn:
            return await tokens.revoke_by_id(conn, token_id, now())

    revoked = run(config, work, store=False)
    if as_json:
        print_json(revoked)
    else:
        print(f"token {revoked.token_id} ({revoked.role}) is revoked")
