"""meters: the module of meter.c, compiled, and how its userdata go with images. METER_LIBRARY names
one that was compiled before, where no compiler is at hand."""

import ctypes
import os
import subprocess
import tempfile
from pathlib import Path

import rlua

HERE = Path(__file__).resolve().parent


def library():
    """The module, as ctypes has it; its functions of Lua are found in the process."""
    rlua.enable_c_modules()
    if "METER_LIBRARY" in os.environ:
        return ctypes.CDLL(os.environ["METER_LIBRARY"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "meter.so")
        subprocess.run([*os.environ.get("CC", "cc").split(), "-shared", "-fPIC", "-Wall", "-Werror",
                        f"-I{HERE.parents[2] / 'include'}", str(HERE / "meter.c"), "-o", str(path)],
                       check=True)
        return ctypes.CDLL(str(path))


METER = library()
METER.meter_open.restype = ctypes.c_void_p
METER.meter_value.argtypes = [ctypes.c_void_p]
OPEN = ctypes.cast(METER.luaopen_meter, ctypes.c_void_p).value


def save(block):
    meter = ctypes.c_void_p.from_buffer_copy(block)
    return b"" if meter.value is None else b"%d" % METER.meter_value(meter)


def load(data, size):
    assert size == ctypes.sizeof(ctypes.c_void_p)
    return bytes(ctypes.c_void_p(METER.meter_open(int(data)) if data else None))


def names():
    """What its functions are called, and where they lie."""
    with rlua.State() as lua:
        module = lua.open_module("meter", OPEN)
        found = {f"meter.{name}": function.address for name, function in module.items()}
        found["meter.open"] = OPEN
        return found
