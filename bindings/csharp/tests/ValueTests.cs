// ValueTests.cs: values go in and out with their types; tables, coroutines and paths are live.

using System;
using System.Collections.Generic;
using System.Linq;
using Rlua;
using static Expect;

internal static class ValueTests
{
    public static void ScalarsRoundTripWithTheirTypes()
    {
        using (var lua = Open())
        {
            var values = new object[] {
                null, true, false, 0L, -1L, long.MinValue, long.MaxValue, 1.5, 1.0,
                double.PositiveInfinity, "", "text", "ñ 日本 🎮", "nul\0inside", "\0",
                new string('é', 1000), (IntPtr)0x12345,
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
            Throws<InvalidCastException>(() => lua.Get<string>("v"));
            Equal("bytes:FF-00", Show(lua.Get<byte[]>("v")));
            lua["v"] = new byte[0];
            Equal("", lua["v"]);
            lua["v"] = new ArraySegment<byte>(new byte[] { 1, 65, 66, 2 }, 1, 2);
            Equal("AB", lua["v"]);
            lua["v"] = (byte)7;
            Equal(7L, lua["v"]);
            lua["v"] = DayOfWeek.Friday;
            Equal(DayOfWeek.Friday, lua.Get<DayOfWeek>("v"));
            Throws<OverflowException>(() => lua["v"] = ulong.MaxValue);
            Throws<ArgumentException>(() => lua["v"] = "\ud800");       // half a character
            lua.Check();
        }
    }

    public static void StringsOfAllLengthsKeepTheirBytes()
    {
        using (var lua = Open())
        {
            for (int length = 0; length < 300; length++)
            {
                foreach (string part in new[] { "x", "\0", "日" })
                {
                    string text = string.Concat(Enumerable.Repeat(part, length));
                    lua["v"] = text;
                    Equal(text, lua["v"]);
                    Equal((long)System.Text.Encoding.UTF8.GetByteCount(text), lua.Eval<long>("#v"));
                }
            }
        }
    }

    public static void TypedReadsConvertAndRefuse()
    {
        using (var lua = Open())
        {
            lua.Execute("i, f, s, n, b, t = 3, 2.0, '10', nil, true, {1, 2}");
            Equal(3, lua.Get<int>("i"));
            Equal((byte)3, lua.Get<byte>("i"));
            Equal(2L, lua.Get<long>("f"));
            Equal(3.0, lua.Get<double>("i"));
            Equal(2f, lua.Get<float>("f"));
            Equal(10, lua.Get<int>("s"));
            Equal(true, lua.Get<bool>("b"));
            Equal(null, lua.Get<int?>("n"));
            Equal(3, lua.Get<int?>("i"));
            Equal(null, lua.Get<string>("n"));
            Equal(null, lua.Get<Table>("n"));
            Equal("1,2", string.Join(",", lua.Get<int[]>("t")));
            Contains("n: integer in range expected, got nil",
                     Throws<InvalidCastException>(() => lua.Get<int>("n")).Message);
            Throws<InvalidCastException>(() => lua.Get<bool>("i"));
            Throws<InvalidCastException>(() => lua.Get<Table>("i"));
            Throws<InvalidCastException>(() => lua.Get<Function>("t"));
            Throws<InvalidCastException>(() => lua.Get<bool[]>("t"));
            lua.Execute("i = 1 << 40");
            foreach (Action read in new Action[] {
                () => lua.Get<int>("i"), () => lua.Get<byte>("i"),
                () => lua.Get<DayOfWeek>("i") })
                Throws<InvalidCastException>(read);
            lua.Execute("i = -1");
            Throws<InvalidCastException>(() => lua.Get<uint>("i"));
            Throws<InvalidCastException>(() => lua.Get<ulong>("i"));
            Equal(2, lua.Call<ValueTuple<int, string>>("select", 2, 1, 2, "x").Item1);
        }
    }

    public static void ContainersGoInAsCopiesAndComeOutByCopy()
    {
        using (var lua = Open())
        {
            lua["v"] = new Dictionary<string, object> {
                { "list", new[] { 1, 2 } }, { "empty", new object[0] },
                { "map", new Dictionary<int, string> { { 5, "five" } } },
            };
            var table = lua.Get<Table>("v");
            Equal("{String:empty={},String:list=[Int64:1,Int64:2],"
                  + "String:map={Int64:5=String:five}}", Show(table.Copy()));
            Equal("five", lua.Get<Dictionary<int, string>>("v.map")[5]);
            Equal(2, lua.Get<long[]>("v.list").Length);
            lua["v"] = Enumerable.Range(0, 1000);
            Equal(1000L, lua.Get<Table>("v").Length);
            Equal(499500, lua.Get<int[]>("v").Sum());
            lua.Set("v", new[] { new[] { 1, 2 }, new[] { 3 } });
            Equal(3, lua.Get<int[][]>("v")[1][0]);
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
            Throws<NotSupportedException>(() => lua.Set("v", (1, 2)));
            Throws<ArgumentException>(() => lua["a\0b"] = 1);
            Throws<ArgumentNullException>(() => lua[null] = 1);
            Throws<ArgumentException>(
                () => lua["v"] = new Dictionary<object, object> { { double.NaN, 1 } });
            foreach (string code in new[] { "v = {print}", "v = {}; v.v = v", "v = {[{}] = 1}" })
            {
                lua.Execute(code);
                Throws<NotSupportedException>(() => lua.Get<Table>("v").Copy());
            }
            lua.Check();
        }
    }

    public static void TableIsLive()
    {
        using (var lua = Open())
        {
            Table table = lua.NewTable();
            lua["t"] = table;
            table["x"] = 1;
            table[1] = "one";
            table["nul\0key"] = 2;
            table.Add("two");
            lua.Execute("t.y = t.x + 1");
            Equal(2L, table["y"]);
            Equal(2L, table["nul\0key"]);
            Equal(2, table.Get<int>("y"));
            Equal(2L, table.Length);
            True(table.ContainsKey("x") && !table.ContainsKey("absent"));
            True(table.Remove("x") && !table.Remove("x"));
            Equal(null, table["x"]);
            Throws<ArgumentException>(() => table[double.NaN] = 1);
            Throws<ArgumentException>(() => table[null] = 1);
            Equal(null, table[null]);
            True(table == lua.Get<Table>("t") && table != lua.Globals);
            True(table.Equals((object)table) && !table.Equals("x"));
            True(new HashSet<Proxy> { table, lua.Get<Table>("t") }.Count == 1);
            var filled = new Table[] { table };
            lua["list"] = filled;
            Equal(table, lua.Get<Table>("list")[1]);
            Contains("table: ", table.ToString());
            lua.Check();
        }
    }

    public static void TableIsEnumeratedAsItWasWhenItBegan()
    {
        using (var lua = Open())
        {
            lua.Execute("t = {10, 20, 30, x = 'y'}");
            var table = lua.Get<Table>("t");
            lua.Snap();
            var seen = new List<string>();
            foreach (KeyValuePair<object, object> pair in table)
            {
                seen.Add(pair.Key + "=" + pair.Value);
                table.Remove(pair.Key);
                if (seen.Count == 2)
                    lua.Rollback();
            }
            Equal("1=10 2=20 3=30 x=y", string.Join(" ", seen));
            Equal("1 2", string.Join(" ", table.Keys));
            lua.Execute("t = {['1'] = 1, ['2'] = 2}");
            Equal("1=1 2=2", string.Join(" ", lua.Get<Table>("t").Pairs<int, int>()
                .OrderBy(p => p.Key).Select(p => p.Key + "=" + p.Value)));
            Throws<InvalidCastException>(() => table.Pairs<string, bool>());
        }
    }

    public static void MetamethodsAreObeyedAndTheirErrorsAreExceptions()
    {
        using (var lua = Open())
        {
            lua.Execute(@"t = setmetatable({}, {__index = function(_, k) return k .. '!' end,
                __newindex = function() error('read only') end, __len = function() return 7 end,
                __tostring = function() return 'mine' end})");
            var table = lua.Get<Table>("t");
            Equal("a!", table["a"]);
            Equal(null, table.RawGet("a"));
            Equal(7L, table.Length);
            Equal("mine", table.ToString());
            Contains("read only", Throws<ScriptException>(() => table["a"] = 1).Message);
            table.RawSet("a", 1);
            Equal(1L, table["a"]);
            table.Metatable = null;
            Equal(null, table.Metatable);
            table.Metatable = lua.NewTable();
            Equal(0L, table.Metatable.Length);
            lua.Check();
        }
    }

