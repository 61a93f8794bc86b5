class Attribute:
    name: str
    code: int
    type: str

class Dictionary:
    attributes: dict[str, Attribute]
    def __init__(self, file: str, /) -> None: ...
