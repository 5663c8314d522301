from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptspan_server.queries.scope import Filter, Scope, TimeRange
from promptspan_server.queries.series import buckets

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (NOON, NOON),
        (NOON, NOON - timedelta(seconds=1)),
        (NOON, NOON + timedelta(days=401)),
        (NOON.replace(tzinfo=None), NOON),
    ],
)
def test_a_range_that_cannot_be_asked_for_is_refused(start: datetime, end: datetime) -> None:
    with pytest.raises(ValueError, match="range"):
        TimeRange(start, end)


def test_the_previous_range_ends_where_this_one_starts() -> None:
    this = TimeRange(NOON, NOON + timedelta(hours=3))
    assert this.previous.end == this.start
    assert this.previous.length == this.length


@given(
    start=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(timezone.utc)),
    seconds=st.integers(1, 399 * 86_400),
)
def test_buckets_cover_the_range_without_gaps_and_stay_few(start: datetime, seconds: int) -> None:
    time_range = TimeRange(start, start + timedelta(seconds=seconds))
    found = buckets(time_range)
    step = timedelta(seconds=time_range.step_s)
    assert found[0] <= time_range.start < found[0] + step
    assert found[-1] < time_range.end <= found[-1] + step
    assert all(later - earlier == step for earlier, later in itertools.pairwise(found))
    assert len(found) <= 62


def test_values_are_bound_and_never_part_of_the_text() -> None:
    scope = Scope(TimeRange(NOON, NOON + timedelta(hours=1)), Filter(prompt="a' OR 1=1 --", version=""))
    assert "OR 1=1" not in scope.where()
    assert scope.parameters()["f_prompt"] == "a' OR 1=1 --"
    assert scope.parameters()["f_version"] == ""


def test_no_filter_is_not_the_filter_for_calls_without_a_name() -> None:
    assert "prompt_name" not in Filter().where()
    assert "prompt_name = {f_prompt:String}" in Filter(prompt="").where()
