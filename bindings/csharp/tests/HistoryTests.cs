// HistoryTests.cs: a rollback puts everything back: what Lua has, what follows it, and what proxies
// name. Frames name snapshots.

using System;
using System.Collections.Generic;
using System.Linq;
using Rlua;
using static Expect;

internal static class HistoryTests
{
    public static void SeedExampleReads121()
    {
        using (var lua = Open())
        {
            lua.Execute("n = 1");
            Equal(1L, lua["n"]);
            lua.Snap();
            lua.Execute("n = 2");
            Equal(2L, lua["n"]);
            lua.Rollback();
            Equal(1L, lua["n"]);
            lua.Check();
        }
    }

    public static void CounterClosureGoesBack()
    {
        using (var lua = Open())
        {
            lua.Execute("local n = 0; function count() n = n + 1; return n end");
            var count = lua.Get<Func<long>>("count");
            Equal(1L, count());
            lua.Snap();
            for (int round = 0; round < 3; round++)
            {
                Equal(2L, count());
                Equal(3L, count());
                lua.Rollback();
            }
            lua.Check();
        }
    }

    public static void MutableClosureCounts123AndAgain23()
    {
        using (var lua = Open())
        {
            long n = 0;
            lua.SetFunction("count", () => ++n);
            lua.History.Follow(() => n, value => n = value);
            Equal(1L, lua.Call<long>("count"));
            lua.Snap();
            for (int round = 0; round < 3; round++)
            {
                Equal(2L, lua.Call<long>("count"));
                Equal(3L, lua.Call<long>("count"));
                lua.Rollback();
            }
            lua.Check();
        }
    }

    private sealed class Journal : IParticipant
    {
        internal readonly List<string> Events = new List<string>();
        internal string Fails = "";
        public object Capture(long frame)
        {
            if (Fails == "capture")
                throw new InvalidOperationException("not now");
            return frame;
        }
        public void Restore(object token)
        {
            Events.Add("restore " + token);
            if (Fails == "restore")
                throw new InvalidOperationException("not back");
        }
        public void Discard(object token) { Events.Add("discard " + token); }
    }

    public static void ParticipantSeesItsTokensComeBackOnce()
    {
        var journal = new Journal();
        using (var lua = Open())
        {
            lua.History.Follow(journal);
            lua.Snap(1);
            lua.Snap(2);
            journal.Fails = "capture";
            var failure = Throws<RluaException>(() => lua.Snap(3));
            Equal(Status.Participant, failure.Status);
            Equal("not now", failure.InnerException.Message);
            lua.RollbackTo(1);
            Equal("restore 1, discard 2", string.Join(", ", journal.Events));
            journal.Fails = "restore";
            Equal("not back",
                  Throws<InvalidOperationException>(() => lua.RollbackTo(1)).Message);
            journal.Fails = "";
            lua.RollbackTo(1);
            lua.Check();
            journal.Events.Clear();
        }
        Equal("discard 1", string.Join(", ", journal.Events));
    }

    private sealed class Heavy : IParticipant
    {
        internal readonly List<WeakReference> Tokens = new List<WeakReference>();
        public object Capture(long frame)
        {
            var token = new byte[1000];
            Tokens.Add(new WeakReference(token));
            return token;
        }
        public void Restore(object token) { Equal(1000, ((byte[])token).Length); }
        public void Discard(object token) { }
    }

    public static void TokensOfDroppedSnapshotsAreNotKept()
    {
        var heavy = new Heavy();
        using (var lua = Open())
        {
            lua.History.Follow(heavy);
            Apart(() =>
            {
                lua.MoveToThisThread();
                for (int i = 0; i < 50; i++)
                    lua.Snap();
            });
            lua.MoveToThisThread();
            lua.Rollback(3);
            Equal(50, heavy.Tokens.Count);
            True(heavy.Tokens.Count(each => each.IsAlive) < 16);
        }
    }

    public static void ParticipantThatLeavesIsNotAskedAgain()
    {
        var journal = new Journal();
        using (var lua = Open())
        {
            lua.History.Follow(journal);
            lua.Snap();
            True(lua.History.Unfollow(journal));
            True(!lua.History.Unfollow(journal));
            Equal("discard 0", string.Join(", ", journal.Events));
            lua.Rollback();
            Equal(1, journal.Events.Count);
        }
    }

