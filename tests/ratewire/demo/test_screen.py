"""The picture on terminals of several sizes, and in lines."""

import pytest
from rich.console import Console

from ratewire.demo import screen
from ratewire.demo.watch import Line, Picture
from tests.ratewire.demo.pictures import happening, line, picture

HEADING = "Ratewire demo: RADIUS 127.0.0.1:1813, http://127.0.0.1:8000, 48 subscribers on 4 NASes"

SIZES = [(80, 24), (140, 45), (40, 10), (20, 5), (300, 100), (80, 14), (80, 13)]

BUSY = picture(
    lines=[line(f"demo-{number:02d}", left=number * 20_000) for number in range(120)],
    happenings=[happening(number) for number in range(100)],
)


def drawn(shown: Picture, width: int, height: int) -> list[str]:
    """The lines on a terminal of that size."""
    console = Console(width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(screen.draw(shown, HEADING, width, height))
    return captured.get().splitlines()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(BUSY, id="busy"),
        pytest.param(picture(), id="empty"),
        pytest.param(picture(lines=[line()], commit_ms=None), id="one"),
        pytest.param(
            picture(lines=BUSY.lines, trouble="the store: it does\nnot answer " * 9), id="trouble"
        ),
    ],
)
def test_it_fits_the_terminal(shown: Picture, width: int, height: int) -> None:
    lines = drawn(shown, width, height)
    # So low a terminal that not one session fits is cropped by rich.
    assert len(lines) <= max(height, 7)
    assert all(len(each) <= width for each in lines)
    assert lines[0].startswith("01:05 Ratewire")


def test_a_full_picture_uses_all_of_it() -> None:
    for width, height in SIZES[:3]:
        assert len(drawn(BUSY, width, height)) == height


def test_80_by_24_shows_what_matters_without_cutting_it_off() -> None:
    lines = drawn(BUSY, 80, 24)
    assert lines[1] == (
        "sessions 120  cuts 17  payments 9  records 12,345  records/s 14  commit 2.3 ms"
    )
    assert lines[2].split("  ")[:3] == [
        "balances EUR 9.49",
        "reserved EUR 1.20",
        "burning EUR 0.01/min",
    ]
    assert lines[3].split() == ["user", "up", "MB", "burn/min", "charged", "left", "lasts"]
    assert "…" not in "".join(lines[3:16])
    assert lines[4].split()[:7] == ["demo-00", "123", "s", "135.8", "0.0001", "1.2346", "0.0000"]
    assert sum("cut, proven by its Stop" in each for each in lines) == 4


def test_a_narrow_terminal_shows_less_of_each_session_and_a_wide_one_more() -> None:
    assert drawn(BUSY, 40, 10)[3].split() == ["user", "charged", "left", "lasts"]
    header = drawn(BUSY, 140, 45)[3].split()
    assert header[:4] == ["user", "plan", "NAS", "up"]


def test_who_is_cut_first_comes_first_and_the_others_are_counted() -> None:
    lines = [
        line("slow", left=1_000_000, burn=60),
        line("unknown", burn=None),
        line("idle", burn=0),
        line("fast", left=100_000, burn=600_000),
    ]
    users = [each.split()[0] for each in drawn(picture(lines=lines), 80, 24)[4:8]]
    assert users == ["fast", "slow", "idle", "unknown"]
    assert any(each.startswith("and 116 more") for each in drawn(BUSY, 40, 10))


@pytest.mark.parametrize(
    ("one", "lasts"),
    [
        (line(left=100_000, burn=60_000), "100 s"),
        (line(left=100_000, burn=6_000), "16 min"),
        (line(left=-5_000, burn=6_000), "0 s"),
        (line(left=10_000, burn=60_000, cutting=True), "cutting"),
        (line(left=100_000, burn=60_000, cutting=True), "100 s"),
        (line(burn=None), "·"),
    ],
)
def test_how_long_the_credit_lasts(one: Line, lasts: str) -> None:
    [row] = [each for each in drawn(picture(lines=[one]), 80, 24) if each.startswith("alice")]
    assert row.rstrip().endswith(lasts)


@pytest.mark.parametrize("user", ["[/]", "[bold]bob", "[red", "\\[", "😀" * 40, ""])
def test_what_a_nas_calls_a_user_is_only_text(user: str) -> None:
    one = line(user, plan="[/a]", nas=f"demo-fleet/{user}[/b]")
    for width, height in SIZES:
        drawn(picture(lines=[one], happenings=[happening(1, f"{user}[/c]")]), width, height)
    row = drawn(picture(lines=[line("[/]x")]), 140, 45)[4]
    assert row.startswith("[/]x ")


def test_in_one_line_it_says_the_same() -> None:
    assert screen.line(picture(lines=[line(burn=5_000), line(burn=None)])) == (
        "01:05 sessions 2, 14 records/s (12345 in all), commit 2.3 ms, settlement lag 0.1 s,"
        " balances EUR 9.49, reserved EUR 1.20, burning EUR 0.01/min, cuts 17, payments 9"
    )
    assert "commit -," in screen.line(picture(commit_ms=None))
    assert screen.line(picture(trouble="no store")).endswith(", TROUBLE no store")


def test_an_event_has_its_time_in_utc() -> None:
    assert screen.happening(happening(1, "it rains")) == "15:09:27 it rains"
