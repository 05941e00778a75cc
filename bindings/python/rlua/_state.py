"""State: a VM, and what a host does with it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, List, Optional, Protocol, Tuple, Type, TypeVar, Union

from . import _core
from ._core import Function, Resource, Table, Userdata
from ._declarations import NO_BUDGET, Config, DiffKind, Info, Libs, Trust
from ._errors import BadArgument, Difference

Value = Any
"""What goes in and out of Lua; the package's documentation has the table."""

Bytes = Union[bytes, bytearray, memoryview]
Source = Union[str, Bytes]
_Self = TypeVar("_Self", bound="State")


def _names(path: str) -> List[str]:
    if not isinstance(path, str):
        raise TypeError(f"a path is a str, not {type(path).__name__}")
    return path.split(".")


def _inside(path: str, names: List[str], value: Any) -> Any:
    if not isinstance(value, (Table, Userdata)):
        what = "nil" if value is None else f"of type {type(value).__name__}"
        raise BadArgument(f"{path}: {'.'.join(names)} is {what}")
    return value


def _check_callable(what: str, given: object) -> None:
    if not callable(given):
        raise TypeError(f"{what}: {type(given).__name__} is not callable")


def _check_config(config: Config) -> None:
    if not isinstance(config, Config):
        raise TypeError(f"config is an rlua.Config, not {type(config).__name__}")


def _check_libs(libs: Libs) -> None:
    if not 0 <= libs < 1 << 32:
        raise BadArgument(f"libs {libs} has bits that name no library")


def _checked_types(types: Iterable[ObjectType]) -> Tuple[ObjectType, ...]:
    checked = tuple(types)
    for each in checked:
        if not isinstance(each, (ResourceType, UserdataType)):
            raise TypeError("types are ResourceTypes and UserdataTypes, "
                            f"not {type(each).__name__}")
    return checked


def _check_type_name(name: str) -> None:
    if not isinstance(name, str) or "\0" in name:
        raise TypeError("the name of a type is a str without NUL")


class Participant(Protocol):
    """State outside the VM that follows its snapshots. `discard(token)` may be there too."""

    def capture(self, frame: int) -> Any:
        """Keeps the state as it is now; returns what finds it again. An exception fails the
        snap, with nothing changed."""

    def restore(self, token: Any) -> None:
        """Goes back to a token; a token may be restored again. An exception comes out of the
        rollback, when all else has gone back."""