    public static void FramesNameSnapshots()
    {
        using (var lua = Open())
        {
            foreach (int frame in new[] { 10, 20, 30 })
            {
                lua["n"] = frame;
                Equal((long)frame, lua.Snap(frame));
            }
            Equal("10 20 30", string.Join(" ", lua.History));
            lua.DiscardBefore(20);
            Equal(20L, lua.History.Oldest);
            Throws<NoSnapshotException>(() => lua.RollbackTo(10));
            lua.RollbackTo(20);
            Equal(20L, lua["n"]);
            Equal(21L, lua.Snap());
            lua.RollbackTo(20);
            lua["n"] = 21;
            Equal(20L, lua.Snap(20));
            lua["n"] = 22;
            lua.Rollback();
            Equal(21L, lua["n"]);
            Equal(20L, lua.History.Newest);
            Equal(30L, lua.History.Highest);
            Equal(Status.BadFrame, Throws<RluaException>(() => lua.Snap(19)).Status);
            lua.History.Limit = 0;
            Equal(0L, lua.History.Limit);
            Equal(Status.Disabled, Throws<RluaException>(() => lua.Snap()).Status);
            Equal(null, lua.History.Newest);
            Throws<ArgumentOutOfRangeException>(() => lua.History.Limit = -1);
            lua.Check();
        }
    }

    public static void FullHistoryDropsItsOldest()
    {
        using (var lua = Open(snapshots: 3))
        {
            for (long frame = long.MaxValue - 9; frame < long.MaxValue; frame++)
            {
                lua.Snap(frame);
                Equal(frame, lua.History.Newest);
                True(lua.History.Count <= 3);
                Equal(lua.Info.SnapshotCount, (long)lua.History.Count);
                Equal(lua.Info.OldestFrame, lua.History.Oldest);
            }
            Equal(3, lua.History.Count);
        }
    }

    public static void AbsentSnapshotsAreExceptions()
    {
        using (var lua = Open())
        {
            Equal(null, lua.History.Highest);
            foreach (int n in new[] { -1, 0, 1, int.MaxValue })
                True(Throws<NoSnapshotException>(() => lua.Rollback(n)).Message != "");
        }
    }

    public static void ProxyOlderThanTheSnapshotIsGoodAndANewerOneIsStale()
    {
        using (var lua = Open())
        {
            lua.Execute("function add(a, b) return a + b end t = {x = 1}");
            var add = lua.Get<Function>("add");
            lua.Snap();
            lua["add"] = null;
            var later = lua.Get<Function>("math.max");
            var table = lua.Get<Table>("t");
            Equal(3L, add.Call<long>(1, 2));
            Equal(2L, later.Call<long>(1, 2));
            lua["again"] = add;
            Equal(4L, lua.Call<long>("again", 2, 2));
            lua.Rollback();
            var many = new List<Function>();
            for (int i = 0; i < 1000; i++)
                many.Add(lua.Get<Function>("add"));
            Contains("before it was made",
                     Throws<StaleException>(() => later.Call(1, 2)).Message);
            Throws<StaleException>(() => table["x"].ToString());
            Throws<StaleException>(() => table["x"] = 2);
            Throws<StaleException>(() => lua["t"] = table);
            Throws<StaleException>(() => lua.Call("add", later, 1));
            True(later.IsStale && table.IsStale && !add.IsStale);
            Equal("stale function", later.ToString());
            var typed = later.To<Func<long, long>>();
            Throws<StaleException>(() => typed(1));
            Equal(3L, add.Call<long>(1, 2));
            later.Dispose();
            add.Dispose();
            add.Dispose();
            Contains("disposed", Throws<StaleException>(() => add.Call(1, 2)).Message);
            lua.Check();
        }
    }

    public static void CallbackOfAScriptIsStaleAfterARollbackToBeforeItsBirth()
    {
        using (var lua = Open())
        {
            var handlers = new Dictionary<string, Func<long, long>>();
            lua.SetFunction("on", (string name, Func<long, long> f) => { handlers[name] = f; });
            lua.Execute("on('old', function(n) return n + 1 end)");
            lua.Snap();
            lua.Execute("on('new', function(n) return n + 2 end)");
            Equal(42L, handlers["new"](40));
            lua.Rollback();
            Throws<StaleException>(() => handlers["new"](40));
            Equal(41L, handlers["old"](40));
            lua.Check();
        }
    }

    // A reference that was released after the snapshot is in it: the rollback must not bring back
    // what nobody will release.
    public static void WhatWasReleasedBeforeARollbackIsReleasedAgain()
    {
        using (var lua = Open())
        {
            lua.Execute("gone = setmetatable({}, {__mode = 'k'})");
            lua.Execute("function make() local t = {} gone[t] = true return t end");
            Func<long> alive = () =>
            {
                lua.CollectGarbage();
                return lua.Eval<long>("(function() local n = 0 for _ in pairs(gone) do n = n + 1 "
                                      + "end return n end)()");
            };
            var table = (Table)lua.Call("make")[0];
            lua.Snap();
            Equal(1L, alive());
            table.Dispose();
            Equal(0L, alive());
            lua.Rollback();
            Equal(0L, alive());
            lua.Snap();
            lua.Rollback(2);
            Equal(0L, alive());
        }
    }

