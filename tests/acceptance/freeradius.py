"""Debian's FreeRADIUS with the module and the site that ship, on free ports."""

import os
import shutil
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.installation import HOST, eventually

PROGRAM = shutil.which("freeradius") or shutil.which("freeradius", path="/usr/sbin")
LIBRARIES = Path("/usr/lib/freeradius")
DEPLOYED = Path(__file__).parents[2] / "deploy" / "freeradius"

needs_freeradius = pytest.mark.skipif(
    PROGRAM is None or not (LIBRARIES / "rlm_rest.so").exists(),
    reason="FreeRADIUS is not installed: Debian packages freeradius and freeradius-rest",
)

_CONFIG = """
name = freeradius
libdir = {libraries}
run_dir = {directory}
logdir = {directory}
max_request_time = 30
cleanup_delay = 5
security {{
	max_attributes = 200
	reject_delay = 0
	status_server = yes
}}
client nases {{
	ipaddr = 127.0.0.0/8
	secret = {secret}
}}
thread pool {{
	start_servers = 2
	max_servers = 4
}}
modules {{
	pap {{
	}}
	chap {{
	}}
	mschap {{
	}}
	always reject {{
		rcode = reject
	}}
	$INCLUDE {directory}/module
}}
$INCLUDE {directory}/site
"""


@contextmanager
def freeradius(
    directory: Path, *, url: str, token: str, secret: bytes
) -> Generator[tuple[int, int]]:
    """Run it before a Ratewire; yields its ports for logins and accounting."""
    assert PROGRAM is not None
    auth, acct = _free_ports()
    shutil.copy(DEPLOYED / "mods-available" / "ratewire", directory / "module")
    site = (DEPLOYED / "sites-available" / "ratewire").read_text()
    site = site.replace("port = 0", f"port = {auth}", 1).replace("port = 0", f"port = {acct}", 1)
    (directory / "site").write_text(site.replace("ipaddr = *", f"ipaddr = {HOST}"))
    (directory / "radiusd.conf").write_text(
        _CONFIG.format(directory=directory, libraries=LIBRARIES, secret=secret.decode())
    )
    log = directory / "freeradius.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PROGRAM, "-X", "-d", directory, "-D", "/usr/share/freeradius", "-n", "radiusd"],
            stdout=output,
            stderr=output,
            env={**os.environ, "RW_URL": url, "RW_TOKEN": token},
        )
    try:
        eventually(
            lambda: "Ready to process requests" in log.read_text(errors="replace"),
            seconds=30,
            tell=lambda: log.read_text(errors="replace")[-2000:],
        )
        yield auth, acct
    finally:
        process.terminate()
        process.wait(20)


def _free_ports() -> tuple[int, int]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
    ):
        first.bind((HOST, 0))
        second.bind((HOST, 0))
        return first.getsockname()[1], second.getsockname()[1]
