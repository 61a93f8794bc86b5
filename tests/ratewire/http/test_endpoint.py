"""An endpoint says what its path holds, and a page where a listing goes on."""

import msgspec
import pytest

from ratewire.http.endpoint import MAX_PAGE, READERS, Call, Nothing, Page, endpoint
from ratewire.http.problems import BadRequest


async def handler(call: Call[Page, Nothing]) -> None:
    """Nothing is done."""


def test_what_its_path_holds() -> None:
    made = endpoint(
        "GET",
        "billing/x/{account}/y/{y_id}",
        "Read",
        handler,
        roles=READERS,
        answer=None,
        query=Page,
    )
    assert (made.path, made.tag) == ("/api/v1/billing/x/{account}/y/{y_id}", "x")
    assert (made.numbers, made.changes) == (("y_id",), False)
    put = endpoint("PUT", "nas/{nas}", "Put", handler, roles=READERS, answer=None, query=Page)
    assert (put.tag, put.numbers, put.changes) == ("nas", (), True)


def test_a_page_begins_after_the_one_before() -> None:
    assert Page().number() is None
    assert Page(cursor="17").number() == 17
    for wrong in ("", "-1", "x", "1" * 19, "²"):
        with pytest.raises(BadRequest, match=r"\?cursor: allowed is the `next`"):
            Page(cursor=wrong).number()
    for limit in ("0", str(MAX_PAGE + 1)):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"limit": limit}, Page, strict=False)
