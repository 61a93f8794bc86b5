"""A NAS that speaks through pyrad: its client for ordinary records, its packets for odd ones."""

import socket
from collections.abc import Callable

from pyrad.client import Client, Timeout
from pyrad.packet import AcctPacket

from radius.dictionary import load_dictionary
from tests.acceptance.installation import HOST
from tests.acceptance.records import Attributes, Reply

_PROXY_STATE = 33
_STATUS_SERVER = 12


class PyradNas:
    """One NAS, on a loopback address of its own."""

    def __init__(self, address: str, port: int, secret: bytes) -> None:
        self.address = address
        self._port = port
        self._secret = secret
        self._client = self._connected(secret, wait_s=5.0)

    def close(self) -> None:
        """Close its socket."""
        self._client._CloseSocket()  # pyright: ignore[reportPrivateUsage] -- it has no other way

    def send(self, *records: Attributes) -> list[Reply]:
        """Send records one after the other, each when the one before it is answered.

        AssertionError if one is not.
        """
        return [self._exchange(self._client, _filled(self._client, record)) for record in records]

    def is_answered(self, record: Attributes, *, secret: bytes | None = None) -> bool:
        """Whether one transmission of a record is answered within a short time."""
        client = self._connected(secret or self._secret, wait_s=0.4)
        try:
            client.SendPacket(_filled(client, record))
        except Timeout:
            return False
        finally:
            client._CloseSocket()  # pyright: ignore[reportPrivateUsage]
        return True

    def retransmit(self, record: Attributes) -> Callable[[], int]:
        """Send a record three times, the same octets from the same port.

        What is returned waits for the one answer, and tells how often the datagram was sent.
        """
        datagram = self.datagram(record)
        for _ in range(3):
            datagram.send()

        def answered() -> int:
            with datagram:
                assert datagram.answer(5.0) is not None
                assert datagram.answer(0.2) is None, "answered twice"
            return datagram.sent

        return answered

    def ask_status(self) -> Reply:
        """Send a Status-Server."""
        return self._exchange(self._client, self._client.CreateAcctPacket(code=_STATUS_SERVER))

    def is_heard(self) -> bool:
        """Whether a Status-Server is answered within a short time: the NAS is known by then."""
        client = self._connected(self._secret, wait_s=0.4)
        try:
            client.SendPacket(client.CreateAcctPacket(code=_STATUS_SERVER))
        except Timeout:
            return False
        finally:
            client._CloseSocket()  # pyright: ignore[reportPrivateUsage]
        return True

    def datagram(self, record: Attributes) -> "Datagram":
        """A record as octets on a socket of its own, to be sent as often as one likes."""
        return Datagram(_filled(self._client, record), self.address, self._port)

    def _connected(self, secret: bytes, *, wait_s: float) -> Client:
        client = Client(HOST, acctport=self._port, secret=secret, dict=load_dictionary(), retries=1)
        client.timeout = wait_s
        client.bind((self.address, 0))
        return client

    def _exchange(self, client: Client, request: AcctPacket) -> Reply:
        try:
            reply = client.SendPacket(request)
        except Timeout as error:
            raise AssertionError(f"no genuine answer to {dict(request)}") from error
        return Reply(reply.code, tuple(reply.get(_PROXY_STATE, ())))


class Datagram:
    """The octets of one request, and the socket that sends them and hears what is answered."""

    def __init__(self, request: AcctPacket, address: str, port: int) -> None:
        self.octets = request.RequestPacket()
        self.sent = 0
        self._request = request
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self._socket.connect((HOST, port))

    def __enter__(self) -> "Datagram":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self) -> None:
        """Transmit it, or transmit it again."""
        self._socket.send(self.octets)
        self.sent += 1

    def answer(self, seconds: float) -> bytes | None:
        """The octets of the next answer, which pyrad has verified; None if none comes in time."""
        self._socket.settimeout(seconds)
        try:
            octets = self._socket.recv(4096)
        except TimeoutError:
            return None
        reply = self._request.CreateReply(packet=octets)
        assert self._request.VerifyReply(reply, octets), "an answer that is not genuine"
        return octets


def _filled(client: Client, record: Attributes) -> AcctPacket:
    request = client.CreateAcctPacket()
    for name, value in record.items():
        request.AddAttribute(name, value)
    return request
