"""values: what goes in and out of Lua, and what proxies do with what stays there."""

import gc
import unittest

import rlua

MIB = 1 << 20


class OneState(unittest.TestCase):
    def setUp(self):
        self.lua = rlua.State(memory=4 * MIB, snapshots=8)
        self.addCleanup(self.end)

    def end(self):
        if not self.lua.closed:
            self.lua.check()
            self.lua.close()


class Scalars(OneState):
    def round_trip(self, value):
        self.lua.globals["v"] = value
        return self.lua.globals["v"]

    def test_round_trip_with_their_types(self):
        for value in [None, True, False, 0, -1, (1 << 63) - 1, -1 << 63, 1.5, 1.0, float("inf"), "",
                      "text", "ñ 日本 🎮", "nul\0inside", b"\xff\xfe", "x" * 100_000]:
            with self.subTest(value=value):
                back = self.round_trip(value)
                self.assertEqual(back, value)
                self.assertIs(type(back), type(value))

    def test_bytes_that_are_text_come_back_as_str(self):
        self.assertEqual(self.round_trip(b"text"), "text")
        self.assertEqual(self.round_trip(bytearray(b"\x80")), b"\x80")
        self.assertEqual(self.round_trip(memoryview(b"abc")[::1]), "abc")

    def test_state_of_bytes_gives_bytes_always(self):
        with rlua.State(strings="bytes") as lua:
            self.assertEqual(lua.eval("'abc', ...", "ñ"), (b"abc", "ñ".encode()))
        with self.assertRaises(rlua.BadArgument):
            rlua.State(strings="utf-16")

    def test_integers_outside_64_bits_and_other_objects_are_refused(self):
        cycle = []
        cycle.append(cycle)
        for value, error in ((1 << 63, OverflowError), (object(), TypeError), (2j, TypeError),
                             (cycle, RecursionError), ({None: 1}, TypeError),
                             ({float("nan"): 1}, TypeError), ("\ud800", UnicodeEncodeError)):
            with self.subTest(error=error), self.assertRaises(error):
                self.lua.globals["v"] = value
        self.assertNotIn("v", self.lua.globals)

    def test_objects_with_an_index_are_integers(self):
        class Index:
            def __index__(self):
                return 7

        self.assertEqual(self.round_trip(Index()), 7)
        self.assertEqual(self.round_trip(rlua.Status.BUSY), 3)

    def test_results_are_none_one_or_a_tuple(self):
        self.assertIsNone(self.lua.execute("return"))
        self.assertEqual(self.lua.execute("return 1"), 1)
        self.assertEqual(self.lua.execute("return ...", 1, None, "x"), (1, None, "x"))

    def test_callable_results_become_lua_results(self):
        for result, expected in ((None, (1, None)), ((), 0), ((1, 2), (2, 1, 2))):
            self.lua.globals["f"] = lambda result=result: result
            self.assertEqual(self.lua.eval("select('#', f()), f()"), expected)

    def test_many_arguments_and_results(self):
        self.lua.globals["f"] = lambda *args: tuple(reversed(args))
        args = tuple(range(200))
        self.assertEqual(self.lua.call("f", *args), args[::-1])
        self.assertEqual(self.lua.eval("f(...)", *args), args[::-1])

    def test_keyword_arguments_are_refused(self):
        with self.assertRaises(TypeError):
            self.lua.globals["print"](x=1)


