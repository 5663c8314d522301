from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptspan._segment import KIND_SPAN, MARK, Segment, record

SPANS = st.lists(st.one_of(st.binary(max_size=300), st.just(MARK * 5)), min_size=1, max_size=30)


def written(path: Path, spans: list[bytes]) -> Segment:
    """A segment with these spans."""
    segment = Segment(path)
    segment.create(b"resource")
    segment.append(spans, b"ledger")
    return segment


def everything(segment: Segment, at_once: int = 7, max_bytes: int = 1_000) -> tuple[list[bytes], int]:
    """Read and acknowledge all; returns the spans and how many were damaged."""
    found: list[bytes] = []
    damaged = 0
    while segment.waiting:
        spans, ends, lost = segment.read(at_once, max_bytes)
        damaged += lost
        if spans:
            segment.acknowledge(ends[-1], len(spans))
        found += spans
    return found, damaged


@given(SPANS, st.integers(1, 40), st.integers(1, 5_000))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_in_pieces_of_any_size(
    spans: list[bytes], at_once: int, max_bytes: int
) -> None:
    with TemporaryDirectory() as folder:
        segment = written(Path(folder) / "a.seg", spans)
        assert everything(segment, at_once, max_bytes) == (spans, 0)
        segment.remove()


@given(SPANS, st.data())
@settings(max_examples=60, deadline=None)
def test_the_next_process_goes_on_behind_what_was_acknowledged(
    spans: list[bytes], data: st.DataObject
) -> None:
    done = data.draw(st.integers(0, len(spans)))
    with TemporaryDirectory() as folder:
        segment = written(Path(folder) / "a.seg", spans)
        if done:
            _, ends, _ = segment.read(done, 1 << 20)
            segment.acknowledge(ends[-1], done)
        segment.close()
        again = Segment(segment.path)
        assert again.load() == 0
        assert again.waiting == len(spans) - done
        assert again.described() == b"resourceledger"
        assert everything(again) == (spans[done:], 0)
        again.remove()


@given(st.lists(st.binary(min_size=20, max_size=300), min_size=2, max_size=30), st.data())
@settings(max_examples=150, deadline=None)
def test_one_flipped_bit_costs_one_span_at_most_and_the_loss_is_counted(
    spans: list[bytes], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        segment = written(Path(folder) / "a.seg", spans)
        segment.close()
        raw = bytearray(segment.path.read_bytes())
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        segment.path.write_bytes(raw)
        again = Segment(segment.path)
        damaged = again.load()
        assert again.waiting in {len(spans), len(spans) + 1}
        found, lost = everything(again)
        assert len(found) >= len(spans) - 1
        assert [span for span in spans if span in found] == found or len(set(spans)) < len(spans)
        assert lost == damaged
        assert lost in {len(spans) - len(found), 1}
        again.remove()


@given(SPANS, st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_cut_anywhere_gives_back_what_is_whole(spans: list[bytes], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        segment = written(Path(folder) / "a.seg", spans)
        segment.close()
        raw = segment.path.read_bytes()
        segment.path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
        again = Segment(segment.path)
        damaged = again.load()
        found, lost = everything(again)
        assert found == spans[: len(found)]
        assert lost == damaged <= 1
        again.remove()


@given(st.binary(max_size=2_000))
@settings(max_examples=60, deadline=None)
def test_rubbish_is_read_to_its_end(noise: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.seg"
        path.write_bytes(noise)
        segment = Segment(path)
        segment.load()
        assert everything(segment)[0] == []
        segment.remove()


def test_a_span_may_look_like_a_record(tmp_path: Path) -> None:
    spans = [record(KIND_SPAN, 5, b"inner"), MARK, MARK[:2], record(KIND_SPAN, 0, b"")]
    assert everything(written(tmp_path / "a.seg", spans)) == (spans, 0)


def test_a_span_larger_than_the_window_is_read(tmp_path: Path) -> None:
    spans = [os.urandom(1_000_000), b"small", os.urandom(500_000)]
    segment = written(tmp_path / "a.seg", spans)
    assert everything(segment, 10, 10) == (spans, 0)
    segment.close()
    again = Segment(segment.path)
    again.load()
    assert again.waiting == 0


def test_damage_in_the_middle_keeps_later_numbers_right(tmp_path: Path) -> None:
    spans = [b"%04d" % number * 50 for number in range(100)]
    segment = written(tmp_path / "a.seg", spans)
    raw = bytearray(segment.path.read_bytes())
    at = raw.find(spans[40])
    raw[at : at + 900] = bytes(900)  # from within 40 to within 44
    segment.path.write_bytes(raw)
    found, lost = everything(segment)
    assert found == spans[:40] + spans[45:]
    assert lost == 5


def test_a_segment_is_never_opened_through_a_link(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (tmp_path / "a.seg").symlink_to(secret)
    with pytest.raises(OSError, match="symbolic"):
        Segment(tmp_path / "a.seg").load()
