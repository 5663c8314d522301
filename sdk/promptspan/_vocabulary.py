"""Counting tokens as a model would, where ``tiktoken`` and a vocabulary are at hand; else by length.

tiktoken's own ``Encoding`` is used if the application has made one: making it holds the interpreter for some
100 ms (200,000 tokens, in one call), which the application would feel. So otherwise its vocabulary is read on
a thread of its own and counted with here, in Python, where other threads get their turns. Until it is there,
and where none is in tiktoken's cache, the length of the text has to do. Nothing is fetched unless asked for.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import sys
import tempfile
import threading
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("promptspan")

_MOST_COUNTED = 20_000  # characters; of a longer text the beginning stands for all
_MOST_MERGED = 48  # bytes of one word; a longer one is counted in pieces, as the work grows with the square
_BYTES_PER_TOKEN = 4  # of UTF-8, roughly right for English and for Chinese alike
# Where tiktoken would fetch a vocabulary from, and its SHA-256: both decide whether its cache has it.
_BLOBS = "https://openaipublic.blob.core.windows.net/encodings/"
_SHA256 = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
_OLDER_MODELS = ("gpt-3.5", "gpt-35", "text-embedding-")

counters: dict[str, Callable[[str], int]] = {}
_absent: set[str] = set()
_loading: dict[str, threading.Thread] = {}


def tokens_in(text: str, model: str, *, download: bool = False) -> int:
    """About how many tokens a text has; the nearest vocabulary stands for that of other makers' models.

    Args:
        text: Any text.
        model: The model's name.
        download: Whether a vocabulary may be fetched.
    """
    if not text:
        return 0
    count = _counter(model, download=download)
    if count is None:
        size = len(text.encode("utf-8", "surrogatepass"))
        return -(-size // _BYTES_PER_TOKEN)
    known = count(text[:_MOST_COUNTED])
    return known if len(text) <= _MOST_COUNTED else known * len(text) // _MOST_COUNTED


def wait_until_loaded(timeout_s: float) -> None:
    """Wait for vocabularies that are being read now."""
    for thread in list(_loading.values()):
        thread.join(timeout_s)


def _counter(model: str, *, download: bool) -> Callable[[str], int] | None:
    for name in _vocabularies_for(model):
        known = counters.get(name) or _of_application(name)
        if known is not None:
            return known
        if name not in _absent or download:
            _load_soon(name, download)
            return counters.get(name)
    return None


def _vocabularies_for(model: str) -> tuple[str, str]:
    name = model.rpartition("/")[2].lower()
    older = name.startswith(_OLDER_MODELS) or name == "gpt-4" or name.startswith("gpt-4-")
    return ("cl100k_base", "o200k_base") if older else ("o200k_base", "cl100k_base")


def _of_application(name: str) -> Callable[[str], int] | None:
    made: Any = getattr(sys.modules.get("tiktoken.registry"), "ENCODINGS", {}).get(name)
    return None if made is None else lambda text: len(made.encode_ordinary(text))


def _load_soon(name: str, download: bool) -> None:
    running = _loading.get(name)
    if running is not None and running.is_alive():  # a forked child has the thread, but dead
        return
    if importlib.util.find_spec("tiktoken") is None:
        _absent.add(name)
        return
    thread = threading.Thread(target=_load, args=(name, download), name="promptspan-vocabulary", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter is ending
        return
    _loading[name] = thread


def _load(name: str, download: bool) -> None:
    try:
        if download or _in_cache(name):
            from tiktoken_ext.openai_public import ENCODING_CONSTRUCTORS

            made: Any = ENCODING_CONSTRUCTORS[name]()
            counters[name] = _Ranks(made["pat_str"], made["mergeable_ranks"]).count
            return
    except Exception:  # noqa: BLE001  # no network, another version of tiktoken, a disk that fails
        _log.debug("promptspan: the vocabulary %s could not be loaded", name, exc_info=True)
    _absent.add(name)


def _in_cache(name: str) -> bool:
    """Whether tiktoken will find the vocabulary, whole, in its cache; or else it would fetch it."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    if folder is None:
        folder = str(Path(tempfile.gettempdir(), "data-gym-cache"))
    if not folder:  # the cache is turned off
        return False
    key = hashlib.sha1(f"{_BLOBS}{name}.tiktoken".encode(), usedforsecurity=False).hexdigest()
    try:
        data = Path(folder, key).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(data).hexdigest() == _SHA256[name]


class _Ranks:
    """Byte pair encoding, counted only.

    Args:
        pattern: What cuts a text into words.
        ranks: The tokens, the earlier merged the lower.
    """

    def __init__(self, pattern: str, ranks: dict[bytes, int]) -> None:
        import regex  # tiktoken's own requirement

        self._words: Callable[[str], list[str]] = regex.compile(pattern).findall
        self._ranks = ranks

    def count(self, text: str) -> int:
        """Tokens in ``text``."""
        return sum(self._in_word(word.encode("utf-8", "replace")) for word in self._words(text))

    def _in_word(self, word: bytes) -> int:
        if word in self._ranks:
            return 1
        if len(word) > _MOST_MERGED:
            parts = [word[at : at + _MOST_MERGED] for at in range(0, len(word), _MOST_MERGED)]
            return sum(map(self._in_word, parts))
        parts = [bytes((byte,)) for byte in word]
        while len(parts) > 1:
            rank, at = min(
                (self._ranks.get(one + other, _NEVER), at) for at, (one, other) in enumerate(pairwise(parts))
            )
            if rank == _NEVER:
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return len(parts)


_NEVER = 1 << 62
