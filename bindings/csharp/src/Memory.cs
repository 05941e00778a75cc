// Memory.cs: memory of the host inside the VM, which rolls back with it: structs of an engine.

using System;

namespace Rlua
{
    public sealed unsafe partial class Lua
    {
        /// <summary>Allocates memory in the VM: it rolls back with it, contents and the block
        /// itself. Aligned to 16, filled with zeros, counted against the VM's limit. Pointers that
        /// are newer than the snapshot that was restored must not be used any more.</summary>
        /// <exception cref="MemoryLimitException">There is no room.</exception>
        public IntPtr Allocate(long bytes)
        {
            UIntPtr size = Native.Size(bytes, "bytes");
            IntPtr L = Enter();
            try { return Given(L, Native.rlua_alloc(L, size)); }
            finally { Leave(); }
        }

        /// <summary>Gives a block another size; it may move. Where it fails the old one is as it
        /// was.</summary>
        public IntPtr Reallocate(IntPtr block, long bytes)
        {
            UIntPtr size = Native.Size(bytes, "bytes");
            IntPtr L = Enter();
            try { return Given(L, Native.rlua_realloc(L, block, size)); }
            finally { Leave(); }
        }

        private static IntPtr Given(IntPtr L, IntPtr block)
        {
            if (block == IntPtr.Zero)
                throw new MemoryLimitException(Status.NoMemory,
                                               Text.FromC(Native.rlua_last_error(L)));
            return block;
        }

        /// <summary>Frees a block of Allocate.</summary>
        /// <exception cref="RluaException">It is no live block of this VM.</exception>
        public void Free(IntPtr block)
        {
            IntPtr L = Enter();
            try { Plain(L, Native.rlua_free(L, block)); }
            finally { Leave(); }
        }

        /// <summary>Announces a write to a block of Allocate, where Config.Announces is set.
        /// </summary>
        public void Touch(IntPtr pointer, long bytes)
        {
            UIntPtr size = Native.Size(bytes, "bytes");
            IntPtr L = Enter();
            try { Plain(L, Native.rlua_touch(L, pointer, size)); }
            finally { Leave(); }
        }

        /// <summary>Names a pointer that goes in as an IntPtr (a light userdata), so that it means
        /// the same on every machine. Before the first snapshot.</summary>
        public void NamePointer(string name, IntPtr pointer)
        {
            IntPtr L = Enter();
            try
            {
                fixed (byte* text = Text.Terminated(name))
                    Plain(L, Native.rlua_register_pointer(L, text, pointer));
                if (name != CellName)
                    pointers[name] = pointer;
            }
            finally { Leave(); }
        }
    }
}
