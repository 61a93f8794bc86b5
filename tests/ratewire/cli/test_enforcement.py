"""sessions, session disconnect, jobs."""

import re

from tests.acceptance.coa_port import CoaPort
from tests.acceptance.installation import eventually
from tests.ratewire.cli.conftest import SECRET, Configured, Running


def test_open_sessions_are_shown_as_charged_so_far(running: Running) -> None:
    ratewire = running.ratewire
    running.subscriber("enforcement-user", topup="5.00")
    login = running.login("enforcement-user")
    running.nas.send(login.start(), login.interim(60, 500_000_000, 250_000_000))
    [session] = ratewire.json("sessions", "--user", "enforcement-user")
    assert re.fullmatch(r"[0-9a-f]{32}", session["session"])
    assert (session["octets_in"], session["octets_out"], session["seconds"]) == (
        *(500_000_000, 250_000_000, 60),
    )
    assert session["charged_micros"] == 1_500_000
    assert session["plan"] == "metered@1"
    assert session["nas"] == "pop1/127.10.0.1"
    assert session in ratewire.json("sessions")
    row = ratewire.done("sessions", "--user", "enforcement-user").splitlines()[2].split()
    assert row[:2] == [session["session"], "enforcement-user"]
    assert "1.50" in row
    running.nas.send(login.stop(60, 500_000_000, 250_000_000))
    assert ratewire.json("sessions", "--user", "enforcement-user") == []
    assert ratewire.done("sessions", "--user", "enforcement-user").endswith("\n(none)\n")


def test_a_session_is_cut_on_its_nas_and_the_job_is_shown(running: Running) -> None:
    ratewire = running.ratewire
    running.subscriber("enforcement-cut", topup="5.00")
    login = running.login("enforcement-cut")
    with CoaPort("127.10.0.1", running.installation.ports.coa, SECRET) as nas:
        running.nas.send(login.start())
        [session] = ratewire.json("sessions", "--user", "enforcement-cut")
        beginning = session["session"][:20].upper()
        assert ratewire.done("session", "disconnect", beginning) == (
            f"session {session['session']} is going to be disconnected; see `ratewire jobs`\n"
        )
        request = nas.receive(10.0)
        assert request is not None
        assert request.session_id == login.session_id
        [job] = [j for j in ratewire.json("jobs")["live"] if j["session"] == session["session"]]
        assert (job["account"], job["cause"]) == ("enforcement-cut", "operator")
        assert ratewire.json("sessions", "--user", "enforcement-cut")[0]["cutting"]
        running.nas.send(login.stop(60, 0, 0))

    def events() -> list[str]:
        found = ratewire.json("jobs", "--limit", "1000")["events"]
        return [each["event"] for each in found if each["session"] == session["session"]]

    eventually(lambda: "proven" in events())
    assert events()[-1] == "requested"
    assert session["session"] not in [job["session"] for job in ratewire.json("jobs")["live"]]
    assert len(ratewire.json("jobs", "--limit", "1")["events"]) == 1
    assert ratewire.refused("session", "disconnect", session["session"]) == (
        f"session '{session['session']}' is not open"
    )


def test_a_beginning_that_several_sessions_have_cuts_none(running: Running) -> None:
    ratewire = running.ratewire
    logins = [running.login(f"enforcement-{name}") for name in ("one", "two")]
    for login in logins:
        running.subscriber(login.user, topup="5.00")
    running.nas.send(*(login.start() for login in logins))
    names = [ratewire.json("sessions", "--user", login.user)[0]["session"] for login in logins]
    # The names begin with the time, so these two have its first digits in common.
    told = ratewire.refused("session", "disconnect", names[0][:4])
    assert re.fullmatch(
        f"session '{names[0][:4]}' is the beginning of \\d+ sessions: give more", told
    )
    assert not any(
        session["cutting"] for session in ratewire.json("sessions") if session["session"] in names
    )
    running.nas.send(*(login.stop(60, 0, 0) for login in logins))


def test_what_is_no_session_is_refused(configured: Configured) -> None:
    for session in ("", "abc", "session-1", "*", "0" * 33):
        assert configured.ratewire.refused("session", "disconnect", session) == (
            f"session {session!r}: allowed is what 'ratewire sessions' shows, or at least its"
            " first 4 characters"
        )
    assert configured.ratewire.refused("session", "disconnect", "0123abcd") == (
        "session '0123abcd' is not open"
    )


def test_without_jobs_nothing_is_shown(configured: Configured) -> None:
    assert configured.ratewire.json("jobs") == {"live": [], "events": []}
    assert configured.ratewire.done("jobs").count("(none)") == 2
    assert configured.ratewire("jobs", "--limit", "0").status == 2
