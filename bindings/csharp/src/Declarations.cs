// Generated from rlua.h and lua.h by declarations.py: do not edit.

using System;
using System.Reflection;
using System.Runtime.InteropServices;

[assembly: AssemblyVersion("0.1.0.0")]
[assembly: AssemblyTitle("Lua 5.4 whose whole state can go back in time")]

namespace Rlua
{
    /// <summary>Which way a VM finds what was written since the last snapshot. Lua and the
    /// library say which lines of 64 bytes they write; the choice is about what hosts write at
    /// any time: userdata, blocks of rlua_alloc and of lua_getallocf, extra spaces. It changes
    /// what a snapshot costs, never what it keeps.</summary>
    public enum Tracker
    {
        /// <summary>The environment variable RLUA_TRACKER (auto, compare, uffd, cards); where
        /// it is not set, what hosts write to is compared, or watched by the kernel where it is
        /// much and that is cheaper.</summary>
        Auto = 0,
        /// <summary>Compares every page of the VM with the newest snapshot, whoever wrote to
        /// it.</summary>
        Compare = 1,
        /// <summary>What hosts write to is watched by the kernel, by whole pages (Linux
        /// userfaultfd, 6.7 and later): a fault for each written page.</summary>
        Uffd = 2,
        /// <summary>What hosts write to is compared. Works everywhere, and asks nothing of the
        /// system.</summary>
        Cards = 3,
    }

    /// <summary>What a userdata means whose metatable has a C function as `__gc`: it belongs to
    /// a C module or a binding, and stands for something outside. docs/HOST.md tells what each
    /// kind of userdata does.</summary>
    public enum Guard
    {
        /// <summary>It is guarded: its `__gc` runs once, when neither the live state nor a held
        /// snapshot has the object, and its block does not roll back. A metatable with
        /// `__rollback = true` is excepted.</summary>
        On = 0,
        /// <summary>In a VM that keeps snapshots, setting such a metatable raises an error: for
        /// simulations that must be the same on every machine.</summary>
        Refuse = 1,
        /// <summary>Nothing: it rolls back as all userdata, and its `__gc` runs in each version
        /// of the state.</summary>
        Off = 2,
    }

    /// <summary>Whose rules scripts find. The profile is the VM's: what luaL_openlibs and
    /// luaL_requiref open obeys it too. docs/DETERMINISM.md tells what differs.</summary>
    public enum Profile
    {
        /// <summary>The same script with the same inputs computes the same state on every
        /// machine.</summary>
        Deterministic = 0,
        /// <summary>As lua.org's Lua behaves.</summary>
        Stock = 1,
    }

    /// <summary>Whose images rlua_load and rlua_apply_delta take. What is not verified in any
    /// of them is the code of scripts, of which Lua has no verifier: an image of a stranger is
    /// a stranger's program.</summary>
    public enum Trust
    {
        /// <summary>Of those who have the key (`image_key`): the hash cannot be made without
        /// it.</summary>
        Key = 0,
        /// <summary>With or without a key. All but code is proved, which takes as long as
        /// rlua_check.</summary>
        Proved = 1,
        /// <summary>With or without a key, those that this host saved itself, where nobody
        /// could change them: damage is found by the hash, and by a look at each
        /// word.</summary>
        Own = 2,
    }

    /// <summary>What kind of difference it is.</summary>
    public enum DiffKind
    {
        /// <summary>A value: a number, a string, a boolean, a light userdata. 1 and 1.0 differ,
        /// 0.0 and -0.0 do.</summary>
        Value = 1,
        /// <summary>Values of different types.</summary>
        Type = 2,
        /// <summary>One side has nothing there; its text is "nil".</summary>
        Missing = 3,
        /// <summary>One side has no metatable, or another one.</summary>
        Metatable = 4,
        /// <summary>`pairs` gives the same keys in another order, or would when new ones come,
        /// since the parts of the table have other sizes.</summary>
        Order = 5,
        /// <summary>The way leads to an object that lies elsewhere too, and in the other state
        /// elsewhere: the texts tell where. So two fields have one object here, and two
        /// there.</summary>
        Identity = 6,
        /// <summary>Another function, by its source and line or its name; or other code of the
        /// same name.</summary>
        Function = 7,
        /// <summary>A coroutine has another status, or stands at another place.</summary>
        Coroutine = 8,
        /// <summary>The memory of a userdata or of a block of rlua_alloc: the first bytes that
        /// differ.</summary>
        Bytes = 9,
        /// <summary>As missing, in a weak table: a collection may have taken it.</summary>
        Weak = 10,
        /// <summary>A generator of random numbers.</summary>
        Random = 11,
        /// <summary>The clock of rlua_set_time.</summary>
        Clock = 12,
        /// <summary>The budget of rlua_set_budget.</summary>
        Budget = 13,
    }

