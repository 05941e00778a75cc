"""attacks: what must be an exception, and never a crash or a wrong state.

Method: use after close and after rollback, from other threads, from inside of calls; errors in
finalizers; proxies that Python's collector drops at any time; interpreters that end with live VMs.
"""

import gc
import os
import random
import subprocess
import sys
import threading
import types
import unittest
import weakref

import rlua
from test_values import MIB, OneState

SCALE = int(os.environ.get("RLUA_TEST_SCALE", "1"))


def silent(test):
    """Unraisable exceptions of a test, which are otherwise printed."""
    seen = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda each: seen.append(each.exc_type)
    test.addCleanup(setattr, sys, "unraisablehook", hook)
    return seen


class AfterClose(OneState):
    def test_everything_is_closed(self):
        lua, kind = self.lua, rlua.ResourceType("r", None)
        nobody = types.SimpleNamespace(capture=print, restore=print)
        lua.snap()
        table, function = lua.table([1, 2]), lua.load("return 1")
        coroutine, resource = function.coroutine(), lua.resource(kind, 1)
        userdata, iterator, history = lua.eval("io.stdout"), iter(table), lua.history
        next(iterator)
        lua.close()
        lua.close()
        actions = [
            lambda: lua.execute("x = 1"), lua.snap, lua.rollback, lua.info, lambda: lua.globals,
            lua.check, lambda: lua.budget, lua.table, lambda: lua.load("x = 1"),
            lambda: lua.environment(), lambda: lua.resource(kind, 2), lua.collect_garbage,
            lambda: lua.function(print), lambda: lua.set_function("f", print), lua.save,
            lua.save_bound, lua.checksum, lambda: lua.apply_delta(b""),
            lambda: lua.synctest(print), lambda: lua.call("f"), lambda: lua.set_time(1),
            lambda: lua.config_digest,
            lambda: lua.open_libs(rlua.Libs.BASE), lambda: lua.rollback_to(0),
            lambda: history.discard_before(1), lambda: history.follow(nobody),
            lambda: table[1], lambda: table.rawset(1, 2), lambda: len(table), lambda: iter(table),
            lambda: next(iterator), table.copy, lambda: 1 in table, lambda: str(table),
            lambda: table.metatable, function, function.coroutine, lambda: next(coroutine),
            coroutine.close, lambda: coroutine.status, lambda: resource.value, resource.close,
            lambda: userdata["write"], lambda: userdata.type, lambda: function.address,
            lambda: lua.open_module("m", 1), lambda: lua.name_functions({"m": 1}), lua.clone]
        for action in actions:
            with self.assertRaises(rlua.Closed):
                action()
        self.assertTrue(table.stale)
        self.assertEqual((table, hash(table), history.frames), (table, hash(table), ()))
        self.assertTrue(repr(lua) and repr(table) and repr(history))
        with rlua.State() as other, self.assertRaises(ValueError):
            other.globals["t"] = table

    def test_proxies_may_end_after_their_state(self):
        tables = [self.lua.table() for _ in range(100)]
        self.lua.close()
        del tables
        gc.collect()

    def test_opening_twice_and_not_at_all(self):
        with self.assertRaises(RuntimeError):
            self.lua.__init__()
        empty = rlua.State.__new__(rlua.State)
        with self.assertRaises(rlua.Closed):
            empty.execute("x = 1")
        del empty


