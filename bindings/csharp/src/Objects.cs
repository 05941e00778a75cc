// Objects.cs: objects of the host go with an image, by the functions of their type; clones.
//
// A Lua knows a type from its first resource on, or from Load on. The library calls a type's save
// and load in Save and Load of a Lua, which nobody can enter meanwhile: it is sealed, or not there
// yet.
//
// Not here: the release of objects (Resources.cs).

using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace Rlua
{
    public sealed unsafe partial class Lua
    {
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate int SaveEntry(IntPtr number, UIntPtr size, IntPtr writer, IntPtr to,
                                       IntPtr ud);
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate int LoadEntry(IntPtr bytes, UIntPtr length, IntPtr* place, UIntPtr size,
                                       IntPtr ud);

        private static readonly SaveEntry OnSave = SaveObject;
        private static readonly LoadEntry OnLoad = LoadObject;
        private static readonly IntPtr SavePointer =
            Marshal.GetFunctionPointerForDelegate(OnSave);
        private static readonly IntPtr LoadPointer =
            Marshal.GetFunctionPointerForDelegate(OnLoad);

        /// <summary>The owner of a Lua, while an object of it is saved or loaded.</summary>
        private static readonly object Sealed = new object();

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
            Lua clone = Load(image, own, functions, pointers, types);
            clone.config = config;
            return clone;
        }

        /// <summary>Before the first resource of a type, and before a Load: no two have one name.
        /// </summary>
        private void Declare(IntPtr L, ResourceType type)
        {
            if (types.Contains(type))
                return;
            foreach (ResourceType each in types)
                if (each.Name == type.Name)
                    throw new RluaException(Status.BadArg, "this Lua has another ResourceType of"
                                                           + " the name " + type.Name);
            foreach (string name in type.MethodNames())
                if (named.ContainsKey(name))
                    throw new RluaException(Status.BadArg, name + " is the name of a function, and"
                                                           + " of a method");
            if (type.IsSaved && L != IntPtr.Zero)
            {
                RawResourceType resource = Described(type);
                RawObjectType way = Way(type, &resource);
                Plain(L, Native.rlua_register_type(L, &way));
            }
            types.Add(type);
        }

        /// <summary>The type as the library knows it in this VM: `ud` leads here.</summary>
        private RawResourceType Described(ResourceType type)
        {
            RawResourceType described = *type.Raw;
            described.Release = ReleasePointer;
            described.Ud = UdOf(type.Number);
            return described;
        }

        private RawObjectType Way(ResourceType type, RawResourceType* resource)
        {
            return new RawObjectType { Size = (UIntPtr)sizeof(RawObjectType),
                                       Name = resource->Name, Resource = resource,
                                       Save = SavePointer, Load = LoadPointer,
                                       Ud = UdOf(type.Number) };
        }

        /// <summary>Calls `use` with the types that are saved, as an rlua_Config has them.
        /// </summary>
        private Status WithTypes(Func<IntPtr, Status> use)
        {
            List<ResourceType> saved = types.FindAll(each => each.IsSaved);
            var resources = new RawResourceType[saved.Count + 1];
            var ways = new RawObjectType[saved.Count + 1];
            var list = new IntPtr[saved.Count + 1];
            fixed (RawResourceType* resource = resources)
            fixed (RawObjectType* way = ways)
            fixed (IntPtr* first = list)
            {
                for (int i = 0; i < saved.Count; i++)
                {
                    resource[i] = Described(saved[i]);
                    way[i] = Way(saved[i], resource + i);
                    first[i] = (IntPtr)(way + i);
                }
                return use((IntPtr)first);
            }
        }

        private static Lua Of(IntPtr ud, out ResourceType type)
        {
            Lua lua = cells[(int)(ud.ToInt64() >> 32)].Active;
            int number = (int)ud.ToInt64();
            type = lua == null ? null : lua.types.Find(each => each.Number == number);
            return type == null ? null : lua;
        }

        [MonoPInvokeCallback(typeof(SaveEntry))]
        private static int SaveObject(IntPtr number, UIntPtr size, IntPtr writer, IntPtr to,
                                      IntPtr ud)
        {
            Lua lua = Of(ud, out ResourceType type);
            if (lua == null)
                return 1;
            object owner = lua.owner;
            lua.depth++;
            lua.owner = Sealed;
            try
            {
                byte[] bytes = type.Save(lua.slots.Find(number).Value);
                if (bytes == null)
                    throw new InvalidOperationException("save of " + type.Name + " returned null");
                var write = (WriteEntry)Marshal.GetDelegateForFunctionPointer(writer,
                                                                              typeof(WriteEntry));
                fixed (byte* start = bytes)
                    return write(to, (IntPtr)start, (UIntPtr)(uint)bytes.Length);
            }
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

        /// <summary>Its slot is taken first, so that no object is made that nothing would release.
        /// </summary>
        [MonoPInvokeCallback(typeof(LoadEntry))]
        private static int LoadObject(IntPtr bytes, UIntPtr length, IntPtr* place, UIntPtr size,
                                      IntPtr ud)
        {
            Lua lua = Of(ud, out ResourceType type);
            if (lua == null)
                return 1;
            IntPtr number = IntPtr.Zero;
            object owner = lua.owner;
            lua.depth++;
            lua.owner = Sealed;
            try
            {
                var data = new byte[checked((int)(ulong)length)];
                Marshal.Copy(bytes, data, 0, data.Length);
                var slot = new Slot { Type = type };
                number = lua.slots.Take(slot);
                slot.Value = type.Load(data);
                if (slot.Value == null)
                    throw new InvalidOperationException("load of " + type.Name + " returned null");
                *place = number;
                return 0;
            }
            catch (Exception e)
            {
                lua.failure = e;
                lua.slots.Give(number);
                return 1;
            }
            finally
            {
                lua.owner = owner;
                lua.depth--;
            }
        }
    }
}
