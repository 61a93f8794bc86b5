"""XML from outside can do nothing."""

import pytest

from billing.reconciliation.markup import children, document, down, local, words
from billing.reconciliation.statement import Unreadable

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMB = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l0 "lol">{LAUGHS}]><a>&l9;</a>'


@pytest.mark.parametrize(
    "content",
    [
        BOMB,
        '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/hostname">]><a>&f;</a>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>',
        "<a><b></a>",
        "<a>" * 400 + "</a>" * 400,
        "",
    ],
    ids=["bomb", "file", "network", "unclosed", "deep", "empty"],
)
def test_what_means_harm_or_is_broken_is_refused_with_its_place(content: str) -> None:
    with pytest.raises(Unreadable, match=r"x\.xml is refused.*(line \d|its beginning)"):
        document(content.encode(), "x.xml")


def test_elements_are_found_by_their_names_in_any_namespace() -> None:
    root = document(b'<a xmlns="urn:x"><b><c> one\n two </c><c/></b></a>', "x")
    assert local(root) == "a"
    assert words(root, "b", "c") == "one two"
    assert words(root, "b", "d") == ""
    assert down(root, "d", "c") is None
    b = down(root, "b")
    assert b is not None
    assert len(list(children(b, "c"))) == 2
