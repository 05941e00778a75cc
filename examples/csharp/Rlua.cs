// Rlua.cs: a Lua whose whole state can go back in time, from C#, over P/Invoke.
//
//     using (var lua = new Lua(memory: 1 << 20, snapshots: 20)) {
//         lua.Execute("n = 1");
//         lua.Snap();
//         lua.Execute("n = 2");
//         lua.Rollback();
//         Console.WriteLine(lua["n"]);     // 1
//     }
//
// Values are copied on their way in and out:
//
//     Lua        C#
//     nil        null
//     boolean    bool
//     integer    long; every integer type that fits in
//     float      double; float in
//     string     string if it is valid UTF-8, else byte[]; both in
//     table      object[] if its keys are exactly 1..n, n > 0, else Dictionary<object, object>;
//                any IDictionary or IEnumerable in
//     function   a HostFunction in; none out: Lua.Ref("name"), or Lua.Call("a.b", ...)
//     resource   an object of the host: resourceType.Wrap(object) in, the object out
//
// Invariants:
// - Only functions that cannot raise a Lua error are imported, so no longjmp crosses a managed
//   frame.
// - No exception crosses Lua: one that leaves a HostFunction becomes a Lua error, raised after
//   the function has returned, with the script's position in front, and is the InnerException of
//   what the host then catches.
// - The one delegate that Lua calls is static. HostFunctions live until their Lua is disposed, not
//   until Lua collects them: a rollback can bring a collected function back. What they keep in C#
//   rolls back if it is an IParticipant, or kept through one (Lua.Follow).
// - A VM is closed once, by Dispose or, where its Lua is forgotten, on the finalizer's thread, and
//   never while a call into it is under way. Nothing that owns or names one is a struct.
// - A resource is released exactly once, when neither the live state nor a snapshot can reach it;
//   where a Lua is forgotten, on the finalizer's thread.
//
// Works from C# 7 on, under Mono and .NET. The library is found through the environment variable
// RLUA_LIBRARY (a path), in target/release of this repository, or by the system's loader; the
// runtime must find the name "rlua" too (LD_LIBRARY_PATH, PATH, or a dllmap).
//
// Not here: coroutines as C# values, userdata of other libraries.

using System;
using System.Collections;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;

namespace Rlua
{
    /// <summary>A function of the host. It may return null, one value, or Results.</summary>
    public delegate object HostFunction(object[] arguments);

    /// <summary>Several results of one HostFunction.</summary>
    public sealed class Results
    {
        internal readonly object[] Values;
        public Results(params object[] values) { Values = values; }
    }

    /// <summary>rlua_Status of rlua.h.</summary>
    public enum Status
    {
        Ok = 0, NullArg = 1, NotRollback = 2, Busy = 3, Poisoned = 4, Disabled = 5, NoSnapshot = 6,
        BadFrame = 7, NoMemory = 8, BadConfig = 9, Unsupported = 10, Corrupt = 11, BadArg = 12,
        Stale = 13, Participant = 14,
        ErrRun = 64, ErrSyntax = 65, ErrMem = 66, ErrErr = 67, ErrFile = 68, Yield = 69,
        Budget = 70,
    }

    /// <summary>RLUA_LIB_... of rlua.h: standard libraries, and what is taken from them; 0 is
    /// none.</summary>
    [Flags]
    public enum Libs : uint
    {
        Base = 0x1, Coroutine = 0x2, Table = 0x4, String = 0x8, Utf8 = 0x10, Math = 0x20,
        Io = 0x40, Os = 0x80, Debug = 0x100, Package = 0x200, TextOnly = 0x10000, Locked = 0x20000,
        All = 0x3ff, Deterministic = 0x1003f, Sandbox = 0x3003f,
    }

    /// <summary>rlua_Tracker of rlua.h: which way written pages are found.</summary>
    public enum Tracker { Auto = 0, Compare = 1, Uffd = 2, Cards = 3 }

    /// <summary>rlua_Guard of rlua.h: what a userdata with a finalizer in C means.</summary>
    public enum Guard { On = 0, Refuse = 1, Off = 2 }

    /// <summary>rlua_Profile of rlua.h: whose rules scripts find.</summary>
    public enum Profile { Deterministic = 0, Stock = 1 }

    /// <summary>Any failure of the library.</summary>
    public class RluaException : Exception
    {
        public readonly Status Status;
        public RluaException(Status status, string message, Exception inner = null)
            : base(message, inner) { Status = status; }
    }

    /// <summary>A script raised an error. Value is the error value, copied; null if it has no
    /// counterpart. InnerException is the exception of a HostFunction that led to it. Traceback is
    /// Lua's, or null.</summary>
    public class ScriptException : RluaException
    {
        public readonly object Value;
        public readonly string Traceback;
        public ScriptException(Status status, string message, object value, string traceback,
                               Exception inner)
            : base(status, message, inner) { Value = value; Traceback = traceback; }

        public override string ToString()
        {
            return Traceback == null ? base.ToString() : base.ToString() + "\n" + Traceback;
        }
    }

    /// <summary>What a HostFunction throws where the script gave it a wrong argument, 1 for the
    /// first. new ScriptArgumentException(1, "number expected") in show() is to the script the
    /// error "ai.lua:3: bad argument #1 to 'show' (number expected)".</summary>
    public sealed class ScriptArgumentException : ArgumentException
    {
        public readonly int Argument;
        internal readonly string Text;
        public ScriptArgumentException(int argument, string message, Exception inner = null)
            : base("bad argument #" + argument + " (" + message + ")", inner)
        {
            Argument = argument;
            Text = message;
        }
    }

