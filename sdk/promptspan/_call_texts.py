"""What a detector of the user's sees of a call."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallTexts:
    """What a detector of your own is given; none of it leaves the process.

    Attributes:
        input: The texts that the model was given, system prompts left out, as far as the function's arguments
            and its rendered prompts show them.
        output: The text of the answer.
        prompt: Name of the prompt.
        version: Its version, empty if it has none.
        feature: What the call is for, empty if not said.
    """

    input: str
    output: str
    prompt: str
    version: str
    feature: str
