"""What the working parts tell becomes Prometheus's counters, also of processes that were killed."""

import os
import signal
import subprocess
import sys
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