    /// <summary>Arguments of a HostFunction by their types.</summary>
    public static class Arguments
    {
        /// <summary>The argument at an index, 0 for the first, as a T: bool, string, byte[], a
        /// number type that it fits in, or the class of a resource; a nullable T or object for one
        /// that may be nil. A ScriptArgumentException if it is none.</summary>
        public static T Get<T>(this object[] arguments, int index)
        {
            object value = index < arguments.Length ? arguments[index] : null;
            Type type = Nullable.GetUnderlyingType(typeof(T)) ?? typeof(T);
            if (value is T || value == null && (type != typeof(T) || type == typeof(object)))
                return (T)value;
            TypeCode code = Type.GetTypeCode(type);
            bool integer = code >= TypeCode.SByte && code <= TypeCode.UInt64;
            bool number = integer || code == TypeCode.Single || code == TypeCode.Double;
            if (number && (value is long || value is double && !(integer && IsFraction(value))))
            {
                try { return (T)Convert.ChangeType(value, type); }
                catch (OverflowException) { }
            }
            string wanted = integer ? "integer in range" : number ? "number" : NameOf(type);
            string found = index < arguments.Length ? NameOf(value) : "no value";
            throw new ScriptArgumentException(index + 1, wanted + " expected, got " + found);
        }

        private static bool IsFraction(object value)
        {
            return Math.Floor((double)value) != (double)value;
        }

        private static string NameOf(object value)
        {
            return value == null ? "nil" : NameOf(value.GetType());
        }

        private static string NameOf(Type type)
        {
            if (type == typeof(bool))
                return "boolean";
            if (type == typeof(long) || type == typeof(double))
                return "number";
            if (type == typeof(string) || type == typeof(byte[]))
                return "string";
            bool table = type == typeof(object[]) || type == typeof(Dictionary<object, object>);
            return table ? "table" : type.Name;
        }
    }

    /// <summary>A chunk does not compile.</summary>
    public sealed class ScriptSyntaxException : ScriptException
    {
        public ScriptSyntaxException(Status status, string message, object value)
            : base(status, message, value, null, null) { }
    }

    /// <summary>Scripts used up Lua.Budget; until it is set again, or rolled back, none runs.
    /// </summary>
    public sealed class BudgetException : ScriptException
    {
        public BudgetException(Status status, string message, object value)
            : base(status, message, value, null, null) { }
    }

    /// <summary>The memory limit was reached. The VM stays usable.</summary>
    public sealed class MemoryLimitException : RluaException
    {
        public MemoryLimitException(Status status, string message) : base(status, message) { }
    }

    /// <summary>Lua is running: not from a HostFunction. Nothing has changed.</summary>
    public sealed class BusyException : RluaException
    {
        public BusyException(Status status, string message) : base(status, message) { }
    }

    /// <summary>There is no such snapshot. Nothing has changed.</summary>
    public sealed class NoSnapshotException : RluaException
    {
        public NoSnapshotException(Status status, string message) : base(status, message) { }
    }

    /// <summary>What a reference or a handle names is gone: released, or rolled back away.
    /// </summary>
    public sealed class StaleException : RluaException
    {
        public StaleException(Status status, string message) : base(status, message) { }
    }

    /// <summary>State of the host that follows the snapshots of a VM. A Capture that throws fails
    /// the snap, which has changed nothing. Neither of the others may throw. Lua keeps it until
    /// Dispose; one that refers to its Lua keeps that alive as well.</summary>
    public interface IParticipant
    {
        object Capture(long frame);
        void Restore(object token);
        void Discard(object token);
    }

    /// <summary>A kind of object that scripts hold and the host owns. release is called with the
    /// object exactly once, when neither the live state nor a snapshot can reach its handle. Lives
    /// as long as the program; make one per kind, not per object.</summary>
    public sealed class ResourceType
    {
        public readonly string Name;
        internal readonly Action<object> Release;
        internal readonly IntPtr Raw;

        internal sealed class Wrapped
        {
            internal ResourceType Type;
            internal object Value;
            internal bool Given;
        }

        internal static readonly Dictionary<long, Wrapped> Objects =
            new Dictionary<long, Wrapped>();
        private static readonly Native.ReleaseFunction Entry = OnRelease;
        private static long next;

        public ResourceType(string name, Action<object> release)
        {
            Name = name;
            Release = release;
            byte[] text = Text.Terminated(name);
            IntPtr label = Marshal.AllocHGlobal(text.Length);
            Marshal.Copy(text, 0, label, text.Length);
            int size = Marshal.SizeOf(typeof(Native.ResourceTypeStruct));
            var raw = new Native.ResourceTypeStruct {
                Size = (UIntPtr)(uint)size, Name = label, Release = Entry };
            Raw = Marshal.AllocHGlobal(size);
            Marshal.StructureToPtr(raw, Raw, false);
        }

        /// <summary>An object for the way in: lua["t"] = type.Wrap(image). What it returns can be
        /// given to a VM once, as the object is released once.</summary>
        public object Wrap(object value) { return new Wrapped { Type = this, Value = value }; }

        internal static IntPtr Enter(Wrapped wrapped)
        {
            lock (Objects)
            {
                Objects[++next] = wrapped;
                return (IntPtr)next;
            }
        }

        internal static Wrapped Leave(IntPtr id)
        {
            lock (Objects)
            {
                Wrapped wrapped = Objects[id.ToInt64()];
                Objects.Remove(id.ToInt64());
                return wrapped;
            }
        }

        private static void OnRelease(IntPtr L, IntPtr id, IntPtr ud)
        {
            try
            {
                Wrapped wrapped = Leave(id);
                if (wrapped.Type.Release != null)
                    wrapped.Type.Release(wrapped.Value);
            }
            catch (Exception e) { Console.Error.WriteLine("a release threw: " + e); }
        }
    }

    /// <summary>A Lua value, above all a function, kept without a name. StaleException when it was
    /// made after the snapshot that was restored, or disposed.</summary>
    public sealed class Reference : IDisposable
    {
        internal readonly Lua Owner;
        internal ulong Number;

        internal Reference(Lua owner, ulong number) { Owner = owner; Number = number; }

        /// <summary>Calls the value. Results and errors as Lua.Execute.</summary>
        public object[] Call(params object[] arguments) { return Owner.Call(this, arguments); }

        public void Dispose()
        {
            Owner.Release(Number);
            Number = 0;
        }
    }

    /// <summary>What a VM holds. Sizes are bytes; frames mean something with a snapshot only,
    /// HighestFrame once there was one.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Info
    {
        internal UIntPtr Size;
        public UIntPtr UsedBytes, CommittedBytes, PeakBytes, LimitBytes;
        public UIntPtr SnapshotCount, MaxSnapshots, SnapshotBytes;
        public long OldestFrame, NewestFrame;
        public UIntPtr DirtyPages;
        private int tracker, reserved;
        public long HighestFrame;
        public UIntPtr GuardedCount;

        public Tracker Tracker { get { return (Tracker)tracker; } }
    }

