"""How often a job is tried. Apart from the scheduler, which takes a command long to load."""

from typing import Final

#: A job that fails is tried again, later each time; then it is held for staff to see.
MAX_ATTEMPTS: Final = 12
