"""rlua: a Lua whose whole state can go back in time, from Python, over ctypes.

    with rlua.State(memory=1 << 20, snapshots=20) as lua:
        lua.execute("n = 1")
        lua.snap()
        lua.execute("n = 2")
        lua.rollback()
        print(lua.globals["n"])     # 1

Values are copied on their way in and out:

    Lua               Python
    nil               None
    boolean           bool
    integer           int (one outside 64 bits is an OverflowError on the way in)
    float             float
    string            str if it is valid UTF-8, else bytes; str, bytes, bytearray, memoryview in
    table             list if its keys are exactly 1..n, n > 0; else dict; list, tuple, Mapping in
    function          a callable in; none out: State.ref("name"), or State.call("a.b", ...)
    resource          an object of the host: ResourceType("texture", release)(object) in, object out

The library is looked for in the environment variable RLUA_LIBRARY (a path), then in
target/release of this repository, then by the system's loader. It is loaded RTLD_GLOBAL, so
that C modules which a script requires find Lua's own functions in it.

Invariants:
- Only functions that cannot raise a Lua error are called: the rlua_* ones, and those of lua.h
  whose manual entry says `-`. So a longjmp never crosses a Python frame.
- No Python exception leaves a callback: it becomes a Lua error, raised after the callback has
  returned. Uncaught by the script, the same exception object comes out of execute() or call();
  where Lua or the script added to its text, it is the __cause__ of the LuaError.
- To the script, the error of a callable has its position in front ("ai.lua:3: "), and that of an
  argument names the function: ArgumentError.
- What comes out of a script has Lua's traceback in its attribute `traceback`, and shows it below
  Python's own (from Python 3.11 on, as a note).
- Callables live until their State is closed, not until Lua collects them: a rollback can bring
  a collected function back. What they keep in Python rolls back if it is followed:
  State.follow(function or object).
- A resource is released exactly once, when neither the live state nor a snapshot can reach it.
- A VM has one owner: a State, and what belongs to one, cannot be copied or pickled.

Not here: coroutines as Python values, userdata of other libraries.
"""

import copy
import ctypes
import enum
import itertools
import numbers
import os
import sys
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Optional

__all__ = [
    "State", "Reference", "ResourceType", "Info", "Status", "Tracker", "Guard", "Profile", "Error",
    "LuaError", "LuaSyntaxError", "ArgumentError",
    "OutOfMemory", "Busy", "NoSnapshot", "Disabled", "BadFrame", "BadArgument", "Poisoned",
    "BudgetError", "Libs",
    "Corrupt", "Unsupported", "Stale", "ParticipantError", "Closed", "WrongThread", "version",
]

MAX_DEPTH = 100
"""Tables nested deeper than this, in either direction, are a ValueError."""


class Status(enum.IntEnum):
    """rlua_Status of rlua.h."""

    OK = 0
    NULL_ARG = 1
    NOT_ROLLBACK = 2
    BUSY = 3
    POISONED = 4
    DISABLED = 5
    NO_SNAPSHOT = 6
    BAD_FRAME = 7
    NO_MEMORY = 8
    BAD_CONFIG = 9
    UNSUPPORTED = 10
    CORRUPT = 11
    BAD_ARG = 12
    STALE = 13
    PARTICIPANT = 14
    ERR_RUN = 64
    ERR_SYNTAX = 65
    ERR_MEM = 66
    ERR_ERR = 67
    ERR_FILE = 68
    YIELD = 69
    BUDGET = 70


class Libs(enum.IntFlag):
    """RLUA_LIB_... of rlua.h: standard libraries, and what is taken from them."""
    BASE = 0x1
    COROUTINE = 0x2
    TABLE = 0x4
    STRING = 0x8
    UTF8 = 0x10
    MATH = 0x20
    IO = 0x40
    OS = 0x80
    DEBUG = 0x100
    PACKAGE = 0x200
    TEXT_ONLY = 0x10000
    LOCKED = 0x20000
    ALL = 0x3ff
    DETERMINISTIC = 0x1003f
    SANDBOX = 0x3003f


_NO_BUDGET = (1 << 64) - 1


class Tracker(enum.IntEnum):
    """rlua_Tracker of rlua.h: which way written pages are found."""

    AUTO = 0
    COMPARE = 1
    UFFD = 2
    CARDS = 3


class Guard(enum.IntEnum):
    """rlua_Guard of rlua.h: what a userdata with a finalizer in C means."""

    ON = 0
    REFUSE = 1
    OFF = 2


class Profile(enum.IntEnum):
    """rlua_Profile of rlua.h: whose rules scripts find."""

    DETERMINISTIC = 0
    STOCK = 1


# Errors: one class for each thing a caller can act on.

class Error(Exception):
    """Any failure of the library. `status` is the rlua_Status of rlua.h, 0 if it has none;
    `traceback` is Lua's, or None."""

    traceback = None

    def __init__(self, message, status=0):
        super().__init__(message)
        self.status = status


class LuaError(Error):
    """A script raised an error. `value` is the error value, copied; str() is its text."""

    def __init__(self, message, status=0, value=None):
        super().__init__(message, status)
        self.value = value


class LuaSyntaxError(LuaError):
    """A chunk does not compile."""


class BudgetError(LuaError):
    """Scripts used up State.budget; until it is set again, or rolled back, none runs."""


class ArgumentError(TypeError, ValueError):
    """What a callable raises where the script gave it a wrong argument, 1 for the first.

    `raise ArgumentError(1, "number expected")` in show() is to the script the error
    "ai.lua:3: bad argument #1 to 'show' (number expected)". Arguments that have no Python value
    raise it before the callable runs.
    """

    def __init__(self, argument, message):
        super().__init__(argument, message)
        self.argument, self.message = argument, message

    def __str__(self):
        return f"bad argument #{self.argument} ({self.message})"


class OutOfMemory(Error, MemoryError):
    """The VM's memory limit, or the system's, was reached. The VM stays usable."""


class Busy(Error):
    """Lua is running: not from a callback. Nothing has changed."""


class NoSnapshot(Error, LookupError):
    """There is no such snapshot. Nothing has changed."""


