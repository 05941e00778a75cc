// Converters.cs: values of types that are known when the program is compiled: without boxes.
//
// There is one Converter for each type, made when it is first asked for. A tuple is several values,
// which only results can be.

using System;
using System.Collections.Generic;

namespace Rlua
{
    internal abstract class Converter<T>
    {
        internal static readonly Converter<T> Instance = (Converter<T>)Converters.For(typeof(T));

        /// <summary>Values on the stack.</summary>
        internal virtual int Count { get { return 1; } }

        /// <summary>What a script is told that it should have given.</summary>
        internal abstract string Wanted { get; }

        internal abstract void Push(Lua lua, IntPtr L, T value);

        /// <summary>Pushes what a host function returned; returns how many values.</summary>
        internal virtual int Return(Lua lua, IntPtr L, T value)
        {
            Push(lua, L, value);
            return Count;
        }

        /// <summary>The value if it is a delegate, without a box to ask.</summary>
        internal virtual Delegate AsDelegate(T value) { return null; }

        /// <summary>Leaves the value as it is: it may be a key of an iteration.</summary>
        internal abstract bool TryRead(Lua lua, IntPtr L, int index, out T value);

        internal T Argument(Lua lua, IntPtr L, int index)
        {
            if (TryRead(lua, L, index, out T value))
                return value;
            throw lua.WrongArgument(L, index, Wanted);
        }

        /// <summary>A result, or an element: nil is the null of a type that has one.</summary>
        internal T Read(Lua lua, IntPtr L, int index, string what)
        {
            if (TryRead(lua, L, index, out T value))
                return value;
            if (default(T) == null && Native.lua_type(L, index) <= Native.Nil)
                return default(T);
            throw new InvalidCastException(what + ": " + Wanted + " expected, got "
                                           + Lua.TypeName(L, index));
        }
    }

    internal static class Converters
    {
        /// <summary>Of the one parameter of a function: an object[] is all arguments.</summary>
        internal static Converter<T> Only<T>()
        {
            return typeof(T) == typeof(object[]) ? (Converter<T>)(object)new AllConverter()
                                                 : Converter<T>.Instance;
        }

        internal static object For(Type type)
        {
            object known = Integer(type) ?? Plain(type);
            if (known != null)
                return known;
            if (type.IsEnum)
                return Make(typeof(EnumConverter<>), type);
            if (type.IsArray && type.GetArrayRank() == 1)
                return Make(typeof(ArrayConverter<>), type.GetElementType());
            if (type.IsGenericType)
            {
                Type shape = type.GetGenericTypeDefinition();
                Type[] parts = type.GetGenericArguments();
                if (shape == typeof(Nullable<>))
                    return Make(typeof(NullableConverter<>), parts);
                if (shape == typeof(Dictionary<,>))
                    return Make(typeof(DictionaryConverter<,>), parts);
                if (shape == typeof(ValueTuple<,>))
                    return Make(typeof(PairConverter<,>), parts);
                if (shape == typeof(ValueTuple<,,>))
                    return Make(typeof(TripleConverter<,,>), parts);
            }
            if (typeof(Delegate).IsAssignableFrom(type))
                return Make(typeof(DelegateConverter<>), type);
            return Make(typeof(ObjectConverter<>), type);
        }

        private static object Make(Type shape, params Type[] parts)
        {
            return Activator.CreateInstance(shape.MakeGenericType(parts), true);
        }

        private static object Plain(Type type)
        {
            if (type == typeof(object))
                return new AnyConverter();
            if (type == typeof(bool))
                return new BooleanConverter();
            if (type == typeof(double))
                return new DoubleConverter();
            if (type == typeof(float))
                return new SingleConverter();
            if (type == typeof(string))
                return new StringConverter();
            if (type == typeof(byte[]))
                return new BytesConverter();
            if (type == typeof(Results))
                return new ResultsConverter();
            if (type == typeof(Nothing))
                return new NothingConverter();
            return null;
        }

