"""The command line: `ratewire`."""

import sys


def main() -> None:
    """Run the command line; what went wrong is told in one line, with exit status 1."""
    from ratewire.cli.app import app
    from ratewire.cli.faults import told

    try:
        app()
    except Exception as error:
        message = told(error)
        if message is None:
            raise
        print(f"ratewire: {message}", file=sys.stderr)
        sys.exit(1)