class Disabled(Error):
    """Snapshots are off: State(snapshots=0)."""


class BadFrame(Error, ValueError):
    """A frame number is below the newest snapshot's."""


class BadArgument(Error, ValueError):
    """An option or an argument is outside its range."""


class Poisoned(Error):
    """The library found its own state broken; this VM can only be closed."""


class Corrupt(Error):
    """State.check() found the arena or a snapshot broken."""


class Unsupported(Error):
    """Not on this system, for instance a tracker."""


class Stale(Error, LookupError):
    """What a reference or a handle names is gone: released, or rolled back away."""


class ParticipantError(Error):
    """What follows the snapshots could not be captured. Nothing has changed."""


class Closed(Error):
    """The State was used after close()."""


class WrongThread(Error):
    """A State belongs to the thread that made it."""


_OK, _ERR_RUN, _ERR_MEM = int(Status.OK), int(Status.ERR_RUN), int(Status.ERR_MEM)
_RAISE = -1
_ERRORS = {
    Status.NULL_ARG: BadArgument, Status.NOT_ROLLBACK: Closed, Status.BUSY: Busy,
    Status.POISONED: Poisoned, Status.DISABLED: Disabled, Status.NO_SNAPSHOT: NoSnapshot,
    Status.BAD_FRAME: BadFrame, Status.NO_MEMORY: OutOfMemory, Status.BAD_CONFIG: BadArgument,
    Status.UNSUPPORTED: Unsupported, Status.CORRUPT: Corrupt, Status.BAD_ARG: BadArgument,
    Status.STALE: Stale, Status.PARTICIPANT: ParticipantError,
}
_PROFILES = {profile.name.lower(): profile for profile in Profile}
_GUARDS = {guard.name.lower(): guard for guard in Guard}
_TRACKERS = {tracker.name.lower(): tracker for tracker in Tracker}

# lua.h
_MULTRET = -1
_GCCOLLECT = 2
_NIL, _BOOLEAN, _NUMBER, _STRING, _TABLE, _USERDATA = 0, 1, 3, 4, 5, 7


# The C side.

class _Config(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t), ("memory_size", ctypes.c_size_t),
        ("max_snapshots", ctypes.c_size_t), ("seed", ctypes.c_uint64),
        ("tracker", ctypes.c_int32), ("gc_pause", ctypes.c_int32),
        ("gc_step_multiplier", ctypes.c_int32), ("gc_step_size", ctypes.c_int32),
        ("gc_sweep_divisor", ctypes.c_int32), ("audit", ctypes.c_int32),
        ("guard", ctypes.c_int32), ("profile", ctypes.c_int32),
        ("announces", ctypes.c_int32), ("reserved", ctypes.c_int32),
    ]


class _Info(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t), ("used_bytes", ctypes.c_size_t),
        ("committed_bytes", ctypes.c_size_t), ("peak_bytes", ctypes.c_size_t),
        ("limit_bytes", ctypes.c_size_t), ("snapshot_count", ctypes.c_size_t),
        ("max_snapshots", ctypes.c_size_t), ("snapshot_bytes", ctypes.c_size_t),
        ("oldest_frame", ctypes.c_int64), ("newest_frame", ctypes.c_int64),
        ("dirty_pages", ctypes.c_size_t), ("tracker", ctypes.c_int32),
        ("reserved", ctypes.c_int32), ("highest_frame", ctypes.c_int64),
        ("guarded_count", ctypes.c_size_t),
    ]


_HostFunction = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_Release = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_Capture = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64,
                            ctypes.POINTER(ctypes.c_void_p))
_TokenFunction = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


class _Method(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("function", _HostFunction)]


class _ResourceType(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t), ("name", ctypes.c_char_p), ("release", _Release),
        ("ud", ctypes.c_void_p), ("methods", ctypes.POINTER(_Method)),
    ]


class _Participant(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t), ("capture", _Capture), ("restore", _TokenFunction),
        ("discard", _TokenFunction),
    ]


def _find_library():
    name = {"win32": "rlua.dll", "darwin": "librlua.dylib"}.get(sys.platform, "librlua.so")
    if "RLUA_LIBRARY" in os.environ:
        return os.environ["RLUA_LIBRARY"]
    built = Path(__file__).resolve().parents[2] / "target" / "release" / name
    return str(built) if built.exists() else name