        private static object Integer(Type type)
        {
            if (type == typeof(long))
                return new LongConverter();
            if (type == typeof(int))
                return new SmallConverter<int>(int.MinValue, int.MaxValue, n => (int)n, v => v);
            if (type == typeof(uint))
                return new SmallConverter<uint>(0, uint.MaxValue, n => (uint)n, v => v);
            if (type == typeof(ulong))
                return new SmallConverter<ulong>(0, long.MaxValue, n => (ulong)n,
                                                 v => checked((long)v));
            if (type == typeof(short))
                return new SmallConverter<short>(short.MinValue, short.MaxValue, n => (short)n,
                                                 v => v);
            if (type == typeof(ushort))
                return new SmallConverter<ushort>(0, ushort.MaxValue, n => (ushort)n, v => v);
            if (type == typeof(byte))
                return new SmallConverter<byte>(0, byte.MaxValue, n => (byte)n, v => v);
            if (type == typeof(sbyte))
                return new SmallConverter<sbyte>(sbyte.MinValue, sbyte.MaxValue, n => (sbyte)n,
                                                 v => v);
            return null;
        }
    }

    internal sealed class AnyConverter : Converter<object>
    {
        internal override string Wanted { get { return "value"; } }
        internal override Delegate AsDelegate(object value) { return value as Delegate; }
        internal override int Return(Lua lua, IntPtr L, object value)
        {
            if (value is Results several)
                return lua.ReturnSeveral(L, several);
            lua.Push(L, value);
            return 1;
        }
        internal override void Push(Lua lua, IntPtr L, object value) { lua.Push(L, value); }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out object value)
        {
            value = lua.Read(L, index);
            return true;
        }
    }

    internal sealed class BooleanConverter : Converter<bool>
    {
        internal override string Wanted { get { return "boolean"; } }
        internal override void Push(Lua lua, IntPtr L, bool value)
        {
            Native.lua_pushboolean(L, value ? 1 : 0);
        }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out bool value)
        {
            value = Native.lua_toboolean(L, index) != 0;
            return Native.lua_type(L, index) == Native.Boolean;
        }
    }

    // Numbers convert as in Lua's own functions: "10" is 10, 3.0 is the integer 3, 3.5 is none.

    internal sealed unsafe class LongConverter : Converter<long>
    {
        internal override string Wanted { get { return "integer in range"; } }
        internal override void Push(Lua lua, IntPtr L, long value)
        {
            Native.lua_pushinteger(L, value);
        }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out long value)
        {
            int done;
            value = Native.lua_tointegerx(L, index, &done);
            return done != 0;
        }
    }

    internal sealed unsafe class SmallConverter<T> : Converter<T>
    {
        private readonly long least, most;
        private readonly Func<long, T> narrow;
        private readonly Func<T, long> widen;

        internal SmallConverter(long least, long most, Func<long, T> narrow, Func<T, long> widen)
        {
            this.least = least;
            this.most = most;
            this.narrow = narrow;
            this.widen = widen;
        }

        internal override string Wanted { get { return "integer in range"; } }
        internal override void Push(Lua lua, IntPtr L, T value)
        {
            Native.lua_pushinteger(L, widen(value));
        }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out T value)
        {
            int done;
            long number = Native.lua_tointegerx(L, index, &done);
            bool fits = done != 0 && number >= least && number <= most;
            value = fits ? narrow(number) : default(T);
            return fits;
        }
    }

    internal sealed unsafe class EnumConverter<T> : Converter<T>
    {
        internal override string Wanted { get { return "integer of " + typeof(T).Name; } }
        internal override void Push(Lua lua, IntPtr L, T value)
        {
            Native.lua_pushinteger(L, Convert.ToInt64(value));
        }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out T value)
        {
            int done;
            long number = Native.lua_tointegerx(L, index, &done);
            value = (T)Enum.ToObject(typeof(T), number);
            return done != 0 && Convert.ToInt64(value) == number;
        }
    }

    internal sealed unsafe class DoubleConverter : Converter<double>
    {
        internal override string Wanted { get { return "number"; } }
        internal override void Push(Lua lua, IntPtr L, double value)
        {
            Native.lua_pushnumber(L, value);
        }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out double value)
        {
            int done;
            value = Native.lua_tonumberx(L, index, &done);
            return done != 0;
        }
    }

    internal sealed unsafe class SingleConverter : Converter<float>
    {
        internal override string Wanted { get { return "number"; } }
        internal override void Push(Lua lua, IntPtr L, float value)
        {
            Native.lua_pushnumber(L, value);
        }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out float value)
        {
            int done;
            value = (float)Native.lua_tonumberx(L, index, &done);
            return done != 0;
        }
    }

    internal sealed class StringConverter : Converter<string>
    {
        internal override string Wanted { get { return "string in UTF-8"; } }
        internal override void Push(Lua lua, IntPtr L, string value)
        {
            if (value == null)
                Native.lua_pushnil(L);
            else
                lua.Check(L, Text.Push(L, value));
        }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out string value)
        {
            value = Native.lua_type(L, index) == Native.String ? Text.StringAt(L, index) : null;
            return value != null;
        }
    }

    internal sealed class BytesConverter : Converter<byte[]>
    {
        internal override string Wanted { get { return "string"; } }
        internal override void Push(Lua lua, IntPtr L, byte[] value)
        {
            if (value == null)
                Native.lua_pushnil(L);
            else
                lua.Check(L, Text.Push(L, value, 0, -1));
        }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out byte[] value)
        {
            bool found = Native.lua_type(L, index) == Native.String;
            value = found ? Text.BytesAt(L, index) : null;
            return found;
        }
    }

    internal sealed class NullableConverter<T> : Converter<T?> where T : struct
    {
        internal override string Wanted { get { return Converter<T>.Instance.Wanted + " or nil"; } }
        internal override void Push(Lua lua, IntPtr L, T? value)
        {
            if (value == null)
                Native.lua_pushnil(L);
            else
                Converter<T>.Instance.Push(lua, L, value.Value);
        }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out T? value)
        {
            value = null;
            if (Native.lua_type(L, index) <= Native.Nil)
                return true;
            bool found = Converter<T>.Instance.TryRead(lua, L, index, out T read);
            if (found)
                value = read;
            return found;
        }
    }

    /// <summary>Proxies, and the objects behind resources.</summary>
    internal sealed class ObjectConverter<T> : Converter<T>
    {
        internal override string Wanted { get { return typeof(T).Name; } }
        internal override void Push(Lua lua, IntPtr L, T value) { lua.Push(L, value); }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out T value)
        {
            value = default(T);
            if (Native.lua_type(L, index) == Native.UserData && !typeof(Proxy).IsAssignableFrom(
                typeof(T)) && lua.FindResource(L, index, out Slot slot) == Status.Ok
                && slot.Value is T held)
            {
                value = held;
                return true;
            }
            if (Native.lua_type(L, index) < Native.LightUserData)
                return false;
            object read = lua.Read(L, index);
            if (read is T found)
            {
                value = found;
                return true;
            }
            (read as Proxy)?.Dispose();
            return false;
        }
    }

    internal sealed class DelegateConverter<T> : Converter<T> where T : class
    {
        internal override string Wanted { get { return "function"; } }
        internal override Delegate AsDelegate(T value) { return value as Delegate; }
        internal override void Push(Lua lua, IntPtr L, T value) { lua.Push(L, value); }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out T value)
        {
            value = null;
            if (Native.lua_type(L, index) != Native.Function)
                return false;
            value = ((Function)lua.Read(L, index)).To<T>();
            return true;
        }
    }

    // Containers, as copies

    internal sealed class ArrayConverter<T> : Converter<T[]>
    {
        internal override string Wanted { get { return "table"; } }
        internal override void Push(Lua lua, IntPtr L, T[] value)
        {
            if (value == null)
            {
                Native.lua_pushnil(L);
                return;
            }
            Lua.Reserve(L, 8);
            lua.Check(L, Native.rlua_createtable(L, value.Length, 0));
            for (int i = 0; i < value.Length; i++)
            {
                Converter<T>.Instance.Push(lua, L, value[i]);
                lua.Check(L, Native.rlua_rawseti(L, -2, i + 1));
            }
        }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out T[] value)
        {
            value = null;
            if (Native.lua_type(L, index) != Native.Table)
                return false;
            Lua.Reserve(L, 8);
            if (index < 0)
                index += Native.lua_gettop(L) + 1;
            value = new T[checked((int)Native.lua_rawlen(L, index))];
            for (int i = 0; i < value.Length; i++)
            {
                Lua.Plain(L, Native.rlua_rawgeti(L, index, i + 1));
                value[i] = Converter<T>.Instance.Read(lua, L, -1, "an element");
                Native.lua_settop(L, -2);
            }
            return true;
        }
    }

    internal sealed class DictionaryConverter<TKey, TValue> : Converter<Dictionary<TKey, TValue>>
    {
        internal override string Wanted { get { return "table"; } }
        internal override void Push(Lua lua, IntPtr L, Dictionary<TKey, TValue> value)
        {
            lua.Push(L, value);
        }
        internal override bool TryRead(Lua lua, IntPtr L, int index,
                                       out Dictionary<TKey, TValue> value)
        {
            value = null;
            if (Native.lua_type(L, index) != Native.Table)
                return false;
            Lua.Reserve(L, 8);
            if (index < 0)
                index += Native.lua_gettop(L) + 1;
            value = new Dictionary<TKey, TValue>();
            Native.lua_pushnil(L);
            while (lua.Next(L, index))
            {
                TKey key = Converter<TKey>.Instance.Read(lua, L, -2, "a key");
                value[key] = Converter<TValue>.Instance.Read(lua, L, -1, "an element");
                Native.lua_settop(L, -2);
            }
            return true;
        }
    }

    // Several values

    internal sealed class AllConverter : Converter<object[]>
    {
        internal override string Wanted { get { return "values"; } }
        internal override void Push(Lua lua, IntPtr L, object[] value)
        {
            lua.PushAll(L, value);
        }
        internal override int Return(Lua lua, IntPtr L, object[] value)
        {
            value = value ?? new object[] { null };
            lua.PushAll(L, value);
            return value.Length;
        }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out object[] value)
        {
            value = lua.ReadAll(L, 0);
            return true;
        }
    }

    internal sealed class ResultsConverter : Converter<Results>
    {
        internal override int Count { get { return Native.MultipleResults; } }
        internal override string Wanted { get { return "values"; } }
        internal override void Push(Lua lua, IntPtr L, Results value) { Return(lua, L, value); }
        internal override int Return(Lua lua, IntPtr L, Results value)
        {
            return value == null ? 0 : lua.ReturnSeveral(L, value);
        }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out Results value)
        {
            value = new Results(lua.ReadAll(L, index - 1));
            return true;
        }
    }

    internal sealed class PairConverter<T1, T2> : Converter<ValueTuple<T1, T2>>
    {
        internal override int Count { get { return 2; } }
        internal override string Wanted { get { return "two values"; } }
        internal override void Push(Lua lua, IntPtr L, ValueTuple<T1, T2> value)
        {
            Converter<T1>.Instance.Push(lua, L, value.Item1);
            Converter<T2>.Instance.Push(lua, L, value.Item2);
        }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out ValueTuple<T1, T2> value)
        {
            value = new ValueTuple<T1, T2>(
                Converter<T1>.Instance.Read(lua, L, index, "the first result"),
                Converter<T2>.Instance.Read(lua, L, index + 1, "the second result"));
            return true;
        }
    }

    internal sealed class TripleConverter<T1, T2, T3> : Converter<ValueTuple<T1, T2, T3>>
    {
        internal override int Count { get { return 3; } }
        internal override string Wanted { get { return "three values"; } }
        internal override void Push(Lua lua, IntPtr L, ValueTuple<T1, T2, T3> value)
        {
            Converter<T1>.Instance.Push(lua, L, value.Item1);
            Converter<T2>.Instance.Push(lua, L, value.Item2);
            Converter<T3>.Instance.Push(lua, L, value.Item3);
        }
        internal override bool TryRead(Lua lua, IntPtr L, int index,
                                       out ValueTuple<T1, T2, T3> value)
        {
            value = new ValueTuple<T1, T2, T3>(
                Converter<T1>.Instance.Read(lua, L, index, "the first result"),
                Converter<T2>.Instance.Read(lua, L, index + 1, "the second result"),
                Converter<T3>.Instance.Read(lua, L, index + 2, "the third result"));
            return true;
        }
    }
}
