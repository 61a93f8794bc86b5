# ruff: noqa: A002, N802 - pyrad's own names
from collections import OrderedDict
from typing import Any

from pyrad.dictionary import Dictionary

class PacketError(Exception): ...

# Keys are attribute names, whose values are encoded and decoded by the dictionary, or types, whose
# values are lists of raw octets.
class Packet(OrderedDict[Any, Any]):
    code: int
    id: int
    secret: bytes
    authenticator: bytes | None
    message_authenticator: bool | None
    raw_packet: bytes | None
    def __init__(
        self,
        code: int = ...,
        id: int | None = ...,
        secret: bytes = ...,
        authenticator: bytes | None = ...,
        *,
        dict: Dictionary | None = ...,
        packet: bytes = ...,
        message_authenticator: bool | None = ...,
    ) -> None: ...
    def AddAttribute(self, key: str, value: object) -> None: ...
    def add_message_authenticator(self) -> None: ...
    def verify_message_authenticator(
        self,
        secret: bytes | None = ...,
        original_authenticator: bytes | None = ...,
        original_code: int | None = ...,
    ) -> bool: ...
    def VerifyReply(
        self, reply: Packet, rawreply: bytes | None = ..., enforce_ma: bool = ...
    ) -> bool: ...
    def ReplyPacket(self) -> bytes: ...

class AuthPacket(Packet):
    def CreateReply(self, *, packet: bytes = ...) -> AuthPacket: ...
    def RequestPacket(self) -> bytes: ...

class AcctPacket(Packet):
    def CreateReply(self, *, packet: bytes = ...) -> AcctPacket: ...
    def VerifyAcctRequest(self) -> bool: ...
    def RequestPacket(self) -> bytes: ...

class CoAPacket(Packet):
    def CreateReply(self, *, packet: bytes = ...) -> CoAPacket: ...
    def VerifyCoARequest(self) -> bool: ...
    def RequestPacket(self) -> bytes: ...
