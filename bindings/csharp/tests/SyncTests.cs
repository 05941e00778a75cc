// SyncTests.cs: a frame that goes by what lies outside is found, with its number and its value.
// Method: frames that cheat, in C# and in a participant; frames that fail; the history afterwards,
// which the library's own snapshots must not confuse.

using System;
using System.Collections.Generic;
using System.Linq;
using Rlua;
using static Expect;

internal static class SyncTests
{
    private const string World = @"n, t = 0, {}
        function step(frame) n = n + frame t[frame % 9] = {frame}
            if odd and frame == 5 then n = odd() end end";

    private static Lua Game()
    {
        Lua lua = Open();
        lua.Execute(World);
        return lua;
    }

    public static void FramesThatRollBackPass()
    {
        using (Lua lua = Game())
        {
            var runs = new List<int>();
            int again = 0;
            lua.SyncTest((number, second) =>
            {
                if (second)
                    again++;
                else
                    runs.Add(number);
                lua.Call("step", number);
            }, 3, 20);
            Equal(190L, lua["n"]);
            True(runs.SequenceEqual(Enumerable.Range(0, 20)));
            Equal(1 + 2 + 18 * 3, again);
            Equal(8, lua.History.Count);
            lua.Check();
        }
    }

    public static void FrameAndValueAreNamed()
    {
        using (Lua lua = Game())
        {
            int calls = 100;
            lua.SetFunction("odd", () => calls++);
            var desync = Throws<DesyncException>(
                () => lua.SyncTest((number, again) => lua.Call("step", number), 3, 20));
            Contains("frame 5", desync.Message);
            Equal("_G.n: 100 -> 101", desync.Difference.ToString());
            Equal(DiffKind.Value, desync.Difference.Kind);
            Equal(5, desync.Frame);
            True(!desync.RolledBack && desync.Status == Status.Desync);
            True(desync.First.Length == 32 && desync.First != desync.Second);
            lua.Snap();
            lua.Rollback();
            Func<int> nameless = () => calls++;
            lua["odd"] = null;
            lua.Globals.Set("odd", nameless);
            desync = Throws<DesyncException>(
                () => lua.SyncTest((number, again) => lua.Call("step", number), 3, 20));
            True(desync.Frame == 5 && desync.Difference == null);
        }
    }

    private sealed class Meddler : IParticipant
    {
        internal Action Capturing = () => { }, Restoring = () => { };
        public object Capture(long frame) { Capturing(); return frame; }
        public void Restore(object token) { Restoring(); }
        public void Discard(object token) { }
    }

    public static void ParticipantsAreToldApartAndTheirExceptionsComeOut()
    {
        using (Lua lua = Game())
        {
            var meddler = new Meddler { Restoring = () => lua["n"] = -1 };
            Action test = () => lua.SyncTest((number, again) => lua.Call("step", number), 1, 9);
            lua.History.Follow(meddler);
            True(Throws<DesyncException>(test).RolledBack);
            meddler.Restoring = () => { throw new KeyNotFoundException("restore"); };
            Equal("restore", Throws<KeyNotFoundException>(test).Message);
            meddler.Restoring = () => { };
            meddler.Capturing = () => { throw new KeyNotFoundException("capture"); };
            var error = Throws<RluaException>(test);
            True(error.Status == Status.Participant && error.InnerException.Message == "capture");
            meddler.Capturing = () => { };
            test();
        }
    }

    public static void ExceptionsOfFramesComeOutAsThemselves()
    {
        using (Lua lua = Game())
        {
            var mistake = new KeyNotFoundException("of a frame");
            var caught = Throws<KeyNotFoundException>(() => lua.SyncTest((number, again) =>
            {
                if (number == 2 && again)
                    throw mistake;
                lua.Call("step", number);
            }, 2, 9));
            True(ReferenceEquals(caught, mistake));
            var script = Throws<ScriptException>(
                () => lua.SyncTest((number, again) => lua.Execute("x = nil + 1"), 2, 9));
            Contains("stack traceback", script.Traceback);
            lua.SyncTest((number, again) => lua.Call("step", number), 2, 9);
            lua.Check();
        }
    }

    public static void WhatNeedsAnIdleLuaIsBusyInAFrame()
    {
        using (Lua lua = Game())
        {
            int refused = 0;
            var actions = new Action[] {
                () => lua.Snap(), () => lua.Rollback(), () => lua.Dispose(), () => lua.Save(),
                () => lua.Checksum(), () => lua.SaveBound(), () => lua.MoveToThisThread(),
                () => lua.SyncTest((number, again) => { }, 1, 1), () => lua.History.Limit = 0,
            };
            lua.SyncTest((number, again) =>
            {
                foreach (Action action in actions)
                {
                    Throws<BusyException>(action);
                    refused++;
                }
                lua.Call("step", number);
            }, 1, 2);
            Equal(4 * actions.Length, refused);
        }
    }

