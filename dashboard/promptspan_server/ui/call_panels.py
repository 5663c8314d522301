"""The parts of the page of one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from promptspan_server.ui import links, panels, wording
from promptspan_server.ui.controls import NONE
from promptspan_server.ui.messages import Message, read_messages
from promptspan_server.ui.table import Cell, Column, table
from promptspan_server.ui.tiles import Note, Tile, tiles

if TYPE_CHECKING:
    from promptspan_server.queries.call import CallDetailRow
    from promptspan_server.queries.connection import Answer
    from promptspan_server.queries.trace import ScoreRow, TextRow

_NO_COST = {
    "unpriced": "no price for this model or for one of its token kinds",
    "no_usage": "the call reported no usage",
    "not_billable": "not a model call of its own: another span is billed",
}
_STATUS = {"ok": "succeeded", "error": "failed", "cancelled": "was cancelled", "incomplete": "was cut short"}
_NEARLY_FULL = 0.9
_ALWAYS_YEAR = 1971


def verdict(row: CallDetailRow) -> str:
    """Say in one sentence what became of the call."""
    subject = (
        f"{row.prompt} {row.version}".strip() if row.prompt else f"{row.operation or 'call'} without a prompt"
    )
    model = row.response_model or row.request_model
    what = _STATUS.get(row.status, row.status)
    reason = f" with {wording.error_name(row.error_type)}" if row.error_type else ""
    on = f" on {model}" if model else ""
    return f"{subject}{on} {what}{reason} after {wording.duration(row.duration_ms)}."


def numbers(row: CallDetailRow) -> None:
    """Draw the numbers of a call."""
    usage = {"estimated": Note("estimated, not reported", "warn"), "missing": Note("not reported", "warn")}
    first = [Note(f"first chunk after {wording.duration(row.ttft_ms)}")] if row.ttft_ms is not None else []
    priced = row.cost_usd is not None or row.price_status == "not_billable"
    tiles(
        [
            Tile(
                "Status",
                row.status,
                [
                    Note(
                        ", ".join(row.finish_reasons) or wording.error_name(row.error_type),
                        "bad" if row.status == "error" else "",
                    )
                ],
                "Below it: why the model stopped, or the error.",
            ),
            Tile("Duration", wording.duration(row.duration_ms), first),
            Tile(
                "Tokens, in + out",
                wording.UNKNOWN
                if row.input_tokens is None and row.output_tokens is None
                else f"{wording.exact(row.input_tokens)} + {wording.exact(row.output_tokens)}",
                [usage.get(row.usage_source, Note("as the provider reported")), *_window(row)],
                "All input (cache reads and writes included) and all output (reasoning included).",
            ),
            Tile(
                "Cost, USD",
                wording.usd(row.cost_usd),
                [Note(row.price_status.replace("_", " "), "" if priced else "warn")],
                _cost_help(row),
            ),
            Tile(
                "Safety flags",
                wording.exact(len(row.flags)) if row.flags else "none",
                [Note(", ".join(row.flags), "warn")] if row.flags else [],
            ),
        ],
        key="numbers",
    )


def _window(row: CallDetailRow) -> list[Note]:
    """How full the model was: from nine tenths on, text may have been left out."""
    share = row.context_window_share
    if share is None:
        return []
    level = "warn" if share >= _NEARLY_FULL else ""
    return [Note(f"{wording.share(share)} of a window of {wording.exact(row.context_window)}", level)]


def tokens(row: CallDetailRow) -> None:
    """Draw the token buckets with the price of each, and the price's date."""
    panels.heading("Tokens and cost", note=_price_note(row))
    if not row.buckets:
        panels.quiet(f"Cost {wording.UNKNOWN}: {_NO_COST.get(row.price_status, row.price_status)}.")
        return
    rows = [
        [
            Cell(bucket.name),
            Cell(wording.exact(bucket.tokens)),
            Cell(wording.usd_exact(bucket.usd_per_mtok)),
            Cell(wording.usd_exact(bucket.usd)),
        ]
        for bucket in row.buckets
    ]
    if row.price.request_usd:
        rows.append(
            [Cell("the call itself"), Cell(""), Cell(""), Cell(wording.usd_exact(row.price.request_usd))]
        )
    rows.append(
        [
            Cell("cost of the call" + (" (reported)" if row.price_status == "reported" else "")),
            Cell(""),
            Cell(""),
            Cell(wording.usd_exact(row.cost_usd), title=_cost_help(row), strong=True),
        ]
    )
    table(
        [
            Column("Tokens"),
            Column("Number", "", "right"),
            Column("USD per million", "", "right"),
            Column("USD", "", "right"),
        ],
        rows,
        key="buckets",
        caption="Disjoint token buckets with their prices",
        sortable=False,
    )
    st.text(_price_sentence(row))