class Tables(OneState):
    def test_proxy_reads_and_writes_the_table_itself(self):
        self.lua.execute("t = {x = 1, 10, 20}")
        table = self.lua.globals["t"]
        table["x"] = 2
        table[3] = "c"
        table["nul\0"] = table
        del table[1]
        self.assertEqual(self.lua.eval("t.x, t[1], t[3], t['nul\\0'] == t"), (2, None, "c", True))
        self.assertIsNone(table["absent"])
        self.assertEqual(table.get("absent", 5), 5)
        self.assertIn("x", table)
        self.assertNotIn("absent", table)
        with self.assertRaises(rlua.LuaError):
            table[None] = 1

    def test_length_truth_equality_and_hash(self):
        table = self.lua.eval("{1, 2, 3}")
        self.lua.globals["t"] = table
        self.assertEqual(len(table), 3)
        self.assertTrue(self.lua.eval("{}"))
        self.assertEqual(table, self.lua.globals["t"])
        self.assertEqual(hash(table), hash(self.lua.globals["t"]))
        self.assertNotEqual(table, self.lua.eval("{1, 2, 3}"))
        self.assertNotEqual(table, 3)

    def test_iteration_is_in_the_order_of_pairs(self):
        self.lua.execute("""t = {1, 2, x = 1, [1.5] = 2, [true] = 3, y = {}, [print] = 4, [{}] = 5}
            order = {} for k in pairs(t) do order[#order + 1] = k end""")
        table = self.lua.globals["t"]
        order = list(self.lua.globals["order"].values())
        self.assertEqual(list(table), order)
        self.assertEqual(list(table.keys()), order)
        self.assertEqual(list(table.items()), [(key, table[key]) for key in order])
        self.assertEqual(list(table.values()), [table[key] for key in order])

    def test_iteration_over_keys_that_are_callables_ends(self):
        functions = [lambda i=i: i for i in range(5)]
        table = self.lua.table()
        for function in functions:
            table[function] = 1
        self.assertEqual(set(table), set(functions))

    def test_assigning_and_clearing_while_iterating_is_allowed(self):
        table = self.lua.table(range(10))
        for key, value in table.items():
            table[key] = None if value % 2 else value + 1
        self.assertEqual(table.copy(), {1: 1, 3: 3, 5: 5, 7: 7, 9: 9})

    def test_key_that_is_gone_ends_iteration_with_an_error(self):
        table = self.lua.table({"a": 1, "b": 2})
        iterator = iter(table)
        self.lua.snap()
        table["c"] = 1
        list(zip(range(2), iterator))
        self.lua.rollback()
        with self.assertRaises(rlua.LuaError):
            # The last key was newer than the snapshot; or it was older, and the order ends.
            for _ in iterator:
                pass
            raise rlua.LuaError("ended")
        self.assertEqual(list(iterator), [])

    def test_metamethods_are_used_and_raw_access_is_not(self):
        table = self.lua.eval("""setmetatable({}, {__index = function(_, k) return k .. '!' end,
            __newindex = function(t, k, v) rawset(t, k, v * 2) end, __len = function() return 9 end,
            __tostring = function() return 'mine' end})""")
        table["x"] = 4
        self.assertEqual((table["x"], table["y"], len(table), str(table)), (8, "y!", 9, "mine"))
        self.assertIsNone(table.rawget("y"))
        table.rawset("z", 1)
        self.assertEqual(table["z"], 1)
        table.metatable = None
        self.assertIsNone(table["y"])
        table.metatable = {"__index": lambda t, k: k * 2}
        self.assertEqual(table[21], 42)
        self.assertIsInstance(table.metatable, rlua.Table)
        with self.assertRaises(TypeError):
            table.metatable = 5

    def test_containers_are_copied_in_and_out(self):
        for value in [[1, 2, 3], {}, {"a": {"b": [1, {"c": "d"}]}}, {2: "x"}, {1.5: 2}, [[1], [2]]]:
            self.assertEqual(self.lua.table(value).copy(), value)
        self.assertEqual(self.lua.table((1, (2, 3))).copy(), [1, [2, 3]])
        cycle = self.lua.execute("local t = {} t.t = t return t")
        with self.assertRaises(ValueError):
            cycle.copy()
        with self.assertRaises(ValueError):
            self.lua.execute("local t = {} for i = 1, 200 do t = {t} end return t").copy()

    def test_values_of_another_state_are_refused(self):
        with rlua.State() as other, self.assertRaisesRegex(ValueError, "another State"):
            self.lua.globals["v"] = other.table()

    def test_proxies_are_not_made_by_hand_copied_or_pickled(self):
        import copy
        import pickle
        for kind in (rlua.Table, rlua.Function, rlua.Proxy, rlua.Resource, rlua.Coroutine):
            with self.assertRaises(TypeError):
                kind()
        for value in (self.lua, self.lua.table()):
            for action in (copy.copy, copy.deepcopy, pickle.dumps):
                with self.assertRaises(TypeError):
                    action(value)


class Functions(OneState):
    def test_lua_function_is_an_argument_of_a_callable(self):
        handlers = {}
        self.lua.globals["on"] = handlers.__setitem__
        self.lua.execute("hits = 0; on('hit', function(n) hits = hits + n; return hits end)")
        self.assertEqual(handlers["hit"](2), 2)
        self.assertEqual(handlers["hit"](3), 5)
        self.assertEqual(self.lua.globals["hits"], 5)

    def test_callable_is_a_function_to_lua_and_itself_to_python(self):
        def f():
            return 1

        self.lua.globals["f"] = f
        self.assertEqual(self.lua.eval("type(f), f()"), ("function", 1))
        self.assertIs(self.lua.globals["f"], f)
        function = self.lua.function(f)
        self.assertIsInstance(function, rlua.Function)
        self.lua.globals["a"], self.lua.globals["b"] = function, function
        self.assertTrue(self.lua.eval("a == b"))

    def test_callable_is_dropped_when_nothing_reaches_it(self):
        import weakref

        class Callable:
            def __call__(self):
                return 1

        f = Callable()
        gone = weakref.ref(f)
        self.lua.globals["f"] = f
        self.lua.snap()
        self.lua.globals["f"] = None
        del f
        self.lua.collect_garbage()
        self.assertIsNotNone(gone())        # the snapshot has it
        self.lua.rollback()
        self.assertEqual(self.lua.eval("f()"), 1)
        self.lua.globals["f"] = None
        self.lua.collect_garbage()
        self.lua.snap()
        self.lua.history.discard_before(1)
        self.assertIsNone(gone())

    def test_callables_made_in_frames_do_not_pile_up(self):
        import weakref
        alive = weakref.WeakSet()
        for frame in range(300):
            self.lua.snap()

            class Callable:
                def __call__(self):
                    return 1

            f = Callable()
            alive.add(f)
            self.lua.globals["f"] = f
            del f
            self.lua.collect_garbage()
        gc.collect()
        self.assertLess(len(alive), 20)

    def test_callables_of_all_kinds(self):
        class Player:
            def name(self, suffix):
                return "p" + suffix

        self.lua.globals["f"] = {"len": len, "name": Player().name, "int": int}
        self.assertEqual(self.lua.eval("f.len('abc'), f.name('1'), f.int('7')"), (3, "p1", 7))

    def test_load_takes_an_environment_and_a_name(self):
        env = self.lua.table({"x": 5})
        chunk = self.lua.load("y = x return y", name="=mod", env=env)
        self.assertEqual(chunk(), 5)
        self.assertEqual(env["y"], 5)
        self.assertIsNone(self.lua.globals["y"])
        with self.assertRaisesRegex(rlua.LuaSyntaxError, "^mod:1"):
            self.lua.load("x = = 1", name="=mod")

    def test_load_file(self):
        import os
        import tempfile
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.lua")
            with open(path, "w", encoding="utf-8") as file:
                file.write("return 7")
            self.assertEqual(self.lua.load_file(path)(), 7)
            with self.assertRaises(rlua.LuaFileError):
                self.lua.load_file(path + "x")

    def test_binary_chunks_are_refused(self):
        with self.assertRaisesRegex(rlua.LuaSyntaxError, "binary"):
            self.lua.execute(b"\x1bLua")


