"""The commit that a file's working tree is at, read from git's own files: no process is started.

Source: gitrepository-layout(5), gitdir files of worktrees and submodules included.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")  # SHA-1 or SHA-256
_MOST_FOLDERS = 40
_MOST_BYTES = 4_000_000  # of packed refs


def commit_of(file: Path) -> str:
    """The commit in hexadecimal digits; empty if ``file`` is in no repository, or in one without a commit.

    It says nothing of changes that are not committed.
    """
    try:
        git = _git_folder(file.resolve().parent)
        return "" if git is None else _head(git)
    except (OSError, UnicodeDecodeError):
        return ""


def _git_folder(folder: Path) -> Path | None:
    for above in (folder, *folder.parents)[:_MOST_FOLDERS]:
        git = above / ".git"
        if git.is_dir():
            return git
        if git.is_file():  # a worktree or a submodule
            said = _read(git)
            return (above / said.removeprefix("gitdir:").strip()) if said.startswith("gitdir:") else None
    return None


def _head(git: Path) -> str:
    head = _read(git / "HEAD")
    if not head.startswith("ref:"):
        return head if _COMMIT.match(head) else ""
    name = head.removeprefix("ref:").strip()
    if ".." in name or not name.startswith("refs/"):
        return ""
    common = git
    if (git / "commondir").is_file():  # a worktree shares its branches
        common = git / _read(git / "commondir")
    for folder in (git, common):
        if (folder / name).is_file():
            commit = _read(folder / name)
            return commit if _COMMIT.match(commit) else ""
    return _packed(common / "packed-refs", name)


def _packed(file: Path, name: str) -> str:
    if not file.is_file():
        return ""
    for line in _read(file).splitlines():
        commit, _, ref = line.partition(" ")
        if ref == name and _COMMIT.match(commit):
            return commit
    return ""


def _read(file: Path) -> str:
    with file.open("rb") as opened:
        return opened.read(_MOST_BYTES).decode("utf-8").strip()
