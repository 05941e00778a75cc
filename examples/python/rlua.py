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
    function          a callable in; none out: call it by its name, State.call("a.b", ...)

The library is looked for in the environment variable RLUA_LIBRARY (a path), then in
target/release of this repository, then by the system's loader. It is loaded RTLD_GLOBAL, so
that C modules which a script requires find Lua's own functions in it.

Invariants:
- Only functions that cannot raise a Lua error are called: the rlua_* ones, and those of lua.h
  whose manual entry says `-`. So a longjmp never crosses a Python frame.
- No Python exception leaves a callback: it becomes a Lua error, raised after the callback has
  returned. Uncaught by the script, the same exception object comes out of execute() or call();
  where Lua or the script added to its text, it is the __cause__ of the LuaError.
- Callables live until their State is closed, not until Lua collects them: a rollback can bring
  a collected function back.

Not here: functions and coroutines as Python values, userdata, references.
"""

import ctypes
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
    "State", "Info", "Error", "LuaError", "LuaSyntaxError", "OutOfMemory", "Busy", "NoSnapshot",
    "Disabled", "BadFrame", "BadArgument", "Poisoned", "Corrupt", "Unsupported", "Closed",
    "WrongThread", "version",
]

MAX_DEPTH = 100
"""Tables nested deeper than this, in either direction, are a ValueError."""


# Errors: one class for each thing a caller can act on.

class Error(Exception):
    """Any failure of the library. `status` is the rlua_Status of rlua.h, 0 if it has none."""

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


class OutOfMemory(Error, MemoryError):
    """The VM's memory limit, or the system's, was reached. The VM stays usable."""


class Busy(Error):
    """Lua is running: not from a callback. Nothing has changed."""


class NoSnapshot(Error, LookupError):
    """There is no such snapshot. Nothing has changed."""


class Disabled(Error):
    """Snapshots are off: State(snapshots=0)."""


class BadFrame(Error, ValueError):
    """A frame number is not above the newest snapshot's."""


class BadArgument(Error, ValueError):
    """An option or an argument is outside its range."""


class Poisoned(Error):
    """The library found its own state broken; this VM can only be closed."""


class Corrupt(Error):
    """State.check() found the arena or a snapshot broken."""


class Unsupported(Error):
    """Not on this system, for instance a tracker."""


class Closed(Error):
    """The State was used after close()."""


class WrongThread(Error):
    """A State belongs to the thread that made it."""


_OK, _ERR_RUN, _ERR_SYNTAX, _ERR_MEM = 0, 16, 17, 18
_RAISE = -1
_ERRORS = {
    1: BadArgument, 2: Closed, 3: Busy, 4: Poisoned, 5: Disabled, 6: NoSnapshot, 7: BadFrame,
    8: OutOfMemory, 9: BadArgument, 10: Unsupported, 11: Corrupt, 12: BadArgument,
}
_TRACKERS = ("auto", "compare", "uffd", "write_watch")

# lua.h
_MULTRET = -1
_NIL, _BOOLEAN, _NUMBER, _STRING, _TABLE = 0, 1, 3, 4, 5


# The C side.

class _Config(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t), ("memory_size", ctypes.c_size_t),
        ("max_snapshots", ctypes.c_size_t), ("seed", ctypes.c_uint64),
        ("tracker", ctypes.c_int32), ("reserved", ctypes.c_int32),
    ]


class _Info(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t), ("used_bytes", ctypes.c_size_t),
        ("committed_bytes", ctypes.c_size_t), ("peak_bytes", ctypes.c_size_t),
        ("limit_bytes", ctypes.c_size_t), ("snapshot_count", ctypes.c_size_t),
        ("max_snapshots", ctypes.c_size_t), ("snapshot_bytes", ctypes.c_size_t),
        ("oldest_frame", ctypes.c_int64), ("newest_frame", ctypes.c_int64),
        ("dirty_pages", ctypes.c_size_t), ("tracker", ctypes.c_int32),
        ("reproducible", ctypes.c_int32),
    ]


