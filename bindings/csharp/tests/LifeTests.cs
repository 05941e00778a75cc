// LifeTests.cs: opening and closing, threads, limits of memory, and hosts that do it wrong.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Rlua;
using static Expect;

internal static class LifeTests
{
    public static void UseAfterDisposeIsAnException()
    {
        var lua = Open();
        Table table = lua.Globals;
        Function max = lua.Get<Function>("math.max"), min = lua.Get<Function>("math.min");
        var typed = max.To<Func<long, long, long>>();
        Coroutine co = max.Start(1);
        max.Dispose();
        max.Dispose();
        True(!lua.IsDisposed);
        lua.Dispose();
        lua.Dispose();
        True(lua.IsDisposed);
        min.Dispose();
        foreach (Action action in new Action[] {
            () => lua.Execute("x = 1"), () => lua.Snap(), () => lua["x"] = 1, () => min.Call(1),
            () => typed(1, 2), () => table["x"] = 1, () => lua.Check(), () => lua.NewTable(),
            () => lua.SetFunction("f", () => { }), () => co.Resume(), () => lua.Info.ToString(),
            () => lua.History.Follow(() => 1, n => { }), lua.MoveToThisThread, lua.ReleaseForgotten,
            () => table.Copy(), () => lua.Allocate(1) })
            Contains("disposed", Throws<ObjectDisposedException>(action).Message);
        True(min.IsStale && table.IsStale);
        Equal("stale table", table.ToString());
        Equal(0, lua.History.Count);
    }

    public static void AnotherThreadIsRefusedAndMayTakeOver()
    {
        using (var lua = Open())
        {
            Table table = lua.Globals;
            int refused = 0;
            Exception failure = null;
            Action inOtherThread = () =>
            {
                foreach (Action action in new Action[] {
                    () => lua.Execute("x = 1"), () => lua.Dispose(), () => lua.Snap(),
                    () => table["x"] = 1, () => table.Dispose(), () => lua.Check() })
                {
                    Contains("belongs to thread",
                             Throws<WrongThreadException>(action).Message);
                    refused++;
                }
            };
            var thread = new Thread(() =>
            {
                try { inOtherThread(); }
                catch (Exception e) { failure = e; }
            });
            thread.Start();
            thread.Join();
            if (failure != null)
                throw failure;
            Equal(6, refused);
            Equal(null, table["x"]);
            thread = new Thread(() =>
            {
                lua.MoveToThisThread();
                table["x"] = 2;
            });
            thread.Start();
            thread.Join();
            Throws<WrongThreadException>(() => lua["x"].ToString());
            lua.MoveToThisThread();
            Equal(2L, lua["x"]);
        }
    }

    public static void VmsOnSeveralThreadsDoNotDisturbEachOther()
    {
        var totals = new object[4];
        var threads = Enumerable.Range(0, 4).Select(n => new Thread(() => {
            for (int round = 0; round < 5; round++)
            {
                using (var lua = Open())
                {
                    lua["sum"] = 0;
                    lua.SetFunction("add", (long a, long b) => a + b);
                    for (int i = 0; i < 50; i++)
                    {
                        lua.Snap();
                        lua.Execute("sum = add(sum, " + n + ")");
                        if (i % 10 == 0)
                            GC.Collect();
                    }
                    totals[n] = lua["sum"];
                }
            }
        })).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        for (int n = 0; n < 4; n++)
            Equal(50L * n, totals[n]);
    }

    public static void ManyVmsAtOnceAreKeptApart()
    {
        var all = new List<Lua>();
        for (int i = 0; i < 40; i++)
        {
            int captured = i;
            var lua = Open(snapshots: 1);
            lua.SetFunction("id", () => captured);
            all.Add(lua);
        }
        for (int i = 0; i < 40; i++)
            Equal(i, all[i].Eval<int>("id()"));
        all[0].SetFunction("other", () => all[1].Eval<int>("id()"));
        Equal(1, all[0].Eval<int>("other()"));
        all.ForEach(lua => lua.Dispose());
    }

    public static void FinalizersOfTheScriptMayCallTheHostAtDispose()
    {
        int calls = 0;
        var lua = Open();
        lua.SetFunction("seen", () => ++calls);
        lua.Execute("x = setmetatable({}, {__gc = function() seen() end})");
        lua.Dispose();
        Equal(1, calls);
    }

