# What we use of it.
from collections.abc import Iterator

class XMLSyntaxError(SyntaxError): ...

class XMLParser:
    def __init__(
        self,
        *,
        resolve_entities: bool = ...,
        load_dtd: bool = ...,
        no_network: bool = ...,
        huge_tree: bool = ...,
        remove_comments: bool = ...,
        remove_pis: bool = ...,
    ) -> None: ...

class DocInfo:
    doctype: str

class ElementTree:
    docinfo: DocInfo

class Element:
    tag: str
    text: str | None
    sourceline: int | None
    def __iter__(self) -> Iterator[Element]: ...
    def get(self, key: str) -> str | None: ...
    def iter(self, *tags: str) -> Iterator[Element]: ...
    def itertext(self) -> Iterator[str]: ...
    def getroottree(self) -> ElementTree: ...

def fromstring(text: bytes, parser: XMLParser) -> Element: ...