class Inside(OneState):
    def test_history_and_close_are_busy_in_a_callable(self):
        tried = []

        def f(*_args):
            for action in (self.lua.snap, self.lua.rollback, lambda: self.lua.rollback_to(0),
                           lambda: self.lua.history.discard_before(0), self.lua.close,
                           lambda: setattr(self.lua.history, "limit", 3)):
                with self.assertRaises(rlua.Busy):
                    action()
                tried.append(action)

        self.lua.snap()
        self.lua.globals["f"] = f
        for code in ("f()", "coroutine.wrap(f)()", "setmetatable({}, {__gc = f}) collectgarbage()",
                     "local x <close> = setmetatable({}, {__close = f})",
                     "table.sort({3, 2, 1}, function(a, b) f() return a < b end)"):
            before = len(tried)
            self.lua.execute(code)
            self.assertGreater(len(tried), before, code)
        self.lua.table().metatable = {"__index": f}
        self.assertEqual(self.lua.history.frames, (0,))

    def test_history_is_busy_while_arguments_are_converted(self):
        lua, tried = self.lua, []

        class Evil(dict):
            def keys(self):
                return self.items()

            def items(self):
                for action in (lua.snap, lua.rollback, lua.close):
                    try:
                        action()
                    except rlua.Busy:
                        tried.append("busy")
                lua.execute("y = 1")
                return [("a", 1)]

        lua.snap()
        function = lua.eval("function(a, t, b) return a, t.a, b end")
        self.assertEqual(function(1, Evil(), 2), (1, 1, 2))
        self.assertEqual(tried, ["busy"] * 3)

    def test_evil_containers_cannot_break_the_stack(self):
        class Pairs(dict):
            def items(self):
                return [1, 2]

        class Shrinking:
            def __init__(self, owner):
                self.owner = owner

            def __index__(self):
                self.owner.clear()
                return 1

        shrinking = []
        shrinking.extend(Shrinking(shrinking) for _ in range(10))
        for value in (Pairs(a=1), [1, [2, object()]], {1: {2: object()}}):
            with self.assertRaises(TypeError):
                self.lua.table([1, value])
        self.assertEqual(self.lua.table([0, shrinking]).copy(), [0, [1]])
        self.assertEqual(self.lua.eval("1"), 1)

    def test_state_is_kept_by_its_calls(self):
        lua = [rlua.State(memory=MIB)]
        function = lua[0].load("f() return 5")
        lua[0].globals["f"] = lambda: (lua.clear(), gc.collect(), None)[2]
        self.assertEqual(function(), 5)
        self.assertEqual(lua, [])

    def test_recursion_through_python_is_an_error_and_all_works_after_it(self):
        self.lua.globals["again"] = again = lambda: self.lua.call("again")
        with self.assertRaises((rlua.Error, RecursionError)):
            again()
        self.lua.execute("co = function() return coroutine.wrap(function() return g() end)() end")
        self.lua.globals["g"] = lambda: self.lua.call("co")
        with self.assertRaises((rlua.Error, RecursionError)):
            self.lua.call("co")
        with rlua.State() as large, self.assertRaisesRegex(rlua.LuaError, "overflow"):
            large.execute("local function f() return 1 + f() end f()")
        self.assertEqual(self.lua.eval("1"), 1)

    def test_recursion_limit_met_anywhere_is_an_exception(self):
        def descend(frames):
            return self.lua.call("f", 1) if frames == 0 else descend(frames - 1)

        def f(n):
            return n

        unraisable = silent(self)
        self.lua.globals["f"] = f
        results = set()
        for frames in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit()):
            try:
                results.add(descend(frames))
            except RecursionError:
                results.add("too deep")
        self.assertEqual((results, unraisable), ({1, "too deep"}, []))

    def test_scripts_with_debug_cannot_forge_callables(self):
        with rlua.State(libs=rlua.Libs.ALL) as lua:
            lua.globals["f"] = lambda: 1
            for key in ("0", "-1", "1 << 62", "{}", "'x'", "nil", "(1 << 32) | 5"):
                with self.assertRaises(Exception):
                    lua.execute(f"local f = f debug.setupvalue(f, 2, {key}) return f()")
                lua.globals["f"] = lambda: 1
            lua.execute("debug.setupvalue(f, 1, nil) collectgarbage() collectgarbage()")
            with self.assertRaises(ReferenceError):
                lua.execute("f()")
            handle = lua.execute("local _, h = debug.getupvalue(..., 1) return h", lambda: 1)
            self.assertIsInstance(handle, rlua.Proxy)


