"""state: snapshots, resources, participants, errors, budgets, the life of a State."""

import re
import subprocess
import sys
import traceback
import unittest

import rlua
from test_values import MIB, OneState


class Snapshots(OneState):
    def test_rollback_undoes_later_writes(self):
        self.lua.execute("n = 1 function up() n = n + 1 return n end")
        up = self.lua.globals["up"]
        self.assertEqual(self.lua.snap(), 0)
        self.assertEqual([up(), up()], [2, 3])
        self.lua.rollback()
        self.assertEqual([up(), up()], [2, 3])

    def test_history_is_a_collection_of_frames(self):
        history = self.lua.history
        self.assertEqual((history.frames, history.newest, history.oldest, history.highest),
                         ((), None, None, None))
        for frame in (10, 20, 30):
            self.lua.execute("frame = ...", frame)
            self.assertEqual(history.snap(frame), frame)
        self.assertEqual(history.snap(), 31)
        self.lua.execute("frame = 'again'")
        self.assertEqual(history.snap(31), 31)
        self.assertEqual(history.frames, (10, 20, 30, 31))
        self.assertEqual(len(history), 4)
        history.rollback_to(20)
        self.assertEqual((self.lua.globals["frame"], history.frames), (20, (10, 20)))
        self.assertEqual(history.highest, 31)
        self.assertIn(20, history)
        history.discard_before(15)
        self.assertEqual((history.frames, history.oldest, history.newest), ((20,), 20, 20))
        history.limit = 1
        history.snap(40)
        self.assertEqual((history.frames, history.limit), ((40,), 1))
        history.limit = 0
        self.assertEqual(history.frames, ())
        with self.assertRaises(rlua.Disabled):
            history.snap()

    def test_full_history_drops_the_oldest(self):
        for frame in range(20):
            self.lua.snap(frame)
        self.assertEqual(self.lua.history.frames, tuple(range(12, 20)))

    def test_absent_frames_are_errors(self):
        self.lua.snap(5)
        for action, error in ((lambda: self.lua.rollback(2), rlua.NoSnapshot),
                              (lambda: self.lua.rollback(0), rlua.NoSnapshot),
                              (lambda: self.lua.rollback(-1), rlua.NoSnapshot),
                              (lambda: self.lua.rollback_to(4), rlua.NoSnapshot),
                              (lambda: self.lua.snap(4), rlua.BadFrame),
                              (lambda: self.lua.snap(1 << 70), OverflowError)):
            with self.assertRaises(error):
                action()
        self.assertEqual(self.lua.history.frames, (5,))

    def test_proxy_newer_than_the_snapshot_is_stale_after_the_rollback(self):
        old = self.lua.table({"x": 1})
        self.lua.snap()
        new = self.lua.table({"x": 2})
        function, coroutine = self.lua.load("return 1"), self.lua.load("return 1").coroutine()
        iterator = iter(new.items())
        self.lua.rollback()
        others = [self.lua.table() for _ in range(20)]      # take the places that are free again
        self.assertEqual((old["x"], old.stale, new.stale), (1, False, True))
        for action in (lambda: new["x"], lambda: len(new), lambda: new.copy(), function,
                       lambda: next(iterator), lambda: next(coroutine), lambda: str(new),
                       lambda: self.lua.globals.rawset("v", new), lambda: old.rawset(new, 1)):
            with self.assertRaises(rlua.Stale) as caught:
                action()
            self.assertEqual(caught.exception.status, rlua.Status.STALE)
        self.assertNotEqual(new, others[0])
        self.assertTrue(repr(new))

    def test_reference_dropped_after_the_snapshot_is_released_again_after_the_rollback(self):
        self.lua.execute("weak = setmetatable({}, {__mode = 'v'})")
        table = self.lua.table()
        self.lua.globals["weak"][1] = table
        self.lua.snap()
        self.lua.snap()
        del table
        self.lua.rollback(2)
        self.lua.collect_garbage()
        self.assertIsNone(self.lua.globals["weak"][1])


class Follower:
    def __init__(self):
        self.value, self.discarded, self.fail = 0, [], None

    def capture(self, frame):
        if self.fail:
            raise self.fail
        return (frame, self.value)

    def restore(self, token):
        if self.fail:
            raise self.fail
        self.value = token[1]

    def discard(self, token):
        self.discarded.append(token[0])


