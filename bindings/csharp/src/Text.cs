// Text.cs: strings of C# and bytes of Lua: UTF-8 by hand, since the marshallers of the runtimes
// differ; and the small things that Declarations.cs needs.

using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Rlua
{
    internal static unsafe class Text
    {
        private const int Short = 256;      // bytes that fit on the stack
        private static readonly Encoding Strict = new UTF8Encoding(false, true);
        private static readonly Encoding Lenient = Encoding.UTF8;

        /// <summary>For C, which ends a text at a zero: one inside is refused.</summary>
        internal static byte[] Terminated(string text)
        {
            if (text == null)
                throw new ArgumentNullException("text", "a name is null");
            if (text.IndexOf('\0') >= 0)
                throw new ArgumentException("a name cannot contain a zero: " + Message(text));
            return Strict.GetBytes(text + "\0");
        }

        internal static byte[] Bytes(string text)
        {
            if (text == null)
                throw new ArgumentNullException("text", "a text is null");
            return Strict.GetBytes(text);
        }

        /// <summary>A message for C: zeros are written out.</summary>
        internal static byte[] ForC(string text) { return Lenient.GetBytes(Message(text) + "\0"); }

        private static string Message(string text) { return text.Replace("\0", "\\0"); }

        internal static Status Push(IntPtr L, string text)
        {
            if (text.Length > Short / 3)
                return Push(L, Strict.GetBytes(text), 0, -1);
            byte* bytes = stackalloc byte[Short];
            fixed (char* chars = text)
            {
                int length = 0;
                for (; length < text.Length && chars[length] < 0x80; length++)
                    bytes[length] = (byte)chars[length];
                if (length < text.Length)
                    length = Strict.GetBytes(chars, text.Length, bytes, Short);
                return Native.rlua_pushlstring(L, bytes, (UIntPtr)(uint)length);
            }
        }

        /// <summary>Pushes `count` bytes from `start` on, -1 for all.</summary>
        internal static Status Push(IntPtr L, byte[] data, int start, int count)
        {
            if (count < 0)
                count = data.Length - start;
            fixed (byte* bytes = data)      // null for an array of no bytes, which C takes
                return Native.rlua_pushlstring(L, bytes == null ? null : bytes + start,
                                               (UIntPtr)(uint)count);
        }

        // The value at the index is a string.

        internal static byte* At(IntPtr L, int index, out int length)
        {
            UIntPtr size;
            byte* bytes = Native.lua_tolstring(L, index, &size);
            length = checked((int)(ulong)size);
            return bytes;
        }

        internal static byte[] BytesAt(IntPtr L, int index)
        {
            byte* bytes = At(L, index, out int length);
            var data = new byte[length];
            if (length > 0)
                Marshal.Copy((IntPtr)bytes, data, 0, length);
            return data;
        }

        /// <summary>Copies what there is room for; returns the length of the string.</summary>
        internal static int CopyAt(IntPtr L, int index, byte[] target, int offset)
        {
            byte* bytes = At(L, index, out int length);
            int count = Math.Min(length, target.Length - offset);
            if (count > 0)
                Marshal.Copy((IntPtr)bytes, target, offset, count);
            return length;
        }

        /// <summary>null where it is not UTF-8.</summary>
        internal static string StringAt(IntPtr L, int index)
        {
            byte* bytes = At(L, index, out int length);
            if (length == 0)
                return "";
            if (!IsUtf8(bytes, length))
                return null;
            return Lenient.GetString(bytes, length);
        }

        internal static string LenientAt(IntPtr L, int index)
        {
            byte* bytes = At(L, index, out int length);
            return length == 0 ? "" : Lenient.GetString(bytes, length);
        }

        /// <summary>ASCII at once, eight bytes a step; the rest by the decoder.</summary>
        private static bool IsUtf8(byte* bytes, int length)
        {
            int at = 0;
            for (; at + 8 <= length && (*(ulong*)(bytes + at) & 0x8080808080808080) == 0; at += 8)
                continue;
            for (; at < length && bytes[at] < 0x80; at++)
                continue;
            if (at == length)
                return true;
            try { Strict.GetCharCount(bytes + at, length - at); }
            catch (DecoderFallbackException) { return false; }
            return true;
        }

        internal static string FromC(byte* text)
        {
            int length = 0;
            while (text != null && text[length] != 0)
                length++;
            return length == 0 ? "" : Lenient.GetString(text, length);
        }
    }

    internal static unsafe partial class Native
    {
        [MethodImpl(MethodImplOptions.NoInlining)]      // Library.Load tells why
        internal static string VersionText() { return Text.FromC(rlua_version()); }

        internal static UIntPtr Size(long value, string what)
        {
            if (value < 0)
                throw new ArgumentOutOfRangeException(what, value, what + " is negative");
            return (UIntPtr)(ulong)value;
        }
    }

    /// <summary>Tells ahead-of-time compilers (Unity's IL2CPP, Mono's) which methods C calls; they
    /// look for this name, in any namespace.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    internal sealed class MonoPInvokeCallbackAttribute : Attribute
    {
        internal MonoPInvokeCallbackAttribute(Type type) { }
    }
}