    public static void PathsLeadThroughTablesAndMakeThem()
    {
        using (var lua = Open())
        {
            lua["game.player.hp"] = 100;
            lua.SetFunction("game.player.hurt", (int n) =>
            {
                lua["game.player.hp"] = lua.Get<int>("game.player.hp") - n;
            });
            lua.Execute("game.player.hurt(30)");
            Equal(70, lua.Get<int>("game.player.hp"));
            Equal(3L, lua.Call<long>("math.max", 1, 3, 2));
            Equal(null, lua["game.absent"]);
            lua["number"] = 1;
            foreach (var wrong in new Dictionary<string, Action> {
                { "number.x: number is a number value", () => lua["number.x"] = 1 },
                { "number.x.y: number is a number value", () => lua["number.x.y"] = 1 },
                { "number.a.b: number is a number value", () => lua["number.a.b"].ToString() },
                { "absent.a.b: absent is a nil value", () => lua["absent.a.b"].ToString() },
                { "absent.deeper: absent is a nil value", () => lua.Call("absent.deeper") },
                { "game.absent is nil", () => lua.Call("game.absent") },
                { "absent is nil", () => lua.Call<int>("absent") } })
                Equal(wrong.Key, Throws<ScriptException>(wrong.Value).Message);
            Equal(1L, lua["number"]);
            lua.Check();
        }
    }