    /// <summary>What a function of this library answers.</summary>
    public enum Status
    {
        /// <summary>Done.</summary>
        Ok = 0,
        /// <summary>A pointer that must not be NULL is NULL.</summary>
        NullArg = 1,
        /// <summary>The state is not one of ours: foreign, closed, or no state at
        /// all.</summary>
        NotRollback = 2,
        /// <summary>The VM is in use: Lua is running in it, a call of this library is, or
        /// another thread is.</summary>
        Busy = 3,
        /// <summary>An internal error was caught earlier; only lua_close is left.</summary>
        Poisoned = 4,
        /// <summary>The VM keeps no snapshots (max_snapshots is 0).</summary>
        Disabled = 5,
        /// <summary>The snapshot asked for is not held.</summary>
        NoSnapshot = 6,
        /// <summary>The frame's label is below the newest one.</summary>
        BadFrame = 7,
        /// <summary>Memory or address space ran out.</summary>
        NoMemory = 8,
        /// <summary>The configuration asks for something impossible.</summary>
        BadConfig = 9,
        /// <summary>This system cannot do what was asked for.</summary>
        Unsupported = 10,
        /// <summary>A check found the state damaged.</summary>
        Corrupt = 11,
        /// <summary>An argument has no meaning here.</summary>
        BadArg = 12,
        /// <summary>What a reference or a handle names is gone.</summary>
        Stale = 13,
        /// <summary>A participant could not capture its state.</summary>
        Participant = 14,
        /// <summary>The image is damaged, or none, or of another version; or its key is
        /// another.</summary>
        BadImage = 15,
        /// <summary>The state has something that an image cannot have, or that this process has
        /// no name for.</summary>
        Unsavable = 16,
        /// <summary>The writer of an image refused, or there is no room.</summary>
        Stream = 17,
        /// <summary>The image comes from somebody whom the config does not trust.</summary>
        Untrusted = 18,
        /// <summary>A frame that was run again came to another state.</summary>
        Desync = 19,
        /// <summary>Lua: a runtime error.</summary>
        ErrRun = 64,
        /// <summary>Lua: a syntax error.</summary>
        ErrSyntax = 65,
        /// <summary>Lua: the memory limit was reached.</summary>
        ErrMem = 66,
        /// <summary>Lua: an error in the message handler.</summary>
        ErrErr = 67,
        /// <summary>Lua: a file could not be read.</summary>
        ErrFile = 68,
        /// <summary>Lua: the coroutine yielded. Not an error.</summary>
        Yield = 69,
        /// <summary>The budget of rlua_set_budget is used up.</summary>
        Budget = 70,
    }

