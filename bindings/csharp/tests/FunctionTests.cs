// FunctionTests.cs: calls both ways: conversions, errors and exceptions, tracebacks, lifetimes.

using System;
using System.Collections.Generic;
using System.Linq;
using Rlua;
using static Expect;

internal static class FunctionTests
{
    public static void HostFunctionsTakeAndGive()
    {
        using (var lua = Open())
        {
            lua.SetFunction("sum", (object[] a) => a.Sum(Convert.ToDouble));
            lua.SetFunction("add", (long a, double b) => a + b);
            lua.SetFunction("swap", (object a, object b) => (b, a));
            lua.SetFunction("three", () => (1, "two", 3.0));
            int calls = 0;
            lua.SetFunction("none", () => { calls++; });
            lua.SetFunction("six", (int a, int b, int c, int d, int e, int f) =>
                            a + b + c + d + e + f);
            Equal(6.5, lua.Eval<double>("sum(1, 2, 3.5)"));
            Equal(3.5, lua.Eval<double>("add(1, 2.5)"));
            Equal("[String:b,Int64:1]", Show(lua.Call("swap", 1, "b")));
            Equal("[Int64:1,String:two,Double:3]", Show(lua.Call("three")));
            Equal(0L, lua.Eval<long>("select('#', none())"));
            Equal(1, calls);
            Equal(21, lua.Eval<int>("six(1, 2, 3, 4, 5, 6)"));
            Equal("[]", Show(lua.Call("none", 1, 2, 3)));     // more than it takes
            object[] many = Enumerable.Range(0, 200).Select(i => (object)(long)i).ToArray();
            lua["all"] = (Func<object[], object>)(a => new Results(a));
            Equal(Show(many), Show(lua.Call("all", many)));
            Equal("[nil]", Show(lua.Call("all", null)));
            lua.Check();
        }
    }

    private delegate string Custom(int a, string b);

    public static void AnyDelegateIsAFunction()
    {
        using (var lua = Open())
        {
            lua["f"] = (Custom)((a, b) => b + a);
            lua["g"] = new Func<int, int, int, int, int, int, int, int, int>(
                (a, b, c, d, e, f, g, h) => a + h);
            Equal("x1", lua.Call<string>("f", 1, "x"));
            Equal(9, lua.Call<int>("g", 1, 2, 3, 4, 5, 6, 7, 8));
            var e1 = Throws<ScriptException>(() => lua.Execute("f('y')"));
            Contains("bad argument #1 to 'f' (integer in range", e1.Message);
            lua["h"] = (Custom)((a, b) => { throw new FormatException("odd"); });
            Equal(typeof(FormatException), Throws<ScriptException>(
                () => lua.Call("h", 1, "")).InnerException.GetType());
            Throws<ArgumentNullException>(() => lua.SetFunction("n", (Action)null));
            lua.Check();
        }
    }

