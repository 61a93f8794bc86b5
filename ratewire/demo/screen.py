"""The picture on a terminal, or as lines where there is none. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ratewire.demo.stock import CURRENCY
from ratewire.demo.watch import Happening, Line, Picture
from rating.money import Rounding, divide, format_micros

#: What a full bar stands for, in micros.
_FULL = 500_000
_BAR = 14

#: Sessions with less than this left are about to be cut (seconds).
_SOON_S = 20

#: The columns of the sessions, each with the least width of a terminal that shows it.
_COLUMNS = (
    ("user", 0, "left"),
    ("plan", 120, "left"),
    ("NAS", 120, "left"),
    ("up", 60, "right"),
    ("MB", 60, "right"),
    ("burn/min", 60, "right"),
    ("charged", 0, "right"),
    ("left", 0, "right"),
    ("", 80, "left"),
    ("lasts", 0, "right"),
)
_LONGEST_NAME = 20

#: A terminal that is lower has no room for what happens.
_FEED_FROM = 14


def draw(picture: Picture, heading: str, width: int, height: int) -> RenderableType:
    """Return the picture for a terminal so many columns wide and lines high, which it fits."""
    feed = max(2, min(8, height // 5)) if height >= _FEED_FROM else 0
    parts: list[RenderableType] = [
        _cropped(Text(f"{_clock(picture.elapsed_s)} {heading}", style="bold")),
        *_figures(picture),
    ]
    if picture.trouble:
        parts.append(_cropped(Text(" ".join(picture.trouble.split()), style="bold red")))
    # Besides: the sessions' header, the frame around what happens, and the last line.
    rows = height - len(parts) - 1 - (feed + 2 if feed else 0) - 1
    parts.append(_sessions(picture.lines, width, max(1, rows)))
    if feed:
        happened = _feed(picture.happenings[-feed:], feed)
        parts.append(Panel(happened, title="what happens", title_align="left"))
    parts.append(
        _cropped(Text("Ctrl-C ends the demo: it drains, and shows the books.", style="dim"))
    )
    return Group(*parts)


def line(picture: Picture) -> str:
    """Return the picture in one line."""
    commit = "-" if picture.commit_ms is None else f"{picture.commit_ms:.1f} ms"
    return (
        f"{_clock(picture.elapsed_s)} sessions {len(picture.lines)},"
        f" {picture.records_per_second:.0f} records/s ({picture.records} in all),"
        f" commit {commit}, settlement lag {picture.lag_s:.1f} s,"
        f" balances {_money(picture.balance)}, reserved {_money(picture.reserved)},"
        f" burning {_money(_burn(picture.lines))}/min, cuts {picture.cuts},"
        f" payments {picture.payments}"
        + (f", TROUBLE {picture.trouble}" if picture.trouble else "")
    )


def happening(event: Happening) -> str:
    """Return an event in one line."""
    at = datetime.fromtimestamp(event.at_ms / 1000, UTC)
    return f"{at:%H:%M:%S} {event.text}"


def _figures(picture: Picture) -> list[RenderableType]:
    commit = "-" if picture.commit_ms is None else f"{picture.commit_ms:.1f} ms"
    first = (
        ("sessions", f"{len(picture.lines)}", "bold"),
        ("cuts", f"{picture.cuts}", "bold red"),
        ("payments", f"{picture.payments}", "bold green"),
        ("records", f"{picture.records:,}", "bold"),
        ("records/s", f"{picture.records_per_second:.0f}", "bold"),
        ("commit", commit, "bold"),
    )
    second = (
        ("balances", _money(picture.balance), "bold"),
        ("reserved", _money(picture.reserved), "bold"),
        ("burning", f"{_money(_burn(picture.lines))}/min", "bold"),
        ("ledger lag", f"{picture.lag_s:.1f} s", "bold"),
    )
    return [
        _cropped(
            Text("  ").join(
                Text.assemble(f"{name} ", (value, style)) for name, value, style in figures
            )
        )
        for figures in (first, second)
    ]


def _cropped(text: Text) -> Text:
    """A text that takes one line, however narrow."""
    text.no_wrap = True
    text.overflow = "ellipsis"
    return text


def _sessions(lines: Sequence[Line], width: int, rows: int) -> Table:
    """Those that will be cut first come first. It has no more than so many rows."""
    table = Table(box=None, pad_edge=False, expand=True)
    shown = [index for index, (_, least, _) in enumerate(_COLUMNS) if width >= least]
    for index in shown:
        name, _, justify = _COLUMNS[index]
        longest = _LONGEST_NAME if name == "user" else None
        table.add_column(
            name, justify="right" if justify == "right" else "left", no_wrap=True, max_width=longest
        )
    ordered = sorted(lines, key=lambda each: (_urgency(each), each.view.user))
    room = rows if len(lines) <= rows else rows - 1
    for each in ordered[:room]:
        cells = _cells(each)
        table.add_row(*(cells[index] for index in shown))
    if len(lines) > room:
        table.add_row(Text(f"and {len(lines) - room} more", style="dim"))
    return table


def _cells(each: Line) -> list[Text]:
    """One session, by _COLUMNS. What a NAS named is text, whatever it looks like."""
    view = each.view
    left = each.available + view.reserved_micros
    cutting = view.cutting and _is_soon(each)
    return [
        Text(view.user.partition("@")[0]),
        Text(view.plan),
        Text(view.nas.partition("/")[2] or view.nas),
        Text(f"{view.seconds} s"),
        Text(f"{(view.octets_in + view.octets_out) / 1e6:.1f}"),
        Text("" if each.burn is None else _amount(each.burn)),
        Text(_amount(view.charged_micros)),
        Text(_amount(left)),
        _bar(left),
        Text("cutting", style="bold red") if cutting else Text(_lasts(each)),
    ]


def _feed(events: Sequence[Happening], lines: int) -> Text:
    told = [happening(each) for each in events] or ["nothing yet"]
    return Text("\n".join(told + [""] * (lines - len(told))), no_wrap=True, overflow="ellipsis")


def _urgency(each: Line) -> int:
    lasts = each.lasts_s
    return 10**9 if lasts is None else lasts


def _is_soon(each: Line) -> bool:
    lasts = each.lasts_s
    return lasts is not None and lasts <= _SOON_S


def _bar(micros: int) -> Text:
    filled = max(0, min(_BAR, micros * _BAR // _FULL))
    style = "red" if micros < _FULL // 10 else "yellow" if micros < _FULL // 3 else "green"
    return Text("█" * filled + "·" * (_BAR - filled), style=style)


def _lasts(each: Line) -> str:
    lasts = each.lasts_s
    if lasts is None:
        return ""
    return f"{lasts} s" if lasts < 600 else f"{lasts // 60} min"


def _burn(lines: Sequence[Line]) -> int:
    return sum(each.burn or 0 for each in lines)


def _amount(micros: int) -> str:
    """An amount for a narrow column: four decimals, rounded for the eye only."""
    sign, units = "-" if micros < 0 else "", divide(abs(micros), 100, Rounding.HALF_UP)
    return f"{sign}{units // 10_000}.{units % 10_000:04d}"


def _money(micros: int) -> str:
    cents = divide(micros, 10_000, Rounding.HALF_UP)
    return f"{CURRENCY} {format_micros(cents * 10_000, CURRENCY)}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}"