_HostFunction = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


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
        "rlua_rollback": (c_int, state, size), "rlua_rollback_to": (c_int, state, integer),
        "rlua_discard_before": (c_int, state, integer),
        "rlua_set_max_snapshots": (c_int, state, size),
        "rlua_openlibs": (c_int, state), "rlua_gc": (c_int, state, c_int, c_int),
        "rlua_loadbuffer": (c_int, state, text, size, text, text),
        "rlua_call": (c_int, state, c_int, c_int, c_int),
        "rlua_getglobal": (c_int, state, text), "rlua_setglobal": (c_int, state, text),
        "rlua_getfield": (c_int, state, c_int, text), "rlua_settable": (c_int, state, c_int),
        "rlua_seti": (c_int, state, c_int, integer), "rlua_next": (c_int, state, c_int, out_int),
        "rlua_tolstring": (c_int, state, c_int, ctypes.POINTER(state), out_size),
        "rlua_pushlstring": (c_int, state, text, size), "rlua_pushnil": (c_int, state),
        "rlua_pushinteger": (c_int, state, integer), "rlua_pushnumber": (c_int, state, number),
        "rlua_pushboolean": (c_int, state, c_int), "rlua_pushvalue": (c_int, state, c_int),
        "rlua_createtable": (c_int, state, c_int, c_int),
        "rlua_pushfunction": (c_int, state, _HostFunction, ctypes.c_void_p, text),
        # From lua.h, only what cannot raise.
        "lua_close": (None, state), "lua_gettop": (c_int, state),
        "lua_settop": (None, state, c_int), "lua_checkstack": (c_int, state, c_int),
        "lua_type": (c_int, state, c_int), "lua_toboolean": (c_int, state, c_int),
        "lua_isinteger": (c_int, state, c_int), "lua_absindex": (c_int, state, c_int),
        "lua_tointegerx": (integer, state, c_int, out_int),
        "lua_tonumberx": (number, state, c_int, out_int), "lua_typename": (text, state, c_int),
        "lua_topointer": (ctypes.c_void_p, state, c_int),
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
            return state._dispatch(thread, function_id)
        message = b"this Python callable is gone: its State is being closed"
        _lib.rlua_pushlstring(thread, message, len(message))
    except BaseException:       # ctypes would hand C a result that nobody set
        pass
    return _RAISE


def _require_headroom(frames=40):
    """RecursionError now, where it can be raised, rather than inside a callback from C."""
    if frames:
        _require_headroom(frames - 1)


def _close_handle(handle):
    _require_headroom()
    _lib.lua_close(handle)


def version():
    """The library's version, as "major.minor.patch"."""
    return _lib.rlua_version().decode()


class Info(NamedTuple):
    """What a VM holds now. Sizes are bytes; frames are None when no snapshot is held."""

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
    reproducible: bool


class Globals:
    """The global variables by name, as `lua.globals["x"]`. An absent one reads as None."""

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


