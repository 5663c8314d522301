"""The staged incident: the new version thinks aloud, is slower and dearer, fails and refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from promptspan_server.demo.recording import Recording, estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.demo.recording import Fault

_FAULTS: tuple[Fault, ...] = ("rate_limited", "server_error", "server_error", "timeout")
_REFUSAL = "I'm sorry, but I can't help with this message."
_ASIDES = (
    (
        "Let me look at the message once more to be sure that nothing is missed. The customer writes "
        "about their experience, and several readings are possible. First, the order itself could be "
        "meant; second, the way it was handled; third, the tone of what was said before. Each of these "
        "deserves a sentence of its own, because a reader may come to any one of them first."
    ),
    (
        "To be thorough: the stated problem is repeated here in other words, then the likely cause, then "
        "what is not known. The cause may be the warehouse, the carrier, the payment or the website; the "
        "message does not say. What is not known is the date of the first contact, the channel, and "
        "whether an earlier ticket exists for the same matter."
    ),
    (
        "In addition, here is the same summary for a manager, for a colleague in the warehouse and for "
        "the customer. Manager: one case, one customer, one decision needed. Warehouse: check the shelf, "
        "the label and the van. Customer: thank you for your patience, we are looking into it and shall "
        "be back soon."
    ),
    (
        "As a last step the summary is checked against the message again, word by word, and found to "
        "agree with it in all that matters; where it does not, the message is right. Should anything be "
        "unclear, the steps above can be repeated from the start, with more care and at greater length."
    ),
)


def misbehaving(recording: Recording, dice: Sequence[float]) -> Recording:
    """Turn a recorded call into one of the incident.

    Args:
        recording: The call as it was recorded.
        dice: Four numbers from 0 to 1 which decide on its fate.

    Returns:
        A failed call (25 %), a refused one (20 %), or one whose answer goes on and on.
    """
    if dice[0] < 0.25:
        fault = _FAULTS[int(dice[1] * len(_FAULTS))]
        return replace(recording, fault=fault, latency_ms=recording.latency_ms * 2)
    if dice[0] < 0.45:
        usage = replace(recording.usage, output_tokens=estimate_tokens(_REFUSAL) + 1)
        return replace(recording, answer=_REFUSAL, usage=usage, refusal=True, finish_reason="stop")
    said = "\n\n".join([recording.answer, *_ASIDES[: 1 + int(dice[2] * len(_ASIDES))]])
    more = estimate_tokens(said) - estimate_tokens(recording.answer)
    slower = 1.3 + dice[3]
    return replace(
        recording,
        answer=said,
        usage=replace(recording.usage, output_tokens=recording.usage.output_tokens + more),
        ttft_ms=recording.ttft_ms * slower,
        latency_ms=recording.latency_ms * slower + more * 11.0,
    )
