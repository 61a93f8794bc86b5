"""What a session can use: seconds, and octets in each direction."""

import msgspec


class Counters(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Cumulative or incremental usage of one session. All three are >= 0.

    `octets_in` is what the NAS received from the user (upload), `octets_out` what it sent to the
    user (download): RFC 2866, sections 5.3 and 5.4.
    """

    seconds: int = 0
    octets_in: int = 0
    octets_out: int = 0

    def __sub__(self, other: "Counters") -> "Counters":
        return Counters(
            self.seconds - other.seconds,
            self.octets_in - other.octets_in,
            self.octets_out - other.octets_out,
        )

    def __add__(self, other: "Counters") -> "Counters":
        return Counters(
            self.seconds + other.seconds,
            self.octets_in + other.octets_in,
            self.octets_out + other.octets_out,
        )

    def __bool__(self) -> bool:
        """Whether anything was used at all."""
        return bool(self.seconds or self.octets_in or self.octets_out)


NOTHING = Counters()