    /// <summary>RLUA_LIB_... of rlua.h: libraries, and what is taken from them.</summary>
    [Flags]
    public enum Libs : uint
    {
        /// <summary>No library.</summary>
        None = 0,
        /// <summary>RLUA_LIB_BASE.</summary>
        Base = 0x1,
        /// <summary>RLUA_LIB_COROUTINE.</summary>
        Coroutine = 0x2,
        /// <summary>RLUA_LIB_TABLE.</summary>
        Table = 0x4,
        /// <summary>RLUA_LIB_STRING.</summary>
        String = 0x8,
        /// <summary>RLUA_LIB_UTF8.</summary>
        Utf8 = 0x10,
        /// <summary>RLUA_LIB_MATH.</summary>
        Math = 0x20,
        /// <summary>RLUA_LIB_IO.</summary>
        Io = 0x40,
        /// <summary>RLUA_LIB_OS.</summary>
        Os = 0x80,
        /// <summary>RLUA_LIB_DEBUG.</summary>
        Debug = 0x100,
        /// <summary>RLUA_LIB_PACKAGE.</summary>
        Package = 0x200,
        /// <summary>RLUA_LIB_TEXT_ONLY.</summary>
        TextOnly = 0x10000,
        /// <summary>RLUA_LIB_LOCKED.</summary>
        Locked = 0x20000,
        /// <summary>RLUA_LIB_ALL.</summary>
        All = 0x3ff,
        /// <summary>RLUA_LIB_DETERMINISTIC.</summary>
        Deterministic = 0x1003f,
        /// <summary>RLUA_LIB_SANDBOX.</summary>
        Sandbox = 0x3003f,
    }

    /// <summary>How a VM is made; 0 and null are the defaults. rlua_Config of rlua.h.</summary>
    public sealed partial class Config
    {
        /// <summary>Bytes that the whole state can never exceed, rounded down to pages of 4096.
        /// A limit, not memory: small VMs cost little. 0 asks for the maximum of 4
        /// GiB.</summary>
        public long MemorySize { get; set; }
        /// <summary>Snapshots kept, up to 1048576. 0 keeps none.</summary>
        public long MaxSnapshots { get; set; }
        /// <summary>Seed of string hashes, of table.sort's pivot, and in the deterministic
        /// profile of math.random. Peers of one session use the same; a seed per session
        /// resists collisions that were crafted offline.</summary>
        public ulong Seed { get; set; }
        /// <summary>An rlua_Tracker.</summary>
        public Tracker Tracker { get; set; }
        /// <summary>Collector: percent of the live bytes at which the next cycle starts, as
        /// LUA_GCINC's pause. Up to 1000. 0 is 200.</summary>
        public int GcPause { get; set; }
        /// <summary>Collector: work per allocated byte in percent, as LUA_GCINC's step
        /// multiplier. Up to 1000. 0 is 4, which spreads a cycle over many frames; Lua's own is
        /// 100.</summary>
        public int GcStepMultiplier { get; set; }
        /// <summary>Collector: logarithm of the bytes allocated between two steps, as
        /// LUA_GCINC's step size. Up to 60. 0 is 12; Lua's own is 13.</summary>
        public int GcStepSize { get; set; }
        /// <summary>Collector: divides the work of a step while it sweeps, as far as sweeping
        /// stays faster than the script makes garbage. Up to 1000. 0 is 8; Lua's own is
        /// 1.</summary>
        public int GcSweepDivisor { get; set; }
        /// <summary>Audit: how many pages of 4096 bytes that nobody announced writes to are
        /// compared in 16 captures and rollbacks; a difference poisons the VM with a sentence.
        /// It finds C modules that write to Lua's own memory. 0 is 4, -1 none. No effect with
        /// RLUA_TRACKER_COMPARE.</summary>
        public int Audit { get; set; }
        /// <summary>An rlua_Guard. 0 guards.</summary>
        public Guard Guard { get; set; }
        /// <summary>An rlua_Profile. 0 is deterministic.</summary>
        public Profile Profile { get; set; }
        /// <summary>1: the host announces every write to blocks of rlua_alloc by rlua_touch, so
        /// that those of 512 bytes and more are neither compared nor watched for it. 0: it need
        /// not.</summary>
        public int Announces { get; set; }
        /// <summary>An rlua_Trust: whose images are loaded. 0: only those with the
        /// key.</summary>
        public Trust Trust { get; set; }
        /// <summary>1: images are saved compressed (LZ4). 0: they are not.</summary>
        public int Compress { get; set; }

        internal unsafe RawConfig Raw()
        {
            return new RawConfig {
                Size = (UIntPtr)sizeof(RawConfig),
                MemorySize = Native.Size(MemorySize, "MemorySize"),
                MaxSnapshots = Native.Size(MaxSnapshots, "MaxSnapshots"),
                Seed = Seed,
                Tracker = (int)Tracker,
                GcPause = GcPause,
                GcStepMultiplier = GcStepMultiplier,
                GcStepSize = GcStepSize,
                GcSweepDivisor = GcSweepDivisor,
                Audit = Audit,
                Guard = (int)Guard,
                Profile = (int)Profile,
                Announces = Announces,
                Trust = (int)Trust,
                Compress = Compress,
            };
        }
    }