    public static void FunctionsOfScriptsBecomeDelegates()
    {
        using (var lua = Open())
        {
            lua.Execute(@"function add(a, b) return a + b end
                function two() return 1, 'x' end function set(n) seen = n end
                function count(...) return select('#', ...) end");
            var add = lua.Get<Func<long, long, long>>("add");
            Equal(5L, add(2, 3));
            Equal(2.5, lua.Get<Func<double, double, double>>("add")(1, 1.5));
            Equal("x", lua.Get<Func<ValueTuple<int, string>>>("two")().Item2);
            lua.Get<Action<string>>("set")("here");
            Equal("here", lua["seen"]);
            Equal(3L, lua.Get<Func<object[], object>>("count")(new object[] { 1, null, 2 }));
            Equal(0L, lua.Get<Func<long>>("count")());
            Throws<InvalidCastException>(() => lua.Get<Func<bool>>("two")());
            Throws<NotSupportedException>(() => lua.Get<Custom>("add"));
            Throws<ScriptException>(() => add(1, 2).Equals(lua.Get<Func<string, long, long>>("add")(
                "x", 1)));
            lua.SetFunction("apply", (Func<long, long> f, long n) => f(f(n)));
            Equal(12L, lua.Eval<long>("apply(function(n) return n * 2 end, 3)"));
            Equal(null, lua.Get<Func<long>>("absent"));
            lua.Check();
        }
    }

    public static void ArgumentErrorsNameFunctionArgumentAndLine()
    {
        using (var lua = Open())
        {
            lua.SetFunction("show", (int n, string s) => n + ":" + s);
            lua.SetFunction("draw", (double n) => n);
            lua.SetFunction("maybe", (int? n) => n ?? -1);
            lua.SetFunction("hit", (Table t) => t.Length);
            lua.SetFunction("call", (Func<int> f) => f());
            lua.SetFunction("mine", (int n) =>
            {
                throw new ScriptArgumentException(1, "no such unit");
            });
            Equal("3:x", lua.Eval<string>("show(3.0, 'x')"));
            Equal(2.0, lua.Eval<double>("draw(2)"));
            Equal("[Int64:-1,Int64:4]", Show(lua.Execute("return maybe(), (maybe(4))")));
            var cases = new Dictionary<string, string> {
                { "show('x')", "#1 to 'show' (integer in range expected, got string)" },
                { "show(1 << 40)", "#1 to 'show' (integer in range expected, got number)" },
                { "show(1.5)", "#1 to 'show' (integer in range expected, got number)" },
                { "show(1)", "#2 to 'show' (string in UTF-8 expected, got no value)" },
                { "show(1, nil)", "#2 to 'show' (string in UTF-8 expected, got nil)" },
                { "show(1, '\\xff')", "#2 to 'show' (string in UTF-8 expected, got string)" },
                { "draw({})", "#1 to 'draw' (number expected, got table)" },
                { "hit(nil)", "#1 to 'hit' (Table expected, got nil)" },
                { "hit(print)", "#1 to 'hit' (Table expected, got function)" },
                { "call({})", "#1 to 'call' (function expected, got table)" },
                { "mine(1)", "#1 to 'mine' (no such unit)" },
            };
            foreach (var each in cases)
            {
                var e = Throws<ScriptException>(() => lua.Execute("\n\n" + each.Key, "@ai.lua"));
                Equal("ai.lua:3: bad argument " + each.Value, e.Message);
                Equal(typeof(ScriptArgumentException), e.InnerException.GetType());
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
            var e = Throws<ScriptException>(() => lua.Execute("error({code = 7})"));
            Equal("{String:code=Int64:7}", Show(e.Value));
            e = Throws<ScriptException>(() => lua.Execute(
                "error(setmetatable({}, {__tostring = function() return 'mine' end}))"));
            Equal("mine", e.Message);
            e = Throws<ScriptException>(() => lua.Execute(
                "local t = {} for i = 1, 5000 do t[i] = i end error(t)"));
            Equal(null, e.Value);
            Equal(5000, lua.Eval<Table>("(function() local t = {} for i = 1, 5000 do t[i] = i end "
                                        + "return t end)()").Copy<object[]>().Length);
            e = Throws<ScriptException>(() => lua.Execute("error(print)"));
            Contains("function: builtin: print", e.Message);
            Equal(null, e.Value);
            Equal("nul\0inside", Throws<ScriptException>(
                () => lua.Execute("error('nul\\0inside', 0)")).Message);
            Equal("bytes:FF", Show(Throws<ScriptException>(
                () => lua.Execute("error('\\xff', 0)")).Value));
            e = Throws<ScriptException>(() => lua.Execute(
                "error(setmetatable({}, {__tostring = error}))"));
            Contains("error object is a table", e.Message);
            lua.Check();
        }
    }

    public static void ScriptErrorsCarryATracebackAndShowIt()
    {
        using (var lua = Open())
        {
            lua.Execute("function f() error({}) end\nfunction g() f() end", "=ai");
            lua.SetFunction("fail", () => { throw new Exception("no"); });
            lua.Snap();
            lua.Rollback();
            var g = lua.Get<Function>("g");
            var typed = g.To<Action>();
            foreach (Action action in new Action[] { () => lua.Execute("g()"), () => lua.Call("g"),
                                                     () => g.Call(), typed })
            {
                var e = Throws<ScriptException>(action);
                True(e.Traceback.StartsWith("stack traceback:\n"));
                Contains("ai:2: in ", e.Traceback);
                Contains("ai:2: in ", e.ToString());
                True(!e.Message.Contains("traceback"));
                Equal("{}", Show(e.Value));
            }
            Contains("host:2: in ", Throws<ScriptException>(
                () => lua.Execute("\nfail()", "=host")).Traceback);
            Equal(null, Throws<ScriptException>(() => lua.Execute("x = = 1")).Traceback);
            lua.Check();
        }
    }

    public static void ExceptionOfAHostFunctionIsALuaErrorAndAnInnerException()
    {
        using (var lua = Open())
        {
            var thrown = new InvalidOperationException("no");
            lua.SetFunction("fail", () => { throw thrown; });
            Equal(thrown, Throws<ScriptException>(() => lua.Execute("fail()")).InnerException);
            Equal(thrown, Throws<ScriptException>(() => lua.Execute("coroutine.wrap(fail)()"))
                          .InnerException);
            Equal("[Boolean:False,String:InvalidOperationException: no]",
                  Show(lua.Execute("return pcall(fail)")));
            Equal("[Boolean:False,String:ai.lua:2: InvalidOperationException: no]",
                  Show(lua.Execute("return pcall(function()\n fail()\nend)", "@ai.lua")));
            Equal(thrown, Throws<ScriptException>(() => lua.Execute(
                "local _, e = pcall(fail) error('while loading: ' .. e)")).InnerException);
            lua.SetFunction("outer", () => { lua.Execute("fail()"); });
            Equal(thrown, Throws<ScriptException>(() => lua.Execute("outer()")).InnerException);
            Equal(null, Throws<ScriptException>(() => lua.Execute("error('x')")).InnerException);
            var longer = new Exception("ab");
            lua.SetFunction("longer", () => { throw longer; });
            lua.SetFunction("shorter", () => { throw new Exception("a"); });
            Equal(longer, Throws<ScriptException>(() => lua.Execute(
                "local _, m = pcall(longer) pcall(shorter) error(m, 0)")).InnerException);
            lua.SetFunction("zero", () => { throw new Exception("a\0b"); });
            Contains("a\\0b", Throws<ScriptException>(() => lua.Execute("zero()")).Message);
            lua.Check();
        }
    }

    public static void ErrorThatAHostFunctionPassesOnStaysAsItWas()
    {
        using (var lua = Open())
        {
            lua.SetFunction("run", (string code) => { lua.Execute(code, "=inner"); });
            lua.Execute("function outer(...)\n run(...)\nend", "=outer");
            var e = Throws<ScriptException>(() => lua.Call("outer", "\n\nerror('deep')"));
            Equal("inner:3: deep", e.Message);
            Contains("inner:3: in ", e.Traceback);
            Contains("outer:2: in ", e.Traceback);
            e = Throws<ScriptException>(() => lua.Execute("error('inner:3: deep', 0)"));
            True(!e.Traceback.Contains("inner:3: in "));
            Equal("[Boolean:False,String:inner:1: deep]",
                  Show(lua.Execute("return pcall(outer, 'error(\"deep\")')")));
            // The very value: a table keeps its identity, and bytes that are no text theirs.
            Equal(true, lua.Execute("E = {} local _, e = pcall(run, 'error(E)') return e == E")[0]);
            Equal(true, lua.Execute("local _, e = pcall(run, 'error(\"\\\\xff\", 0)') "
                                    + "return e == '\\xff'")[0]);
            lua.Check();
        }
    }

    // Mono turns the SIGSEGV of a null reference into an exception, here with Lua's frames below.
    public static void NullReferenceInAHostFunctionIsALuaError()
    {
        using (var lua = Open())
        {
            string nothing = null;
            lua.SetFunction("fail", () => nothing.Length);
            for (int i = 0; i < 10; i++)
                Equal(typeof(NullReferenceException), Throws<ScriptException>(
                    () => lua.Execute("fail()")).InnerException.GetType());
            lua.Snap();
            lua.Rollback();
            lua.Check();
        }
    }

    public static void SnapAndDisposeInAHostFunctionAreBusy()
    {
        using (var lua = Open())
        {
            lua.Snap();
            var actions = new Action[] { () => lua.Snap(), () => lua.Rollback(), lua.Dispose,
                                         () => lua.DiscardBefore(5), () => lua.RollbackTo(0),
                                         () => lua.History.Limit = 1, lua.MoveToThisThread };
            foreach (Action action in actions)
            {
                lua.SetFunction("act", action);
                foreach (string code in new[] { "act()", "coroutine.wrap(act)()" })
                    Equal(typeof(BusyException), Throws<ScriptException>(
                        () => lua.Execute(code)).InnerException.GetType());
            }
            Equal(1L, lua.Info.SnapshotCount);
            lua.Check();
        }
    }

    public static void EndlessRecursionThroughTheHostIsAnException()
    {
        using (var lua = Open())
        {
            lua.SetFunction("again", () => { lua.Call("again"); });
            Throws<ScriptException>(() => lua.Call("again"));
            Equal(2L, lua.Eval<long>("1 + 1"));
            lua.Check();
        }
    }

    // 512 KiB is what the library asks for: 200 calls through the host have to fit.
    public static void EndlessRecursionOnASmallStackIsAnException()
    {
        Exception failure = null;
        var thread = new System.Threading.Thread(() =>
        {
            try
            {
                EndlessRecursionThroughTheHostIsAnException();
                using (var lua = Open())
                {
                    lua.SetFunction("again", (object[] a) => lua.Call<object>("again", a));
                    lua.SetFunction("wrap", (Func<object[], object> f) => f(new object[] { f }));
                    Throws<ScriptException>(() => lua.Call("again", 1, 2, 3));
                    Throws<ScriptException>(() => lua.Execute(
                        "local function f(g) return wrap(f) end wrap(f)"));
                    Throws<ScriptException>(() => lua.Execute(
                        "function again() coroutine.wrap(again2)() end function again2() "
                        + "wrap(again) end again()"));
                }
            }
            catch (Exception e) { failure = e; }
        }, 512 * 1024);
        thread.Start();
        thread.Join();
        if (failure != null)
            throw failure;
    }

    public static void AScriptThatUsesUpTheBudgetIsStopped()
    {
        using (var lua = new Lua(memory: Mib, snapshots: 2, libs: Libs.Sandbox))
        {
            Equal(null, lua.Budget);
            lua.Budget = 10000;
            lua.Snap();
            Throws<BudgetException>(() => lua.Execute("n = 1 while true do pcall(error) end"));
            Equal(0L, lua.Budget);
            lua.Rollback();
            True(lua.Budget > 9000);
            Equal(null, lua["n"]);
            lua.SetFunction("call", (Action f) => { try { f(); } catch (BudgetException) { } });
            Throws<BudgetException>(() => lua.Execute("call(function() while true do end end)"));
            Throws<BudgetException>(() => lua.Execute("x = 1"));
            lua.Budget = null;
            Equal(2L, lua.Eval<long>("1 + 1"));
            Throws<ArgumentOutOfRangeException>(() => lua.Budget = -1);
        }
    }

    public static void TheClockAndTheDigestArePartOfWhatPeersShare()
    {
        using (var lua = Open())
        using (var other = new Lua(new Config { MemorySize = Mib, Seed = 7 }))
        {
            lua.SetTime(1700000000, 500000000);
            lua.Execute("clock, day = os.clock() - os.time(), os.date('%F')");
            Equal(0.5, lua["clock"]);
            Equal("2023-11-14", lua["day"]);
            Equal(Status.BadArg, Throws<RluaException>(() => lua.SetTime(0, -1)).Status);
            True(other.ConfigDigest != lua.ConfigDigest);
            lua.NamePointer("game.world", (IntPtr)0x123456);
            lua["p"] = (IntPtr)0x123456;
            Contains("game.world", lua.Eval<string>("tostring(p)"));
        }
    }

    // What the host gave away as a value lives as long as somebody can call it.

    private static int SlotsOf(Lua lua)
    {
        object slots = typeof(Lua).GetField("slots", System.Reflection.BindingFlags.NonPublic
            | System.Reflection.BindingFlags.Instance).GetValue(lua);
        return (int)slots.GetType().GetProperty("Live", System.Reflection.BindingFlags.NonPublic
            | System.Reflection.BindingFlags.Instance).GetValue(slots, null);
    }

    public static void NumberOfASlotIsNeverGivenTwice()
    {
        const System.Reflection.BindingFlags hidden = System.Reflection.BindingFlags.NonPublic
            | System.Reflection.BindingFlags.Instance;
        Type slots = typeof(Lua).Assembly.GetType("Rlua.Slots");
        object made = Activator.CreateInstance(slots);
        Func<string, object, object> call = (name, argument) =>
            slots.GetMethod(name, hidden).Invoke(made, new[] { argument });
        object slot = Activator.CreateInstance(typeof(Lua).Assembly.GetType("Rlua.Slot"), true);
        var first = (IntPtr)call("Take", slot);
        Equal(slot, call("Find", first));
        Equal(slot, call("Give", first));
        Equal(null, call("Find", first));
        var second = (IntPtr)call("Take", slot);
        Equal((int)first.ToInt64(), (int)second.ToInt64());     // the place
        Equal(null, call("Find", first));
        Equal(null, call("Give", first));
        Equal(slot, call("Find", second));
        foreach (long forged in new[] { 0, 1, -1, 1L << 32, long.MaxValue, second.ToInt64() + 1 })
            Equal(null, call("Find", (IntPtr)forged));
    }

    public static void FunctionsThatDidNotFitLeaveNothing()
    {
        using (var lua = Open())
        {
            int failed = 0;
            lua.Execute("kept, padding = {}, ('x'):rep(400000)"
                        + " function keep(i, f) kept[i] = f end");
            lua.ReleasesForgotten = false;
            for (int i = 0; i < 6000; i++)
            {
                try { lua.Call("keep", i, Anonymous(i)); }
                catch (MemoryLimitException) { failed++; }
            }
            True(failed > 100, failed + " failed");
            lua.Check();
            int live = SlotsOf(lua);
            True(live <= 6000 - failed, live + " are held, and " + failed + " failed");
        }
    }

    private static Func<int> Anonymous(int n) { return () => n; }

    public static void AnonymousFunctionsGoWhenNothingReachesThem()
    {
        using (var lua = Open())
        {
            lua.Execute("function take(f) return f(1) end kept = {}");
            for (int i = 0; i < 3000; i++)
            {
                int captured = i;
                Equal((long)i, lua.Call("take", (Func<int, int>)(n => captured))[0]);
            }
            lua.CollectGarbage();
            Equal(0, SlotsOf(lua));
            using (var kept = lua.Get<Table>("kept"))
                kept[1] = (Func<int>)(() => 5);
            lua.CollectGarbage();
            Equal(1, SlotsOf(lua));
            Equal(5L, lua.Eval<long>("kept[1]()"));
            lua.Snap();
            lua.Execute("kept = {}");
            lua.CollectGarbage();
            Equal(1, SlotsOf(lua));
            lua.Rollback();
            Equal(5L, lua.Eval<long>("kept[1]()"));
            lua.Execute("kept = {}");
            lua.CollectGarbage();
            lua.DiscardBefore(long.MaxValue);
            Equal(0, SlotsOf(lua));
            lua.Snap();
            lua.Call("take", (Func<int, int>)(n => n));
            Equal(1, SlotsOf(lua));
            lua.Rollback();
            Equal(0, SlotsOf(lua));
            lua.Check();
        }
    }

    // The function and its resource die in one cycle of Lua's collector, and a finalizer of the
    // script calls the function then: it is that function or an error, never another one.
    public static void FunctionCalledByAFinalizerIsItselfOrGone()
    {
        using (var lua = Open())
        {
            lua.Execute(@"right, wrong, gone = 0, 0, 0
                function watch(f, n)
                    setmetatable({}, {__gc = function()
                        local ok, found = pcall(f)
                        if not ok then gone = gone + 1
                        elseif found == n then right = right + 1
                        else wrong = wrong + 1 end
                    end})
                end");
            for (int i = 0; i < 2000; i++)
            {
                int captured = i;
                lua.Call("watch", (Func<int>)(() => captured), i);
            }
            lua.CollectGarbage();
            Equal(0L, lua["wrong"]);
            Equal(2000L, lua.Eval<long>("right + gone"));
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
                lua.SetFunction("f" + i, () => captured);
            }
            Table table = lua.NewTable();
            lua["t"] = table;
            for (int i = 1; i <= 100; i++)
            {
                int captured = i;
                table[i] = (Func<int>)(() => captured);
            }
            GC.Collect();
            GC.WaitForPendingFinalizers();
            for (int i = 0; i < 100; i++)
                Equal((long)i, lua.Call("f" + i)[0]);
            Equal(5050L, lua.Eval<long>(
                "(function() local n = 0 for i = 1, #t do n = n + t[i]() end return n end)()"));
            lua.Check();
        }
    }

    public static void CollectionsInsideCallbacksDisturbNothing()
    {
        using (var lua = Open())
        {
            lua.SetFunction("pressure", (Func<long, long> f, Table t) =>
            {
                var garbage = new List<byte[]>();
                for (int i = 0; i < 20; i++)
                    garbage.Add(new byte[10000]);
                GC.Collect();
                GC.WaitForPendingFinalizers();
                using (Table made = lua.NewTable())
                    made[1] = (Func<int>)(() => 1);
                lua.CollectGarbage();
                return f(t.Get<long>("n")) + garbage.Count;
            });
            lua.Execute(@"total = 0
                for i = 1, 40 do
                    total = total + pressure(function(n) return n + i end, {n = i})
                end");
            Equal(40L * 41 + 40 * 20, lua["total"]);
            lua.Snap();
            lua.Execute("pressure(function() return 0 end, {n = 1})");
            GC.Collect();
            GC.WaitForPendingFinalizers();
            lua.Rollback();
            lua.Execute("pressure(function() return 0 end, {n = 1})");
            lua.Check();
        }
    }

    public static void ProxiesThatNobodyHasAreReleased()
    {
        using (var lua = Open())
        {
            lua.Execute("weak = setmetatable({}, {__mode = 'k'})"
                        + "function make() local t = {} weak[t] = true return t end");
            lua.ReleasesForgotten = false;
            Func<long> alive = () =>
            {
                lua.CollectGarbage();
                return lua.Eval<long>("(function() local n = 0 for _ in pairs(weak) do n = n + 1 "
                                      + "end return n end)()");
            };
            Apart(() =>
            {
                lua.MoveToThisThread();
                for (int i = 0; i < 100; i++)
                    lua.Call("make");
            });
            lua.MoveToThisThread();
            Equal(100L, alive());
            True(lua.ForgottenCount > 90);
            lua.ReleaseForgotten();
            long left = alive();
            True(left < 10, left + " of 100 are alive");
        }
    }

    // A frame of a game that makes no garbage stays free of it.
    public static void TypedCallsAllocateNothing()
    {
        using (var lua = Open())
        {
            lua.Execute(@"function f(x) return x end  t = {x = 1, 5}
                function loop(g, n) for i = 1, n do g(i) end end
                function co() while true do coroutine.yield(1) end end");
            lua.SetFunction("g", (long x) => x + 1);
            var f = lua.Get<Func<long, long>>("f");
            var d = lua.Get<Func<double, bool, double>>("f");
            var loop = lua.Get<Action<Function, long>>("loop");
            Function g = lua.Get<Function>("g");
            Table t = lua.Get<Table>("t");
            IEnumerator<long> co = lua.Get<Function>("co").Start().As<long>().GetEnumerator();
            Action frame = () =>
            {
                f(1);
                d(1.5, true);
                loop(g, 3);
                t.Set("x", t.Get<long>("x") + t.Get<long>(1));
                lua.Set("score", lua.Get<long>("t.x"));
                lua.Set("name", "text");
                co.MoveNext();
                lua.Snap();
                lua.Rollback();
            };
            for (int i = 0; i < 200; i++)
                frame();
            const int rounds = 10000;
            var method = typeof(GC).GetMethod("GetAllocatedBytesForCurrentThread");
            var allocated = method == null ? () => GC.GetTotalMemory(false)
                : (Func<long>)Delegate.CreateDelegate(typeof(Func<long>), method);
            GC.Collect();
            int collections = GC.CollectionCount(0);
            long before = allocated();
            for (int i = 0; i < rounds; i++)
                frame();
            long bytes = allocated() - before;
            Equal(collections, GC.CollectionCount(0));
            True(bytes < rounds * 4, bytes + " bytes in " + rounds + " frames");
        }
    }

    public static void NewFunctionIsOneValue()
    {
        using (var lua = Open())
        {
            Function f = lua.NewFunction((Func<int, int>)(n => n + 1));
            lua["a"] = f;
            lua["b"] = f;
            True(lua.Eval<bool>("a == b and a(1) == 2"));
            Contains("function: ", f.ToString());
            Throws<ArgumentNullException>(() => lua.NewFunction(null));
            Equal("function", lua.Eval<string>("type(a)"));
        }
    }
}
