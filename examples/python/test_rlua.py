"""What rlua.py promises, checked on the real library.

Method: unittest; each test opens its own VM, and tearDown() walks it with check(), so that a
failure in one place cannot leave a broken arena unseen.
"""

import copy
import gc
import os
import pickle
import subprocess
import sys
import threading
import traceback
import unittest
import weakref

import rlua

MIB = 1 << 20


class OneState(unittest.TestCase):
    """A fresh VM in self.lua for each test."""

    def setUp(self):
        self.lua = rlua.State(memory=MIB, snapshots=8)

    def tearDown(self):
        try:
            self.lua.check()
            self.assertEqual(self.lua.execute("return 1 + 1"), 2)
        except rlua.Closed:
            pass
        self.lua.close()


class Snapshots(OneState):

    def test_seed_example_reads_1_2_1(self):
        seen = []
        self.lua.execute("n = 1")
        seen.append(self.lua.globals["n"])
        self.lua.snap()
        self.lua.execute("n = 2")
        seen.append(self.lua.globals["n"])
        self.lua.rollback()
        seen.append(self.lua.globals["n"])
        self.assertEqual(seen, [1, 2, 1])

    def test_counter_closure_goes_back(self):
        self.lua.execute("local n = 0; function count() n = n + 1; return n end")
        self.assertEqual(self.lua.call("count"), 1)
        self.lua.snap()
        self.assertEqual([self.lua.call("count") for _ in range(2)], [2, 3])
        self.lua.rollback()
        self.assertEqual([self.lua.call("count") for _ in range(2)], [2, 3])

    def test_rollback_keeps_its_target_and_drops_newer_ones(self):
        for n in range(4):
            self.lua.globals["n"] = n
            self.assertEqual(self.lua.snap(), n)
        self.lua.rollback(3)
        self.assertEqual(self.lua.globals["n"], 1)
        self.assertEqual(self.lua.info().snapshot_count, 2)
        self.lua.globals["n"] = 99
        self.lua.rollback()
        self.assertEqual(self.lua.globals["n"], 1)

    def test_frames_name_snapshots(self):
        for frame in (10, 20, 30):
            self.lua.globals["n"] = frame
            self.assertEqual(self.lua.snap(frame), frame)
        self.lua.discard_before(20)
        self.assertEqual(self.lua.info().oldest_frame, 20)
        with self.assertRaises(rlua.NoSnapshot):
            self.lua.rollback_to(10)
        self.lua.rollback_to(20)
        self.assertEqual(self.lua.globals["n"], 20)
        self.assertEqual(self.lua.info().newest_frame, 20)
        with self.assertRaises(rlua.BadFrame):
            self.lua.snap(19)
        self.assertEqual(self.lua.snap(), 21)
        self.assertEqual(self.lua.newest_frame, 21)
        self.lua.rollback_to(20)
        self.assertEqual(self.lua.newest_frame, 20)
        self.assertEqual(self.lua.info().highest_frame, 30)

    def test_newest_frame_again_replaces_its_snapshot(self):
        self.assertIsNone(self.lua.newest_frame)
        for n in range(3):
            self.lua.globals["n"] = n
            self.assertEqual(self.lua.snap(7), 7)
        self.assertEqual(self.lua.info().snapshot_count, 1)
        self.lua.globals["n"] = 9
        self.lua.rollback()
        self.assertEqual(self.lua.globals["n"], 2)
        self.assertEqual(self.lua.snap(7), 7)

    def test_history_drops_the_oldest(self):
        self.lua.set_max_snapshots(2)
        for n in range(5):
            self.lua.snap()
        info = self.lua.info()
        self.assertEqual((info.snapshot_count, info.oldest_frame, info.newest_frame), (2, 3, 4))

    def test_absent_snapshots_are_errors(self):
        for n in (0, 1, -1, 1 << 70):
            with self.subTest(n=n), self.assertRaises(rlua.NoSnapshot) as caught:
                self.lua.rollback(n)
            self.assertTrue(str(caught.exception))
        info = self.lua.info()
        self.assertEqual((info.oldest_frame, info.newest_frame), (None, None))

    def test_zero_snapshots_is_disabled(self):
        with rlua.State(memory=MIB) as lua, self.assertRaises(rlua.Disabled):
            lua.snap()

    def test_snap_and_rollback_in_a_callback_are_busy(self):
        self.lua.snap()
        actions = {
            "snap": self.lua.snap, "rollback": self.lua.rollback, "close": self.lua.close,
            "rollback_to": lambda: self.lua.rollback_to(0),
            "discard": lambda: self.lua.discard_before(5),
            "resize": lambda: self.lua.set_max_snapshots(1),
        }
        for name, action in actions.items():
            self.lua.globals["act"] = action
            with self.subTest(name=name), self.assertRaises(rlua.Busy):
                self.lua.execute("act()")
            with self.subTest(name=name), self.assertRaises(rlua.Busy):
                self.lua.execute("error(select(2, coroutine.resume(coroutine.create(act))), 0)")
        self.assertEqual(self.lua.info().snapshot_count, 1)

    def test_coroutine_suspended_at_the_snapshot_resumes_twice(self):
        self.lua.execute("""
            co = coroutine.wrap(function(a)
                for i = 1, 10 do a = a + coroutine.yield(i * a) end
            end)
            co(3)""")
        self.lua.snap()
        first = [self.lua.call("co", n) for n in (5, 7, 9)]
        self.lua.rollback()
        self.assertEqual([self.lua.call("co", n) for n in (5, 7, 9)], first)
        self.assertEqual(first, [16, 45, 96])

    def test_callable_lost_after_the_snapshot_is_back_after_the_rollback(self):
        self.lua.globals["f"] = lambda: "alive"
        self.lua.snap()
        del self.lua.globals["f"]
        self.lua.collect()
        gc.collect()
        self.lua.rollback()
        self.assertEqual(self.lua.call("f"), "alive")

    def test_callable_made_after_the_snapshot_is_gone(self):
        self.lua.snap()
        self.lua.globals["f"] = lambda: "later"
        self.lua.rollback()
        self.assertNotIn("f", self.lua.globals)