    public static void CoroutineSuspendedAtTheSnapshotResumesTwice()
    {
        using (var lua = Open())
        {
            lua.Execute("function numbers() for i = 1, 9 do coroutine.yield(i) end end");
            Coroutine numbers = lua.Get<Function>("numbers").Start();
            Equal(1L, numbers.Resume()[0]);
            lua.Snap();
            for (int round = 0; round < 2; round++)
            {
                Equal(2L, numbers.Resume()[0]);
                Equal(3L, numbers.Resume()[0]);
                lua.Rollback();
            }
            Equal("2 3 4 5 6 7 8 9", string.Join(" ", numbers.As<int>()));
            True(numbers.IsDead);
            lua.Rollback();
            Equal("suspended", numbers.State);
            lua.Check();
        }
    }

    public static void HostFunctionCollectedAfterTheSnapshotIsBackAfterTheRollback()
    {
        using (var lua = Open())
        {
            lua.Execute("t = {}");
            lua.Get<Table>("t")["f"] = (Func<string>)(() => "alive");
            lua.Snap();
            lua.Execute("t.f = nil");
            lua.CollectGarbage();
            GC.Collect();
            lua.Rollback();
            GC.Collect();
            Equal("alive", lua.Call("t.f")[0]);
            lua.Check();
        }
    }

    public static void MemoryInTheVmRollsBack()
    {
        using (var lua = Open())
        {
            IntPtr block = lua.Allocate(64);
            System.Runtime.InteropServices.Marshal.WriteInt32(block, 7);
            lua.Snap();
            System.Runtime.InteropServices.Marshal.WriteInt32(block, 8);
            lua.Touch(block, 4);
            block = lua.Reallocate(block, 4096);
            Equal(8, System.Runtime.InteropServices.Marshal.ReadInt32(block));
            lua.Free(block);
            lua.Rollback();
            Throws<MemoryLimitException>(() => lua.Allocate(2 * Mib));
            Throws<ArgumentOutOfRangeException>(() => lua.Allocate(-1));
            Equal(Status.BadArg, Throws<RluaException>(() => lua.Free((IntPtr)64)).Status);
            lua.Check();
        }
    }

    internal sealed class Image
    {
        internal readonly string Name;
        internal Image(string name) { Name = name; }
        public override string ToString() { return Name; }
    }

    private static readonly List<string> Released = new List<string>();
    private static readonly ResourceType<Image> Texture =
        new ResourceType<Image>("texture", image => Released.Add(image.Name))
            .Method("width", image => image.Name.Length)
            .Method("scaled", (Image image, int by) => image.Name.Length * by)
            .Method("__tostring", image => "texture " + image.Name);

    private static object Wrapped(string name) { return Texture.Wrap(new Image(name)); }

    public static void ResourceIsReleasedOnceWhenNothingReachesIt()
    {
        Released.Clear();
        using (var lua = Open())
        {
            lua["a"] = Wrapped("aaa");
            Equal("aaa", lua.Get<Image>("a").Name);
            Equal(3L, lua.Eval<long>("a:width()"));
            lua.Snap();
            lua["b"] = Wrapped("b");
            lua["a"] = null;
            lua.ReleaseForgotten();
            lua.CollectGarbage();
            Equal(0, Released.Count);
            lua.Rollback();
            Equal("b", string.Join(",", Released));
            Equal(6, lua.Eval<int>("a:scaled(2)"));
            Equal("texture aaa", lua.Eval<string>("tostring(a)"));
            lua.SetFunction("make", () => Wrapped("many"));
            Throws<RluaException>(() => lua.Execute(
                "local t = {} while true do t[#t + 1] = make() end"));
            lua.CollectGarbage();
            lua.Check();
        }
        Equal(1, Released.Count(name => name == "aaa"));
    }

    public static void MethodsAreThereAgainAfterARollbackToBeforeTheFirstHandle()
    {
        Released.Clear();
        using (var lua = Open())
        {
            lua.Snap();
            for (int round = 0; round < 3; round++)
            {
                lua["a"] = Wrapped("abcd");
                Equal(4, lua.Eval<int>("a:width()"));
                lua.Rollback();
                Equal(round + 1, Released.Count);
            }
            lua.Check();
        }
    }

