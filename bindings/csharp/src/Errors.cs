// Errors.cs: one class for each thing that a caller can act on.

using System;

namespace Rlua
{
    /// <summary>Any failure of the library.</summary>
    public class RluaException : Exception
    {
        /// <summary>What the library answered.</summary>
        public Status Status { get; }

        internal RluaException(Status status, string message, Exception inner = null)
            : base(message, inner)
        {
            Status = status;
        }
    }

    /// <summary>A script raised an error. InnerException is the exception of a host function that
    /// led to it.</summary>
    public class ScriptException : RluaException
    {
        /// <summary>The error value; small tables as copies; null where it has no counterpart.
        /// </summary>
        public object Value { get; }

        /// <summary>Lua's traceback, or null.</summary>
        public string Traceback { get; }

        /// <summary>Names the value itself in the VM while its outermost call is under way: a host
        /// function that lets this exception pass raises that again.</summary>
        internal ulong Passing;

        internal ScriptException(Status status, string message, object value, string traceback,
                                 Exception inner) : base(status, message, inner)
        {
            Value = value;
            Traceback = traceback;
        }

        /// <summary>The exception, and Lua's traceback.</summary>
        public override string ToString()
        {
            return Traceback == null ? base.ToString() : base.ToString() + "\n" + Traceback;
        }
    }

    /// <summary>A chunk does not compile.</summary>
    public sealed class ScriptSyntaxException : ScriptException
    {
        internal ScriptSyntaxException(string message, object value)
            : base(Status.ErrSyntax, message, value, null, null) { }
    }

    /// <summary>A file of Lua cannot be read.</summary>
    public sealed class ScriptFileException : ScriptException
    {
        internal ScriptFileException(string message, object value)
            : base(Status.ErrFile, message, value, null, null) { }
    }

    /// <summary>Scripts used up Lua.Budget; until it is set again, or rolled back, none runs.
    /// </summary>
    public sealed class BudgetException : ScriptException
    {
        internal BudgetException(string message, object value, string traceback)
            : base(Status.Budget, message, value, traceback, null) { }
    }

    /// <summary>A memory limit was reached: the VM's, or the system's. The VM stays usable.
    /// </summary>
    public sealed class MemoryLimitException : RluaException
    {
        internal MemoryLimitException(Status status, string message) : base(status, message) { }
    }

    /// <summary>The VM is in use: a call is under way in it. Nothing has changed.</summary>
    public sealed class BusyException : RluaException
    {
        internal BusyException(string message) : base(Status.Busy, message) { }
    }

    /// <summary>There is no such snapshot. Nothing has changed.</summary>
    public sealed class NoSnapshotException : RluaException
    {
        internal NoSnapshotException(Status status, string message) : base(status, message) { }
    }

    /// <summary>What a proxy or a handle names is gone: disposed, closed, or rolled back away.
    /// </summary>
    public sealed class StaleException : RluaException
    {
        internal StaleException(string message) : base(Status.Stale, message) { }
    }

    /// <summary>A Lua was used on a thread that it does not belong to. Nothing has changed.
    /// </summary>
    public sealed class WrongThreadException : InvalidOperationException
    {
        internal WrongThreadException(string message) : base(message) { }
    }

    /// <summary>What a host function throws where the script gave it a wrong argument, 1 for the
    /// first. new ScriptArgumentException(1, "number expected") in show() is to the script the
    /// error "ai.lua:3: bad argument #1 to 'show' (number expected)".</summary>
    public sealed class ScriptArgumentException : ArgumentException
    {
        /// <summary>1 for the first.</summary>
        public int Argument { get; }

        internal string Text { get; }

        /// <summary>1 for the first argument.</summary>
        public ScriptArgumentException(int argument, string message, Exception inner = null)
            : base("bad argument #" + argument + " (" + message + ")", inner)
        {
            Argument = argument;
            Text = message;
        }
    }
}
