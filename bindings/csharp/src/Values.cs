// Values.cs: C#'s values to Lua's, and back, where the type is known at run time alone.
//
// Not here: values of types that are known when the program is compiled (Converters.cs), what a
// proxy does (Proxy.cs and its kinds).

using System;
using System.Collections;
using System.Collections.Generic;

namespace Rlua
{
    public sealed unsafe partial class Lua
    {
        private const int MaxDepth = 100;   // of nested containers
        private const int MaxOfError = 1000;    // elements of an error value that are copied

        private int copyLeft;               // elements

        // In

        internal void Push(IntPtr L, object value, int nesting = 0)
        {
            if (value == null)
                Native.lua_pushnil(L);
            else if (value is string text)
                Check(L, Text.Push(L, text));
            else if (value is long integer)
                Native.lua_pushinteger(L, integer);
            else if (value is double number)
                Native.lua_pushnumber(L, number);
            else if (value is bool flag)
                Native.lua_pushboolean(L, flag ? 1 : 0);
            else if (value is Proxy proxy)
                proxy.Push(this, L);
            else if (value is byte[] bytes)
                Check(L, Text.Push(L, bytes, 0, -1));
            else if (value is Delegate function)
                PushAnonymous(L, Shapes.Make(function));
            else if (value is Owned owned)
                PushOwned(L, owned);
            else
                PushOther(L, value, nesting);
        }

        private void PushOther(IntPtr L, object value, int nesting)
        {
            TypeCode code = Type.GetTypeCode(value.GetType());
            if (code == TypeCode.Single)
                Native.lua_pushnumber(L, (float)value);
            else if (code >= TypeCode.SByte && code <= TypeCode.UInt64)     // enums too
                Native.lua_pushinteger(L, Convert.ToInt64(value));
            else if (value is IntPtr pointer)
                Native.lua_pushlightuserdata(L, pointer);
            else if (value is ArraySegment<byte> part)
                Check(L, Text.Push(L, part.Array ?? new byte[0], part.Offset, part.Count));
            else if (value is IDictionary dictionary)
                PushDictionary(L, dictionary, nesting);
            else if (value is IEnumerable sequence)
                PushSequence(L, sequence, nesting);
            else
                throw new NotSupportedException(
                    value.GetType() + " has no Lua value; objects of the host go in as resources"
                    + " (ResourceType)");
        }

        private void PushDictionary(IntPtr L, IDictionary dictionary, int nesting)
        {
            RequireShallow(L, nesting);
            Check(L, Native.rlua_createtable(L, 0, dictionary.Count));
            int table = Native.lua_gettop(L);
            foreach (DictionaryEntry entry in dictionary)
            {
                RequireKey(entry.Key);
                Push(L, entry.Key, nesting + 1);
                Push(L, entry.Value, nesting + 1);
                Check(L, Native.rlua_rawset(L, table));
            }
        }

        private void PushSequence(IntPtr L, IEnumerable sequence, int nesting)
        {
            RequireShallow(L, nesting);
            var counted = sequence as ICollection;
            Check(L, Native.rlua_createtable(L, counted != null ? counted.Count : 0, 0));
            int table = Native.lua_gettop(L);
            long n = 0;
            foreach (object value in sequence)
            {
                Push(L, value, nesting + 1);
                Check(L, Native.rlua_rawseti(L, table, ++n));
            }
        }

        private static void RequireShallow(IntPtr L, int nesting)
        {
            if (nesting >= MaxDepth)
                throw new NotSupportedException("containers are nested too deep, or in a circle");
            Reserve(L, Room);
        }

        internal static void RequireKey(object key)
        {
            if (key == null || key is double number && double.IsNaN(number)
                || key is float single && float.IsNaN(single))
                throw new ArgumentException((key ?? "null") + " cannot be a key of a Lua table");
        }

        // Out

        internal object Read(IntPtr L, int index)
        {
            int type = Native.lua_type(L, index);
            switch (type)
            {
                case -1:
                case Native.Nil: return null;
                case Native.Boolean: return Native.lua_toboolean(L, index) != 0;
                case Native.Number: return ReadNumber(L, index);
                case Native.String: return ReadString(L, index);
                case Native.LightUserData: return Native.lua_touserdata(L, index);
                default: return NewProxy(L, index, type);
            }
        }

        private static object ReadNumber(IntPtr L, int index)
        {
            if (Native.lua_isinteger(L, index) != 0)
                return Native.lua_tointegerx(L, index, null);
            return Native.lua_tonumberx(L, index, null);
        }

        private static object ReadString(IntPtr L, int index)
        {
            return Text.StringAt(L, index) ?? (object)Text.BytesAt(L, index);
        }

        /// <summary>All that a call has left above `top`.</summary>
        internal object[] ReadAll(IntPtr L, int top)
        {
            int count = Native.lua_gettop(L) - top;
            if (count == 0)
                return None;
            var values = new object[count];
            for (int i = 0; i < count; i++)
                values[i] = Read(L, top + 1 + i);
            return values;
        }

        private static readonly object[] None = new object[0];

        // Copies

        /// <summary>As Copied, of an error value: one that leads to the whole world is not.
        /// </summary>
        private object CopiedError(IntPtr L)
        {
            copyLeft = MaxOfError;
            return Copied(L, -1, new List<IntPtr>());
        }

        /// <summary>The value, tables as dictionaries, or as arrays where their keys are exactly
        /// 1..n, all the way down. What has no counterpart is refused.</summary>
        internal object Copied(IntPtr L, int index, List<IntPtr> outer = null)
        {
            int type = Native.lua_type(L, index);
            if (type == Native.Table)
            {
                if (outer == null)
                    copyLeft = int.MaxValue;
                return CopiedTable(L, index < 0 ? Native.lua_gettop(L) + 1 + index : index,
                                   outer ?? new List<IntPtr>());
            }
            if (type == Native.UserData && FindResource(L, index, out Slot slot) == Status.Ok)
                return slot.Value;
            if (type > Native.Table)
                throw new NotSupportedException("a Lua " + TypeName(L, index)
                                                + " cannot be copied");
            return Read(L, index);
        }

        private object CopiedTable(IntPtr L, int index, List<IntPtr> outer)
        {
            IntPtr address = Native.lua_topointer(L, index);
            if (outer.Contains(address) || outer.Count >= MaxDepth)
                throw new NotSupportedException("tables are nested too deep, or in a circle");
            outer.Add(address);
            Reserve(L, Room);
            var table = new Dictionary<object, object>();
            Native.lua_pushnil(L);
            while (Next(L, index))
            {
                if (--copyLeft < 0)
                    throw new NotSupportedException("the table is too large");
                object key = Copied(L, -2, outer);
                if (key is byte[] || key is object[] || key is Dictionary<object, object>)
                    throw new NotSupportedException("a table key with no C# counterpart");
                table[key] = Copied(L, -1, outer);
                Native.lua_settop(L, -2);
            }
            outer.RemoveAt(outer.Count - 1);
            return AsSequence(table) ?? (object)table;
        }

        /// <summary>With a key on top: replaces it by the next pair, or takes it at the end.
        /// </summary>
        internal bool Next(IntPtr L, int table)
        {
            int more;
            Check(L, Native.rlua_next(L, table, &more));
            return more != 0;
        }

        private static object[] AsSequence(Dictionary<object, object> table)
        {
            if (table.Count == 0)
                return null;
            var values = new object[table.Count];
            for (int i = 0; i < values.Length; i++)
                if (!table.TryGetValue((long)(i + 1), out values[i]))
                    return null;
            return values;
        }
    }
}