class State:
    """One VM. Owned by the thread that made it; closed by close(), `with`, or collection.

    memory     limit of its whole state in bytes, 0 for the largest there is
    snapshots  how many snapshots it keeps; the oldest goes when one more is taken
    seed       seeds math.random and the string hash
    tracker    "auto", "compare", "uffd" or "write_watch": how written pages are found
    libs       False leaves the standard libraries closed

    Raises OutOfMemory, BadArgument, Unsupported.
    """

    def __init__(self, memory=0, snapshots=0, *, seed=0, tracker="auto", libs=True):
        if tracker not in _TRACKERS:
            raise BadArgument(f"tracker {tracker!r} is not one of {', '.join(_TRACKERS)}")
        for name, value in (("memory", memory), ("snapshots", snapshots), ("seed", seed)):
            if not 0 <= value < 1 << 64:
                raise BadArgument(f"{name} {value} is outside 0 .. 2^64 - 1")
        config = _Config(ctypes.sizeof(_Config), memory, snapshots, seed,
                         _TRACKERS.index(tracker), 0)
        handle = ctypes.c_void_p()
        status = _lib.rlua_open(ctypes.byref(config), ctypes.byref(handle))
        if status != _OK:
            raise _failure(None, status)
        self._thread = threading.get_ident()
        self._running = handle.value    # the Lua thread that calls go to; a callback's own inside
        self._depth = 0                 # callbacks on the stack, or a close under way
        self._functions = {}            # id -> callable
        self._raised = None             # (text, exception) that a callback raised last
        self._finalizer = weakref.finalize(self, _close_handle, handle.value)
        self.globals = Globals(self)
        if libs:
            try:
                with self._balanced() as thread:
                    self._check(thread, _lib.rlua_openlibs(thread))
            except BaseException:
                self.close()
                raise

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
        if self._depth > 0:
            raise Busy("close: Lua is running in this VM; close it after the call returns", 3)
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
        base = _lib.lua_gettop(thread) - 1
        for value in args:
            self._push(thread, value)
        self._check(thread, _lib.rlua_call(thread, len(args), _MULTRET, 0))
        results = [self._read(thread, i) for i in range(base + 1, _lib.lua_gettop(thread) + 1)]
        if len(results) > 1:
            return tuple(results)
        return results[0] if results else None

    def collect(self):
        """Runs a full garbage collection."""
        with self._balanced() as thread:
            self._check(thread, _lib.rlua_gc(thread, 2, 0))     # LUA_GCCOLLECT

    # Time

    def snap(self, frame=None):
        """Captures the whole state and returns its frame: `frame`, or the newest + 1.

        Frames rise strictly. Raises Busy in a callback, BadFrame, Disabled, OutOfMemory.
        """
        thread = self._enter()
        if frame is None:
            self._check(thread, _lib.rlua_snap(thread))
            return self.info().newest_frame
        self._check(thread, _lib.rlua_snap_frame(thread, _int64(frame)))
        return frame

    def rollback(self, n=1):
        """Goes back to the n-th newest snapshot, drops the newer ones, and keeps it.

        Raises Busy in a callback, NoSnapshot.
        """
        thread = self._enter()
        if not 0 < n < 1 << 63:
            raise NoSnapshot(f"rollback({n}): counting starts at 1, the newest", 6)
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
            raise BadArgument(f"set_max_snapshots({count}) is negative or too large", 12)
        self._check(thread, _lib.rlua_set_max_snapshots(thread, count))

    def info(self):
        """What the VM holds, as an Info."""
        raw = _Info(size=ctypes.sizeof(_Info))
        thread = self._enter()
        self._check(thread, _lib.rlua_info(thread, ctypes.byref(raw)))
        values = {name: getattr(raw, name) for name in Info._fields}
        if raw.snapshot_count == 0:
            values.update(oldest_frame=None, newest_frame=None)
        known = 0 <= raw.tracker < len(_TRACKERS)
        values.update(tracker=_TRACKERS[raw.tracker] if known else str(raw.tracker),
                      reproducible=bool(raw.reproducible))
        return Info(**values)

    def check(self):
        """Walks the arena and the snapshots; Corrupt if one is broken. For tests: it is slow."""
        thread = self._enter()
        self._check(thread, _lib.rlua_check(thread))

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
        text, value = self._error_value(thread)
        raised_text, raised = self._raised or ("", None)
        if raised is not None and text == raised_text:
            raise raised
        cause = raised if raised_text and raised_text in text else None
        kind = LuaSyntaxError if status == _ERR_SYNTAX else LuaError
        raise kind(text, status, value) from cause

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

    def _dispatch(self, thread, function_id):
        """Runs one callable for Lua. Never raises."""
        outer, self._running = self._running, thread
        self._depth += 1
        try:
            count = _lib.lua_gettop(thread)
            args = [self._read(thread, i) for i in range(1, count + 1)]
            result = self._functions[function_id](*args)
            results = result if isinstance(result, tuple) else (result,)
            for value in results:
                self._push(thread, value)
            return len(results)
        except BaseException as exception:      # KeyboardInterrupt too: none may reach C
            return self._raise(thread, exception)
        finally:
            self._depth -= 1
            self._running = outer

    def _raise(self, thread, exception):
        kind = type(exception).__name__
        try:
            text = str(exception)
            if not isinstance(exception, LuaError):
                text = f"{kind}: {text}"
            data = text.encode(errors="backslashreplace")
        except Exception:
            data = kind.encode(errors="backslashreplace")
        self._raised = (data.decode(), exception)
        _lib.lua_checkstack(thread, 1)
        _lib.rlua_pushlstring(thread, data, len(data))      # or the memory error, on top too
        return _RAISE

    # Values

    def _push(self, thread, value, outer=(), name=None):
        """Pushes one value, or raises; what it left on the stack is the caller's to drop."""
        if not _lib.lua_checkstack(thread, 8):
            raise OutOfMemory("the Lua stack cannot grow", _ERR_MEM)
        if value is None:
            status = _lib.rlua_pushnil(thread)
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
        if self._state._depth == 0:
            self._state._raised = None      # no call is under way: nothing can match it now


def _failure(thread, status):
    """The exception for a status that carries no Lua value."""
    if status == _ERR_MEM:
        return OutOfMemory("the VM's memory limit is reached", status)
    sentence = _lib.rlua_last_error(thread) or _lib.rlua_strerror(status)
    return _ERRORS.get(status, Error)(sentence.decode(errors="replace"), status)


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
