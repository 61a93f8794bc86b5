# ruff: noqa: N802 - pyrad's own names
class Attribute:
    name: str
    code: int
    type: str
    vendor: str
    has_tag: bool

class BiDict:
    def GetForward(self, key: str, /) -> int: ...

class Dictionary:
    attributes: dict[str, Attribute]
    vendors: BiDict
    def __init__(self, *files: str) -> None: ...
