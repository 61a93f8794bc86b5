"""What a plan says of the sessions themselves, beside their price: speed, pool, limits. Pure."""

import msgspec

#: The greatest speed that can be said, in kbit/s (4 Tbit/s).
MAX_KBPS = 2**32 - 1


class Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a login is given, and what a subscriber without credit is.

    `rate_down_kbps` (to the user) and `rate_up_kbps` are 0 for a speed that the NAS decides; so are
    `idle_seconds`, `session_seconds` (the longest session) and `session_limit` (sessions of one
    subscriber at the same time) for none. `pool` is the Framed-Pool. A login without credit is
    refused, or, if `garden` names a walled garden of the NAS, put there under `garden_plan`.
    With `garden_running` a running session whose credit ends is put there as well, where its NAS
    can do that, and not cut; with `garden_suspended` so is whoever is suspended, running or not.
    """

    rate_down_kbps: int = 0
    rate_up_kbps: int = 0
    idle_seconds: int = 0
    session_seconds: int = 0
    session_limit: int = 0
    pool: str = ""
    garden: str = ""
    garden_plan: str = ""
    garden_running: bool = False
    garden_suspended: bool = False

    def faults(self) -> list[str]:
        """What cannot be, each with what is allowed."""
        bounds = {
            "rate_down_kbps": MAX_KBPS,
            "rate_up_kbps": MAX_KBPS,
            "idle_seconds": 86_400,
            "session_seconds": 2**31,
            "session_limit": 10_000,
        }
        found = [
            f"access.{name} is {getattr(self, name)}, allowed is 0 to {most}"
            for name, most in bounds.items()
            if not 0 <= getattr(self, name) <= most
        ]
        for name in ("pool", "garden", "garden_plan"):
            value: str = getattr(self, name)
            if len(value.encode()) > 64 or not value.isprintable():
                found.append(f"access.{name} must be up to 64 octets of printable text")
        if bool(self.garden) != bool(self.garden_plan):
            found.append("access.garden and access.garden_plan belong together")
        if (self.garden_running or self.garden_suspended) and not self.garden:
            found.append("access.garden_running and access.garden_suspended need access.garden")
        if bool(self.rate_down_kbps) != bool(self.rate_up_kbps):
            found.append("access.rate_down_kbps and access.rate_up_kbps belong together")
        return found


#: What a plan gives that says nothing.
PLAIN = Access()
