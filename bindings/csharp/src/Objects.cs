// Objects.cs: objects of the host go with an image, by the functions of their type; clones.
//
// A Lua knows a type from the beginning, or a type of resources from its first resource on. The
// library calls a type's save and load in Save and Load of a Lua, which nobody can enter meanwhile:
// it is sealed, or not there yet.
//
// Not here: the release of objects (Resources.cs), blocks of userdata (Modules.cs).

using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Threading;

namespace Rlua
{
    /// <summary>A kind of what lies outside a Lua and goes with its images: a ResourceType, or a
    /// UserdataType.</summary>
    public abstract unsafe class ObjectType
    {
        /// <summary>Names the kind in a VM, and in messages.</summary>
        public string Name { get; }

        /// <summary>The same for C, as long as the program runs.</summary>
        internal byte* Label { get; }

        /// <summary>Which of all types it is, from 1 on.</summary>
        internal int Number { get; }

        private static int made;

        internal ObjectType(string name)
        {
            Name = name;
            byte[] text = Text.Terminated(name);
            Label = (byte*)Marshal.AllocHGlobal(text.Length);
            Marshal.Copy(text, 0, (IntPtr)Label, text.Length);
            Number = Interlocked.Increment(ref made);
        }

        internal abstract bool IsSaved { get; }
        internal abstract List<string> MethodNames();
    }

    public sealed unsafe partial class Lua
    {
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate int SaveEntry(IntPtr number, UIntPtr size, IntPtr writer, IntPtr to,
                                       IntPtr ud);
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate int LoadEntry(IntPtr bytes, UIntPtr length, IntPtr place, UIntPtr size,
                                       IntPtr ud);

        private static readonly SaveEntry OnSave = SaveObject, OnSaveBlock = SaveBlock;
        private static readonly LoadEntry OnLoad = LoadObject, OnLoadBlock = LoadBlock;
        private static readonly IntPtr SavePointer =
            Marshal.GetFunctionPointerForDelegate(OnSave);
        private static readonly IntPtr LoadPointer =
            Marshal.GetFunctionPointerForDelegate(OnLoad);
        private static readonly IntPtr SaveBlockPointer =
            Marshal.GetFunctionPointerForDelegate(OnSaveBlock);
        private static readonly IntPtr LoadBlockPointer =
            Marshal.GetFunctionPointerForDelegate(OnLoadBlock);

        /// <summary>The owner of a Lua, while an object of it is saved or loaded.</summary>
        private static readonly object Sealed = new object();

        private readonly List<ObjectType> known = new List<ObjectType>();
        private readonly Dictionary<string, IntPtr> pointers = new Dictionary<string, IntPtr>();
        private Config config;

        /// <summary>A second Lua with the same state, of the calling thread, to look ahead or for
        /// MoveToThisThread in another: what Load of a Save gives, with the same functions,
        /// pointers and types, and objects of its own. Its history is empty, and nothing follows
        /// it.</summary>
        /// <exception cref="RluaException">As Save and Load.</exception>
        public Lua Clone()
        {
            byte[] image = Save();
            Config own = config.Copy();
            own.Trust = Trust.Own;
            own.MemorySize = 0;
            own.MaxSnapshots = History.Limit;
            var functions = new Dictionary<string, Delegate>();
            foreach (KeyValuePair<string, IntPtr> each in named)
                functions[each.Key] = ((HostFunction)slots.Find(each.Value).Value).Delegate;
            Lua clone = Load(image, own, functions, pointers, known, cFunctions);
            clone.config = config;
            return clone;
        }

        /// <summary>Before the first resource of a type, and before a Load: no two of one sort
        /// have one name.</summary>
        private void Declare(IntPtr L, ObjectType type)
        {
            if (known.Contains(type))
                return;
            var resources = type as ResourceType;
            foreach (ObjectType each in known)
                if (each.Name == type.Name && each is ResourceType == (resources != null))
                    throw new RluaException(Status.BadArg, "this Lua has another "
                        + (resources != null ? "ResourceType" : "UserdataType") + " of the name "
                        + type.Name);
            foreach (string name in type.MethodNames())
                if (named.ContainsKey(name))
                    throw new RluaException(Status.BadArg, name + " is the name of a function, and"
                                                           + " of a method");
            if (type.IsSaved && L != IntPtr.Zero)
            {
                RawResourceType described;
                RawObjectType way = Way(type, &described);
                Plain(L, Native.rlua_register_type(L, &way));
            }
            known.Add(type);
            if (resources != null)
                types.Add(resources);
        }

        /// <summary>The type as the library knows it in this VM: `ud` leads here.</summary>
        private RawResourceType Described(ResourceType type)
        {
            RawResourceType described = *type.Raw;
            described.Release = ReleasePointer;
            described.Ud = UdOf(type.Number);
            return described;
        }