    public static void CoroutinesAreEnumerated()
    {
        using (var lua = Open())
        {
            lua.Execute(@"function steps(a, b)
                local c = coroutine.yield(a + b)
                local d = coroutine.yield(c, 'two')
                return 'end', d
            end
            function count(n) for i = 1, n do coroutine.yield(i, i * i) end end
            function fail() coroutine.yield(1) error('broken') end");
            Coroutine co = lua.Get<Function>("steps").Start(1, 2);
            Equal("suspended", co.State);
            Equal(3L, co.Resume()[0]);
            Equal("[Int64:10,String:two]", Show(co.Resume(10)));
            Equal("[String:end,Boolean:True]", Show(co.Resume(true)));
            Equal("[String:end,Boolean:True]", Show(co.Returned));
            True(co.IsDead);
            Contains("resume a dead", Throws<RluaException>(() => co.Resume()).Message);
            var count = lua.Get<Function>("count");
            Equal("1 2 3", string.Join(" ", count.Start(3)));
            Equal(14, count.Start(3).As<(int, int)>().Sum(pair => pair.Item2));
            var error = Throws<ScriptException>(
                () => lua.Get<Function>("fail").Start().ToList());
            Contains("broken", error.Message);
            Contains("in function 'fail'", error.Traceback);
            Throws<InvalidCastException>(() => count.Start(1).As<Table>().ToList());
            lua.Execute("function args(...) last = select('#', ...) end");
            co = lua.Get<Function>("args").Start(1);
            Throws<NotSupportedException>(() => co.Resume(1, 2, new Version(1, 0)));
            co.Resume(1, 2);
            Equal(3L, lua["last"]);
            co = count.Start(9);
            co.Resume();
            co.Close();
            True(co.IsDead);
            lua["co"] = co;
            Equal("dead", lua.Eval<string>("coroutine.status(co)"));
            True(co == (Coroutine)lua["co"]);
            lua.Check();
        }
    }

    public static void CoroutineIsResumedFromAHostFunctionInsideACoroutine()
    {
        using (var lua = Open())
        {
            lua.SetFunction("sum", (Coroutine co) => co.As<long>().Sum());
            lua.SetFunction("state", (Coroutine co) => co.State);
            lua.Execute(@"function numbers() for i = 1, 4 do coroutine.yield(i) end end
                inner = coroutine.create(numbers)
                outer = coroutine.wrap(function()
                    coroutine.yield(state(coroutine.running()), sum(inner)) end)
                a, b = outer()");
            Equal("running", lua["a"]);
            Equal(10L, lua["b"]);
            Equal("normal", lua.Eval<string>(
                @"(function() local outer; outer = coroutine.create(function()
                    return coroutine.wrap(function() return state(outer) end)() end)
                    return select(2, coroutine.resume(outer)) end)()"));
            Contains("cannot be closed", Throws<ScriptException>(() =>
            {
                lua.SetFunction("close", (Coroutine co) => co.Close());
                lua.Execute("coroutine.wrap(function() close(coroutine.running()) end)()");
            }).Message);
            lua.Check();
        }
    }

    public static void ProxiesOfAnotherLuaAreRefused()
    {
        using (var lua = Open())
        using (var other = Open())
        {
            other.Execute("function secret() return 'theirs' end t = {}");
            var secret = other.Get<Function>("secret");
            lua["mine"] = new object[0];
            var mine = lua.Get<Table>("mine");
            Throws<ArgumentException>(() => lua["copy"] = secret);
            Throws<ArgumentException>(() => mine["copy"] = secret);
            Throws<ArgumentException>(() => lua.Execute("x = 1", "=x", other.Get<Table>("t")));
            True(mine != other.Get<Table>("t"));
            Equal("theirs", secret.Call<string>());
            lua.Check();
        }
    }

    public static void EnvironmentsAndLibrariesKeepModsApart()
    {
        using (var lua = new Lua(memory: Mib, snapshots: 2, libs: Libs.Sandbox))
        {
            Equal(null, lua["io"]);
            lua.OpenLibs(Libs.Os);
            True(lua["os"] is Table);
            Table a = lua.NewEnvironment(), b = lua.NewEnvironment();
            lua.Execute("x = 1; function string.mine() end", "=a", a);
            Equal(null, b["x"]);
            Equal(1L, a["x"]);
            Equal(1, lua.Eval<int>("x", a));
            Equal(null, lua["x"]);
            Equal(2L, lua.Load("x = x + 1 return x", "=b", a).Call<long>());
        }
    }

    public static void FilesAndBytesAreLoaded()
    {
        string path = System.IO.Path.GetTempFileName();
        using (var lua = Open())
        {
            try
            {
                System.IO.File.WriteAllText(path, "local a, b = ... return a * b");
                Equal(42L, lua.LoadFile(path).Call<long>(6, 7));
            }
            finally { System.IO.File.Delete(path); }
            Contains(path, Throws<ScriptFileException>(() => lua.LoadFile(path)).Message);
            lua.Execute("function f() return 5 end dumped = string.dump(f)");
            byte[] dumped = lua.Get<byte[]>("dumped");
            Throws<ScriptSyntaxException>(() => lua.Load(dumped, "=dumped"));
            Equal(5L, lua.Load(dumped, "=dumped", binary: true).Call<long>());
            Equal(0, lua.Load(new byte[0], "=nothing").Call().Length);
            Throws<ScriptSyntaxException>(() => lua.Execute("\x1bLua"));
        }
    }
}