def _load_library():
    lib = ctypes.CDLL(_find_library(), mode=ctypes.RTLD_GLOBAL)
    state, integer, number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
    c_int, size, text = ctypes.c_int, ctypes.c_size_t, ctypes.c_char_p
    out_int, out_size = ctypes.POINTER(c_int), ctypes.POINTER(size)
    signatures = {
        "rlua_version": (text,), "rlua_strerror": (text, c_int), "rlua_last_error": (text, state),
        "rlua_open": (c_int, ctypes.POINTER(_Config), ctypes.POINTER(state)),
        "rlua_info": (c_int, state, ctypes.POINTER(_Info)), "rlua_check": (c_int, state),
        "rlua_snap": (c_int, state), "rlua_snap_frame": (c_int, state, integer),
        "rlua_newest_frame": (c_int, state, ctypes.POINTER(integer)),
        "rlua_set_time": (c_int, state, integer, ctypes.c_uint32),
        "rlua_config_digest": (c_int, state, ctypes.POINTER(ctypes.c_uint64)),
        "rlua_rollback": (c_int, state, size), "rlua_rollback_to": (c_int, state, integer),
        "rlua_discard_before": (c_int, state, integer),
        "rlua_set_max_snapshots": (c_int, state, size),
        "rlua_openlibs": (c_int, state, ctypes.c_uint),
        "rlua_newenv": (c_int, state, ctypes.c_uint),
        "rlua_set_budget": (c_int, state, ctypes.c_uint64),
        "rlua_budget_left": (c_int, state, ctypes.POINTER(ctypes.c_uint64)),
        "rlua_gc": (c_int, state, c_int, c_int),
        "rlua_loadbuffer": (c_int, state, text, size, text, text),
        "rlua_call": (c_int, state, c_int, c_int, c_int),
        "rlua_traceback": (c_int, state, state, text, c_int),
        "rlua_error": (c_int, state, text), "rlua_argerror": (c_int, state, c_int, text),
        "rlua_getglobal": (c_int, state, text), "rlua_setglobal": (c_int, state, text),
        "rlua_getfield": (c_int, state, c_int, text), "rlua_settable": (c_int, state, c_int),
        "rlua_seti": (c_int, state, c_int, integer), "rlua_next": (c_int, state, c_int, out_int),
        "rlua_tolstring": (c_int, state, c_int, ctypes.POINTER(state), out_size),
        "rlua_pushlstring": (c_int, state, text, size), "rlua_pushnil": (c_int, state),
        "rlua_pushinteger": (c_int, state, integer), "rlua_pushnumber": (c_int, state, number),
        "rlua_pushboolean": (c_int, state, c_int), "rlua_pushvalue": (c_int, state, c_int),
        "rlua_createtable": (c_int, state, c_int, c_int),
        "rlua_pushfunction": (c_int, state, _HostFunction, ctypes.c_void_p, text),
        "rlua_ref": (ctypes.c_uint64, state), "rlua_getref": (c_int, state, ctypes.c_uint64),
        "rlua_unref": (c_int, state, ctypes.c_uint64),
        "rlua_pushresource": (c_int, state, ctypes.c_void_p, ctypes.POINTER(_ResourceType)),
        "rlua_toresource": (c_int, state, c_int, ctypes.POINTER(_ResourceType),
                            ctypes.POINTER(ctypes.c_void_p)),
        "rlua_add_participant": (c_int, state, ctypes.POINTER(_Participant), ctypes.c_void_p),
        # From lua.h, only what cannot raise.
        "lua_close": (None, state), "lua_gettop": (c_int, state),
        "lua_settop": (None, state, c_int), "lua_checkstack": (c_int, state, c_int),
        "lua_type": (c_int, state, c_int), "lua_toboolean": (c_int, state, c_int),
        "lua_isinteger": (c_int, state, c_int), "lua_absindex": (c_int, state, c_int),
        "lua_tointegerx": (integer, state, c_int, out_int),
        "lua_tonumberx": (number, state, c_int, out_int), "lua_typename": (text, state, c_int),
        "lua_topointer": (ctypes.c_void_p, state, c_int), "lua_rotate": (None, state, c_int, c_int),
    }
    for name, (result, *arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


_lib = _load_library()
_next_function = itertools.count(1)
_owners = weakref.WeakValueDictionary()     # function id -> the State it was pushed to


@_HostFunction
def _trampoline(thread, function_id):
    """The one C entry for every callable: outlives them all, so Lua never calls freed memory."""
    try:
        state = _owners.get(function_id)
        if state is not None:
            return state._dispatch(thread, state._functions[function_id])
        return _lib.rlua_error(thread, b"this Python callable is gone: its State is being closed")
    except BaseException:       # ctypes would hand C a result that nobody set
        pass
    return _RAISE


_following = threading.local()      # .copying is True while follow() copies


@_HostFunction
def _message_handler(thread, function_id):
    """Keeps the traceback of an error that no script has caught. The error value stays as it is."""
    try:
        state = _owners.get(function_id)
        if state is not None and _lib.rlua_traceback(thread, thread, None, 1) == _OK:
            text = state._read_string(thread, -1)
            state._traceback = text if isinstance(text, str) else text.decode(errors="replace")
    except BaseException:       # the error itself is worth more than where it was
        pass
    _lib.lua_settop(thread, 1)
    return 1


class _OneOwner:
    """What owns a VM, or is known to one, exists once. A copy would free it a second time.
    What State.follow() copies keeps it as it is."""

    def __reduce_ex__(self, _protocol):
        raise TypeError(f"a {type(self).__name__} cannot be copied or pickled: {self._why}")

    def __deepcopy__(self, _memo):
        if getattr(_following, "copying", False):
            return self
        return self.__reduce_ex__(0)


def _copied_for_snapshot(value):
    outer = getattr(_following, "copying", False)
    _following.copying = True
    try:
        return copy.deepcopy(value)
    finally:
        _following.copying = outer


_objects = {}           # resource id -> (its type, the State it was pushed to, the object)
_followers = {}         # participant id -> _Follower
_next_id = itertools.count(1)


def _unraisable(error, where):
    """Tells of an exception that has no caller to go to, as Python does for __del__."""
    sys.unraisablehook(_Unraisable(type(error), error, error.__traceback__, None, where))


class _Unraisable(NamedTuple):
    exc_type: type
    exc_value: BaseException
    exc_traceback: object
    err_msg: Optional[str]
    object: object


@_Release
def _release(_thread, object_id, _ud):
    kind, _state, value = _objects.pop(object_id)
    try:
        if kind.release is not None:
            kind.release(value)
    except BaseException as error:      # none may reach C
        _unraisable(error, kind.release)


class _Follower:
    """One participant: its tokens are Python objects, known to C by numbers."""

    def __init__(self, state, capture, restore, discard):
        self.state, self.capture = weakref.ref(state), capture
        self.restore, self.discard = restore, discard
        self.tokens = {}


@_Capture
def _capture(follower_id, frame, token):
    follower = _followers[follower_id]
    try:
        kept = follower.capture(frame)
        token[0] = key = next(_next_id)
        follower.tokens[key] = kept
        return 0
    except BaseException as error:
        follower.state()._capture_error = error
        return 1


@_TokenFunction
def _restore(follower_id, token):
    follower = _followers[follower_id]
    try:
        follower.restore(follower.tokens[token])
    except BaseException as error:
        _unraisable(error, follower.restore)


@_TokenFunction
def _discard(follower_id, token):
    follower = _followers[follower_id]
    kept = follower.tokens.pop(token)
    try:
        if follower.discard is not None:
            follower.discard(kept)
    except BaseException as error:
        _unraisable(error, follower.discard)


_participant = _Participant(ctypes.sizeof(_Participant), _capture, _restore, _discard)


class ResourceType(_OneOwner):
    """A kind of object that scripts hold and Python owns: a texture, a socket, a sound.

    name     names the type in the VM and in messages
    release  called with the object exactly once, when neither the live state nor a snapshot of the
             VM can reach its handle any more; at the latest when the State closes
    methods  name -> function(object, *args), for scripts: texture:width()

    Calling it wraps an object for the way in: `lua.globals["t"] = Texture(image)`; what it returns
    can be given to a VM once. A handle that comes out is the object itself. May be shared by
    States, and must outlive them. Like a class, it is not copied where what holds it is.
    """

    _why = "C points to it; import it, or make it anew"

    def __copy__(self):
        return self

    def __deepcopy__(self, _memo):
        return self

    def __init__(self, name, release=None, methods=None):
        self.name, self.release = name, release
        self._kept = []         # what C points to
        entries = [(key, self._entry(function)) for key, function in (methods or {}).items()]
        table = (_Method * (len(entries) + 1))()
        for i, (key, entry) in enumerate(entries):
            table[i] = _Method(_c_name(key), entry)
        self._kept.append(table)
        self._raw = _ResourceType(ctypes.sizeof(_ResourceType), _c_name(name), _release, None,
                                  ctypes.cast(table, ctypes.POINTER(_Method)))

    def __call__(self, value):
        return _NewResource(self, value)

    def _find(self, thread, index):
        """What the handle at an index stands for, or None."""
        object_id = ctypes.c_void_p()
        status = _lib.rlua_toresource(thread, index, ctypes.byref(self._raw),
                                      ctypes.byref(object_id))
        return _objects[object_id.value] if status == _OK else None

    def _entry(self, function):
        @_HostFunction
        def entry(thread, _ud):
            try:
                found = self._find(thread, 1)
                if found is not None:
                    return found[1]()._dispatch(thread, function)
                found = _lib.lua_typename(thread, _lib.lua_type(thread, 1)).decode()
                message = _c_text(f"live {self.name} expected, got {found}")
                return _lib.rlua_argerror(thread, 1, message)
            except BaseException:
                pass
            return _RAISE
        self._kept.append(entry)
        return entry


class _NewResource(_OneOwner):
    """An object on its way into a VM."""

    _why = "its object is released once"

    def __init__(self, kind, value):
        self.kind, self.value, self.given = kind, value, False


def _require_headroom(frames=40):
    """RecursionError now, where it can be raised, rather than inside a callback from C."""
    if frames:
        _require_headroom(frames - 1)


def _close_handle(handle, followers):
    _require_headroom()
    _lib.lua_close(handle)
    for follower_id in followers:
        del _followers[follower_id]


def version():
    """The library's version, as "major.minor.patch"."""
    return _lib.rlua_version().decode()


class Info(NamedTuple):
    """What a VM holds now. Sizes are bytes; frames are None when no snapshot is held.
    highest_frame is the highest label that was ever given, guarded_count the number of userdata
    with a finalizer in C that are alive or that a snapshot has."""

    used_bytes: int
    committed_bytes: int
    peak_bytes: int
    limit_bytes: int
    snapshot_count: int
    max_snapshots: int
    snapshot_bytes: int
    oldest_frame: Optional[int]
    newest_frame: Optional[int]
    dirty_pages: int
    tracker: str
    highest_frame: int
    guarded_count: int


class Globals(_OneOwner):
    """The global variables by name, as `lua.globals["x"]`. An absent one reads as None."""

    _why = "it belongs to a State"

    def __init__(self, state):
        self._state = weakref.proxy(state)

    def __getitem__(self, name):
        return self._state._get_global(name)

    def __setitem__(self, name, value):
        self._state._set_global(name, value)

    def __delitem__(self, name):
        self._state._set_global(name, None)

    def __contains__(self, name):
        return self._state._has_global(name)


class State(_OneOwner):
    """One VM. Owned by the thread that made it; closed by close(), `with`, or collection.

    memory     limit of its whole state in bytes, 0 for the largest there is
    snapshots  how many snapshots it keeps; the oldest goes when one more is taken
    seed       of the string hashes, of table.sort's pivot, and of math.random
    tracker    "auto", "compare" or "uffd": how written pages are found
    guard      "on", "refuse" or "off": what a userdata with a finalizer in C means, as rlua_Guard
               of rlua.h tells
    profile    "deterministic" or "stock": whose rules scripts find, as rlua_Profile of rlua.h tells
    libs       which standard libraries are open: True for all, False for none, or Libs.SANDBOX or
               another of Libs, as RLUA_LIB_... of rlua.h tell
    gc_pause, gc_step_multiplier, gc_step_size, gc_sweep_divisor
               the collector's pace, as rlua_Config of rlua.h tells; 0 is the library's

    It cannot be copied or pickled: there would be two owners of one VM. Raises OutOfMemory,
    BadArgument, Unsupported.
    """

    _why = "it owns its VM; open another State, or use its snapshots"

    def __init__(self, memory=0, snapshots=0, *, seed=0, tracker="auto", guard="on",
                 profile="deterministic", libs=True, gc_pause=0, gc_step_multiplier=0,
                 gc_step_size=0, gc_sweep_divisor=0):
        if guard not in _GUARDS:
            raise BadArgument(f"guard {guard!r} is not one of {', '.join(_GUARDS)}")
        if profile not in _PROFILES:
            raise BadArgument(f"profile {profile!r} is not one of {', '.join(_PROFILES)}")
        if tracker not in _TRACKERS:
            raise BadArgument(f"tracker {tracker!r} is not one of {', '.join(_TRACKERS)}")
        for name, value in (("memory", memory), ("snapshots", snapshots), ("seed", seed)):
            if not 0 <= value < 1 << 64:
                raise BadArgument(f"{name} {value} is outside 0 .. 2^64 - 1")
        pace = (gc_pause, gc_step_multiplier, gc_step_size, gc_sweep_divisor)
        if not all(-1 << 31 <= value < 1 << 31 for value in pace):
            raise BadArgument(f"the collector's pace {pace} is outside 32 bits")
        config = _Config(ctypes.sizeof(_Config), memory, snapshots, seed, _TRACKERS[tracker],
                         *pace, 0, _GUARDS[guard], _PROFILES[profile])
        handle = ctypes.c_void_p()
        status = _lib.rlua_open(ctypes.byref(config), ctypes.byref(handle))
        if status != _OK:
            raise _failure(None, status)
        self._thread = threading.get_ident()
        self._running = handle.value    # the Lua thread that calls go to; a callback's own inside
        self._depth = 0                 # callbacks on the stack, or a close under way
        self._functions = {}            # id -> callable
        self._types = {}                # ResourceTypes that were pushed, in order
        self._capture_error = None      # why a follower failed the last snap
        followers = self._followers = []
        self._raised = None             # (text, exception) that a callback raised last
        self._traceback = None          # Lua's, of the error on its way out
        self._noted = None              # the exception on its way out that has its traceback
        self._finalizer = weakref.finalize(self, _close_handle, handle.value, followers)
        self.globals = Globals(self)
        try:
            with self._balanced() as thread:
                if libs:
                    mask = Libs.ALL if libs is True else Libs(libs)
                    self._check(thread, _lib.rlua_openlibs(thread, mask))
                self._handler = self._make_handler(thread)
        except BaseException:
            self.close()
            raise

    def _make_handler(self, thread):
        """A reference to the message handler, from before the first snapshot: never stale."""
        function_id = next(_next_function)
        _owners[function_id] = self
        self._check(thread, _lib.rlua_pushfunction(thread, _message_handler, function_id,
                                                   b"traceback"))
        number = _lib.rlua_ref(thread)
        if number == 0:
            raise _failure(thread, Status.NO_MEMORY)
        return number

    # Life

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def __repr__(self):
        return f"<rlua.State {'closed' if self._running is None else hex(self._running)}>"

    def close(self):
        """Frees the VM and its snapshots. A second call does nothing. Busy in a callback."""
        if self._running is None:
            return
        self._enter()
        _require_headroom()
        # In the functions of participants and resources only the library knows that it is busy.
        # Dropping what is older than the oldest possible frame drops nothing, but asks.
        if self._depth > 0 or _lib.rlua_discard_before(self._running, -1 << 63) == Status.BUSY:
            raise Busy("close: Lua is running in this VM; close it after the call returns",
                       Status.BUSY)
        self._depth += 1        # finalizers of the script may call back into Python
        try:
            self._finalizer()
        finally:
            self._running = None
            self._functions.clear()

    def _enter(self):
        if self._running is None:
            raise Closed("this State is closed")
        if threading.get_ident() != self._thread:
            raise WrongThread("this State belongs to the thread that made it")
        return self._running

    def _balanced(self):
        return _Balanced(self)

    # Running Lua

    def execute(self, code, *args, name="=execute"):
        """Runs a chunk of source, str or bytes, and returns what it returns.

        args become the chunk's `...`. name is the chunk's name in messages, as Lua takes it:
        with '=' or '@' before it. No result is None, one is itself, more are a tuple. Raises
        LuaSyntaxError, LuaError, OutOfMemory, or what a Python callable raised.
        """
        source = code.encode() if isinstance(code, str) else bytes(code)
        with self._balanced() as thread:
            status = _lib.rlua_loadbuffer(thread, source, len(source), _c_name(name), b"t")
            self._check(thread, status)
            return self._call_pushed(thread, args)

    def call(self, name, *args):
        """Calls the function `name`, a global or a path through tables as "game.player.move".

        Results and errors as execute(); a value that cannot be called is a LuaError.
        """
        first, *rest = name.split(".")
        with self._balanced() as thread:
            self._check(thread, _lib.rlua_getglobal(thread, _c_name(first)))
            for field in rest:
                self._check(thread, _lib.rlua_getfield(thread, -1, _c_name(field)))
            return self._call_pushed(thread, args)

    def _call_pushed(self, thread, args):
        base = _lib.lua_gettop(thread)      # of the function, which the handler goes below
        status = _lib.rlua_getref(thread, self._handler)
        if status != _OK:
            raise _failure(thread, status)
        _lib.lua_rotate(thread, base, 1)
        for value in args:
            self._push(thread, value)
        self._traceback = None
        self._check(thread, _lib.rlua_call(thread, len(args), _MULTRET, base))
        results = [self._read(thread, i) for i in range(base + 1, _lib.lua_gettop(thread) + 1)]
        if len(results) > 1:
            return tuple(results)
        return results[0] if results else None

    def collect(self):
        """Runs a full garbage collection."""
        with self._balanced() as thread:
            self._check(thread, _lib.rlua_gc(thread, _GCCOLLECT, 0))

    # Time

    def snap(self, frame=None):
        """Captures the whole state and returns its frame: `frame`, or the newest + 1.

        The newest frame again replaces its snapshot; a lower one is a BadFrame. Raises Busy in a
        callback, Disabled, OutOfMemory.
        """
        thread = self._enter()
        _require_headroom()
        if frame is None:
            status = _lib.rlua_snap(thread)
        else:
            status = _lib.rlua_snap_frame(thread, _int64(frame))
        error, self._capture_error = self._capture_error, None
        if status != _OK:
            raise _failure(thread, status) from error
        return self.newest_frame

    @property
    def newest_frame(self):
        """The frame of the newest snapshot, or None when there is none."""
        thread, frame = self._enter(), ctypes.c_int64()
        status = _lib.rlua_newest_frame(thread, ctypes.byref(frame))
        if status == Status.NO_SNAPSHOT:
            return None
        self._check(thread, status)
        return frame.value

    def set_time(self, seconds, nanoseconds=0):
        """The clock that os.time, os.date and os.clock read: an input that all peers agree on.

        Part of the state, so it rolls back; 0 at first. Raises Unsupported in the stock profile.
        """
        thread = self._enter()
        if not 0 <= nanoseconds < 10**9:
            raise BadArgument(f"nanoseconds {nanoseconds} is outside 0 .. 999999999")
        self._check(thread, _lib.rlua_set_time(thread, _int64(seconds), nanoseconds))

    @property
    def config_digest(self):
        """What peers must have in common (memory, seed, profile, pace, version), as one number."""
        thread, digest = self._enter(), ctypes.c_uint64()
        self._check(thread, _lib.rlua_config_digest(thread, ctypes.byref(digest)))
        return digest.value

    def rollback(self, n=1):
        """Goes back to the n-th newest snapshot, drops the newer ones, and keeps it.

        Raises Busy in a callback, NoSnapshot.
        """
        thread = self._enter()
        if not 0 < n < 1 << 63:
            raise NoSnapshot(f"rollback({n}): counting starts at 1, the newest", Status.NO_SNAPSHOT)
        self._check(thread, _lib.rlua_rollback(thread, n))

    def rollback_to(self, frame):
        """Goes back to the snapshot labelled `frame`. Raises Busy in a callback, NoSnapshot."""
        thread = self._enter()
        self._check(thread, _lib.rlua_rollback_to(thread, _int64(frame)))

    def discard_before(self, frame):
        """Drops the snapshots older than `frame`, when it can no longer be rolled back."""
        thread = self._enter()
        self._check(thread, _lib.rlua_discard_before(thread, _int64(frame)))

    def set_max_snapshots(self, count):
        """Keeps up to `count` snapshots from now on; the oldest go where there are more."""
        thread = self._enter()
        if not 0 <= count < 1 << 63:
            raise BadArgument(f"set_max_snapshots({count}) is negative or too large",
                              Status.BAD_CONFIG)
        self._check(thread, _lib.rlua_set_max_snapshots(thread, count))

    def info(self):
        """What the VM holds, as an Info."""
        raw = _Info(size=ctypes.sizeof(_Info))
        thread = self._enter()
        self._check(thread, _lib.rlua_info(thread, ctypes.byref(raw)))
        values = {name: getattr(raw, name) for name in Info._fields}
        if raw.snapshot_count == 0:
            values.update(oldest_frame=None, newest_frame=None)
        names = {tracker: name for name, tracker in _TRACKERS.items()}
        values.update(tracker=names.get(raw.tracker, str(raw.tracker)))
        return Info(**values)

    @property
    def budget(self):
        """What scripts may do still, in units of rlua_set_budget; None is no limit, as at first.

        Part of the state: it rolls back. When it is used up, calls raise BudgetError.
        """
        thread, units = self._enter(), ctypes.c_uint64()
        self._check(thread, _lib.rlua_budget_left(thread, ctypes.byref(units)))
        return None if units.value == _NO_BUDGET else units.value

    @budget.setter
    def budget(self, units):
        if units is not None and not 0 <= units < 1 << 63:
            raise BadArgument(f"budget {units} is outside 0 .. 2^63 - 1")
        thread = self._enter()
        self._check(thread, _lib.rlua_set_budget(thread, _NO_BUDGET if units is None else units))

    def check(self):
        """Walks the arena and the snapshots; Corrupt if one is broken. For tests: it is slow."""
        thread = self._enter()
        self._check(thread, _lib.rlua_check(thread))

    # What Python keeps with the VM

    def ref(self, name):
        """A Reference to the value of a global, or of a path through tables as "game.move".

        BadArgument for nil, which is what an absent one is: no later call could use it.
        """
        first, *rest = name.split(".")
        with self._balanced() as thread:
            self._check(thread, _lib.rlua_getglobal(thread, _c_name(first)))
            for field in rest:
                self._check(thread, _lib.rlua_getfield(thread, -1, _c_name(field)))
            if _lib.lua_type(thread, -1) == _NIL:
                raise BadArgument(f"ref: {name} is nil", Status.BAD_ARG)
            number = _lib.rlua_ref(thread)
            if number == 0:
                raise _failure(thread, Status.NO_MEMORY)
            return Reference(self, number)

    def add_participant(self, capture, restore, discard=None):
        """Makes state outside the VM follow its snapshots.

        capture(frame) returns a token for each snap; an exception fails the snap, and is the
        __cause__ of the ParticipantError. restore(token) goes back, on each rollback to that
        snapshot. discard(token) is called once, when the snapshot is gone.
        """
        thread = self._enter()
        follower_id = next(_next_id)
        _followers[follower_id] = _Follower(self, capture, restore, discard)
        status = _lib.rlua_add_participant(thread, ctypes.byref(_participant), follower_id)
        if status != _OK:
            del _followers[follower_id]
            raise _failure(thread, status)
        self._followers.append(follower_id)

    def follow(self, subject):
        """Makes what a function's closure or an object's attributes hold follow the snapshots, by
        deep copies. A State in it, and what belongs to one, stays the same object."""
        if hasattr(subject, "__closure__"):
            cells = subject.__closure__ or ()

            def put(values):
                for cell, value in zip(cells, _copied_for_snapshot(values)):
                    cell.cell_contents = value
            take = lambda: [cell.cell_contents for cell in cells]
        else:
            attributes = vars(subject)

            def put(values):
                attributes.clear()
                attributes.update(_copied_for_snapshot(values))
            take = lambda: dict(attributes)
        self.add_participant(lambda _frame: _copied_for_snapshot(take()), put)

    # Globals

    def _get_global(self, name):
        with self._balanced() as thread:
            self._check(thread, _lib.rlua_getglobal(thread, _c_name(name)))
            return self._read(thread, -1)

    def _set_global(self, name, value):
        with self._balanced() as thread:
            self._push(thread, value, name=name)
            self._check(thread, _lib.rlua_setglobal(thread, _c_name(name)))

    def _has_global(self, name):
        with self._balanced() as thread:
            self._check(thread, _lib.rlua_getglobal(thread, _c_name(name)))
            return _lib.lua_type(thread, -1) != _NIL

    # Errors

    def _check(self, thread, status):
        """Raises what `status` says; a Lua error's value is on top of the stack then."""
        if status == _OK:
            return
        if status < _ERR_RUN or status == _ERR_MEM:
            raise _failure(thread, status)
        traceback, self._traceback = self._traceback, None
        text, value = self._error_value(thread)
        raised_text, raised = self._raised or ("", None)
        if raised is not None and text == raised_text:
            raise self._with_traceback(raised, traceback)
        cause = raised if raised_text and raised_text in text else None
        kind = {Status.ERR_SYNTAX: LuaSyntaxError, Status.BUDGET: BudgetError}.get(status, LuaError)
        raise self._with_traceback(kind(text, status, value), traceback) from cause

    def _with_traceback(self, error, traceback):
        """The error with Lua's traceback. One that crosses several layers keeps the first, which
        was made furthest in and so tells of all of them."""
        if error is not self._noted and traceback is not None:
            _set_traceback(error, traceback)
        self._noted = error
        return error

    def _error_value(self, thread):
        kind = _lib.lua_type(thread, -1)
        type_name = _lib.lua_typename(thread, kind).decode()
        try:
            value = self._read(thread, -1)
        except (TypeError, ValueError, Error):
            value = None
        if isinstance(value, bytes):
            return value.decode(errors="backslashreplace"), value
        if kind in (_STRING, _NUMBER):
            return str(value), value
        return self._tostring(thread) or f"(error object is a {type_name} value)", value

    def _tostring(self, thread):
        """The text that a script's __tostring gives the table or userdata on top, or None."""
        _lib.lua_checkstack(thread, 4)
        if (_lib.rlua_getglobal(thread, b"tostring") != _OK
                or _lib.rlua_pushvalue(thread, -2) != _OK
                or _lib.rlua_call(thread, 1, 1, 0) != _OK
                or _lib.lua_type(thread, -1) != _STRING):
            return None
        text = self._read(thread, -1)
        return text if isinstance(text, str) else text.decode(errors="backslashreplace")

    # Callbacks

    def _push_callable(self, thread, function, name):
        function_id = next(_next_function)
        self._functions[function_id] = function
        _owners[function_id] = self
        label = name or getattr(function, "__qualname__", type(function).__qualname__)
        status = _lib.rlua_pushfunction(thread, _trampoline, function_id, _c_name(label))
        if status != _OK:
            del self._functions[function_id], _owners[function_id]
        self._check(thread, status)

    def _push_resource(self, thread, new):
        if new.given:
            raise ValueError("what a ResourceType has wrapped can be given to a VM once: "
                             "it would be released twice")
        object_id = next(_next_id)
        _objects[object_id] = (new.kind, weakref.ref(self), new.value)
        self._types[new.kind] = None
        status = _lib.rlua_pushresource(thread, object_id, ctypes.byref(new.kind._raw))
        if status != _OK:
            del _objects[object_id]
        self._check(thread, status)
        new.given = True

    def _dispatch(self, thread, function):
        """Runs one callable for Lua. Never raises."""
        outer, self._running = self._running, thread
        self._depth += 1
        try:
            count = _lib.lua_gettop(thread)
            args = [self._read_argument(thread, i) for i in range(1, count + 1)]
            result = function(*args)
            results = result if isinstance(result, tuple) else (result,)
            for value in results:
                self._push(thread, value)
            return len(results)
        except BaseException as exception:      # KeyboardInterrupt too: none may reach C
            return self._raise(thread, exception)
        finally:
            self._depth -= 1
            self._running = outer

    def _read_argument(self, thread, index):
        try:
            return self._read(thread, index)
        except (TypeError, ValueError) as error:
            raise ArgumentError(index, str(error)) from error

    def _raise(self, thread, exception):
        """Pushes the error for an exception, and what it is found by when it comes out of Lua."""
        if exception is not self._noted:
            _set_traceback(exception, None)     # from an earlier time that it was raised
        _lib.lua_settop(thread, 0)
        self._raised = None
        try:
            if isinstance(exception, LuaError):     # has its position from where it was raised
                data = str(exception).encode(errors="backslashreplace")
                _lib.rlua_pushlstring(thread, data, len(data))
            elif isinstance(exception, ArgumentError):
                _lib.rlua_argerror(thread, exception.argument, _c_text(exception.message))
            else:
                _lib.rlua_error(thread, _c_text(f"{type(exception).__name__}: {exception}"))
        except Exception:       # one whose text cannot be had
            _lib.rlua_error(thread, type(exception).__name__.encode(errors="backslashreplace"))
        if _lib.lua_type(thread, -1) == _STRING:    # or the memory error, a string too
            text = self._read_string(thread, -1)
            text = text if isinstance(text, str) else text.decode(errors="backslashreplace")
            self._raised = (text, exception)
        return _RAISE

    # Values

    def _push(self, thread, value, outer=(), name=None):
        """Pushes one value, or raises; what it left on the stack is the caller's to drop."""
        if not _lib.lua_checkstack(thread, 8):
            raise OutOfMemory("the Lua stack cannot grow", _ERR_MEM)
        if value is None:
            status = _lib.rlua_pushnil(thread)
        elif isinstance(value, _NewResource):
            return self._push_resource(thread, value)
        elif isinstance(value, bool):
            status = _lib.rlua_pushboolean(thread, value)
        elif isinstance(value, numbers.Integral):
            status = _lib.rlua_pushinteger(thread, _int64(value))
        elif isinstance(value, numbers.Real):
            status = _lib.rlua_pushnumber(thread, float(value))
        elif isinstance(value, (str, bytes, bytearray, memoryview)):
            data = value.encode() if isinstance(value, str) else bytes(value)
            status = _lib.rlua_pushlstring(thread, data, len(data))
        elif isinstance(value, Mapping):
            return self._push_table(thread, value, value.items(), outer)
        elif isinstance(value, (list, tuple)):
            return self._push_table(thread, value, enumerate(value, 1), outer)
        elif isinstance(value, Reference):
            if value._state is not self:    # whose number names another value here
                raise BadArgument("a Reference belongs to the State that it was made in",
                                  Status.BAD_ARG)
            status = _lib.rlua_getref(thread, value._number)
        elif callable(value):
            return self._push_callable(thread, value, name)
        else:
            raise TypeError(f"a {type(value).__name__} has no Lua value")
        self._check(thread, status)

    def _push_table(self, thread, container, items, outer):
        if id(container) in outer:
            raise ValueError("a container that contains itself cannot be copied to Lua")
        if len(outer) >= MAX_DEPTH:
            raise ValueError(f"containers nested deeper than {MAX_DEPTH} cannot be copied to Lua")
        outer = (*outer, id(container))
        is_list = isinstance(container, (list, tuple))
        count = min(len(container), 1 << 24)    # a hint of the size; the table grows by itself
        self._check(thread, _lib.rlua_createtable(thread, count if is_list else 0,
                                                  0 if is_list else count))
        for key, value in items:
            if key is None:
                raise TypeError("None cannot be a key of a Lua table")
            if is_list:
                self._push(thread, value, outer)
                self._check(thread, _lib.rlua_seti(thread, -2, key))
            else:
                self._push(thread, key, outer)
                self._push(thread, value, outer)
                self._check(thread, _lib.rlua_settable(thread, -3))

    def _read(self, thread, index, outer=()):
        kind = _lib.lua_type(thread, index)
        if kind <= _NIL:
            return None
        if kind == _BOOLEAN:
            return bool(_lib.lua_toboolean(thread, index))
        if kind == _NUMBER:
            if _lib.lua_isinteger(thread, index):
                return _lib.lua_tointegerx(thread, index, None)
            return _lib.lua_tonumberx(thread, index, None)
        if kind == _STRING:
            return self._read_string(thread, index)
        if kind == _TABLE:
            return self._read_table(thread, _lib.lua_absindex(thread, index), outer)
        if kind == _USERDATA:
            for found in (known._find(thread, index) for known in self._types):
                if found is not None:
                    return found[2]
        name = _lib.lua_typename(thread, kind).decode()
        hint = "; call it by its name, with call()" if name == "function" else ""
        raise TypeError(f"a Lua {name} has no Python value{hint}")

    def _read_string(self, thread, index):
        text, length = ctypes.c_void_p(), ctypes.c_size_t()
        status = _lib.rlua_tolstring(thread, index, ctypes.byref(text), ctypes.byref(length))
        self._check(thread, status)
        data = ctypes.string_at(text.value, length.value)
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data

    def _read_table(self, thread, index, outer):
        address = _lib.lua_topointer(thread, index)
        if address in outer:
            raise ValueError("a Lua table that contains itself has no Python value")
        if len(outer) >= MAX_DEPTH:
            raise ValueError(f"Lua tables nested deeper than {MAX_DEPTH} have no Python value")
        if not _lib.lua_checkstack(thread, 8):
            raise OutOfMemory("the Lua stack cannot grow", _ERR_MEM)
        outer = (*outer, address)
        result, more = {}, ctypes.c_int()
        self._check(thread, _lib.rlua_pushnil(thread))
        while True:
            self._check(thread, _lib.rlua_next(thread, index, ctypes.byref(more)))
            if not more.value:
                break
            key = self._read(thread, -2, outer)
            if isinstance(key, (dict, list)):
                raise TypeError("a Lua table keyed by a table has no Python value")
            if key in result:
                raise TypeError("a Lua table with keys both 1 and true has no Python value")
            result[key] = self._read(thread, -1, outer)
            _lib.lua_settop(thread, -2)
        if result and all(type(key) is int and 1 <= key <= len(result) for key in result):
            return [result[i] for i in range(1, len(result) + 1)]
        return result


class Reference(_OneOwner):
    """A Lua value, above all a function, kept without a name. Stale when it was made after the
    snapshot that was restored. Released by release(), `with`, or the close of its State."""

    _why = "it is released once; share it"

    def __init__(self, state, number):
        self._state, self._number = state, number

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.release()

    def __call__(self, *args):
        """Calls the value. Results and errors as State.execute()."""
        with self._state._balanced() as thread:
            self._push(thread)
            return self._state._call_pushed(thread, args)

    def get(self):
        """The value, copied."""
        with self._state._balanced() as thread:
            self._push(thread)
            return self._state._read(thread, -1)

    def release(self):
        """Lets go of the value. A second call does nothing."""
        if self._number and self._state._running is not None:
            _lib.rlua_unref(self._state._enter(), self._number)
        self._number = 0

    def _push(self, thread):
        status = _lib.rlua_getref(thread, self._number)
        if status != _OK:
            raise _failure(thread, status)


class _Balanced:
    """Gives the Lua stack back as it was, whatever happens inside the `with`."""

    def __init__(self, state):
        self._state = state

    def __enter__(self):
        _require_headroom()
        self._thread = self._state._enter()
        self._top = _lib.lua_gettop(self._thread)
        if not _lib.lua_checkstack(self._thread, 8):
            raise OutOfMemory("the Lua stack cannot grow", _ERR_MEM)
        return self._thread

    def __exit__(self, *_exception):
        _lib.lua_settop(self._thread, self._top)
        if self._state._depth == 0:         # no call is under way: nothing can match it now
            self._state._raised = self._state._noted = None


def _failure(thread, status):
    """The exception for a status that carries no Lua value."""
    if status == _ERR_MEM:
        return OutOfMemory("the VM's memory limit is reached", status)
    sentence = _lib.rlua_last_error(thread) or _lib.rlua_strerror(status)
    return _ERRORS.get(status, Error)(sentence.decode(errors="replace"), status)


def _set_traceback(error, traceback):
    """Sets or removes an exception's traceback of Lua's, also where the class is not ours."""
    try:
        before = getattr(error, "traceback", None)
        ours = isinstance(before, str) and before.startswith("stack traceback:")
        if ours:
            error.__notes__ = [note for note in getattr(error, "__notes__", ()) if note != before]
        if ours or before is None and traceback is not None:
            error.traceback = traceback
            if traceback is not None and hasattr(error, "add_note"):
                error.add_note(traceback)
    except Exception:       # a class that takes no attributes
        pass


def _c_text(text):
    """A message for C, which ends it at a NUL."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace")


def _c_name(name):
    data = name.encode() if isinstance(name, str) else bytes(name)
    if b"\0" in data:
        raise ValueError("a name cannot contain a NUL")
    return data


def _int64(value):
    value = int(value)
    if not -(1 << 63) <= value < 1 << 63:
        raise OverflowError(f"{value} is outside Lua's 64-bit integers")
    return value
