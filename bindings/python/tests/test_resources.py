"""resources: objects that Lua owns go with images and clones, by the functions of their type.

Method: each object is counted: how often it is made, and that it is released once. Functions fail
at each object in turn; images are damaged, or come to a process that lacks the type.
"""

import gc
import subprocess
import sys
import threading
import unittest
import weakref

import rlua
from test_attacks import silent

MIB = 1 << 20


class Texture:
    def __init__(self, path):
        self.path, self.released = path, 0


class Loader:
    """A type whose objects are counted, and whose functions fail where they are told to."""

    def __init__(self, name="texture", **options):
        self.made, self.saves, self.loads, self.fail_at = [], 0, 0, None
        self.mistake = KeyError("no")
        methods = {"path": lambda texture, more="": texture.path + more,
                   "__tostring": lambda texture: f"<{texture.path}>",
                   "same": lambda texture, other: other.value is texture}
        self.type = rlua.ResourceType(name, self.release, methods, save=self.save, load=self.load,
                                      **options)

    def new(self, path):
        self.made.append(Texture(path))
        return self.made[-1]

    def release(self, texture):
        texture.released += 1

    def check(self, at):
        if at == self.fail_at:
            raise self.mistake

    def save(self, texture):
        self.saves += 1
        self.check(self.saves)
        return texture.path.encode()

    def load(self, data):
        self.loads += 1
        self.check(self.loads)
        return self.new(data.decode())

    def living(self):
        """How many are alive; none was released twice."""
        assert all(texture.released < 2 for texture in self.made)
        return sum(texture.released == 0 for texture in self.made)


CONFIG = rlua.Config(memory_size=MIB, max_snapshots=4, trust=rlua.Trust.PROVED)


