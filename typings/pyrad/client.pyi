# ruff: noqa: A002, N802 - pyrad's own names
from pyrad.dictionary import Dictionary
from pyrad.packet import AcctPacket, Packet

class Timeout(Exception): ...

class Client:
    timeout: float
    retries: int
    def __init__(
        self,
        server: str,
        authport: int = ...,
        acctport: int = ...,
        coaport: int = ...,
        secret: bytes = ...,
        dict: Dictionary | None = ...,
        retries: int = ...,
        timeout: float = ...,
        enforce_ma: bool = ...,
    ) -> None: ...
    def bind(self, addr: tuple[str, int]) -> None: ...
    def CreateAcctPacket(self, *, code: int = ...) -> AcctPacket: ...
    def SendPacket(self, pkt: Packet) -> Packet: ...
    def _CloseSocket(self) -> None: ...
