// Program.cs: runs the tests of Rlua.dll, and prints what it declares of rlua.h.
// Method: each public method of a class *Tests opens its own VMs; it fails by an exception.
//
//     tests.exe [NAME...]     runs the tests whose names contain one of these, or all
//     tests.exe layout        prints enumerations, structs and functions, for check_header.py
//     tests.exe load FILE     what ObjectTests has another process do
//     tests.exe methods       compiles every method: all that it refers to is in this runtime

using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Rlua;

internal static class Program
{
    private const BindingFlags All = BindingFlags.Public | BindingFlags.NonPublic
        | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    private static int Main(string[] arguments)
    {
        switch (arguments.FirstOrDefault())
        {
            case "layout": Layout.Print(); return 0;
            case "load": return ObjectTests.LoadFile(arguments[1]);
            case "methods": return CompileMethods();
            default: return RunTests(arguments);
        }
    }

    private static int RunTests(string[] names)
    {
        int passed = 0, failed = 0;
        var tests = typeof(Program).Assembly.GetTypes().Where(t => t.Name.EndsWith("Tests"))
            .SelectMany(t => t.GetMethods(BindingFlags.Public | BindingFlags.Static))
            .Where(m => names.Length == 0 || names.Any(m.Name.Contains));
        foreach (MethodInfo test in tests)
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
        return failed == 0 && passed > 0 ? 0 : 1;
    }

    /// <summary>A type or a member that this runtime lacks is an exception here.</summary>
    private static int CompileMethods()
    {
        Console.WriteLine(Library.Version);     // what P/Invokes need is there
        int compiled = 0, failed = 0;
        foreach (Type type in typeof(Lua).Assembly.GetTypes())
        {
            foreach (MethodBase method in type.GetMethods(All).Cast<MethodBase>()
                                              .Concat(type.GetConstructors(All)))
            {
                if (method.IsAbstract || typeof(Delegate).IsAssignableFrom(type)
                    || type.ContainsGenericParameters
                    || method.ContainsGenericParameters)
                    continue;
                try
                {
                    RuntimeHelpers.PrepareMethod(method.MethodHandle);
                    compiled++;
                }
                catch (Exception e)
                {
                    failed++;
                    Console.WriteLine("FAILED {0}.{1}: {2}", type, method.Name, e.Message);
                }
            }
        }
        Console.WriteLine("{0} passed, {1} failed", compiled, failed);
        return failed == 0 && compiled > 300 ? 0 : 1;
    }
}

/// <summary>What Rlua.dll declares of rlua.h and lua.h, by the names that they have there.
/// </summary>
internal static class Layout
{
    private const BindingFlags Hidden = BindingFlags.NonPublic | BindingFlags.Static;
    private static readonly Type Native = typeof(Lua).Assembly.GetType("Rlua.Native");

    internal static void Print()
    {
        foreach (Type type in typeof(Lua).Assembly.GetTypes())
            if (type.IsEnum)
                PrintEnum(type, type == typeof(Status) ? "RLUA_"
                          : type == typeof(Libs) ? "RLUA_LIB_"
                          : "RLUA_" + System.Text.RegularExpressions.Regex.Replace(type.Name,
                              "(?<=[a-z])(?=[A-Z])", "_").ToUpperInvariant() + "_");
        foreach (Type type in typeof(Lua).Assembly.GetTypes())
            if (type.IsValueType && type.Name.StartsWith("Raw") && !type.IsNested)
                PrintStruct(type, "rlua_" + type.Name.Substring(3));
        PrintConstant("RLUA_RAISE", "Raise");
        PrintConstant("RLUA_NO_BUDGET", "NoBudget");
        PrintConstant("LUA_MULTRET", "MultipleResults");
        PrintConstant("LUA_GCCOLLECT", "CollectAll");
        foreach (string type in new[] { "Nil", "Boolean", "LightUserData", "Number", "String",
                                        "Table", "Function", "UserData", "Thread" })
            PrintConstant("LUA_T" + type.ToUpperInvariant(), type);
        Console.WriteLine("LUA_EXTRASPACE " + IntPtr.Size);
        foreach (MethodInfo function in Native.GetMethods(Hidden))
            if (Regex.IsMatch(function.Name, "^r?lua_"))
                Console.WriteLine("{0}() {1}", function.Name, string.Join(",",
                    new[] { function.ReturnType }
                        .Concat(function.GetParameters().Select(p => p.ParameterType))
                        .Select(SizeOf)));
    }

    private static void PrintConstant(string name, string field)
    {
        object value = Native.GetField(field, Hidden).GetRawConstantValue();
        Console.WriteLine("{0} {1}", name, value is ulong big ? unchecked((long)big) : value);
    }

    private static string Snake(string name)
    {
        return Regex.Replace(name, "(?<!^)([A-Z])", "_$1").ToLowerInvariant();
    }

    private static void PrintEnum(Type type, string prefix)
    {
        foreach (object value in Enum.GetValues(type))
            if (value.ToString() != "None")
                Console.WriteLine("{0}{1} {2}", prefix, Snake(value.ToString()).ToUpperInvariant(),
                                  Convert.ToInt64(value));
    }

    private static void PrintStruct(Type type, string name)
    {
        Console.WriteLine("sizeof({0}) {1}", name, Marshal.SizeOf(type));
        foreach (FieldInfo field in type.GetFields(BindingFlags.Instance | BindingFlags.NonPublic))
            Console.WriteLine("{0}.{1} {2}+{3}", name, Snake(field.Name),
                              Marshal.OffsetOf(type, field.Name), SizeOf(field.FieldType));
    }

    private static int SizeOf(Type type)
    {
        if (type == typeof(void))
            return 0;
        if (type.IsPointer)
            return IntPtr.Size;
        return Marshal.SizeOf(type.IsEnum ? Enum.GetUnderlyingType(type) : type);
    }
}

/// <summary>What the tests say.</summary>
internal static class Expect
{
    internal const int Mib = 1 << 20;

    internal static Lua Open(int snapshots = 8)
    {
        return new Lua(memory: Mib, snapshots: snapshots);
    }

    internal static void Equal(object expected, object found)
    {
        if (!Equals(expected, found))
            throw new Exception(string.Format("expected {0}, found {1}", expected ?? "null",
                                              found ?? "null"));
    }

    internal static void True(bool condition, string what = "what has to hold does not")
    {
        if (!condition)
            throw new Exception(what);
    }

    internal static void Contains(string part, string text)
    {
        True(text != null && text.Contains(part), "no \"" + part + "\" in \"" + text + "\"");
    }

    internal static T Throws<T>(Action action) where T : Exception
    {
        try { action(); }
        catch (T e) { return e; }
        throw new Exception("expected " + typeof(T).Name + ", found no exception");
    }

    internal static string Show(object value)
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

    /// <summary>In a frame of its own, so that nothing on this stack keeps what it made.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void Apart(Action action)
    {
        var thread = new System.Threading.Thread(() => action());
        thread.Start();
        thread.Join();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
    }
}
