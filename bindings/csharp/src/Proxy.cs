// Proxy.cs: values that stay in Lua: what tables, functions, coroutines and userdata share.
//
// A proxy is a reference (rlua_ref). It reads and writes the value itself, never a copy. One that
// is newer than the snapshot that was restored is stale.
//
// A reference keeps its value alive in the VM, so when it is released is part of the state. Dispose
// releases it at once. A proxy that nobody disposed of leaves a note in `waiting` when the runtime
// collects it, which depends on chance: Lua.ReleasesForgotten tells what follows. What was released
// but is in a held snapshot is released again after a rollback to it (`graves`).

using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Threading;

namespace Rlua
{
    /// <summary>A value that stays in Lua. Two are equal where they name one object.</summary>
    public abstract class Proxy : IDisposable, IEquatable<Proxy>
    {
        private readonly IntPtr address;
        private readonly long born;         // Lua.clock when it was made
        private ulong reference;            // 0: disposed

        /// <summary>The Lua that it belongs to.</summary>
        public Lua Lua { get; }

        internal Proxy(Lua lua, IntPtr L, int index)
        {
            Lua = lua;
            address = Native.lua_topointer(L, index);
            Native.lua_pushvalue(L, index);
            try { reference = lua.Keep(L); }
            catch
            {
                GC.SuppressFinalize(this);
                throw;
            }
            born = lua.Clock;
        }

        /// <summary>Lua's name of the value's type.</summary>
        public abstract string TypeName { get; }

        /// <summary>Whether a rollback, or Dispose, has taken the value away.</summary>
        public bool IsStale
        {
            get
            {
                if (reference == 0 || Lua.IsDisposed)
                    return true;
                using (var frame = new Lua.Frame(Lua))
                    return Native.rlua_getref(frame.L, reference) == Status.Stale;
            }
        }

        internal void Push(Lua into, IntPtr L)
        {
            if (into != Lua)        // its number names another value there
                throw new ArgumentException("a " + GetType().Name + " belongs to the Lua that it"
                                            + " was made in, and was given to another");
            Push(L);
        }

        internal void Push(IntPtr L)
        {
            Status status = Native.rlua_getref(L, reference);
            if (status == Status.Ok)
                return;
            if (reference == 0)
                throw new StaleException("this " + GetType().Name + " was disposed of");
            if (status == Status.Stale)
                throw new StaleException(
                    "this " + GetType().Name + " is gone: the rollback went to before it was made");
            Lua.Plain(L, status);
        }

        /// <summary>Releases the reference; the value lives on if Lua has it. Only on the Lua's
        /// own thread.</summary>
        public void Dispose()
        {
            if (reference == 0)
                return;
            if (!Lua.IsDisposed)
                Lua.Release(reference, born);
            reference = 0;
            GC.SuppressFinalize(this);
        }

        /// <summary>Leaves a note for the Lua's own thread.</summary>
        ~Proxy()
        {
            if (reference != 0)
                Lua.Forget(reference, born);
        }

        // Access through metamethods

        /// <summary>`value[key]`. An absent one is null, and null removes it.</summary>
        public object this[string key]
        {
            get { return Get<object>(key); }
            set { Set(key, value); }
        }

        /// <summary>`value[key]`. An absent one is null, and null removes it.</summary>
        public object this[long key]
        {
            get { return Get<object>(key); }
            set { Set(key, value); }
        }

        /// <summary>`value[key]`. An absent one is null, and null removes it.</summary>
        public object this[object key]
        {
            get { return Get<object>(key); }
            set { Set(key, value); }
        }

        /// <summary>`value[key]` as a T.</summary>
        public T Get<T>(string key)
        {
            if (key == null || key.IndexOf('\0') >= 0)      // no name to C
                return Get<T>((object)key);
            using (var frame = new Lua.Frame(Lua))
            {
                Push(frame.L);
                Lua.GetField(frame.L, key);
                return Converter<T>.Instance.Read(Lua, frame.L, -1, key);
            }
        }

