"""The statement with its explained charges."""

import io
import re
from datetime import timedelta

from rich.console import Console

from radius.records import AcctStatus
from ratewire.demo.farewell import show_statement
from ratewire.demo.stock import customers
from ratewire.wiring import now
from tests.ratewire.demo.conftest import Office


async def said(office: Office, since_s: float = 60.0) -> str:
    """What is printed of what was used in the last seconds."""
    out = io.StringIO()
    console = Console(file=out, width=1000)
    since = now() - timedelta(seconds=since_s)
    await show_statement(console, office.system, customers(), since)
    return out.getvalue()


async def test_nothing_used_is_nothing_to_show(office: Office) -> None:
    assert await said(office) == "nobody used anything yet: there is no statement to show\n"


async def test_it_is_of_whoever_was_charged_most_with_every_line(office: Office) -> None:
    await office.session("demo-02@ratewire.example", 30, 1_000_000)
    dear = await office.session("demo-03@ratewire.example", 30, 9_000_400)
    await office.settle()
    text = await said(office)
    assert "Statement of account demo-03" in text
    assert re.search(r"topup +Top-up at import +0\.09 +0\.09\n", text)
    assert f"Session {dear} of demo-03@ratewire.example, plan metered version 1" in text
    assert "30 s, 0 octets in, 9,000,400 out, charged 0.018002 EUR\n" in text
    billed = "9,000,400 octets_total billed as 9,001,000 at 2.00 per 1,000,000,000"
    assert f"\n  {billed} = 0.018002\n" in text
    charges = re.findall(r"^    \S+ (\S+) \(total (\S+)\): ", text, re.MULTILINE)
    assert charges == [("0.009002", "0.009002"), ("0.009", "0.018002")]


async def test_only_the_last_sessions_and_charges_are_shown(office: Office) -> None:
    sessions = [await office.session("demo-04@ratewire.example", 4, 500_000) for _ in range(5)]
    await office.settle()
    text = await said(office)
    assert re.findall(r"^Session (\S+)", text, re.MULTILINE) == sessions[-3:]


async def test_sessions_of_earlier_runs_are_not_shown(office: Office) -> None:
    await office.session("demo-02@ratewire.example", 30, 1_000_000)
    await office.settle()
    assert "no statement" in await said(office, since_s=0)


async def test_what_a_nas_called_its_session_is_only_text(office: Office) -> None:
    user = "demo-02@ratewire.example"
    for status, octets in ((AcctStatus.START, 0), (AcctStatus.STOP, 5000)):
        await office.report(status, user, 0, octets, session="[/]odd[bold]")
    await office.settle()
    assert "Session [/]odd[bold] of" in await said(office)
