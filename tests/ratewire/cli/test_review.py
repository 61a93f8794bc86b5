"""rerate, write-off."""

from tests.acceptance.installation import eventually
from tests.ratewire.cli.conftest import Configured, Running


def test_what_nobody_is_to_pay_leaves_the_list(running: Running) -> None:
    ratewire, user = running.ratewire, "review-stranger"
    running.nas.send(running.login(user).start(), running.login(user).stop(60, 1, 2))
    eventually(lambda: [e["records"] for e in ratewire.json("unrated", "--user", user)] == [2])
    [found] = ratewire.json("unrated", "--user", user)
    words = ("write-off", found["nas"], found["acct_session_id"], user, "--reason")
    assert "needs a reason" in ratewire.refused(*words, " ")
    told = ratewire.done(*words, "a test of the line")
    assert told.endswith("of 'review-stranger' is written off: 60 s, 1 octets in, 2 out\n")
    assert ratewire.json("unrated", "--user", user) == []


def test_what_is_not_on_the_list_is_told(configured: Configured) -> None:
    assert configured.ratewire.done("rerate", "nobody") == "nobody has no unrated session\n"
    told = configured.ratewire.refused("write-off", "pop1", "s1", "nobody", "--reason", "none")
    assert "NAS pop1 has no unrated session 's1' of 'nobody'" in told
