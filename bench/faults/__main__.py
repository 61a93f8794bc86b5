"""Faults on the real parts under load: killed, stopped, slow, their disks full.

    python -m bench.faults [--only KIND]... [--rate 2000] [--sessions 1000] [--directory DIRECTORY]

Each kind of fault has a run of its own: `ratewire serve` with two workers, embedded Valkey and
Postgres in a new directory; bench.load reports usage at the rate, and retransmits until all is
answered. Each run ends with the conservation check of bench.main_job. Prints one JSON object; exits
1 if anything is not exact, does not resume in time, or is not in the log. See bench/README.md.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench.faults.campaign import campaign
from bench.faults.kinds import KINDS
from bench.machine import machine
from ratewire import logs


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(description=__doc__)
    names = [kind.name for kind in KINDS]
    made.add_argument("--only", action="append", choices=names, help="this kind; may be repeated")
    made.add_argument("--rate", type=float, default=2_000, help="records a second")
    made.add_argument("--sessions", type=int, default=1_000)
    made.add_argument("--directory", type=Path, help="where the data are (a real disk)")
    return made


def main() -> int:
    """Run from the command line; print the result as JSON."""
    arguments = parser().parse_args()
    logs.configure("error", None, role="bench")  # standard output is for the result
    results: list[dict[str, Any]] = []
    for kind in KINDS:
        if arguments.only and kind.name not in arguments.only:
            continue
        result = campaign(
            kind, arguments.directory, rate=arguments.rate, sessions=arguments.sessions
        )
        print(json.dumps(result), file=sys.stderr, flush=True)
        results.append(result)
    well = not any(result.get("wrong") for result in results)
    told = {"rate": arguments.rate, "sessions": arguments.sessions, "well": well}
    print(json.dumps({"machine": machine(), **told, "faults": results}, indent=2))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
