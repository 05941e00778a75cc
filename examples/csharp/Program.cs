// Program.cs: what Rlua.cs promises, checked on the real library.
// Method: each public method of Tests opens its own VM; it fails by an exception.
//
//     tests.exe           runs the tests
//     tests.exe demo      an undo history
//     tests.exe layout    prints what Rlua.cs declares of rlua.h, for check_layout.py

using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using System.Threading;
using Rlua;

internal static class Program
{
    private static int Main(string[] arguments)
    {
        switch (arguments.Length == 1 ? arguments[0] : "")
        {
            case "demo": return Demo();
            case "layout": Layout.Print(); return 0;
        }
        int passed = 0, failed = 0;
        foreach (MethodInfo test in typeof(Tests).GetMethods(BindingFlags.Public
                                                             | BindingFlags.Static))
        {
            try
            {
                test.Invoke(null, null);
                passed++;
            }
            catch (TargetInvocationException e)
            {
                failed++;
                Console.WriteLine("FAILED {0}: {1}", test.Name, e.InnerException);
            }
        }
        Console.WriteLine("{0} passed, {1} failed", passed, failed);
        return failed == 0 ? 0 : 1;
    }

    /// <summary>An undo history: every command is a snapshot, undo is a rollback.</summary>
    private static int Demo()
    {
        using (var lua = new Lua(memory: 1 << 20, snapshots: 16))
        {
            lua.Execute(@"
                local lines = {}
                function insert(text) lines[#lines + 1] = text end
                function shout() for i, line in ipairs(lines) do lines[i] = line:upper() end end
                function show() return table.concat(lines, ' ') end");
            Action<string> tell = what => Console.WriteLine("  {0,-14} [{1}]", what,
                                                            lua.Call("show")[0]);
            var commands = new[] {
                new[] { "insert", "to" }, new[] { "insert", "be" }, new[] { "shout" },
            };
            foreach (string[] command in commands)
            {
                lua.Snap();
                lua.Call(command[0], command.Skip(1).ToArray<object>());
                tell(string.Join(" ", command));
            }
            for (int undo = 1; undo <= commands.Length; undo++)
            {
                lua.Rollback(undo == 1 ? 1 : 2);
                tell("undo");
            }
            return (string)lua.Call("show")[0] == "" ? 0 : 1;
        }
    }
}

/// <summary>What Rlua.cs declares of rlua.h and lua.h, by the names that they have there.</summary>
internal static class Layout
{
    internal static void Print()
    {
        PrintEnum(typeof(Status), "RLUA_");
        PrintEnum(typeof(Tracker), "RLUA_TRACKER_");
        PrintEnum(typeof(Guard), "RLUA_GUARD_");
        PrintEnum(typeof(Profile), "RLUA_PROFILE_");
        PrintEnum(typeof(Libs), "RLUA_LIB_");
        PrintStruct(typeof(Native.Config), "rlua_Config");
        PrintStruct(typeof(Info), "rlua_Info");
        PrintStruct(typeof(Native.ResourceTypeStruct), "rlua_ResourceType");
        PrintStruct(typeof(Native.ParticipantStruct), "rlua_Participant");
        Console.WriteLine("RLUA_RAISE " + Native.Raise);
        Console.WriteLine("RLUA_NO_BUDGET " + unchecked((long)Lua.NoBudget));
        Console.WriteLine("LUA_MULTRET " + Native.MultipleResults);
        Console.WriteLine("LUA_GCCOLLECT " + Native.CollectAll);
        Console.WriteLine("LUA_TNIL " + Native.Nil);
        Console.WriteLine("LUA_TBOOLEAN " + Native.Boolean);
        Console.WriteLine("LUA_TNUMBER " + Native.Number);
        Console.WriteLine("LUA_TSTRING " + Native.String);
        Console.WriteLine("LUA_TTABLE " + Native.Table);
        Console.WriteLine("LUA_TUSERDATA " + Native.UserData);
        foreach (MethodInfo function in typeof(Native).GetMethods(BindingFlags.NonPublic
                                                                  | BindingFlags.Static))
            if (function.Name.StartsWith("rlua_", StringComparison.Ordinal))
                Console.WriteLine("{0}() {1}", function.Name, string.Join(",",
                    new[] { function.ReturnType }
                        .Concat(function.GetParameters().Select(p => p.ParameterType))
                        .Select(SizeOf)));
    }

    private static string Snake(string name)
    {
        return Regex.Replace(name, "(?<!^)([A-Z])", "_$1").ToLowerInvariant();
    }

    private static void PrintEnum(Type type, string prefix)
    {
        foreach (object value in Enum.GetValues(type))
            Console.WriteLine("{0}{1} {2}", prefix, Snake(value.ToString()).ToUpperInvariant(),
                              Convert.ToInt64(value));
    }

    private static void PrintStruct(Type type, string name)
    {
        Console.WriteLine("sizeof({0}) {1}", name, Marshal.SizeOf(type));
        foreach (FieldInfo field in type.GetFields(BindingFlags.Instance | BindingFlags.Public
                                                   | BindingFlags.NonPublic))
            Console.WriteLine("{0}.{1} {2}+{3}", name, Snake(field.Name),
                              Marshal.OffsetOf(type, field.Name), SizeOf(field.FieldType));
    }

    private static int SizeOf(Type type)
    {
        if (type == typeof(void))
            return 0;
        if (type.IsByRef || type.IsArray || typeof(Delegate).IsAssignableFrom(type))
            return IntPtr.Size;
        return Marshal.SizeOf(type.IsEnum ? Enum.GetUnderlyingType(type) : type);
    }
}

internal static class Tests
{
    private const int Mib = 1 << 20;

    private static Lua Open() { return new Lua(memory: Mib, snapshots: 8); }

    private static void Equal(object expected, object found)
    {
        if (!Equals(expected, found))
            throw new Exception(string.Format("expected {0}, found {1}", expected ?? "null",
                                              found ?? "null"));
    }

    private static T Throws<T>(Action action) where T : Exception
    {
        try { action(); }
        catch (T e) { return e; }
        throw new Exception("expected " + typeof(T).Name + ", found no exception");
    }

    private static string Show(object value)
    {
        if (value is object[] list)
            return "[" + string.Join(",", list.Select(Show)) + "]";
        if (value is Dictionary<object, object> table)
            return "{" + string.Join(",", table.Select(e => Show(e.Key) + "=" + Show(e.Value))
                                               .OrderBy(s => s, StringComparer.Ordinal)) + "}";
        if (value is byte[] bytes)
            return "bytes:" + BitConverter.ToString(bytes);
        return value == null ? "nil" : value.GetType().Name + ":" + value;
    }

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
            Equal(1L, lua.Call("count")[0]);
            lua.Snap();
            for (int round = 0; round < 3; round++)
            {
                Equal(2L, lua.Call("count")[0]);
                Equal(3L, lua.Call("count")[0]);
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
            lua["count"] = (HostFunction)(_ => ++n);
            lua.Follow(() => n, value => n = value);
            Equal(1L, lua.Call("count")[0]);
            lua.Snap();
            for (int round = 0; round < 3; round++)
            {
                Equal(2L, lua.Call("count")[0]);
                Equal(3L, lua.Call("count")[0]);
                lua.Rollback();
            }
            lua.Check();
        }
    }

    private sealed class Journal : IParticipant
    {
        internal readonly List<string> Events = new List<string>();
        internal bool Fails;
        public object Capture(long frame)
        {
            if (Fails)
                throw new InvalidOperationException("not now");
            return frame;
        }
        public void Restore(object token) { Events.Add("restore " + token); }
        public void Discard(object token) { Events.Add("discard " + token); }
    }

    public static void ParticipantSeesItsTokensComeBackOnce()
    {
        var journal = new Journal();
        using (var lua = Open())
        {
            lua.Follow(journal);
            lua.Snap(1);
            lua.Snap(2);
            journal.Fails = true;
            var failure = Throws<RluaException>(() => lua.Snap(3));
            Equal("not now", failure.InnerException.Message);
            lua.RollbackTo(1);
            Equal("restore 1, discard 2", string.Join(", ", journal.Events));
            lua.Check();
        }
        Equal("restore 1, discard 2, discard 1", string.Join(", ", journal.Events));
    }

    private static readonly List<object> Released = new List<object>();
    private static readonly ResourceType Texture = new ResourceType("texture", Released.Add);

    public static void ResourceIsReleasedOnceWhenNothingReachesIt()
    {
        Released.Clear();
        using (var lua = Open())
        {
            lua["width"] = (HostFunction)(a => ((string)a[0]).Length);
            lua["a"] = Texture.Wrap("aaa");
            Equal("aaa", lua["a"]);
            Equal(3L, lua.Execute("return width(a)")[0]);
            lua.Snap();
            lua["b"] = Texture.Wrap("b");
            lua["a"] = null;
            lua.Collect();
            Equal(0, Released.Count);
            lua.Rollback();
            Equal("b", string.Join(",", Released));
            Equal(3L, lua.Execute("return width(a)")[0]);
            lua["make"] = (HostFunction)(_ => Texture.Wrap("many"));
            Throws<RluaException>(() => lua.Execute(
                "local t = {} while true do t[#t + 1] = make() end"));
            lua.Collect();
            lua.Check();
        }
        Equal(1, Released.Count(name => (string)name == "aaa"));
    }

    public static void ReferenceCallsAndKnowsWhenItIsStale()
    {
        using (var lua = Open())
        {
            lua.Execute("function add(a, b) return a + b end");
            Reference add = lua.Ref("add");
            lua.Snap();
            lua["add"] = null;
            Reference later = lua.Ref("math.max");
            Equal(3L, add.Call(1, 2)[0]);
            Equal(2L, later.Call(1, 2)[0]);
            lua["again"] = add;
            Equal(4L, lua.Call("again", 2, 2)[0]);
            lua.Rollback();
            for (int i = 0; i < 1000; i++)
                lua.Ref("add");
            Throws<StaleException>(() => later.Call(1, 2));
            Equal(3L, add.Call(1, 2)[0]);
            add.Dispose();
            Throws<StaleException>(() => add.Call(1, 2));
            lua.Check();
        }
    }

    public static void ReferenceToNilOrOfAnotherVmIsRefused()
    {
        using (var lua = Open())
        using (var other = Open())
        {
            Equal(Status.BadArg, Throws<RluaException>(() => lua.Ref("nope")).Status);
            Equal(Status.BadArg, Throws<RluaException>(() => lua.Ref("math.nope")).Status);
            other.Execute("function secret() return 'theirs' end");
            Reference secret = other.Ref("secret");
            lua["mine"] = "mine";
            lua.Ref("mine");    // which has the same number
            Equal(Status.BadArg, Throws<RluaException>(() => lua["copy"] = secret).Status);
            Equal("theirs", secret.Call()[0]);
            lua.Check();
        }
    }

    public static void DisposedTwiceAndAfterItsLua()
    {
        var lua = Open();
        Reference max = lua.Ref("math.max"), min = lua.Ref("math.min");
        max.Dispose();
        max.Dispose();
        lua.Check();
        lua.Dispose();
        lua.Dispose();
        min.Dispose();
        Throws<ObjectDisposedException>(() => min.Call(1));
    }

    public static void WrappedObjectCanBeGivenOnce()
    {
        Released.Clear();
        using (var lua = Open())
        {
            object wrapped = Texture.Wrap("one");
            lua["a"] = wrapped;
            Throws<InvalidOperationException>(() => lua["b"] = wrapped);
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
            lua.Follow(closer);
            lua["a"] = new ResourceType("closer", closer.Close).Wrap("a");
            lua.Snap();
            lua.Snap();
            lua.Rollback(2);
            lua["a"] = null;
            lua.SetMaxSnapshots(0);
            lua.Collect();
            Equal(6, closer.Busy);
            Equal(2L, lua.Execute("return 1 + 1")[0]);
            lua.Check();
        }
    }

    public static void CoroutineSuspendedAtTheSnapshotResumesTwice()
    {
        using (var lua = Open())
        {
            lua.Execute(@"co = coroutine.wrap(function()
                for i = 1, 9 do coroutine.yield(i) end
            end)");
            lua.Call("co");
            lua.Snap();
            Equal(2L, lua.Call("co")[0]);
            Equal(3L, lua.Call("co")[0]);
            lua.Rollback();
            Equal(2L, lua.Call("co")[0]);
            lua.Check();
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
            lua.DiscardBefore(20);
            Equal(20L, lua.Info.OldestFrame);
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
            Equal(20L, lua.NewestFrame);
            Equal(30L, lua.Info.HighestFrame);
            Equal(Status.BadFrame, Throws<RluaException>(() => lua.Snap(19)).Status);
            lua.SetMaxSnapshots(0);
            Equal(Status.Disabled, Throws<RluaException>(() => lua.Snap()).Status);
            Equal(null, lua.NewestFrame);
            lua.SetTime(1700000000, 500000000);
            lua.Execute("clock, day = os.clock() - os.time(), os.date('%F')");
            Equal(0.5, lua["clock"]);
            Equal("2023-11-14", lua["day"]);
            Equal(Status.BadArg, Throws<RluaException>(() => lua.SetTime(0, -1)).Status);
            using (var other = new Lua(memory: 1 << 20, seed: 7))
                Equal(false, other.ConfigDigest == lua.ConfigDigest);
            lua.Check();
        }
    }

    public static void AbsentSnapshotsAreExceptions()
    {
        using (var lua = Open())
        {
            foreach (int n in new[] { -1, 0, 1, int.MaxValue })
                if (Throws<NoSnapshotException>(() => lua.Rollback(n)).Message == "")
                    throw new Exception("no message");
        }
    }

    public static void ScalarsRoundTripWithTheirTypes()
    {
        using (var lua = Open())
        {
            var values = new object[] {
                null, true, false, 0L, -1L, long.MinValue, long.MaxValue, 1.5, 1.0,
                double.PositiveInfinity, "", "text", "ñ 日本 🎮", "nul\0inside",
            };
            foreach (object value in values)
            {
                lua["v"] = value;
                Equal(Show(value), Show(lua["v"]));
            }
            lua["v"] = "日本";
            Equal("[Int64:6,Int64:2]", Show(lua.Execute("return #v, utf8.len(v)")));
            lua["v"] = new byte[] { 0xff, 0 };
            Equal("bytes:FF-00", Show(lua["v"]));
            lua["v"] = (byte)7;
            Equal(7L, lua["v"]);
            Throws<OverflowException>(() => lua["v"] = ulong.MaxValue);
            lua.Check();
        }
    }

    public static void ContainersRoundTrip()
    {
        using (var lua = Open())
        {
            lua["v"] = new Dictionary<string, object> {
                { "list", new[] { 1, 2 } }, { "empty", new object[0] },
                { "map", new Dictionary<int, string> { { 5, "five" } } },
            };
            Equal("{String:empty={},String:list=[Int64:1,Int64:2],"
                  + "String:map={Int64:5=String:five}}", Show(lua["v"]));
            lua["v"] = Enumerable.Range(0, 1000);
            Equal(1000, ((object[])lua["v"]).Length);
            lua.Check();
        }
    }

    public static void ValuesWithoutACounterpartAreRefused()
    {
        using (var lua = Open())
        {
            var circle = new object[1];
            circle[0] = circle;
            Throws<NotSupportedException>(() => lua["v"] = circle);
            Throws<NotSupportedException>(() => lua["v"] = new Version(1, 2));
            Throws<ArgumentException>(() => lua["a\0b"] = 1);
            foreach (string code in new[] { "v = print", "v = {}; v.v = v", "v = {[{}] = 1}" })
            {
                lua.Execute(code);
                Throws<NotSupportedException>(() => lua["v"].ToString());
            }
            lua.Check();
        }
    }

    public static void ScriptErrorsCarryTextAndValue()
    {
        using (var lua = Open())
        {
            Equal("main:2:", Throws<ScriptException>(() => lua.Execute("local x\nx.y = 1", "=main"))
                             .Message.Substring(0, 7));
            Throws<ScriptSyntaxException>(() => lua.Execute("x = = 1"));
            Throws<ScriptSyntaxException>(() => lua.Execute("\x1bLua"));
            var e = Throws<ScriptException>(() => lua.Execute("error({code = 7})"));
            Equal("{String:code=Int64:7}", Show(e.Value));
            e = Throws<ScriptException>(() => lua.Execute(
                "error(setmetatable({}, {__tostring = function() return 'mine' end}))"));
            Equal("mine", e.Message);
            Throws<ScriptException>(() => lua.Call("absent"));
            Throws<ScriptException>(() => lua.Call("absent.deeper"));
            lua.Check();
        }
    }

    public static void ScriptErrorsCarryATracebackAndShowIt()
    {
        using (var lua = Open())
        {
            lua.Execute("function f() error({}) end\nfunction g() f() end", "=ai");
            lua["fail"] = (HostFunction)(a => throw new Exception("no"));
            lua.Snap();
            lua.Rollback();
            Reference g = lua.Ref("g");
            foreach (Action action in new Action[] { () => lua.Execute("g()"), () => lua.Call("g"),
                                                     () => g.Call() })
            {
                var e = Throws<ScriptException>(action);
                Equal(true, e.Traceback.StartsWith("stack traceback:\n"));
                Equal(true, e.Traceback.Contains("ai:2: in "));
                Equal(true, e.ToString().Contains("ai:2: in "));
                Equal(false, e.Message.Contains("traceback"));
                Equal("{}", Show(e.Value));
            }
            Equal(true, Throws<ScriptException>(() => lua.Execute("\nfail()", "=host")).Traceback
                        .Contains("host:2: in "));
            Equal(null, Throws<ScriptException>(() => lua.Execute("x = = 1")).Traceback);
            lua.Check();
        }
    }

    public static void AScriptThatUsesUpTheBudgetIsStopped()
    {
        using (var lua = new Lua(memory: 1 << 20, snapshots: 2, libs: Libs.Sandbox))
        {
            Equal(null, lua["io"]);
            Equal(Lua.NoBudget, lua.Budget);
            lua.Budget = 10000;
            lua.Snap();
            Throws<BudgetException>(() => lua.Execute("n = 1 while true do pcall(error) end"));
            Equal(0UL, lua.Budget);
            lua.Rollback();
            Equal(true, lua.Budget > 9000);
            Equal(null, lua["n"]);
        }
    }

    public static void OutOfMemoryInAPushLeavesTheVmUsable()
    {
        using (var lua = Open())
        {
            Throws<MemoryLimitException>(() => lua["big"] = new string('x', 2 * Mib));
            Throws<MemoryLimitException>(
                () => lua["big"] = Enumerable.Range(0, 50000).Select(i => i.ToString("D60")));
            Throws<MemoryLimitException>(
                () => lua.Execute("local s = {} while true do s[#s + 1] = ('x'):rep(99) end"));
            lua.Collect();
            Equal(null, lua["big"]);
            Equal(2L, lua.Execute("return 1 + 1")[0]);
            lua.Check();
        }
    }

    public static void OutOfMemoryAtAnyLimitIsAnException()
    {
        int unopened = 0, failed = 0, fitted = 0;
        for (int limit = 4096; limit < 128 * 1024; limit += 512)
        {
            Lua lua;
            try { lua = new Lua(memory: limit, snapshots: 1); }
            catch (RluaException) { unopened++; continue; }
            using (lua)
            {
                try
                {
                    lua["f"] = (HostFunction)(a => new Results(a[0], new string('y', 2000)));
                    lua["tree"] = Enumerable.Range(0, 40).Select(i => i.ToString("D64"));
                    lua.Execute("x, y = f(tree)");
                    Equal(40, ((object[])lua["x"]).Length);
                    fitted++;
                }
                catch (MemoryLimitException) { failed++; }
                catch (ScriptException e)
                {
                    Equal(true, e.Message.Contains("memory"));
                    failed++;
                }
                lua.Check();
            }
        }
        Equal(true, unopened > 0 && failed > 0 && fitted > 0);
    }

    public static void HostFunctionsTakeAndGive()
    {
        using (var lua = Open())
        {
            lua["sum"] = (HostFunction)(a => a.Sum(Convert.ToDouble));
            lua["swap"] = (HostFunction)(a => new Results(a[1], a[0]));
            lua["none"] = (HostFunction)(a => new Results());
            Equal(6.5, lua.Execute("return sum(1, 2, 3.5)")[0]);
            Equal("[String:b,Int64:1]", Show(lua.Call("swap", 1, "b")));
            Equal(0L, lua.Execute("return select('#', none())")[0]);
            object[] many = Enumerable.Range(0, 200).Select(i => (object)(long)i).ToArray();
            lua["all"] = (HostFunction)(a => new Results(a));
            Equal(Show(many), Show(lua.Call("all", many)));
            lua.Check();
        }
    }

    public static void ExceptionOfAHostFunctionIsALuaErrorAndAnInnerException()
    {
        using (var lua = Open())
        {
            var thrown = new InvalidOperationException("no");
            lua["fail"] = (HostFunction)(a => throw thrown);
            Equal(thrown, Throws<ScriptException>(() => lua.Execute("fail()")).InnerException);
            Equal(thrown, Throws<ScriptException>(() => lua.Execute("coroutine.wrap(fail)()"))
                          .InnerException);
            Equal("[Boolean:False,String:InvalidOperationException: no]",
                  Show(lua.Execute("return pcall(fail)")));
            Equal("[Boolean:False,String:ai.lua:2: InvalidOperationException: no]",
                  Show(lua.Execute("return pcall(function()\n fail()\nend)", "@ai.lua")));
            lua["outer"] = (HostFunction)(a => lua.Execute("fail()"));
            Equal(thrown, Throws<ScriptException>(() => lua.Execute("outer()")).InnerException);
            Equal(null, Throws<ScriptException>(() => lua.Execute("error('x')")).InnerException);
            lua.Check();
        }
    }

    public static void ArgumentErrorsNameFunctionArgumentAndLine()
    {
        using (var lua = Open())
        {
            lua["show"] = (HostFunction)(a => a.Get<int>(0) + ":" + a.Get<string>(1));
            lua["draw"] = (HostFunction)(a => a.Get<double>(0));
            Equal("3:x", lua.Execute("return show(3.0, 'x')")[0]);
            Equal(2.0, lua.Execute("return draw(2)")[0]);
            lua["maybe"] = (HostFunction)(a => a.Get<int?>(0) ?? -1);
            Equal("[Int64:-1,Int64:4]", Show(lua.Execute("return maybe(), (maybe(4))")));
            var cases = new Dictionary<string, string> {
                { "show('x')", "#1 to 'show' (integer in range expected, got string)" },
                { "show(1 << 40)", "#1 to 'show' (integer in range expected, got number)" },
                { "show(1.5)", "#1 to 'show' (integer in range expected, got number)" },
                { "show(1)", "#2 to 'show' (string expected, got no value)" },
                { "show(1, nil)", "#2 to 'show' (string expected, got nil)" },
                { "draw({})", "#1 to 'draw' (number expected, got table)" },
                { "draw(1, print)", "#2 to 'draw' (a Lua function has no C# value" },
            };
            foreach (var each in cases)
            {
                var e = Throws<ScriptException>(() => lua.Execute("\n\n" + each.Key, "@ai.lua"));
                string wanted = "ai.lua:3: bad argument " + each.Value;
                Equal(wanted, e.Message.Substring(0, Math.Min(wanted.Length, e.Message.Length)));
                Equal(typeof(ScriptArgumentException), e.InnerException.GetType());
            }
            lua.Check();
        }
    }

    public static void ScriptErrorThatAHostFunctionPassesOnStaysAsItWas()
    {
        using (var lua = Open())
        {
            lua["run"] = (HostFunction)(a => lua.Execute((string)a[0], "=inner"));
            lua.Execute("function outer(...)\n run(...)\nend", "=outer");
            var e = Throws<ScriptException>(() => lua.Call("outer", "\n\nerror('deep')"));
            Equal("inner:3: deep", e.Message);
            Equal(true, e.Traceback.Contains("inner:3: in "));
            Equal(true, e.Traceback.Contains("outer:2: in "));
            e = Throws<ScriptException>(() => lua.Execute("error('inner:3: deep', 0)"));
            Equal(false, e.Traceback.Contains("inner:3: in "));
            Equal("[Boolean:False,String:inner:1: deep]",
                  Show(lua.Execute("return pcall(outer, 'error(\"deep\")')")));
            lua.Check();
        }
    }

    // Mono turns the SIGSEGV of a null reference into an exception, here with Lua's frames below.
    public static void NullReferenceInAHostFunctionIsALuaError()
    {
        using (var lua = Open())
        {
            string nothing = null;
            lua["fail"] = (HostFunction)(a => nothing.Length);
            for (int i = 0; i < 10; i++)
            {
                var e = Throws<ScriptException>(() => lua.Execute("fail()"));
                Equal(typeof(NullReferenceException), e.InnerException.GetType());
            }
            lua.Snap();
            lua.Rollback();
            lua.Check();
        }
    }

    public static void OutOfMemoryInAHostFunctionsResultCanBeCaught()
    {
        using (var lua = Open())
        {
            lua["big"] = (HostFunction)(a => new string('x', 2 * Mib));
            Equal(false, lua.Execute("return (pcall(big))")[0]);
            var e = Throws<ScriptException>(() => lua.Call("big"));
            Equal(typeof(MemoryLimitException), e.InnerException.GetType());
            lua.Check();
        }
    }

    public static void SnapAndDisposeInAHostFunctionAreBusy()
    {
        using (var lua = Open())
        {
            lua.Snap();
            var actions = new Action[] { () => lua.Snap(), () => lua.Rollback(), lua.Dispose,
                                         () => lua.DiscardBefore(5), () => lua.RollbackTo(0) };
            foreach (Action action in actions)
            {
                lua["act"] = (HostFunction)(a => { action(); return null; });
                foreach (string code in new[] { "act()", "coroutine.wrap(act)()" })
                {
                    var e = Throws<ScriptException>(() => lua.Execute(code));
                    Equal(typeof(BusyException), e.InnerException.GetType());
                }
            }
            Equal((UIntPtr)1u, lua.Info.SnapshotCount);
            lua.Check();
        }
    }

    public static void HostFunctionCollectedAfterTheSnapshotIsBackAfterTheRollback()
    {
        using (var lua = Open())
        {
            lua["f"] = (HostFunction)(a => "alive");
            lua.Snap();
            lua["f"] = null;
            lua.Collect();
            GC.Collect();
            lua.Rollback();
            GC.Collect();
            Equal("alive", lua.Call("f")[0]);
            lua.Check();
        }
    }

    public static void HostFunctionsSurviveCollectionsOfTheRuntime()
    {
        using (var lua = Open())
        {
            for (int i = 0; i < 100; i++)
            {
                int captured = i;
                lua["f" + i] = (HostFunction)(a => captured);
            }
            GC.Collect();
            GC.WaitForPendingFinalizers();
            for (int i = 0; i < 100; i++)
                Equal((long)i, lua.Call("f" + i)[0]);
            lua.Check();
        }
    }

    public static void EndlessRecursionThroughTheHostIsAnException()
    {
        using (var lua = Open())
        {
            lua["again"] = (HostFunction)(a => new Results(lua.Call("again")));
            Throws<ScriptException>(() => lua.Call("again"));
            lua.Check();
        }
    }

    public static void UseAfterDisposeIsAnException()
    {
        var lua = Open();
        lua.Dispose();
        lua.Dispose();
        Throws<ObjectDisposedException>(() => lua.Execute("x = 1"));
        Throws<ObjectDisposedException>(() => lua.Snap());
        Throws<ObjectDisposedException>(() => lua["x"] = 1);
    }

    public static void AnotherThreadIsRefused()
    {
        using (var lua = Open())
        {
            int refused = 0;
            var thread = new Thread(() => {
                Throws<InvalidOperationException>(() => lua.Execute("x = 1"));
                Throws<InvalidOperationException>(() => lua.Dispose());
                refused = 2;
            });
            thread.Start();
            thread.Join();
            Equal(2, refused);
        }
    }

    public static void VmsOnSeveralThreadsDoNotDisturbEachOther()
    {
        var totals = new object[4];
        var threads = Enumerable.Range(0, 4).Select(n => new Thread(() => {
            using (var lua = Open())
            {
                lua["sum"] = 0;
                lua["add"] = (HostFunction)(a => (long)a[0] + (long)a[1]);
                for (int i = 0; i < 200; i++)
                {
                    lua.Snap();
                    lua.Execute("sum = add(sum, " + n + ")");
                }
                totals[n] = lua["sum"];
            }
        })).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        for (int n = 0; n < 4; n++)
            Equal(200L * n, totals[n]);
    }

    public static void FinalizersOfTheScriptMayCallTheHostAtDispose()
    {
        int calls = 0;
        var lua = Open();
        lua["seen"] = (HostFunction)(a => ++calls);
        lua.Execute("x = setmetatable({}, {__gc = function() seen() end})");
        lua.Dispose();
        Equal(1, calls);
    }

    // The runtime's finalizer thread closes it; the script's finalizer then calls a host function
    // that may be gone, which must be an error to the script and nothing worse.
    public static void ForgottenVmIsClosedByTheRuntime()
    {
        WeakReference gone = null;
        var thread = new Thread(() => {
            for (int i = 0; i < 10; i++)
            {
                var lua = Open();
                lua["seen"] = (HostFunction)(a => null);
                lua.Execute("x = setmetatable({}, {__gc = function() pcall(seen) end})");
                gone = new WeakReference(lua);
            }
        });
        thread.Start();
        thread.Join();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        if (gone.IsAlive)
            throw new Exception("the last of ten forgotten VMs is still alive");
    }

    public static void AbsurdOptionsAreExceptions()
    {
        Throws<RluaException>(() => new Lua(memory: 64));
        Throws<ArgumentOutOfRangeException>(() => new Lua(memory: -1));
    }
}