class Participants(OneState):
    def test_participant_goes_back_and_its_tokens_end_once(self):
        follower = Follower()
        self.lua.history.follow(follower)
        for frame in range(4):
            follower.value = frame
            self.lua.snap()
        self.lua.rollback_to(1)
        self.assertEqual((follower.value, sorted(follower.discarded)), (1, [2, 3]))
        self.lua.history.unfollow(follower)
        self.assertEqual(sorted(follower.discarded), [0, 1, 2, 3])
        with self.assertRaises(LookupError):
            self.lua.history.unfollow(follower)

    def test_exception_in_a_capture_fails_the_snap_and_is_its_cause(self):
        follower = Follower()
        self.lua.history.follow(follower)
        follower.fail = KeyError("no")
        with self.assertRaises(rlua.ParticipantError) as caught:
            self.lua.snap()
        self.assertIs(caught.exception.__cause__, follower.fail)
        self.assertEqual(self.lua.history.frames, ())

    def test_exception_in_a_restore_comes_out_when_all_has_gone_back(self):
        follower, second = Follower(), Follower()
        self.lua.history.follow(follower)
        self.lua.history.follow(second)
        self.lua.execute("n = 1")
        self.lua.snap()
        self.lua.execute("n = 2")
        second.value = 9
        follower.fail = KeyError("no")
        with self.assertRaises(KeyError):
            self.lua.rollback()
        self.assertEqual((self.lua.globals["n"], second.value), (1, 0))

    def test_participants_may_use_the_state_but_not_its_history(self):
        seen = []

        class Nosy:
            def capture(self, frame):
                seen.append(lua.eval("1 + 1"))
                for action in (lua.snap, lua.rollback, lua.close):
                    try:
                        action()
                    except rlua.Busy:
                        seen.append("busy")

            restore = capture

        lua = self.lua
        lua.history.follow(Nosy())
        lua.snap()
        lua.rollback()
        self.assertEqual(seen, [2, "busy", "busy", "busy"] * 2)


class Resources(OneState):
    def setUp(self):
        super().setUp()
        self.released = []
        self.texture = rlua.ResourceType("texture", self.released.append,
                                         {"width": lambda value, k=1: len(value) * k})

    def test_resource_goes_in_out_and_in_again_as_one_handle(self):
        self.lua.globals["a"] = handle = self.lua.resource(self.texture, "wall")
        self.lua.globals["b"] = self.lua.globals["a"]
        self.assertTrue(self.lua.eval("a == b"))
        self.assertEqual((handle.value, handle.kind, handle.closed), ("wall", self.texture, False))
        self.assertEqual(self.lua.eval("a:width(), a:width(2), a.absent"), (4, 8, None))
        seen = []
        self.lua.globals["draw"] = lambda t: (seen.append(t.value), t)[1]
        self.assertTrue(self.lua.eval("draw(a) == a"))
        self.assertEqual(seen, ["wall"])

    def test_methods_know_their_own_kind(self):
        other = self.lua.resource(rlua.ResourceType("sound", None, {"play": len}), "boom")
        self.lua.globals["t"] = self.lua.resource(self.texture, "wall")
        self.lua.globals["s"] = other
        with self.assertRaisesRegex(rlua.ArgumentError, "live texture expected"):
            self.lua.execute("t.width(s)")
        self.assertEqual(self.lua.execute("""local _, e = pcall(function() t.width(1) end)
            return e""")[:43], "execute:1: bad argument #1 to 'width' (live")

    def test_resource_is_released_once_when_nothing_reaches_it(self):
        self.lua.globals["t"] = self.lua.resource(self.texture, "wall")
        self.lua.snap(1)
        self.lua.globals["t"] = None
        self.lua.collect_garbage()
        self.assertEqual(self.released, [])
        self.lua.rollback()
        self.assertEqual(self.lua.eval("t:width()"), 4)
        self.lua.resource(self.texture, "newer")
        self.lua.rollback()
        self.assertEqual(self.released, ["newer"])
        self.lua.close()
        self.assertEqual(self.released, ["newer", "wall"])

    def test_closed_resource_is_stale_and_alive_again_after_a_rollback(self):
        self.lua.globals["t"] = handle = self.lua.resource(self.texture, "wall")
        self.lua.snap()
        handle.close()
        handle.close()
        self.assertTrue(handle.closed)
        with self.assertRaises(rlua.Stale):
            handle.value
        with self.assertRaises(rlua.ArgumentError):
            self.lua.execute("t:width()")
        self.lua.rollback()
        self.assertEqual((handle.value, handle.closed, self.released), ("wall", False, []))

    def test_exceptions_in_a_release_are_unraisable(self):
        unraisable = []
        hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
        self.addCleanup(setattr, sys, "unraisablehook", hook)

        def fail(_value):
            raise KeyError("no")

        self.lua.resource(rlua.ResourceType("bad", fail), 1)
        self.lua.collect_garbage()
        self.assertEqual([each.exc_type for each in unraisable], [KeyError])
        unraisable.clear()

    def test_two_types_of_one_name_are_refused(self):
        self.lua.resource(self.texture, 1)
        with self.assertRaises(rlua.BadArgument):
            self.lua.resource(rlua.ResourceType("texture"), 2)
        self.lua.collect_garbage()
        self.assertEqual(self.released, [1])


