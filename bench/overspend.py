"""What prepaid credit is overspent, and what is left stranded, by the plan's policy.

    python -m bench.overspend [--hours 4] [--accounts 40] [--jobs 2]

A simulated fleet (bench.credit_world) for each policy, for interim reports every 60 s and every
300 s, and for 1 to 3 sessions an account. Credit runs out again and again, sessions are cut, and
some minutes later the account is topped up. Prints a table on standard error, and one JSON object.
See bench/README.md for what the columns mean.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from bench.credit_world import CreditWorld, Exhausted, Fleet
from bench.machine import machine
from billing.catalogue.planfile import read_plans
from ratewire import logs
from rating.plan import Policy

PLANS: Final = Path(__file__).parent.parent / "config" / "samples" / "plans.toml"
INTERIMS_S: Final = (60, 300)
SESSIONS: Final = (1, 2, 3)

#: EUR 5.00: 2.5 GB of the sample plan "metered".
TOPUP: Final = 5_000_000


def fleets(arguments: argparse.Namespace) -> list[Fleet]:
    """Return what is to be simulated, in the order of the table."""
    [plan] = [plan for plan in read_plans(PLANS) if plan.name == "metered"]
    plan = msgspec.structs.replace(plan, reserve_octets=arguments.reserve_mb * 1_000_000)
    return [
        Fleet(
            plan=msgspec.structs.replace(plan, policy=policy),
            interim_s=interim_s,
            sessions_an_account=sessions,
            accounts=arguments.accounts,
            hours=arguments.hours,
            topup=TOPUP,
            seed=arguments.seed,
        )
        for policy, interim_s, sessions in product(Policy, INTERIMS_S, SESSIONS)
    ]


def simulate(fleet: Fleet) -> dict[str, Any]:
    """Live through one fleet's hours."""
    logs.configure("error", None, role="bench")
    began = time.perf_counter()
    world = CreditWorld(fleet)
    world.run()
    tally = world.tally
    return {
        "policy": fleet.plan.policy.value,
        "interim_s": fleet.interim_s,
        "sessions_an_account": fleet.sessions_an_account,
        **shares(world.exhausted),
        "records": tally.acknowledged,
        "disconnects": world.obedient.disconnects_obeyed,
        "seconds": round(time.perf_counter() - began, 1),
    }


def shares(exhausted: Sequence[Exhausted]) -> dict[str, Any]:
    """Return overspent and stranded credit as shares of the revenue, in parts per million.

    The revenue is what accounts were charged until they last ran out, so that each part of it has
    its end of credit in the figures. Rounded half up.
    """
    revenue = sum(each.charged for each in exhausted)
    overspent = sum(each.overspent for each in exhausted)
    stranded = sum(each.stranded for each in exhausted)
    return {
        "times_exhausted": len(exhausted),
        "revenue_micros": revenue,
        "overspent_ppm": _ppm(overspent, revenue),
        "stranded_ppm": _ppm(stranded, revenue),
    }


def _ppm(part: int, whole: int) -> int:
    return (2_000_000 * part + whole) // (2 * whole) if whole else 0


def table(results: Sequence[dict[str, Any]]) -> Table:
    """Return the results as people read them."""
    made = Table()
    for title in ("policy", "interim", "sessions", "ran out", "overspent", "stranded"):
        made.add_column(title, justify="left" if title == "policy" else "right")
    for each in results:
        made.add_row(
            each["policy"],
            f"{each['interim_s']} s",
            str(each["sessions_an_account"]),
            str(each["times_exhausted"]),
            f"{each['overspent_ppm'] / 10_000:.2f} %",
            f"{each['stranded_ppm'] / 10_000:.2f} %",
        )
    return made


def main() -> None:
    """Run from the command line; print a table and the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=4)
    parser.add_argument("--accounts", type=int, default=40)
    parser.add_argument("--reserve-mb", type=int, default=10, help="the plan's reserve_octets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="fleets at the same time")
    arguments = parser.parse_args()
    wanted = fleets(arguments)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(simulate, wanted))
    Console(file=sys.stderr).print(table(results))
    told = {name: getattr(arguments, name) for name in ("hours", "accounts", "reserve_mb", "seed")}
    told |= {"megabits": wanted[0].megabits, "topup_micros": TOPUP}
    print(json.dumps({"machine": machine(), **told, "fleets": results}, indent=2))


if __name__ == "__main__":
    main()
