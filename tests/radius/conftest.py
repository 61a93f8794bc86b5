from tests.radius.loops import run

__all__ = ["run"]
