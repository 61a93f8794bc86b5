"""Coverage-guided datagrams on the decoder and the engine, by atheris where it is installed.

    .venv/bin/pip install atheris
    .venv/bin/python -m tests.fuzz.coverage --seconds 60

An input is one byte that says how the rest is signed, and the rest. What is found to reach new
branches is mutated further; what raises, or is judged otherwise than by `verdict`, is written to
a file of libFuzzer's, and `python -m tests.fuzz.coverage FILE` replays it.
"""

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MISSING = "atheris is not installed (pip install atheris; it has no wheel for every machine)"


def is_available() -> bool:
    """Whether atheris is installed."""
    return find_spec("atheris") is not None


def run(seed: int, seconds: float, corpus: Path, replayed: Sequence[str]) -> None:
    """Fuzz for so long, or replay files. Does not return: libFuzzer ends the process."""
    # Before anything of ours is imported, so that all of it is instrumented.

    guided: Any = import_module("atheris")
    with guided.instrument_imports(include=["radius"]):
        import radius.engine
    from tests.fuzz.auditor import Audit
    from tests.fuzz.engine import NOW_MS, SOURCES, clients
    from tests.fuzz.mutation import Datagram, Mutator

    def signed(how: int, octets: bytes) -> bytes:
        if how < 64 or len(octets) < 20:
            return octets
        head = bytes((4, octets[1])) + len(octets).to_bytes(2)
        blank = head + bytes(16) + octets[20:]
        digest = hashlib.md5(blank + (SOURCES[0].secret or b""), usedforsecurity=False).digest()
        return head + digest + octets[20:]

    engine = radius.engine.Engine(clients())
    audit = Audit(engine, 30_000)

    def take(data: bytes) -> None:
        source = SOURCES[0] if data[:1] != b"\xff" else SOURCES[-1]
        octets = signed(data[0] if data else 0, data[1:])
        batch = [Datagram(octets, source, 49152)]
        intake = engine.receive(audit.addresses(batch), NOW_MS)
        audit.check(batch, intake, NOW_MS)
        for request in intake.requests:
            reply, _ = engine.answer(request, NOW_MS)
            audit.answered(request, reply, NOW_MS)

    if not replayed:
        mutator = Mutator(seed, SOURCES[:1], now=NOW_MS // 1000)
        for number in range(500):
            (corpus / f"begin-{number}").write_bytes(b"\x80" + mutator.next().octets[:4096])
    options = [f"-max_total_time={seconds:.0f}", f"-seed={seed}", "-max_len=4200", "-len_control=0"]
    where = replayed or [*options, f"-artifact_prefix={corpus}/", str(corpus)]
    guided.Setup([sys.argv[0], *where], take)
    guided.Fuzz()


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.coverage", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("files", nargs="*", help="to be replayed")
    asked = parser.parse_args()
    if not is_available():
        print(MISSING)
        return 1
    run(asked.seed, asked.seconds, Path(tempfile.mkdtemp(prefix="ratewire-fuzz-")), asked.files)
    return 0


if __name__ == "__main__":
    sys.exit(main())
