"""Entity files as people write them."""

from pathlib import Path

import pytest

from billing.entities.entityfile import read_entity
from billing.errors import InvalidInput

SAMPLE = Path(__file__).parents[3] / "config" / "samples" / "entity.toml"


def test_the_sample_can_be_read() -> None:
    entity = read_entity(SAMPLE)
    assert (entity.entity, entity.address.country) == ("main", "DE")
    assert "<svg" in entity.logo


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x", "is not TOML"),
        ('name = "x"', "missing required field `address`"),
        ('name = "x"\nnmae = "y"', "unknown field `nmae`"),
        ('name = "x"\nlogo_file = "none.svg"', "none.svg: cannot be read"),
    ],
)
def test_a_fault_says_which_field(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "e.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=told):
        read_entity(path)
