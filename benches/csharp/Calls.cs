// Calls.cs: what a call, a callback and an access cost from C#: the binding beside plain P/Invokes
// to lua.org's Lua.
//
// Method: both in this process. Rounds of each case in alternating order, of each the fastest of a
// few loops; medians of the rounds, and the median of their ratios. What the loop itself costs is
// subtracted. The plain side does what one writes by hand: the same steps by the same kind of
// blittable P/Invoke, with no check of types, threads or errors, and no exception caught.
//
//     calls.exe [ROUNDS]      prints a line for each: name, by hand, rlua (ns), ratio, with tabs

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using Rlua;

internal static class Calls
{
    private const string Script = @"
        function f(x) return x end
        function three(a, b, c) return a, b, c end
        function calls(f, n) for i = 1, n do f(i) end end
        function counts() while true do coroutine.yield(1) end end
        t = {x = 1} for i = 1, 1000 do t[i] = i end";
    private const int InnerLoops = 5, Steps = 20000;

    private struct Case
    {
        internal string Name;
        internal int Per;           // how many of what is measured one step does
        internal Action Plain, Ours;
    }

    private static double FastestNs(Action step, int per)
    {
        double fastest = double.MaxValue;
        int steps = Math.Max(1, Steps / per);
        for (int i = 0; i < InnerLoops; i++)
        {
            var watch = Stopwatch.StartNew();
            for (int n = 0; n < steps; n++)
                step();
            fastest = Math.Min(fastest, watch.Elapsed.TotalMilliseconds * 1e6 / steps / per);
        }
        return fastest;
    }

    private static double Median(List<double> values)
    {
        values.Sort();
        int middle = values.Count / 2;
        return values.Count % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    }

    private static void Main(string[] arguments)
    {
        int rounds = arguments.Length > 0 ? int.Parse(arguments[0]) : 3;
        List<Case> cases = Cases();
        for (int pass = 0; pass < 3; pass++)    // .NET compiles a second time, in the background
        {
            foreach (Case each in cases)
            {
                FastestNs(each.Plain, each.Per);
                FastestNs(each.Ours, each.Per);
            }
            Thread.Sleep(1000);
        }
        double empty = FastestNs(() => { }, 1);
        foreach (Case each in cases)
        {
            List<double> plain = new List<double>(), ours = new List<double>();
            for (int round = 0; round < rounds; round++)
            {
                for (int turn = 0; turn < 2; turn++)
                {
                    if ((round + turn) % 2 == 0)
                        plain.Add(FastestNs(each.Plain, each.Per) - empty / each.Per);
                    else
                        ours.Add(FastestNs(each.Ours, each.Per) - empty / each.Per);
                }
            }
            double ratio = Median(ours.Zip(plain, (a, b) => a / b).ToList());
            Console.WriteLine(FormattableString.Invariant(
                $"{each.Name}\t{Median(plain):F1}\t{Median(ours):F1}\t{ratio:F3}"));
        }
    }

    private static long One(long x) { return x; }

    private static List<Case> Cases()
    {
        var plain = new Plain(Script);
        var lua = new Lua();
        lua.Execute(Script);
        var f = lua.Get<Func<long, long>>("f");
        var text = lua.Get<Func<string, string>>("f");
        var three = lua.Get<Func<long, double, string, ValueTuple<long, double, string>>>("three");
        var table = lua.Get<Table>("t");
        var boxed = lua.Get<Function>("f");
        lua.SetFunction("one", (long x) => One(x));
        var calls = lua.Get<Function>("calls").To<Action<Function, long>>();
        var one = lua.Get<Function>("one");
        Coroutine counts = lua.Get<Function>("counts").Start();
        IEnumerator<long> counting = counts.As<long>().GetEnumerator();
        return new List<Case> {
            new Case { Name = "call of a Lua function, an integer in and out", Per = 1,
                       Plain = () => plain.Call(1), Ours = () => f(1) },
            new Case { Name = "the same with a string", Per = 1,
                       Plain = () => plain.Call("some text"), Ours = () => text("some text") },
            new Case { Name = "the same with three values", Per = 1,
                       Plain = () => plain.Three(1, 2.5, "x"), Ours = () => three(1, 2.5, "x") },
            new Case { Name = "the same with an integer, boxed: Function.Call", Per = 1,
                       Plain = () => plain.Call(1), Ours = () => boxed.Call(1L) },
            new Case { Name = "callback: a Lua loop calls a C# function", Per = 1000,
                       Plain = () => plain.Calls(1000), Ours = () => calls(one, 1000) },
            new Case { Name = "a field is read", Per = 1,
                       Plain = () => plain.Field("x"), Ours = () => table.Get<long>("x") },
            new Case { Name = "an element is read", Per = 1,
                       Plain = () => plain.Element(7), Ours = () => table.Get<long>(7L) },
            new Case { Name = "a field is written", Per = 1,
                       Plain = () => plain.SetField("x", 2), Ours = () => table.Set("x", 2L) },
            new Case { Name = "iteration over a table, a pair", Per = 1001,
                       Plain = plain.Iterate,
                       Ours = () => { foreach (var pair in table) Seen(pair.Key); } },
            new Case { Name = "a coroutine is resumed", Per = 1,
                       Plain = () => plain.Resume(), Ours = () => counting.MoveNext() },
        };
    }