class Errors(OneState):
    def test_exception_of_a_callable_comes_out_as_itself(self):
        raised = KeyError("no")

        def fail():
            raise raised

        self.lua.globals["fail"] = fail
        self.lua.globals["outer"] = lambda: self.lua.execute("fail()", name="=inner")
        for code in ("fail()", "outer()",
                     "local _, e = coroutine.resume(coroutine.create(fail)) error(e, 0)",
                     "local ok, e = pcall(fail) error(e, 0)"):
            with self.subTest(code=code), self.assertRaises(KeyError) as caught:
                self.lua.execute(code)
            self.assertIs(caught.exception, raised)

    def test_to_the_script_it_is_an_error_with_its_position(self):
        def fail():
            raise KeyError("no")

        self.lua.globals["fail"] = fail
        self.assertEqual(self.lua.execute("local f = function() fail() end\n"
                                          "return select(2, pcall(f))", name="=ai"),
                         "ai:1: KeyError: 'no'")

    def test_error_that_a_script_adds_to_has_it_as_its_cause(self):
        raised = KeyError("no")

        def fail():
            raise raised

        self.lua.globals["fail"] = fail
        with self.assertRaisesRegex(rlua.LuaError, "while loading: ") as caught:
            self.lua.execute("local _, e = pcall(fail) error('while loading: ' .. e)")
        self.assertIs(caught.exception.__cause__, raised)

    def test_argument_errors_name_function_argument_and_line(self):
        def show(value):
            raise rlua.ArgumentError(1, "number expected")

        self.lua.globals["show"] = show
        text = self.lua.execute("return select(2, pcall(function() show('x') end))", name="=ai")
        self.assertEqual(text, "ai:1: bad argument #1 to 'show' (number expected)")

    def test_lua_errors_carry_value_text_and_traceback(self):
        self.lua.execute("function f() error('no', 0) end function g() f() end", name="=ai")
        with self.assertRaises(rlua.LuaError) as caught:
            self.lua.call("g")
        self.assertEqual((str(caught.exception), caught.exception.value), ("no", "no"))
        self.assertRegex(caught.exception.traceback, "^stack traceback:\n(.*\n)*.*ai:1: in .*'g'")
        if sys.version_info >= (3, 11):
            self.assertIn("ai:1: in",
                          "".join(traceback.format_exception(caught.exception)))
        for code, text in (("error(nil)", "nil"), ("error(12)", "12"), ("error({})", "table"),
                           ("error(setmetatable({}, {__tostring = function() return 'm' end}))",
                            "m")):
            with self.assertRaisesRegex(rlua.LuaError, text):
                self.lua.execute(code)

    def test_error_value_passes_through_python(self):
        self.lua.globals["again"] = lambda f: f()
        self.assertEqual(self.lua.execute("""local e = {code = 7}
            local _, got = pcall(again, function() error(e) end) return got == e"""), True)

    def test_traceback_is_noted_once(self):
        raised = KeyError("no")

        def fail():
            raise raised

        self.lua.globals["fail"] = fail
        for name in ("first", "second"):
            with self.assertRaises(KeyError):
                self.lua.execute("fail()", name="=" + name)
            self.assertIn(name + ":1: in", raised.traceback)
            if sys.version_info >= (3, 11):
                self.assertEqual(raised.__notes__, [raised.traceback])

    def test_exceptions_without_a_text_or_attributes_come_out(self):
        class Bad(Exception):
            traceback = property(lambda self: "mine")

            def __str__(self):
                raise ValueError

        def fail():
            raise Bad

        self.lua.globals["fail"] = fail
        with self.assertRaises(Bad):
            self.lua.execute("fail()")
        self.assertRegex(self.lua.eval("select(2, pcall(fail))"), "Bad")

    def test_keyboard_interrupt_passes(self):
        def fail():
            raise KeyboardInterrupt

        self.lua.globals["fail"] = fail
        with self.assertRaises(KeyboardInterrupt):
            self.lua.execute("fail()")

    def test_budget_stops_a_script_and_rolls_back(self):
        self.assertIsNone(self.lua.budget)
        self.lua.budget = 1000
        self.lua.snap()
        with self.assertRaises(rlua.BudgetError):
            self.lua.execute("while true do pcall(function() while true do end end) end")
        self.assertEqual(self.lua.budget, 0)
        self.lua.rollback()
        self.assertEqual(self.lua.budget, 1000)
        self.lua.budget = None
        self.assertEqual(self.lua.eval("1"), 1)
        with self.assertRaises(rlua.BadArgument):
            self.lua.budget = -1

    def test_out_of_memory_is_an_exception_and_the_vm_stays_usable(self):
        with self.assertRaises(MemoryError):
            self.lua.execute("t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end")
        with self.assertRaises(MemoryError):
            self.lua.globals["v"] = "x" * (8 * MIB)
        self.lua.globals["t"] = None
        self.lua.globals["f"] = lambda: "x" * (8 * MIB)
        self.assertFalse(self.lua.eval("(pcall(f))"))
        self.assertEqual(self.lua.eval("1"), 1)

    def test_out_of_memory_at_any_limit_is_an_exception(self):
        for memory in range(4096, 160 * 1024, 4096):
            try:
                with rlua.State(memory=memory, snapshots=2) as lua:
                    lua.globals["f"] = lambda *a: a
                    lua.globals["t"] = lua.table(range(100))
                    lua.execute("return f(1, {}, f)")
                    lua.snap()
                    lua.resource(rlua.ResourceType("r", None, {"m": len}), [])
                    lua.rollback()
            except (rlua.OutOfMemory, rlua.BadArgument):
                pass


