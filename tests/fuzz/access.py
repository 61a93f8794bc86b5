"""Rounds of hostile Access-Requests and answers to our own requests, all outcomes checked.

A round is one seed. What is signed right is made so after it was changed, so that it gets past the
Message-Authenticator; whether it is right is told by a second reading, with hashlib alone.
"""

import hashlib
import hmac
import random
import time
from collections import Counter
from typing import Literal

import msgspec
import psutil

from radius.access import Answer, Login, Unproven
from radius.access_engine import AccessEngine, AccessRequest
from radius.clients import Client, ClientTable, network
from radius.dynauth import Exchange, Outcome, Verdict, coa_request, disconnect_request
from radius.encoding import encode
from radius.passwords import Chap, MsChap2, Pap, chap_proves, mschap2_proves, nt_hash
from radius.profiles import builtin_profiles
from radius.requests import access_request
from tests.fuzz.engine import GROWTH_OCTETS, LIFETIME_MS, NOW_MS

ROUND = 10_000
SECRET = b"access-secret"
_ADDRESS = ("192.0.2.1", 40_000)
_HASHED = nt_hash(b"sesame")
_RULES = builtin_profiles()["generic"].coa


class Told(msgspec.Struct):
    """What a run has shown."""

    datagrams: int = 0
    requests: int = 0
    verdicts: int = 0
    rounds: int = 0
    growth_octets: int = 0
    reasons: dict[str, int] = msgspec.field(default_factory=dict[str, int])


METHODS: tuple[Literal["pap", "chap", "mschap2"], ...] = ("pap", "chap", "mschap2")


def bases() -> list[bytes]:
    """Access-Requests of every kind, as NASes send them."""
    common = {
        "User-Name": "alice",
        "NAS-Identifier": "n",
        "Calling-Station-Id": "00-53-00-00-00-01",
    }
    made = [
        access_request(common, secret=SECRET, identifier=1, password=b"sesame", method=method)
        for method in METHODS
    ]
    made.append(
        access_request({**common, "EAP-Message": b"\2\1\0\6\1a"}, secret=SECRET, identifier=2)
    )
    made.append(access_request({**common, "Proxy-State": b"p" * 40}, secret=SECRET, identifier=3))
    made.append(access_request({**common, "Service-Type": 10}, secret=SECRET, identifier=4))
    return made


class Bench:
    """An authentication port whose client signs, and one whose client does not."""

    def __init__(self) -> None:
        self.told = Told()
        self._reasons: Counter[str] = Counter()
        self._bases = bases()
        self._engines = {
            signs: AccessEngine(
                ClientTable(
                    [
                        Client(
                            name="n",
                            source=network("192.0.2.0/24"),
                            secret=SECRET,
                            signs_logins=signs,
                        )
                    ]
                ),
                reply_lifetime_ms=LIFETIME_MS,
            )
            for signs in (True, False)
        }
        self._now_ms = NOW_MS

    def round(self, seed: int, datagrams: int = ROUND) -> None:
        """Live through a round. AssertionError, or whatever the product raises."""
        chance = random.Random(seed)
        for _ in range(datagrams):
            if chance.random() < 0.2:
                self._answer_to_us(chance)
                continue
            signs = chance.random() < 0.5
            self._login(self._engines[signs], signs, changed(chance.choice(self._bases), chance))
        self._now_ms += 2 * LIFETIME_MS
        self.told.rounds += 1
        self.told.datagrams += datagrams
        self.told.reasons = dict(self._reasons)

    def _login(self, engine: AccessEngine, signs: bool, octets: bytes) -> None:
        self._now_ms += 1
        intake = engine.receive([(octets, _ADDRESS)], self._now_ms)
        assert len(intake.requests) + len(intake.replies) + len(intake.faults) == 1
        self._reasons.update(fault.reason for fault, _ in intake.faults)
        for request in intake.requests:
            self.told.requests += 1
            length = int.from_bytes(octets[2:4])
            signed = genuine(octets[:length], octets[4:20])
            assert signed is True or (signed is None and not signs), "an unsigned login was taken"
            look_at(request.login)
            request.answer = Answer(request.login.proof is not Unproven.NOTHING, _ATTRIBUTES)
            reply, _ = engine.answer(request, self._now_ms)
            assert genuine(reply, octets[4:20]) is True
            self._again(engine, octets, request, reply)

    def _again(
        self, engine: AccessEngine, octets: bytes, request: AccessRequest, reply: bytes
    ) -> None:
        """What is sent again gets the same octets."""
        intake = engine.receive([(octets, request.address)], self._now_ms)
        assert [each for each, _ in intake.replies] == [reply]

    def _answer_to_us(self, chance: random.Random) -> None:
        """An answer to a Disconnect- or CoA-Request is believed only if it is genuine."""
        find = ((1, b"alice"), (44, b"s1"))
        if chance.random() < 0.5:
            request = disconnect_request(
                find, identifier=7, secret=SECRET, rules=_RULES, event_time=1
            )
        else:
            request = coa_request(
                find, (encode("Session-Timeout", 5),), identifier=7, secret=SECRET,
                rules=_RULES, event_time=1,
            )  # fmt: skip
        exchange = Exchange(request, SECRET, chance)
        exchange.first(0)
        codes = (request[0] + 1, request[0] + 2, chance.randrange(256))
        body = chance.choice((b"", b"\x65\x06\x00\x00\x01\xf7", chance.randbytes(12)))
        reply = bytes((chance.choice(codes), chance.choice((7, 7, 7, 8))))
        reply += (20 + len(body)).to_bytes(2)
        digest = hashlib.md5(reply + request[4:20] + body + SECRET).digest()
        reply += digest + body
        if chance.random() < 0.5:
            reply = flipped(reply, chance)
        verdict = exchange.receive(reply)
        if verdict is None:
            return
        self.told.verdicts += 1
        assert isinstance(verdict, Verdict)
        assert verdict.outcome in (Outcome.ACK, Outcome.NAK)
        packet = reply[: int.from_bytes(reply[2:4])]
        expected = hashlib.md5(packet[:4] + request[4:20] + packet[20:] + SECRET).digest()
        assert packet[4:20] == expected
        assert (packet[0] - request[0], packet[1]) in ((1, 7), (2, 7))


