"""modules: modules in C: their functions have names, and their userdata go with images and clones.

Method: a module that is compiled counts its meters, and ends the process where one ends twice.
Functions of a type fail, answer what they must not, and try what they must not.
"""

import ctypes
import gc
import subprocess
import sys
import threading
import types
import unittest
import weakref

import meters
import rlua
from meters import METER, OPEN

CONFIG = rlua.Config(memory_size=1 << 20, max_snapshots=4, trust=rlua.Trust.PROVED)
NAMES = meters.names()
METERS = rlua.UserdataType("Meter", save=meters.save, load=meters.load)


def world(kind=METERS, **options):
    options = {"types": [kind] if kind else [], "c_functions": NAMES, **options}
    lua = rlua.State(config=CONFIG, **options)
    if "image" not in options:
        lua.globals["meter"] = lua.open_module("meter", OPEN)
    return lua


class Counted(unittest.TestCase):
    def setUp(self):
        gc.collect()
        self.before = METER.meter_living()

    def tearDown(self):
        gc.collect()
        self.assertEqual(self.living(), 0)

    def living(self):
        return METER.meter_living() - self.before


class Images(Counted):
    def test_userdata_go_with_an_image(self):
        with world() as lua:
            lua.execute("m, n, closed = meter.new(1), meter.new(10), meter.new(100) "
                        "meter.close(closed) debug.setuservalue(m, n) both = {m, n}")
            image = lua.save()
            self.assertEqual(len(image), lua.save_bound())
            with world(image=image) as other:
                self.assertEqual(self.living(), 4)
                self.assertEqual(other.checksum(), lua.checksum())
                for each in (lua, other):
                    self.assertEqual(each.eval("meter.read(m), meter.read(both[2])"), (2, 11))
                    self.assertTrue(each.eval("debug.getuservalue(m) == n"))
                    with self.assertRaisesRegex(rlua.LuaError, "closed"):
                        each.execute("meter.read(closed)")
                self.assertIsInstance(other.globals["m"], rlua.Userdata)
                other.execute("m, both = nil")
                other.collect_garbage()
                self.assertEqual(self.living(), 3)
                other.check()

    def test_what_was_loaded_rolls_back_as_what_was_made(self):
        with world() as lua:
            lua.execute("m = meter.new(1)")
            lua.snap(7)
            lua.execute("m = nil")
            lua.collect_garbage()
            image, later = lua.save(7), lua.save()
        with world(image=image) as other:
            other.snap()
            other.execute("m = nil")
            other.collect_garbage()
            self.assertEqual(self.living(), 1)
            other.rollback()
            self.assertEqual(other.eval("meter.read(m)"), 2)
        with world(image=later) as other:
            self.assertEqual((other.globals["m"], self.living()), (None, 0))

    def test_a_clone_has_userdata_of_its_own(self):
        with world() as lua:
            lua.execute("m = meter.new(1)")
            with lua.clone() as clone, clone.clone() as another:
                self.assertEqual(self.living(), 3)
                another.execute("meter.close(m)")
                self.assertEqual((clone.eval("meter.read(m)"), self.living()), (2, 2))
                self.assertEqual(another.eval("meter.read(meter.new(4))"), 5)

    def test_another_process_loads_it(self):
        with world() as lua:
            lua.execute("m = meter.new(4)")
            image = lua.save()
        program = """
import sys, meters, rlua
kind = rlua.UserdataType("Meter", save=meters.save, load=meters.load)
with rlua.State(config=rlua.Config(trust=rlua.Trust.PROVED), image=sys.stdin.buffer.read(),
                types=[kind], c_functions=meters.names()) as lua:
    print(lua.eval("meter.read(m)"), meters.METER.meter_living())
print(meters.METER.meter_living())
"""
        ended = subprocess.run([sys.executable, "-c", program], input=image, capture_output=True,
                               cwd=meters.HERE, timeout=120, check=False)
        self.assertEqual((ended.stdout.split(), ended.stderr), ([b"5", b"1", b"0"], b""))

    def test_what_is_missing_is_named(self):
        with world() as lua:
            lua.execute("m = meter.new(4)")
            image = lua.save()
        for known in ((), (rlua.UserdataType("Other", save=meters.save, load=meters.load),),
                      (rlua.ResourceType("Meter", save=bytes, load=bytes),)):
            with self.assertRaisesRegex(rlua.Unsavable, "Meter"):
                world(image=image, types=known)
        with self.assertRaisesRegex(rlua.Unsavable, "meter.close"):
            world(image=image, c_functions={
                name: NAMES[name] for name in NAMES if name != "meter.close"})
        with self.assertRaisesRegex(rlua.Unsavable, r"meter\."):
            world(image=image, c_functions={}, functions=dict.fromkeys(NAMES, print))
        with world(None) as lua:
            lua.execute("world = {m = meter.new(4)}")
            with self.assertRaisesRegex(rlua.Unsavable, "_G.world.m"):
                lua.save()
        with world(c_functions={}) as lua:
            lua.execute("m = meter.new(4)")
            with self.assertRaisesRegex(rlua.Unsavable, "C function has no name.*Meter"):
                lua.save()

    def test_functions_that_raise_fail_the_call_and_leave_nothing(self):
        mistake, calls, fail_at = KeyError("no"), [0], [None]

        def checked(function):
            def call(*args):
                calls[0] += 1
                if calls[0] == fail_at[0]:
                    raise mistake
                return function(*args)
            return call

        kind = rlua.UserdataType("Meter", save=checked(meters.save), load=checked(meters.load))
        with world(kind) as lua:
            lua.execute("a, b, c = meter.new(1), meter.new(2), meter.new(3)")
            image = lua.save()
            for at in range(1, 4):
                fail_at[0] = at
                for action in (lua.save, lua.save_bound, lua.clone,
                               lambda: world(kind, image=image)):
                    calls[0] = 0
                    with self.assertRaisesRegex(rlua.ResourceError, "Meter") as caught:
                        action()
                    self.assertIs(caught.exception.__cause__, mistake)
                    self.assertEqual(self.living(), 3)
            fail_at[0] = None
            self.assertEqual(lua.eval("meter.read(a)"), 2)
            lua.check()
            lua.clone().close()

    def test_an_interrupt_comes_out_as_itself(self):
        def interrupt(*_args):
            raise KeyboardInterrupt

        follower = types.SimpleNamespace(capture=interrupt, restore=print)
        for kind, action in (
                (rlua.UserdataType("Meter", save=interrupt, load=meters.load), rlua.State.save),
                (rlua.UserdataType("Meter", save=meters.save, load=interrupt), rlua.State.clone),
                (METERS, rlua.State.snap)):
            with world(kind) as lua:
                lua.execute("m = meter.new(1)")
                if action is rlua.State.snap:
                    lua.history.follow(follower)
                with self.assertRaises(KeyboardInterrupt):
                    action(lua)
                self.assertEqual((len(lua.history), lua.eval("meter.read(m)")), (0, 2))
                lua.check()

    def test_snapshots_are_not_needed(self):
        own = rlua.Config(trust=rlua.Trust.PROVED)
        with rlua.State(config=own, types=[METERS], c_functions=NAMES) as lua:
            lua.globals["meter"] = lua.open_module("meter", OPEN)
            lua.execute("m = meter.new(1)")
            with lua.clone() as clone:
                self.assertEqual((clone.eval("meter.read(m)"), self.living()), (2, 2))

    def test_it_goes_with_deltas_and_a_sync_test_makes_none(self):
        calls = [0]

        def wrong(*_frame):
            calls[0] += 1
            lua.call("step", calls[0])

        with world() as lua:
            lua.snap(0)
            with lua.clone() as late:
                lua.execute("m, n = meter.new(1), 0 function step(k) n = n + k end")
                lua.snap(1)
                late.apply_delta(lua.save_delta(0, 1))
                self.assertEqual((late.checksum(), self.living()), (lua.checksum(), 2))
                late.apply_delta(lua.save_delta(1, 0))
                self.assertEqual(self.living(), 1)
                late.apply_delta(lua.save_delta(0, 1))
                self.assertEqual((late.eval("meter.read(m)"), self.living()), (2, 2))
                late.check()
            with self.assertRaises(rlua.Desync) as caught:
                lua.synctest(wrong, 2, 20)
            self.assertEqual((caught.exception.difference.path, self.living()), ("_G.n", 1))

    def test_what_functions_return_is_looked_at(self):
        size = ctypes.sizeof(ctypes.c_void_p)
        for saved in ("text", None, 5, ["list"], memoryview(b"abcdef")[::2]):
            kind = rlua.UserdataType("Meter", save=lambda block, saved=saved: saved,
                                     load=meters.load)
            with world(kind) as lua:
                lua.execute("m = meter.new(1)")
                with self.assertRaises(rlua.ResourceError) as caught:
                    lua.save()
                self.assertIsInstance(caught.exception.__cause__, (TypeError, BufferError))
        for loaded in ("x" * size, None, size, [0] * size, b"", bytes(size - 1), bytes(size + 1)):
            kind = rlua.UserdataType("Meter", save=meters.save,
                                     load=lambda data, size, loaded=loaded: loaded)
            with world(kind) as lua:
                lua.execute("m = meter.new(1)")
                with self.assertRaises(rlua.ResourceError) as caught:
                    lua.clone()
                self.assertIsInstance(caught.exception.__cause__, (TypeError, ValueError))
                if isinstance(loaded, bytes):
                    self.assertEqual(str(caught.exception.__cause__),
                                     f"load of Meter returned {len(loaded)} bytes for a block of "
                                     f"{size}")
        for kind_of in (bytes, bytearray, memoryview):
            kind = rlua.UserdataType("Meter", save=lambda block, to=kind_of: to(meters.save(block)),
                                     load=lambda data, size, to=kind_of:
                                     to(meters.load(data, size)))
            with world(kind) as lua:
                lua.execute("m = meter.new(1)")
                with lua.clone() as clone:
                    self.assertEqual(clone.eval("meter.read(m)"), 2)

    def test_a_block_that_is_kept_stays_as_it_was(self):
        kept = []

        def save(block):
            kept.append(block)
            return meters.save(block)

        with world(rlua.UserdataType("Meter", save=save, load=meters.load)) as lua:
            lua.execute("m = meter.new(1)")
            lua.save()
            lua.execute("meter.close(m)")
            lua.save()
        self.assertIsInstance(kept[0], bytes)
        self.assertNotEqual(kept[0], bytes(len(kept[0])))
        self.assertEqual(kept[1], bytes(len(kept[0])))

    def test_more_than_a_state_can_have_is_refused(self):
        kind = rlua.UserdataType("Meter", save=lambda block: bytes(2 << 20), load=meters.load)
        with world(kind) as lua:
            lua.execute("m = meter.new(1)")
            with self.assertRaises(rlua.OutOfMemory):
                lua.save()
            lua.check()

    def test_the_state_is_busy_while_a_userdata_is_saved(self):
        tried = []

        def save(block):
            for action in (lua.snap, lua.save, lua.close, lambda: lua.execute("x = 1"), lua.clone,
                           lambda: module["new"](1), lambda: module["new"].address,
                           lambda: lua.open_module("other", OPEN),
                           lambda: lua.name_functions({"other": OPEN})):
                with self.assertRaises(rlua.Busy):
                    action()
                tried.append(action)
            gc.collect()
            return meters.save(block)

        kind = rlua.UserdataType("Meter", save=save, load=meters.load)
        with world(kind) as lua:
            module = lua.globals["meter"]
            lua.execute("m = meter.new(1)")
            lua.save()
            self.assertEqual((len(tried), lua.eval("x")), (9, None))
            lua.check()

    def test_a_load_cannot_use_the_state_that_is_opened(self):
        opened = []

        class Mine(rlua.State):
            def __init__(self, **options):
                opened.append(self)
                super().__init__(config=CONFIG, **options)

        def load(data, size):
            for action in (lambda: opened[0].execute("x = 1"), opened[0].snap,
                           lambda: opened[0].name_functions({"other": OPEN}),
                           lambda: opened[0].open_module("other", OPEN)):
                with self.assertRaises(rlua.Closed):
                    action()
            opened[0].close()
            return meters.load(data, size)

        kind = rlua.UserdataType("Meter", save=meters.save, load=load)
        with world(kind) as lua:
            lua.execute("m = meter.new(1)")
            image = lua.save()
        with Mine(image=image, types=[kind], c_functions=NAMES) as lua:
            self.assertEqual(lua.eval("meter.read(m)"), 2)

    def test_a_name_is_of_one_type_of_a_sort(self):
        other = rlua.UserdataType("Meter", save=meters.save, load=meters.load)
        for known in ([METERS, other], [rlua.UserdataType("", save=bytes, load=bytes)],
                      [rlua.UserdataType("n" * 256, save=bytes, load=bytes)]):
            with self.assertRaises(rlua.BadArgument):
                rlua.State(types=known)
        plain = rlua.ResourceType("Meter", None, {"size": len}, save=bytes, load=bytes)
        callables = rlua.UserdataType("python callable", save=bytes, load=lambda data, size: data)
        with world(types=[METERS, plain, METERS, callables]) as lua:
            lua.globals["r"] = lua.resource(plain, b"abc")
            lua.execute("m = meter.new(1)")
            with lua.clone() as clone:
                self.assertEqual(clone.eval("r:size(), meter.read(m)"), (3, 2))
                self.assertIs(clone.globals["r"].kind, plain)
                self.assertIsInstance(clone.globals["m"], rlua.Userdata)

    def test_types_are_checked_where_they_are_made(self):
        for make in (lambda: rlua.UserdataType("Meter"),
                     lambda: rlua.UserdataType("Meter", save=bytes),
                     lambda: rlua.UserdataType("Meter", save=bytes, load=None),
                     lambda: rlua.UserdataType("Meter", save=5, load=bytes),
                     lambda: rlua.UserdataType("a\0b", save=bytes, load=bytes),
                     lambda: rlua.UserdataType(None, save=bytes, load=bytes),
                     lambda: rlua.State(types=[rlua.UserdataType]),
                     lambda: rlua.State(types=METERS)):
            with self.assertRaises(TypeError):
                make()
        self.assertEqual((METERS.name, repr(METERS)), ("Meter", "rlua.UserdataType('Meter')"))
        with rlua.State() as lua, self.assertRaises(TypeError):
            lua.resource(METERS, 1)

    def test_threads_load_at_the_same_time(self):
        with world() as lua:
            lua.execute("m = meter.new(1)")
            image = lua.save()
        results = []

        def load():
            for _ in range(5):
                with world(image=image) as other:
                    results.append(other.eval("meter.read(m)"))

        threads = [threading.Thread(target=load) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        self.assertEqual(results, [2] * 20)

    def test_types_and_states_in_cycles_are_collected(self):
        def cycle():
            lua = None
            kind = rlua.UserdataType("Meter", save=lambda block: (lua, meters.save(block))[1],
                                     load=meters.load)
            lua = world(kind)
            lua.execute("m = meter.new(1)")
            lua.save()
            return weakref.ref(lua), weakref.ref(kind)

        ended = cycle()
        gc.collect()
        self.assertEqual([each() for each in ended], [None] * 2)

    def test_python_s_collector_at_every_allocation(self):
        old = gc.get_threshold()
        gc.set_threshold(1, 1, 1)
        self.addCleanup(gc.set_threshold, *old)
        with world() as lua:
            for n in range(5):
                lua.execute(f"m{n} = meter.new({n})")
                with lua.clone() as clone:
                    self.assertEqual(clone.eval(f"meter.read(m{n})"), n + 1)
                lua.snap()


class Functions(Counted):
    def test_an_address_is_that_of_a_c_function(self):
        with world() as lua:
            lua.globals["bare"] = print
            self.assertEqual(lua.globals["meter"]["new"].address, NAMES["meter.new"])
            self.assertIsInstance(lua.globals["print"].address, int)
            self.assertIsNone(lua.eval("function() end").address)
            self.assertIsNone(lua.eval("bare == bare and function() bare() end").address)
            new = lua.globals["meter"]["new"]
        with self.assertRaises(rlua.Closed):
            new.address     # pylint: disable=pointless-statement

    def test_names_are_checked(self):
        with world() as lua:
            new, read = NAMES["meter.new"], NAMES["meter.read"]
            lua.name_functions({"meter.new": new})
            for names in ({"meter.new": read}, {"other": new}, {"": OPEN + 1}, {"n" * 65: OPEN + 1},
                          {"a b": OPEN + 1}, {"a\0b": OPEN + 1},
                          {"print": OPEN + 1}, {"other": lua.globals["print"].address}):
                with self.assertRaises(rlua.BadArgument):
                    lua.name_functions(names)
            for names, error in (({"x": None}, TypeError), ({"x": 1.5}, TypeError),
                                 ({1: OPEN}, TypeError), ({"x": print}, TypeError),
                                 ({"x": 0}, ValueError), ({"x": 1 << 70}, OverflowError),
                                 ({"x": -(1 << 70)}, OverflowError),
                                 ({"a\0b": OPEN + 1}, rlua.BadArgument),
                                 ({"\udc00": OPEN + 1}, UnicodeError)):
                with self.assertRaises(error):
                    lua.name_functions(names)
                with self.assertRaises(error):
                    rlua.State(config=CONFIG, c_functions=names)
                with self.assertRaises(error):
                    rlua.State(config=CONFIG, c_functions={**NAMES, **names}, image=lua.save())
            lua.clone().close()
            with self.assertRaises(rlua.BadArgument):
                rlua.State(c_functions={"a": new, "b": new})

    def test_a_module_is_opened_once(self):
        with world() as lua:
            self.assertEqual(lua.eval("require 'meter' == meter"), True)
            self.assertEqual(lua.open_module("meter", OPEN), lua.globals["meter"])
            with self.assertRaisesRegex(rlua.LuaError, "Meter expected"):
                lua.open_module("wrong", NAMES["meter.read"])
            for name, function in (("x", None), (1, OPEN), ("x", print), ("x", 0),
                                   ("meter\0x", OPEN)):
                with self.assertRaises((TypeError, ValueError, rlua.BadArgument)):
                    lua.open_module(name, function)
            lua.set_function("inside", lambda: lua.open_module("second", OPEN))
            self.assertEqual(lua.eval("type(inside().new)"), "function")
            with self.assertRaises(rlua.OutOfMemory):
                lua.execute("filler = {} local i = 0 while true do i = i + 1 "
                            "filler[i] = ('x'):rep(100) .. i end")
            with self.assertRaises(rlua.OutOfMemory):
                for n in range(10000):
                    lua.open_module(f"more{n}", OPEN)
            lua.check()

    def test_deltas_and_differences_take_names(self):
        with rlua.State(config=CONFIG) as lua:
            lua.snap(0)
            image = lua.save()
            follower = rlua.State(config=CONFIG, image=lua.save(0))
            lua.name_functions(NAMES)
            lua.globals["meter"] = lua.open_module("meter", OPEN)
            lua.snap(1)
            delta = lua.save_delta(0, 1)
            with follower:
                with self.assertRaises(rlua.Unsavable):
                    follower.apply_delta(delta)
                follower.apply_delta(delta, c_functions=NAMES)
                self.assertEqual(follower.checksum(), lua.checksum())
                follower.clone().close()
            with self.assertRaises(rlua.Unsavable):
                rlua.diff(image, lua.save())
            paths = [each.path for each in rlua.diff(image, lua.save(), functions=NAMES)]
            self.assertIn("_G.meter", paths)

    def test_names_roll_back(self):
        with rlua.State(config=CONFIG) as lua:
            lua.snap()
            lua.name_functions(NAMES)
            lua.rollback()
            lua.globals["meter"] = lua.open_module("meter", OPEN)
            with self.assertRaises(rlua.Unsavable):
                lua.save()
            lua.name_functions(NAMES)
            lua.clone().close()


if __name__ == "__main__":
    unittest.main()
