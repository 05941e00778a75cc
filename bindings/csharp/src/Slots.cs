// Slots.cs: managed objects that the VM knows by a number: functions of the host and resources.
//
// A number is an index and a serial, and is never given twice: one that a script kept or forged
// finds nothing. C gets numbers alone, so nothing is pinned, and no collection of the runtime can
// make one dangle.

using System;

namespace Rlua
{
    /// <summary>What a number stands for.</summary>
    internal sealed class Slot
    {
        internal object Value;          // a HostFunction, or the object of a resource
        internal ResourceType Type;     // of a resource
    }

    internal struct Slots
    {
        private struct Entry
        {
            internal Slot Slot;         // null: free
            internal uint Serial;
            internal int NextFree;
        }

        private Entry[] entries;
        private int count, free;
        private uint serial;

        internal int Live { get; private set; }

        internal IntPtr Take(Slot slot)
        {
            if (entries == null)
            {
                entries = new Entry[16];
                count = 1;              // 0 is none
            }
            int index = free;
            if (index != 0)
            {
                free = entries[index].NextFree;
            }
            else
            {
                if (count == entries.Length)
                    Array.Resize(ref entries, 2 * count);
                index = count++;
            }
            if (++serial == 0)
                serial = 1;
            entries[index].Slot = slot;
            entries[index].Serial = serial;
            Live++;
            return (IntPtr)(long)((ulong)serial << 32 | (uint)index);
        }

        internal Slot Find(IntPtr number)
        {
            ulong key = (ulong)number.ToInt64();
            uint index = (uint)key;
            if (entries == null || index >= (uint)count || entries[index].Serial != key >> 32)
                return null;
            return entries[index].Slot;
        }

        internal Slot Give(IntPtr number)
        {
            Slot slot = Find(number);
            if (slot == null)
                return null;
            int index = (int)(uint)number.ToInt64();
            entries[index].Slot = null;
            entries[index].NextFree = free;
            free = index;
            Live--;
            return slot;
        }

        internal void Clear()
        {
            entries = null;
            count = free = Live = 0;
        }
    }
}
