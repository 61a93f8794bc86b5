"""Logins against both stores: what is reserved, what two at once make of it, what is told."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from balances.errors import StoreUnavailable
from balances.messages import Login as StoreLogin
from balances.messages import LoginOutcome, PutSubscriber
from billing.sealing.keyring import Keyring
from billing.subscribers.login import (
    NO_BOUNDS,
    Bounds,
    LoginTerms,
    PasswordKind,
    WhenFull,
    encode_login,
    sealed_password,
)
from radius.access import Answer, Login
from radius.access_engine import AccessRequest
from radius.clients import Client, network
from radius.profiles import builtin_profiles
from ratewire.access.credentials import Credentials
from ratewire.access.decision import MESSAGES, Refusal, Rules
from ratewire.access.desk import Desk
from ratewire.pipeline.raters import PlanReader
from ratewire.pipeline.tickets import garden_class
from rating.access import Access
from tests.ratewire.access.logins import PASSWORD, SECRET, login
from tests.ratewire.provider import START, Provider
from tests.ratewire.records import METERED

GENERIC = builtin_profiles()["generic"]


class Office:
    """A provider that also answers logins."""

    def __init__(self, provider: Provider, keyring: Keyring) -> None:
        self.provider = provider
        self.keyring = keyring
        self.credentials = Credentials(keyring, threads=1)
        self.desk = self.made()

    def made(self, **parts: Any) -> Desk:
        world = self.provider.world
        return Desk(
            parts.get("store", world.hot),
            parts.get("logins", world.logins),
            world.jobs,
            PlanReader(world.directory),
            self.credentials,
            self.provider.observer,
            rules=Rules(),
            reject_delay_s=0,
            clock_ms=self.provider.clock,
        )

    async def subscribe(
        self, balance: int, *, user: str = "bob", plan: str = "metered", bounds: Bounds = NO_BOUNDS
    ) -> None:
        sealed = sealed_password(self.keyring, user, PASSWORD, PasswordKind.CLEAR)
        text = encode_login(LoginTerms(PasswordKind.CLEAR, sealed, bounds))
        await self.provider.world.fund(balance, "acme")
        await self.provider.world.move(lambda n: PutSubscriber("acme", n, user, plan, text), "acme")

    async def ask(self, asked: Login | None = None) -> Answer:
        return await self.desk.answer(asked or login(), GENERIC)

    async def refusal(self, asked: Login | None = None) -> str:
        answer = await self.ask(asked)
        assert not answer.accepted
        return answer.attributes[0][1].decode()


@pytest.fixture
def office(any_provider: Provider, tmp_path: Path) -> Iterator[Office]:
    made = Office(any_provider, Keyring.load(tmp_path / "secret.key"))
    yield made
    made.credentials.close()


async def test_what_is_granted_is_reserved_until_a_session_begins(office: Office) -> None:
    await office.subscribe(1_000_000)
    assert (await office.ask()).accepted
    assert await office.provider.money() == (1_000_000, 40_000)
    await office.provider.told(START, session="other")
    session = await office.provider.session("other")
    assert await office.provider.money() == (1_000_000, session.held)


async def test_two_at_once_share_what_there_is(office: Office) -> None:
    """Both computed from the same balance; the store lets one of them compute anew."""
    await office.subscribe(60_000)
    answers = await asyncio.gather(
        *(office.ask(login(Calling_Station_Id=f"m{number}")) for number in range(3))
    )
    assert sorted(answer.accepted for answer in answers) == [False, True, True]
    assert await office.provider.money() == (60_000, 60_000)


async def test_refusals(office: Office) -> None:
    await office.subscribe(0)
    assert await office.refusal() == MESSAGES[Refusal.NO_CREDIT]
    assert await office.refusal(login("nobody")) == MESSAGES[Refusal.UNKNOWN_USER]
    assert await office.refusal(login(password=b"x")) == MESSAGES[Refusal.NOT_PROVEN]
    await office.provider.world.status("acme", suspended=True)
    assert await office.refusal() == MESSAGES[Refusal.SUSPENDED]
    assert office.provider.observer.counts["logins_refused_no_credit"] == 1
    assert await office.provider.money() == (0, 0)


async def test_guessing_is_held_up_for_all_listeners(office: Office) -> None:
    await office.subscribe(1_000_000)
    for _ in range(4):
        await office.refusal(login(password=b"x"))
    office.desk = office.made()
    assert await office.refusal() == MESSAGES[Refusal.HELD]
    assert office.provider.observer.counts["logins_refused_held"] == 1
    assert (await office.ask(login(client="pop2"))).accepted, "not at another NAS"


async def test_a_right_password_ends_the_count(office: Office) -> None:
    await office.subscribe(1_000_000)
    for _ in range(3):
        await office.refusal(login(password=b"x"))
        assert (await office.ask()).accepted
    await office.refusal(login(password=b"x"))
    assert (await office.ask()).accepted


class TestLimit:
    async def test_one_more_is_refused(self, office: Office) -> None:
        await office.subscribe(1_000_000, bounds=Bounds(session_limit=1))
        await office.provider.told(START)
        assert await office.refusal() == MESSAGES[Refusal.FULL]

    async def test_sessions_of_others_do_not_count(self, office: Office) -> None:
        await office.subscribe(1_000_000, bounds=Bounds(session_limit=1))
        await office.provider.world.subscribe("eve", "acme")
        await office.provider.told(START, user="eve")
        assert (await office.ask()).accepted

    async def test_the_oldest_makes_room(self, office: Office) -> None:
        bounds = Bounds(session_limit=2, when_full=WhenFull.REPLACE)
        await office.subscribe(1_000_000, bounds=bounds)
        for session in ("first", "second"):
            await office.provider.told(START, session=session)
            office.provider.world.pass_ms(1000)
        assert (await office.ask()).accepted
        [job] = await office.provider.jobs()
        assert (job.session, job.cause) == ("pop1/bras|first", "operator")

    async def test_a_login_that_nothing_came_of_makes_room_too(self, office: Office) -> None:
        bounds = Bounds(session_limit=1, when_full=WhenFull.REPLACE)
        await office.subscribe(1_000_000, bounds=bounds)
        assert (await office.ask(login(Calling_Station_Id="m1"))).accepted
        assert (await office.ask(login(Calling_Station_Id="m2"))).accepted
        assert await office.provider.money() == (1_000_000, 40_000)


class TestGarden:
    async def test_who_has_no_credit_is_let_in_there_and_charged_nothing(
        self, office: Office
    ) -> None:
        garden = replace(METERED, access=Access(garden="portal", garden_plan="free"))
        free = replace(METERED, name="free", tariff=replace(METERED.tariff, rules=()))
        await office.provider.publish(garden, free)
        await office.subscribe(0)
        answer = await office.ask()
        assert answer.accepted
        assert (11, b"portal") in answer.attributes
        await office.provider.told(START, classes=(garden_class(),))
        await office.provider.told(
            *(3, 300, 10**9, 10**9),
            classes=(garden_class(),),  # type: ignore[arg-type]
        )
        assert await office.provider.money() == (0, 0)
        assert await office.provider.jobs() == []


class TestStore:
    def request(self, asked: Login) -> AccessRequest:
        client = Client(name="pop1", source=network("192.0.2.1"), secret=SECRET)
        return AccessRequest(asked, client, ("192.0.2.1", 1))

    async def test_while_it_is_away_nobody_is_answered(self, office: Office) -> None:
        await office.subscribe(1_000_000)

        class Away:
            async def is_held(self, who: str) -> tuple[bool, bool]:
                raise StoreUnavailable("away")

        waiting = self.request(login())
        desk = office.made(logins=Away())
        assert await desk.handle([waiting], lambda _: GENERIC) == []
        assert office.provider.observer.counts["logins_unanswered"] == 1
        assert await office.desk.handle([waiting], lambda _: GENERIC) == [waiting]
        assert waiting.answer is not None
        assert waiting.answer.accepted

    async def test_what_moves_meanwhile_is_computed_anew(self, office: Office) -> None:
        await office.subscribe(1_000_000)
        world = office.provider.world

        class Slow:
            """Something else is granted between the reading and the asking."""

            def __getattr__(self, name: str) -> Any:
                return getattr(world.logins, name)

            async def login(self, asked: StoreLogin) -> LoginOutcome:
                if not moved:
                    moved.append(True)
                    await world.move(lambda n: PutSubscriber("acme", n, "eve", "metered"), "acme")
                return await world.logins.login(asked)

        moved: list[bool] = []
        answer = await office.made(logins=Slow()).answer(login(), GENERIC)
        assert answer.accepted
        assert office.provider.observer.counts["logins_stale"] == 1

    async def test_terms_of_a_newer_version_let_nobody_in(self, office: Office) -> None:
        await office.provider.world.fund(1_000_000, "acme")
        await office.provider.world.move(
            lambda n: PutSubscriber("acme", n, "bob", "metered", '{"password_kind":"new"}'), "acme"
        )
        assert await office.refusal() == MESSAGES[Refusal.NO_PLAN]
