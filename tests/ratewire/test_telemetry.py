"""What the working parts tell becomes Prometheus's counters, also of processes that were killed."""

import os
import resource
import signal
import struct
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from prometheus_client.multiprocess import MultiProcessCollector

PROGRAM = """
import sys, time
from ratewire.telemetry import Telemetry
telemetry = Telemetry("listener")
telemetry.count("record_opened", 3)
telemetry.count("record_opened", 0)
telemetry.count("record_opened")
telemetry.stage("commit", 0.004)
telemetry.stage("commit", 0.3)
for total in (5, 5, 9):
    telemetry.total("settled", total)
    telemetry.datagrams("acct", "dropped_malformed", total)
telemetry.datagrams("acct", "dropped_by_kernel", 2)
telemetry.datagrams("acct", "dropped_by_kernel", 0)  # the socket is closed, and knows no more
telemetry.journal(holding=True, records=3, octets=700, oldest_seconds=5, aside=1)
print("told", flush=True)
time.sleep(60)
"""


@contextmanager
def told(directory: Path, most_octets: int = resource.RLIM_INFINITY) -> Generator[str]:
    """What a process says that has counted, and lives; its files are bounded."""
    bound = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({most_octets},) * 2)"
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)}
    with subprocess.Popen(
        [sys.executable, "-c", bound + PROGRAM],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            said = ""
            while not said.endswith("told\n"):
                line = process.stdout.readline()
                assert line, said
                said += line
            yield said
        finally:
            process.kill()


def test_files_are_made_with_all_the_disk_they_take(tmp_path: Path) -> None:
    with told(tmp_path) as said:
        assert said == "told\n"
        files = list(tmp_path.iterdir())
        assert len(files) == 4
        for each in files:
            assert each.stat().st_blocks * 512 >= each.stat().st_size == 64 * 1024
            [used] = struct.unpack_from("i", each.read_bytes())
            assert 8 < used < 32 * 1024


def test_a_process_without_room_for_its_counts_works_all_the_same(tmp_path: Path) -> None:
    """A full disk; it had been killed by SIGBUS, and so had its successors."""
    with told(tmp_path, most_octets=4096) as said:
        assert "metrics are not kept" in said
        assert list(tmp_path.iterdir()) == []


def test_the_counts_of_all_processes_add_up_and_survive_them(tmp_path: Path) -> None:
    """Two processes, killed by the kernel; a third reads what they left."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "told\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(tmp_path))
    lines = generate_latest(registry).decode().splitlines()
    for line in (
        'ratewire_events_total{event="record_opened",role="listener"} 8.0',
        'ratewire_events_total{event="settled",role="listener"} 18.0',
        'ratewire_radius_datagrams_total{outcome="dropped_malformed",port="acct"} 18.0',
        'ratewire_radius_datagrams_total{outcome="dropped_by_kernel",port="acct"} 4.0',
        'ratewire_stage_seconds_count{role="listener",stage="commit"} 4.0',
        'ratewire_stage_seconds_bucket{le="0.005",role="listener",stage="commit"} 2.0',
        'ratewire_stage_seconds_bucket{le="0.5",role="listener",stage="commit"} 4.0',
        "ratewire_journal_holding 2.0",
        "ratewire_journal_records 6.0",
        "ratewire_journal_octets 1400.0",
        "ratewire_journal_oldest_seconds 5.0",
        "ratewire_journal_aside_records 2.0",
    ):
        assert line in lines
    for process in processes:  # as its supervisor does
        multiprocess.mark_process_dead(  # pyright: ignore[reportUnknownMemberType] -- untyped
            process.pid, str(tmp_path)
        )
    left = generate_latest(registry).decode()
    assert "ratewire_journal" not in left, "another process has the journal of a dead one"
    assert 'event="record_opened",role="listener"} 8.0' in left