class Threads(OneState):
    def test_second_thread_gets_busy_while_lua_runs(self):
        inside, go_on, seen = threading.Event(), threading.Event(), []
        table = self.lua.table([1])

        def other():
            inside.wait()
            for action in (lambda: self.lua.execute("x = 1"), self.lua.snap, self.lua.rollback,
                           self.lua.close, self.lua.info, lambda: table[1], lambda: len(table)):
                try:
                    action()
                except rlua.Busy as error:
                    seen.append(str(error))
            go_on.set()

        self.lua.globals["wait"] = lambda: (inside.set(), go_on.wait(), None)[2]
        thread = threading.Thread(target=other)
        thread.start()
        self.lua.execute("wait()")
        thread.join()
        self.assertEqual(len(seen), 7)
        self.assertIn("another thread", seen[0])

    def test_other_threads_run_while_a_script_does(self):
        ticks, stop = [], threading.Event()

        def tick():
            while not stop.wait(0.001):
                ticks.append(1)

        thread = threading.Thread(target=tick)
        thread.start()
        before = len(ticks)
        self.lua.execute("for i = 1, 3e7 do end")
        during = len(ticks) - before
        stop.set()
        thread.join()
        self.assertGreater(during, 5)       # one could be had at the end of the call

    def test_another_thread_may_use_it_between_calls(self):
        def use():
            self.lua.execute("x = (x or 0) + 1")
            self.lua.snap()

        for _ in range(5):
            thread = threading.Thread(target=use)
            thread.start()
            thread.join()
        self.assertEqual((self.lua.globals["x"], len(self.lua.history)), (5, 5))

    def test_threads_that_fight_over_a_state_get_busy_or_a_result(self):
        busy, done = [], []
        tables = [self.lua.table({"n": 0}) for _ in range(4)]
        self.lua.globals["f"] = lambda x: x

        def fight(seed):
            chance = random.Random(seed)
            for _ in range(2000 // SCALE):
                try:
                    choice = chance.randrange(6)
                    if choice == 0:
                        self.lua.execute("for i = 1, 500 do f(i) end")
                    elif choice == 1:
                        self.lua.snap()
                    elif choice == 2 and len(self.lua.history):
                        self.lua.rollback()
                    elif choice == 3:
                        tables[seed]["n"] = self.lua.table([1, 2, 3])
                    else:
                        list(tables[seed].items())
                    done.append(1)
                except (rlua.Busy, rlua.Stale, rlua.NoSnapshot):
                    busy.append(1)

        threads = [threading.Thread(target=fight, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(busy) + len(done), 4 * (2000 // SCALE))
        self.lua.check()

    def test_states_on_several_threads_do_not_disturb_each_other(self):
        results = []

        def play(n):
            with rlua.State(memory=MIB, snapshots=2) as lua:
                lua.execute("sum = 0")
                lua.snap()
                for _ in range(200):
                    lua.execute("sum = sum + ...", n)
                total = lua.globals["sum"]
                lua.rollback()
                results.append((total, lua.globals["sum"]))

        threads = [threading.Thread(target=play, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(results), [(200 * n, 0) for n in range(4)])

    def test_proxies_dropped_by_another_thread_while_lua_runs(self):
        stop, pool = threading.Event(), []

        def drop():
            while not stop.is_set():
                if pool:
                    pool.pop()
                gc.collect(0)

        thread = threading.Thread(target=drop)
        thread.start()
        self.lua.globals["give"] = pool.append
        try:
            for _ in range(50 // min(SCALE, 10)):
                self.lua.execute("for i = 1, 200 do give({}) give(function() end) end")
                pool.extend(self.lua.table() for _ in range(50))
                self.lua.snap()
                self.lua.rollback()
        finally:
            stop.set()
            thread.join()
        pool.clear()
        self.lua.check()


class Garbage(OneState):
    def watch(self):
        """A function that tells how many of the objects that were given to it are alive."""
        watched = self.lua.eval("setmetatable({}, {__mode = 'k'})")

        def alive():
            self.lua.collect_garbage()      # a callable that holds a proxy goes first
            self.lua.collect_garbage()
            return sum(1 for _ in watched)

        return watched, alive

    def test_no_operation_leaves_a_value_on_the_stack(self):
        watched, alive = self.watch()
        kind = rlua.ResourceType("r")

        def fail(*_args):
            raise KeyError

        metatable = self.lua.table({"__index": fail, "__len": fail, "__newindex": fail})
        operations = [
            lambda t: t["x"], lambda t: t.rawget("x"), lambda t: t.rawset("x", 1), len, str, list,
            lambda t: t == self.lua.eval("...", t), lambda t: t.metatable, lambda t: 5 in t,
            lambda t: t.rawset(None, 1), lambda t: t.copy(), lambda t: t.type, lambda t: t.stale,
            lambda t: self.lua.eval("...", t, object()),
            lambda t: self.lua.execute("error(...)", t),
            lambda t: setattr(t, "metatable", metatable), lambda t: setattr(t, "metatable", 5),
            lambda t: self.lua.load("x = = 1", env=t), lambda t: self.lua.load("x = 1", env=t)(),
            lambda t: self.lua.load("error(...)").coroutine(t).resume(),
            lambda t: self.lua.load("return ...").coroutine().resume(t),
            lambda t: self.lua.load("return ...").coroutine(t, object()),
            lambda t: self.lua.load("coroutine.yield(...)").coroutine(t).close(),
            lambda t: self.lua.resource(kind, 1).close(), lambda t: self.lua.table([t, object()]),
            lambda t: self.lua.eval("(...)()", lambda: t),
            lambda t: self.lua.eval("(...)(1)", fail)]
        for operation in operations:
            table = self.lua.table({"x": 1})
            watched[table] = True
            for _ in range(3):
                try:
                    operation(table)
                except (rlua.Error, KeyError, TypeError):
                    pass
            del table
            gc.collect()
            with self.subTest(operation=getattr(operation, "__code__", operation)):
                self.assertEqual(alive(), 0)

    def test_proxies_dropped_by_another_thread_in_a_long_call_are_released(self):
        watched, alive = self.watch()
        pool, inside, dropped = [], threading.Event(), threading.Event()
        for _ in range(200):
            table = self.lua.table()
            watched[table] = True
            pool.append(table)
        del table

        def drop():
            inside.wait()
            pool.clear()
            dropped.set()

        thread = threading.Thread(target=drop)
        thread.start()
        self.lua.globals["wait"] = lambda: (inside.set(), dropped.wait(), None)[2]
        self.assertEqual(alive(), 200)
        self.lua.execute("wait()")
        thread.join()
        self.assertEqual(alive(), 0)

    def test_proxies_made_inside_one_callable_do_not_pile_up(self):
        before = self.lua.info().used_bytes
        self.lua.globals["f"] = lambda: [self.lua.table() and None for _ in range(20_000)] and None
        self.lua.execute("f()")
        self.lua.collect_garbage()
        self.assertLess(self.lua.info().used_bytes, before + 100_000)

    def test_exceptions_that_scripts_catch_do_not_pile_up(self):
        alive = weakref.WeakSet()

        class Failure(Exception):
            def __init__(self, number):
                super().__init__(number)
                alive.add(self)

        def fail(i):
            raise Failure(i)

        self.lua.globals["fail"] = fail
        self.lua.execute("for i = 1, 2000 do pcall(fail, i) end")
        gc.collect()
        self.assertEqual(len(alive), 0)
        counts = []
        self.lua.globals["count"] = lambda: counts.append(len(alive))
        self.lua.execute("for i = 1, 2000 do pcall(fail, i) count() end")
        self.assertLess(max(counts), 100)

    def test_proxies_dropped_inside_one_long_call_do_not_pile_up(self):
        self.lua.globals["f"] = lambda x: None
        before = self.lua.info().used_bytes
        self.lua.execute("for i = 1, ... do f({}) f(function() return i end) end", 50_000 // SCALE)
        self.lua.collect_garbage()
        self.assertLess(self.lua.info().used_bytes, before + 100_000)

    def test_cycle_of_state_callable_and_proxy_is_collected(self):
        class Callable:
            def __call__(self):
                return self.lua

        f = Callable()
        f.lua = lua = rlua.State(memory=MIB, snapshots=2)
        lua.globals["f"] = f
        f.table, f.token = lua.table(), []
        lua.globals["r"] = lua.resource(rlua.ResourceType("r"), f)
        lua.snap()
        gone, closed = weakref.ref(f), weakref.ref(lua)
        del f, lua
        gc.collect()
        self.assertIsNone(gone())
        self.assertIsNone(closed())

    def test_state_alone_ends_at_once(self):
        lua = rlua.State(memory=MIB, snapshots=2)
        lua.snap()
        lua.globals["x"] = lua.resource(rlua.ResourceType("r", None, {"m": len}), "abc")
        lua.globals["f"] = len
        self.assertEqual(lua.eval("x:m() + f('abc')"), 6)
        gone = weakref.ref(lua)
        del lua
        self.assertIsNone(gone())

    def test_exceptions_in_finalizers(self):
        unraisable = silent(self)

        class Bad:
            def __call__(self, *args):
                raise ValueError

            def __del__(self):
                raise KeyError

        lua = rlua.State(memory=MIB, snapshots=2)
        lua.globals["bad"] = Bad()
        lua.execute("x = setmetatable({}, {__gc = function() bad() end})")
        lua.resource(rlua.ResourceType("r", lambda value: 1 / 0), 1)
        lua.execute("x = nil collectgarbage()")
        lua.globals["y"] = lua.eval("setmetatable({}, {__gc = bad, __close = bad})")
        with self.assertRaises(ValueError):
            lua.execute("local z <close> = y")
        lua.close()
        self.assertEqual(set(unraisable), {ZeroDivisionError, KeyError})

    def test_finalizers_use_the_state_at_close(self):
        lua, seen = rlua.State(memory=MIB, snapshots=2), []

        def end():
            seen.append(lua.eval("type(print)"))
            for action in (lua.close, lua.snap):
                with self.assertRaises(rlua.Busy):
                    action()
            seen.append(lua.table())

        lua.globals["end_"] = end
        lua.execute("x = setmetatable({}, {__gc = function() end_() end})")
        lua.resource(rlua.ResourceType("r", lambda value: seen.append(lua.eval("1 + 1"))), 1)
        lua.snap()
        lua.close()
        self.assertEqual((seen[0], seen[1].stale, seen[2]), ("function", True, 2))

    def test_python_s_collector_at_every_allocation(self):
        old = gc.get_threshold()
        gc.set_threshold(1, 1, 1)
        self.addCleanup(gc.set_threshold, *old)
        for frame in range(60 // min(SCALE, 6)):
            cycle = [self.lua.table({"a": [1, 2]}), self.lua.load("return ...")]
            cycle.append(cycle)
            self.lua.globals["f"] = lambda *args, keep=cycle: args
            self.assertEqual(self.lua.eval("f(1, {}, 'x')")[0], 1)
            self.assertEqual(cycle[1](2, 3), (2, 3))
            self.lua.snap(frame)
            del cycle
            if frame % 3 == 2:
                self.lua.rollback_to(frame - 1)
                self.lua.snap(frame)

    def test_many_proxies_dropped_at_random_across_rollbacks(self):
        chance, held, made, stale = random.Random(7), [], 0, 0
        self.lua.execute("function new(i) return {i} end")
        new = self.lua.globals["new"]
        self.lua.snap()
        total = 100_000 // SCALE
        while made < total:
            for _ in range(chance.randrange(200)):
                held.append((new(made), made))
                made += 1
            for _ in range(chance.randrange(200)):
                if held:
                    held[chance.randrange(len(held))] = held[-1]
                    held.pop()
            what = chance.randrange(8)
            if what < 3:
                self.lua.snap()
            elif what < 6:
                self.lua.rollback(chance.randrange(len(self.lua.history)) + 1)
            elif what == 6:
                self.lua.collect_garbage()
            alive = []
            for table, number in chance.sample(held, min(20, len(held))):
                try:
                    self.assertEqual(table[1], number)
                    alive.append(table)
                except rlua.Stale:
                    stale += 1
            if len(held) > 2000:
                held = [pair for pair in held[1000:] if not pair[0].stale]
        self.assertGreater(stale, 0)
        self.lua.check()
        held.clear()
        alive.clear()
        self.lua.history.limit = 0
        self.lua.collect_garbage()
        self.assertLess(self.lua.info().used_bytes, 600_000)    # nothing of it was left behind

    def test_random_calls_agree_with_a_model(self):
        """Tables, callables, resources in random frames: Lua's world is what Python's model says,
        after each rollback too, and each resource is released once."""
        chance, released = random.Random(11), []
        kind = rlua.ResourceType("r", released.append)
        self.lua.globals["w"] = world = self.lua.table()
        model, history, made = {}, {0: {}}, 0
        self.lua.snap(0)
        frame = 0
        for _ in range(3000 // SCALE):
            what, key = chance.randrange(10), chance.randrange(12)
            if what < 3:
                world[key] = model[key] = chance.choice([1, 2.5, "x", b"\xff", True])
            elif what == 3:
                model[key] = function = lambda: None
                world[key] = function
            elif what == 4:
                made += 1
                world[key] = self.lua.resource(kind, made)
                model[key] = ("resource", made)
            elif what == 5:
                del world[key]
                model.pop(key, None)
            elif what == 6:
                frame += 1
                self.lua.snap(frame)
                history[frame] = dict(model)
            elif what == 7:
                frame = chance.choice(self.lua.history.frames)
                self.lua.rollback_to(frame)
                model = dict(history[frame])
            elif what == 8:
                self.lua.collect_garbage()
            found = {k: ("resource", v.value) if isinstance(v, rlua.Resource) else v
                     for k, v in world.items()}
            self.assertEqual(found, model)
        self.lua.check()
        self.lua.close()
        self.assertEqual(sorted(released), list(range(1, made + 1)))


PROGRAMS = {
    "a VM that is alive": """
lua = rlua.State(memory=1 << 20, snapshots=2)
lua.globals["f"] = lambda: print("finalized")
lua.execute("x = setmetatable({}, {__gc = function() f() end})")
keep = [lua.table(), lua.load("return 1"), iter(lua.table([1]))]
lua.resource(rlua.ResourceType("r", print), keep)
lua.snap()
sys.keep = lua, keep
print("bye")
""",
    "a thread that runs Lua": """
import threading, time
def play():
    lua = rlua.State(memory=1 << 20, snapshots=2)
    lua.globals["started"] = started.set
    lua.globals["f"] = lambda x: x
    lua.execute("started() while true do f({}) end")
started = threading.Event()
threading.Thread(target=play, daemon=True).start()
started.wait()
time.sleep(0.01)
print("bye")
""",
    "a cycle at exit": """
class F:
    def __call__(self): return self.vm.table()
it = F(); it.vm = rlua.State(memory=1 << 20); it.vm.globals["f"] = it
del it
print("bye")
""",
    "os.exit in a script": """
print("bye"); sys.stdout.flush()
rlua.State(memory=1 << 20).execute("os.exit(0, true)")
""",
    "an exception that holds proxies": """
lua = rlua.State(memory=1 << 20)
lua.globals["f"] = lambda t: 1 / 0
try: lua.execute("f({})")
except ZeroDivisionError as error: sys.keep = error
print("bye")
""",
}


class Shutdown(unittest.TestCase):
    def test_process_ends_in_order(self):
        for name, program in PROGRAMS.items():
            for _ in range(2):
                with self.subTest(name):
                    ended = subprocess.run(
                        [sys.executable, "-X", "faulthandler", "-c", "import sys, rlua" + program],
                        capture_output=True, text=True, timeout=120, check=False)
                    self.assertEqual((ended.returncode, ended.stderr), (0, ""))
                    self.assertIn("bye", ended.stdout)

    @unittest.skipUnless(hasattr(os, "fork"), "there is no fork")
    def test_fork_keeps_both_sides_whole(self):
        with rlua.State(memory=MIB, snapshots=2) as lua:
            lua.execute("x = 1")
            lua.snap()
            child = os.fork()
            if child == 0:
                lua.execute("x = 2")
                os._exit(lua.globals["x"])
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 2)
            self.assertEqual(lua.globals["x"], 1)


if __name__ == "__main__":
    unittest.main()
