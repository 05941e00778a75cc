"""rlua: Lua 5.4 whose whole state can go back in time.

    with rlua.State(memory=1 << 20, snapshots=20) as lua:
        lua.execute("n = 1")
        lua.snap()
        lua.execute("n = 2")
        lua.rollback()
        print(lua.globals["n"])     # 1

What goes in and out:

    Lua               Python
    nil               None
    boolean           bool
    integer           int; one outside 64 bits is an OverflowError on the way in
    float             float
    string            str where it is valid UTF-8, else bytes; State(strings="bytes"): bytes;
                      in: str, bytes, bytearray, memoryview
    table             Table, which reads and writes the table itself; in: also list, tuple, Mapping,
                      as copies
    function          Function, which is called as any function of Python; in: also any callable,
                      which comes out again as itself
    coroutine         Coroutine, an iterator
    userdata          Resource for a handle of State.resource(), Userdata for any other

A callable is given Lua's arguments; a tuple that it returns is several results. An exception that
it raises is an error to the script, with the script's position; where no script catches it, the
same exception comes out of the call.

Proxies (Table, Function, ...) name values of the state that they were made in. After a rollback
those that are older than the snapshot are good; newer ones are Stale.
"""

from . import _core, _python

_core.use(_python)

from ._core import Coroutine, Function, Proxy, Resource, Table, Userdata
from ._declarations import (
    Config, DiffKind, Guard, Info, Libs, Profile, Status, Tracker, Trust,
)
from ._errors import (
    ArgumentError, BadArgument, BadFrame, BadImage, BudgetError, Busy, Closed, Corrupt, Desync,
    Difference, Disabled, Error, LuaError, LuaFileError, LuaSyntaxError, NoSnapshot, OutOfMemory,
    ParticipantError, Poisoned, ResourceError, Stale, Unsavable, Unsupported, Untrusted,
)
from ._state import History, ObjectType, Participant, ResourceType, State, UserdataType, diff

__all__ = [
    "ArgumentError", "BadArgument", "BadFrame", "BadImage", "BudgetError", "Busy", "Closed",
    "Config", "Coroutine", "Corrupt", "Desync", "DiffKind", "Difference", "Disabled", "Error",
    "Function", "Guard", "History", "Info", "Libs", "LuaError", "LuaFileError", "LuaSyntaxError",
    "NoSnapshot", "ObjectType", "OutOfMemory", "Participant", "ParticipantError", "Poisoned",
    "Profile", "Proxy", "Resource", "ResourceError", "ResourceType", "Stale", "State", "Status",
    "Table", "Tracker", "Trust", "Unsavable", "Unsupported", "Untrusted", "Userdata",
    "UserdataType", "diff", "enable_c_modules", "version",
]


def version() -> str:
    """The library's version, as "MAJOR.MINOR.PATCH (Lua 5.4.9)"."""
    return _core.version()


def enable_c_modules() -> None:
    """Makes Lua's own functions visible in the process, for modules in C that scripts `require`.
    Another Lua in the process (lupa) would then be served by this library too, so it is not done
    by itself. On Windows a module names the DLL that it needs, and nothing is done. Raises
    OSError."""
    _core.export()


__version__ = version().split(" ", maxsplit=1)[0]
