"""One event a line: JSON for machines, on standard error, whoever tells it.

In a process of its own, since logging is set up once for all.
"""

import json
import subprocess
import sys
from typing import Any

PROGRAM = """
import logging, structlog
from ratewire import logs
early = structlog.get_logger("early")
logs.configure({level!r}, {style!r}, role="listener-3")
early.info("made before", number=1)
structlog.get_logger("ours").warning("ours", error="it failed", secret=repr(b"x"))
logging.getLogger("radius.listener").warning("dropped %d from %s", 2, "192.0.2.1")
logging.getLogger("radius.listener").info("not of interest at the level warning")
try:
    raise ValueError("the cause")
except ValueError:
    structlog.get_logger("ours").exception("failed whole")
print("not a log")
"""


def told(level: str, style: str | None) -> list[str]:
    program = PROGRAM.format(level=level, style=style)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "not a log\n"), done.stderr
    return done.stderr.splitlines()


def test_what_is_no_terminal_gets_json_of_every_library() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in told("info", None)]
    assert [line["event"] for line in lines] == [
        "made before",
        "ours",
        "dropped 2 from 192.0.2.1",
        "not of interest at the level warning",
        "failed whole",
    ]
    assert {line["role"] for line in lines} == {"listener-3"}
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert [line["level"] for line in lines] == ["info", "warning", "warning", "info", "error"]
    assert lines[2]["logger"] == "radius.listener"
    assert "ValueError: the cause" in lines[-1]["exception"]


def test_a_level_keeps_what_is_below_it_out() -> None:
    lines = [json.loads(line) for line in told("warning", "json")]
    assert [line["event"] for line in lines] == ["ours", "dropped 2 from 192.0.2.1", "failed whole"]


def test_people_get_lines_to_read() -> None:
    lines = told("warning", "console")
    assert "ours" in lines[0]
    assert "role=listener-3" in lines[0]
    assert "\\x1b" not in repr(lines[0]), "no colours where no terminal is"
    assert any("ValueError: the cause" in line for line in lines)


def test_libraries_do_not_tell_of_every_attempt() -> None:
    program = (
        "import logging; from ratewire import logs\n"
        "logs.configure({level!r}, 'json', role='x')\n"
        "logging.getLogger('alembic.runtime.plugins').info('setup plugin')\n"
        "logging.getLogger('asyncpg.pool').warning('Failed to restore', exc_info=True)\n"
        "logging.getLogger('alembic.ddl').warning('of interest')\n"
        "logging.getLogger('asyncpg.pool').error('of interest')\n"
    )
    for level, count in (("debug", 2), ("error", 1)):
        command = [sys.executable, "-c", program.format(level=level)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == (
            ["of interest"] * count
        )
