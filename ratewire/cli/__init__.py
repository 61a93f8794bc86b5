"""The command line: `ratewire`."""

import os
import sys

#: The exit status after Ctrl-C, as shells have it.
INTERRUPTED = 130


def main() -> None:
    """Run the command line. What goes wrong is told in a line, with exit status 1 (2: usage)."""
    from ratewire.cli.app import app_for

    arguments = sys.argv[1:]
    for argument in arguments:
        if not _is_text(argument):
            _end(f"the argument {argument!r} is not UTF-8 text", status=2)
    if getattr(sys, "stdout", None) is None:  # closed by the shell: nobody wants to read it
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the whole process
    try:
        try:
            app_for(arguments)(prog_name="ratewire")
        finally:
            # What cannot be written is found out here, and not when Python ends.
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough.
        _discard_output()
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, KeyboardInterrupt) or end.code == INTERRUPTED:
            _end("interrupted", status=INTERRUPTED)
        raise
    except Exception as error:
        from ratewire.cli.faults import told

        message = told(error)
        if message is None:
            raise
        if isinstance(error, OSError):
            _discard_output()
        _end(message, status=1)


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _end(message: str, *, status: int) -> None:
    print(f"ratewire: {message}", file=sys.stderr)
    sys.exit(status)


def _discard_output() -> None:
    """Let Python not try once more, when it ends, to write what cannot be written."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
