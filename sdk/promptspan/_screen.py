"""What looks at texts in one configuration: the rules, and the user's own functions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ._hooks import Hook

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._call_texts import CallTexts
    from ._config import Config
    from ._redaction import Scanner


class Screen:
    """The rules and the user's functions of one configuration; used on the pipeline's thread.

    Args:
        config: What was configured.

    Attributes:
        redact: The user's own redaction, or ``None``.
        detectors: The user's own detectors, by the flag that they raise.
    """

    def __init__(self, config: Config) -> None:
        self._patterns = config.redact_patterns
        self._scanner: Scanner | None = None
        budget_s = config.hook_budget_s
        self.redact = None if config.redact is None else Hook("redact", config.redact, budget_s)
        self.detectors = {
            flag: Hook(f"detector {flag!r}", partial(_verdict, function), budget_s)
            for flag, function in config.detectors.items()
        }

    def close(self) -> None:
        """Let the threads of the user's functions go."""
        for hook in (self.redact, *self.detectors.values()):
            if hook is not None:
                hook.close()

    @property
    def scanner(self) -> Scanner:
        """The rules, compiled when first asked for."""
        scanner = self._scanner
        if scanner is None or scanner.outdated:
            from ._redaction import Scanner  # late: loads google-re2

            scanner = self._scanner = Scanner(self._patterns)
        return scanner


def _verdict(detector: Callable[[CallTexts], object], texts: CallTexts) -> bool:
    """What a detector says as a truth; asking its answer is the user's code too."""
    return bool(detector(texts))
