"""The numbers of documents: one series an entity, kind and year, without gaps."""

import re
from datetime import date
from typing import Final

import msgspec

from billing.database import Connection
from billing.entities import register as entities
from billing.entities.entity import Entity, NumberFormats
from billing.errors import Conflict, InvalidInput
from billing.statements import load

SQL = load(__package__, "queries.sql")

_NUMBER: Final = re.compile(r"\{number(?::0?(\d+))?\}")


class Series(msgspec.Struct, frozen=True):
    """The numbers of a year: those after `continues_from` up to `last_number` are taken.

    `documents` is how many documents have one of them.
    """

    entity: str
    series: str
    year: int
    continues_from: int
    last_number: int
    last_on: date | None
    documents: int

    @property
    def missing(self) -> int:
        """How many of the numbers taken are on no document: 0, or there is a fault."""
        return self.last_number - self.continues_from - self.documents


class Written(msgspec.Struct, frozen=True):
    """How a year's numbers are written: what stands before, at least so many digits, what after."""

    before: str
    digits: int
    after: str


def written(entity: Entity, series: str, year: int) -> Written:
    """Return how an entity writes the numbers of a series in a year."""
    text: str = getattr(entity.numbers, series)
    before, after = _NUMBER.split(text)[::2]
    match = _NUMBER.search(text)
    assert match is not None, text
    return Written(
        before.replace("{year}", str(year)), int(match[1] or 1), after.replace("{year}", str(year))
    )


async def continue_from(
    conn: Connection, entity: str, series: str, year: int, last_number: int
) -> None:
    """Have a series that has not begun go on after `last_number`, the last one of another system.

    Raises NotFound, InvalidInput, or Conflict if it has begun.
    """
    if not 0 <= last_number <= 10**12 or not 2000 <= year <= 9999:
        raise InvalidInput(f"number {last_number} in {year}: allowed is 0 to 10^12, from 2000 on")
    if series not in NumberFormats.__struct_fields__:
        raise InvalidInput(
            f"series {series!r}: allowed are {', '.join(NumberFormats.__struct_fields__)}"
        )
    await entities.get(conn, entity)
    if await conn.fetchval(SQL["continue_series"], entity, series, year, last_number) is None:
        raise Conflict(f"series {series} of {entity} in {year} has begun; its numbers only go on")


async def list_(conn: Connection) -> list[Series]:
    """Return all series."""
    return [msgspec.convert(dict(row), Series) for row in await conn.fetch(SQL["series"])]