class Kept(OneState):
    """Resources, references, participants."""

    def test_mutable_closure_counts_1_2_3_and_again_2_3(self):
        n = 0

        def count():
            nonlocal n
            n += 1
            return n
        self.lua.globals["count"] = count
        self.lua.follow(count)
        self.assertEqual(self.lua.call("count"), 1)
        self.lua.snap()
        for _ in range(3):
            self.assertEqual([self.lua.call("count") for _ in range(2)], [2, 3])
            self.lua.rollback()

    def test_followed_object_goes_back(self):
        class World:
            def __init__(self):
                self.log = []
        world = World()
        self.lua.follow(world)
        self.lua.globals["note"] = lambda text: world.log.append(text)
        self.lua.execute("note('one')")
        self.lua.snap()
        self.lua.execute("note('two')")
        self.lua.rollback()
        self.assertEqual(world.log, ["one"])

    def test_participant_sees_its_tokens_come_back_once(self):
        events = []
        self.lua.add_participant(lambda frame: ("token", frame),
                                 lambda token: events.append(("restore", token)),
                                 lambda token: events.append(("discard", token)))
        self.lua.snap(1)
        self.lua.snap(2)
        self.lua.rollback_to(1)
        self.assertEqual(events, [("restore", ("token", 1)), ("discard", ("token", 2))])
        self.lua.close()
        self.assertEqual(events[2:], [("discard", ("token", 1))])

    def test_exception_in_a_capture_fails_the_snap_and_is_its_cause(self):
        self.lua.add_participant(lambda frame: 1 // 0, print)
        with self.assertRaises(rlua.ParticipantError) as caught:
            self.lua.snap()
        self.assertIsInstance(caught.exception.__cause__, ZeroDivisionError)
        self.assertEqual(self.lua.info().snapshot_count, 0)

    def test_resource_is_released_once_when_nothing_reaches_it(self):
        released = []
        texture = rlua.ResourceType("texture", released.append, {
            "upper": lambda text, suffix: text.upper() + suffix,
            "fail": lambda text: 1 // 0,
        })
        self.lua.globals["a"] = texture("a")
        self.assertEqual(self.lua.globals["a"], "a")
        self.assertEqual(self.lua.execute("return a:upper('!')"), "A!")
        with self.assertRaises(ZeroDivisionError):
            self.lua.execute("a:fail()")
        with self.assertRaisesRegex(rlua.LuaError, r"^execute:1: bad argument #1 to 'upper' "
                                                   r"\(live texture expected, got table\)$"):
            self.lua.execute("a.upper({})")
        self.lua.snap()
        self.lua.globals["b"] = texture("b")
        del self.lua.globals["a"]
        self.lua.collect()
        self.assertEqual(released, [])
        self.lua.rollback()
        self.assertEqual(released, ["b"])
        self.assertEqual(self.lua.execute("return a:upper('?')"), "A?")
        with self.assertRaises(rlua.OutOfMemory):
            self.lua.execute("local make = ... local t = {} while true do t[#t + 1] = make() end",
                             lambda: texture("many"))
        self.lua.collect()
        self.lua.close()
        self.assertEqual(released.count("a"), 1)
        self.assertEqual(released[-1], "a")

    def test_reference_calls_and_knows_when_it_is_stale(self):
        self.lua.execute("function add(a, b) return a + b end")
        add = self.lua.ref("add")
        self.lua.snap()
        del self.lua.globals["add"]
        later = self.lua.ref("math.max")
        self.assertEqual((add(1, 2), later(1, 2)), (3, 2))
        self.lua.globals["again"] = add
        self.assertEqual(self.lua.call("again", 2, 2), 4)
        self.lua.rollback()
        self.assertEqual(add(1, 2), 3)
        others = [self.lua.ref("add") for _ in range(1000)]
        with self.assertRaises(rlua.Stale):
            later(1, 2)
        self.assertEqual(others[-1](3, 4), 7)
        with add:
            pass
        with self.assertRaises(rlua.Stale):
            add.get()


    def test_reference_to_nil_is_refused(self):
        for name in ("nope", "math.nope"):
            with self.subTest(name=name), self.assertRaisesRegex(rlua.BadArgument, name):
                self.lua.ref(name)
        self.lua.globals["yes"] = False
        self.assertIs(self.lua.ref("yes").get(), False)

    def test_reference_of_another_state_is_refused(self):
        with rlua.State(memory=MIB) as other:
            other.globals["secret"] = "theirs"
            secret = other.ref("secret")
            self.lua.globals["mine"] = "mine"
            self.lua.ref("mine")        # which has the same number
            with self.assertRaisesRegex(rlua.BadArgument, "belongs to the State"):
                self.lua.globals["copy"] = secret
            self.assertEqual(secret.get(), "theirs")

    def test_wrapped_object_can_be_given_once(self):
        released = []
        texture = rlua.ResourceType("texture", released.append)
        wrapped = texture("a")
        self.lua.globals["a"] = wrapped
        with self.assertRaisesRegex(ValueError, "once"):
            self.lua.globals["b"] = wrapped
        self.lua.close()
        self.assertEqual(released, ["a"])

    def test_close_in_a_function_of_a_participant_or_a_resource_is_busy(self):
        seen = []

        def close(*_arguments):
            try:
                self.lua.close()
            except rlua.Busy:
                seen.append("busy")
        self.lua.add_participant(close, close, close)
        self.lua.globals["a"] = rlua.ResourceType("texture", close)("a")
        self.lua.snap()
        self.lua.snap()
        self.lua.rollback(2)
        self.lua.globals["a"] = None
        self.lua.set_max_snapshots(0)
        self.lua.collect()
        self.assertEqual(seen, ["busy"] * 6)
        self.lua.globals["n"] = 1
        self.assertEqual(self.lua.globals["n"], 1)


class Copies(OneState):
    """A VM, and what belongs to one, has one owner."""

    def setUp(self):
        super().setUp()
        self.texture = rlua.ResourceType("texture")
        self.lua.globals["f"] = lambda: 7
        self.reference = self.lua.ref("f")
        self.owners = [self.lua, self.lua.globals, self.reference, self.texture("t")]

    def test_copies_and_pickles_are_refused_with_the_reason(self):
        makers = [copy.copy, copy.deepcopy, pickle.dumps, lambda x: copy.deepcopy({"in": [x]})]
        makers += [lambda x, p=p: pickle.dumps(x, p) for p in range(pickle.HIGHEST_PROTOCOL + 1)]
        for owner in self.owners:
            for make in makers:
                with self.subTest(owner=type(owner)):
                    with self.assertRaisesRegex(TypeError, "cannot be copied or pickled: "):
                        make(owner)
        gc.collect()
        self.assertEqual(self.lua.call("f"), 7)
        self.assertEqual(self.reference(), 7)

    def test_subclass_of_a_state_is_refused_as_well(self):
        class Game(rlua.State):
            pass
        with Game(memory=MIB) as game, self.assertRaises(TypeError):
            copy.deepcopy(game)

    def test_resource_type_is_shared_like_a_class(self):
        self.assertIs(copy.copy(self.texture), self.texture)
        self.assertIs(copy.deepcopy([self.texture])[0], self.texture)
        with self.assertRaisesRegex(TypeError, "pickled"):
            pickle.dumps(self.texture)

    def test_follow_keeps_the_state_that_an_object_holds(self):
        class World:
            pass
        world = World()
        world.lua, world.reference, world.texture = self.lua, self.reference, self.texture
        world.nested, world.n = {"vms": [self.lua, self.lua.globals]}, 1
        self.lua.follow(world)
        self.lua.snap()
        world.n, world.lua = 2, None
        self.lua.rollback()
        gc.collect()
        self.assertEqual(world.n, 1)
        self.assertIs(world.lua, self.lua)
        self.assertIs(world.reference, self.reference)
        self.assertIs(world.texture, self.texture)
        self.assertIs(world.nested["vms"][0], self.lua)
        self.assertEqual(world.lua.call("f"), 7)
        with self.assertRaises(TypeError):      # outside of a snap as before
            copy.deepcopy(world)

    def test_follow_keeps_the_state_that_a_closure_holds(self):
        lua, n = self.lua, 0

        def count():
            nonlocal n
            n += lua.call("f")
            return n
        self.lua.globals["count"] = count
        self.lua.follow(count)
        self.lua.snap()
        for _ in range(2):
            self.assertEqual(self.lua.call("count"), 7)
            self.lua.rollback()
            gc.collect()
        self.assertEqual(n, 0)

    def test_errors_can_be_copied(self):
        with self.assertRaises(rlua.LuaError) as caught:
            self.lua.execute("error({code = 7})")
        for again in (copy.copy(caught.exception), copy.deepcopy(caught.exception),
                      pickle.loads(pickle.dumps(caught.exception))):
            self.assertEqual(again.value, {"code": 7})
            self.assertEqual(str(again), str(caught.exception))


class Errors(OneState):

    def test_out_of_memory_in_a_push_leaves_the_vm_usable(self):
        self.lua.globals["kept"] = [1, 2, 3]
        with self.assertRaises(rlua.OutOfMemory):
            self.lua.globals["big"] = "x" * (2 * MIB)
        with self.assertRaises(MemoryError):
            self.lua.globals["big"] = [{"row": i, "text": f"{i:0100}"} for i in range(20_000)]
        self.lua.collect()
        self.assertNotIn("big", self.lua.globals)
        self.assertEqual(self.lua.globals["kept"], [1, 2, 3])

    def test_a_script_that_uses_up_the_budget_is_stopped_and_rolled_back(self):
        self.assertIsNone(self.lua.budget)
        self.lua.budget = 10_000
        self.lua.snap()
        for _ in range(2):
            with self.assertRaisesRegex(rlua.BudgetError, ":1: the budget is used up"):
                self.lua.execute("n = 1; while true do pcall(function() while true do end end) end")
            self.assertEqual(self.lua.budget, 0)
            with self.assertRaises(rlua.BudgetError):
                self.lua.execute("return 1")
            self.lua.rollback()
            self.assertGreater(self.lua.budget, 9_000)
        self.assertNotIn("n", self.lua.globals)
        self.lua.budget = None
        self.assertEqual(self.lua.execute("local n = 0 for i = 1, 1e5 do n = n + 1 end return n"),
                         100_000)

    def test_libs_choose_what_a_script_finds(self):
        with rlua.State(libs=rlua.Libs.SANDBOX) as lua:
            for name in ("io", "os", "debug", "package", "require", "dofile", "loadfile", "warn"):
                self.assertNotIn(name, lua.globals)
            self.assertIsNone(lua.execute("return string.dump"))

    def test_out_of_memory_in_a_script_leaves_the_vm_usable(self):
        with self.assertRaises(rlua.OutOfMemory):
            self.lua.execute("local t = {} while true do t[#t + 1] = ('x'):rep(100) .. #t end")
        self.assertLessEqual(self.lua.info().used_bytes, MIB)

    def test_out_of_memory_in_a_callback_result_can_be_caught(self):
        self.lua.globals["big"] = lambda: "x" * (2 * MIB)
        self.assertIs(self.lua.execute("return (pcall(big))"), False)
        with self.assertRaises(rlua.OutOfMemory):
            self.lua.call("big")

    def test_out_of_memory_at_any_limit_is_an_exception(self):
        def use(lua):
            lua.globals["tree"] = {"rows": [{"n": i, "text": f"{i:064}"} for i in range(20)]}
            lua.globals["f"] = lambda *args: [*args, "more" * 20]
            lua.execute("x = f(tree, tree)")
            return len(lua.globals["x"])

        outcomes = {"opened not": 0, "failed": 0, "fitted": 0}
        for memory in range(4096, 160 * 1024, 1000):
            try:
                lua = rlua.State(memory=memory, snapshots=1)
            except (rlua.OutOfMemory, rlua.BadArgument):
                outcomes["opened not"] += 1
                continue
            with lua:
                try:
                    self.assertEqual(use(lua), 3)
                    outcomes["fitted"] += 1
                except MemoryError:
                    outcomes["failed"] += 1
                lua.check()
        self.assertTrue(all(outcomes.values()), outcomes)

    def test_exception_of_a_callable_comes_out_as_itself(self):
        raised = ZeroDivisionError("no")

        def fail():
            raise raised

        self.lua.globals["fail"] = fail
        for code in ("fail()", "local x = fail() + 1", "error(select(2, pcall(fail)), 0)"):
            with self.subTest(code=code), self.assertRaises(ZeroDivisionError) as caught:
                self.lua.execute(code)
            self.assertIs(caught.exception, raised)
        with self.assertRaises(rlua.LuaError) as caught:    # wrap() puts the position before it
            self.lua.execute("coroutine.wrap(fail)()")
        self.assertIs(caught.exception.__cause__, raised)

    def test_exception_of_a_callable_is_an_ordinary_lua_error_to_the_script(self):
        def fail(what):
            raise KeyError(what)

        self.lua.globals["fail"] = fail
        self.assertEqual(self.lua.execute("return pcall(fail, 'k')"), (False, "KeyError: 'k'"))
        with self.assertRaises(rlua.LuaError) as caught:
            self.lua.execute("local _, e = pcall(fail, 'k'); error('wrapped ' .. e, 0)")
        self.assertEqual(str(caught.exception), "wrapped KeyError: 'k'")
        self.assertIsInstance(caught.exception.__cause__, KeyError)

    def test_error_of_a_callable_has_the_script_s_position(self):
        def fail():
            raise ValueError("nul\0 and \udc80")

        self.lua.globals["fail"] = fail
        _, text = self.lua.execute("return pcall(function()\n fail()\nend)", name="@ai.lua")
        self.assertEqual(text, r"ai.lua:2: ValueError: nul\0 and \udc80")
        with self.assertRaises(ValueError):
            self.lua.execute("fail()")
        with self.assertRaises(rlua.LuaError) as caught:
            self.lua.execute("\nlocal _, e = pcall(function() fail() end)\nerror('so ' .. e, 0)")
        self.assertRegex(str(caught.exception), "^so execute:2: ValueError")
        self.assertIsInstance(caught.exception.__cause__, ValueError)

    def test_argument_errors_name_function_argument_and_line(self):
        def show(number):
            if not isinstance(number, int):
                raise rlua.ArgumentError(1, f"number expected, got {type(number).__name__}")

        self.lua.globals["show"] = show
        for argument, message in (("'x'", r"number expected, got str"),
                                  ("print", r"a Lua function has no Python value; .*"),
                                  ("cycle", r"a Lua table that contains itself .*")):
            self.lua.execute("cycle = {}; cycle[1] = cycle")
            _, text = self.lua.execute(f"return pcall(function()\n\n show({argument}) end)",
                                       name="@ai.lua")
            self.assertRegex(text, rf"^ai.lua:3: bad argument #1 to 'show' \({message}\)$")
        with self.assertRaises(rlua.ArgumentError) as raised:
            self.lua.execute("\n\nshow(1, print)", name="@ai.lua")
        self.assertEqual(raised.exception.argument, 2)
        self.assertIn("ai.lua:3: in ", raised.exception.traceback)
        self.assertRegex(str(raised.exception), r"^bad argument #2 \(.*function")
        again = pickle.loads(pickle.dumps(raised.exception))
        self.assertEqual(str(again), str(raised.exception))

    def test_script_error_that_a_callable_passes_on_keeps_its_position(self):
        self.lua.globals["run"] = lambda code: self.lua.execute(code, name="=inner")
        for code, message in (("\n\nerror('deep')", "inner:3: deep"), ("x = = 1", "inner:1: ")):
            with self.assertRaises(rlua.LuaError) as caught:
                self.lua.execute("run(...)", code, name="=outer")
            self.assertEqual(str(caught.exception)[:len(message)], message)
        self.assertEqual(self.lua.execute("return pcall(run, ...)", "error('deep')"),
                         (False, "inner:1: deep"))

    def test_exception_without_a_text_is_an_error_all_the_same(self):
        class Odd(Exception):
            def __str__(self):
                raise ValueError

        def fail():
            raise Odd

        self.lua.globals["fail"] = fail
        with self.assertRaises(Odd):
            self.lua.execute("fail()")
        self.assertEqual(self.lua.execute("return pcall(fail)"), (False, "Odd"))

    def test_exception_crosses_two_layers_of_python_and_lua(self):
        def inner():
            raise LookupError("deep")

        self.lua.globals["inner"] = inner
        self.lua.globals["outer"] = lambda: self.lua.execute("inner()")
        with self.assertRaises(LookupError) as caught:
            self.lua.execute("outer()")
        self.assertEqual(str(caught.exception), "deep")

    def test_keyboard_interrupt_does_not_cross_c(self):
        def interrupt():
            raise KeyboardInterrupt

        self.lua.globals["interrupt"] = interrupt
        with self.assertRaises(KeyboardInterrupt):
            self.lua.call("interrupt")

    def test_lua_error_carries_its_value(self):
        cases = {
            "error('plain', 0)": ("plain", "plain"),
            "error({code = 7})": ("table:", {"code": 7}),
            "error()": ("nil", None),
            "error(12)": ("12", 12),
            "error(setmetatable({}, {__tostring = function() return 'mine' end}))": ("mine", {}),
            "error(print)": ("function", None),
        }
        for code, (text, value) in cases.items():
            with self.subTest(code=code), self.assertRaises(rlua.LuaError) as caught:
                self.lua.execute(code)
            self.assertIn(text, str(caught.exception))
            self.assertEqual(caught.exception.value, value)

    def test_error_in_the_script_names_its_line(self):
        with self.assertRaisesRegex(rlua.LuaError, "^main:2: "):
            self.lua.execute("local x\nx.y = 1", name="=main")

    def test_errors_carry_a_traceback_and_show_it(self):
        self.lua.execute("function f() error('no', 0) end\nfunction g() f() end", name="=ai")
        for action in (lambda: self.lua.execute("g()"), lambda: self.lua.call("g"),
                       lambda: self.lua.ref("g")(),
                       lambda: self.lua.execute("function f() error({}) end g()")):
            with self.assertRaises(rlua.LuaError) as caught:
                action()
            self.assertTrue(caught.exception.traceback.startswith("stack traceback:\n"))
            self.assertRegex(caught.exception.traceback, "ai:2: in .*'g'")
            self.assertNotIn("traceback", str(caught.exception))
            if sys.version_info >= (3, 11):
                shown = "".join(traceback.format_exception(caught.exception))
                self.assertIn("ai:2: in", shown)
        with self.assertRaises(rlua.LuaSyntaxError) as caught:
            self.lua.execute("x = = 1")
        self.assertIsNone(caught.exception.traceback)
        self.assertEqual(self.lua.execute("return pcall(g)")[0], False)

    def test_exception_of_a_callable_has_a_traceback_once(self):
        raised = ZeroDivisionError("no")

        def fail():
            raise raised

        self.lua.globals["fail"] = fail
        self.lua.globals["outer"] = lambda: self.lua.execute("fail()", name="=inner")
        for _ in range(2):
            for name in ("first", "second"):
                with self.assertRaises(ZeroDivisionError) as caught:
                    self.lua.execute("outer()", name="=" + name)
                self.assertIs(caught.exception, raised)
                self.assertIn("inner:1: in", raised.traceback)
                self.assertIn(name + ":1: in", raised.traceback)
                if sys.version_info >= (3, 11):
                    self.assertEqual(raised.__notes__, [raised.traceback])

    def test_exception_that_takes_no_traceback_comes_out_all_the_same(self):
        class Closed(Exception):
            traceback = property(lambda self: "mine")

        def fail():
            raise Closed

        self.lua.globals["fail"] = fail
        with self.assertRaises(Closed) as caught:
            self.lua.execute("fail()")
        self.assertEqual(caught.exception.traceback, "mine")

    def test_traceback_survives_rollbacks_and_a_script_that_overflows_the_stack(self):
        with rlua.State(snapshots=2) as lua:
            lua.snap()
            lua.rollback()
            with self.assertRaises(rlua.LuaError) as caught:
                lua.execute("local function f() return 1 + f() end f()")
            self.assertIn("overflow", str(caught.exception))
            self.assertIn("in upvalue 'f'", caught.exception.traceback)

    def test_syntax_error_has_its_own_class(self):
        with self.assertRaisesRegex(rlua.LuaSyntaxError, "near"):
            self.lua.execute("x = = 1")

    def test_binary_chunks_are_refused(self):
        with self.assertRaisesRegex(rlua.LuaSyntaxError, "binary"):
            self.lua.execute(b"\x1bLua")

    def test_endless_recursion_through_python_is_an_error(self):
        self.lua.globals["again"] = lambda: self.lua.call("again")
        with self.assertRaises((rlua.Error, RecursionError)):
            self.lua.call("again")


    def test_recursion_limit_is_never_met_inside_the_c_callback(self):
        def descend(frames):
            return self.lua.call("f", 1) if frames == 0 else descend(frames - 1)

        unraisable = []
        hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
        self.addCleanup(setattr, sys, "unraisablehook", hook)
        self.lua.globals["f"] = lambda n: n
        results = set()
        for frames in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit()):
            try:
                results.add(descend(frames))
            except RecursionError:
                results.add("too deep")
        self.assertEqual(results, {1, "too deep"})
        self.assertEqual(unraisable, [])


