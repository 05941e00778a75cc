"""synctest: a frame that goes by what lies outside is found, with its number and its value.

Method: frames that cheat, in Python, in a participant and by proxies; frames that fail; the history
and the references afterwards, which the library's own snapshots must not confuse.
"""

import threading
import unittest

import rlua

WORLD = """
n, t = 0, {}
function step(frame)
    n = n + frame t[frame % 9] = {frame}
    if odd and frame == 5 then n = odd() end
end
"""


class SyncTest(unittest.TestCase):
    def setUp(self):
        self.lua = rlua.State(memory=1 << 20, snapshots=8)
        self.addCleanup(self.lua.close)
        self.lua.execute(WORLD)

    def frame(self, number, again):
        self.assertIsInstance(again, bool)
        self.lua.call("step", number)

    def test_frames_that_roll_back_pass_and_the_state_is_where_they_led(self):
        runs = []
        self.assertIsNone(self.lua.synctest(lambda number, again: (
            runs.append((number, again)), self.frame(number, again)), 3, 20))
        self.assertEqual(self.lua.globals["n"], sum(range(20)))
        self.assertEqual([number for number, again in runs if not again], list(range(20)))
        self.assertEqual(sum(again for _, again in runs), 1 + 2 + 18 * 3)
        self.assertEqual(len(self.lua.history), 8)
        self.lua.check()

    def test_frame_and_value_are_named(self):
        calls = iter(range(100, 1000))
        self.lua.set_function("odd", lambda: next(calls))
        with self.assertRaisesRegex(rlua.Desync, r"frame 5.*_G\.n: 100 -> 101") as caught:
            self.lua.synctest(self.frame, 3, 20)
        desync = caught.exception
        self.assertEqual(desync.status, rlua.Status.DESYNC)
        self.assertEqual((desync.frame, desync.rolled_back), (5, False))
        self.assertEqual(desync.difference,
                         rlua.Difference(rlua.DiffKind.VALUE, "_G.n", "100", "101"))
        self.assertEqual((len(desync.first), len(desync.second)), (16, 16))
        self.assertNotEqual(desync.first, desync.second)
        self.lua.snap()
        self.lua.rollback()

    def test_callable_without_a_name_hides_the_value_alone(self):
        calls = iter(range(100, 1000))
        self.lua.globals["odd"] = lambda: next(calls)
        with self.assertRaisesRegex(rlua.Desync, "frame 5.*cannot be cloned") as caught:
            self.lua.synctest(self.frame, 3, 20)
        self.assertEqual((caught.exception.frame, caught.exception.difference), (5, None))

    def test_participant_that_changes_the_state_is_told_apart(self):
        lua = self.lua

        class Meddler:
            def capture(self, frame):
                return frame

            def restore(self, token):
                lua.globals["n"] = -1

        lua.history.follow(Meddler())
        with self.assertRaises(rlua.Desync) as caught:
            lua.synctest(self.frame, 1, 9)
        self.assertTrue(caught.exception.rolled_back)

    def test_exceptions_come_out_as_themselves(self):
        mistake = KeyError("of a frame")

        def failing(number, again):
            if number == 2 and again:
                raise mistake
            self.frame(number, again)

        with self.assertRaises(KeyError) as caught:
            self.lua.synctest(failing, 2, 9)
        self.assertIs(caught.exception, mistake)
        with self.assertRaisesRegex(rlua.LuaError, "attempt to") as caught:
            self.lua.synctest(lambda number, again: self.lua.execute("x = nil + 1"), 1)
        self.assertIn("stack traceback", caught.exception.traceback)
        self.lua.set_function("raises", failing)
        with self.assertRaises(KeyboardInterrupt):
            self.lua.synctest(self.interrupt, 1, 9)
        self.lua.synctest(self.frame, 3, 9)
        self.lua.check()

    def interrupt(self, number, again):
        raise KeyboardInterrupt

    def test_exceptions_of_participants_come_out(self):
        mistake = OSError("of a participant")

        class Failing:
            where = "capture"

            def capture(self, frame):
                if self.where == "capture":
                    raise mistake

            def restore(self, token):
                if self.where == "restore":
                    raise mistake

        failing = Failing()
        self.lua.history.follow(failing)
        with self.assertRaises(rlua.ParticipantError) as caught:
            self.lua.synctest(self.frame, 1, 9)
        self.assertIs(caught.exception.__cause__, mistake)
        failing.where = "restore"
        with self.assertRaises(OSError) as caught:
            self.lua.synctest(self.frame, 1, 9)
        self.assertIs(caught.exception, mistake)
        failing.where = ""
        self.lua.synctest(self.frame, 1, 9)

    def test_what_needs_an_idle_state_is_busy_in_a_frame(self):
        lua, refused = self.lua, []
        actions = [lua.snap, lua.rollback, lua.close, lua.save, lua.checksum, lua.save_bound,
                   lambda: lua.synctest(self.frame), lambda: lua.history.discard_before(0),
                   lambda: setattr(lua.history, "limit", 0)]

        def frame(number, again):
            for action in actions:
                try:
                    action()
                except rlua.Busy as error:
                    refused.append(str(error))
            self.frame(number, again)

        lua.synctest(frame, 1, 2)
        self.assertEqual(len(refused), 4 * len(actions))
        self.assertTrue(all(refused))
        found = []

        def elsewhere(number, again):
            thread = threading.Thread(target=lambda: found.append(self.busy(lua.close)))
            thread.start()
            thread.join()

        lua.synctest(elsewhere, 1, 1)
        self.assertEqual(found, [True, True])

    def busy(self, action):
        try:
            action()
        except rlua.Busy:
            return True
        return False

    def test_arguments_out_of_range_are_errors(self):
        for arguments in ((self.frame, 0, 9), (self.frame, 8, 9), (self.frame, -1, 9),
                          (self.frame, 1, -1), (self.frame, 1 << 32, 1), (self.frame, 1, 1 << 64)):
            with self.assertRaises(rlua.BadArgument) as caught:
                self.lua.synctest(*arguments)
            self.assertTrue(str(caught.exception))
        for arguments in ((None, 1, 1), (self.frame, 1.5, 1), (self.frame, 1, "9")):
            with self.assertRaises(TypeError):
                self.lua.synctest(*arguments)
        with rlua.State() as lua, self.assertRaisesRegex(rlua.BadArgument, "snapshots"):
            lua.synctest(self.frame, 1, 1)
        self.lua.close()
        with self.assertRaises(rlua.Closed):
            self.lua.synctest(self.frame, 1, 1)

    def test_the_history_goes_on_from_what_the_test_left(self):
        lua = self.lua
        lua.snap(100)
        lua.synctest(self.frame, 3, 20)
        frames = lua.history.frames
        self.assertEqual(frames, tuple(range(121 - 7, 121 + 1)))
        self.assertEqual(len(frames), lua.info().snapshot_count)
        lua.rollback_to(frames[2])
        self.assertEqual(lua.history.frames, frames[:3])
        self.assertEqual(lua.globals["n"], sum(range(frames[2] - 101)))

    def test_references_in_its_snapshots_are_released(self):
        """A proxy that lives across frames: what a rollback brings back is released again."""
        lua, held = self.lua, {}

        def frame(number, again):
            held.pop("last", None)
            if number % 2 == 0:
                held["last"] = lua.table([number])
            self.frame(number, again)

        lua.execute("weak = setmetatable({}, {__mode = 'v'})")
        keep = lua.eval("function(t) weak[#weak + 1] = t end")
        try:
            lua.synctest(frame, 3, 6)
        except rlua.Desync:     # the frames do not make and drop them alike
            pass
        held.clear()
        made = lua.table(["dropped"])
        keep(made)
        del made
        lua.snap()
        lua.collect_garbage()
        self.assertEqual(len(lua.globals["weak"]), 0)
        lua.rollback()
        lua.collect_garbage()
        self.assertEqual(len(lua.globals["weak"]), 0)
        lua.check()


if __name__ == "__main__":
    unittest.main()