def conversation(texts: Answer[TextRow]) -> None:
    """Draw the captured text by role, as text."""
    panels.heading("What was said", texts)
    if not texts.rows:
        panels.quiet(
            "No text: content is captured only where it is switched on (configure(capture_content=...)), "
            "and is kept for thirty days."
        )
        return
    row = texts.rows[0]
    for message in (*read_messages(row.input_text, "input"), *read_messages(row.output_text, "assistant")):
        _message(message)


def scores(answer: Answer[ScoreRow]) -> None:
    """Draw how the call was judged, if it was."""
    if not answer.rows:
        return
    panels.heading("Scores", answer)
    table(
        [
            Column("Evaluation", clip=True),
            Column("Value", "", "right"),
            Column("Label", clip=True),
            Column("When, UTC"),
        ],
        [
            [
                Cell(row.name, sub=wording.clipped(row.explanation, 60), title=row.explanation),
                Cell(wording.UNKNOWN if row.value is None else f"{row.value:.4g}"),
                Cell(row.label, title=row.label),
                Cell(wording.moment(row.at), tone="muted"),
            ]
            for row in answer.rows
        ],
        key="scores",
        caption="Evaluations and feedback",
        sortable=False,
    )


def facts(row: CallDetailRow) -> None:
    """Draw what else is known of the call."""
    panels.heading("Facts")
    prompt = links.link(links.PROMPT, {"prompt": row.prompt or NONE})
    known: list[tuple[str, Cell]] = [
        ("Prompt", Cell(row.prompt or NONE, href=prompt if row.prompt else "")),
        ("Version", Cell(row.version or NONE, mono=bool(row.version))),
        ("Feature", Cell(row.feature or NONE)),
        ("Service", Cell(row.service)),
        ("Environment", Cell(row.environment)),
        ("Tenant", Cell(row.tenant)),
        ("Operation", Cell(row.operation)),
        ("Provider", Cell(row.provider)),
        ("Model asked for", Cell(row.request_model)),
        ("Model that answered", Cell(row.response_model)),
        ("Error", Cell(row.error_type, title=row.error_type)),
        ("Streamed", Cell("yes" if row.streaming else "no")),
        ("Attempt", Cell(str(row.attempt) if row.attempt > 1 else "")),
        ("From a cache", Cell("yes" if row.cached else "")),
        ("User", Cell(row.user_id, mono=True)),
        ("Session", Cell(row.session_id, mono=True)),
        ("Trace", Cell(row.trace_id, mono=True)),
        ("Span", Cell(row.span_id, mono=True)),
        ("Response", Cell(row.response_id, mono=True)),
        ("Template", Cell(row.template_hash[:16], mono=True, title=row.template_hash)),
        ("Recorded by", Cell(f"{row.instrumentation} {row.sdk_version}".strip())),
    ]
    table(
        [Column("Fact"), Column("Value", clip=True)],
        [[Cell(name, tone="muted"), cell] for name, cell in known if cell.text],
        key="facts",
        caption="Facts about the call",
        sortable=False,
    )
    if row.attributes:
        with st.expander(f"{wording.counted(len(row.attributes), 'more attribute')}"):
            st.json(dict(sorted(row.attributes.items())))


def _message(message: Message) -> None:
    with st.container(gap="xxsmall"):
        st.text(f"{message.role or 'text'}:")
        st.code(message.text or "(empty)", language=None, wrap_lines=True)


def _cost_help(row: CallDetailRow) -> str:
    if row.cost_usd is None:
        return f"Unknown: {_NO_COST.get(row.price_status, row.price_status)}. Never counted as zero."
    return f"{wording.usd_exact(row.cost_usd)} exactly."


def _price_note(row: CallDetailRow) -> str:
    return (
        "reported by the provider" if row.price_status == "reported" else row.price_status.replace("_", " ")
    )


def _price_sentence(row: CallDetailRow) -> str:
    price = row.price
    if row.price_status == "reported":
        return "The provider returned this cost; it wins over the price book."
    if row.cached:
        return "A cache of the application answered: nothing was bought."
    if not price.price_id:
        return f"Cost {wording.UNKNOWN}: {_NO_COST.get(row.price_status, row.price_status)}."
    since = (
        "without a start date in the book"
        if price.valid_from is None or price.valid_from.year < _ALWAYS_YEAR
        else f"in force since {price.valid_from:%Y-%m-%d}"
    )
    tier = f", {price.tier} tier" if price.tier else ""
    contract = f", by contract {price.contract}" if price.contract else ", public price"
    return f"Price: {price.price_id}{tier}, {since}{contract}."
