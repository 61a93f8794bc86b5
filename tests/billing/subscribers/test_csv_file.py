"""Reading a CSV file of subscribers: what it may look like, and every fault by its line."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.subscribers import csv_file
from billing.subscribers.csv_file import MAX_FAULTS, Fault, Faults, Row, read_rows
from billing.subscribers.login import Bounds, PasswordKind, WhenFull
from billing.subscribers.subscriber import MAX_USERNAME_OCTETS
from rating.money import format_micros

HEADER = "username,account,plan,currency,topup\n"


def read(text: str) -> tuple[list[Row], list[Fault]]:
    faults = Faults()
    rows = read_rows(io.StringIO(text, newline=""), faults)
    assert faults.number == len(faults.listed)
    return rows, faults.listed


def faults_of(text: str) -> list[str]:
    return [str(fault) for fault in read(text)[1]]


def test_rows_are_read() -> None:
    rows, faults = read(
        HEADER + 'u1,a1,metered,EUR,12.50\r\n"u,2",a1,hourly,EUR,\n\nu3,a3,p,KWD,0\n'
    )
    assert faults == []
    assert rows == [
        Row(2, "u1", "a1", "metered", "EUR", 12_500_000, None),
        Row(3, "u,2", "a1", "hourly", "EUR", 0, None),
        Row(5, "u3", "a3", "p", "KWD", 0, None),
    ]


def test_columns_may_be_in_any_order_and_have_a_password() -> None:
    rows, faults = read(
        "password,topup,currency,plan,account,username\npw,1,EUR,p,a,u\n,1,EUR,p,a,v\n"
    )
    assert faults == []
    assert rows == [
        Row(2, "u", "a", "p", "EUR", 1_000_000, "pw"),
        Row(3, "v", "a", "p", "EUR", 1_000_000, None),
    ]


def test_columns_for_logins() -> None:
    rows, faults = read(
        "username,account,plan,currency,topup,password,password_kind,session_limit,when_full,"
        "calling_station,nas,framed_pool,framed_ip\n"
        "u,a,p,EUR,1,pw,nt,2,replace,00-53-00-AA-BB-CC,pop1,gold,198.51.100.7\n"
        "v,a,p,EUR,1,,,,,,,,\n"
    )
    assert faults == []
    bounds = Bounds(2, WhenFull.REPLACE, "00-53-00-AA-BB-CC", "pop1", "gold", "198.51.100.7")
    assert rows == [
        Row(2, "u", "a", "p", "EUR", 1_000_000, "pw", PasswordKind.NT, bounds),
        Row(3, "v", "a", "p", "EUR", 1_000_000, None),
    ]


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("password_kind", "md5", "'md5'; allowed are clear, nt, argon2id"),
        ("session_limit", "0", "0; allowed are 1 to 10000, or none"),
        ("session_limit", "two", "'two'; allowed are 1 to 10000"),
        ("when_full", "wait", "'wait'; allowed are refuse, replace"),
        ("framed_ip", "198.51.100", "'198.51.100'; allowed is an IPv4 address"),
    ],
)
def test_faults_of_columns_for_logins(column: str, value: str, fault: str) -> None:
    text = f"{HEADER.strip()},{column}\nu,a,p,EUR,1,{value}\n"
    assert faults_of(text) == [f"line 2, {column}: {fault}"]


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("\n", "line 1: the header lacks 'username', 'account', 'plan', 'currency', 'topup'"),
        ("username,account,plan,currency\n", "line 1: the header lacks 'topup'"),
        (HEADER.strip() + ",colour\n", "line 1: the header does not know 'colour'"),
        (HEADER.strip() + ",plan\n", "line 1: the header repeats 'plan'"),
    ],
)
def test_a_wrong_header_is_all_that_is_said(header: str, fault: str) -> None:
    [found] = faults_of(header + "x,y\n")
    assert found.startswith(fault)
    assert "allowed is username,account,plan,currency,topup and optionally password" in found


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("u,a,p,EUR", "line 2: has 4 fields, the header has 5"),
        (",a,p,EUR,1", "line 2, username: '' is empty"),
        ("x" * 254 + ",a,p,EUR,1", f"line 2, username: '{'x' * 254}' has 254 octets"),
        ("u,a b,p,EUR,1", "line 2, account: account 'a b': allowed are 1 to 64"),
        ("u,a,,EUR,1", "line 2, plan: '' is no name"),
        ("u,a,p,eur,1", "line 2, currency: currency 'eur': allowed is an ISO 4217 code"),
        ("u,a,p,EUR,1e3", "line 2, topup: '1e3' is not an amount"),
        ('u,a,p,EUR,"1,50"', "line 2, topup: '1,50' is not an amount"),
        ("u,a,p,EUR,-1", "line 2, topup: '-1' is negative; allowed is 0 or more"),
        ("u,a,p,EUR,8000000000", "line 2, topup: account a would get more than"),
        ('"u,a,p,EUR,1', "line 2: is not CSV: unexpected end of data"),
        ('"u"x,a,p,EUR,1', "line 2: is not CSV: "),
    ],
)
def test_a_faulty_row_is_named_by_its_line_and_column(row: str, fault: str) -> None:
    rows, faults = read(HEADER + row)
    assert rows == []
    assert len(faults) == 1
    assert str(faults[0]).startswith(fault)


def test_a_row_with_several_faults_names_them_all() -> None:
    assert [fault.split(":")[0] for fault in faults_of(HEADER + ",a b,,EUR,x\n")] == [
        "line 2, username",
        "line 2, plan",
        "line 2, account",
        "line 2, topup",
    ]


def test_rows_that_contradict_each_other_are_named() -> None:
    assert faults_of(
        HEADER + "u,a,p,EUR,6000000000\nv,a,p,USD,1\nu,b,p,EUR,1\nw,a,p,EUR,6000000000\n"
    ) == [
        "line 3, currency: account a is in EUR on line 2, here in 'USD'",
        "line 4, username: 'u' is on line 2 already",
        "line 5, topup: account a would get more than 7007199254.740991",
    ]


def test_a_password_that_cannot_be_is_not_shown() -> None:
    [fault] = faults_of(HEADER.strip() + ",password\nu,a,p,EUR,1," + "hunter2" * 20 + "\n")
    assert fault == "line 2, password: has 140 octets, allowed are 1 to 128"


def test_lines_are_counted_where_a_field_spans_several() -> None:
    rows, faults = read(HEADER + '"two\nlines",a,p,EUR,1\nu,a,p,EUR,x\n')
    assert [row.line for row in rows] == [2]
    assert [fault.line for fault in faults] == [4]


def test_faults_are_listed_up_to_a_bound_and_counted_beyond() -> None:
    faults = Faults()
    many = MAX_FAULTS + 50
    read_rows([HEADER, *[f"u{number},a,p,EUR,x\n" for number in range(many)]], faults)
    assert (len(faults.listed), faults.number) == (MAX_FAULTS, many)


def test_progress_is_told_up_to_the_last_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "_TELL_EVERY", 10)
    told: list[int] = []
    lines = [HEADER, *[f"u{number},a,p,EUR,1\n" for number in range(25)]]
    read_rows(lines, Faults(), told.append)
    assert told == [10, 20, 25]


_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1, max_size=60
).filter(lambda text: len(text.encode()) <= MAX_USERNAME_OCTETS)


@given(
    st.lists(
        st.tuples(_TEXT, st.integers(0, 10**12), st.sampled_from(["a", "b"])),
        unique_by=lambda row: row[0],
        max_size=20,
    )
)
def test_what_is_written_is_read(written: list[tuple[str, int, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(HEADER.strip().split(","))
    for username, micros, account in written:
        writer.writerow([username, account, "p", "EUR", format_micros(micros)])
    rows, faults = read(text.getvalue())
    assert faults == []
    assert [(row.username, row.topup_micros, row.account) for row in rows] == written
