from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptspan_server.alerts.notice import Alert, Notice

times = st.datetimes(timezones=st.just(timezone.utc))
labels = st.dictionaries(st.text(), st.text(), max_size=4)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
alerts = st.builds(
    Alert,
    fingerprint=st.text(min_size=1),
    rule=st.text(),
    severity=st.sampled_from(["page", "ticket"]),
    labels=labels,
    state=st.text(),
    value=numbers,
    threshold=numbers,
    unit=st.text(),
    starts_at=times,
    ends_at=st.none() | times,
    summary=st.text(),
    description=st.text(),
    runbook=st.none() | st.text(),
    url=st.none() | st.text(),
)
notices = st.builds(
    Notice,
    id=st.text(min_size=1),
    group_key=st.text(),
    destination=st.text(),
    status=st.sampled_from(["firing", "resolved"]),
    group_labels=labels,
    alerts=st.lists(alerts, min_size=1, max_size=3).map(tuple),
    created_at=times,
)


@given(notices)
def test_a_notice_comes_back_from_json_as_it_was(notice: Notice) -> None:
    assert Notice.from_json(notice.to_json()) == notice


def test_times_are_written_in_utc() -> None:
    west = timezone(timedelta(hours=-5))
    alert = Alert(
        "f", "r", "page", {}, "firing", None, None, "", datetime(2026, 1, 1, 20, tzinfo=west), None, "s"
    )
    notice = Notice("1", "g", "d", "firing", {}, (alert,), datetime(2026, 1, 1, 20, tzinfo=west))
    assert '"starts_at": "2026-01-02T01:00:00+00:00"' in notice.to_json()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"id": "1"}', '{"alerts": [], "created_at": "2026-01-01"}']
)
def test_what_is_no_notice_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Notice.from_json(text)
