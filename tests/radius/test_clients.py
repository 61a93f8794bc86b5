"""Clients are found by source address: longest prefix, both families, bounded memory."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.clients import Client, ClientTable, network
from tests.radius.datagrams import client, clients


def name_of(table: ClientTable, host: str) -> str | None:
    found = table.find(host)
    return None if found is None else found.name


class TestFind:
    def test_the_longest_prefix_wins_whatever_the_order(self) -> None:
        for sources in [
            ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"),
            ("10.1.2.3", "10.1.0.0/16", "10.0.0.0/8"),
        ]:
            table = clients(*sources)
            found = {
                host: str(entry.source) if (entry := table.find(host)) else None
                for host in ("10.1.2.3", "10.1.2.4", "10.2.0.1", "11.0.0.1")
            }
            assert found == {
                "10.1.2.3": "10.1.2.3/32",
                "10.1.2.4": "10.1.0.0/16",
                "10.2.0.1": "10.0.0.0/8",
                "11.0.0.1": None,
            }

    def test_ipv6_networks(self) -> None:
        table = clients("2001:db8::/32", "2001:db8:0:1::/64", "::1")
        assert name_of(table, "2001:db8:0:1::9") == "pop2"
        assert name_of(table, "2001:db8:0:2::9") == "pop1"
        assert name_of(table, "2001:db8:0:1:0:0:0:9") == "pop2"
        assert name_of(table, "::1") == "pop3"
        assert name_of(table, "2001:db9::1") is None

    def test_a_v4_mapped_peer_is_the_ipv4_client(self) -> None:
        table = clients("192.0.2.0/24", "::/0")
        assert name_of(table, "::ffff:192.0.2.7") == "pop1"
        assert name_of(table, "2001:db8::1") == "pop2"
        assert name_of(table, "::ffff:192.0.3.7") is None, "IPv4 is not part of ::/0"

    def test_a_v4_mapped_source_is_the_ipv4_network(self) -> None:
        assert network("::ffff:192.0.2.0/120") == network("192.0.2.0/24")

    def test_a_link_local_peer_is_found_with_its_zone(self) -> None:
        assert name_of(clients("fe80::/10"), "fe80::1%eth0") == "pop1"

    @pytest.mark.parametrize("host", ["", "localhost", "256.1.1.1", "10.0.0.0/8", "1.2.3", "::g"])
    def test_text_that_is_no_address_belongs_to_nobody(self, host: str) -> None:
        assert clients("0.0.0.0/0", "::/0").find(host) is None

    @given(st.lists(st.ip_addresses(v=4), max_size=20), st.sets(st.integers(0, 32), min_size=1))
    def test_it_agrees_with_a_walk_over_all_networks(
        self, hosts: list[object], lengths: set[int]
    ) -> None:
        """Nested networks around 10.20.30.40: the table finds what trying each one finds."""
        around = 10 << 24 | 20 << 16 | 30 << 8 | 40
        sources = [
            network(f"{ip_address(around >> 32 - n << 32 - n)}/{n}") for n in sorted(lengths)
        ]
        table = clients(*map(str, sources))
        for host in [*hosts, ip_address(around), ip_address(around ^ 1), ip_address(around ^ 256)]:
            holding = [source for source in sources if host in source]
            found = table.find(str(host))
            assert (found.source if found else None) == max(
                holding, key=lambda source: source.prefixlen, default=None
            )


class TestBounds:
    def test_a_spray_of_sources_does_not_grow_memory(self) -> None:
        """Neither strangers nor addresses of a wide network fill more than the cache's room."""
        table = ClientTable([client("10.0.0.0/8")], cache_entries=64)
        for number in range(5_000):
            host = f"10.0.{number >> 8}.{number & 255}"
            assert table.find(host) is not None
            assert table.find("11" + host[2:]) is None
        assert table.cached_addresses == 64
        assert name_of(table, "10.0.0.0") == "pop1", "evicted addresses are found again"

    def test_strangers_evict_nobody(self) -> None:
        table = ClientTable([client("10.0.0.1")], cache_entries=1)
        table.find("10.0.0.1")
        table.find("203.0.113.9")
        assert table.cached_addresses == 1


class TestValidity:
    @pytest.mark.parametrize("source", ["10.0.0.1/8", "10.0.0.0/33", "nas.example.net", "", "10/8"])
    def test_a_faulty_source_is_named_with_what_is_allowed(self, source: str) -> None:
        with pytest.raises(ValueError, match="allowed is an address or a network") as raised:
            network(source)
        assert repr(source) in str(raised.value)

    @pytest.mark.parametrize("name", ["", "a/b", "a\nb", "a\0"])
    def test_a_name_that_would_make_scope_keys_ambiguous_is_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match="client name"):
            client(name=name)

    def test_an_empty_secret_is_refused(self) -> None:
        with pytest.raises(ValueError, match="secret is empty"):
            Client(name="a", source=network("10.0.0.1"), secret=b"")

    @pytest.mark.parametrize("port", [0, -1, 65536])
    def test_an_impossible_coa_port_is_refused(self, port: int) -> None:
        with pytest.raises(ValueError, match="allowed are 1 to 65535"):
            Client(name="a", source=network("10.0.0.1"), secret=b"s", coa_port=port)

    def test_a_name_or_a_source_given_twice_is_refused(self) -> None:
        with pytest.raises(ValueError, match="client name 'pop1' is given twice"):
            ClientTable([client("10.0.0.1"), client("10.0.0.2")])
        with pytest.raises(ValueError, match=r"'a' and 'b' have the same source 10\.0\.0\.1/32"):
            ClientTable([client("10.0.0.1", name="a"), client("10.0.0.1", name="b")])

    def test_the_secret_is_in_no_repr(self) -> None:
        assert "xyzzy" not in repr(client())
        assert "xyzzy" not in repr([client()])

    def test_clients_are_also_found_by_name(self) -> None:
        table = clients("10.0.0.1", "10.0.0.2")
        assert table.named("pop2") is table.find("10.0.0.2")
        assert table.named("pop3") is None
        assert len(table) == 2
