"""Errors: one class for each thing that a caller can act on, and what they tell."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from ._declarations import DiffKind, Status


class Difference(NamedTuple):
    """One place where two states differ: the way to it, and what each has there, as texts."""

    kind: DiffKind
    path: str
    a: str
    b: str


class Error(Exception):
    """Any failure of the library. `status` is the Status that it returned, 0 if it has none."""

    status: int
    traceback: Optional[str] = None
    """Lua's traceback, where a script was running. Shown below Python's from Python 3.11 on."""

    def __init__(self, message: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class LuaError(Error):
    """A script raised an error. `value` is the error value; str() is its text."""

    value: Any

    def __init__(self, message: str = "", status: int = Status.ERR_RUN, value: Any = None) -> None:
        super().__init__(message, status)
        self.value = message if value is None else value


class LuaSyntaxError(LuaError):
    """A chunk does not compile."""


class LuaFileError(LuaError):
    """A file of Lua cannot be read."""


class BudgetError(LuaError):
    """Scripts used up State.budget; until it is set again, or rolled back, none runs."""


class ArgumentError(TypeError, ValueError):
    """What a callable raises where the script gave it a wrong argument, 1 for the first.

    `raise ArgumentError(1, "number expected")` in show() is to the script the error
    "ai.lua:3: bad argument #1 to 'show' (number expected)".
    """

    argument: int
    message: str

    def __init__(self, argument: int, message: str) -> None:
        super().__init__(argument, message)
        self.argument, self.message = argument, message

    def __str__(self) -> str:
        return f"bad argument #{self.argument} ({self.message})"


class OutOfMemory(Error, MemoryError):
    """The VM's memory limit, or the system's, was reached. The VM stays usable."""


class Busy(Error):
    """The VM is in use: by another thread, or by the call that this one is made from."""


class NoSnapshot(Error, LookupError):
    """There is no such snapshot. Nothing has changed."""


class Disabled(Error):
    """The VM keeps no snapshots: State(snapshots=0)."""


class BadFrame(Error, ValueError):
    """A frame's label is below the newest snapshot's."""


class BadArgument(Error, ValueError):
    """An option or an argument is outside its range."""


class Poisoned(Error):
    """The library found its own state broken; this VM can only be closed."""


class Corrupt(Error):
    """State.check() found the arena or a snapshot broken."""


class Unsupported(Error):
    """Not on this system, or not in this profile."""


class Stale(Error, LookupError):
    """What a proxy or a handle names is gone: a rollback went to before it was made."""


class BadImage(Error, ValueError):
    """An image or a delta is damaged, none, of another version or key, or for another state."""


class Unsavable(Error):
    """The state has what an image cannot have, say a callable of Python's: str() tells where."""


class Untrusted(Error):
    """An image without a key, where Config.trust allows none."""


class Desync(Error):
    """A frame of State.synctest that was run again came to another state: str() says where."""

    frame: int
    """The first frame after which the states differ."""
    rolled_back: bool
    """Whether they differed already at once after the rollback to before it: something runs in the
    State when it is rolled back, as a participant does."""
    difference: Optional[Difference]
    """The first value that differs, `a` after the first run. None where no script could see one,
    or where the state has what save() refuses, so that nothing could be kept to compare with."""
    first: bytes
    """The checksum after the first run."""
    second: bytes
    """The checksum after the other run."""


class ParticipantError(Error):
    """A participant could not capture its state: __cause__ tells. Nothing has changed."""


class ResourceError(Error):
    """The save or load of a type failed: __cause__ tells. Nothing was saved or opened."""


class Closed(Error):
    """The State was used after close()."""


FAILURES: dict[int, type[Error]] = {
    Status.NULL_ARG: BadArgument, Status.NOT_ROLLBACK: Closed, Status.BUSY: Busy,
    Status.POISONED: Poisoned, Status.DISABLED: Disabled, Status.NO_SNAPSHOT: NoSnapshot,
    Status.BAD_FRAME: BadFrame, Status.NO_MEMORY: OutOfMemory, Status.BAD_CONFIG: BadArgument,
    Status.UNSUPPORTED: Unsupported, Status.CORRUPT: Corrupt, Status.BAD_ARG: BadArgument,
    Status.BAD_IMAGE: BadImage, Status.UNSAVABLE: Unsavable, Status.STREAM: OutOfMemory,
    Status.UNTRUSTED: Untrusted, Status.DESYNC: Desync,
    Status.STALE: Stale, Status.PARTICIPANT: ParticipantError, Status.ERR_RUN: LuaError,
    Status.ERR_SYNTAX: LuaSyntaxError, Status.ERR_MEM: OutOfMemory, Status.ERR_ERR: LuaError,
    Status.ERR_FILE: LuaFileError, Status.BUDGET: BudgetError,
}
"""The class for each Status that is a failure."""
