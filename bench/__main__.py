"""All benchmarks of `make bench`, one after the other, as one JSON object.

    python -m bench [--seconds N] [--sessions N]

See bench/README.md for the method and for what the figures mean.
"""

import argparse
import json
import subprocess
import sys
from typing import Any

from bench.machine import machine


def run(module: str, *arguments: str) -> dict[str, Any]:
    """Run one benchmark in a process of its own, and return what it measured."""
    print(f"bench.{module} {' '.join(arguments)}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{module}", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    result.pop("machine", None)
    return result


def main() -> None:
    """Run from the command line; print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", default="20", help="length of each load")
    parser.add_argument("--sessions", default="10000", help="open sessions of each load")
    arguments = parser.parse_args()
    load = ("--seconds", arguments.seconds, "--sessions", arguments.sessions)
    result = {
        "machine": machine(),
        "main_job": [
            run("main_job", "--workers", "1", *load),
            run("main_job", "--workers", "2", *load),
        ],
        "record_to_disconnect_request": run("cutting", "--sessions", arguments.sessions),
        "listener_by_stage": run("stages", "--sessions", arguments.sessions),
        "settlement": run("settlement"),
        "journal": run("journal"),
        "decoder": run("decode"),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