        /// <summary>`value[key]` as a T.</summary>
        public T Get<T>(long key)
        {
            using (var frame = new Lua.Frame(Lua))
            {
                Push(frame.L);
                Lua.Check(frame.L, Native.rlua_geti(frame.L, -1, key));
                return Converter<T>.Instance.Read(Lua, frame.L, -1, "the element");
            }
        }

        /// <summary>`value[key]` as a T.</summary>
        public T Get<T>(object key)
        {
            using (var frame = new Lua.Frame(Lua))
            {
                Push(frame.L);
                Lua.Push(frame.L, key);
                Lua.Check(frame.L, Native.rlua_gettable(frame.L, -2));
                return Converter<T>.Instance.Read(Lua, frame.L, -1, "the element");
            }
        }

        /// <summary>Does `value[key] = element`.</summary>
        public void Set<T>(string key, T element)
        {
            if (key == null || key.IndexOf('\0') >= 0)
            {
                Set((object)key, element);
                return;
            }
            using (var frame = new Lua.Frame(Lua))
            {
                Push(frame.L);
                Lua.PushOne(frame.L, element);
                Lua.SetField(frame.L, frame.Top + 1, key);
            }
        }

        /// <summary>Does `value[key] = element`.</summary>
        public void Set<T>(long key, T element)
        {
            using (var frame = new Lua.Frame(Lua))
            {
                Push(frame.L);
                Lua.PushOne(frame.L, element);
                Lua.Check(frame.L, Native.rlua_seti(frame.L, frame.Top + 1, key));
            }
        }

        /// <summary>Does `value[key] = element`.</summary>
        public void Set<T>(object key, T element)
        {
            Lua.RequireKey(key);
            using (var frame = new Lua.Frame(Lua))
            {
                Push(frame.L);
                Lua.Push(frame.L, key);
                Lua.PushOne(frame.L, element);
                Lua.Check(frame.L, Native.rlua_settable(frame.L, frame.Top + 1));
            }
        }

        /// <summary>`#value`.</summary>
        public long Length
        {
            get
            {
                using (var frame = new Lua.Frame(Lua))
                {
                    Push(frame.L);
                    Lua.Check(frame.L, Native.rlua_len(frame.L, -1));
                    return Converter<long>.Instance.Read(Lua, frame.L, -1, "length");
                }
            }
        }

        // Identity

        /// <summary>Whether both name one object.</summary>
        public bool Equals(Proxy other)
        {
            if (ReferenceEquals(this, other))
                return true;
            if (ReferenceEquals(other, null) || Lua != other.Lua || address != other.address
                || Lua.IsDisposed)
                return false;
            using (var frame = new Lua.Frame(Lua))
                return Native.rlua_getref(frame.L, reference) == Status.Ok
                    && Native.rlua_getref(frame.L, other.reference) == Status.Ok
                    && Native.lua_rawequal(frame.L, -1, -2) != 0;
        }

        /// <summary>Whether both name one object.</summary>
        public override bool Equals(object other) { return Equals(other as Proxy); }
        /// <summary>The same for all proxies of one object.</summary>
        public override int GetHashCode() { return address.GetHashCode(); }

        /// <summary>Whether both name one object.</summary>
        public static bool operator ==(Proxy a, Proxy b)
        {
            return ReferenceEquals(a, null) ? ReferenceEquals(b, null) : a.Equals(b);
        }

        /// <summary>Whether they name two objects.</summary>
        public static bool operator !=(Proxy a, Proxy b) { return !(a == b); }

        /// <summary>What Lua's tostring makes of it.</summary>
        public override string ToString()
        {
            if (IsStale)
                return "stale " + TypeName;
            using (var frame = new Lua.Frame(Lua))
            {
                Push(frame.L);
                Lua.Check(frame.L, Native.rlua_pushtostring(frame.L, -1));
                return Text.LenientAt(frame.L, -1);
            }
        }
    }

    /// <summary>A userdata of a C module. Its elements and length are what its metatable says.
    /// </summary>
    public sealed class Userdata : Proxy
    {
        internal Userdata(Lua lua, IntPtr L, int index) : base(lua, L, index) { }

