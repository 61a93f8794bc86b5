"""What is kept of a request is enough to make the same record of it again."""

from pathlib import Path

import msgspec
import pytest

from balances.errors import StoreUnavailable
from radius.clients import Client, ClientTable, network
from radius.engine import Engine
from radius.packet import Fault
from radius.records import AccountingRecord
from radius.requests import accounting_request
from ratewire.journal.frames import encode, scan
from ratewire.journal.replay import Replay, entry_of, record_of
from tests.balances.world import memory_world
from tests.ratewire.journal.desk import MB, Desk, Door
from tests.ratewire.provider import SECRET, Provider, begun


def told(record: object) -> object:
    """A record with its packet as octets, to be compared."""
    assert isinstance(record, AccountingRecord)
    fields = msgspec.structs.asdict(record)
    return fields | {"attributes": fields["attributes"].octets}


@pytest.mark.parametrize(("swap_octets", "octet_unit"), [(False, 1), (True, 2**20)])
@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
def test_the_record_is_the_one_that_arrived(host: str, swap_octets: bool, octet_unit: int) -> None:
    """Its time too: without Event-Timestamp that is the arrival less the delay."""
    client = Client(
        name="pöp",
        source=network(f"{host}"),
        secret=SECRET,
        swap_octets=swap_octets,
        octet_unit=octet_unit,
    )
    attributes = {
        "Acct-Status-Type": 3,
        "Acct-Session-Id": "s1",
        "User-Name": "bob",
        "Acct-Session-Time": 60,
        "Acct-Input-Octets": 1,
        "Acct-Output-Octets": 2,
        "Acct-Output-Gigawords": 3,
        "Acct-Delay-Time": 40,
        "Class": b"\x00\xff",
        "Proxy-State": b"state",
    }
    datagram = accounting_request(attributes, secret=SECRET, identifier=7) + b"padding"
    arrived_ms = 1_700_000_000_123
    engine = Engine(ClientTable([client]))
    [request] = engine.receive([(datagram, (host, 1646))], arrived_ms).requests
    assert request.record.event_time == 1_700_000_000 - 40
    assert request.octets == datagram.removesuffix(b"padding")
    [entry] = scan(encode(entry_of(request), 1), 1).entries
    assert told(record_of(entry)) == told(request.record)


def test_octets_that_are_no_packet_are_no_record(tmp_path: Path) -> None:
    """A version whose decoder is stricter may meet them."""
    request = Desk(Provider(memory_world()), tmp_path).request(1)
    entry = msgspec.structs.replace(entry_of(request), octets=request.octets[:-1])
    assert isinstance(record_of(entry), Fault)


async def test_what_the_books_do_not_take_is_returned_and_the_rest_is_booked(
    tmp_path: Path,
) -> None:
    provider = await begun(memory_world())
    await provider.subscribe(5 * MB)
    desk = Desk(provider, tmp_path)
    store = Door(provider.world.hot)
    store.poison = "pop1/bras|poison"
    replay = Replay(provider.worker(store), provider.observer, batch=3)
    good = [entry_of(desk.request(1, session=f"s{number}")) for number in range(5)]
    poison = entry_of(desk.request(1, session="poison"))
    torn = msgspec.structs.replace(good[0], octets=b"\x04")
    entries = [good[0], poison, *good[1:3], torn, *good[3:]]
    assert await replay.book(entries) == [poison, torn]
    assert provider.observer.counts["journal_replayed"] == 5
    for number in range(5):
        assert (await provider.session(f"s{number}")).open
    store.away = StoreUnavailable("gone")
    with pytest.raises(StoreUnavailable):
        await replay.book(good)
