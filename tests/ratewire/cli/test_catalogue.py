"""plan load, plan list."""

from pathlib import Path

import pytest

from tests.ratewire.cli.conftest import SAMPLES, Configured

PLAN = '[[plan]]\nname = "{name}"\ncurrency = "EUR"\nminimum = "{minimum}"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a test writes plans."""
    return tmp_path / "plans.toml"


def test_a_plan_that_changes_is_a_new_version(configured: Configured, file: Path) -> None:
    ratewire = configured.ratewire
    file.write_text(PLAN.format(name="a", minimum="1") + PLAN.format(name="b", minimum="1"))
    assert ratewire.done("plan", "load", str(file)) == "a version 1\nb version 1\n"
    file.write_text(PLAN.format(name="a", minimum="1") + PLAN.format(name="b", minimum="2"))
    assert ratewire.json("plan", "load", str(file)) == [
        {"name": "a", "version": 1, "changed": False},
        {"name": "b", "version": 2, "changed": True},
    ]
    assert ratewire.done("plan", "load", str(file)) == (
        "a version 1 (unchanged)\nb version 2 (unchanged)\n"
    )
    assert [(plan["name"], plan["version"]) for plan in ratewire.json("plan", "list")] == [
        *(("a", 1), ("b", 2)),
    ]


def test_the_sample_plans_are_shown_with_their_prices(configured: Configured) -> None:
    configured.ratewire.done("plan", "load", str(SAMPLES))
    lines = configured.ratewire.done("plan", "list").splitlines()
    [metered] = [line.split() for line in lines if line.startswith("metered ")]
    assert metered == [
        "metered",
        "1",
        "EUR",
        "balanced",
        "2.00",
        "per",
        "1000000000",
        "octets_total",
    ]
    [free] = [line.split() for line in lines if line.startswith("free ")]
    assert free[-1] == "free"


def test_of_a_file_with_faults_every_one_is_told_and_nothing_loaded(
    configured: Configured, file: Path
) -> None:
    file.write_text(
        PLAN.format(name="good", minimum="1")
        + PLAN.format(name="bad", minimum="-")
        + "mimimum = 1\n"
    )
    refused = configured.ratewire("plan", "load", str(file), "--json")
    assert (refused.status, refused.out) == (1, "")
    assert refused.err == (
        f"ratewire: {file}:8: plan bad: minimum: '-' is not an amount: write digits with a decimal"
        " point and at most six decimals, for example 12.50\n"
        f"{file}:9: plan bad: the key mimimum is not known; did you mean minimum?\n"
    )
    assert configured.ratewire.json("plan", "list") == []


NO_FILES = [
    (b"[[plan]\n", "is not TOML: Expected ']]' at the end of an array declaration (at line 1,"),
    (b"\xff", "cannot be read: it is not UTF-8 text"),
    (b"", "there is no [[plan]]"),
]


def test_a_file_that_is_none_is_refused(configured: Configured, file: Path) -> None:
    for octets, reason in NO_FILES:
        file.write_bytes(octets)
        told = configured.ratewire.refused("plan", "load", str(file))
        assert told.startswith(f"{file}: {reason}")


def test_a_file_that_cannot_be_read_is_named(configured: Configured, tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "missing.toml", "No such file or directory"),
        (tmp_path, "Is a directory"),
    ):
        told = configured.ratewire.refused("plan", "load", str(path))
        assert told == f"{path}: cannot be read: {reason}"