        /// <summary>How it goes with an image; of resources with room for what they are.</summary>
        private RawObjectType Way(ObjectType type, RawResourceType* described)
        {
            var way = new RawObjectType { Size = (UIntPtr)sizeof(RawObjectType), Name = type.Label,
                                          Save = SaveBlockPointer, Load = LoadBlockPointer,
                                          Ud = UdOf(type.Number) };
            var resources = type as ResourceType;
            if (resources == null)
                return way;
            *described = Described(resources);
            way.Resource = described;
            way.Save = SavePointer;
            way.Load = LoadPointer;
            return way;
        }

        /// <summary>Calls `use` with the types that are saved, as an rlua_Config has them.
        /// </summary>
        private Status WithTypes(Func<IntPtr, Status> use)
        {
            List<ObjectType> saved = known.FindAll(each => each.IsSaved);
            var resources = new RawResourceType[saved.Count + 1];
            var ways = new RawObjectType[saved.Count + 1];
            var list = new IntPtr[saved.Count + 1];
            fixed (RawResourceType* resource = resources)
            fixed (RawObjectType* way = ways)
            fixed (IntPtr* first = list)
            {
                for (int i = 0; i < saved.Count; i++)
                {
                    way[i] = Way(saved[i], resource + i);
                    first[i] = (IntPtr)(way + i);
                }
                return use((IntPtr)first);
            }
        }

        /// <summary>Runs what a function of a type is called for, while nobody enters the Lua. 1
        /// where it fails; what it threw is kept for Blame.</summary>
        private static int Apart(IntPtr ud, Func<Lua, ObjectType, int> act)
        {
            Lua lua = cells[(int)(ud.ToInt64() >> 32)].Active;
            int number = (int)ud.ToInt64();
            ObjectType type = lua == null ? null : lua.known.Find(each => each.Number == number);
            if (type == null)
                return 1;
            object owner = lua.owner;
            lua.depth++;
            lua.owner = Sealed;
            try { return act(lua, type); }
            catch (Exception e)
            {
                lua.failure = e;
                return 1;
            }
            finally
            {
                lua.owner = owner;
                lua.depth--;
            }
        }

        private static int Write(ObjectType type, byte[] bytes, IntPtr writer, IntPtr to)
        {
            if (bytes == null)
                throw new InvalidOperationException("save of " + type.Name + " returned null");
            var write = (WriteEntry)Marshal.GetDelegateForFunctionPointer(writer,
                                                                          typeof(WriteEntry));
            fixed (byte* start = bytes)
                return write(to, (IntPtr)start, (UIntPtr)(uint)bytes.Length);
        }

        private static byte[] Copied(IntPtr bytes, UIntPtr length)
        {
            var copy = new byte[checked((int)(ulong)length)];
            Marshal.Copy(bytes, copy, 0, copy.Length);
            return copy;
        }

        [MonoPInvokeCallback(typeof(SaveEntry))]
        private static int SaveObject(IntPtr number, UIntPtr size, IntPtr writer, IntPtr to,
                                      IntPtr ud)
        {
            return Apart(ud, (lua, type) =>
                Write(type, ((ResourceType)type).Save(lua.slots.Find(number).Value), writer, to));
        }

        /// <summary>Its slot is taken first, so that no object is made that nothing would release.
        /// </summary>
        [MonoPInvokeCallback(typeof(LoadEntry))]
        private static int LoadObject(IntPtr bytes, UIntPtr length, IntPtr place, UIntPtr size,
                                      IntPtr ud)
        {
            return Apart(ud, (lua, type) =>
            {
                byte[] data = Copied(bytes, length);
                var slot = new Slot { Type = (ResourceType)type };
                IntPtr number = lua.slots.Take(slot);
                try
                {
                    slot.Value = slot.Type.Load(data);
                    if (slot.Value == null)
                        throw new InvalidOperationException("load of " + type.Name
                                                            + " returned null");
                }
                catch
                {
                    lua.slots.Give(number);
                    throw;
                }
                *(IntPtr*)place = number;
                return 0;
            });
        }

        [MonoPInvokeCallback(typeof(SaveEntry))]
        private static int SaveBlock(IntPtr block, UIntPtr size, IntPtr writer, IntPtr to,
                                     IntPtr ud)
        {
            return Apart(ud, (lua, type) =>
                Write(type, ((UserdataType)type).Save(block, (long)size), writer, to));
        }

        [MonoPInvokeCallback(typeof(LoadEntry))]
        private static int LoadBlock(IntPtr bytes, UIntPtr length, IntPtr block, UIntPtr size,
                                     IntPtr ud)
        {
            return Apart(ud, (lua, type) =>
            {
                ((UserdataType)type).Load(Copied(bytes, length), block, (long)size);
                return 0;
            });
        }
    }
}
