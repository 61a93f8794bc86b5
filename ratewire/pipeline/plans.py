"""The plans a worker rates with, as last read from the store."""

from collections.abc import Mapping

import msgspec

from rating.plan import Plan

_decode = msgspec.json.Decoder(Plan).decode
_encode = msgspec.json.Encoder().encode


def encode_plan(plan: Plan) -> bytes:
    """Return a plan as it is published."""
    return _encode(plan)


def published_name(plan: Plan) -> str:
    """Return the name under which a version of a plan is published."""
    return f"{plan.name}@{plan.version}"


class Plans:
    """All versions of all plans. Immutable: a newer revision is another object."""

    def __init__(self, revision: int = 0, published: Mapping[str, bytes] | None = None) -> None:
        self.revision = revision
        self._versions: dict[tuple[str, int], Plan] = {}
        self._newest: dict[str, Plan] = {}
        for value in (published or {}).values():
            plan = _decode(value)
            self._versions[plan.name, plan.version] = plan
            newest = self._newest.get(plan.name)
            if newest is None or newest.version < plan.version:
                self._newest[plan.name] = plan

    def version(self, name: str, version: int) -> Plan | None:
        """Return the version that a session was opened with."""
        return self._versions.get((name, version))

    def newest(self, name: str) -> Plan | None:
        """Return the version that a session opens with now."""
        return self._newest.get(name)