class ResourceType:
    """A kind of object that scripts hold and Python owns: a texture, a socket, a sound.

    name     names the type in a VM and in messages
    release  called with the object exactly once, when neither the live state nor a snapshot of the
             VM can reach its handle any more; at the latest when the State closes
    methods  name -> function(object, *args), for scripts: `texture:width()`; one that begins with
             two underscores is a metamethod
    save     with `load`: its objects are in images. Called with an object; returns the bytes that
             `load` needs
    load     called with what save() returned, or with a stranger's bytes, where images of strangers
             are taken; returns another object, which the State that is opened owns, and releases

    save() and load() cannot use the State. An exception in them fails the save, or the opening, as
    the __cause__ of a ResourceError. A type may be shared by States; in one State no two have one
    name.
    """

    __slots__ = ("_name", "_release_function", "_methods", "_save_function", "_load_function",
                 "__weakref__")
    _is_userdata = False

    def __init__(self, name: str, release: Optional[Callable[[Any], object]] = None,
                 methods: Optional[Mapping[str, Callable[..., Any]]] = None, *,
                 save: Optional[Callable[[Any], Bytes]] = None,
                 load: Optional[Callable[[bytes], Any]] = None) -> None:
        _check_type_name(name)
        if (save is None) != (load is None):
            raise TypeError("save and load go together")
        for what, given in (("release", release), ("save", save), ("load", load)):
            if given is not None:
                _check_callable(what, given)
        self._name, self._release_function = name, release
        self._save_function, self._load_function = save, load
        self._methods = dict(methods or {})
        for method, function in self._methods.items():
            if not isinstance(method, str) or "\0" in method:
                raise TypeError("the name of a method is a str without NUL")
            if method in ("__gc", "__close"):
                raise ValueError(f"{method} is the library's: it releases the object")
            _check_callable(method, function)

    @property
    def name(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"rlua.ResourceType({self._name!r})"

    def _release(self, value: Any) -> None:
        if self._release_function is not None:
            self._release_function(value)

    @property
    def _is_saved(self) -> bool:
        return self._save_function is not None

    def _save(self, value: Any) -> Bytes:
        assert self._save_function is not None
        return self._save_function(value)

    def _load(self, data: bytes) -> Any:
        assert self._load_function is not None
        value = self._load_function(data)
        if value is None:
            raise TypeError(f"load of {self._name} returned None")
        return value

    def _names(self) -> List[str]:
        """What its methods are called in images."""
        return [f"{self._name}.{method}" for method in self._methods]


class UserdataType:
    """A kind of userdata that a module in C made, and ends by a finalizer in C: how what it stands
    for goes with images, which refuse it otherwise. For State(types=).

    name  what the metatable has as `__name`, which luaL_newmetatable sets
    save  called with the block as it is now, as bytes; returns the bytes that `load` needs
    load  called with what save() returned, or with a stranger's bytes, and with the size of the
          block; returns the bytes that fill the block of another userdata, which the module's
          finalizer will end

    Neither can use the State, and an exception in them is as one of a ResourceType's.
    """

    __slots__ = ("_name", "_save", "_load", "__weakref__")
    _is_userdata, _is_saved = True, True
    _methods: Mapping[str, Callable[..., Any]] = {}

    def __init__(self, name: str, *, save: Callable[[bytes], Bytes],
                 load: Callable[[bytes, int], Bytes]) -> None:
        _check_type_name(name)
        _check_callable("save", save)
        _check_callable("load", load)
        self._name, self._save, self._load = name, save, load

    @property
    def name(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"rlua.UserdataType({self._name!r})"

    def _names(self) -> List[str]:
        return []


ObjectType = Union[ResourceType, UserdataType]


class History:
    """The snapshots of a State, each labelled with a frame number.

    All raise Busy where a call on the State is under way: do it when that has returned.
    """

    __slots__ = ("_state",)

    def __init__(self, state: State) -> None:
        self._state = state

    def snap(self, frame: Optional[int] = None) -> int:
        """Captures the whole state; returns its frame: one above the newest, or the one given.

        The newest frame again replaces its snapshot. The oldest goes where the history is full.
        Raises BadFrame below the newest, Disabled, ParticipantError, OutOfMemory.
        """
        return self._state._snap(frame)

    def rollback(self, n: int = 1) -> None:
        """Goes back to the n-th newest snapshot, and drops the newer ones. Raises NoSnapshot."""
        self._state._rollback(n)

    def rollback_to(self, frame: int) -> None:
        """Goes back to the snapshot of a frame, and drops the newer ones. Raises NoSnapshot."""
        self._state._rollback_to(frame)

    def discard_before(self, frame: int) -> None:
        """Drops the snapshots below a frame that is confirmed."""
        self._state._discard_before(frame)

    @property
    def frames(self) -> Tuple[int, ...]:
        """The frames that are held, oldest first."""
        return self._state._frames()

    @property
    def oldest(self) -> Optional[int]:
        """The oldest frame, None where none is held."""
        return next(iter(self.frames), None)

    @property
    def newest(self) -> Optional[int]:
        """The newest frame, None where none is held."""
        info = self._state.info()
        return info.newest_frame if info.snapshot_count > 0 else None

    @property
    def highest(self) -> Optional[int]:
        """The highest frame that was ever captured: one up to it is simulated again."""
        frame = self._state.info().highest_frame
        return None if frame == -1 << 63 else frame

    @property
    def limit(self) -> int:
        """How many snapshots are kept. Assign to change it; where more are held, the oldest go."""
        return self._state.info().max_snapshots

    @limit.setter
    def limit(self, count: int) -> None:
        if count < 0:
            raise BadArgument(f"limit {count} is negative")
        self._state._set_limit(count)

    def __len__(self) -> int:
        return self._state._held_count()

    def __bool__(self) -> bool:
        return True

    def __contains__(self, frame: object) -> bool:
        return frame in self.frames

    def __repr__(self) -> str:
        return f"<rlua.History of frames {list(self.frames)}>"

    def follow(self, participant: Participant) -> None:
        """Makes state outside the VM take part in every snapshot from the next on."""
        for name in ("capture", "restore"):
            if not callable(getattr(participant, name, None)):
                raise TypeError(f"a participant has {name}(), "
                                f"and {type(participant).__name__} has not")
        self._state._add_participant(participant)

    def unfollow(self, participant: Participant) -> None:
        """Ends that; its tokens are discarded. Raises LookupError."""
        self._state._remove_participant(participant)


class State(_core.Vm):
    """One VM, whose whole state can go back in time. Closed by close(), `with`, or collection.

    memory     limit of its whole state in bytes, 0 for the largest there is
    snapshots  how many snapshots it keeps; the oldest goes when one more is taken
    config     a Config, for what else there is, in place of the two
    libs       the standard libraries that are open
    strings    "str": a string of Lua is a str where it is valid UTF-8, else bytes; "bytes": always
               bytes
    image      bytes that save() gave: the VM begins with that state, its libraries included; of the
               config the limit, the snapshots, trust and image_key count. A VM takes images of
               others only by a key, or where Config.trust says so. Raises BadImage, Untrusted,
               Unsavable for a name or a type that this process does not have, ResourceError
    functions  what the names of set_function() in an image stand for: {"game.spawn": spawn}
    c_functions  what the names of C functions stand for, as in name_functions(); of a State that is
               not from an image, too
    types      the ResourceTypes and UserdataTypes whose objects may be in an image; otherwise a
               ResourceType is known from its first resource() on

    One thread at a time may use it; a second one gets Busy. It cannot be copied or pickled.
    Raises OutOfMemory, BadArgument, Unsupported.
    """

    config: Config

    def __init__(self, memory: int = 0, snapshots: int = 0, *, config: Optional[Config] = None,
                 libs: Libs = Libs.ALL, strings: str = "str",
                 image: Optional[Bytes] = None,
                 functions: Optional[Mapping[str, Callable[..., Any]]] = None,
                 c_functions: Optional[Mapping[str, int]] = None,
                 types: Iterable[ObjectType] = ()) -> None:
        if config is None:
            config = Config(memory_size=memory, max_snapshots=snapshots)
        elif memory or snapshots:
            raise TypeError("memory and snapshots are in the config")
        _check_config(config)
        _check_libs(libs)
        if strings not in ("str", "bytes"):
            raise BadArgument(f"strings {strings!r} is neither 'str' nor 'bytes'")
        if functions and image is None:
            raise TypeError("functions are for the names in an image; here, set_function()")
        self._strings = strings
        super().__init__(config, libs, strings == "bytes", image, dict(functions or {}),
                         dict(c_functions or {}), _checked_types(types))
        self.config = config

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<rlua.State {'closed' if self.closed else hex(id(self))}>"

    def __reduce_ex__(self, protocol: object) -> Any:
        raise TypeError("a State cannot be copied or pickled: it owns its VM")

    # Running Lua

    def execute(self, source: Source, *args: Value, name: str = "=execute",
                env: Optional[Table] = None) -> Value:
        """Runs a chunk, and returns what it returns.

        args become its `...`; name is the chunk's in messages, with '=' or '@' before it; env takes
        the place of the globals. No result is None, one is itself, more are a tuple. Raises
        LuaSyntaxError, LuaError, or what a Python callable raised.
        """
        return self._execute(source, name, env, args)

    def eval(self, expression: str, *args: Value, env: Optional[Table] = None) -> Value:
        """The value of an expression, or a tuple of several."""
        return self._execute("return " + expression, "=eval", env, args)

    def load(self, source: Source, *, name: str = "=load", env: Optional[Table] = None) -> Function:
        """Compiles a chunk, as a function."""
        return self._load(source, name, env, False)

    def load_file(self, path: Union[str, os.PathLike[str]], *,
                  env: Optional[Table] = None) -> Function:
        """Compiles a file, as a function. Raises LuaFileError."""
        return self._load(os.fspath(path), "", env, True)

    def call(self, path: str, *args: Value) -> Value:
        """Calls a function by its name, a global or a path through tables as "game.player.move"."""
        target: Any = self._globals()
        names = _names(path)
        for at, name in enumerate(names):
            target = _inside(path, names[:at], target)[name]
        if target is None:
            raise BadArgument(f"{path} is nil")
        return target(*args)

    # Values

    @property
    def globals(self) -> Table:
        """The table of globals."""
        return self._globals()

    def table(self, values: Union[Mapping[Any, Any], Iterable[Any]] = ()) -> Table:
        """A new table, with a copy of a mapping, or of a sequence from 1 on."""
        table: Table = self._value(values if isinstance(values, Mapping) else list(values))
        return table

    def function(self, callable: Callable[..., Any]) -> Function:
        """A function of Lua that calls a callable. To be given to Lua more than once as one value:
        a bare callable is a new function each time."""
        _check_callable("function", callable)
        function: Function = self._value(callable)
        return function

    def set_function(self, path: str, callable: Callable[..., Any]) -> None:
        """Gives scripts a callable by a name, a global or a path through tables as "game.spawn";
        tables that are missing are made.

        With a name it can be in images: `State(image=..., functions={"game.spawn": spawn})`, and
        synctest() can tell what differs. A name stands for one callable, as long as the State
        lives: given anew, all functions that have it call the new one, also after a rollback. Give
        names before the first snapshot: what scripts find under them rolls back."""
        _check_callable(path, callable)
        *way, last = _names(path)
        table: Any = self._globals()
        for at, name in enumerate(way, 1):
            if table[name] is None:
                table[name] = self.table()
            table = _inside(path, way[:at], table[name])
        table[last] = self._named(path, callable)

    def resource(self, kind: ResourceType, value: Any) -> Resource:
        """A new handle of an object, which Lua owns from then on."""
        if not isinstance(kind, ResourceType):
            raise TypeError(f"kind is a ResourceType, not {type(kind).__name__}")
        return self._resource(kind, value)

    # Modules in C

    def open_module(self, name: str, function: int) -> Value:
        """Opens a module as `require` would, and returns it; `function` is the address of its
        luaopen_ function. One that a script loads by itself cannot be in images."""
        return self._open_module(name, function)

    def name_functions(self, c_functions: Mapping[str, int]) -> None:
        """Gives C functions names, by their addresses: {"meter.new": module["new"].address}. A
        state that has them can be saved then, and State(c_functions=) says what the names stand for
        where it is loaded. Give names before the first snapshot: they roll back.

        A name has up to 64 bytes and no blank. Raises BadArgument for one that is taken."""
        self._name_functions(dict(c_functions))

    # Sandboxes and budgets

    def open_libs(self, libs: Libs) -> None:
        """Opens standard libraries in the globals."""
        _check_libs(libs)
        self._openlibs(libs)

    def environment(self, libs: Libs = Libs.SANDBOX) -> Table:
        """A table of globals of its own, with libraries that it may change: `execute(..., env=)`.
        docs/SANDBOX.md tells how."""
        _check_libs(libs)
        return self._newenv(libs)

    @property
    def budget(self) -> Optional[int]:
        """What scripts may still do, in units of rlua_set_budget; None is no limit, as at first.
        Part of the state: it rolls back. When it is used up, calls raise BudgetError."""
        units = self._budget_left()
        return None if units == NO_BUDGET else units

    @budget.setter
    def budget(self, units: Optional[int]) -> None:
        if units is not None and not 0 <= units < 1 << 63:
            raise BadArgument(f"budget {units} is outside 0 .. 2^63 - 1")
        self._set_budget(NO_BUDGET if units is None else units)

    # The history

    @property
    def history(self) -> History:
        """The snapshots."""
        return History(self)

    def snap(self, frame: Optional[int] = None) -> int:
        """As history.snap()."""
        return self._snap(frame)

    def rollback(self, n: int = 1) -> None:
        """As history.rollback()."""
        self._rollback(n)

    def rollback_to(self, frame: int) -> None:
        """As history.rollback_to()."""
        self._rollback_to(frame)

    def synctest(self, frame: Callable[[int, bool], object], check_distance: int = 8,
                 frames: int = 600) -> None:
        """Runs frames, and after each one rolls back check_distance frames and runs them again.

        `frame(number, again)` runs one: sets its inputs, the same for the same number, and calls
        the script. It may do what a callable of Lua's may, so no snaps, rollbacks and images. The
        snapshots of the State are used: it has to keep more than check_distance. Raises Desync for
        the first frame that comes to another state than in its first run: it depends on something
        that does not roll back. What frame() or a participant raises comes out as it is."""
        _check_callable("synctest", frame)
        for name, count in (("check_distance", check_distance), ("frames", frames)):
            if not 0 <= count < 1 << 32:
                raise BadArgument(f"synctest: {name} {count} is outside 0 .. 2^32 - 1")
        self._synctest(frame, check_distance, frames)

    # Images

    def save(self, frame: Optional[int] = None) -> bytes:
        """The whole state as bytes, or that of a held snapshot: State(image=...) goes on with it,
        in any process. Raises Unsavable where Python owns a part of it: a callable without a name
        of set_function(), or a Resource whose type has no `save`; and where a module in C does: a
        function without a name, userdata without a UserdataType. Raises ResourceError."""
        return self._save(frame)

    def clone(self) -> State:
        """A second State with the same state, for another thread or to look ahead: one of the image
        that save() gives, with the same functions, the same types, and objects of its own. Its
        history is empty, nothing follows it. Raises as save() and State(image=) do."""
        image = self.save()
        functions, c_functions, types = self._outside()
        config = dataclasses.replace(self.config, trust=Trust.OWN,
                                     max_snapshots=self.history.limit)
        clone = State(config=config, strings=self._strings, image=image, functions=functions,
                      c_functions=c_functions, types=types)
        clone.config = self.config
        return clone

    def save_delta(self, from_frame: int, to_frame: int) -> bytes:
        """What leads from one held snapshot to another. Raises NoSnapshot, Unsavable."""
        return self._save_delta(from_frame, to_frame)

    def apply_delta(self, delta: Bytes, *,
                    functions: Optional[Mapping[str, Callable[..., Any]]] = None,
                    c_functions: Optional[Mapping[str, int]] = None) -> None:
        """Makes the state what a delta leads to; its snapshots stay. `functions` and `c_functions`
        have the names that the state does not have yet. Raises BadImage where the state is not the
        one that the delta leads from; nothing has changed then."""
        self._apply_delta(delta, dict(functions or {}), dict(c_functions or {}))

    def checksum(self) -> bytes:
        """16 bytes that are equal where the states are, on any machine."""
        return self._checksum()

    def diff(self, other: "State", most: int = 0) -> List[Difference]:
        """Where this state and another's differ, by the shortest way to each place; at most
        `most` of them (0: 1000). Nothing changes in either. For images: rlua.diff()."""
        return [Difference(DiffKind(kind), path, a, b)
                for kind, path, a, b in self._diff(other, most)]

    # What else a host may ask

    def info(self) -> Info:
        """What the VM holds. Also while Lua is running."""
        return Info(**self._info())

    @property
    def config_digest(self) -> int:
        """A digest of what peers must have in common before the first frame."""
        return self._config_digest()

    def set_time(self, seconds: int, nanoseconds: int = 0) -> None:
        """Sets the clock of scripts in the deterministic profile: an input, like a player's keys.
        Raises BadArgument, and Unsupported in the stock profile."""
        if not 0 <= nanoseconds < 10**9:
            raise BadArgument(f"nanoseconds {nanoseconds} are outside a second")
        self._set_time(seconds, nanoseconds)

    def collect_garbage(self) -> None:
        """A full cycle of Lua's collector."""
        self._gc(2, 0)


def diff(a: Bytes, b: Bytes, *, config: Optional[Config] = None, functions: Iterable[str] = (),
         types: Iterable[ObjectType] = (), most: int = 0) -> List[Difference]:
    """Where the states of two images differ, as State.diff() tells it. No code in them is run, and
    no object is loaded.

    config     its image_key, where they have one, and its memory_size, where they may be hostile
    functions  the names of set_function() and of name_functions() that are in them
    types      the ResourceTypes whose handles are in them
    Raises BadImage, Unsavable for a name that is missing.
    """
    if config is None:
        config = Config()
    _check_config(config)
    names = dict.fromkeys(functions)
    for each in _checked_types(types):
        names.update(dict.fromkeys(each._names()))
    return [Difference(DiffKind(kind), path, one, other) for kind, path, one, other in
            _core.diff(a, b, config, names, most)]
