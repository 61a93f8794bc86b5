"""The plans a worker rates with, as last read from the store."""

from collections.abc import Mapping

import msgspec
import structlog

from rating.plan import Plan

_log = structlog.get_logger(__name__)

_decode = msgspec.json.Decoder(Plan).decode
_encode = msgspec.json.Encoder().encode


def encode_plan(plan: Plan) -> bytes:
    """Return a plan as it is published."""
    return _encode(plan)


def published_name(plan: Plan) -> str:
    """Return the name under which a version of a plan is published."""
    return f"{plan.name}@{plan.version}"


class Plans:
    """All versions of all plans. Immutable: a newer revision is another object.

    What this process does not understand, because a newer one published it in a rolling update, is
    left to those that do; all else goes on.
    """

    def __init__(self, revision: int = 0, published: Mapping[str, bytes] | None = None) -> None:
        self.revision = revision
        self._versions: dict[tuple[str, int], Plan] = {}
        self._newest: dict[str, Plan] = {}
        self._not_understood: dict[str, int] = {}
        for key, value in (published or {}).items():
            name, _, version = key.rpartition("@")
            try:
                plan = _decode(value)
            except msgspec.DecodeError as error:
                _log.error("a plan is not understood", plan=key, error=str(error))
                others = self._not_understood.get(name, 0)
                self._not_understood[name] = max(int(version), others)
                continue
            self._versions[plan.name, plan.version] = plan
            newest = self._newest.get(plan.name)
            if newest is None or newest.version < plan.version:
                self._newest[plan.name] = plan

    def version(self, name: str, version: int) -> Plan | None:
        """Return the version that a session was opened with."""
        return self._versions.get((name, version))

    def understands(self, name: str) -> bool:
        """Return whether the newest version is understood, if there is one at all."""
        newest = self._newest.get(name)
        return self._not_understood.get(name, 0) <= (newest.version if newest else 0)

    def newest(self, name: str) -> Plan | None:
        """Return the version that a session opens with now."""
        return self._newest.get(name)
