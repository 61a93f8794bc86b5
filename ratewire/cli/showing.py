"""demo and simulate: the system at work, and the NASes that give it work."""

import asyncio
import ipaddress
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from billing.reconcile.run import Reconciliation
from config.load import load
from ratewire import logs
from ratewire.cli.money import print_reconciliation
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    Refused,
    print_json,
    secret_value,
    settings_of,
)
from ratewire.demo import run as demo_run
from ratewire.demo.ground import taken
from ratewire.demo.show import logs_to
from ratewire.fleet.network import Weather
from ratewire.fleet.runner import Fleet, Scenario
from ratewire.fleet.summary import Summary
from ratewire.supervisor import stop_on_signals

#: How often a fleet looks whether the process that started it still lives.
PARENT_S = 0.5

#: RFC 2865, section 5: what an attribute can hold.
_USER_NAME_OCTETS = 253

Share = typer.Option(min=0.0, max=0.9, help="Share of the datagrams, 0 to 0.9.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(demo)
    app.command()(simulate)


def demo(
    seconds: Annotated[
        float | None, typer.Option(min=1, help="End after so long; default: at Ctrl-C.")
    ] = None,
    tty: Annotated[
        bool | None, typer.Option("--tty/--no-tty", help="Draw a live picture, or print lines.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """See it work: real servers, a simulated NAS fleet, and credit running out."""
    draws = _draws() if tty is None else tty
    options = demo_run.Options(config, seconds, draws)
    with taken(settings_of(config)) as ground:
        os.environ |= ground.overrides(os.environ)
        settings = load(config, os.environ)
        logs.configure(settings.log.level, settings.log.format, role="demo")

        async def work() -> Reconciliation | None:
            stop = stop_on_signals()
            # Who closes the terminal wants no servers left behind.
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, stop.set)
            return await demo_run.demo(settings, ground, options, stop)

        if draws:
            log_file = Path(settings.data.dir) / "demo.log"
            with logs_to(log_file):
                found = asyncio.run(work())
            print(f"what the processes logged is in {log_file}")
        else:
            found = asyncio.run(work())
    if found is None:
        print("stopped before there was anything to see")
        return
    print()
    print_reconciliation(found)
    if not found.exact:
        raise typer.Exit(1)


def _draws() -> bool:
    """Whether standard output is a terminal on which a picture can be drawn in place."""
    console = Console()
    return console.is_terminal and not console.is_dumb_terminal


def simulate(
    secret: Annotated[str, typer.Option(help="The NASes' shared secret: @FILE, - (stdin).")],
    server: Annotated[
        str, typer.Option(help="The accounting server: HOST or HOST:PORT.")
    ] = "127.0.0.1:1813",
    users: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many subscribers.")] = 50,
    user_format: Annotated[
        str, typer.Option(help="Their User-Names; {} is the number, from 1.")
    ] = "sim{:05d}",
    user: Annotated[
        list[str] | None, typer.Option(help="One User-Name, instead of --users; repeatable.")
    ] = None,
    nases: Annotated[int, typer.Option(min=1, max=4095, help="How many NASes.")] = 4,
    first_address: Annotated[
        str, typer.Option(help="Of the first NAS; the others have those after it.")
    ] = "127.96.0.1",
    coa_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Where they take Disconnects.")
    ] = 3799,
    interim: Annotated[
        float, typer.Option(min=0.05, max=86_400, help="Seconds between reports.")
    ] = 60.0,
    rate: Annotated[
        float | None, typer.Option(min=0.01, help="Records a second in all, instead of --interim.")
    ] = None,
    megabits: Annotated[
        float, typer.Option(min=0, max=100_000, help="Mean speed of a line, in Mbit/s.")
    ] = 20.0,
    spread: Annotated[
        float, typer.Option(min=0, help="The subscribers come in over so many seconds.")
    ] = 10.0,
    duplicates: Annotated[float, Share] = 0.0,
    loss: Annotated[float, Share] = 0.0,
    reorder: Annotated[float, Share] = 0.0,
    delay_time: Annotated[
        bool,
        typer.Option("--delay-time", help="Resend with Acct-Delay-Time and a new identifier."),
    ] = False,
    seed: Annotated[int, typer.Option(help="The same seed, the same subscribers.")] = 1,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="End after so long; default: at Ctrl-C.")
    ] = None,
    as_json: JsonOption = False,
    parent: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Simulate a NAS fleet against any server. Ends with what it sent, and what was answered."""
    names = _checked(user or _names(user_format, users))
    host, port = _address(server)
    scenario = Scenario(
        host=host,
        port=port,
        secret=secret_value(secret, "--secret"),
        users=names,
        first_address=_ipv4(first_address),
        coa_port=coa_port,
        nases=nases,
        interim=len(names) / rate if rate else interim,
        delay_time=delay_time,
        megabits=megabits,
        spread=spread,
        weather=Weather(loss=loss, duplicates=duplicates, reorder=reorder),
        seed=seed,
        seconds=seconds,
    )
    if not as_json:
        print(
            f"{nases} NASes from {first_address} on, {len(names)} subscribers, a report every"
            f" {scenario.interim:g} s each, to {host}:{port}; Ctrl-C ends it",
            file=sys.stderr,
        )

    async def work() -> Summary:
        fleet = asyncio.create_task(Fleet(scenario).run(stop_on_signals()))
        if parent is None:
            return await fleet
        return await _while_alive(parent, fleet)

    summary = asyncio.run(work())
    if as_json:
        print_json(summary)
        return
    for name, value in msgspec.structs.asdict(summary).items():
        told = value if isinstance(value, str) else f"{value:,}"
        print(f"{name.replace('_', ' '):22} {told:>16}")


async def _while_alive(parent: int, fleet: asyncio.Task[Summary]) -> Summary:
    """Run the fleet to its end, or until the process that started this one is gone."""
    while not fleet.done():
        await asyncio.wait({fleet}, timeout=PARENT_S)
        if os.getppid() != parent:
            raise Refused("whoever started this fleet is gone")
    return fleet.result()


def _names(user_format: str, users: int) -> list[str]:
    try:
        names = [user_format.format(number + 1) for number in range(users)]
    except (ValueError, LookupError, AttributeError) as error:
        raise Refused(
            f"--user-format {user_format!r}: {error}; write for example sim{{:05d}}"
        ) from error
    if len(set(names)) < len(names):
        raise Refused(f"--user-format {user_format!r} must have a {{}} for the number")
    return names


def _checked(names: list[str]) -> list[str]:
    for name in names:
        if not 1 <= len(name.encode()) <= _USER_NAME_OCTETS:
            raise Refused(f"user name {name!r}: it must have 1 to {_USER_NAME_OCTETS} octets")
    if len(set(names)) < len(names):
        raise Refused("--user names somebody twice; a subscriber has one session at a time")
    return names


def _address(server: str) -> tuple[str, int]:
    """The IPv4 address and port of HOST or HOST:PORT."""
    host, _, port = server.partition(":")
    if not host or (port and not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65535)):
        raise Refused(f"--server {server!r}: write HOST or HOST:PORT, a port is 1 to 65535")
    return _ipv4(host), int(port or 1813)


def _ipv4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address("127.0.0.1" if text == "localhost" else text))
    except ValueError as error:
        raise Refused(f"{text!r} is not an IPv4 address") from error