    public static void ResourceGoesBackInAsTheSameHandle()
    {
        Released.Clear();
        using (var lua = Open())
        {
            Resource handle = lua.NewResource(Texture, new Image("one"));
            lua["a"] = handle;
            lua["b"] = handle;
            lua.SetFunction("same", (Resource r) => r);
            lua.SetFunction("name", (Image image) => image.Name);
            True(lua.Eval<bool>("a == b and same(a) == b"));
            True((Resource)lua["a"] == handle);
            Equal("one", handle.Value.ToString());
            Equal("one", lua.Eval<string>("name(a)"));
            Contains("bad argument #1 to 'name' (Image expected, got number)",
                     Throws<ScriptException>(() => lua.Execute("name(1)")).Message);
            lua.Snap();
            handle.Close();
            handle.Close();
            True(handle.IsClosed);
            Throws<StaleException>(() => handle.Value.ToString());
            Contains("closed", Throws<ScriptException>(() => lua.Execute("a:width()")).Message);
            Equal(0, Released.Count);
            lua.Rollback();
            Equal("one", handle.Value.ToString());
            lua.Check();
        }
        Equal("one", string.Join(",", Released));
    }

    public static void MethodOfOneKindDoesNotTakeAnother()
    {
        Released.Clear();
        var other = new ResourceType<Version>("version").Method("major", v => v.Major);
        using (var lua = Open())
        {
            lua["a"] = Wrapped("abc");
            lua["v"] = other.Wrap(new Version(3, 1));
            Equal(3, lua.Eval<int>("v:major()"));
            Contains("Version expected, got userdata",
                     Throws<ScriptException>(() => lua.Execute("v.major(a)")).Message);
            Contains("Image expected, got no value",
                     Throws<ScriptException>(() => lua.Execute("a.width()")).Message);
            Throws<InvalidCastException>(() => lua.Get<Version>("a"));
            Equal(Status.BadArg, Throws<RluaException>(
                () => lua["x"] = new ResourceType<Version>("texture").Wrap(new Version(1, 0)))
                .Status);
            lua["io"] = lua["io.stdout"];
            True(lua["io"] is Userdata);
            Contains("file (", lua["io"].ToString());
            lua.Check();
        }
        Equal("abc", string.Join(",", Released));
    }

    public static void WrappedObjectCanBeGivenOnce()
    {
        Released.Clear();
        using (var lua = Open())
        {
            object wrapped = Wrapped("one");
            lua["a"] = wrapped;
            Throws<InvalidOperationException>(() => lua["b"] = wrapped);
            Throws<ArgumentNullException>(() => Texture.Wrap(null));
            Throws<ArgumentException>(() => new ResourceType<string>("x"));
            Throws<ArgumentException>(() => new ResourceType<Table>("x"));
            Throws<ArgumentException>(() => new ResourceType<Image>("x").Method("__gc", i => i));
            lua.Check();
        }
        Equal("one", string.Join(",", Released));
    }

    private sealed class Closer : IParticipant
    {
        internal Lua Lua;
        internal int Busy;
        internal void Close(object value)
        {
            try { Lua.Dispose(); }
            catch (BusyException) { Busy++; }
        }
        public object Capture(long frame) { Close(null); return null; }
        public void Restore(object token) { Close(null); }
        public void Discard(object token) { Close(null); }
    }

    public static void DisposeInAFunctionOfAParticipantOrAResourceIsBusy()
    {
        var closer = new Closer();
        using (var lua = closer.Lua = Open())
        {
            lua.History.Follow(closer);
            lua["a"] = new ResourceType<Image>("closer", closer.Close).Wrap(new Image("a"));
            lua.Snap();
            lua.Snap();
            lua.Rollback(2);
            lua["a"] = null;
            lua.History.Limit = 0;
            lua.CollectGarbage();
            Equal(6, closer.Busy);
            Equal(2L, lua.Eval<long>("1 + 1"));
            lua.Check();
        }
    }

    public static void WhatAReleaseThrowsIsReportedAndStopsNothing()
    {
        var seen = new List<string>();
        Action<Exception> listener = e => seen.Add(e.Message);
        Lua.Unhandled += listener;
        try
        {
            using (var lua = Open())
            {
                var bad = new ResourceType<Image>("bad", i => { throw new Exception(i.Name); });
                lua["a"] = bad.Wrap(new Image("no"));
                lua["b"] = Wrapped("b");
            }
        }
        finally { Lua.Unhandled -= listener; }
        Equal("no", string.Join(",", seen));
    }
}
