// HostFunctions.cs: functions of C# that scripts call.
//
// One static function is what C calls; `ud` is the number of the slot with the delegate. A function
// with a name (SetFunction, a method of a resource) lives as long as the VM. An anonymous one, that
// went in as a value, has a resource beside it, in a table with weak keys: when neither the live
// state nor a held snapshot has the function any more, the resource is released, and the slot with
// it.

using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace Rlua
{
    public sealed unsafe partial class Lua
    {
        private static readonly HostEntry OnCall = Call;
        private static readonly IntPtr CallPointer =
            Marshal.GetFunctionPointerForDelegate(OnCall);

        private Slots slots;
        private readonly Dictionary<string, IntPtr> named = new Dictionary<string, IntPtr>();
        private ulong keepers;          // a reference to function -> resource, weak keys

        private void MakeKeepersWeak(IntPtr L)
        {
            PushReference(L, keepers);
            Check(L, Native.rlua_createtable(L, 0, 1));
            Check(L, Text.Push(L, "__mode"));
            Check(L, Text.Push(L, "k"));
            Check(L, Native.rlua_rawset(L, -3));
            Native.lua_setmetatable(L, -2);
            Native.lua_settop(L, -2);
        }

        /// <summary>The one C entry. Nothing leaves it.</summary>
        [MonoPInvokeCallback(typeof(HostEntry))]
        private static int Call(IntPtr L, IntPtr ud)
        {
            Lua lua = Of(L);
            if (lua == null)
                return Native.Raise;
            IntPtr outer = lua.current;
            lua.current = L;
            lua.depth++;
            try
            {
                Slot slot = lua.slots.Find(ud);
                if (slot == null)
                    throw new InvalidOperationException("the function behind this one is gone");
                return ((HostFunction)slot.Value).Run(lua, L);
            }
            catch (Exception e) { return lua.Raise(L, e); }
            finally
            {
                lua.depth--;
                lua.current = outer;
            }
        }

        private static Status PushHost(IntPtr L, IntPtr number, string name)
        {
            fixed (byte* text = Text.Terminated(name))
                return Native.rlua_pushfunction(L, CallPointer, number, text);
        }

        /// <summary>The slot of a name, which lives as long as the VM. Given anew, the name stands
        /// for the new function, in all functions of Lua that have it: an image can have it once.
        /// </summary>
        private IntPtr Named(string name, HostFunction function)
        {
            if (named.TryGetValue(name, out IntPtr number))
                slots.Find(number).Value = function;
            else if (types.Exists(each => each.MethodNames().Contains(name)))
                throw new RluaException(Status.BadArg, name + " is the name of a method");
            else
                named[name] = number = slots.Take(new Slot { Value = function });
            return number;
        }

        /// <summary>Pushes a function with a slot of its own. Returns the slot.</summary>
        private IntPtr PushNew(IntPtr L, HostFunction function, string name)
        {
            IntPtr number = slots.Take(new Slot { Value = function });
            Status status = PushHost(L, number, name);
            if (status == Status.Ok)
                return number;
            slots.Give(number);
            throw Error(L, status);
        }

        private void PushAnonymous(IntPtr L, HostFunction function)
        {
            Reserve(L, Room);
            IntPtr number = PushNew(L, function, function.Name);
            PushReference(L, keepers);
            Native.lua_pushvalue(L, -2);
            PushResource(L, number, Kinds.Functions);     // gives the slot back if it fails
            Check(L, Native.rlua_rawset(L, -3));
            Native.lua_settop(L, -2);
        }

        /// <summary>What holds anonymous functions: a resource that nobody sees.</summary>
        private static class Kinds      // made when all statics of Lua are
        {
            internal static readonly ResourceType Functions =
                new ResourceType("rlua.csharp.function");
        }

        internal ScriptArgumentException WrongArgument(IntPtr L, int index, string wanted)
        {
            int type = Native.lua_type(L, index);
            string found = type < 0 ? "no value" : TypeName(L, index);
            if (type == Native.UserData && FindResource(L, index, out Slot slot) == Status.Stale)
                found = "a resource that was closed";
            return new ScriptArgumentException(index, wanted + " expected, got " + found);
        }

        internal int ReturnSeveral(IntPtr L, Results several)
        {
            Reserve(L, several.Values.Length + Room);
            foreach (object value in several.Values)
                Push(L, value);
            return several.Values.Length;
        }
    }

    /// <summary>A delegate, and how it is given Lua's arguments.</summary>
    internal abstract class HostFunction
    {
        internal abstract Delegate Delegate { get; }
        internal abstract int Run(Lua lua, IntPtr L);

        /// <summary>For messages, where the script has no name for it. A lambda has none.</summary>
        internal string Name
        {
            get
            {
                string name = Delegate.Method.Name;
                return name.IndexOf('<') < 0 ? name : "function";
            }
        }
    }

    /// <summary>Any delegate, by reflection, which is slow. For Func and Action there are shapes.
    /// </summary>
    internal sealed class ReflectedFunction : HostFunction
    {
        private readonly Delegate function;
        private readonly Type[] types;

        internal ReflectedFunction(Delegate function)
        {
            this.function = function;
            var parameters = function.GetType().GetMethod("Invoke").GetParameters();
            types = Array.ConvertAll(parameters, each => each.ParameterType);
            foreach (Type type in types)
                if (type.IsByRef || type.IsPointer)
                    throw new NotSupportedException(function.GetType() + " has a parameter by"
                                                    + " reference, which scripts cannot give");
        }

        internal override Delegate Delegate { get { return function; } }

        internal override int Run(Lua lua, IntPtr L)
        {
            var arguments = new object[types.Length];
            for (int i = 0; i < types.Length; i++)
                arguments[i] = Boxing.For(types[i]).Argument(lua, L, i + 1);
            object result;
            try { result = function.DynamicInvoke(arguments); }
            catch (System.Reflection.TargetInvocationException e)
            {
                System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(e.InnerException)
                    .Throw();
                throw;
            }
            Type returned = function.Method.ReturnType;
            return returned == typeof(void) ? 0 : Boxing.For(returned).Return(lua, L, result);
        }

        /// <summary>A Converter whose type is known at run time alone.</summary>
        private abstract class Boxing
        {
            private static readonly System.Collections.Concurrent.ConcurrentDictionary<Type, Boxing>
                Known = new System.Collections.Concurrent.ConcurrentDictionary<Type, Boxing>();

            internal static Boxing For(Type type)
            {
                return Known.GetOrAdd(type, each => (Boxing)Activator.CreateInstance(
                    typeof(Of<>).MakeGenericType(each), true));
            }

            internal abstract object Argument(Lua lua, IntPtr L, int index);
            internal abstract int Return(Lua lua, IntPtr L, object result);

            private sealed class Of<T> : Boxing
            {
                internal override object Argument(Lua lua, IntPtr L, int index)
                {
                    return Converter<T>.Instance.Argument(lua, L, index);
                }
                internal override int Return(Lua lua, IntPtr L, object result)
                {
                    return Converter<T>.Instance.Return(lua, L, (T)result);
                }
            }
        }
    }

    /// <summary>Several results of a host function, where a tuple does not do.</summary>
    public sealed class Results
    {
        internal readonly object[] Values;

        /// <summary>The results, in order.</summary>
        public Results(params object[] values) { Values = values; }
    }
}