class Values(OneState):

    def round_trip(self, value):
        self.lua.globals["v"] = value
        return self.lua.globals["v"]

    def test_scalars_round_trip_with_their_types(self):
        values = [None, True, False, 0, -1, (1 << 63) - 1, -1 << 63, 1.5, 1.0, float("inf"),
                  "", "text", "ñ 日本 🎮", "nul\0inside", b"\xff\xfe"]
        for value in values:
            with self.subTest(value=value):
                back = self.round_trip(value)
                self.assertEqual(back, value)
                self.assertIs(type(back), type(value))

    def test_bytes_that_are_text_come_back_as_str(self):
        self.assertEqual(self.round_trip(b"text"), "text")
        self.assertEqual(self.round_trip(bytearray(b"\x80")), b"\x80")

    def test_unicode_has_its_utf8_length(self):
        self.lua.globals["v"] = "日本"
        self.assertEqual(self.lua.execute("return #v, utf8.len(v)"), (6, 2))

    def test_containers_round_trip(self):
        values = [[1, 2, 3], {}, {"a": {"b": [1, {"c": "d"}]}}, {2: "x"}, {1.5: 2}, [[], []]]
        expected = [[1, 2, 3], {}, {"a": {"b": [1, {"c": "d"}]}}, {2: "x"}, {1.5: 2}, [{}, {}]]
        for value, back in zip(values, expected):
            with self.subTest(value=value):
                self.assertEqual(self.round_trip(value), back)

    def test_large_tables_round_trip(self):
        value = [list(range(100)) for _ in range(50)]
        self.assertEqual(self.round_trip(value), value)

    def test_values_without_a_counterpart_are_refused(self):
        cycle = []
        cycle.append(cycle)
        deep = []
        for _ in range(rlua.MAX_DEPTH + 1):
            deep = [deep]
        for value, error in ((object(), TypeError), (1 << 63, OverflowError), (2j, TypeError),
                             (cycle, ValueError), (deep, ValueError), ({None: 1}, TypeError)):
            with self.subTest(error=error), self.assertRaises(error):
                self.lua.globals["v"] = value
        self.assertNotIn("v", self.lua.globals)

    def test_lua_values_without_a_counterpart_are_refused(self):
        cases = {"v = print": TypeError, "v = {}; v.v = v": ValueError,
                 "v = coroutine.create(print)": TypeError, "v = {[{}] = 1}": TypeError,
                 "v = {true, [true] = 1}": TypeError,
                 "v = {}; for i = 1, 200 do v = {v} end": ValueError}
        for code, error in cases.items():
            self.lua.execute(code)
            with self.subTest(code=code), self.assertRaises(error):
                self.lua.globals["v"]

    def test_names_with_nul_are_refused(self):
        with self.assertRaises(ValueError):
            self.lua.globals["a\0b"] = 1

    def test_globals_can_be_asked_for_and_deleted(self):
        self.assertIsNone(self.lua.globals["absent"])
        self.assertNotIn("absent", self.lua.globals)
        self.lua.globals["there"] = False
        self.assertIn("there", self.lua.globals)
        del self.lua.globals["there"]
        self.assertNotIn("there", self.lua.globals)

    def test_arguments_and_results_pass_through_call_and_execute(self):
        self.lua.execute("game = {unit = {}}; function game.unit.move(x, y) return y, x end")
        self.assertEqual(self.lua.call("game.unit.move", 1, "two"), ("two", 1))
        self.assertEqual(self.lua.execute("return select('#', ...), ...", None, [1]),
                         (2, None, [1]))
        self.assertIsNone(self.lua.execute("return"))
        with self.assertRaises(rlua.LuaError):
            self.lua.call("game.absent.move")

    def test_callable_results_become_lua_results(self):
        for result, expected in ((None, "nil"), ((), "0"), ((1, 2), "1 2"), ([1], "table")):
            self.lua.globals["f"] = lambda result=result: result
            with self.subTest(result=result):
                text = self.lua.execute("""
                    local t = table.pack(f())
                    if t.n == 0 then return "0" end
                    if type(t[1]) == "table" then return "table" end
                    for i = 1, t.n do t[i] = tostring(t[i]) end
                    return table.concat(t, " ")""")
                self.assertEqual(text, expected)

    def test_many_arguments_and_results(self):
        self.lua.globals["f"] = lambda *args: tuple(reversed(args))
        args = tuple(range(200))
        self.assertEqual(self.lua.call("f", *args), args[::-1])


