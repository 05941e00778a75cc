// Lua.cs: one VM: its life, and who may use it when.
//
// Invariants:
// - *no raise*: only functions are imported that never raise a Lua error (declarations.py), so no
//   longjmp crosses a managed frame; no exception leaves a function that C calls.
// - *one thread*: a VM is used, and closed, by its owner alone: the thread that made it, or that
//   took it by MoveToThisThread. A finalizer touches no VM: it leaves a note for the owner.
// - *balance*: whoever enters leaves the Lua stack as it was, also after an error. Slot 1 of the
//   main thread's stack is the message handler, from before the first snapshot on.
// - *alive*: C has no pointer to a managed object, only numbers; whatever C may ask for is
//   reachable from the Lua, and a Lua in use from `cells`. A Lua that was forgotten is kept by
//   `forgotten` until its owner closes it.
//
// Not here: running scripts (Scripts.cs), values (Values.cs), snapshots (History.cs), images
// (Images.cs).

using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace Rlua
{
    /// <summary>One VM, whose whole state can go back in time. It belongs to the thread that made
    /// it, until another takes it over.</summary>
    public sealed unsafe partial class Lua : IDisposable
    {
        private const int Bottom = 1;       // the top of the main stack between calls: the handler
        private const int Room = 16;        // slots that a Frame has for sure

        /// <summary>What the extra space of a VM's threads points to: C's calls find the Lua by it.
        /// To the state it is a pointer with a name, the same on every machine.</summary>
        private sealed class Cell
        {
            internal readonly int Index;
            internal readonly IntPtr Place;     // holds the index
            internal Lua Active;                // while a call on it is under way

            internal Cell(int index)
            {
                Index = index;
                Place = Marshal.AllocHGlobal(sizeof(int));
                *(int*)Place = index;
            }
        }

        private const string CellName = "rlua.csharp.lua", HandlerName = "rlua.csharp.traceback";

        private static readonly object Gate = new object();
        private static readonly List<Cell> FreeCells = new List<Cell>();
        private static readonly List<Lua> Forgotten = new List<Lua>();
        private static volatile Cell[] cells = new Cell[16];
        private static int cellCount;

        /// <summary>Stands for a thread. A class of its own has no initializer, whose check would
        /// be part of each access.</summary>
        private static class Here
        {
            [ThreadStatic] internal static object Mark;

            internal static object Made() { return Mark ?? (Mark = new object()); }
        }

        private readonly Cell cell;
        private object owner;
        private int ownerId;
        private IntPtr main;                // zero: closed
        private IntPtr current;             // the thread that calls go to: a callback's own inside
        private int depth;                  // calls into the VM on the stack
        private ulong handler;              // a reference to the message handler

        /// <summary>Opens a VM.</summary>
        /// <param name="memory">The limit of its whole state in bytes; 0 for the largest there
        /// is.</param>
        /// <param name="snapshots">How many it keeps; the oldest goes when one more is
        /// taken.</param>
        /// <param name="libs">The standard libraries that are open.</param>
        /// <param name="types">What it knows from the beginning: each UserdataType. A ResourceType
        /// is known from its first resource on, too.</param>
        /// <exception cref="RluaException">It cannot be made, or the libraries do not fit.
        /// </exception>
        public Lua(long memory = 0, long snapshots = 0, Libs libs = Libs.All,
                   IEnumerable<ObjectType> types = null)
            : this(new Config { MemorySize = memory, MaxSnapshots = snapshots }, libs, types) { }

        /// <summary>Opens a VM with every option.</summary>
        public Lua(Config config, Libs libs = Libs.All, IEnumerable<ObjectType> types = null)
        {
            if (config == null)
            {
                GC.SuppressFinalize(this);
                throw new ArgumentNullException("config");
            }
            try { Library.Load(); }
            catch
            {
                GC.SuppressFinalize(this);
                throw;
            }
            cell = TakeCell();
            Open(config, libs, types ?? new ObjectType[0]);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Open(Config config, Libs libs, IEnumerable<ObjectType> types)
        {
            CloseForgotten();
            this.config = config.Copy();
            IntPtr L = IntPtr.Zero;
            Status status = Status.Ok;
            try
            {
                RawConfig raw = config.Raw();
                fixed (byte* key = config.CheckedKey())
                {
                    raw.ImageKey = key;
                    status = Native.rlua_open(&raw, &L);
                }
                if (status != Status.Ok)
                    throw Failure(IntPtr.Zero, status);
            }
            finally
            {
                if (L == IntPtr.Zero)
                    GiveCell();
            }
            try
            {
                Begin(L);
                Prepare(L);
                foreach (ObjectType type in types)
                    Declare(L, Required(type, "types"));
                if (libs != Libs.None)
                    OpenLibs(libs);
            }
            catch
            {
                Close();
                throw;
            }
        }

        private void Begin(IntPtr L)
        {
            main = current = L;
            owner = Here.Made();
            ownerId = Environment.CurrentManagedThreadId;
        }

        /// <summary>Makes the threads of a new VM lead here, and gives its main stack the handler.
        /// The same steps in each, so that the references are the same numbers.</summary>
        private void Prepare(IntPtr L)
        {
            *(IntPtr*)((byte*)L - IntPtr.Size) = cell.Place;
            NamePointer(CellName, cell.Place);
            Enter();
            try
            {
                Check(L, Native.rlua_createtable(L, 0, 0));
                keepers = Keep(L);
                MakeKeepersWeak(L);
                fixed (byte* name = Text.Terminated(HandlerName))
                    Check(L, Native.rlua_pushfunction(L, HandlerPointer, IntPtr.Zero, name));
                Native.lua_pushvalue(L, -1);
                handler = Keep(L);
            }
            finally { Leave(); }
        }

        /// <summary>Closes the VM; everything that it owns is released. Does nothing the second
        /// time. Of a VM in use by a call further out it is a BusyException.</summary>
        public void Dispose()
        {
            if (main == IntPtr.Zero)
                return;
            if (Here.Mark != owner)
                throw Refusal();
            if (depth > 0)
                throw new BusyException("Dispose: a call on this Lua is under way; dispose of it"
                                        + " when that has returned");
            Close();
        }

        private void Close()
        {
            IntPtr L = main;
            depth = 1;
            cell.Active = this;
            current = L;
            Native.lua_close(L);        // finalizers of scripts may still call the host
            main = current = IntPtr.Zero;
            depth = 0;
            slots.Clear();
            named.Clear();
            pointers.Clear();
            cFunctions.Clear();
            followers.Clear();
            GiveCell();
        }

        /// <summary>Whether Dispose was called.</summary>
        public bool IsDisposed { get { return main == IntPtr.Zero; } }

        // Threads

        /// <summary>Makes the calling thread the owner, where no call is under way. The thread that
        /// had it must not be inside.</summary>
        public void MoveToThisThread()
        {
            if (main == IntPtr.Zero)
                throw Refusal();
            if (depth > 0)
                throw new BusyException("MoveToThisThread: a call on this Lua is under way");
            owner = Here.Made();
            ownerId = Environment.CurrentManagedThreadId;
        }

        /// <summary>Runs on the finalizer's thread, so it closes nothing.</summary>
        ~Lua()
        {
            if (main != IntPtr.Zero)
                lock (Gate)
                    Forgotten.Add(this);
        }

        /// <summary>Closes the VMs of this thread that nobody disposed of and nobody has any more.
        /// Each new Lua does so first. Those of a thread that has ended stay open.</summary>
        /// <returns>How many were closed.</returns>
        public static int CloseForgotten()
        {
            List<Lua> mine;
            lock (Gate)
            {
                mine = Forgotten.FindAll(each => each.owner == Here.Mark);
                Forgotten.RemoveAll(each => each.owner == Here.Mark);
            }
            foreach (Lua lua in mine)
                lua.Close();
            return mine.Count;
        }

        // Cells

        private static Cell TakeCell()
        {
            lock (Gate)
            {
                int last = FreeCells.Count - 1;
                if (last >= 0)
                {
                    Cell free = FreeCells[last];
                    FreeCells.RemoveAt(last);
                    return free;
                }
                Cell[] held = cells;
                if (cellCount == held.Length)
                    Array.Resize(ref held, 2 * held.Length);
                var made = new Cell(cellCount);
                held[cellCount++] = made;
                cells = held;
                return made;
            }
        }

        private void GiveCell()
        {
            GC.SuppressFinalize(this);
            cell.Active = null;
            lock (Gate)
                FreeCells.Add(cell);
        }

        /// <summary>The Lua that a thread of a VM belongs to, for functions that C calls.</summary>
        private static Lua Of(IntPtr L)
        {
            return cells[**(int**)((byte*)L - IntPtr.Size)].Active;
        }

        // Entering

        internal IntPtr Enter()
        {
            if (Here.Mark != owner || main == IntPtr.Zero)
                throw Refusal();
            if (depth++ == 0)
            {
                cell.Active = this;
                if (waitingCount != 0 && ReleasesForgotten)
                    ReleaseForgotten();
            }
            return current;
        }

        internal void Leave()
        {
            if (--depth == 0)
            {
                if (errorsNoted)
                    ForgetErrors();
                cell.Active = null;
            }
        }

        /// <summary>Enters for what needs an idle VM.</summary>
        private IntPtr EnterIdle(string what)
        {
            IntPtr L = Enter();
            if (depth == 1)
                return L;
            Leave();
            throw new BusyException(what + ": a call on this Lua is under way; do it when that has"
                                    + " returned");
        }

        private Exception Refusal()
        {
            if (main == IntPtr.Zero)
                return new ObjectDisposedException("Lua", "this Lua was disposed of");
            if (owner == Sealed)
                return new BusyException("this Lua is being saved; save of a type cannot use it");
            return new WrongThreadException(string.Format(
                "this Lua belongs to thread {0}, and thread {1} called it: call it there, or"
                + " MoveToThisThread() while no call is under way", ownerId,
                Environment.CurrentManagedThreadId));
        }

        /// <summary>One call into the VM: enters, has room for a few values, and leaves with the
        /// stack as it was.</summary>
        internal struct Frame : IDisposable
        {
            private readonly Lua lua;
            private readonly int top;
            internal readonly IntPtr L;

            internal Frame(Lua lua)
            {
                this.lua = lua;
                L = lua.Enter();
                top = Bottom;
                if (lua.depth == 1)
                    return;
                top = Native.lua_gettop(L);
                if (Native.lua_checkstack(L, Room) != 0)
                    return;
                lua.Leave();
                throw StackFull();
            }

            internal int Top { get { return top; } }

            public void Dispose()
            {
                Native.lua_settop(L, top);
                lua.Leave();
            }
        }

        internal static void Reserve(IntPtr L, int slots)
        {
            if (Native.lua_checkstack(L, slots) == 0)
                throw StackFull();
        }

        private static MemoryLimitException StackFull()
        {
            return new MemoryLimitException(Status.NoMemory, "the Lua stack cannot grow");
        }

        // What else a host may ask

        /// <summary>What the VM holds. Also while Lua is running.</summary>
        public Info Info
        {
            get
            {
                var raw = new RawInfo { Size = (UIntPtr)sizeof(RawInfo) };
                IntPtr L = Enter();
                try { Plain(L, Native.rlua_info(L, &raw)); }
                finally { Leave(); }
                return new Info(raw);
            }
        }

        /// <summary>What scripts may still do, in units of rlua_set_budget; null is no limit, as
        /// at first. Part of the state: it rolls back. When it is used up, calls throw
        /// BudgetException.</summary>
        public long? Budget
        {
            get
            {
                ulong units;
                IntPtr L = Enter();
                try { Plain(L, Native.rlua_budget_left(L, &units)); }
                finally { Leave(); }
                return units == Native.NoBudget ? (long?)null : (long)units;
            }
            set
            {
                if (value < 0)
                    throw new ArgumentOutOfRangeException("value", value, "Budget is negative");
                IntPtr L = Enter();
                try
                {
                    Plain(L, Native.rlua_set_budget(L, value == null ? Native.NoBudget
                                                                     : (ulong)value));
                }
                finally { Leave(); }
            }
        }

        /// <summary>A digest of what peers must have in common before the first frame: version,
        /// memory, seed, profile, guard, pace.</summary>
        public ulong ConfigDigest
        {
            get
            {
                ulong digest;
                IntPtr L = Enter();
                try { Plain(L, Native.rlua_config_digest(L, &digest)); }
                finally { Leave(); }
                return digest;
            }
        }

        /// <summary>Sets the clock that os.time, os.date and os.clock read: an input that all peers
        /// agree on, part of the state, 0 at first.</summary>
        public void SetTime(long seconds, int nanoseconds = 0)
        {
            IntPtr L = Enter();
            try { Plain(L, Native.rlua_set_time(L, seconds, (uint)nanoseconds)); }
            finally { Leave(); }
        }

        /// <summary>Runs a full garbage collection of Lua's.</summary>
        public void CollectGarbage()
        {
            using (var frame = new Frame(this))
                Check(frame.L, Native.rlua_gc(frame.L, Native.CollectAll, 0));
        }

        /// <summary>Walks the arena and the snapshots. For tests: it is slow.</summary>
        public void Check()
        {
            IntPtr L = Enter();
            try { Plain(L, Native.rlua_check(L)); }
            finally { Leave(); }
        }
    }
}
