"""demo and simulate: the system at work, and the NASes that give it work."""

import asyncio
import ipaddress
import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from config.load import load
from ratewire import logs
from ratewire.cli.faults import Refused
from ratewire.cli.money import print_reconciliation
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    print_json,
    secret_value,
    settings_of,
)
from ratewire.demo import run as demo_run
from ratewire.fleet.network import Weather
from ratewire.fleet.runner import Fleet, Scenario
from ratewire.fleet.summary import Summary
from ratewire.supervisor import stop_on_signals

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
    settings = settings_of(config)
    os.environ |= demo_run.overrides(settings, os.environ)
    settings = load(config, os.environ)
    draws = sys.stdout.isatty() if tty is None else tty
    options = demo_run.Options(config, seconds, draws)

    async def work() -> bool:
        found = await demo_run.demo(settings, options, stop_on_signals())
        print()
        print_reconciliation(found)
        return found.exact

    logs.configure(settings.log.level, settings.log.format, role="demo")
    if draws:
        log_file = Path(settings.data.dir) / "demo.log"
        with demo_run.logs_to(log_file):
            exact = asyncio.run(work())
        print(f"what the processes logged is in {log_file}")
    else:
        exact = asyncio.run(work())
    if not exact:
        raise typer.Exit(1)


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
) -> None:
    """Simulate a NAS fleet against any server. Ends with what it sent, and what was answered."""
    names = user or _names(user_format, users)
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
        return await Fleet(scenario).run(stop_on_signals())

    summary = asyncio.run(work())
    if as_json:
        print_json(summary)
        return
    for name, value in msgspec.structs.asdict(summary).items():
        print(f"{name.replace('_', ' '):22} {value:>16,}" if value != "" else "", end="")
        print()


def _names(user_format: str, users: int) -> list[str]:
    try:
        names = [user_format.format(number + 1) for number in range(users)]
    except (ValueError, IndexError, KeyError) as error:
        raise Refused(
            f"--user-format {user_format!r}: {error}; write for example sim{{:05d}}"
        ) from (error)
    if len(set(names)) < len(names):
        raise Refused(f"--user-format {user_format!r} must have a {{}} for the number")
    return names


def _address(server: str) -> tuple[str, int]:
    """The IPv4 address and port of HOST or HOST:PORT."""
    host, _, port = server.partition(":")
    if not host or (port and not (port.isdigit() and 1 <= int(port) <= 65535)):
        raise Refused(f"--server {server!r}: write HOST or HOST:PORT, a port is 1 to 65535")
    return _ipv4(host), int(port or 1813)


def _ipv4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address("127.0.0.1" if text == "localhost" else text))
    except ValueError as error:
        raise Refused(f"{text!r} is not an IPv4 address") from error