    /// <summary>What a VM holds: rlua_Info of rlua.h.</summary>
    public sealed class Info
    {
        internal Info(RawInfo raw)
        {
            UsedBytes = (long)raw.UsedBytes;
            CommittedBytes = (long)raw.CommittedBytes;
            PeakBytes = (long)raw.PeakBytes;
            LimitBytes = (long)raw.LimitBytes;
            SnapshotCount = (long)raw.SnapshotCount;
            MaxSnapshots = (long)raw.MaxSnapshots;
            SnapshotBytes = (long)raw.SnapshotBytes;
            OldestFrame = raw.OldestFrame;
            NewestFrame = raw.NewestFrame;
            DirtyPages = (long)raw.DirtyPages;
            Tracker = (Tracker)raw.Tracker;
            HighestFrame = raw.HighestFrame;
            GuardedCount = (long)raw.GuardedCount;
        }

        /// <summary>Bytes of the arena that hold state: what a snapshot keeps.</summary>
        public long UsedBytes { get; private set; }
        /// <summary>Bytes that the system was asked for.</summary>
        public long CommittedBytes { get; private set; }
        /// <summary>The most that `used_bytes` has been; a rollback does not lower
        /// it.</summary>
        public long PeakBytes { get; private set; }
        /// <summary>What `used_bytes` can never exceed.</summary>
        public long LimitBytes { get; private set; }
        /// <summary>Snapshots held.</summary>
        public long SnapshotCount { get; private set; }
        /// <summary>Snapshots held at most.</summary>
        public long MaxSnapshots { get; private set; }
        /// <summary>Bytes of memory that the snapshots hold.</summary>
        public long SnapshotBytes { get; private set; }
        /// <summary>Label of the oldest snapshot; 0 when none is held.</summary>
        public long OldestFrame { get; private set; }
        /// <summary>Label of the newest snapshot; 0 when none is held.</summary>
        public long NewestFrame { get; private set; }
        /// <summary>Pages of 4096 bytes that the last capture found changed or new.</summary>
        public long DirtyPages { get; private set; }
        /// <summary>The rlua_Tracker in use.</summary>
        public Tracker Tracker { get; private set; }
        /// <summary>The highest label that was ever captured; a rollback does not lower it. A
        /// frame up to it is re-simulated: ask before the frame's own snap. INT64_MIN before
        /// the first.</summary>
        public long HighestFrame { get; private set; }
        /// <summary>Guarded userdata: those that are alive, and those that only a snapshot
        /// has.</summary>
        public long GuardedCount { get; private set; }
    }

    /// <summary>The C struct rlua_Name.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct RawName
    {
        internal byte* Name;
        internal IntPtr Function;
        internal IntPtr Host;
        internal IntPtr Pointer;
    }

    /// <summary>The C struct rlua_Method.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct RawMethod
    {
        internal byte* Name;
        internal IntPtr Function;
    }

    /// <summary>The C struct rlua_ResourceType.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct RawResourceType
    {
        internal UIntPtr Size;
        internal byte* Name;
        internal IntPtr Release;
        internal IntPtr Ud;
        internal RawMethod* Methods;
    }

    /// <summary>The C struct rlua_ObjectType.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct RawObjectType
    {
        internal UIntPtr Size;
        internal byte* Name;
        internal RawResourceType* Resource;
        internal IntPtr Save;
        internal IntPtr Load;
        internal IntPtr Ud;
    }

    /// <summary>The C struct rlua_Config.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct RawConfig
    {
        internal UIntPtr Size;
        internal UIntPtr MemorySize;
        internal UIntPtr MaxSnapshots;
        internal ulong Seed;
        internal int Tracker;
        internal int GcPause;
        internal int GcStepMultiplier;
        internal int GcStepSize;
        internal int GcSweepDivisor;
        internal int Audit;
        internal int Guard;
        internal int Profile;
        internal int Announces;
        internal int Trust;
        internal int Compress;
        internal int Reserved;
        internal byte* ImageKey;
        internal RawName* Names;
        internal RawObjectType** Types;
    }

