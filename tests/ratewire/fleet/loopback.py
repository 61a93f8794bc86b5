"""Addresses on loopback for the NASes of one test, which no other test has at that time."""

import socket
from contextlib import ExitStack
from random import SystemRandom

_RANDOM = SystemRandom()


def free_ground(addresses: int = 4) -> tuple[str, int]:
    """The first of some addresses in a row, and a CoA port that is free on all of them."""
    while True:
        first = f"127.97.{_RANDOM.randrange(256)}"
        with ExitStack() as stack:
            port = 0
            try:
                for number in range(1, addresses + 1):
                    port = bound(stack, f"{first}.{number}", port)
            except OSError:
                continue
        return f"{first}.1", port


def bound(stack: ExitStack, address: str, port: int) -> int:
    """Bind a UDP port of an address for as long as `stack` lasts; return the port."""
    taken = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    taken.bind((address, port))
    return taken.getsockname()[1]