    internal static object Last;
    internal static void Seen(object key) { Last = key; }

    /// <summary>By hand.</summary>
    private sealed unsafe class Plain
    {
        private const string Name = "luastock";
        private const CallingConvention C = CallingConvention.Cdecl;
        private const int Registry = -1000000 - 1000;

        [DllImport(Name, CallingConvention = C)] static extern IntPtr luaL_newstate();
        [DllImport(Name, CallingConvention = C)] static extern void luaL_openlibs(IntPtr L);
        [DllImport(Name, CallingConvention = C)]
        static extern int luaL_loadstring(IntPtr L, byte[] text);
        [DllImport(Name, CallingConvention = C)]
        static extern int lua_pcallk(IntPtr L, int n, int r, int h, IntPtr context, IntPtr k);
        [DllImport(Name, CallingConvention = C)]
        static extern int lua_getglobal(IntPtr L, byte[] name);
        [DllImport(Name, CallingConvention = C)]
        static extern int lua_getfield(IntPtr L, int index, byte* name);
        [DllImport(Name, CallingConvention = C)]
        static extern void lua_setfield(IntPtr L, int index, byte* name);
        [DllImport(Name, CallingConvention = C)]
        static extern int lua_geti(IntPtr L, int index, long n);
        [DllImport(Name, CallingConvention = C)]
        static extern int lua_rawgeti(IntPtr L, int index, long n);
        [DllImport(Name, CallingConvention = C)] static extern int luaL_ref(IntPtr L, int index);
        [DllImport(Name, CallingConvention = C)]
        static extern void lua_pushinteger(IntPtr L, long n);
        [DllImport(Name, CallingConvention = C)]
        static extern void lua_pushnumber(IntPtr L, double n);
        [DllImport(Name, CallingConvention = C)] static extern void lua_pushnil(IntPtr L);
        [DllImport(Name, CallingConvention = C)]
        static extern byte* lua_pushlstring(IntPtr L, byte* text, UIntPtr length);
        [DllImport(Name, CallingConvention = C)]
        static extern void lua_pushcclosure(IntPtr L, IntPtr function, int n);
        [DllImport(Name, CallingConvention = C)]
        static extern long lua_tointegerx(IntPtr L, int index, int* done);
        [DllImport(Name, CallingConvention = C)]
        static extern double lua_tonumberx(IntPtr L, int index, int* done);
        [DllImport(Name, CallingConvention = C)]
        static extern byte* lua_tolstring(IntPtr L, int index, UIntPtr* length);
        [DllImport(Name, CallingConvention = C)] static extern void lua_settop(IntPtr L, int index);
        [DllImport(Name, CallingConvention = C)] static extern int lua_type(IntPtr L, int index);
        [DllImport(Name, CallingConvention = C)]
        static extern int lua_isinteger(IntPtr L, int index);
        [DllImport(Name, CallingConvention = C)] static extern int lua_next(IntPtr L, int index);
        [DllImport(Name, CallingConvention = C)] static extern IntPtr lua_newthread(IntPtr L);
        [DllImport(Name, CallingConvention = C)]
        static extern void lua_xmove(IntPtr from, IntPtr to, int n);
        [DllImport(Name, CallingConvention = C)]
        static extern int lua_resume(IntPtr L, IntPtr from, int n, int* results);

        [UnmanagedFunctionPointer(C)] private delegate int Function(IntPtr L);
        private static readonly Function OnOne = OneOf;

        private readonly IntPtr L, thread;
        private readonly int f, three, calls, table, one;

        private static byte[] Bytes(string text) { return Encoding.UTF8.GetBytes(text + "\0"); }

        private static int OneOf(IntPtr L)
        {
            lua_pushinteger(L, One(lua_tointegerx(L, 1, null)));
            return 1;
        }

