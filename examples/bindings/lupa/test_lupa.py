"""lupa, built from its unmodified source against librlua: Python objects in a VM that rolls back.

Usage: test_lupa.py LIBRARY, with the folder of the built `lupa` package in PYTHONPATH.

lupa makes its state by luaL_newstate, which is a VM of ours; ctypes reaches the rest of the
library through the state's address. The host's duty: Python's handles of Lua values that were
taken after a snapshot name other values, or none, after the rollback. So take them before the
first snapshot, or by name when they are needed.

Not here: a binding of librlua for Python; bindings/python is one.
"""

import ctypes
import gc
import sys
import weakref

from lupa.lua54 import LuaRuntime

library = ctypes.CDLL(sys.argv[1])
for name in "rlua_snap rlua_check rlua_set_max_snapshots rlua_rollback".split():
    getattr(library, name).argtypes = [ctypes.c_void_p]
library.rlua_set_max_snapshots.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
library.rlua_rollback.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
library.rlua_snap_frame.argtypes = [ctypes.c_void_p, ctypes.c_int64]
library.rlua_discard_before.argtypes = [ctypes.c_void_p, ctypes.c_int64]
library.rlua_strerror.restype = ctypes.c_char_p


class Item:
    """A Python object that scripts hold; its end is seen."""

    alive = 0

    def __init__(self, name):
        self.name = name
        self.uses = 0
        Item.alive += 1
        weakref.finalize(self, Item.ended)

    @staticmethod
    def ended():
        Item.alive -= 1

    def use(self):
        self.uses += 1
        return self.uses


class Vm:
    """lupa's runtime and the address of its state."""

    def __init__(self, snapshots=8):
        self.lua = LuaRuntime(unpack_returned_tuples=True)
        address = self.lua.eval("string.format('%p', (coroutine.running()))")
        self.state = int(address, 16)
        self.call("set_max_snapshots", snapshots)
        self.lua.globals().item = Item
        self.run = self.lua.eval("function(chunk) return assert(load(chunk))() end")

    def call(self, name, *arguments):
        status = getattr(library, "rlua_" + name)(self.state, *arguments)
        assert status == 0, (name, library.rlua_strerror(status))

    def rollback(self, n=1):
        self.call("rollback", n)
        self.call("check")


def collected_and_rolled_back_to_is_alive():
    vm = Vm()
    vm.run("kept = item 'sword'")
    vm.call("snap")
    for uses in range(1, 6):
        assert vm.run("return kept.use()") == uses  # Python's side does not go back
        vm.run("kept = nil collectgarbage() collectgarbage()")
        gc.collect()
        assert Item.alive == 1, Item.alive
        vm.rollback()
        assert vm.run("return kept.name") == "sword"
    del vm
    gc.collect()
    assert Item.alive == 0, Item.alive


def made_and_rolled_back_away_ends():
    vm = Vm()
    vm.call("snap")
    vm.run("for i = 1, 50 do last = item(i) end")
    assert Item.alive == 50
    vm.rollback()
    gc.collect()
    assert Item.alive == 0, Item.alive


def ten_frames_and_a_rollback_to_each():
    vm = Vm(12)
    vm.run("items = {}")

    def frame(number):
        vm.call("snap_frame", number)
        vm.run(f"""
            for i = 1, 5 do items[math.random(20)] = item('f{number}') end
            items[{number}] = nil
            for _, it in pairs(items) do it.use() end
            assert(not pcall(item))
            if {number} % 3 == 0 then collectgarbage() end""")

    for number in range(1, 11):
        frame(number)
    library.rlua_rollback_to.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    for target in range(10, 0, -1):
        vm.call("rollback_to", target)
        vm.run("for _, it in pairs(items) do assert(it.name) end collectgarbage()")
        for number in range(target + 1, 11):
            frame(number)
        gc.collect()
        assert Item.alive < 400, Item.alive
    del vm
    gc.collect()
    assert Item.alive == 0, Item.alive


def leaks_stay_bounded():
    vm = Vm(8)
    for number in range(2000):
        vm.call("snap_frame", number)
        vm.run("leaked = item(1) collectgarbage('step', 50)")
        if number % 50 == 0:
            vm.run("collectgarbage()")
        assert Item.alive < 500, Item.alive
    del vm
    gc.collect()
    assert Item.alive == 0, Item.alive


def errors_cross_a_rollback():
    vm = Vm()
    vm.run("function fail() item() end")
    vm.call("snap")
    for _ in range(20):
        try:
            vm.run("fail()")
        except TypeError:
            pass
        else:
            raise AssertionError("no error")
        vm.rollback()


failed = 0
tests = [collected_and_rolled_back_to_is_alive, made_and_rolled_back_away_ends,
         ten_frames_and_a_rollback_to_each, leaks_stay_bounded, errors_cross_a_rollback]
for test in tests:
    try:
        test()
        print("ok  ", test.__name__)
    except Exception as error:  # one failure must not hide the others
        failed += 1
        print("FAIL", test.__name__, repr(error))
print(f"{len(tests) - failed} passed, {failed} failed")
sys.exit(failed > 0)
