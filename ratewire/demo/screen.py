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


def draw(picture: Picture, heading: str, height: int) -> RenderableType:
    """Return the picture for a terminal so many lines high."""
    happenings = max(3, min(8, height // 5))
    rows = max(3, height - happenings - 9)
    parts: list[RenderableType] = [
        Text(f"{heading}   {_clock(picture.elapsed_s)}", style="bold"),
        _figures(picture),
        Text(picture.trouble, style="bold red"),
        _sessions(picture.lines, rows),
        Panel(_feed(picture.happenings[-happenings:]), title="what happens", title_align="left"),
        Text("Ctrl-C ends the demo: it drains, and shows what is in the books.", style="dim"),
    ]
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


def _figures(picture: Picture) -> Table:
    table = Table.grid(padding=(0, 3))
    commit = "-" if picture.commit_ms is None else f"{picture.commit_ms:.1f} ms"
    table.add_row(
        f"records/s [bold]{picture.records_per_second:.0f}[/]",
        f"records [bold]{picture.records:,}[/]",
        f"commit [bold]{commit}[/]",
        f"settlement lag [bold]{picture.lag_s:.1f} s[/]",
    )
    table.add_row(
        f"sessions [bold]{len(picture.lines)}[/]",
        f"balances [bold]{_money(picture.balance)}[/]",
        f"reserved [bold]{_money(picture.reserved)}[/]",
        f"burning [bold]{_money(_burn(picture.lines))}[/]/min",
        f"cuts [bold red]{picture.cuts}[/]",
        f"payments [bold green]{picture.payments}[/]",
    )
    return table


def _sessions(lines: Sequence[Line], rows: int) -> Table:
    """Those that will be cut first come first."""
    table = Table(box=None, pad_edge=False, expand=True)
    for name in ("user", "plan", "NAS"):
        table.add_column(name, no_wrap=True)
    for name in ("up", "MB", "burn/min", "charged", "left"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("lasts", justify="right", no_wrap=True)
    ordered = sorted(lines, key=lambda each: (_urgency(each), each.view.user))
    for each in ordered[:rows]:
        view = each.view
        left = each.available + view.reserved_micros
        table.add_row(
            view.user.partition("@")[0],
            view.plan,
            view.nas.partition("/")[2] or view.nas,
            f"{view.seconds} s",
            f"{(view.octets_in + view.octets_out) / 1e6:.1f}",
            "" if each.burn is None else _amount(each.burn),
            _amount(view.charged_micros),
            _amount(left),
            _bar(left),
            "[bold red]cutting[/]" if view.cutting and _is_soon(each) else _lasts(each),
        )
    if len(lines) > rows:
        table.add_row(f"and {len(lines) - rows} more", style="dim")
    return table


def _feed(events: Sequence[Happening]) -> Text:
    return Text("\n".join(happening(each) for each in events) or "nothing yet", no_wrap=True)


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