    /// <summary>The C struct rlua_Info.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct RawInfo
    {
        internal UIntPtr Size;
        internal UIntPtr UsedBytes;
        internal UIntPtr CommittedBytes;
        internal UIntPtr PeakBytes;
        internal UIntPtr LimitBytes;
        internal UIntPtr SnapshotCount;
        internal UIntPtr MaxSnapshots;
        internal UIntPtr SnapshotBytes;
        internal long OldestFrame;
        internal long NewestFrame;
        internal UIntPtr DirtyPages;
        internal int Tracker;
        internal int Reserved;
        internal long HighestFrame;
        internal UIntPtr GuardedCount;
    }

    /// <summary>The C struct rlua_Participant.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct RawParticipant
    {
        internal UIntPtr Size;
        internal IntPtr Capture;
        internal IntPtr Restore;
        internal IntPtr Discard;
    }

    /// <summary>The C struct rlua_Checksum.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct RawChecksum
    {
        internal fixed byte Bytes[16];
    }

    /// <summary>The C struct rlua_Difference.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct RawDifference
    {
        internal int Kind;
        internal int Reserved;
        internal byte* Path;
        internal byte* A;
        internal byte* B;
    }

    /// <summary>The C struct rlua_SyncReport.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct RawSyncReport
    {
        internal UIntPtr Size;
        internal uint Frames;
        internal uint Reruns;
        internal int Differs;
        internal uint Frame;
        internal int RolledBack;
        internal int Kind;
        internal RawChecksum First;
        internal RawChecksum Second;
        internal fixed byte Path[512];
        internal fixed byte A[256];
        internal fixed byte B[256];
    }

    /// <summary>The functions of rlua.h, and of lua.h those that never raise.
    /// </summary>
    internal static unsafe partial class Native
    {
        internal const string Name = "librlua.so.0";
        private const CallingConvention C = CallingConvention.Cdecl;

        internal const int Raise = -1;
        internal const int MultipleResults = -1;
        internal const int CollectAll = 2;
        internal const int Nil = 0;
        internal const int Boolean = 1;
        internal const int LightUserData = 2;
        internal const int Number = 3;
        internal const int String = 4;
        internal const int Table = 5;
        internal const int Function = 6;
        internal const int UserData = 7;
        internal const int Thread = 8;
        internal const ulong NoBudget = 0xFFFFFFFFFFFFFFFF;

