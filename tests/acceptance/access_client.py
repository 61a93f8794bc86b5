"""A NAS that asks for logins, on a loopback address of its own."""

import itertools
import re
import socket
import subprocess
from typing import Any, Literal

import msgspec

from radius.requests import Attributes, access_request, read_reply
from tests.acceptance.installation import HOST
from tests.acceptance.radclient import PROGRAM

_identifiers = itertools.count()


class Asked(msgspec.Struct, frozen=True):
    """A genuine answer to a login."""

    accepted: bool
    attributes: dict[str, list[Any]]
    first: int
    """The type of its first attribute."""

    def __getitem__(self, name: str) -> Any:
        """The one value of an attribute."""
        [value] = self.attributes[name]
        return value


class AccessNas:
    """By pyrad's encoder, and the RFCs."""

    def __init__(self, address: str, port: int, secret: bytes) -> None:
        self.address = address
        self._port = port
        self._secret = secret

    def login(
        self,
        user: str,
        password: bytes | None,
        method: Literal["pap", "chap", "mschap2"] = "pap",
        *,
        signed: bool = True,
        wait_s: float = 5.0,
        **more: str | int | bytes,
    ) -> Asked | None:
        """The answer to a login; None if there is none. Further attributes have underscores."""
        attributes: Attributes = {
            "User-Name": user,
            "NAS-IP-Address": self.address,
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        request = access_request(
            attributes,
            secret=self._secret,
            identifier=next(_identifiers) % 256,
            password=password,
            method=method,
            message_authenticator=signed,
        )
        reply = self.ask(request, wait_s=wait_s)
        if reply is None:
            return None
        attributes = read_reply(request, reply, secret=self._secret)
        return Asked(reply[0] == 2, attributes, reply[20])

    def ask(self, request: bytes, *, wait_s: float = 5.0) -> bytes | None:
        """What comes back to these octets; None if nothing does in that time."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((self.address, 0))
            sock.settimeout(wait_s)
            sock.sendto(request, (HOST, self._port))
            try:
                return sock.recv(4096)
            except TimeoutError:
                return None


def by_radclient(address: str, port: int, secret: bytes, lines: str) -> str:
    """What radclient says of a login; it tells only answers that it has verified."""
    assert PROGRAM is not None
    done = subprocess.run(
        [PROGRAM, "-x", "-r", "1", "-t", "5", f"{HOST}:{port}", "auth", secret.decode()],
        input=f"Packet-Src-IP-Address = {address}\nMessage-Authenticator = 0x00\n{lines}\n",
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    found = re.search(r"^Received (\S+) Id.*", done.stdout, re.MULTILINE | re.DOTALL)
    return found[0] if found else done.stdout + done.stderr
