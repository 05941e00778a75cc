// Resources.cs: objects of the host that scripts hold, and that somebody must release.
//
// The library releases each exactly once, when neither the live state nor a held snapshot can reach
// its handle.

using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace Rlua
{
    /// <summary>A kind of resource. See ResourceType of T.</summary>
    public unsafe class ResourceType : ObjectType
    {
        /// <summary>With its name alone, which is all that finding one needs.</summary>
        internal RawResourceType* Raw { get; }

        internal readonly List<KeyValuePair<string, HostFunction>> Methods =
            new List<KeyValuePair<string, HostFunction>>();

        internal ResourceType(string name) : base(name)
        {
            Raw = (RawResourceType*)Marshal.AllocHGlobal(sizeof(RawResourceType));
            *Raw = new RawResourceType { Size = (UIntPtr)sizeof(RawResourceType), Name = Label };
        }

        /// <summary>What its methods are called in images, in order.</summary>
        internal override List<string> MethodNames()
        {
            return Methods.ConvertAll(each => Name + "." + each.Key);
        }

        internal override bool IsSaved { get { return false; } }
        internal virtual void Release(object value) { }
        internal virtual byte[] Save(object value) { return null; }
        internal virtual object Load(byte[] data) { return null; }
    }

    /// <summary>A kind of object that scripts hold and Lua owns from then on: a texture, a socket,
    /// a sound. Make one per kind, with all its methods, and keep it: it lives as long as the
    /// program, and may be shared by Luas. In one Lua no two kinds have one name.</summary>
    public sealed partial class ResourceType<T> : ResourceType where T : class
    {
        private readonly Action<T> release;
        private readonly Func<T, byte[]> save;
        private readonly Func<byte[], T> load;

        /// <param name="name">Names the kind in a VM, and in messages.</param>
        /// <param name="release">Called with the object exactly once, when neither the live state
        /// nor a snapshot can reach its handle any more; at the latest when the Lua is disposed of.
        /// </param>
        /// <param name="save">With `load`: its objects are in images. Returns what `load` needs. It
        /// cannot use the Lua; what it throws is the InnerException of what Save throws.</param>
        /// <param name="load">Makes another object, which the Lua that is loaded owns, and
        /// releases. Its bytes may be a stranger's, where images of strangers are taken. The Lua is
        /// not there yet; what it throws is the InnerException of what Load throws.</param>
        public ResourceType(string name, Action<T> release = null, Func<T, byte[]> save = null,
                            Func<byte[], T> load = null) : base(name)
        {
            if ((save == null) != (load == null))
                throw new ArgumentException("save and load go together");
            if (!(Converter<T>.Instance is ObjectConverter<T>) || typeof(Proxy).IsAssignableFrom(
                typeof(T)))
                throw new ArgumentException(typeof(T) + " is a Lua value by itself; a resource"
                                            + " is an object of a class of the host");
            this.release = release;
            this.save = save;
            this.load = load;
        }

        /// <summary>An object for the way in, where no Resource is needed: it can be given to a
        /// Lua once, as the object is released once.</summary>
        public object Wrap(T value) { return new Owned(this, value); }

        internal override void Release(object value)
        {
            if (release != null)
                release((T)value);
        }

        internal override bool IsSaved { get { return save != null; } }
        internal override byte[] Save(object value) { return save((T)value); }
        internal override object Load(byte[] data) { return load(data); }

        private void AddMethod(string name, HostFunction method)
        {
            Text.Terminated(name);
            if (name == "__gc" || name == "__close")
                throw new ArgumentException(name + " is the library's: it releases the object");
            Methods.Add(new KeyValuePair<string, HostFunction>(name, method));
        }

        private static D Required<D>(D method) where D : class
        {
            if (method == null)
                throw new ArgumentNullException("method");
            return method;
        }
    }

    /// <summary>What Wrap returns.</summary>
    internal sealed class Owned
    {
        internal readonly ResourceType Type;
        internal readonly object Value;
        internal bool Given;

        internal Owned(ResourceType type, object value)
        {
            if (value == null)
                throw new ArgumentNullException("value");
            Type = type;
            Value = value;
        }
    }

    /// <summary>A handle of a resource. It is the same handle when it goes in again.</summary>
    public sealed class Resource : Proxy
    {
        internal Resource(Lua lua, IntPtr L, int index) : base(lua, L, index) { }

        /// <inheritdoc/>
        public override string TypeName { get { return "userdata"; } }

        /// <summary>The object behind it.</summary>
        /// <exception cref="StaleException">It was closed.</exception>
        public object Value
        {
            get
            {
                using (var frame = new Lua.Frame(Lua))
                {
                    Push(frame.L);
                    if (Lua.FindResource(frame.L, -1, out Slot slot) != Status.Ok)
                        throw new StaleException("this resource was closed");
                    return slot.Value;
                }
            }
        }

        /// <summary>Whether a script or the host has closed it.</summary>
        public bool IsClosed
        {
            get
            {
                using (var frame = new Lua.Frame(Lua))
                {
                    Push(frame.L);
                    return Lua.FindResource(frame.L, -1, out Slot slot) != Status.Ok;
                }
            }
        }

        /// <summary>Ends it before its handle is collected: the object is released now, or when the
        /// last snapshot that can reach it goes. After a rollback to one it is alive.</summary>
        public void Close()
        {
            using (var frame = new Lua.Frame(Lua))
            {
                Push(frame.L);
                Lua.CloseResource(frame.L, -1);
            }
        }
    }

    public sealed unsafe partial class Lua
    {
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate void ReleaseEntry(IntPtr L, IntPtr number, IntPtr ud);

        private static readonly ReleaseEntry OnRelease = ReleaseResource;
        internal static readonly IntPtr ReleasePointer =
            Marshal.GetFunctionPointerForDelegate(OnRelease);

        private readonly List<ResourceType> types = new List<ResourceType>();
        private readonly Dictionary<ResourceType, IntPtr[]> methods =
            new Dictionary<ResourceType, IntPtr[]>();

        [MonoPInvokeCallback(typeof(ReleaseEntry))]
        private static void ReleaseResource(IntPtr L, IntPtr number, IntPtr ud)
        {
            Lua lua = cells[(int)(ud.ToInt64() >> 32)].Active;
            if (lua == null)
                return;
            IntPtr outer = lua.current;
            lua.current = L;
            lua.depth++;
            try
            {
                Slot slot = lua.slots.Give(number);
                if (slot != null && slot.Type != null)
                    slot.Type.Release(slot.Value);
            }
            catch (Exception e) { Report("a release", e); }
            finally
            {
                lua.depth--;
                lua.current = outer;
            }
        }

        /// <summary>A new handle of an object, which Lua owns from then on.</summary>
        public Resource NewResource<T>(ResourceType<T> type, T value) where T : class
        {
            var owned = new Owned(Required(type, "type"), value);
            using (var frame = new Frame(this))
            {
                PushOwned(frame.L, owned);
                try { return new Resource(this, frame.L, -1); }
                catch
                {
                    Disown(frame.L);
                    throw;
                }
            }
        }

        /// <summary>Ends the handle on top, whose object stays the host's.</summary>
        private void Disown(IntPtr L)
        {
            if (FindResource(L, -1, out Slot slot) != Status.Ok)
                return;
            slot.Type = null;
            CloseResource(L, -1);
        }

        /// <summary>Gives the slot back if it fails.</summary>
        private void PushResource(IntPtr L, IntPtr number, ResourceType type)
        {
            RawResourceType described = Described(type);
            Status status = Native.rlua_pushresource(L, number, &described);
            if (status == Status.Ok)
                return;
            slots.Give(number);
            throw Error(L, status);
        }

        private void PushOwned(IntPtr L, Owned owned)
        {
            if (owned.Given)
                throw new InvalidOperationException("what Wrap returned can be given to a Lua once:"
                                                    + " it would be released twice");
            Reserve(L, Room);
            Declare(L, owned.Type);
            var slot = new Slot { Value = owned.Value, Type = owned.Type };
            PushResource(L, slots.Take(slot), owned.Type);
            int handle = Native.lua_gettop(L);
            try
            {
                if (owned.Type.Methods.Count > 0)
                    RequireMethods(L, owned.Type);
                owned.Given = true;
            }
            catch
            {
                Native.lua_settop(L, handle);
                Disown(L);
                throw;
            }
        }

        /// <summary>The slots of a type's methods, which live as long as the VM.</summary>
        private IntPtr[] MethodsOf(ResourceType type)
        {
            if (!methods.TryGetValue(type, out IntPtr[] numbers))
                methods[type] = numbers = type.Methods.ConvertAll(
                    each => slots.Take(new Slot { Value = each.Value })).ToArray();
            return numbers;
        }

        /// <summary>Gives the metatable of the handle on top its methods, where it has none: at
        /// first, and after a rollback to before.</summary>
        private void RequireMethods(IntPtr L, ResourceType type)
        {
            int top = Native.lua_gettop(L), metatable = top + 1, index = top + 2;
            Native.lua_getmetatable(L, -1);
            PushRaw(L, metatable, MethodsMark);
            if (Native.lua_type(L, -1) == Native.Nil)
            {
                Native.lua_settop(L, metatable);
                PushRaw(L, metatable, "__index");       // a table, of the library's
                IntPtr[] numbers = MethodsOf(type);
                for (int i = 0; i < numbers.Length; i++)
                {
                    string name = type.Methods[i].Key;
                    Check(L, Text.Push(L, name));
                    fixed (byte* label = Text.Terminated(type.Name + "." + name))
                        Check(L, Native.rlua_pushfunction(L, CallPointer, numbers[i], label));
                    bool meta = name.StartsWith("__", StringComparison.Ordinal);
                    Check(L, Native.rlua_rawset(L, meta ? metatable : index));
                }
                Check(L, Text.Push(L, MethodsMark));
                Native.lua_pushboolean(L, 1);
                Check(L, Native.rlua_rawset(L, metatable));
            }
            Native.lua_settop(L, top);
        }

        private const string MethodsMark = "rlua.csharp.methods";

        private void PushRaw(IntPtr L, int table, string key)
        {
            Check(L, Text.Push(L, key));
            Plain(L, Native.rlua_rawget(L, table));
        }

        /// <summary>Ok with its slot, Stale where it was closed, BadArg where it is none of this
        /// Lua's.</summary>
        internal Status FindResource(IntPtr L, int index, out Slot slot)
        {
            slot = null;
            for (int i = 0; i < types.Count; i++)
            {
                IntPtr number;
                Status status = Native.rlua_toresource(L, index, types[i].Raw, &number);
                if (status == Status.BadArg)
                    continue;
                slot = status == Status.Ok ? slots.Find(number) : null;
                return slot != null ? Status.Ok : Status.Stale;
            }
            return Status.BadArg;
        }

        internal void CloseResource(IntPtr L, int index)
        {
            foreach (ResourceType type in types)
            {
                Status status = Native.rlua_closeresource(L, index, type.Raw);
                if (status == Status.Ok || status == Status.Stale)
                    return;
                if (status != Status.BadArg)
                    throw Failure(L, status);
            }
        }
    }
}