class Images(unittest.TestCase):
    def setUp(self):
        self.loader = Loader()
        self.lua = self.world()

    def world(self, **options):
        lua = rlua.State(config=CONFIG, types=[self.loader.type], **options)
        self.addCleanup(lua.close)
        return lua

    def give(self, name, path, lua=None):
        lua = lua or self.lua
        lua.globals[name] = lua.resource(self.loader.type, self.loader.new(path))

    def test_objects_go_with_an_image(self):
        self.give("a", "wall")
        self.give("b", "")
        self.give("c", "sky")
        self.lua.execute("t = {a, b, a, method = a.path} c = nil")
        self.lua.collect_garbage()
        self.lua.collect_garbage()
        image = self.lua.save()
        self.assertEqual(len(image), self.lua.save_bound())
        self.assertEqual((self.loader.saves, self.loader.living()), (4, 2))
        other = self.world(image=image)
        self.assertEqual((self.loader.loads, self.loader.living()), (2, 4))
        self.assertEqual(other.checksum(), self.lua.checksum())
        for lua in (self.lua, other):
            self.assertEqual(lua.eval("a:path('!'), b:path(), tostring(a), t[3] == a"),
                             ("wall!", "", "<wall>", True))
            self.assertTrue(lua.eval("t.method == a.path and t.method(a) == 'wall'"))
        self.assertEqual(other.checksum(), self.lua.checksum())
        handle = other.globals["a"]
        self.assertIsInstance(handle, rlua.Resource)
        self.assertIs(handle.kind, self.loader.type)
        self.assertIsNot(handle.value, self.lua.globals["a"].value)
        self.assertTrue(other.eval("a:same(a)"))
        self.give("d", "new", other)
        self.assertEqual(other.eval("d:path()"), "new")
        self.lua.close()
        self.assertEqual(self.loader.living(), 3)
        other.check()
        other.close()
        self.assertEqual(self.loader.living(), 0)

    def test_a_held_snapshot_goes_with_what_it_had(self):
        self.give("a", "wall")
        self.lua.snap(7)
        self.lua.globals["a"].close()
        self.give("b", "sky")
        other = self.world(image=self.lua.save(7))
        self.assertEqual(other.eval("a:path(), b"), ("wall", None))
        self.assertTrue(self.lua.globals["a"].closed)
        later = self.world(image=self.lua.save())
        self.assertTrue(later.globals["a"].closed)
        self.assertEqual(later.eval("b:path()"), "sky")

    def test_what_was_loaded_rolls_back_as_what_was_made(self):
        self.give("a", "wall")
        other = self.world(image=self.lua.save())
        self.lua.close()
        self.assertEqual(self.loader.living(), 1)
        other.snap()
        other.execute("a = nil")
        other.collect_garbage()
        self.give("b", "newer", other)
        self.assertEqual(self.loader.living(), 2)
        other.rollback()
        self.assertEqual((other.eval("a:path(), b"), self.loader.living()), (("wall", None), 1))
        other.globals["a"].close()
        self.assertEqual(self.loader.living(), 1)
        other.history.limit = 0
        self.assertEqual(self.loader.living(), 0)

    def test_a_clone_has_objects_of_its_own(self):
        calls = []
        self.lua.set_function("note", calls.append)
        self.give("a", "wall")
        self.lua.snap()
        with self.lua.clone() as clone, clone.clone() as another:
            self.assertEqual(self.loader.living(), 3)
            self.assertEqual((clone.checksum(), len(clone.history), clone.history.limit),
                             (self.lua.checksum(), 0, 4))
            another.execute("note(a:path()) a = nil")
            another.collect_garbage()
            self.assertEqual((calls, self.loader.living()), (["wall"], 2))
            self.assertEqual(clone.eval("a:path()"), "wall")
            self.give("b", "sky", clone)
            self.assertEqual(clone.config, self.lua.config)
        self.assertEqual((self.loader.living(), self.lua.eval("a:path(), b")), (1, ("wall", None)))
        self.lua.execute("function f() f2() end")
        self.lua.globals["f2"] = lambda: self.lua.clone()
        with self.assertRaises(rlua.Busy):
            self.lua.call("f")
        with self.assertRaises(rlua.Unsavable):
            self.lua.clone()

    def test_another_process_loads_it(self):
        self.give("a", "wall")
        self.lua.set_function("note", print)
        self.lua.execute("function f() note(a:path(), a) end")
        program = """
import sys, rlua
kind = rlua.ResourceType("texture", lambda path: print("released", path),
                         {"path": lambda path: path, "__tostring": repr,
                          "same": lambda path, other: None},
                         save=str.encode, load=bytes.decode)
config = rlua.Config(trust=rlua.Trust.PROVED)
with rlua.State(config=config, image=sys.stdin.buffer.read(), types=[kind],
                functions={"note": lambda path, a: print(path, a.value)}) as lua:
    lua.call("f")
"""
        ended = subprocess.run([sys.executable, "-c", program], input=self.lua.save(),
                               capture_output=True, timeout=120, check=False)
        self.assertEqual((ended.stdout.decode().splitlines(), ended.stderr.decode()),
                         (["wall wall", "released wall"], ""))

    def test_functions_that_raise_fail_the_call_and_leave_nothing(self):
        for n in range(3):
            self.give("abc"[n], f"path {n}")
        image = self.lua.save()
        for at in range(1, 4):
            self.loader.fail_at = at
            for action in (self.lua.save, self.lua.save_bound, self.lua.clone):
                self.loader.saves = self.loader.loads = 0
                with self.assertRaisesRegex(rlua.ResourceError, "texture.*save") as caught:
                    action()
                self.assertIs(caught.exception.__cause__, self.loader.mistake)
                self.assertEqual(caught.exception.status, rlua.Status.STREAM)
            self.loader.loads = 0
            with self.assertRaisesRegex(rlua.ResourceError, "texture.*load") as caught:
                rlua.State(config=CONFIG, image=image, types=[self.loader.type])
            self.assertIs(caught.exception.__cause__, self.loader.mistake)
            self.loader.saves, self.loader.loads = -100, 0
            with self.assertRaisesRegex(rlua.ResourceError, "texture.*load"):
                self.lua.clone()
            self.assertEqual(self.loader.living(), 3)
        self.loader.fail_at = None
        self.assertEqual(self.lua.eval("a:path()"), "path 0")
        self.lua.check()
        self.lua.save()

    def test_a_load_that_fails_keeps_nothing_alive(self):
        self.give("a", "one")
        self.give("b", "two")
        image = self.lua.save()
        self.loader.fail_at = 2
        with self.assertRaises(rlua.ResourceError):
            rlua.State(config=CONFIG, image=image, types=[self.loader.type])
        loaded = weakref.ref(self.loader.made.pop())
        gc.collect()
        self.assertIsNone(loaded())

    def test_what_functions_return_is_looked_at(self):
        for saved in ("text", None, 5, ["list"]):
            kind = rlua.ResourceType("odd", save=lambda value, saved=saved: saved, load=len)
            with rlua.State(config=CONFIG) as lua:
                lua.globals["a"] = lua.resource(kind, object())
                with self.assertRaises(rlua.ResourceError) as caught:
                    lua.save()
                self.assertIsInstance(caught.exception.__cause__, TypeError)
        for saved in (b"bytes", bytearray(b"bytes"), memoryview(b"bytes")):
            kind = rlua.ResourceType("odd", save=lambda value, saved=saved: saved,
                                     load=lambda data: None if data == b"bytes" else data)
            with rlua.State(config=CONFIG) as lua:
                lua.globals["a"] = lua.resource(kind, object())
                with self.assertRaisesRegex(TypeError, "load of odd returned None"):
                    try:
                        rlua.State(config=CONFIG, image=lua.save(), types=[kind])
                    except rlua.ResourceError as error:
                        raise error.__cause__

    def test_a_type_that_is_missing_is_named(self):
        self.give("a", "wall")
        image = self.lua.save()
        plain = rlua.ResourceType("texture", None, {"path": len, "__tostring": str, "same": len})
        for types in ((), (Loader("other").type,), (plain,)):
            with self.assertRaisesRegex(rlua.Unsavable, "texture"):
                rlua.State(config=CONFIG, image=image, types=types)
        with self.assertRaisesRegex(rlua.Unsavable, r"texture\.(same|__tostring)"):
            rlua.State(config=CONFIG, image=image, types=[
                rlua.ResourceType("texture", save=len, load=len, methods={"path": len})])
        self.assertEqual((self.loader.loads, self.loader.living()), (0, 1))
        with rlua.State(config=CONFIG) as lua:
            lua.execute("world = {}")
            lua.globals["world"]["a"] = lua.resource(plain, "x")
            with self.assertRaisesRegex(rlua.Unsavable, "_G.world.a"):
                lua.save()

    def test_handles_of_objects_that_are_gone_need_their_names_alone(self):
        kind = rlua.ResourceType("plain", None, {"size": len})
        with rlua.State(config=CONFIG) as lua:
            lua.globals["a"] = lua.resource(kind, "x")
            lua.globals["a"].close()
            image = lua.save()
            with self.assertRaisesRegex(rlua.Unsavable, "plain.size"):
                rlua.State(config=CONFIG, image=image)
            with rlua.State(config=CONFIG, image=image, types=[kind]) as other:
                self.assertTrue(other.globals["a"].closed)
                other.globals["b"] = other.resource(kind, "xy")
                self.assertEqual(other.eval("b:size()"), 2)
                self.assertEqual(rlua.diff(image, image, types=[kind]), [])
                with self.assertRaises(rlua.Unsavable):
                    rlua.diff(image, image)

    def test_a_delta_brings_what_is_new_and_ends_what_is_gone(self):
        self.give("a", "wall")
        self.give("b", "sky")
        self.lua.snap(0)
        image = self.lua.save(0)
        self.lua.execute("a = nil")
        self.lua.collect_garbage()
        self.give("c", "sea")
        self.lua.snap(1)
        delta = self.lua.save_delta(0, 1)
        with self.world(image=image) as late:
            self.loader.fail_at = 3
            with self.assertRaises(rlua.ResourceError) as caught:
                late.apply_delta(delta)
            self.assertIs(caught.exception.__cause__, self.loader.mistake)
            self.assertEqual(self.loader.living(), 5)
            late.apply_delta(delta)
            self.assertEqual(late.checksum(), self.lua.checksum())
            self.assertEqual(self.loader.living(), 5)
            self.assertEqual(late.eval("a == nil and b:path() .. c:path()"), "skysea")
        self.assertEqual(self.loader.living(), 3)

    def test_a_load_cannot_use_the_state_that_a_delta_is_for(self):
        def load(data):
            with self.assertRaises(rlua.Busy):
                late.execute("x = 1")
            return data

        kind = rlua.ResourceType("bytes", save=lambda data: data, load=load)
        with rlua.State(config=CONFIG, types=[kind]) as lua:
            lua.snap(0)
            late = rlua.State(config=CONFIG, image=lua.save(0), types=[kind])
            lua.globals["a"] = lua.resource(kind, b"x")
            lua.snap(1)
            with late:
                late.apply_delta(lua.save_delta(0, 1))
                self.assertEqual(late.globals["a"].value, b"x")

    def test_damaged_images_make_nothing(self):
        self.give("a", "wall")
        image = self.lua.save()
        for at in list(range(0, len(image), 997)) + list(range(len(image) - 60, len(image))):
            damaged = image[:at] + bytes([image[at] ^ 0x55]) + image[at + 1:]
            with self.assertRaises((rlua.BadImage, rlua.OutOfMemory)):
                rlua.State(config=CONFIG, image=damaged, types=[self.loader.type])
        self.assertEqual((self.loader.loads, self.loader.living()), (0, 1))

    def test_a_name_is_of_one_type(self):
        self.give("a", "wall")
        other = Loader()
        for action in (lambda: self.lua.resource(other.type, other.new("x")),
                       lambda: rlua.State(types=[self.loader.type, other.type]),
                       lambda: rlua.State(types=[rlua.ResourceType("", save=len, load=len)]),
                       lambda: self.lua.resource(rlua.ResourceType("n" * 256, save=len, load=len),
                                                 1),
                       lambda: self.lua.resource(rlua.ResourceType("python callable"), 1),
                       lambda: self.lua.set_function("texture.path", print)):
            with self.assertRaises(rlua.BadArgument):
                action()
        self.assertIs(self.lua.globals["a"].kind, self.loader.type)
        self.assertEqual(self.lua.eval("a:path()"), "wall")
        with rlua.State(types=[self.loader.type] * 2) as lua:
            lua.set_function("other.path", print)
            with self.assertRaises(rlua.BadArgument):
                lua.resource(Loader("other").type, 1)
            lua.resource(self.loader.type, self.loader.new("y"))
        self.assertEqual((other.living(), self.loader.living()), (1, 1))

    def test_types_are_checked_where_they_are_made(self):
        for make in (lambda: rlua.ResourceType("r", save=bytes),
                     lambda: rlua.ResourceType("r", load=bytes),
                     lambda: rlua.ResourceType("r", save=bytes, load=5),
                     lambda: rlua.ResourceType("r", release=5),
                     lambda: rlua.ResourceType("r", methods={"m": 5}),
                     lambda: rlua.ResourceType("r", methods={5: len}),
                     lambda: rlua.ResourceType("r", methods={"a\0b": len}),
                     lambda: rlua.State(types=["texture"]), lambda: rlua.State(types=5),
                     lambda: rlua.diff(b"", b"", types=[None])):
            with self.assertRaises(TypeError):
                make()
        for name in ("__gc", "__close"):
            with self.assertRaisesRegex(ValueError, name):
                rlua.ResourceType("r", methods={name: len})

    def test_methods_are_there_after_a_rollback_to_before_the_first(self):
        self.lua.snap()
        for _ in range(3):
            self.give("a", "wall")
            self.assertEqual(self.lua.eval("a:path(), tostring(a)"), ("wall", "<wall>"))
            self.lua.rollback()
        self.assertEqual(self.loader.living(), 0)

    def test_the_state_is_busy_while_an_object_is_saved(self):
        lua, tried = self.lua, []
        table, kept = lua.table(), [lua.table()]

        def save(_value):
            for action in (lua.snap, lua.save, lua.close, lambda: lua.execute("x = 1"), lua.table,
                           lambda: table[1], lua.info, lambda: lua.resource(kind, 1), lua.clone):
                with self.assertRaises(rlua.Busy):
                    action()
                tried.append(action)
            kept.clear()
            gc.collect()
            return b""

        kind = rlua.ResourceType("nosy", save=save, load=len)
        lua.globals["a"] = lua.resource(kind, 1)
        lua.save()
        self.assertEqual((len(tried), len(lua.save())), (9, lua.save_bound()))
        self.assertEqual(len(tried), 27)
        lua.check()
        self.assertEqual(lua.eval("x"), None)

    def test_a_load_cannot_use_the_state_that_is_opened(self):
        opened, released = [], []

        class Mine(rlua.State):
            def __init__(self, **options):
                opened.append(self)
                super().__init__(config=CONFIG, **options)

        def load(data):
            lua = opened[0]
            for action in (lambda: lua.execute("x = 1"), lua.snap, lua.save, lua.table):
                with self.assertRaises(rlua.Closed):
                    action()
            with self.assertRaises(RuntimeError):
                rlua.State.__init__(lua)
            lua.close()
            return data

        kind = rlua.ResourceType("nosy", released.append, save=bytes, load=load)
        with rlua.State(config=CONFIG) as lua:
            lua.globals["a"] = lua.resource(kind, b"one")
            image = lua.save()
        with Mine(image=image, types=[kind]) as lua:
            self.assertEqual(lua.globals["a"].value, b"one")
        self.assertEqual(released, [b"one", b"one"])

    def test_exceptions_of_a_release_are_unraisable_where_a_load_fails(self):
        unraisable, state = silent(self), []

        def load(data):
            state.append(data)
            return data if len(state) == 1 else 1 // 0

        kind = rlua.ResourceType("r", lambda value: {}[value], save=bytes, load=load)
        with rlua.State(config=CONFIG) as lua:
            lua.globals["a"], lua.globals["b"] = lua.resource(kind, b"x"), lua.resource(kind, b"y")
            with self.assertRaises(rlua.ResourceError) as caught:
                rlua.State(config=CONFIG, image=lua.save(), types=[kind])
            self.assertIsInstance(caught.exception.__cause__, ZeroDivisionError)
            self.assertEqual(unraisable, [KeyError])
        self.assertEqual(unraisable, [KeyError] * 3)

    def test_a_second_thread_gets_busy_while_an_object_is_saved(self):
        inside, go_on, seen = threading.Event(), threading.Event(), []

        def other():
            inside.wait()
            for action in (self.lua.info, self.lua.save, self.lua.close):
                try:
                    action()
                except rlua.Busy as error:
                    seen.append(str(error))
            go_on.set()

        kind = rlua.ResourceType("slow", save=lambda _: (inside.set(), go_on.wait(), b"")[2],
                                 load=lambda data: data + b"x")
        self.lua.globals["a"] = self.lua.resource(kind, 1)
        thread = threading.Thread(target=other)
        thread.start()
        image = self.lua.save()
        thread.join()
        self.assertEqual(len(seen), 3)
        results = []

        def load():
            with rlua.State(config=CONFIG, image=image, types=[kind, self.loader.type]) as lua:
                results.append(lua.globals["a"].value)

        threads = [threading.Thread(target=load) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        self.assertEqual(results, [b"x"] * 4)

    def test_types_and_states_in_cycles_are_collected(self):
        def cycle():
            lua = rlua.State(config=CONFIG)
            kind = rlua.ResourceType("r", lambda value: lua, {"m": lambda value: lua},
                                     save=lambda value: (lua, b"")[1], load=lambda data: lua)
            lua.globals["a"] = lua.resource(kind, kind)
            lua.save()
            return weakref.ref(lua), weakref.ref(kind)

        ended = [each for _ in range(3) for each in cycle()]
        gc.collect()
        self.assertEqual([each() for each in ended], [None] * 6)

    def test_a_handle_that_finds_no_memory_stays_the_host_s(self):
        kind = Loader("m" * 50)
        with rlua.State(memory=MIB, snapshots=1) as lua:
            lua.execute("filler = {} local i = 0 while pcall(function() i = i + 1 "
                        "filler[i] = ('x'):rep(100) .. i end) do end")
            handles = []
            with self.assertRaises(rlua.OutOfMemory):
                while True:
                    handles.append(lua.resource(kind.type, kind.new("mine")))
        self.assertEqual((kind.living(), kind.made[-1].released), (1, 0))

    def test_a_sync_test_makes_no_object(self):
        self.give("a", "wall")
        self.lua.execute("n = 0 function step(k) n = n + k end")
        self.lua.synctest(lambda frame, again: self.lua.call("step", frame), 2, 20)
        count = [0]

        def wrong(frame, again):
            count[0] += 1
            self.lua.call("step", count[0])

        with self.assertRaises(rlua.Desync) as caught:
            self.lua.synctest(wrong, 2, 20)
        self.assertEqual(caught.exception.difference.path, "_G.n")
        self.assertEqual((self.loader.saves, self.loader.loads, self.loader.living()), (0, 0, 1))

    def test_python_s_collector_at_every_allocation(self):
        old = gc.get_threshold()
        gc.set_threshold(1, 1, 1)
        self.addCleanup(gc.set_threshold, *old)
        for n in range(10):
            self.give(f"t{n}", f"path {n}")
            with self.world(image=self.lua.save()) as other:
                self.assertEqual(other.eval(f"t{n}:path()"), f"path {n}")
            self.lua.snap()
        self.assertEqual(self.loader.living(), 10)


if __name__ == "__main__":
    unittest.main()
