"""What can go wrong with the embedded servers through no fault in the code."""

from __future__ import annotations


class EmbeddedServersError(Exception):
    """The embedded servers cannot be used; the message says what, where, and what would help."""


class ServerStartError(EmbeddedServersError):
    """One server did not come up. `log_tail` holds the last lines that it wrote."""

    def __init__(self, server_name: str, reason: str, log_tail: str) -> None:
        """`reason` completes the sentence "the embedded SERVER ..."."""
        self.server_name = server_name
        self.log_tail = log_tail
        message = f"the embedded {server_name} {reason}"
        if log_tail:
            indented = "\n".join(f"  {line}" for line in log_tail.splitlines())
            message += f"; the end of its log:\n{indented}"
        super().__init__(message)