    public static void ArgumentsOutOfRangeAreExceptions()
    {
        Action<int, bool> nothing = (number, again) => { };
        Lua lua = Game();
        Throws<ArgumentNullException>(() => lua.SyncTest(null));
        Throws<ArgumentOutOfRangeException>(() => lua.SyncTest(nothing, 0, 1));
        Throws<ArgumentOutOfRangeException>(() => lua.SyncTest(nothing, 1, -1));
        Equal(Status.BadArg, Throws<RluaException>(() => lua.SyncTest(nothing, 8, 1)).Status);
        lua.Dispose();
        Throws<ObjectDisposedException>(() => lua.SyncTest(nothing));
    }

    public static void HistoryGoesOnFromWhatTheTestLeft()
    {
        using (Lua lua = Game())
        {
            lua.Snap(100);
            lua.SyncTest((number, again) => lua.Call("step", number), 3, 20);
            True(lua.History.SequenceEqual(Enumerable.Range(114, 8).Select(n => (long)n)));
            Equal((long)lua.History.Count, lua.Info.SnapshotCount);
            lua.RollbackTo(116);
            Equal(3, lua.History.Count);
            Equal(105L, lua["n"]);
            Table made = lua.NewTable();
            lua.Snap();
            lua.RollbackTo(116);
            Throws<StaleException>(() => made["x"] = 1);
        }
    }

    public static void NameGivenAnewStandsForTheNewFunction()
    {
        var own = new Config { Trust = Trust.Own, MaxSnapshots = 2 };
        using (Lua lua = Open())
        {
            lua.SetFunction("pick", () => 1);
            lua.Execute("old = pick");
            lua.Snap();
            lua.SetFunction("pick", () => 2);
            Equal(4L, lua.Eval<long>("pick() + old()"));
            byte[] image = lua.Save();
            lua.Rollback();
            Equal(4L, lua.Eval<long>("pick() + old()"));
            Func<int> three = () => 3;
            var names = new Dictionary<string, Delegate> { { "pick", three } };
            using (Lua other = Lua.Load(image, own, names))
            {
                Equal(6L, other.Eval<long>("pick() + old()"));
                other.SetFunction("pick", () => 4);
                Equal(8L, other.Eval<long>("pick() + old()"));
                other.Save();
            }
            lua["value"] = (Func<int>)(() => 5);        // a value: another function each time
            lua.Execute("old = value");
            lua["value"] = (Func<int>)(() => 6);
            Equal(11L, lua.Eval<long>("value() + old()"));
        }
    }

    public static void ImagesAreComparedWithoutALua()
    {
        var key = new Config { ImageKey = new byte[32], MaxSnapshots = 1 };
        foreach (Config config in new[] { new Config(), key })
        {
            byte[] a, b;
            string[] names = { "note" }, pointers = { "place" };
            using (var lua = new Lua(config))
            {
                lua.NamePointer("place", (IntPtr)0x123450);
                lua.SetFunction("note", () => { });
                lua.Execute(World);
                a = lua.Save();
                Equal((long)a.Length, lua.SaveBound());
                lua["n"] = 7;
                b = lua.Save();
            }
            Equal(0, Lua.Diff(a, a, config, names, pointers).Count);
            Equal("_G.n: 0 -> 7", Lua.Diff(a, b, config, names, pointers).Single().ToString());
            Equal(1, Lua.Diff(a, b, config, names, pointers, 1).Count);
            var error = Throws<RluaException>(() => Lua.Diff(a, b, config));
            Equal(Status.Unsavable, error.Status);
            error = Throws<RluaException>(() => Lua.Diff(a, new byte[9], config, names, pointers));
            Equal(Status.BadImage, error.Status);
            error = Throws<RluaException>(() => Lua.Diff(new byte[0], b, config, names, pointers));
            Equal(Status.BadImage, error.Status);
            Throws<ArgumentNullException>(() => Lua.Diff((byte[])null, b));
            Throws<ArgumentNullException>(() => Lua.Diff(a, (byte[])null));
            Throws<ArgumentNullException>(() => Lua.Diff(a, b, config, new string[] { null }));
            Throws<ArgumentOutOfRangeException>(() => Lua.Diff(a, b, config, names, pointers, -1));
        }
    }
}
