// Table.cs: a table, live: what is read and written is the table itself.

using System;
using System.Collections;
using System.Collections.Generic;

namespace Rlua
{
    /// <summary>A table of Lua. Its indexer obeys metamethods; enumeration does not. A foreach goes
    /// over the pairs that the table has when it begins.</summary>
    public sealed class Table : Proxy, IEnumerable<KeyValuePair<object, object>>
    {
        internal Table(Lua lua, IntPtr L, int index) : base(lua, L, index) { }

        /// <inheritdoc/>
        public override string TypeName { get { return "table"; } }

        /// <summary>Appends an element: `t[#t + 1] = value`.</summary>
        public void Add(object value) { Set(Length + 1, value); }

        /// <summary>Adds or replaces an element.</summary>
        public void Add(object key, object value) { Set(key, value); }

        /// <summary>Whether `t[key]` is not nil.</summary>
        public bool ContainsKey(object key)
        {
            using (var frame = new Lua.Frame(Lua))
            {
                Push(frame.L);
                Lua.Push(frame.L, key);
                Lua.Check(frame.L, Native.rlua_gettable(frame.L, -2));
                return Native.lua_type(frame.L, -1) != Native.Nil;
            }
        }

        /// <summary>Removes an element.</summary>
        /// <returns>Whether it was there.</returns>
        public bool Remove(object key)
        {
            bool there = ContainsKey(key);
            Set<object>(key, null);
            return there;
        }

        /// <summary>`rawget(t, key)`.</summary>
        public object RawGet(object key)
        {
            using (var frame = new Lua.Frame(Lua))
            {
                Push(frame.L);
                Lua.Push(frame.L, key);
                Lua.Check(frame.L, Native.rlua_rawget(frame.L, -2));
                return Lua.Read(frame.L, -1);
            }
        }

        /// <summary>`rawset(t, key, value)`.</summary>
        public void RawSet(object key, object value)
        {
            Lua.RequireKey(key);
            using (var frame = new Lua.Frame(Lua))
            {
                Push(frame.L);
                Lua.Push(frame.L, key);
                Lua.Push(frame.L, value);
                Lua.Check(frame.L, Native.rlua_rawset(frame.L, frame.Top + 1));
            }
        }

        /// <summary>The metatable, or null.</summary>
        public Table Metatable
        {
            get
            {
                using (var frame = new Lua.Frame(Lua))
                {
                    Push(frame.L);
                    return Native.lua_getmetatable(frame.L, -1) == 0
                        ? null : new Table(Lua, frame.L, -1);
                }
            }
            set
            {
                using (var frame = new Lua.Frame(Lua))
                {
                    Push(frame.L);
                    Lua.Push(frame.L, value);
                    Native.lua_setmetatable(frame.L, -2);
                }
            }
        }

        /// <summary>The pairs, in Lua's order, as they are now.</summary>
        public List<KeyValuePair<TKey, TValue>> Pairs<TKey, TValue>()
        {
            var pairs = new List<KeyValuePair<TKey, TValue>>();
            using (var frame = new Lua.Frame(Lua))
            {
                IntPtr L = frame.L;
                int table = frame.Top + 1;
                Push(L);
                Native.lua_pushnil(L);
                while (Lua.Next(L, table))
                {
                    pairs.Add(new KeyValuePair<TKey, TValue>(
                        Converter<TKey>.Instance.Read(Lua, L, -2, "a key"),
                        Converter<TValue>.Instance.Read(Lua, L, -1, "an element")));
                    Native.lua_settop(L, table + 1);
                }
            }
            return pairs;
        }

        /// <summary>The keys, in Lua's order.</summary>
        public IEnumerable<object> Keys
        {
            get
            {
                foreach (KeyValuePair<object, object> pair in this)
                    yield return pair.Key;
            }
        }

        /// <summary>The values, in Lua's order.</summary>
        public IEnumerable<object> Values
        {
            get
            {
                foreach (KeyValuePair<object, object> pair in this)
                    yield return pair.Value;
            }
        }

        /// <summary>The pairs, as they are now.</summary>
        public IEnumerator<KeyValuePair<object, object>> GetEnumerator()
        {
            return Pairs<object, object>().GetEnumerator();
        }

        IEnumerator IEnumerable.GetEnumerator() { return GetEnumerator(); }

        /// <summary>The whole of it as a T, a copy: an array (of the elements 1..n), a Dictionary,
        /// or an object, which is an object[] if the keys are exactly 1..n, else a
        /// Dictionary&lt;object, object&gt;, all the way down.</summary>
        /// <exception cref="NotSupportedException">There is something in it that cannot be copied,
        /// or the table itself.</exception>
        public T Copy<T>()
        {
            using (var frame = new Lua.Frame(Lua))
            {
                Push(frame.L);
                if (typeof(T) == typeof(object))
                    return (T)Lua.Copied(frame.L, frame.Top + 1);
                return Converter<T>.Instance.Read(Lua, frame.L, frame.Top + 1, "Copy");
            }
        }

        /// <summary>As Copy of object.</summary>
        public object Copy() { return Copy<object>(); }
    }
}
