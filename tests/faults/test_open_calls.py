"""Row 23 of the matrix, and its meeting with forks: what has no end of its own is sent as what it was."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from faults.notes import config, emit
from promptspan._pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faults.sink import Sink

SDK = Path(__file__).resolve().parents[2] / "sdk"

BEFORE = """
import asyncio, os, sys, threading, time
import promptspan
from promptspan import traced_prompt

keep = []
promptspan.configure(service_name="open", endpoint=sys.argv[1], spool=sys.argv[2])


def start(size):
    return dict(type="message_start", message=dict(id=f"msg_{size}", usage=dict(input_tokens=size)))


@traced_prompt
def chunks():
    yield start(9)
    yield dict(type="content_block_delta", index=0, delta=dict(type="text_delta", text="Hel"))
    yield dict(type="content_block_delta", index=0, delta=dict(type="text_delta", text="lo"))


@traced_prompt
async def achunks():
    yield start(8)
    await asyncio.sleep(60)
    yield 1


@traced_prompt
async def sleep():
    await asyncio.sleep(60)


@traced_prompt
def wait(began):
    began.set()
    time.sleep(60)


@traced_prompt
def words():
    return "words"
"""

# What each leaves behind: prompt and status.
PROGRAMS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "generator held": ("held = chunks(); next(held); keep.append(held)", [("chunks", "incomplete")]),
    "generator dropped": ("held = chunks(); next(held); del held", [("chunks", "incomplete")]),
    "asynchronous generator held": (
        """
        async def main():
            keep.append(achunks())
            await anext(keep[-1])
        loop = asyncio.new_event_loop()
        keep.append(loop)
        loop.run_until_complete(main())
        """,
        [("achunks", "incomplete")],
    ),
    "asynchronous generator dropped": (
        """
        async def main():
            await anext(achunks())
            await asyncio.sleep(0.02)
        asyncio.run(main())
        """,
        [("achunks", "incomplete")],
    ),
    "task cancelled": (
        """
        async def main():
            task = asyncio.create_task(sleep())
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        asyncio.run(main())
        """,
        [("sleep", "cancelled")],
    ),
    "task timed out": (
        """
        async def main():
            try:
                await asyncio.wait_for(sleep(), 0.01)
            except asyncio.TimeoutError:
                pass
        asyncio.run(main())
        """,
        [("sleep", "cancelled")],
    ),
    "loop ended by run": (
        """
        async def main():
            keep.append(asyncio.create_task(sleep()))
            await asyncio.sleep(0.01)
        asyncio.run(main())
        """,
        [("sleep", "cancelled")],
    ),
    "loop stopped": (
        """
        loop = asyncio.new_event_loop()
        keep.append(loop.create_task(sleep()))
        keep.append(loop)
        loop.call_later(0.01, loop.stop)
        loop.run_forever()
        """,
        [("sleep", "incomplete")],
    ),
    "thread still in its call": (
        """
        began = threading.Event()
        threading.Thread(target=wait, args=(began,), daemon=True).start()
        began.wait(30)
        """,
        [("wait", "incomplete")],
    ),
    "exit inside the call": (
        """
        @traced_prompt(name="leave")
        def leave():
            sys.exit(0)
        leave()
        """,
        [("leave", "error")],
    ),
}


def run(sink: Sink, spool: Path, program: str) -> None:
    """A program after the functions above, to its end; a slow machine may leave spans to the next."""
    subprocess.run(
        [sys.executable, "-c", BEFORE + textwrap.dedent(program), sink.endpoint, str(spool)],
        env={**os.environ, "PYTHONPATH": str(SDK)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    if list(spool.rglob("*.seg")):
        after = Pipeline(config(sink.endpoint, spool, resource={"service.name": "open"}))
        emit(after, 0, 1, "after")
        assert sink.wait(lambda: len(list(spool.rglob("*.lock"))) == 1)
        assert after.shutdown(10)


def calls(sink: Sink) -> list[tuple[str, str]]:
    """Prompt and status of each call that was stored."""
    found: list[tuple[str, str]] = []
    for received in sink.accepted:
        for resource in received.message.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    facts = {pair.key: pair.value.string_value for pair in span.attributes}
                    if "gen_ai.prompt.name" in facts:
                        found.append((facts["gen_ai.prompt.name"], facts["promptspan.status"]))
    return sorted(found)


def in_one(programs: Iterable[str]) -> str:
    """Programs one after the other, each with names of its own: a process takes half a second to start."""
    return "".join(
        f"\ndef program_{number}():\n{textwrap.indent(textwrap.dedent(program).strip(), '    ')}\n"
        f"program_{number}()\n"
        for number, program in enumerate(programs)
    )


def test_calls_without_an_end_are_sent_as_what_they_were(sink: Sink, tmp_path: Path) -> None:
    run(sink, tmp_path, in_one(program for program, _ in PROGRAMS.values()))
    assert calls(sink) == sorted(call for _, left in PROGRAMS.values() for call in left)


def test_an_open_stream_that_is_all_there_is_is_sent_with_the_tokens_known(
    sink: Sink, tmp_path: Path
) -> None:
    run(sink, tmp_path, in_one([PROGRAMS["generator held"][0]]))
    span = sink.accepted[0].message.resource_spans[0].scope_spans[0].spans[0]
    facts = {pair.key: pair.value.int_value for pair in span.attributes}
    assert facts["gen_ai.usage.input_tokens"] == 9


FORKS = {
    "a stream is open": """
        held = chunks()
        next(held)
        child = os.fork()
        if not child:
            words()
            sys.exit(0)
        os.waitpid(child, 0)
        list(held)
        """,
    "the child reads on": """
        held = chunks()
        next(held)
        child = os.fork()
        if not child:
            list(held)
            words()
            sys.exit(0)
        os.waitpid(child, 0)
        list(held)
        """,
    "the child drops it": """
        held = chunks()
        next(held)
        child = os.fork()
        if not child:
            del held
            words()
            sys.exit(0)
        os.waitpid(child, 0)
        list(held)
        """,
    "inside a call": """
        @traced_prompt(name="chunks")
        def fork():
            child = os.fork()
            if not child:
                words()
                sys.exit(0)
            os.waitpid(child, 0)
            return start(9)
        fork()
        """,
    "another thread is in a call": """
        @traced_prompt(name="chunks")
        def slow():
            going.set()
            done.wait(30)
            return start(9)
        going, done = threading.Event(), threading.Event()
        thread = threading.Thread(target=slow)
        thread.start()
        going.wait(30)
        child = os.fork()
        if not child:
            words()
            sys.exit(0)
        os.waitpid(child, 0)
        done.set()
        thread.join()
        """,
}


def test_a_call_that_a_fork_has_copied_is_sent_by_the_process_that_began_it(
    sink: Sink, tmp_path: Path
) -> None:
    run(sink, tmp_path, in_one(FORKS.values()))
    names = Counter(name for name, _ in calls(sink))
    assert names == {"chunks": len(FORKS), "words": len(FORKS)}
    assert {status for name, status in calls(sink) if name == "words"} == {"ok"}