        [DllImport(Name, CallingConvention = C)]
        internal static extern byte* rlua_version();
        [DllImport(Name, CallingConvention = C)]
        internal static extern byte* rlua_strerror(int status);
        [DllImport(Name, CallingConvention = C)]
        internal static extern byte* rlua_last_error(IntPtr l);
        [DllImport(Name, CallingConvention = C)]
        internal static extern IntPtr rlua_new_rollback(UIntPtr memorySize, UIntPtr maxSnapshots);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_open(RawConfig* config, IntPtr* @out);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_info(IntPtr l, RawInfo* info);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_check(IntPtr l);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_snap(IntPtr l);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_snap_frame(IntPtr l, long frame);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_rollback(IntPtr l, UIntPtr n);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_rollback_to(IntPtr l, long frame);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_discard_before(IntPtr l, long frame);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_set_max_snapshots(IntPtr l, UIntPtr maxSnapshots);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_snapshot_count(IntPtr l, UIntPtr* count);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_newest_frame(IntPtr l, long* frame);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_openlibs(IntPtr l, uint libs);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_newenv(IntPtr l, uint libs);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_loadbuffer(IntPtr l, byte* chunk, UIntPtr length, byte*
            name, byte* mode);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_loadfile(IntPtr l, byte* filename, byte* mode);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_dostring(IntPtr l, byte* chunk);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_dofile(IntPtr l, byte* filename);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_call(IntPtr l, int nargs, int nresults, int msgh);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_resume(IntPtr l, IntPtr from, int nargs, int* nresults);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_getglobal(IntPtr l, byte* name);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_setglobal(IntPtr l, byte* name);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_getfield(IntPtr l, int index, byte* key);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_setfield(IntPtr l, int index, byte* key);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_geti(IntPtr l, int index, long key);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_seti(IntPtr l, int index, long key);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_gettable(IntPtr l, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_settable(IntPtr l, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_next(IntPtr l, int index, int* more);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_createtable(IntPtr l, int narr, int nrec);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_tolstring(IntPtr l, int index, byte** text, UIntPtr*
            length);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushlstring(IntPtr l, byte* text, UIntPtr length);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushinteger(IntPtr l, long value);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushnumber(IntPtr l, double value);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushboolean(IntPtr l, int value);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushnil(IntPtr l);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushvalue(IntPtr l, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_gc(IntPtr l, int what, int data);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushfunction(IntPtr l, IntPtr function, IntPtr ud, byte*
            name);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int rlua_error(IntPtr l, byte* message);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int rlua_argerror(IntPtr l, int arg, byte* message);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_set_budget(IntPtr l, ulong units);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_budget_left(IntPtr l, ulong* units);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_recover(IntPtr l);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_newuserdata(IntPtr l, UIntPtr size, int nuvalue, IntPtr*
            block);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_newthread(IntPtr l, IntPtr* thread);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushcclosure(IntPtr l, IntPtr function, int upvalues);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_requiref(IntPtr l, byte* name, IntPtr open, int global);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_len(IntPtr l, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_concat(IntPtr l, int count);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_compare(IntPtr l, int first, int second, int op, int*
            result);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_arith(IntPtr l, int op);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushtostring(IntPtr l, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_traceback(IntPtr l, IntPtr of, byte* message, int level);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_rawget(IntPtr l, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_rawgeti(IntPtr l, int index, long key);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_rawset(IntPtr l, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_rawseti(IntPtr l, int index, long key);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_getsubtable(IntPtr l, int index, byte* name);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_newmetatable(IntPtr l, byte* name, int* made);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_getmetatable(IntPtr l, byte* name);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_setmetatable(IntPtr l, byte* name);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_testudata(IntPtr l, int index, byte* name, IntPtr*
            block);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_settop(IntPtr l, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_toclose(IntPtr l, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_closeslot(IntPtr l, int index);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_xmove(IntPtr l, IntPtr to, int count);
        [DllImport(Name, CallingConvention = C)]
        internal static extern IntPtr rlua_alloc(IntPtr l, UIntPtr size);
        [DllImport(Name, CallingConvention = C)]
        internal static extern IntPtr rlua_realloc(IntPtr l, IntPtr block, UIntPtr size);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_free(IntPtr l, IntPtr block);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_touch(IntPtr l, IntPtr pointer, UIntPtr bytes);
        [DllImport(Name, CallingConvention = C)]
        internal static extern ulong rlua_ref(IntPtr l);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_getref(IntPtr l, ulong reference);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_unref(IntPtr l, ulong reference);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_pushresource(IntPtr l, IntPtr @object, RawResourceType*
            type);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_toresource(IntPtr l, int index, RawResourceType* type,
            IntPtr* @object);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_closeresource(IntPtr l, int index, RawResourceType*
            type);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_add_participant(IntPtr l, RawParticipant* participant,
            IntPtr ud);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_remove_participant(IntPtr l, RawParticipant* participant,
            IntPtr ud);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_register(IntPtr l, byte* name, IntPtr function);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_register_pointer(IntPtr l, byte* name, IntPtr pointer);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_set_time(IntPtr l, long seconds, uint nanoseconds);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_config_digest(IntPtr l, ulong* digest);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_save(IntPtr l, IntPtr writer, IntPtr ud);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_save_buffer(IntPtr l, IntPtr buffer, UIntPtr size,
            UIntPtr* length);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_save_snapshot(IntPtr l, long frame, IntPtr writer, IntPtr
            ud);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_save_bound(IntPtr l, UIntPtr* length);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_load(RawConfig* config, IntPtr reader, IntPtr ud, IntPtr*
            @out);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int rlua_load_buffer(RawConfig* config, IntPtr image, UIntPtr length,
            IntPtr* @out);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_checksum(IntPtr l, RawChecksum* @out);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_clone(IntPtr l, IntPtr* @out);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_save_delta(IntPtr l, long fromFrame, long toFrame, IntPtr
            writer, IntPtr ud);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_apply_delta(IntPtr l, RawName* names, IntPtr reader,
            IntPtr ud);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_register_type(IntPtr l, RawObjectType* type);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_diff_vms(IntPtr a, IntPtr b, UIntPtr most, IntPtr fn,
            IntPtr ud);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_diff(RawConfig* config, IntPtr a, UIntPtr aLength, IntPtr
            b, UIntPtr bLength, UIntPtr most, IntPtr fn, IntPtr ud);
        [DllImport(Name, CallingConvention = C)]
        internal static extern Status rlua_synctest(IntPtr l, IntPtr frame, IntPtr ud, uint
            checkDistance, uint frames, RawSyncReport* report);
        [DllImport(Name, CallingConvention = C)]
        internal static extern void lua_close(IntPtr l);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_closethread(IntPtr l, IntPtr from);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_gettop(IntPtr l);
        [DllImport(Name, CallingConvention = C)]
        internal static extern void lua_settop(IntPtr l, int idx);
        [DllImport(Name, CallingConvention = C)]
        internal static extern void lua_pushvalue(IntPtr l, int idx);
        [DllImport(Name, CallingConvention = C)]
        internal static extern void lua_rotate(IntPtr l, int idx, int n);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_checkstack(IntPtr l, int n);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_isinteger(IntPtr l, int idx);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_type(IntPtr l, int idx);
        [DllImport(Name, CallingConvention = C)]
        internal static extern byte* lua_typename(IntPtr l, int tp);
        [DllImport(Name, CallingConvention = C)]
        internal static extern double lua_tonumberx(IntPtr l, int idx, int* isnum);
        [DllImport(Name, CallingConvention = C)]
        internal static extern long lua_tointegerx(IntPtr l, int idx, int* isnum);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_toboolean(IntPtr l, int idx);
        [DllImport(Name, CallingConvention = C)]
        internal static extern byte* lua_tolstring(IntPtr l, int idx, UIntPtr* len);
        [DllImport(Name, CallingConvention = C)]
        internal static extern ulong lua_rawlen(IntPtr l, int idx);
        [DllImport(Name, CallingConvention = C)]
        internal static extern IntPtr lua_tocfunction(IntPtr l, int idx);
        [DllImport(Name, CallingConvention = C)]
        internal static extern IntPtr lua_touserdata(IntPtr l, int idx);
        [DllImport(Name, CallingConvention = C)]
        internal static extern IntPtr lua_tothread(IntPtr l, int idx);
        [DllImport(Name, CallingConvention = C)]
        internal static extern IntPtr lua_topointer(IntPtr l, int idx);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_rawequal(IntPtr l, int idx1, int idx2);
        [DllImport(Name, CallingConvention = C)]
        internal static extern void lua_pushnil(IntPtr l);
        [DllImport(Name, CallingConvention = C)]
        internal static extern void lua_pushnumber(IntPtr l, double n);
        [DllImport(Name, CallingConvention = C)]
        internal static extern void lua_pushinteger(IntPtr l, long n);
        [DllImport(Name, CallingConvention = C)]
        internal static extern void lua_pushboolean(IntPtr l, int b);
        [DllImport(Name, CallingConvention = C)]
        internal static extern void lua_pushlightuserdata(IntPtr l, IntPtr p);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_getmetatable(IntPtr l, int objindex);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_setmetatable(IntPtr l, int objindex);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_status(IntPtr l);
        [DllImport(Name, CallingConvention = C)]
        internal static extern int lua_getstack(IntPtr l, int level, IntPtr ar);
        [DllImport(Name, CallingConvention = C)]
        internal static extern byte* lua_setupvalue(IntPtr l, int funcindex, int n);
    }
}
