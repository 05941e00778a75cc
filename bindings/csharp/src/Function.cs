// Function.cs: a function of Lua, and a coroutine.

using System;
using System.Collections;
using System.Collections.Generic;

namespace Rlua
{
    /// <summary>A function: of a script, of a library, or of the host.</summary>
    public sealed class Function : Proxy
    {
        internal Function(Lua lua, IntPtr L, int index) : base(lua, L, index) { }

        /// <inheritdoc/>
        public override string TypeName { get { return "function"; } }

        /// <summary>Calls it; returns all results.</summary>
        /// <exception cref="ScriptException">It raised an error.</exception>
        public object[] Call(params object[] arguments)
        {
            using (var frame = new Lua.Frame(Lua))
            {
                int handler = Lua.BeginCall(frame, this);
                return Lua.CallPushed(frame.L, handler, arguments ?? new object[] { null });
            }
        }

        /// <summary>Calls it; returns the first result as a T, or several as a tuple.</summary>
        public T Call<T>(params object[] arguments)
        {
            using (var frame = new Lua.Frame(Lua))
            {
                int handler = Lua.BeginCall(frame, this);
                arguments = arguments ?? new object[] { null };
                Lua.PushAll(frame.L, arguments);
                return Lua.EndCall<T>(frame, arguments.Length, handler);
            }
        }

        /// <summary>A delegate that calls it: Func or Action of up to six parameters. Nothing is
        /// boxed, and nothing allocated, on its way.</summary>
        public T To<T>() where T : class
        {
            return (T)(object)Shapes.Make(this, typeof(T));
        }

        /// <summary>Where a C function lies, for NameFunction; zero of a function in Lua.</summary>
        public IntPtr Address
        {
            get
            {
                using (var frame = new Lua.Frame(Lua))
                {
                    Push(frame.L);
                    return Native.lua_tocfunction(frame.L, -1);
                }
            }
        }

        /// <summary>A coroutine that will run it with these arguments.</summary>
        public Coroutine Start(params object[] arguments)
        {
            return Coroutine.Start(this, arguments ?? new object[] { null });
        }
    }

    /// <summary>A coroutine. It can be enumerated: what it yields, the first value of each.
    /// </summary>
    public sealed class Coroutine : Proxy, IEnumerable<object>
    {
        internal Coroutine(Lua lua, IntPtr L, int index) : base(lua, L, index) { }

        /// <inheritdoc/>
        public override string TypeName { get { return "thread"; } }

        /// <summary>What it returned, when it has.</summary>
        public object[] Returned { get; private set; }

        internal static Coroutine Start(Function function, object[] arguments)
        {
            Lua lua = function.Lua;
            using (var frame = new Lua.Frame(lua))
            {
                IntPtr thread = lua.PushThread(frame.L);
                Lua.Reserve(thread, 8);
                function.Push(thread);
                lua.PushAll(thread, arguments);
                return new Coroutine(lua, frame.L, -1);
            }
        }

        /// <summary>Runs it to its next yield, or its end. Returns what it yielded or returned.
        /// </summary>
        /// <exception cref="ScriptException">It raised an error, and is dead.</exception>
        /// <exception cref="RluaException">It is dead already, or running.</exception>
        public object[] Resume(params object[] arguments)
        {
            using (var frame = new Lua.Frame(Lua))
            {
                Push(frame.L);
                IntPtr thread = Native.lua_tothread(frame.L, -1);
                string state = Lua.StateOf(frame.L, thread);
                if (state != "suspended")
                    throw new RluaException(Status.BadArg, "cannot resume a " + state
                                            + " coroutine");
                bool yielded = Lua.Resume(frame.L, thread, arguments ?? new object[] { null },
                                          out object[] values);
                if (!yielded)
                    Returned = values;
                return values;
            }
        }

        /// <summary>"suspended", "dead", "running" or "normal", as coroutine.status has it.
        /// </summary>
        public string State
        {
            get
            {
                using (var frame = new Lua.Frame(Lua))
                {
                    Push(frame.L);
                    IntPtr thread = Native.lua_tothread(frame.L, -1);
                    return Lua.StateOf(frame.L, thread);
                }
            }
        }

        /// <summary>Whether it has ended.</summary>
        public bool IsDead { get { return State == "dead"; } }

        /// <summary>Ends it; its variables are closed. An error of that is a ScriptException.
        /// </summary>
        public void Close()
        {
            using (var frame = new Lua.Frame(Lua))
            {
                Push(frame.L);
                IntPtr thread = Native.lua_tothread(frame.L, -1);
                string state = Lua.StateOf(frame.L, thread);
                if (state != "suspended" && state != "dead")
                    throw new BusyException("Close: a coroutine that is " + state
                                            + " cannot be closed");
                Lua.CloseThread(frame.L, thread);
            }
        }

        private bool Next<T>(out T value)
        {
            using (var frame = new Lua.Frame(Lua))
            {
                Push(frame.L);
                IntPtr thread = Native.lua_tothread(frame.L, -1);
                if (Lua.Resume(frame.L, thread, out value, out object[] returned))
                    return true;
                Returned = returned ?? Returned;
                return false;
            }
        }

        /// <summary>What it yields, as Ts: tuples where it yields several values.</summary>
        public IEnumerable<T> As<T>()
        {
            while (Next(out T value))
                yield return value;
        }

        /// <summary>What it yields, the first value of each.</summary>
        public IEnumerator<object> GetEnumerator() { return As<object>().GetEnumerator(); }

        IEnumerator IEnumerable.GetEnumerator() { return GetEnumerator(); }
    }
}
