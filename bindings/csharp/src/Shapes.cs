// Shapes.cs: which delegates go in and out without boxes and reflection: Func and Action.
//
// Each shape (Arities.cs) makes a HostFunction of a delegate, which a script calls, and a delegate
// of a script's function. A Func or Action of object[] alone is given all arguments.

using System;
using System.Collections.Concurrent;

namespace Rlua
{
    internal static partial class Shapes
    {
        private static readonly ConcurrentDictionary<Type, IShape> Known =
            new ConcurrentDictionary<Type, IShape>();

        /// <summary>What a script calls.</summary>
        internal static HostFunction Make(Delegate function)
        {
            IShape shape = Known.GetOrAdd(function.GetType(), Find);
            return shape == null ? new ReflectedFunction(function) : shape.Host(function);
        }

        /// <summary>A delegate that calls a script's function.</summary>
        internal static Delegate Make(Function function, Type type)
        {
            IShape shape = Known.GetOrAdd(type, Find);
            if (shape == null)
                throw new NotSupportedException(
                    "a Lua function cannot become a " + type + ", only a Func or an Action of up to"
                    + " six parameters");
            return shape.Script(function);
        }

        private static IShape Find(Type type)
        {
            if (type == typeof(Action))
                return new Shape<Nothing>(true);
            if (!type.IsGenericType)
                return null;
            Type form = type.GetGenericTypeDefinition();
            Type[] parts = type.GetGenericArguments();
            bool action = Array.IndexOf(Actions, form) >= 0;
            if (!action && Array.IndexOf(Funcs, form) < 0)
                return null;
            if (action)
            {
                Array.Resize(ref parts, parts.Length + 1);
                parts[parts.Length - 1] = typeof(Nothing);
            }
            Type made = Forms[parts.Length - 1].MakeGenericType(parts);
            return (IShape)Activator.CreateInstance(made, new object[] { action });
        }
    }

    internal interface IShape
    {
        HostFunction Host(Delegate function);
        Delegate Script(Function function);
    }

    /// <summary>The result of an Action.</summary>
    internal struct Nothing { }

    internal sealed class NothingConverter : Converter<Nothing>
    {
        internal override int Count { get { return 0; } }
        internal override string Wanted { get { return "nothing"; } }
        internal override void Push(Lua lua, IntPtr L, Nothing value) { }
        internal override bool TryRead(Lua lua, IntPtr L, int index, out Nothing value)
        {
            value = default(Nothing);
            return true;
        }
    }
}