    /// <summary>The C side: rlua.h, and of lua.h only what cannot raise.</summary>
    internal static class Native
    {
        internal const int Raise = -1, MultipleResults = -1, CollectAll = 2;
        internal const int Nil = 0, Boolean = 1, Number = 3, String = 4, Table = 5, UserData = 7;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int Callback(IntPtr L, IntPtr ud);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate void ReleaseFunction(IntPtr L, IntPtr value, IntPtr ud);
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int CaptureFunction(IntPtr ud, long frame, out IntPtr token);
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate void TokenFunction(IntPtr ud, IntPtr token);

        [StructLayout(LayoutKind.Sequential)]
        internal struct ResourceTypeStruct
        {
            internal UIntPtr Size;
            internal IntPtr Name;
            internal ReleaseFunction Release;
            internal IntPtr Ud, Methods;
        }

        [StructLayout(LayoutKind.Sequential)]
        internal struct ParticipantStruct
        {
            internal UIntPtr Size;
            internal CaptureFunction Capture;
            internal TokenFunction Restore, Discard;
        }

        [StructLayout(LayoutKind.Sequential)]
        internal struct Config
        {
            internal UIntPtr Size, MemorySize, MaxSnapshots;
            internal ulong Seed;
            internal int Tracker, GcPause, GcStepMultiplier, GcStepSize, GcSweepDivisor, Audit;
            internal int Guard, Profile, Announces, Reserved;
        }

        private const string Name = "rlua";
        private const CallingConvention C = CallingConvention.Cdecl;