        internal Plain(string script)
        {
            L = luaL_newstate();
            luaL_openlibs(L);
            luaL_loadstring(L, Bytes(script));
            lua_pcallk(L, 0, 0, 0, IntPtr.Zero, IntPtr.Zero);
            f = Ref("f");
            three = Ref("three");
            calls = Ref("calls");
            table = Ref("t");
            lua_pushcclosure(L, Marshal.GetFunctionPointerForDelegate(OnOne), 0);
            one = luaL_ref(L, Registry);
            thread = lua_newthread(L);
            luaL_ref(L, Registry);
            lua_getglobal(L, Bytes("counts"));
            lua_xmove(L, thread, 1);
        }

        private int Ref(string name)
        {
            lua_getglobal(L, Bytes(name));
            return luaL_ref(L, Registry);
        }

        internal long Call(long x)
        {
            lua_rawgeti(L, Registry, f);
            lua_pushinteger(L, x);
            lua_pcallk(L, 1, 1, 0, IntPtr.Zero, IntPtr.Zero);
            long result = lua_tointegerx(L, -1, null);
            lua_settop(L, 0);
            return result;
        }

        private void Push(string text)
        {
            byte* bytes = stackalloc byte[256];
            fixed (char* chars = text)
            {
                int length = Encoding.UTF8.GetBytes(chars, text.Length, bytes, 256);
                lua_pushlstring(L, bytes, (UIntPtr)(uint)length);
            }
        }

        private string TextAt(int index)
        {
            UIntPtr length;
            byte* bytes = lua_tolstring(L, index, &length);
            return Encoding.UTF8.GetString(bytes, (int)(uint)length);
        }

        internal string Call(string text)
        {
            lua_rawgeti(L, Registry, f);
            Push(text);
            lua_pcallk(L, 1, 1, 0, IntPtr.Zero, IntPtr.Zero);
            string result = TextAt(-1);
            lua_settop(L, 0);
            return result;
        }

        internal ValueTuple<long, double, string> Three(long a, double b, string c)
        {
            lua_rawgeti(L, Registry, three);
            lua_pushinteger(L, a);
            lua_pushnumber(L, b);
            Push(c);
            lua_pcallk(L, 3, 3, 0, IntPtr.Zero, IntPtr.Zero);
            var result = new ValueTuple<long, double, string>(
                lua_tointegerx(L, -3, null), lua_tonumberx(L, -2, null), TextAt(-1));
            lua_settop(L, 0);
            return result;
        }

        internal void Calls(long n)
        {
            lua_rawgeti(L, Registry, calls);
            lua_rawgeti(L, Registry, one);
            lua_pushinteger(L, n);
            lua_pcallk(L, 2, 0, 0, IntPtr.Zero, IntPtr.Zero);
        }

        internal long Field(string name)
        {
            byte* bytes = stackalloc byte[64];
            fixed (char* chars = name)
                bytes[Encoding.UTF8.GetBytes(chars, name.Length, bytes, 63)] = 0;
            lua_rawgeti(L, Registry, table);
            lua_getfield(L, -1, bytes);
            long result = lua_tointegerx(L, -1, null);
            lua_settop(L, 0);
            return result;
        }

        internal long Element(long n)
        {
            lua_rawgeti(L, Registry, table);
            lua_geti(L, -1, n);
            long result = lua_tointegerx(L, -1, null);
            lua_settop(L, 0);
            return result;
        }

        internal void SetField(string name, long value)
        {
            byte* bytes = stackalloc byte[64];
            fixed (char* chars = name)
                bytes[Encoding.UTF8.GetBytes(chars, name.Length, bytes, 63)] = 0;
            lua_rawgeti(L, Registry, table);
            lua_pushinteger(L, value);
            lua_setfield(L, -2, bytes);
            lua_settop(L, 0);
        }

        private object Value(int index)
        {
            const int number = 3;
            if (lua_type(L, index) != number)
                return TextAt(index);
            if (lua_isinteger(L, index) != 0)
                return lua_tointegerx(L, index, null);
            return lua_tonumberx(L, index, null);
        }

        internal void Iterate()
        {
            lua_rawgeti(L, Registry, table);
            lua_pushnil(L);
            while (lua_next(L, 1) != 0)
            {
                Seen(Value(-2));
                Seen(Value(-1));
                lua_settop(L, -2);
            }
            lua_settop(L, 0);
        }

        internal long Resume()
        {
            int results;
            lua_resume(thread, L, 0, &results);
            long value = lua_tointegerx(thread, -1, null);
            lua_settop(thread, -results - 1);
            return value;
        }
    }
}
