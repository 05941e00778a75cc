// Modules.cs: modules in C: how one is opened, what their functions are called, and how what their
// userdata stand for goes with an image.
//
// A C function is its address. A block is copied for the host, and from it: nobody has a pointer
// into the VM when a function of a type has returned.
//
// Not here: who calls these functions (Objects.cs), names in images (Images.cs).

using System;
using System.Collections.Generic;
using System.Reflection;
using System.Runtime.InteropServices;

namespace Rlua
{
    /// <summary>A kind of userdata that a module in C made. See UserdataType of T.</summary>
    public abstract class UserdataType : ObjectType
    {
        internal UserdataType(string name) : base(name) { }

        internal override bool IsSaved { get { return true; } }
        internal override List<string> MethodNames() { return new List<string>(); }
        internal abstract byte[] Save(IntPtr block, long size);
        internal abstract void Load(byte[] data, IntPtr block, long size);
    }

    /// <summary>A kind of userdata that a module in C made, and ends by a finalizer in C: how what
    /// it stands for goes with images, which refuse it otherwise. A T is what the block of one
    /// holds, as C has it: an IntPtr, a struct of numbers and pointers. May be shared by Luas.
    /// </summary>
    public sealed class UserdataType<T> : UserdataType where T : struct
    {
        private readonly Func<T, byte[]> save;
        private readonly Func<byte[], T> load;
        private readonly int bytes;

        /// <param name="name">What the metatable has as `__name`, which luaL_newmetatable sets.
        /// </param>
        /// <param name="save">Returns what `load` needs, of a copy of the block as it is now.
        /// </param>
        /// <param name="load">Makes another object, and returns what fills the block of another
        /// userdata, which the module's finalizer will end. Its bytes may be a stranger's, where
        /// images of strangers are taken. Neither can use the Lua; what they throw is as for a
        /// ResourceType.</param>
        /// <exception cref="ArgumentException">C has no such T.</exception>
        public UserdataType(string name, Func<T, byte[]> save, Func<byte[], T> load) : base(name)
        {
            this.save = Lua.Required(save, "save");
            this.load = Lua.Required(load, "load");
            if (!IsPlain(typeof(T)))
                throw new ArgumentException("a block is copied byte by byte, and a " + typeof(T)
                                            + " has more in it than numbers and pointers");
            bytes = Marshal.SizeOf(typeof(T));
        }

        /// <summary>Whether C has the same; of a bool and a char the sizes differ.</summary>
        private static bool IsPlain(Type type)
        {
            if (type.IsPrimitive || type.IsPointer || type.IsEnum)
                return type != typeof(bool) && type != typeof(char);
            return type.IsValueType && Array.TrueForAll(type.GetFields(
                BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic),
                field => IsPlain(field.FieldType));
        }

        private void CheckSize(long size)
        {
            if (size != bytes)
                throw new InvalidOperationException("the block of a " + Name + " has " + size
                    + " bytes, and a " + typeof(T).Name + " has " + bytes);
        }

        internal override byte[] Save(IntPtr block, long size)
        {
            CheckSize(size);
            return save(Marshal.PtrToStructure<T>(block));
        }

        internal override void Load(byte[] data, IntPtr block, long size)
        {
            CheckSize(size);
            Marshal.StructureToPtr(load(data), block, false);
        }
    }

    public sealed unsafe partial class Lua
    {
        private readonly Dictionary<string, IntPtr> cFunctions = new Dictionary<string, IntPtr>();

        /// <summary>Opens a module as `require` would, and returns it. One that a script loads from
        /// a file by itself cannot be in images.</summary>
        /// <param name="name">The module's name.</param>
        /// <param name="open">The address of its luaopen_ function.</param>
        /// <exception cref="ScriptException">It raised an error.</exception>
        public object OpenModule(string name, IntPtr open)
        {
            using (var frame = new Frame(this))
            {
                fixed (byte* text = Text.Terminated(name))
                    Check(frame.L, Native.rlua_requiref(frame.L, text, Address(open, "open"), 0));
                return Read(frame.L, -1);
            }
        }

        /// <summary>Gives a C function a name: a state that has it can be saved then, and Load is
        /// told what the name stands for. Before the first snapshot, since names roll back.
        /// </summary>
        /// <param name="name">Up to 64 bytes without a blank: "meter.new".</param>
        /// <param name="function">Its address: Function.Address, or a symbol of a library.</param>
        /// <exception cref="RluaException">BadArg: no such name can be, or it is taken.</exception>
        public void NameFunction(string name, IntPtr function)
        {
            IntPtr L = Enter();
            try
            {
                fixed (byte* text = Text.Terminated(name))
                    Plain(L, Native.rlua_register(L, text, Address(function, "function")));
                cFunctions[name] = function;
            }
            finally { Leave(); }
        }

        private static IntPtr Address(IntPtr function, string parameter)
        {
            if (function == IntPtr.Zero)
                throw new ArgumentException("the address of a function is not zero", parameter);
            return function;
        }
    }
}
