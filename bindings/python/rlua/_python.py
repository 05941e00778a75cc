"""What the extension asks Python for: the making of errors, their texts, copies of tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, Tuple

from . import _core
from ._declarations import DiffKind, Status
from ._errors import (
    FAILURES, ArgumentError, Desync, Difference, Error, LuaError, ResourceError,
)

__all__ = ["Mapping", "LuaError", "failure", "error", "tell_report", "describe",
           "not_a_resource", "discard", "copy"]

MAX_DEPTH = 100
"""Tables nested deeper than this are not copied."""


def failure(status: int, message: str, cause: Optional[BaseException]) -> BaseException:
    """The exception for a status that is not Lua's, and what a function of Python raised. What is
    no Exception comes out as itself: who looks for errors may not hold up a Ctrl-C."""
    kind = FAILURES.get(status, Error)
    if cause is None:
        return kind(message, status)
    if not isinstance(cause, Exception):
        return cause
    failed = (ResourceError if status == Status.STREAM else kind)(message, status)
    failed.__cause__ = cause
    return failed


def tell_report(desync: Desync, frame: int, rolled_back: int, kind: int, path: str, a: str, b: str,
                first: bytes, second: bytes) -> None:
    """What a sync test found: an rlua_SyncReport."""
    desync.frame, desync.rolled_back = frame, bool(rolled_back)
    desync.difference = Difference(DiffKind(kind), path, a, b) if kind else None
    desync.first, desync.second = first, second


def error(status: int, text: str, value: Any, trace: Optional[str],
          known: Optional[BaseException], last: Optional[Tuple[bytes, BaseException]],
          noted: Optional[BaseException]) -> BaseException:
    """What comes out for a Lua error.

    known  the exception that the error value stands for, if it does
    last   the error that a callable raised last: its text, which Lua may have put others around
    noted  the exception that has its traceback: one that crosses several layers keeps the first,
           which was made furthest in and so tells of all of them
    """
    exception = known
    if exception is None:
        exception = FAILURES.get(status, LuaError)(text, status)
        if isinstance(exception, LuaError):
            exception.value = value
        if last is not None and last[0] and last[0].decode(errors="backslashreplace") in text:
            exception.__cause__ = last[1]
    if exception is not noted and trace is not None:
        set_traceback(exception, trace)
    return exception


def set_traceback(exception: BaseException, trace: Optional[str]) -> None:
    """Keeps Lua's traceback with an exception, and shows it as a note; None takes it away."""
    try:
        old = exception.__dict__.pop("traceback", None)
        notes = getattr(exception, "__notes__", [])
        if old in notes:
            notes.remove(old)
        if trace is not None:
            exception.traceback = trace     # type: ignore[attr-defined]
            if hasattr(exception, "add_note"):
                exception.add_note(trace)
    except Exception:       # one that takes no attribute comes out all the same
        pass


def describe(exception: BaseException, noted: bool) -> Tuple[int, Optional[str], Any]:
    """(argument, message, value) of the error that scripts see: a message if it has one."""
    if not noted:
        set_traceback(exception, None)      # from an earlier time that it was raised
    if isinstance(exception, LuaError):     # has its position from where it was raised
        value = exception.value
        return 0, None, str(exception) if value is None else value
    if isinstance(exception, ArgumentError):
        return exception.argument, c_text(exception.message), None
    return 0, c_text(f"{type(exception).__name__}: {exception}"), None


def c_text(text: str) -> str:
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\0")


def not_a_resource(kind: Any, found: str) -> None:
    raise ArgumentError(1, f"live {kind.name} expected, got {found}")


def discard(participant: Any, token: Any) -> None:
    function = getattr(participant, "discard", None)
    if function is not None:
        function(token)


def copy(table: _core.Table) -> Any:
    """Table.copy: what is below MAX_DEPTH, or inside itself, is a ValueError."""
    return _copied(table, [])


def _copied(value: Any, outer: list[_core.Table]) -> Any:
    if not isinstance(value, _core.Table):
        return value
    if value in outer:
        raise ValueError("a table that contains itself cannot be copied")
    if len(outer) >= MAX_DEPTH:
        raise ValueError(f"tables nested deeper than {MAX_DEPTH} are not copied")
    outer.append(value)
    pairs = {key: _copied(item, outer) for key, item in value.items()}
    outer.pop()
    if pairs and all(type(key) is int for key in pairs) and \
            min(pairs) == 1 and max(pairs) == len(pairs):
        return [pairs[key] for key in range(1, len(pairs) + 1)]
    return pairs