_ATTRIBUTES = (encode("Class", b"c"), encode("Session-Timeout", 60))


def look_at(login: Login) -> None:
    """Whatever a login holds can be looked at, and proves nothing by accident."""
    assert login.user_name
    assert "\0" not in login.user_name + login.session_id + login.station
    match login.proof:
        case Pap(password=password):
            assert len(password) <= 128
        case Chap():
            chap_proves(login.proof, b"sesame")
        case MsChap2():
            mschap2_proves(login.proof, login.user_name_raw, _HASHED)
        case Unproven():
            pass


def changed(octets: bytes, chance: random.Random) -> bytes:
    """A datagram made of a request: attributes changed, then signed anew, or not."""
    attributes = parted(octets)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(attributes) + 1)
        kind = chance.choice(
            (1, 2, 3, 4, 24, 26, 31, 32, 33, 44, 60, 79, 80, chance.randrange(256))
        )
        value = chance.randbytes(chance.choice((0, 1, 4, 15, 16, 17, 18, 50, 253)))
        match chance.randrange(4):
            case 0:
                attributes.insert(at, (kind, value))
            case 1 if attributes:
                attributes.pop(at % len(attributes))
            case 2 if attributes:
                attributes[at % len(attributes)] = (kind, value)
            case _:
                attributes.append(chance.choice([*attributes, (1, b"bob")]))
    if chance.random() < 0.8:
        attributes = [(kind, value) for kind, value in attributes if kind != 80]
        attributes.insert(0, (80, bytes(16)))
    body = b"".join(bytes((kind, len(value) + 2)) + value for kind, value in attributes)
    head = bytes((chance.choice((1, 1, 1, 1, 12, 4, 43)), chance.randrange(256)))
    packet = head + (20 + len(body)).to_bytes(2) + chance.randbytes(16) + body
    if attributes and attributes[0][0] == 80 and len(attributes[0][1]) == 16:
        signature = hmac.new(SECRET, packet, "md5").digest()
        packet = packet[:22] + signature + packet[38:]
    return flipped(packet, chance) if chance.random() < 0.2 else packet


def flipped(octets: bytes, chance: random.Random) -> bytes:
    """Octets with something wrong: a bit, the end, or more of it."""
    match chance.randrange(3):
        case 0:
            at = chance.randrange(len(octets))
            return octets[:at] + bytes((octets[at] ^ 1 << chance.randrange(8),)) + octets[at + 1 :]
        case 1:
            return octets[: chance.randrange(len(octets))]
        case _:
            return octets + chance.randbytes(chance.randrange(1, 40))


def parted(octets: bytes) -> list[tuple[int, bytes]]:
    """The attributes of a well-formed packet."""
    found: list[tuple[int, bytes]] = []
    at = 20
    while at < len(octets):
        found.append((octets[at], octets[at + 2 : at + octets[at + 1]]))
        at += octets[at + 1]
    return found


def genuine(packet: bytes, authenticator: bytes) -> bool | None:
    """Whether a packet's one Message-Authenticator is right; None if there is none."""
    attributes = parted(packet)
    signatures = [value for kind, value in attributes if kind == 80]
    if not signatures:
        return None
    blank = b"".join(
        bytes((kind, len(value) + 2)) + (bytes(16) if kind == 80 else value)
        for kind, value in attributes
    )
    expected = hmac.new(SECRET, packet[:4] + authenticator + blank, "md5").digest()
    return signatures == [expected]


def run(first: int, *, seconds: float, datagrams: int) -> Told:
    """Rounds until the time is over, or there were so many. AssertionError when memory grows."""
    bench, process = Bench(), psutil.Process()
    began, warm = time.monotonic(), 0
    while bench.told.datagrams < datagrams and time.monotonic() - began < seconds:
        seed = first + bench.told.rounds
        try:
            bench.round(seed)
        except Exception as error:
            error.add_note(f"replay: python -m tests.fuzz access --seed {seed} --datagrams {ROUND}")
            raise
        if bench.told.rounds == 10:
            warm = process.memory_info().rss
    if bench.told.rounds > 10:
        bench.told.growth_octets = process.memory_info().rss - warm
    assert bench.told.growth_octets < GROWTH_OCTETS, bench.told
    return bench.told
