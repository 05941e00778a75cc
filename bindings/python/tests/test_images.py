"""images: states that leave a State, deltas between them, and what is refused."""

import unittest

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
