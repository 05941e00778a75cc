// Meters.cs: a module that calls the C API: to a VM it is one in C, whose functions are addresses.
// Its meters are outside the VM, and counted.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using Rlua;

/// <summary>A block holds the number of its meter, 0 where it was closed. Such a module must
/// not raise: there are managed frames.</summary>
internal static class Meters
{
    private sealed class Meter
    {
        internal long Value;
        internal int Ended;
    }

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int CFunction(IntPtr L);

    private const string Api = "librlua.so.0";
    [DllImport(Api)]
    private static extern IntPtr lua_newuserdatauv(IntPtr L, UIntPtr size, int values);
    [DllImport(Api)]
    private static extern int luaL_newmetatable(IntPtr L, string name);
    [DllImport(Api)]
    private static extern void luaL_setmetatable(IntPtr L, string name);
    [DllImport(Api)]
    private static extern void lua_pushcclosure(IntPtr L, IntPtr function, int upvalues);
    [DllImport(Api)]
    private static extern void lua_setfield(IntPtr L, int index, string key);
    [DllImport(Api)]
    private static extern void lua_createtable(IntPtr L, int array, int hash);
    [DllImport(Api)]
    private static extern IntPtr lua_touserdata(IntPtr L, int index);
    [DllImport(Api)]
    private static extern long lua_tointegerx(IntPtr L, int index, IntPtr isNumber);
    [DllImport(Api)]
    private static extern void lua_pushinteger(IntPtr L, long value);

    private static readonly List<Meter> All = new List<Meter>();
    private static readonly CFunction OnNew = New, OnRead = Read, OnEnd = End, OnOpen = Open;
    internal static readonly IntPtr OpenPointer =
        Marshal.GetFunctionPointerForDelegate(OnOpen);

    internal static readonly Dictionary<string, IntPtr> Names =
        new Dictionary<string, IntPtr> {
            { "meter.new", Marshal.GetFunctionPointerForDelegate(OnNew) },
            { "meter.read", Marshal.GetFunctionPointerForDelegate(OnRead) },
            { "meter.close", Marshal.GetFunctionPointerForDelegate(OnEnd) } };

    internal static readonly UserdataType<IntPtr> Type =
        new UserdataType<IntPtr>("Meter", Save, Load);

    internal static IntPtr Make(long value)
    {
        lock (All)
        {
            All.Add(new Meter { Value = value });
            return (IntPtr)All.Count;
        }
    }

    internal static int Living()
    {
        lock (All)
        {
            if (All.Any(each => each.Ended > 1))
                throw new InvalidOperationException("a meter has ended twice");
            return All.Count(each => each.Ended == 0);
        }
    }

    private static Meter At(IntPtr number)
    {
        lock (All)
            return number == IntPtr.Zero ? null : All[(int)number - 1];
    }

    internal static long Value(IntPtr number) { return At(number).Value; }

    internal static byte[] Save(IntPtr number)
    {
        return number == IntPtr.Zero ? new byte[0] : BitConverter.GetBytes(Value(number));
    }

    internal static IntPtr Load(byte[] data)
    {
        return data.Length == 0 ? IntPtr.Zero : Make(BitConverter.ToInt64(data, 0));
    }

    private static int New(IntPtr L)
    {
        IntPtr block = lua_newuserdatauv(L, (UIntPtr)(uint)IntPtr.Size, 1);
        Marshal.WriteIntPtr(block, Make(lua_tointegerx(L, 1, IntPtr.Zero)));
        luaL_setmetatable(L, "Meter");
        return 1;
    }

    private static int Read(IntPtr L)
    {
        Meter meter = At(Marshal.ReadIntPtr(lua_touserdata(L, 1)));
        lua_pushinteger(L, meter == null ? -1 : ++meter.Value);
        return 1;
    }

    private static int End(IntPtr L)
    {
        IntPtr block = lua_touserdata(L, 1);
        Meter meter = At(Marshal.ReadIntPtr(block));
        if (meter != null)
            meter.Ended++;
        Marshal.WriteIntPtr(block, IntPtr.Zero);
        return 0;
    }

    private static int Open(IntPtr L)
    {
        luaL_newmetatable(L, "Meter");
        lua_pushcclosure(L, Names["meter.close"], 0);
        lua_setfield(L, -2, "__gc");
        lua_createtable(L, 0, 3);
        foreach (KeyValuePair<string, IntPtr> each in Names)
        {
            lua_pushcclosure(L, each.Value, 0);
            lua_setfield(L, -2, each.Key.Substring("meter.".Length));
        }
        return 1;
    }
}