class Coroutines(OneState):
    def test_coroutine_is_an_iterator(self):
        generate = self.lua.eval("function(n) for i = 1, n do coroutine.yield(i, i * i) end end")
        self.assertEqual(list(generate.coroutine(3)), [(1, 1), (2, 4), (3, 9)])

    def test_send_resumes_with_a_value_and_stops_with_the_result(self):
        echo = self.lua.eval("function(a) local b = coroutine.yield(a) return b, 'end' end")
        coroutine = echo.coroutine()
        self.assertEqual(coroutine.status, "suspended")
        self.assertEqual(coroutine.send(5), 5)
        with self.assertRaises(StopIteration) as stop:
            coroutine.send(6)
        self.assertEqual(stop.exception.value, (6, "end"))
        self.assertEqual(coroutine.status, "dead")
        self.assertEqual(list(coroutine), [])
        with self.assertRaisesRegex(rlua.LuaError, "dead"):
            coroutine.resume()

    def test_resume_takes_and_gives_several_values(self):
        coroutine = self.lua.eval("coroutine.create(function(...) return coroutine.yield(...) end)")
        self.assertEqual(coroutine.resume(1, 2), (1, 2))
        self.assertEqual(coroutine.resume(3, 4), (3, 4))

    def test_errors_carry_the_coroutine_s_traceback(self):
        coroutine = self.lua.load("local function f() error('no') end f()", name="=co").coroutine()
        with self.assertRaisesRegex(rlua.LuaError, "co:1: no") as caught:
            next(coroutine)
        self.assertIn("co:1: in local 'f'", caught.exception.traceback)
        self.assertEqual(coroutine.status, "dead")

    def test_callable_inside_a_coroutine_may_use_the_state(self):
        self.lua.globals["f"] = lambda x: self.lua.eval("... + 1", x)
        self.assertEqual(list(self.lua.eval(
            "function() for i = 1, 3 do coroutine.yield(f(i)) end end").coroutine()), [2, 3, 4])

    def test_coroutine_that_runs_cannot_be_resumed_or_closed(self):
        seen = []

        def f():
            seen.append(self.co.status)
            for action in (self.co.resume, self.co.close, lambda: next(self.co)):
                with self.assertRaises(rlua.Error):
                    action()
            self.lua.eval("(function(f) coroutine.wrap(f)() end)(...)",
                          lambda: seen.append(self.co.status))

        self.lua.globals["f"] = f
        self.co = self.lua.load("f()").coroutine()
        self.assertEqual(list(self.co), [])
        self.assertEqual(seen, ["running", "normal"])

    def test_close_runs_what_is_to_be_closed(self):
        seen = []
        self.lua.globals["seen"] = seen.append
        coroutine = self.lua.load("""local x <close> = setmetatable({}, {__close = function()
            seen(1) end}) coroutine.yield()""").coroutine()
        next(coroutine)
        coroutine.close()
        self.assertEqual((seen, coroutine.status), ([1], "dead"))

    def test_suspended_coroutine_resumes_again_after_a_rollback(self):
        coroutine = self.lua.eval(
            "function() for i = 1, 10 do coroutine.yield(i) end end").coroutine()
        next(coroutine)
        self.lua.snap()
        self.assertEqual([next(coroutine) for _ in range(3)], [2, 3, 4])
        self.lua.rollback()
        self.assertEqual([next(coroutine) for _ in range(3)], [2, 3, 4])

    def test_main_thread_and_wrong_values_are_refused(self):
        main = self.lua.eval("(coroutine.running())")
        with self.assertRaises(rlua.LuaError):
            main.resume()
        coroutine = self.lua.load("return ...").coroutine()
        with self.assertRaises(TypeError):
            coroutine.resume(1, object())
        self.assertEqual(coroutine.resume(2), 2)
