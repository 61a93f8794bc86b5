"""One line when something fails, one when it works again, none between."""

from structlog.testing import capture_logs

from ratewire.outage import Outage


def test_an_outage_is_two_lines_however_long_it_lasts() -> None:
    outage = Outage("the store")
    with capture_logs() as lines:
        outage.works()
        assert lines == []
        for number in range(3):
            outage.failed(ConnectionError(f"refused {number}"))
            assert outage.lasts
        [began] = lines
        assert (began["log_level"], began["what"]) == ("error", "the store")
        assert (began["error"], began["kind"]) == ("refused 0", "ConnectionError")
        outage.works()
        outage.works()
        assert not outage.lasts
        [_, ended] = lines
        assert (ended["log_level"], ended["failures"]) == ("warning", 3)
        outage.failed(ConnectionError("again"))
        assert len(lines) == 3
