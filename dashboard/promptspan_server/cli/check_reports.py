"""The result of a check for a pipeline: JUnit XML, and Markdown for a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from promptspan_server.analysis.wording import change, note, p_value, sentence
from promptspan_server.cli.comparing import value
from promptspan_server.cli.voice import printable

if TYPE_CHECKING:
    from promptspan_server.analysis.compare import Compared, Comparison

_SIGNS = {
    "regressed": "❌",
    "invalid": "❌",
    "undecided": "❔",
    "improved": "✅",
    "not worse": "✅",
}


def junit(comparison: Comparison, *, prompt: str, a: str, b: str) -> str:
    """Write one test case a metric: a regression fails, what cannot be told is skipped."""
    failed = sum(each.verdict in ("regressed", "invalid") for each in comparison.metrics)
    skipped = sum(each.verdict == "undecided" for each in comparison.metrics)
    cases = "\n".join(_case(each, prompt, b) for each in comparison.metrics)
    name = quoteattr(printable(f"promptspan check {prompt}: {b} against {a}"))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuite name={name} tests="{len(comparison.metrics)}" failures="{failed}"'
        f' skipped="{skipped}" errors="0">\n'
        f"{cases}\n"
        f"  <system-out>{escape(printable(sentence(comparison, a=a, b=b)))}</system-out>\n"
        "</testsuite>\n"
    )


def _case(each: Compared, prompt: str, b: str) -> str:
    within, name = quoteattr(printable(f"{prompt}.{b}")), quoteattr(printable(each.metric.name))
    head = f"  <testcase classname={within} name={name}"
    if each.verdict in ("regressed", "invalid"):
        said = f"{change(each)}, {p_value(each.p)}" if each.verdict == "regressed" else each.reason
        return f"{head}><failure message={quoteattr(said)}/></testcase>"
    if each.verdict == "undecided":
        return f"{head}><skipped message={quoteattr(each.reason)}/></testcase>"
    return f"{head}/>"


def markdown(comparison: Comparison, *, prompt: str, a: str, b: str) -> str:
    """Write the verdict, the sentence and a table."""
    rows = "\n".join(
        f"| {_SIGNS[each.verdict]} {each.verdict} | {_cell(each.metric.name)}"
        f" | {value(each, each.a)} | {value(each, each.b)}"
        f" | {_cell(change(each)) if each.low is not None or each.high is not None else '—'}"
        f" | {each.n_a:,} / {each.n_b:,} | {_cell(note(each))} |"
        for each in comparison.metrics
    )
    title = f"{_cell(prompt)}: {_cell(b)} against {_cell(a)} — {comparison.verdict}"
    return (
        f"### {_SIGNS[comparison.verdict]} {title}\n\n"
        f"{_cell(sentence(comparison, a=a, b=b))}\n\n"
        f"| verdict | metric | {_cell(a)} | {_cell(b)} | change | calls | note |\n"
        "| --- | --- | ---: | ---: | --- | ---: | --- |\n"
        f"{rows}\n"
    )


def _cell(text: str) -> str:
    """Text of others, so that it stays in its cell and is neither markup nor link."""
    flat = printable(text).replace("\n", " ")
    for character in "\\`*_[]<>|#":
        flat = flat.replace(character, "\\" + character if character != "<" else "&lt;")
    return flat
