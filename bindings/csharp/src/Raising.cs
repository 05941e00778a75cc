// Raising.cs: errors of Lua become exceptions, and exceptions errors of Lua.
//
// An exception of a host function is to Lua a message, as any error is. `raised` remembers which
// exception a message stands for until the outermost call is over, so that it is the InnerException
// of what comes out where no script has caught it. A ScriptException that a host function lets pass
// is raised again as the very value that it was.

using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace Rlua
{
    public sealed unsafe partial class Lua
    {
        private const int MostRaised = 64;

        private struct Raised
        {
            internal string Text;
            internal Exception Exception;
        }

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int HostEntry(IntPtr L, IntPtr ud);

        // Static, and so never collected: C keeps their addresses.
        private static readonly HostEntry OnError = NoteTraceback;
        private static readonly IntPtr HandlerPointer =
            Marshal.GetFunctionPointerForDelegate(OnError);

        private readonly List<Raised> raised = new List<Raised>();
        private readonly List<ulong> passing = new List<ulong>();
        private bool errorsNoted;           // any of these is not empty
        private ScriptException noted;      // on its way out through several layers
        private string traceback;           // Lua's, of the error on its way out

        /// <summary>What a release, a discard or a finalizer throws has no caller to go to. By
        /// default it is written to the console's error stream.</summary>
        public static event Action<Exception> Unhandled;

        private static void Report(string what, Exception e)
        {
            Action<Exception> listeners = Unhandled;
            try
            {
                if (listeners != null)
                    listeners(e);
                else
                    Console.Error.WriteLine("{0} threw: {1}", what, e);
            }
            catch (Exception) { }       // nothing may leave: C called
        }

        // Out

        /// <summary>Throws what a status says that is not Lua's.</summary>
        internal static void Plain(IntPtr L, Status status)
        {
            if (status != Status.Ok)
                throw Failure(L, status);
        }

        /// <summary>Throws what a status says; Lua's own error value is on top then.</summary>
        internal void Check(IntPtr L, Status status)
        {
            if (status != Status.Ok)
                throw Error(L, status);
        }

        private static RluaException Failure(IntPtr L, Status status)
        {
            string text = status == Status.ErrMem ? "the VM's memory limit is reached"
                                                  : Text.FromC(Native.rlua_last_error(L));
            if (text == "")
                text = Text.FromC(Native.rlua_strerror((int)status));
            switch (status)
            {
                case Status.ErrMem:
                case Status.NoMemory: return new MemoryLimitException(status, text);
                case Status.Busy: return new BusyException(text);
                case Status.NoSnapshot: return new NoSnapshotException(status, text);
                case Status.Stale: return new StaleException(text);
                default: return new RluaException(status, text);
            }
        }

        private RluaException Error(IntPtr L, Status status)
        {
            if (status < Status.ErrRun || status == Status.ErrMem)
                return Failure(L, status);
            string trace = traceback;
            traceback = null;
            if (Native.lua_checkstack(L, Room) == 0)
                return StackFull();
            object value = null;
            try { value = CopiedError(L); }
            catch (Exception e) when (e is NotSupportedException || e is RluaException) { }
            string text = value as string ?? Describe(L, Native.lua_gettop(L));
            ScriptException error = Made(status, text, value, trace);
            if (depth > 1)      // in a host function, which may let it pass
            {
                Native.lua_pushvalue(L, -1);
                error.Passing = Native.rlua_ref(L);
                errorsNoted = true;
                if (error.Passing != 0)
                    passing.Add(error.Passing);
                else
                    Native.lua_settop(L, -2);
            }
            return error;
        }

        private ScriptException Made(Status status, string text, object value, string trace)
        {
            if (status == Status.ErrSyntax)
                return new ScriptSyntaxException(text, value);
            if (status == Status.ErrFile)
                return new ScriptFileException(text, value);
            // The first traceback was made furthest in, and tells of the layers further out too.
            if (noted != null && noted.Message == text)
                trace = noted.Traceback ?? trace;
            noted = null;
            if (status == Status.Budget)
                return new BudgetException(text, value, trace);
            return new ScriptException(status, text, value, trace, Cause(text));
        }

        /// <summary>The exception that a message stands for: the whole of it, or what a script put
        /// its own words around.</summary>
        private Exception Cause(string text)
        {
            for (int i = raised.Count - 1; i >= 0; i--)
                if (raised[i].Text == text)
                    return raised[i].Exception;
            for (int i = raised.Count - 1; i >= 0; i--)
                if (text.Contains(raised[i].Text))
                    return raised[i].Exception;
            return null;
        }

        /// <summary>What tostring makes of an error value that is no string.</summary>
        private static string Describe(IntPtr L, int index)
        {
            string text = null;
            if (Native.rlua_pushtostring(L, index) == Status.Ok)
                text = Text.LenientAt(L, -1);
            Native.lua_settop(L, index);
            return text ?? "(error object is a " + TypeName(L, index) + " value)";
        }

        internal static string TypeName(IntPtr L, int index)
        {
            return Text.FromC(Native.lua_typename(L, Native.lua_type(L, index)));
        }

        /// <summary>The outermost call is over: nothing can match these any more.</summary>
        private void ForgetErrors()
        {
            raised.Clear();
            foreach (ulong reference in passing)
                Native.rlua_unref(main, reference);
            passing.Clear();
            noted = null;
            errorsNoted = false;
        }

        /// <summary>The message handler of each call: keeps the traceback beside the error value,
        /// which stays as it is.</summary>
        [MonoPInvokeCallback(typeof(HostEntry))]
        private static int NoteTraceback(IntPtr L, IntPtr ud)
        {
            try
            {
                Lua lua = Of(L);
                if (lua != null && Native.lua_checkstack(L, Room) != 0
                    && Native.rlua_traceback(L, L, null, 1) == Status.Ok)
                    lua.traceback = Text.LenientAt(L, -1);
            }
            catch (Exception) { }       // the error itself is worth more than where it was
            Native.lua_settop(L, 1);
            return 1;
        }

        // In

        /// <summary>Makes an exception the error value, on top of the stack of a host function.
        /// </summary>
        private int Raise(IntPtr L, Exception e)
        {
            try
            {
                errorsNoted = true;
                Native.lua_settop(L, 0);
                var script = e as ScriptException;
                if (script != null && script.Passing != 0 && passing.Contains(script.Passing)
                    && Native.rlua_getref(L, script.Passing) == Status.Ok)
                    noted = script;
                else if (script != null)    // of another VM, or of an earlier call
                    Plain(L, Text.Push(L, Text.Bytes(script.Message), 0, -1));
                else
                    PushMessage(L, e);
                Remember(L, script != null && e.InnerException != null ? e.InnerException : e);
            }
            catch (Exception) { }       // then it is the memory error, or an empty stack
            return Native.Raise;
        }

        private static void PushMessage(IntPtr L, Exception e)
        {
            var wrong = e as ScriptArgumentException;
            string text = wrong != null ? wrong.Text : e.GetType().Name + ": " + e.Message;
            fixed (byte* bytes = Text.ForC(text))
            {
                if (wrong != null)
                    Native.rlua_argerror(L, wrong.Argument, bytes);
                else
                    Native.rlua_error(L, bytes);
            }
        }

        private void Remember(IntPtr L, Exception e)
        {
            if (Native.lua_gettop(L) == 0 || Native.lua_type(L, -1) != Native.String)
                return;
            if (raised.Count >= MostRaised)
                raised.RemoveAt(0);
            string text = Text.LenientAt(L, -1);
            if (text != "")
                raised.Add(new Raised { Text = text, Exception = e });
        }
    }
}