class Options(OneState):
    def test_libs_and_environments(self):
        with rlua.State(libs=rlua.Libs.SANDBOX) as lua:
            self.assertEqual(lua.eval("io, type(string)"), (None, "table"))
            lua.open_libs(rlua.Libs.OS)
            self.assertEqual(lua.eval("type(os)"), "table")
        one, two = self.lua.environment(), self.lua.environment(rlua.Libs.BASE)
        self.lua.execute("x = 1; print = nil", env=one)
        self.assertEqual((one["x"], two["x"], self.lua.globals["x"]), (1, None, None))
        self.assertIn("print", two)
        with self.assertRaises(rlua.BadArgument):
            self.lua.environment(rlua.Libs.IO)

    def test_wrong_arguments_are_errors_that_say_what_is_asked_for(self):
        lua = self.lua
        lua.execute("n = 5")
        for said, action in (
                ("a chunk is a str", lambda: lua.execute(None)),
                ("a chunk is a str", lambda: lua.load(5)),
                ("env is a Table, not int", lambda: lua.execute("x = 1", env=1)),
                ("a path is a str", lambda: lua.call(None)),
                ("function: NoneType is not callable", lambda: lua.function(None)),
                ("kind is a ResourceType", lambda: lua.resource("texture", 1)),
                ("name of a type is a str", lambda: rlua.ResourceType(None)),
                ("config is an rlua.Config", lambda: rlua.State(config={"memory_size": 1})),
                ("config is an rlua.Config", lambda: rlua.diff(b"", b"", config={})),
                ("image_key is bytes", lambda: rlua.State(config=rlua.Config(image_key="k" * 32))),
                ("has capture()", lambda: lua.history.follow(5)),
                ("functions['f']: int", lambda: rlua.State(image=b"", functions={"f": 1})),
                ("Lua; State.resource", lambda: lua.table([object()]))):
            with self.subTest(said), self.assertRaisesRegex(TypeError, re.escape(said)):
                action()
        for said, action in (
                ("game.step: game is nil", lambda: lua.call("game.step")),
                ("step is nil", lambda: lua.call("step")),
                ("n.step: n is of type int", lambda: lua.call("n.step")),
                ("name no library", lambda: rlua.State(libs=1 << 40)),
                ("name no library", lambda: lua.open_libs(1 << 33)),
                ("name no library", lambda: lua.environment(-1))):
            with self.subTest(said), self.assertRaisesRegex(rlua.BadArgument, re.escape(said)):
                action()
        lua.snap()

    def test_config_is_a_dataclass_and_decides(self):
        config = rlua.Config(memory_size=2 * MIB, max_snapshots=3, seed=7,
                             profile=rlua.Profile.STOCK, guard=rlua.Guard.REFUSE,
                             tracker=rlua.Tracker.COMPARE)
        with rlua.State(config=config) as lua:
            info = lua.info()
            self.assertEqual((info.limit_bytes, info.max_snapshots, info.tracker),
                             (2 * MIB, 3, rlua.Tracker.COMPARE))
            self.assertEqual(lua.config, config)
            with self.assertRaises(rlua.Unsupported):
                lua.set_time(0)
        for wrong in ({"tracker": 9}, {"gc_pause": 5000}, {"gc_step_size": 1 << 40}, {"seed": -1},
                      {"memory_size": -1}):
            with self.subTest(wrong=wrong), self.assertRaises(rlua.BadArgument):
                rlua.State(config=rlua.Config(**wrong))
        with self.assertRaises(TypeError):
            rlua.State(memory=1, config=config)

    def test_digest_and_seed(self):
        digests, draws = [], []
        for seed, snapshots in ((1, 0), (1, 8), (2, 8)):
            config = rlua.Config(memory_size=MIB, seed=seed, max_snapshots=snapshots)
            with rlua.State(config=config) as lua:
                digests.append(lua.config_digest)
                draws.append(lua.eval("math.random(1 << 40)"))
        self.assertEqual((digests[0], draws[0]), (digests[1], draws[1]))
        self.assertNotEqual(digests[1], digests[2])
        self.assertNotEqual(draws[1], draws[2])

    def test_time_is_an_input_and_rolls_back(self):
        self.lua.set_time(1_700_000_000, 500_000_000)
        self.lua.snap()
        self.lua.set_time(1_700_000_001)
        self.lua.rollback()
        self.assertEqual(self.lua.call("os.date", "%F"), "2023-11-14")
        self.assertEqual(self.lua.call("os.clock"), 1_700_000_000.5)
        with self.assertRaises(rlua.BadArgument):
            self.lua.set_time(0, 10**9)

    def test_info_and_version(self):
        info = self.lua.info()
        self.assertGreater(info.used_bytes, 0)
        self.assertEqual(info.max_snapshots, 8)
        self.assertTrue(rlua.version().startswith(rlua.__version__ + " "))

    @unittest.skipIf(sys.platform == "win32", "modules name the DLL that they are linked with")
    def test_c_modules_find_lua_only_where_they_are_enabled(self):
        program = """
import ctypes, rlua
print(hasattr(ctypes.CDLL(None), "lua_newuserdatauv"))
rlua.enable_c_modules()
print(hasattr(ctypes.CDLL(None), "lua_newuserdatauv"))
"""
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                               check=True)
        self.assertEqual(ended.stdout, "False\nTrue\n")

    def test_userdata_of_a_library_is_opaque_and_comes_back(self):
        out = self.lua.eval("io.stdout")
        self.assertIsInstance(out, rlua.Userdata)
        self.assertEqual(out.type, "userdata")
        self.assertTrue(self.lua.eval("io.stdout == ...", out))
        self.assertIsInstance(out["write"], rlua.Function)


if __name__ == "__main__":
    unittest.main()