        /// <inheritdoc/>
        public override string TypeName { get { return "userdata"; } }
    }

    public sealed unsafe partial class Lua
    {
        private struct Dropped
        {
            internal ulong Reference;
            internal long Born, At;     // of the snapshot that was the newest
        }

        private readonly ConcurrentQueue<Dropped> waiting = new ConcurrentQueue<Dropped>();
        private int waitingCount;
        private long forgottenCount;
        private readonly List<Dropped> graves = new List<Dropped>();

        /// <summary>Whether proxies that were not disposed of, and that nobody has any more, are
        /// released when the Lua is used next. When the runtime finds them depends on chance, and
        /// what keeps a value alive is part of the state: order in tables keyed by objects, and the
        /// moment of a finalizer, may follow from it. Peers that must agree in every byte dispose
        /// of what they make, and set this to false.</summary>
        public bool ReleasesForgotten { get; set; } = true;

        /// <summary>How many proxies the runtime has found so far that nobody disposed of. A host
        /// that wants no chance in its state looks whether this stays 0.</summary>
        public long ForgottenCount { get { return Interlocked.Read(ref forgottenCount); } }

        /// <summary>Pops the value on top and keeps it.</summary>
        internal ulong Keep(IntPtr L)
        {
            ulong reference = Native.rlua_ref(L);
            if (reference == 0)
                throw Failure(L, Status.NoMemory);
            return reference;
        }

        private static void PushReference(IntPtr L, ulong reference)
        {
            Plain(L, Native.rlua_getref(L, reference));
        }

        internal void Release(ulong reference, long born)
        {
            IntPtr L = Enter();
            try { ReleaseNow(L, reference, born); }
            finally { Leave(); }
        }

        private void ReleaseNow(IntPtr L, ulong reference, long born)
        {
            Native.rlua_unref(L, reference);    // a stale one is gone already
            if (held.Count > 0 && born < held[held.Count - 1].Serial)
                graves.Add(new Dropped { Reference = reference, Born = born, At = clock });
        }

        /// <summary>For finalizers: any thread, and no call.</summary>
        internal void Forget(ulong reference, long born)
        {
            waiting.Enqueue(new Dropped { Reference = reference, Born = born });
            Interlocked.Increment(ref waitingCount);
            Interlocked.Increment(ref forgottenCount);
        }

        /// <summary>Releases what proxies kept that were not disposed of, as far as the runtime has
        /// found them.</summary>
        public void ReleaseForgotten()
        {
            IntPtr L = depth > 0 ? current : main;
            if (Here.Mark != owner || main == IntPtr.Zero)
                throw Refusal();
            while (waiting.TryDequeue(out Dropped dropped))
            {
                Interlocked.Decrement(ref waitingCount);
                ReleaseNow(L, dropped.Reference, dropped.Born);
            }
        }

        private Proxy NewProxy(IntPtr L, int index, int type)
        {
            Reserve(L, Room);
            switch (type)
            {
                case Native.Table: return new Table(this, L, index);
                case Native.Function: return new Function(this, L, index);
                case Native.Thread: return new Coroutine(this, L, index);
            }
            if (FindResource(L, index, out Slot slot) == Status.BadArg)
                return new Userdata(this, L, index);
            return new Resource(this, L, index);
        }

        /// <summary>Of the value on top.</summary>
        internal void GetField(IntPtr L, string name)
        {
            fixed (byte* text = Names.Of(name))
                Check(L, Native.rlua_getfield(L, -1, text));
        }

        internal void SetField(IntPtr L, int index, string name)
        {
            fixed (byte* text = Names.Of(name))
                Check(L, Native.rlua_setfield(L, index, text));
        }

        /// <summary>A value by its static type; a tuple is none.</summary>
        internal void PushOne<T>(IntPtr L, T value)
        {
            if (Converter<T>.Instance.Count != 1)
                throw new NotSupportedException(typeof(T) + " is several values, and one is"
                                                + " wanted here");
            Converter<T>.Instance.Push(this, L, value);
        }
    }
}
