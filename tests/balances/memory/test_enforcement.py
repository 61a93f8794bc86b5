"""Jobs of the store in memory; what they do is in the contract's tests."""

from balances.entries import JobEvent, decode_job_event
from balances.jobs import Job
from balances.memory import enforcement
from balances.memory.partition import Partition

JOB = Job("0a" * 16, "n|1", "a", "exhausted", "refused", 5, 2, 3, 7, "nak é", 503)


def test_an_event_is_read_as_those_of_the_server_are() -> None:
    assert decode_job_event(enforcement.event_of(JOB, "proven", 9)) == JobEvent(
        uid=JOB.uid,
        session="n|1",
        account="a",
        cause="exhausted",
        event="proven",
        at_ms=9,
        due_ms=5,
        attempts=7,
        result="nak é",
        error_cause=503,
    )


def test_a_job_ends_once() -> None:
    partition = Partition()
    enforcement.put(partition, JOB)
    assert len(enforcement.finish(partition, JOB.uid, "proven", 9)) == 1
    assert enforcement.finish(partition, JOB.uid, "proven", 9) == []
    assert partition.job_agenda.next_ms() is None


def test_a_job_without_its_session_has_ended() -> None:
    verdict, session = enforcement.judge(Partition(), JOB, 9)
    assert (verdict, session) == (enforcement.Verdict.ENDED, None)


def test_causes_are_the_words_of_the_server() -> None:
    assert (enforcement.OPERATOR, enforcement.SUSPENDED) == ("operator", "suspended")