    // The finalizer's thread closes nothing: the owner does, whose objects may belong to it.
    public static void ForgottenVmIsClosedByItsOwnThreadAlone()
    {
        var released = new List<int>();
        var type = new ResourceType<Version>("mine",
            v => released.Add(Thread.CurrentThread.ManagedThreadId));
        int here = Thread.CurrentThread.ManagedThreadId, closed = 0;
        Lua.CloseForgotten();
        var go = new AutoResetEvent(false);
        var ready = new AutoResetEvent(false);
        int other = 0;
        var owner = new Thread(() =>
        {
            other = Thread.CurrentThread.ManagedThreadId;
            Forget(type, 20);
            ready.Set();
            go.WaitOne();
            closed = Lua.CloseForgotten();
            ready.Set();
        });
        owner.Start();
        ready.WaitOne();
        for (int i = 0; i < 3; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        Equal(0, Lua.CloseForgotten());
        Equal(0, released.Count);
        go.Set();
        ready.WaitOne();
        owner.Join();
        True(closed > 10, closed + " of 20 were closed");
        Equal(closed, released.Count);
        True(released.All(id => id == other && id != here));
    }

    [System.Runtime.CompilerServices.MethodImpl(
        System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private static void Forget(ResourceType<Version> type, int count)
    {
        if (count == 0)
            return;
        var lua = Open();
        lua["a"] = type.Wrap(new Version(1, 0));
        lua.SetFunction("self", () => lua.Eval<int>("1"));
        lua.Execute("x = setmetatable({}, {__gc = function() self() end})");
        Forget(type, count - 1);
    }

    public static void OutOfMemoryInAPushLeavesTheVmUsable()
    {
        using (var lua = Open())
        {
            Throws<MemoryLimitException>(() => lua["big"] = new string('x', 2 * Mib));
            Throws<MemoryLimitException>(() => lua["big"] = new byte[2 * Mib]);
            Throws<MemoryLimitException>(
                () => lua["big"] = Enumerable.Range(0, 50000).Select(i => i.ToString("D60")));
            Throws<MemoryLimitException>(
                () => lua.Execute("local s = {} while true do s[#s + 1] = ('x'):rep(99) end"));
            Throws<MemoryLimitException>(() =>
            {
                var kept = new List<Table>();
                while (true)
                    kept.Add(lua.NewTable());
            });
            lua.CollectGarbage();
            Equal(null, lua["big"]);
            Equal(2L, lua.Eval<long>("1 + 1"));
            lua.Check();
        }
    }

    public static void OutOfMemoryInAHostFunctionsResultCanBeCaught()
    {
        using (var lua = Open())
        {
            lua.SetFunction("big", () => new string('x', 2 * Mib));
            Equal(false, lua.Execute("return (pcall(big))")[0]);
            Equal(typeof(MemoryLimitException), Throws<ScriptException>(
                () => lua.Call("big")).InnerException.GetType());
            lua.Check();
        }
    }

    public static void OutOfMemoryAtAnyLimitIsAnException()
    {
        var texture = new ResourceType<Version>("t").Method("major", v => v.Major);
        int unopened = 0, failed = 0, fitted = 0;
        for (int limit = 4096; limit < 160 * 1024; limit += 512)
        {
            Lua lua;
            try { lua = new Lua(memory: limit, snapshots: 1); }
            catch (RluaException) { unopened++; continue; }
            using (lua)
            {
                try
                {
                    lua.SetFunction("f", (object a) => (a, new string('y', 2000)));
                    lua["tree"] = Enumerable.Range(0, 40).Select(i => i.ToString("D64"));
                    lua.Execute("x, y = f(tree)");
                    Equal(40, lua.Get<string[]>("x").Length);
                    lua["r"] = texture.Wrap(new Version(3, 1));
                    Equal(3, lua.Eval<int>("r:major()"));
                    lua.Get<Table>("tree")["f"] = (Func<int>)(() => 3);
                    Equal(3, lua.Eval<int>("tree.f()"));
                    fitted++;
                }
                catch (MemoryLimitException) { failed++; }
                catch (ScriptException e)
                {
                    True(e.Message.Contains("emory"), e.Message);
                    failed++;
                }
                lua.Check();
            }
        }
        True(unopened > 0 && failed > 0 && fitted > 0);
    }

    public static void NullsAreExceptionsOrNil()
    {
        using (var lua = Open())
        {
            string nothing = null;
            foreach (Action action in new Action[] {
                () => lua.Execute(null), () => lua.Execute("x = 1", null), () => lua.Load(nothing),
                () => lua.Load((byte[])null, "=x"), () => lua.Eval<int>(null),
                () => lua.LoadFile(null),
                () => lua.Get<int>(null), () => lua.Set(null, 1), () => lua.Call(null),
                () => lua.SetFunction("f", (Func<int>)null), () => lua.NewFunction(null),
                () => lua.SetFunction(null, () => { }), () => lua.History.Follow(null),
                () => lua.History.Follow<int>(null, n => { }), () => lua.CopyBytes("x", null),
                () => lua.NewResource<Version>(null, new Version(1, 0)),
                () => new ResourceType<Version>(null), () => lua.NamePointer(null, (IntPtr)99999) })
                Throws<ArgumentNullException>(action);
            Equal("image", Throws<ArgumentNullException>(() => Lua.Load((byte[])null)).ParamName);
            Action none = null;
            Equal("function", Throws<ArgumentNullException>(
                () => lua.SetFunction("f", none)).ParamName);
        }
    }

    public static void NullsThatAreValuesAreNil()
    {
        using (var lua = Open())
        {
            lua.Set("a", (Function)null);
            lua.Set("b", (string)null);
            lua.Set("c", (byte[])null);
            lua.Set("d", (int?)null);
            lua.Set("e", (int[])null);
            lua.Set("f", (Func<int>)null);
            lua.SetFunction("g", () => (string)null);
            lua.SetFunction("h", () => (Results)null);
            lua.SetFunction("count", (object[] all) => all.Length);
            Equal(true, lua.Execute("return not (a or b or c or d or e or f or g())")[0]);
            Equal(0L, lua.Eval<long>("select('#', h())"));
            Equal(1, lua.Get<Func<object[], int>>("count")(null));
            Equal(1, lua.Call<int>("count", null));
            True(!lua.History.Unfollow(null));
            Equal(null, lua.Globals[(string)null]);
            Throws<ArgumentException>(() => lua.Globals[(string)null] = 1);
        }
    }

    public static void BytesAreCopiedIntoTheHostsOwnArray()
    {
        using (var lua = Open())
        {
            lua.Execute("s = 'a\\0b\\xff' n = 1");
            var target = new byte[6];
            Equal(4, lua.CopyBytes("s", target, 1));
            Equal("00-61-00-62-FF-00", BitConverter.ToString(target));
            Equal(4, lua.CopyBytes("s", target, 5));
            Equal("00-61-00-62-FF-61", BitConverter.ToString(target));
            Equal(4, lua.CopyBytes("s", target, 6));
            Throws<ArgumentOutOfRangeException>(() => lua.CopyBytes("s", target, 7));
            Throws<ArgumentOutOfRangeException>(() => lua.CopyBytes("s", target, -1));
            Throws<InvalidCastException>(() => lua.CopyBytes("n", target));
        }
    }

    public static void AbsurdOptionsAreExceptions()
    {
        Throws<RluaException>(() => new Lua(memory: 64));
        Throws<ArgumentOutOfRangeException>(() => new Lua(memory: -1));
        Throws<ArgumentNullException>(() => new Lua(null));
        Equal(Status.BadConfig, Throws<RluaException>(
            () => new Lua(new Config { GcPause = -5 })).Status);
        Equal(Status.BadConfig, Throws<RluaException>(
            () => new Lua(new Config { Guard = (Guard)99 })).Status);
        Throws<InvalidOperationException>(() => Library.Path = "other.so");
        True(Library.Path != null);
        Contains("Lua 5.4", Library.Version);
    }

    public static void ConfigReachesTheVm()
    {
        var config = new Config { MemorySize = 3 * Mib, MaxSnapshots = 5, Tracker = Tracker.Cards,
                                  Profile = Profile.Stock };
        using (var lua = new Lua(config, Libs.None))
        {
            Info info = lua.Info;
            Equal(3L * Mib, info.LimitBytes);
            Equal(5L, info.MaxSnapshots);
            Equal(Tracker.Cards, info.Tracker);
            True(info.UsedBytes > 0 && info.UsedBytes < info.LimitBytes);
            Equal(null, lua["print"]);
            Equal(Status.Unsupported, Throws<RluaException>(() => lua.SetTime(1)).Status);
        }
    }

    public static void CModulesFindLuaWhenTheyAreAllowedTo()
    {
        Library.EnableCModules();
        using (var lua = Open())
        {
            object[] found = lua.Execute("return pcall(require, 'lpeg')");
            if ((bool)found[0])
                Equal(4L, lua.Eval<long>("require('lpeg').match(require('lpeg').P('abc'), 'abc')"));
            else
                Console.WriteLine("lpeg WAS NOT TRIED: apt-get install lua-lpeg");
            lua.Check();
        }
    }
}
