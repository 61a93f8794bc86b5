"""Errors carry what people need to act on them."""

from ratewire.embedded.errors import EmbeddedServersError, ServerStartError


def test_a_start_error_shows_the_end_of_the_log() -> None:
    error = ServerStartError("valkey", "ended while it started", "Bad file format\nbye bye")
    assert str(error) == (
        "the embedded valkey ended while it started; the end of its log:\n"
        "  Bad file format\n"
        "  bye bye"
    )
    assert isinstance(error, EmbeddedServersError)


def test_a_start_error_without_a_log_is_one_sentence() -> None:
    assert str(ServerStartError("valkey", "cannot start", "")) == "the embedded valkey cannot start"
