from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from alerts.examples import SINCE, alert, notice
from promptspan_server.alerts.delivery import FINAL, Deliverer, Delivery, Lane, backoff_s
from promptspan_server.alerts.destinations.outcome import Outcome
from promptspan_server.alerts.secrets import MissingSecretError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from promptspan_server.alerts.notice import Alert, Notice

FAST = 6000


@dataclass
class Box:
    """An outbox in memory, which can be down."""

    notices: list[Notice] = field(default_factory=list["Notice"])
    deliveries: list[Delivery] = field(default_factory=list[Delivery])
    down: bool = False

    def waiting(self) -> Sequence[tuple[Notice, int]]:
        if self.down:
            raise OSError("the store is down")
        ended = {each.notice_id for each in self.deliveries if each.outcome in FINAL}
        made = {each.notice_id: each.attempt for each in self.deliveries}
        return [(each, made.get(each.id, 0)) for each in self.notices if each.id not in ended]

    def firing(self, destination: str) -> Sequence[Alert]:
        newest = {each.group_key: each for each in self.notices if each.destination == destination}
        return [alert for each in newest.values() for alert in each.alerts if not alert.resolved]

    def record(self, deliveries: Sequence[Delivery]) -> None:
        if self.down:
            raise OSError("the store is down")
        self.deliveries.extend(deliveries)

    def outcomes(self, notice_id: str) -> list[str]:
        return [each.outcome for each in self.deliveries if each.notice_id == notice_id]


@dataclass
class Place:
    """A destination that answers as told."""

    answer: Callable[[Notice], Outcome] = lambda _: Outcome("delivered")
    got: list[str] = field(default_factory=list[str])

    def send(self, notice: Notice) -> Outcome:
        outcome = self.answer(notice)
        if outcome.kind == "delivered":
            self.got.append(notice.id)
        return outcome


def briefly(_: int) -> float:
    return 0.01


class Delivering:
    """A deliverer at work; on the way out it ends."""

    def __init__(self, box: Box, places: dict[str, Place], **options: Any) -> None:
        lanes = {name: Lane(place, FAST) for name, place in places.items()}
        settings: dict[str, Any] = {"poll_s": 0.02, "backoff": briefly, "now": lambda: SINCE, **options}
        self.deliverer = Deliverer(lanes, box, **settings)

    def __enter__(self) -> Deliverer:
        self.deliverer.start()
        return self.deliverer

    def __exit__(self, *_: object) -> None:
        self.deliverer.stop()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "it did not happen within ten seconds"
        time.sleep(0.005)


def test_notices_arrive_once_and_in_order() -> None:
    box, place = Box([notice(n) for n in range(20)]), Place()
    with Delivering(box, {"there": place}):
        until(lambda: len(box.deliveries) == 20)
    assert place.got == [f"n-{n}" for n in range(20)]
    assert [each.attempt for each in box.deliveries] == [1] * 20


def test_a_destination_that_was_down_gets_everything_in_order_and_nobody_waits_for_it() -> None:
    up = threading.Event()
    down = Place(lambda _: Outcome("delivered") if up.is_set() else Outcome("retry", "no connection"))
    well = Place()
    mixed = [replace(notice(n), destination="down" if n % 2 else "well") for n in range(12)]
    box = Box(mixed)
    with Delivering(box, {"down": down, "well": well}):
        until(lambda: len(well.got) == 6)
        until(lambda: len(box.outcomes("n-1")) >= 3)
        assert down.got == []
        up.set()
        until(lambda: len(down.got) == 6)
        until(lambda: "delivered" in box.outcomes("n-11"))
    assert down.got == ["n-1", "n-3", "n-5", "n-7", "n-9", "n-11"]
    assert box.outcomes("n-1")[-1] == "delivered"
    assert box.outcomes("n-3") == ["delivered"]


def test_a_destination_that_hangs_blocks_nobody() -> None:
    release = threading.Event()

    def hang(_: Notice) -> Outcome:
        release.wait(10)
        return Outcome("delivered")

    stuck, well = Place(hang), Place()
    box = Box([replace(notice(1), destination="stuck"), replace(notice(2), destination="well")])
    with Delivering(box, {"stuck": stuck, "well": well}) as deliverer:
        until(lambda: well.got == ["n-2"])
        assert deliverer.backlog()["stuck"] == 1
        release.set()
        until(lambda: stuck.got == ["n-1"])


def test_what_is_refused_is_not_tried_again_and_lets_the_next_pass() -> None:
    place = Place(lambda told: Outcome("refused", "HTTP 400") if told.id == "n-1" else Outcome("delivered"))
    box = Box([notice(1), notice(2)])
    with Delivering(box, {"there": place}):
        until(lambda: len(box.deliveries) == 2)
    assert box.outcomes("n-1") == ["refused"]
    assert place.got == ["n-2"]


