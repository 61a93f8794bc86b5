"""XML from outside, read so that it can do nothing: no entities, no DTD, no network."""

from collections.abc import Iterator

from lxml import etree

from billing.reconciliation.statement import Fault, Unreadable, tidy


def document(content: bytes, name: str) -> etree.Element:
    """Return the root of a file's XML.

    Raises Unreadable where it is not well-formed, or has a DTD: no bank sends one, and what does
    means to have its entities expanded.
    """
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        place = f"line {error.lineno}, column {error.offset}"
        raise Unreadable(name, [Fault(place, f"this is not XML: {error.msg}")]) from error
    if root.getroottree().docinfo.doctype:
        raise Unreadable(name, [Fault("its beginning", "a DOCTYPE is not allowed")])
    return root


def local(element: etree.Element) -> str:
    """Return the name of an element, whatever version's namespace it is in."""
    return element.tag.rpartition("}")[2]


def children(element: etree.Element, name: str) -> Iterator[etree.Element]:
    """Return the children of that name."""
    return (each for each in element if local(each) == name)


def down(element: etree.Element | None, *path: str) -> etree.Element | None:
    """Return the first element down a path of names, if there is one."""
    for name in path:
        if element is None:
            return None
        element = next(children(element, name), None)
    return element


def words(element: etree.Element | None, *path: str) -> str:
    """Return the text of the first element down a path, tidied; "" without one."""
    found = down(element, *path)
    return tidy(found.text) if found is not None else ""
