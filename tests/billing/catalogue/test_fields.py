"""Reading a table field by field: values, faults, and the lines they are on."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.catalogue.fields import UNITS, Fault, Fields, Kind, Lines
from rating.plan import Policy

PLACE = Fault("f.toml", 7, "metered", "")


def fields(**table: Any) -> Fields:
    return Fields(table, PLACE, {"price": 9}, [])


def test_a_fault_names_its_line_or_that_of_its_table() -> None:
    read = fields(price=1, other=2)
    read.fault("price", "is wrong")
    read.fault("other", "is wrong, too")
    assert [str(fault) for fault in read.faults] == [
        "f.toml:9: plan metered: is wrong",
        "f.toml:7: plan metered: is wrong, too",
    ]
    assert str(Fault("f.toml", None, "", "cannot be read")) == "f.toml: cannot be read"


@pytest.mark.parametrize(
    ("value", "units"),
    [(5, 5), ("GB", 10**9), ("10 MB", 10**7), ("10MB", 10**7), ("3 GiB", 3 * 2**30), ("kB", 1000)],
)
def test_octets_may_have_a_unit(value: object, units: int) -> None:
    read = fields(per=value)
    assert read.quantity("per", "octets", default=1) == units
    assert read.faults == []


@given(st.sampled_from(["octets", "seconds"]), st.data())
def test_every_unit_multiplies(kind: Kind, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(UNITS[kind])))
    number = data.draw(st.integers(0, 10**15 - 1))
    assert fields(q=f"{number} {name}").quantity("q", kind, default=1) == number * UNITS[kind][name]


@pytest.mark.parametrize(
    "value", ["hour", "gb", "1.5 GB", "", "-1 MB", "\u0661\u0662 MB", 1.5, True, [1]]
)
def test_what_is_no_quantity_of_octets_is_refused(value: object) -> None:
    read = fields(per=value)
    assert read.quantity("per", "octets", default=1) == 1
    [fault] = read.faults
    assert repr(value) in fault.message
    assert "GiB" in fault.message


def test_an_amount_is_a_text() -> None:
    assert fields(price="2.000001").amount("price") == 2_000_001
    assert fields().amount("price", default=0) == 0
    for value in (2, 2.0, True):
        read = fields(price=value)
        read.amount("price")
        assert [fault.line for fault in read.faults] == [9]
        assert f'price = "{value}"' in read.faults[0].message
    read = fields(price="2,00")
    read.amount("price")
    assert "'2,00' is not an amount" in read.faults[0].message


def test_what_must_be_there_is_missed() -> None:
    read = fields()
    read.amount("price")
    read.text("name", "x")
    read.one_of("policy", Policy, None)
    assert [fault.message for fault in read.faults] == [
        "price is missing",
        "name is missing",
        "policy is missing",
    ]


def test_a_choice_is_one_of_its_members() -> None:
    assert fields(policy="strict").one_of("policy", Policy, None) is Policy.STRICT
    assert fields().one_of("policy", Policy, Policy.LENIENT) is Policy.LENIENT
    for value in ("Strict", 1, ["strict"]):
        read = fields(policy=value)
        read.one_of("policy", Policy, Policy.LENIENT)
        assert "strict or balanced or lenient" in read.faults[0].message


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    read = fields(pirce="1", zzz=1)
    read.refuse_unknown(("price", "per"))
    assert [fault.message for fault in read.faults] == [
        "the key pirce is not known; did you mean price?",
        "the key zzz is not known; allowed are price, per",
    ]


def test_lines_are_found() -> None:
    lines = Lines(
        "# [[plan]]\n[[plan]]\nname = 'a'\n[[plan.rule]]\nprice = 1\n"
        "[[ plan . rule ]]\n  \"price\" = 2\n[other]\nx = 1\n[[plan]]\nname = 'b'\n"
    )
    assert (lines.of_plan(0), lines.of_plan(1), lines.of_plan(2)) == (2, 10, None)
    assert lines.of_plan_keys(0) == {"": 2, "name": 3}
    assert lines.of_rule_keys(0, 1) == {"": 6, "price": 7}
    assert lines.of_rule_keys(0, 2) == {}
    assert lines.of_rule_keys(5, 0) == {}
