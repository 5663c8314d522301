"""promptspan: record each prompt's calls, with version, tokens, latency, cost and safety flags.

from promptspan import configure, traced_prompt

configure(service_name="inbox", endpoint="http://127.0.0.1:4318")

@traced_prompt(prompt="summarise", version="7", feature="inbox-summary")
def summarise(text: str): return client.chat.completions.create(...)
"""

from ._call_texts import CallTexts
from ._config import DEFAULT_SPOOL
from ._decorator import traced_prompt
from ._handle import CallSpan, current_span
from ._prompt import Prompt, PromptError
from ._recorder import configure, flush, shutdown, stats
from ._score import record_score
from ._version import VERSION

__version__ = VERSION

__all__ = [
    "DEFAULT_SPOOL",
    "CallSpan",
    "CallTexts",
    "Prompt",
    "PromptError",
    "__version__",
    "configure",
    "current_span",
    "flush",
    "record_score",
    "shutdown",
    "stats",
    "traced_prompt",
]
