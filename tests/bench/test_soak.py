"""A soak in small: all of it runs, sessions end and begin, and the books are exact."""

import asyncio

from bench.soak import measure, parser


def test_a_short_soak_is_watched_and_exact() -> None:
    words = "--minutes 0.1 --rate 200 --sessions 50 --seconds 1 --reports 5 --workers 1"
    result = asyncio.run(measure(parser().parse_args(words.split())))
    assert result["conservation"]["exact"]
    [minute] = result["minutes"]
    assert minute["acknowledged"] >= 600
    assert result["looks"] >= 3
    judged = result["growth"]
    for name in ("listener", "settlement", "enforcer", "http", "supervisor", "postgres"):
        assert judged[f"{name} uss"]["last"] > 1 << 20
    assert judged["store octets a key added"]["last"] > 50
    assert judged["latency p99_ms"]["last"] == minute["p99_ms"]
    last = result["last_look"]
    assert last["store keys"] > 2 * 50 + 100  # sessions that ended are remembered
    assert last["store used_memory"] > 1 << 20