class Life(OneState):

    def test_use_after_close_is_an_error(self):
        self.lua.close()
        self.lua.close()
        for action in (lambda: self.lua.execute("x = 1"), self.lua.snap, self.lua.rollback,
                       self.lua.info, lambda: self.lua.globals["x"]):
            with self.assertRaises(rlua.Closed):
                action()

    def test_with_closes_also_after_an_exception(self):
        with self.assertRaises(KeyError):
            with rlua.State(memory=MIB) as lua:
                raise KeyError
        with self.assertRaises(rlua.Closed):
            lua.execute("x = 1")

    def test_another_thread_is_refused(self):
        errors = []

        def use():
            for action in (lambda: self.lua.execute("x = 1"), self.lua.snap, self.lua.close):
                try:
                    action()
                except rlua.WrongThread as error:
                    errors.append(error)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        self.assertEqual(len(errors), 3)

    def test_states_on_several_threads_do_not_disturb_each_other(self):
        results = []

        def play(n):
            with rlua.State(memory=MIB, snapshots=2) as lua:
                lua.execute("sum = 0")
                lua.snap()
                for i in range(200):
                    lua.globals["sum"] = lua.globals["sum"] + n
                total = lua.globals["sum"]
                lua.rollback()
                results.append((total, lua.globals["sum"]))

        threads = [threading.Thread(target=play, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(results), [(200 * n, 0) for n in range(4)])

    def test_unused_state_is_collected_with_its_callables(self):
        class Callable:
            def __call__(self):
                return 1

        function = Callable()
        lua = rlua.State(memory=MIB)
        lua.globals["f"] = function
        gone = weakref.ref(function)
        del function, lua
        gc.collect()
        self.assertIsNone(gone())

    def test_process_can_end_while_another_thread_runs_lua(self):
        program = """
import threading, time, rlua
def play():
    lua = rlua.State(memory=1 << 20, snapshots=2)
    lua.globals["started"] = started.set
    lua.follow(play)
    lua.execute("started() while true do x = {} end")
started = threading.Event()
threading.Thread(target=play, daemon=True).start()
started.wait()
time.sleep(0.01)
print("bye")
"""
        path = os.path.dirname(rlua.__file__)
        for _ in range(3):
            ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                                   env=dict(os.environ, PYTHONPATH=path), timeout=60, check=False)
            self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, "bye\n", ""))

    def test_finalizers_may_call_python_at_close(self):
        seen = []
        lua = rlua.State(memory=MIB)
        lua.globals["seen"] = seen.append
        lua.execute("x = setmetatable({}, {__gc = function() seen('closed') end})")
        lua.close()
        self.assertEqual(seen, ["closed"])

    def test_bad_options_are_refused(self):
        for options, error in (({"memory": -1}, rlua.BadArgument),
                               ({"tracker": "magic"}, rlua.BadArgument),
                               ({"gc_pause": 5000}, rlua.BadArgument),
                               ({"gc_step_size": 1 << 40}, rlua.BadArgument),
                               ({"memory": 64}, (rlua.OutOfMemory, rlua.BadArgument))):
            with self.subTest(options=options), self.assertRaises(error):
                rlua.State(**options)

    def test_info_tells_the_limit_and_the_use(self):
        info = self.lua.info()
        self.assertLessEqual(info.used_bytes, info.limit_bytes)
        self.assertGreater(info.used_bytes, 0)
        self.assertEqual(info.max_snapshots, 8)

    def test_same_seed_gives_the_same_random_numbers(self):
        draws = []
        for _ in range(2):
            with rlua.State(memory=MIB, seed=42) as lua:
                draws.append([lua.call("math.random", 1 << 40) for _ in range(5)])
        self.assertEqual(draws[0], draws[1])

    def test_time_is_an_input_and_rolls_back(self):
        self.assertEqual(self.lua.call("os.time"), 0)
        self.lua.set_time(1_700_000_000, 500_000_000)
        self.lua.snap()
        self.lua.set_time(1_700_000_001)
        self.lua.rollback()
        self.assertEqual(self.lua.call("os.date", "%F"), "2023-11-14")
        self.assertEqual(self.lua.call("os.clock"), 1_700_000_000.5)
        with self.assertRaises(rlua.BadArgument):
            self.lua.set_time(0, 10**9)
        with rlua.State(memory=MIB, profile="stock") as stock:
            with self.assertRaises(rlua.Unsupported):
                stock.set_time(0)

    def test_digest_tells_what_peers_must_share(self):
        digests = []
        for seed, snapshots in ((1, 0), (1, 8), (2, 8)):
            with rlua.State(memory=MIB, seed=seed, snapshots=snapshots) as lua:
                digests.append(lua.config_digest)
        self.assertEqual(digests[0], digests[1])
        self.assertNotEqual(digests[1], digests[2])

    def test_version_is_a_version(self):
        self.assertRegex(rlua.version(), r"^\d+\.\d+\.\d+")


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(__import__(__name__))
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    failed = len({str(test).split(" [")[0] for test, _ in result.failures + result.errors})
    print(f"{result.testsRun - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    raise SystemExit(main())
