"""images: states that leave a State, deltas between them, and what is refused."""

import unittest
import weakref

import rlua

WORLD = """
n, t = 0, {}
co = coroutine.wrap(function(a) while true do a = coroutine.yield(a * 2) end end)
function step() n = n + co(n + 1) t[n % 50] = {n, name = 'e' .. n} return n, math.random(1000) end
"""


def world(**options):
    lua = rlua.State(config=rlua.Config(memory_size=4 << 20, max_snapshots=8, **options))
    lua.execute(WORLD)
    return lua


def trusting():
    return rlua.Config(max_snapshots=8, trust=rlua.Trust.PROVED)


class Images(unittest.TestCase):
    def test_a_state_goes_on_from_its_image(self):
        with world() as lua:
            for _ in range(9):
                lua.call("step")
            image = lua.save()
            self.assertEqual(image, lua.save())
            with rlua.State(config=trusting(), image=image) as other:
                self.assertEqual(other.checksum(), lua.checksum())
                self.assertEqual(len(lua.checksum()), 16)
                for _ in range(20):
                    self.assertEqual(other.call("step"), lua.call("step"))
                self.assertEqual(other.checksum(), lua.checksum())
                other.call("step")
                self.assertNotEqual(other.checksum(), lua.checksum())

    def test_a_follower_takes_deltas(self):
        with world(trust=rlua.Trust.OWN) as lua:
            lua.snap(0)
            with rlua.State(config=lua.config, image=lua.save(0)) as follower:
                for frame in range(1, 20):
                    lua.call("step")
                    lua.snap(frame)
                    delta = lua.save_delta(frame - 1, frame)
                    follower.apply_delta(delta)
                    self.assertEqual(follower.checksum(), lua.checksum())
                with self.assertRaises(rlua.BadImage):
                    follower.apply_delta(delta)
                self.assertEqual(follower.checksum(), lua.checksum())
                with self.assertRaises(rlua.NoSnapshot):
                    lua.save_delta(0, 99)
                with self.assertRaises(rlua.NoSnapshot):
                    lua.save(99)

    def test_whom_one_does_not_trust_is_refused(self):
        with world() as lua:
            image = lua.save()
        with self.assertRaises(rlua.Untrusted):
            rlua.State(image=image)
        for damaged in (b"", image[:100], image[:-1], image[:500] + b"\1" + image[501:]):
            with self.assertRaises(rlua.BadImage):
                rlua.State(config=trusting(), image=damaged)
        with self.assertRaises(TypeError):
            rlua.State(config=trusting(), image="text")

    def test_a_key_is_needed_where_one_was_used(self):
        keyed = {"image_key": bytes(range(32))}
        with world(**keyed) as lua:
            image = lua.save()
        with rlua.State(config=rlua.Config(**keyed), image=image) as other:
            self.assertEqual(other.globals["n"], 0)
        with self.assertRaises(rlua.BadImage):
            rlua.State(config=rlua.Config(image_key=bytes(32)), image=image)
        with self.assertRaises(rlua.BadArgument):
            rlua.State(config=rlua.Config(image_key=b"short"))

    def test_what_python_owns_is_refused_with_its_way(self):
        with world() as lua:
            lua.globals["show"] = print
            with self.assertRaisesRegex(rlua.Unsavable, "_G.show"):
                lua.save()
            lua.checksum()
            lua.globals["save"] = lua.save
            with self.assertRaises(rlua.Busy):
                lua.execute("save()")

    def test_functions_with_a_name_are_in_images(self):
        calls = []
        with world(trust=rlua.Trust.OWN) as lua:
            lua.set_function("game.deep.note", lambda *args: (calls.append(args), len(args)))
            self.assertEqual(lua.eval("game.deep.note(1, 'two')"), (None, 2))
            lua.execute("kept = {game.deep.note}")
            image = lua.save()
            self.assertEqual(len(image), lua.save_bound())
            with self.assertRaisesRegex(rlua.Unsavable, "game.deep.note"):
                rlua.State(config=lua.config, image=image)
            elsewhere = []
            with rlua.State(config=lua.config, image=image, functions={
                    "game.deep.note": elsewhere.append, "other": print}) as other:
                self.assertEqual(other.checksum(), lua.checksum())
                other.execute("kept[1]('here')")
                self.assertEqual(elsewhere, ["here"])
            with self.assertRaises(TypeError):
                rlua.State(config=lua.config, image=image, functions={"game.deep.note": 1})
            with self.assertRaises(TypeError):
                rlua.State(config=lua.config, image=image, functions={1: print})
            with self.assertRaises(TypeError):
                rlua.State(functions={"game.deep.note": print})
        self.assertEqual(calls, [(1, "two")])

    def test_function_with_a_name_raises_as_any(self):
        mistake = KeyError("x")

        def wrong(*args):
            raise mistake

        with world() as lua:
            lua.set_function("wrong", wrong)
            lua.set_function("check", lambda n: self.refuse())
            with self.assertRaises(KeyError) as caught:
                lua.execute("function f() wrong() end f()")
            self.assertIs(caught.exception, mistake)
            self.assertIn("in function 'f'", caught.exception.traceback)
            self.assertEqual(lua.eval("select(2, pcall(wrong))"), "KeyError: 'x'")
            with self.assertRaisesRegex(rlua.ArgumentError, "bad argument #1"):
                lua.execute("check(1)")
            self.assertIn("bad argument #1 to 'check' (number",
                          lua.eval("select(2, pcall(function() check(1) end))"))
            for path, callable in (("x", None), (None, print), (b"x", print)):
                with self.assertRaises(TypeError):
                    lua.set_function(path, callable)
            with self.assertRaisesRegex(rlua.BadArgument, "n.x: n is of type int"):
                lua.set_function("n.x", print)
            with self.assertRaises(ValueError):
                lua.set_function("a\0b", print)

    def refuse(self):
        raise rlua.ArgumentError(1, "number expected")

    def test_named_callable_lives_as_long_as_the_state(self):
        class Thing:
            def __call__(self):
                return 1

        thing = Thing()
        gone = weakref.ref(thing)
        with world() as lua:
            lua.snap()
            lua.set_function("thing", thing)
            del thing
            self.assertEqual(lua.eval("thing()"), 1)
            lua.rollback()
            lua.collect_garbage()
            self.assertIsNotNone(gone())
        self.assertIsNone(gone())

    def test_name_given_anew_stands_for_the_new_callable(self):
        with world(trust=rlua.Trust.OWN) as lua:
            lua.set_function("pick", lambda: 1)
            lua.execute("old = pick")
            lua.snap()
            lua.set_function("pick", lambda: 2)
            self.assertEqual(lua.eval("pick(), old()"), (2, 2))
            image = lua.save()
            lua.rollback()
            self.assertEqual(lua.eval("pick(), old()"), (2, 2))
            with rlua.State(config=lua.config, image=image, functions={"pick": lambda: 3}) as other:
                self.assertEqual(other.eval("pick(), old()"), (3, 3))
                other.set_function("pick", lambda: 4)
                self.assertEqual(other.eval("pick(), old()"), (4, 4))
                other.save()

    def test_deltas_take_names(self):
        calls = []
        with world(trust=rlua.Trust.OWN) as lua:
            lua.snap(0)
            with rlua.State(config=lua.config, image=lua.save(0)) as follower:
                lua.set_function("late", print)
                lua.snap(1)
                delta = lua.save_delta(0, 1)
                with self.assertRaises(rlua.Unsavable):
                    follower.apply_delta(delta)
                follower.apply_delta(delta, functions={"late": calls.append})
                follower.execute("late(1)")
                self.assertEqual(calls, [1])

    def test_images_are_compared_without_a_state(self):
        key = {"image_key": bytes(range(32))}
        for options, config in (({}, None), (key, rlua.Config(**key))):
            with world(**options) as lua:
                lua.set_function("note", print)
                lua.set_function("other", print)
                a = lua.save()
                lua.execute("n = 7; t['\xff'] = '\xfe'")
                b = lua.save()
            self.assertEqual(rlua.diff(a, a, config=config, functions=["note", "other"]), [])
            found = rlua.diff(a, b, config=config, functions={"note": 1, "other": 2})
            self.assertEqual(found[0],
                             rlua.Difference(rlua.DiffKind.VALUE, "_G.n", "0", "7"))
            self.assertEqual(len(found), 2)
            self.assertEqual(len(rlua.diff(bytearray(a), memoryview(b), config=config,
                                           functions=["note", "other"], most=1)), 1)
            with self.assertRaisesRegex(rlua.Unsavable, "other"):
                rlua.diff(a, b, config=config)
            for damaged in (b"", a[:-1], b"text"):
                with self.assertRaises(rlua.BadImage):
                    rlua.diff(a, damaged, config=config, functions=["note", "other"])
            with self.assertRaises(rlua.BadArgument):
                rlua.diff(a, b, config=config, functions=["note", "other"], most=-1)
            for wrong in ("text", None, 1):
                with self.assertRaises(TypeError):
                    rlua.diff(a, wrong)
            with self.assertRaises(TypeError):
                rlua.diff(a, b, functions=[1])

    def test_differences_have_their_way(self):
        with world() as lua:
            image = lua.save()
            with rlua.State(config=trusting(), image=image) as other:
                self.assertEqual(lua.diff(other), [])
                other.execute("n = 7; odd = {1, 'two'}")
                found = lua.diff(other)
                self.assertEqual([(each.path, each.a, each.kind) for each in found],
                                 [("_G.n", "0", rlua.DiffKind.VALUE),
                                  ("_G.odd", "nil", rlua.DiffKind.MISSING)])
                self.assertEqual(found[0].b, "7")
                self.assertEqual(len(lua.diff(other, 1)), 1)
                other.globals["peek"] = lambda: other.diff(lua)
                with self.assertRaises(rlua.Busy):
                    other.execute("peek()")
                self.assertGreater(len(other.diff(lua)), 2)
                with self.assertRaises(rlua.BadArgument):
                    lua.diff(lua)
                with self.assertRaises(rlua.BadArgument):
                    lua.diff(other, -1)
                with self.assertRaises(TypeError):
                    lua.diff("other")
            with self.assertRaises(rlua.Closed):
                lua.diff(other)
            lua.snap()


if __name__ == "__main__":
    unittest.main()