def test_what_is_too_old_is_given_up_and_said() -> None:
    place = Place(lambda _: Outcome("retry", "down"))
    box = Box([notice(1)])
    with Delivering(box, {"there": place}, now=lambda: SINCE + timedelta(hours=73)):
        until(lambda: box.outcomes("n-1") == ["expired"])


def test_a_store_that_is_down_neither_repeats_nor_forgets() -> None:
    box, place = Box([notice(1)]), Place()

    def lose_the_store(_: Notice) -> Outcome:
        box.down = True
        return Outcome("delivered")

    place.answer = lose_the_store
    with Delivering(box, {"there": place}):
        until(lambda: place.got == ["n-1"])
        time.sleep(0.1)
        assert box.deliveries == []
        place.answer = lambda _: Outcome("delivered")
        box.down = False
        until(lambda: box.outcomes("n-1") == ["delivered"])
        box.notices.append(notice(2))
        until(lambda: place.got == ["n-1", "n-2"])


def test_attempts_count_on_after_a_restart() -> None:
    box, place = Box([notice(1)]), Place(lambda _: Outcome("retry", "down"))
    with Delivering(box, {"there": place}):
        until(lambda: len(box.deliveries) >= 2)
    place.answer = lambda _: Outcome("delivered")
    with Delivering(box, {"there": place}):
        until(lambda: box.outcomes("n-1")[-1] == "delivered")
    assert [each.attempt for each in box.deliveries] == list(range(1, len(box.deliveries) + 1))


def test_without_the_lease_nothing_is_sent_and_what_another_sent_is_let_go() -> None:
    box, place = Box([notice(1)]), Place(lambda _: Outcome("retry", "down"))
    ours = threading.Event()
    ours.set()
    with Delivering(box, {"there": place}, may_deliver=ours.is_set) as deliverer:
        until(lambda: len(box.deliveries) >= 1)
        ours.clear()
        until(lambda: deliverer.backlog() == {"there": 0})
        box.deliveries.append(Delivery("n-1", "there", 9, SINCE, "delivered", "by another"))
        place.answer = lambda _: Outcome("delivered")
        box.notices.append(notice(2))
        ours.set()
        until(lambda: place.got == ["n-2"])


def test_a_notice_for_nobody_waits_until_its_destination_is_configured() -> None:
    box = Box([notice(1)])
    with Delivering(box, {"elsewhere": Place()}):
        time.sleep(0.1)
    assert box.deliveries == []
    place = Place()
    with Delivering(box, {"there": place}):
        until(lambda: place.got == ["n-1"])


def test_a_sender_that_raises_is_tried_again_without_its_words() -> None:
    tries: list[int] = []

    def broken(_: Notice) -> Outcome:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("the key is s3cret")
        if len(tries) == 2:
            raise MissingSecretError("env:KEY is not set")
        return Outcome("delivered")

    box = Box([notice(1)])
    with Delivering(box, {"there": Place(broken)}):
        until(lambda: box.outcomes("n-1") == ["retry", "retry", "delivered"])
    assert "s3cret" not in box.deliveries[0].detail
    assert "env:KEY" in box.deliveries[1].detail


def test_the_receivers_wish_to_wait_is_obeyed() -> None:
    place = Place(lambda _: Outcome("retry", "HTTP 429", after_s=30))
    box = Box([notice(1)])
    with Delivering(box, {"there": place}):
        until(lambda: len(box.deliveries) == 1)
        time.sleep(0.15)
    assert len(box.deliveries) == 1


def test_a_receiver_that_forgets_is_told_again_what_fires() -> None:
    told: list[list[str]] = []

    def resend(alerts: Sequence[Alert]) -> Outcome:
        told.append([each.fingerprint for each in alerts])
        return Outcome("delivered")

    box = Box([notice(1)])
    deliverer = Deliverer({"there": Lane(Place(), FAST, resend=resend, resend_s=0.05)}, box, poll_s=0.02)
    deliverer.start()
    try:
        until(lambda: len(told) >= 2)
        box.notices.append(notice(2, [alert(ends_at=SINCE)]))
        until(lambda: len(box.deliveries) == 2)
        rounds = len(told)
        time.sleep(0.2)
    finally:
        deliverer.stop()
    assert told[0] == ["3f2a9c"]
    assert len(told) <= rounds + 1


@given(st.integers(1, 100_000), st.floats(0, 1))
def test_waiting_grows_to_five_minutes_and_is_spread(attempt: int, jitter: float) -> None:
    waited = backoff_s(attempt, lambda: jitter)
    assert 0.5 <= waited <= 300
    assert waited <= backoff_s(attempt + 1, lambda: 1.0)