        [DllImport(Name, CallingConvention = C)]
        internal static extern IntPtr rlua_version();
        [DllImport(Name, CallingConvention = C)]
        internal static extern IntPtr rlua_strerror(Status status);
        [DllImport(Name, CallingConvention = C)]
        internal static extern IntPtr rlua_last_error(IntPtr L);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_open(ref Config config, out IntPtr L);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_info(IntPtr L, ref Info info);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_check(IntPtr L);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_snap(IntPtr L);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_newest_frame(IntPtr L, out long frame);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_set_time(IntPtr L, long seconds, uint nanoseconds);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_config_digest(IntPtr L, out ulong digest);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_rollback(IntPtr L, UIntPtr n);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_snap_frame(IntPtr L, long frame);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_rollback_to(IntPtr L, long frame);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_discard_before(IntPtr L, long frame);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_set_max_snapshots(IntPtr L, UIntPtr count);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_openlibs(IntPtr L, uint libs);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_newenv(IntPtr L, uint libs);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_set_budget(IntPtr L, ulong units);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_budget_left(IntPtr L, out ulong units);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_gc(IntPtr L, int what, int data);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_loadbuffer(IntPtr L, byte[] chunk, UIntPtr length,
                                                   byte[] name, byte[] mode);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_call(IntPtr L, int arguments, int results, int handler);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_traceback(IntPtr L, IntPtr of, byte[] message,
                                                     int level);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int rlua_error(IntPtr L, byte[] message);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int rlua_argerror(IntPtr L, int argument, byte[] message);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_getglobal(IntPtr L, byte[] name);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_setglobal(IntPtr L, byte[] name);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_getfield(IntPtr L, int index, byte[] name);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_seti(IntPtr L, int index, long n);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_settable(IntPtr L, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_next(IntPtr L, int index, out int more);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_tolstring(IntPtr L, int index, out IntPtr text,
                                                  out UIntPtr length);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushlstring(IntPtr L, byte[] text, UIntPtr length);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushinteger(IntPtr L, long value);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushnumber(IntPtr L, double value);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushboolean(IntPtr L, int value);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushnil(IntPtr L);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushvalue(IntPtr L, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_createtable(IntPtr L, int array, int records);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushfunction(IntPtr L, Callback function, IntPtr ud,
                                                     byte[] name);
        [DllImport(Name, CallingConvention = C)]
        internal static extern ulong rlua_ref(IntPtr L);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_getref(IntPtr L, ulong reference);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_unref(IntPtr L, ulong reference);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushresource(IntPtr L, IntPtr value, IntPtr type);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_toresource(IntPtr L, int index, IntPtr type,
                                                   out IntPtr value);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_add_participant(IntPtr L,
                                                           ref ParticipantStruct functions,
                                                           IntPtr ud);
        [DllImport(Name, CallingConvention = C)]
        internal static extern void lua_close(IntPtr L);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_gettop(IntPtr L);
        [DllImport(Name, CallingConvention = C)]
        internal static extern void lua_settop(IntPtr L, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_checkstack(IntPtr L, int slots);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_absindex(IntPtr L, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern void lua_rotate(IntPtr L, int index, int n);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_type(IntPtr L, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern IntPtr lua_typename(IntPtr L, int type);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_toboolean(IntPtr L, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_isinteger(IntPtr L, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern long lua_tointegerx(IntPtr L, int index, IntPtr is_integer);
        [DllImport(Name, CallingConvention = C)]
        internal static extern double lua_tonumberx(IntPtr L, int index, IntPtr is_number);
        [DllImport(Name, CallingConvention = C)]
        internal static extern IntPtr lua_topointer(IntPtr L, int index);

        [DllImport("libdl.so.2", EntryPoint = "dlopen")]
        private static extern IntPtr dlopen_libdl(byte[] path, int flags);
        [DllImport("libc", EntryPoint = "dlopen")]
        private static extern IntPtr dlopen_libc(byte[] path, int flags);

        // Loads the library RTLD_GLOBAL before the first import asks for it, so that C modules
        // which a script requires find Lua's own functions in it.
        static Native()
        {
            if (Path.DirectorySeparatorChar == '\\')
                return;
            bool mac = File.Exists("/System/Library/CoreServices/SystemVersion.plist");
            byte[] path = Text.Terminated(FindLibrary(mac ? "librlua.dylib" : "librlua.so"));
            const int now = 2;
            int global = mac ? 0x8 : 0x100;
            try { dlopen_libdl(path, now | global); }
            catch (Exception e) when (e is DllNotFoundException || e is EntryPointNotFoundException)
            {
                dlopen_libc(path, now | global);
            }
        }

        private static string FindLibrary(string name)
        {
            string told = Environment.GetEnvironmentVariable("RLUA_LIBRARY");
            if (!string.IsNullOrEmpty(told))
                return told;
            var folder = new DirectoryInfo(AppDomain.CurrentDomain.BaseDirectory);
            for (; folder != null; folder = folder.Parent)
            {
                string built = Path.Combine(folder.FullName, "target", "release", name);
                if (File.Exists(built))
                    return built;
            }
            return name;
        }
    }

    /// <summary>UTF-8 by hand: the P/Invoke marshallers differ between runtimes.</summary>
    internal static class Text
    {
        private static readonly Encoding Strict = new UTF8Encoding(false, true);
        private static readonly Encoding Lenient = new UTF8Encoding(false, false);

        internal static byte[] Terminated(string text)
        {
            if (text.IndexOf('\0') >= 0)
                throw new ArgumentException("a name cannot contain a NUL");
            return Strict.GetBytes(text + "\0");
        }

        internal static byte[] Bytes(string text) { return Strict.GetBytes(text); }

        /// <summary>A message for C, which ends it at a NUL.</summary>
        internal static byte[] Message(string text)
        {
            return Lenient.GetBytes(text.Replace("\0", "\\0") + "\0");
        }

        /// <summary>The string, or the bytes themselves where they are not UTF-8.</summary>
        internal static object Decode(byte[] data)
        {
            try { return Strict.GetString(data); }
            catch (DecoderFallbackException) { return data; }
        }

        internal static string FromC(IntPtr text)
        {
            if (text == IntPtr.Zero)
                return "";
            int length = 0;
            while (Marshal.ReadByte(text, length) != 0)
                length++;
            return Lenient.GetString(Copy(text, length));
        }

        internal static byte[] Copy(IntPtr text, int length)
        {
            var data = new byte[length];
            if (length > 0)
                Marshal.Copy(text, data, 0, length);
            return data;
        }
    }

    /// <summary>Owns one VM and the handles by which its HostFunctions are known to Lua.
    /// The last owner's end closes the VM, on whatever thread that is.</summary>
    internal sealed class LuaHandle : SafeHandle
    {
        internal readonly List<GCHandle> Functions = new List<GCHandle>();

        internal LuaHandle(IntPtr L) : base(IntPtr.Zero, true) { SetHandle(L); }

        public override bool IsInvalid { get { return handle == IntPtr.Zero; } }

        protected override bool ReleaseHandle()
        {
            Native.lua_close(handle);   // finalizers of the script may still call the host
            foreach (GCHandle function in Functions)
                function.Free();
            return true;
        }
    }

    /// <summary>One VM. It belongs to the thread that made it.</summary>
    public sealed class Lua : IDisposable
    {
        private const int MaxDepth = 100;

        // Never collected, so Lua never calls freed memory.
        private static readonly Native.Callback Entry = Trampoline, OnError = NoteTraceback;

        // What a function's `ud` leads to. Lua's side holds it weakly, this Lua strongly: when
        // the Lua is collected unused, its last finalizers find their functions gone, not freed.
        private sealed class Held
        {
            internal Lua Owner;
            internal HostFunction Function;
        }

        private static readonly Native.CaptureFunction OnCapture = Capture;
        private static readonly Native.TokenFunction OnRestore = Restore, OnDiscard = Discard;

        private readonly List<ResourceType> types = new List<ResourceType>();
        private readonly LuaHandle handle;
        private readonly List<Held> functions = new List<Held>();
        private readonly int thread = Thread.CurrentThread.ManagedThreadId;
        private IntPtr running;             // the Lua thread calls go to; a callback's own inside
        private int depth;                  // callbacks on the stack
        private string raisedText;          // what a HostFunction threw last, and as which text
        private Exception raised;
        private string traceback;           // Lua's, of the error on its way out
        private ScriptException passing;    // one that a HostFunction passes on: it has the first
        private readonly ulong handler;     // a reference, from before the first snapshot

        /// <summary>Opens a VM. memory is the limit of its whole state in bytes, 0 for the
        /// largest; snapshots is how many it keeps; seed is that of the string hashes, of
        /// table.sort's pivot and of math.random.
        /// Throws MemoryLimitException or RluaException.</summary>
        public Lua(long memory = 0, int snapshots = 0, ulong seed = 0, Libs libs = Libs.All)
        {
            if (memory < 0 || snapshots < 0)
                throw new ArgumentOutOfRangeException("memory and snapshots are not negative");
            var config = new Native.Config {
                Size = (UIntPtr)Marshal.SizeOf(typeof(Native.Config)),
                MemorySize = (UIntPtr)(ulong)memory, MaxSnapshots = (UIntPtr)(uint)snapshots,
                Seed = seed,
            };
            Status status = Native.rlua_open(ref config, out running);
            if (status != Status.Ok)
                throw Failure(IntPtr.Zero, status);
            handle = new LuaHandle(running);
            try
            {
                using (var frame = new Frame(this))
                {
                    if (libs != 0)
                        Check(frame.L, Native.rlua_openlibs(frame.L, (uint)libs));
                    handler = MakeHandler(frame.L);
                }
            }
            catch { handle.Dispose(); throw; }
        }

        private ulong MakeHandler(IntPtr L)
        {
            GCHandle weak = GCHandle.Alloc(this, GCHandleType.Weak);
            handle.Functions.Add(weak);
            Check(L, Native.rlua_pushfunction(L, OnError, GCHandle.ToIntPtr(weak),
                                              Text.Terminated("traceback")));
            ulong number = Native.rlua_ref(L);
            if (number == 0)
                throw Failure(L, Status.NoMemory);
            return number;
        }

        /// <summary>Frees the VM. A second call does nothing. BusyException in a HostFunction.
        /// </summary>
        public void Dispose()
        {
            if (handle.IsClosed)
                return;
            // In the functions of participants and resources only the library knows that it is
            // busy. Dropping what is older than the oldest possible frame drops nothing, but asks.
            if (depth > 0 || Native.rlua_discard_before(Enter(), long.MinValue) == Status.Busy)
                throw new BusyException(Status.Busy, "Dispose: Lua is running in this VM");
            depth++;
            handle.Dispose();
            running = IntPtr.Zero;
            functions.Clear();
        }

        /// <summary>The library's version, "major.minor.patch".</summary>
        public static string Version { get { return Text.FromC(Native.rlua_version()); } }

        // Running Lua

        /// <summary>Runs a chunk of source and returns its results. name is the chunk's name in
        /// messages, with '=' or '@' before it. Throws ScriptException and its kinds.</summary>
        public object[] Execute(string code, string name = "=execute")
        {
            using (var frame = new Frame(this))
            {
                byte[] source = Text.Bytes(code);
                Check(frame.L, Native.rlua_loadbuffer(frame.L, source, (UIntPtr)source.Length,
                                                      Text.Terminated(name), Text.Terminated("t")));
                return CallPushed(frame.L, new object[0]);
            }
        }

        /// <summary>Calls the function `path`, a global or a path through tables as
        /// "game.player.move". Results and errors as Execute.</summary>
        public object[] Call(string path, params object[] arguments)
        {
            using (var frame = new Frame(this))
            {
                string[] names = path.Split('.');
                Check(frame.L, Native.rlua_getglobal(frame.L, Text.Terminated(names[0])));
                for (int i = 1; i < names.Length; i++)
                    Check(frame.L, Native.rlua_getfield(frame.L, -1, Text.Terminated(names[i])));
                return CallPushed(frame.L, arguments);
            }
        }

        /// <summary>A global, by copy. An absent one is null, and null removes it.</summary>
        public object this[string name]
        {
            get
            {
                using (var frame = new Frame(this))
                {
                    Check(frame.L, Native.rlua_getglobal(frame.L, Text.Terminated(name)));
                    return Read(frame.L, -1, null);
                }
            }
            set
            {
                using (var frame = new Frame(this))
                {
                    Push(frame.L, value, 0, name);
                    Check(frame.L, Native.rlua_setglobal(frame.L, Text.Terminated(name)));
                }
            }
        }

        /// <summary>Runs a full garbage collection of Lua's.</summary>
        public void Collect()
        {
            using (var frame = new Frame(this))
                Check(frame.L, Native.rlua_gc(frame.L, Native.CollectAll, 0));
        }

        // Time: as the namesakes in rlua.h; after an exception nothing has changed.

        /// <summary>Captures the whole state, labelled newest + 1. Returns the label.</summary>
        public long Snap()
        {
            using (var hold = new Hold(this))
            {
                Plain(hold.L, Native.rlua_snap(hold.L));
                Plain(hold.L, Native.rlua_newest_frame(hold.L, out long frame));
                return frame;
            }
        }

        /// <summary>Captures the whole state as `frame`. The newest label again replaces its
        /// snapshot; a lower one is refused.</summary>
        public long Snap(long frame)
        {
            using (var hold = new Hold(this))
                Plain(hold.L, Native.rlua_snap_frame(hold.L, frame));
            return frame;
        }

        /// <summary>The label of the newest snapshot, null where there is none.</summary>
        public long? NewestFrame
        {
            get
            {
                using (var hold = new Hold(this))
                {
                    Status status = Native.rlua_newest_frame(hold.L, out long frame);
                    if (status == Status.NoSnapshot)
                        return null;
                    Plain(hold.L, status);
                    return frame;
                }
            }
        }

        /// <summary>Sets the clock that os.time, os.date and os.clock read: an input that all peers
        /// agree on, part of the state, 0 at first.</summary>
        public void SetTime(long seconds, int nanoseconds = 0)
        {
            using (var hold = new Hold(this))
                Plain(hold.L, Native.rlua_set_time(hold.L, seconds, (uint)nanoseconds));
        }

        /// <summary>What peers must have in common (memory, seed, profile, pace, version), as one
        /// number.</summary>
        public ulong ConfigDigest
        {
            get
            {
                using (var hold = new Hold(this))
                {
                    Plain(hold.L, Native.rlua_config_digest(hold.L, out ulong digest));
                    return digest;
                }
            }
        }

        /// <summary>Goes back to the n-th newest snapshot, drops newer ones and keeps it.</summary>
        public void Rollback(int n = 1)
        {
            using (var hold = new Hold(this))
                Plain(hold.L, Native.rlua_rollback(hold.L, (UIntPtr)(uint)Math.Max(n, 0)));
        }

        /// <summary>Goes back to the snapshot labelled `frame`.</summary>
        public void RollbackTo(long frame)
        {
            using (var hold = new Hold(this))
                Plain(hold.L, Native.rlua_rollback_to(hold.L, frame));
        }

        /// <summary>Drops the snapshots older than `frame`.</summary>
        public void DiscardBefore(long frame)
        {
            using (var hold = new Hold(this))
                Plain(hold.L, Native.rlua_discard_before(hold.L, frame));
        }

        /// <summary>Keeps up to `count` snapshots from now on.</summary>
        public void SetMaxSnapshots(int count)
        {
            if (count < 0)
                throw new ArgumentOutOfRangeException("count");
            using (var hold = new Hold(this))
                Plain(hold.L, Native.rlua_set_max_snapshots(hold.L, (UIntPtr)(uint)count));
        }

        /// <summary>What the VM holds.</summary>
        public Info Info
        {
            get
            {
                var info = new Info { Size = (UIntPtr)Marshal.SizeOf(typeof(Info)) };
                using (var hold = new Hold(this))
                    Plain(hold.L, Native.rlua_info(hold.L, ref info));
                return info;
            }
        }

        /// <summary>What scripts may do still, in units of rlua_set_budget; NoBudget is no limit,
        /// as at first. Part of the state: it rolls back. When it is used up, calls throw
        /// BudgetException.</summary>
        public ulong Budget
        {
            get
            {
                ulong units;
                using (var hold = new Hold(this))
                    Plain(hold.L, Native.rlua_budget_left(hold.L, out units));
                return units;
            }
            set
            {
                using (var hold = new Hold(this))
                    Plain(hold.L, Native.rlua_set_budget(hold.L, value));
            }
        }

        /// <summary>For Budget: as much as scripts want.</summary>
        public const ulong NoBudget = ulong.MaxValue;

        /// <summary>Walks the arena and the snapshots. For tests: it is slow.</summary>
        public void Check()
        {
            using (var hold = new Hold(this))
                Plain(hold.L, Native.rlua_check(hold.L));
        }

        // What the host keeps with the VM

        /// <summary>A reference to the value of a global, or of a path through tables. A nil, which
        /// is what an absent one is, is refused: no later call could use it.</summary>
        public Reference Ref(string path)
        {
            using (var frame = new Frame(this))
            {
                string[] names = path.Split('.');
                Check(frame.L, Native.rlua_getglobal(frame.L, Text.Terminated(names[0])));
                for (int i = 1; i < names.Length; i++)
                    Check(frame.L, Native.rlua_getfield(frame.L, -1, Text.Terminated(names[i])));
                if (Native.lua_type(frame.L, -1) == Native.Nil)
                    throw new RluaException(Status.BadArg, "Ref: " + path + " is nil");
                ulong number = Native.rlua_ref(frame.L);
                if (number == 0)
                    throw Failure(frame.L, Status.NoMemory);
                return new Reference(this, number);
            }
        }

        internal object[] Call(Reference reference, object[] arguments)
        {
            using (var frame = new Frame(this))
            {
                PushReference(frame.L, reference);
                return CallPushed(frame.L, arguments);
            }
        }

        internal void Release(ulong number)
        {
            if (number == 0 || running == IntPtr.Zero)
                return;
            using (var hold = new Hold(this))
                Native.rlua_unref(hold.L, number);
        }

        /// <summary>Makes state of the host follow the snapshots from the next on.</summary>
        public void Follow(IParticipant participant)
        {
            var functions = new Native.ParticipantStruct {
                Size = (UIntPtr)(uint)Marshal.SizeOf(typeof(Native.ParticipantStruct)),
                Capture = OnCapture, Restore = OnRestore, Discard = OnDiscard };
            using (var hold = new Hold(this))
            {
                GCHandle held = GCHandle.Alloc(participant);
                Status status = Native.rlua_add_participant(hold.L, ref functions,
                                                            GCHandle.ToIntPtr(held));
                if (status != Status.Ok)
                    held.Free();
                else
                    handle.Functions.Add(held);     // freed when the VM is closed
                Plain(hold.L, status);
            }
        }

        /// <summary>The same with a value that take() reads and put() writes.</summary>
        public void Follow<T>(Func<T> take, Action<T> put)
        {
            Follow(new Followed<T> { Take = take, Put = put });
        }

        private sealed class Followed<T> : IParticipant
        {
            internal Func<T> Take;
            internal Action<T> Put;
            public object Capture(long frame) { return Take(); }
            public void Restore(object token) { Put((T)token); }
            public void Discard(object token) { }
        }

        private static IParticipant Participant(IntPtr ud)
        {
            return (IParticipant)GCHandle.FromIntPtr(ud).Target;
        }

        [ThreadStatic] private static Exception captureFailure;

        private static int Capture(IntPtr ud, long frame, out IntPtr token)
        {
            token = IntPtr.Zero;
            try
            {
                object kept = Participant(ud).Capture(frame);
                token = GCHandle.ToIntPtr(GCHandle.Alloc(kept));
                return 0;
            }
            catch (Exception e)
            {
                captureFailure = e;
                return 1;
            }
        }

        private static void Restore(IntPtr ud, IntPtr token)
        {
            try { Participant(ud).Restore(GCHandle.FromIntPtr(token).Target); }
            catch (Exception e) { Console.Error.WriteLine("a Restore threw: " + e); }
        }

        private static void Discard(IntPtr ud, IntPtr token)
        {
            try
            {
                GCHandle kept = GCHandle.FromIntPtr(token);
                object value = kept.Target;
                kept.Free();
                Participant(ud).Discard(value);
            }
            catch (Exception e) { Console.Error.WriteLine("a Discard threw: " + e); }
        }

        // Inside

        private IntPtr Enter()
        {
            if (running == IntPtr.Zero)
                throw new ObjectDisposedException("Lua");
            if (Thread.CurrentThread.ManagedThreadId != thread)
                throw new InvalidOperationException("a Lua belongs to the thread that made it");
            return running;
        }

        /// <summary>Keeps the VM open during a `using`, whatever the finalizer's thread does: it
        /// may run as soon as this Lua is not used any more, and at the end of the process even
        /// where it still is.</summary>
        private struct Hold : IDisposable
        {
            internal readonly IntPtr L;
            internal readonly Lua Owner;

            internal Hold(Lua owner)
            {
                Owner = owner;
                L = owner.Enter();
                bool held = false;
                owner.handle.DangerousAddRef(ref held);
            }

            public void Dispose() { Owner.handle.DangerousRelease(); }
        }

        /// <summary>The same, and gives the Lua stack back as it was.</summary>
        private struct Frame : IDisposable
        {
            private readonly Hold hold;
            private readonly int top;

            internal IntPtr L { get { return hold.L; } }

            internal Frame(Lua owner)
            {
                hold = new Hold(owner);
                top = Native.lua_gettop(hold.L);
                if (Native.lua_checkstack(hold.L, 8) != 0)
                    return;
                hold.Dispose();
                throw new MemoryLimitException(Status.ErrMem, "the Lua stack cannot grow");
            }

            public void Dispose()
            {
                Native.lua_settop(hold.L, top);
                if (hold.Owner.depth == 0)
                    hold.Owner.raised = null;   // no call is under way: nothing can match it now
                hold.Dispose();
            }
        }

        private static void Reserve(IntPtr L)
        {
            if (Native.lua_checkstack(L, 8) == 0)
                throw new MemoryLimitException(Status.ErrMem, "the Lua stack cannot grow");
        }

        private object[] CallPushed(IntPtr L, object[] arguments)
        {
            int below = Native.lua_gettop(L);   // of the function, which the handler goes below
            Plain(L, Native.rlua_getref(L, handler));
            Native.lua_rotate(L, below, 1);
            foreach (object argument in arguments)
                Push(L, argument, 0, null);
            traceback = null;
            passing = null;
            Check(L, Native.rlua_call(L, arguments.Length, Native.MultipleResults, below));
            var results = new object[Native.lua_gettop(L) - below];
            for (int i = 0; i < results.Length; i++)
                results[i] = Read(L, below + 1 + i, null);
            return results;
        }

        // Errors

        private static void Plain(IntPtr L, Status status)
        {
            if (status != Status.Ok)
                throw Failure(L, status);
        }

        /// <summary>Throws what `status` says; a Lua error's value is on top of the stack then.
        /// </summary>
        private void Check(IntPtr L, Status status)
        {
            if (status == Status.Ok)
                return;
            if (status < Status.ErrRun || status == Status.ErrMem)
                throw Failure(L, status);
            string trace = traceback;
            traceback = null;
            object value;
            try { value = Read(L, -1, null); }
            catch (Exception e) when (e is NotSupportedException || e is RluaException)
            {
                value = null;
            }
            string text = value as string ?? TextOfTop(L);
            if (status == Status.ErrSyntax)
                throw new ScriptSyntaxException(status, text, value);
            if (status == Status.Budget)
                throw new BudgetException(status, text, value);
            // The first traceback was made furthest in, and tells of the layers further out too.
            if (passing != null && passing.Message == text)
                trace = passing.Traceback ?? trace;
            passing = null;
            bool ours = raised != null && text.Contains(raisedText);
            throw new ScriptException(status, text, value, trace, ours ? raised : null);
        }

        private static RluaException Failure(IntPtr L, Status status)
        {
            string text = status == Status.ErrMem ? "the VM's memory limit is reached"
                                                  : Text.FromC(Native.rlua_last_error(L));
            if (text == "")
                text = Text.FromC(Native.rlua_strerror(status));
            switch (status)
            {
                case Status.ErrMem:
                case Status.NoMemory: return new MemoryLimitException(status, text);
                case Status.Busy: return new BusyException(status, text);
                case Status.NoSnapshot: return new NoSnapshotException(status, text);
                case Status.Stale: return new StaleException(status, text);
                case Status.Participant:
                    Exception cause = captureFailure;
                    captureFailure = null;
                    return new RluaException(status, text, cause);
                default: return new RluaException(status, text);
            }
        }

        /// <summary>What the script's tostring makes of the error value on top.</summary>
        private string TextOfTop(IntPtr L)
        {
            string type = TypeName(L, -1);
            if (Native.lua_checkstack(L, 4) != 0
                && Native.rlua_getglobal(L, Text.Terminated("tostring")) == Status.Ok
                && Native.rlua_pushvalue(L, -2) == Status.Ok
                && Native.rlua_call(L, 1, 1, 0) == Status.Ok
                && Native.lua_type(L, -1) == Native.String
                && Read(L, -1, null) is string text)
                return text;
            return "(error object is a " + type + " value)";
        }

        private static string TypeName(IntPtr L, int index)
        {
            return Text.FromC(Native.lua_typename(L, Native.lua_type(L, index)));
        }

        // Host functions

        private void PushFunction(IntPtr L, HostFunction function, string name)
        {
            var held = new Held { Owner = this, Function = function };
            GCHandle weak = GCHandle.Alloc(held, GCHandleType.Weak);
            functions.Add(held);
            handle.Functions.Add(weak);
            byte[] label = Text.Terminated(name ?? function.Method.Name);
            Check(L, Native.rlua_pushfunction(L, Entry, GCHandle.ToIntPtr(weak), label));
        }

        /// <summary>The message handler of each call: keeps the traceback of an error that no
        /// script has caught, and leaves the error value as it is. Never throws.</summary>
        private static int NoteTraceback(IntPtr L, IntPtr ud)
        {
            try
            {
                var lua = GCHandle.FromIntPtr(ud).Target as Lua;
                if (lua != null && Native.rlua_traceback(L, L, null, 1) == Status.Ok)
                    lua.traceback = lua.Read(L, -1, null) as string;
            }
            catch (Exception) { }   // the error itself is worth more than where it was
            Native.lua_settop(L, 1);
            return 1;
        }

        /// <summary>The one C entry. Never throws.</summary>
        private static int Trampoline(IntPtr L, IntPtr ud)
        {
            try
            {
                var held = GCHandle.FromIntPtr(ud).Target as Held;
                if (held != null)
                    return held.Owner.Dispatch(L, held.Function);
                return Native.rlua_error(L, Text.Message(
                    "this host function is gone: its Lua is being collected"));
            }
            catch (Exception) { return Native.Raise; }
        }

        private int Dispatch(IntPtr L, HostFunction function)
        {
            IntPtr outer = running;
            running = L;
            depth++;
            try
            {
                var arguments = new object[Native.lua_gettop(L)];
                for (int i = 0; i < arguments.Length; i++)
                    arguments[i] = ReadArgument(L, i + 1);
                object result = function(arguments);
                var several = result as Results;
                object[] results = several != null ? several.Values : new[] { result };
                foreach (object value in results)
                    Push(L, value, 0, null);
                return results.Length;
            }
            catch (Exception e) { return Raise(L, e); }
            finally
            {
                depth--;
                running = outer;
            }
        }

        private object ReadArgument(IntPtr L, int index)
        {
            try { return Read(L, index, null); }
            catch (NotSupportedException e)
            {
                throw new ScriptArgumentException(index, e.Message, e);
            }
        }

        /// <summary>Pushes the error for an exception, and notes what to find it by when it comes
        /// out of Lua.</summary>
        private int Raise(IntPtr L, Exception e)
        {
            Native.lua_settop(L, 0);
            passing = e as ScriptException;
            raised = passing != null && e.InnerException != null ? e.InnerException : e;
            raisedText = e.Message;
            if (passing != null)    // it has its position, from where it was raised
            {
                byte[] data = Text.Message(e.Message);
                Native.rlua_pushlstring(L, data, (UIntPtr)(data.Length - 1));
            }
            else if (e is ScriptArgumentException wrong)
                Native.rlua_argerror(L, wrong.Argument, Text.Message(wrong.Text));
            else
                Native.rlua_error(L, Text.Message(e.GetType().Name + ": " + e.Message));
            if (Native.lua_type(L, -1) == Native.String)    // or the memory error, a string too
                raisedText = Read(L, -1, null) as string ?? raisedText;
            return Native.Raise;
        }

        // Values in

        private void Push(IntPtr L, object value, int nesting, string name)
        {
            Reserve(L);
            if (value == null)
                Check(L, Native.rlua_pushnil(L));
            else if (value is bool b)
                Check(L, Native.rlua_pushboolean(L, b ? 1 : 0));
            else if (value is string s)
                PushBytes(L, Text.Bytes(s));
            else if (value is byte[] bytes)
                PushBytes(L, bytes);
            else if (value is double || value is float)
                Check(L, Native.rlua_pushnumber(L, Convert.ToDouble(value)));
            else if (IsInteger(value))
                Check(L, Native.rlua_pushinteger(L, Convert.ToInt64(value)));
            else if (value is HostFunction function)
                PushFunction(L, function, name);
            else if (value is Reference reference)
                PushReference(L, reference);
            else if (value is ResourceType.Wrapped wrapped)
                PushResource(L, wrapped);
            else if (value is IDictionary dictionary)
                PushDictionary(L, dictionary, nesting);
            else if (value is IEnumerable sequence)
                PushSequence(L, sequence, nesting);
            else
                throw new NotSupportedException(value.GetType() + " has no Lua value");
        }

        private void PushReference(IntPtr L, Reference reference)
        {
            if (reference.Owner != this)    // its number names another value here
                throw new RluaException(Status.BadArg,
                                        "a Reference belongs to the Lua that it was made in");
            Plain(L, Native.rlua_getref(L, reference.Number));
        }

        private void PushResource(IntPtr L, ResourceType.Wrapped wrapped)
        {
            if (wrapped.Given)
                throw new InvalidOperationException("what a ResourceType has wrapped can be given"
                                                    + " to a VM once: it would be released twice");
            if (!types.Contains(wrapped.Type))
                types.Add(wrapped.Type);
            IntPtr id = ResourceType.Enter(wrapped);
            Status status = Native.rlua_pushresource(L, id, wrapped.Type.Raw);
            if (status != Status.Ok)
                ResourceType.Leave(id);
            Check(L, status);
            wrapped.Given = true;
        }

        private static bool IsInteger(object value)
        {
            TypeCode code = Type.GetTypeCode(value.GetType());
            return code >= TypeCode.SByte && code <= TypeCode.UInt64;
        }

        private void PushBytes(IntPtr L, byte[] data)
        {
            byte[] pinnable = data.Length > 0 ? data : new byte[1];
            Check(L, Native.rlua_pushlstring(L, pinnable, (UIntPtr)data.Length));
        }

        private void PushDictionary(IntPtr L, IDictionary dictionary, int nesting)
        {
            RequireShallow(nesting);
            Check(L, Native.rlua_createtable(L, 0, dictionary.Count));
            foreach (DictionaryEntry entry in dictionary)
            {
                Push(L, entry.Key, nesting + 1, null);
                Push(L, entry.Value, nesting + 1, null);
                Check(L, Native.rlua_settable(L, -3));
            }
        }

        private void PushSequence(IntPtr L, IEnumerable sequence, int nesting)
        {
            RequireShallow(nesting);
            var counted = sequence as ICollection;
            Check(L, Native.rlua_createtable(L, counted != null ? counted.Count : 0, 0));
            long n = 0;
            foreach (object value in sequence)
            {
                Push(L, value, nesting + 1, null);
                Check(L, Native.rlua_seti(L, -2, ++n));
            }
        }

        private static void RequireShallow(int nesting)
        {
            if (nesting >= MaxDepth)
                throw new NotSupportedException("containers are nested too deep, or in a circle");
        }

        // Values out

        private object Read(IntPtr L, int index, List<IntPtr> outer)
        {
            switch (Native.lua_type(L, index))
            {
                case -1:
                case Native.Nil: return null;
                case Native.Boolean: return Native.lua_toboolean(L, index) != 0;
                case Native.Number:
                    if (Native.lua_isinteger(L, index) != 0)
                        return Native.lua_tointegerx(L, index, IntPtr.Zero);
                    return Native.lua_tonumberx(L, index, IntPtr.Zero);
                case Native.String:
                    Check(L, Native.rlua_tolstring(L, index, out var text, out var length));
                    return Text.Decode(Text.Copy(text, checked((int)length.ToUInt64())));
                case Native.Table:
                    return ReadTable(L, Native.lua_absindex(L, index), outer ?? new List<IntPtr>());
                case Native.UserData:
                    foreach (ResourceType type in types)
                        if (Native.rlua_toresource(L, index, type.Raw, out IntPtr id) == Status.Ok)
                            lock (ResourceType.Objects)
                                return ResourceType.Objects[id.ToInt64()].Value;
                    goto default;
                default:
                    throw new NotSupportedException(
                        "a Lua " + TypeName(L, index) + " has no C# value; call functions by name");
            }
        }

        private object ReadTable(IntPtr L, int index, List<IntPtr> outer)
        {
            IntPtr address = Native.lua_topointer(L, index);
            if (outer.Contains(address) || outer.Count >= MaxDepth)
                throw new NotSupportedException("tables are nested too deep, or in a circle");
            outer.Add(address);
            Reserve(L);
            var table = new Dictionary<object, object>();
            Check(L, Native.rlua_pushnil(L));
            while (true)
            {
                Check(L, Native.rlua_next(L, index, out int more));
                if (more == 0)
                    break;
                object key = Read(L, -2, outer);
                if (key is byte[] || key is object[] || key is Dictionary<object, object>)
                    throw new NotSupportedException("a table key with no C# counterpart");
                table[key] = Read(L, -1, outer);
                Native.lua_settop(L, -2);
            }
            outer.RemoveAt(outer.Count - 1);
            return AsSequence(table) ?? (object)table;
        }

        /// <summary>The values in order if the keys are exactly 1..n, else null.</summary>
        private static object[] AsSequence(Dictionary<object, object> table)
        {
            if (table.Count == 0)
                return null;
            var values = new object[table.Count];
            for (int i = 0; i < values.Length; i++)
                if (!table.TryGetValue((long)(i + 1), out values[i]))
                    return null;
            return values;
        }
    }
}
