"""The main job from outside: real `ratewire serve`, real RADIUS clients, exact figures."""

import pytest

# What these modules assert is told in full, as in a test.
pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("books", "coa_port", "installation", "radclient"))
)
