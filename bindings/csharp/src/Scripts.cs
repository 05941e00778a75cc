// Scripts.cs: running scripts: chunks, calls, names and paths, coroutines.

using System;
using System.Collections.Generic;
using System.Linq;

namespace Rlua
{
    public sealed unsafe partial class Lua
    {
        // Chunks

        /// <summary>Runs a chunk of source and returns its results.</summary>
        /// <param name="code">Source text.</param>
        /// <param name="name">The chunk's name in messages, with '=' or '@' before it.</param>
        /// <param name="environment">In place of the globals: NewEnvironment().</param>
        /// <exception cref="ScriptSyntaxException">It does not compile.</exception>
        /// <exception cref="ScriptException">It raised an error.</exception>
        public object[] Execute(string code, string name = "=execute", Table environment = null)
        {
            using (var frame = new Frame(this))
            {
                int handler = PushHandler(frame);
                LoadChunk(frame.L, Text.Bytes(code), name, false, environment);
                return CallPushed(frame.L, handler, None);
            }
        }

        /// <summary>The value of an expression.</summary>
        public T Eval<T>(string expression, Table environment = null)
        {
            using (var frame = new Frame(this))
            {
                int handler = PushHandler(frame);
                byte[] code = Text.Bytes("return " + Required(expression, "expression"));
                LoadChunk(frame.L, code, "=eval", false, environment);
                return EndCall<T>(frame, 0, handler);
            }
        }

        /// <summary>Compiles a chunk, as a function.</summary>
        public Function Load(string code, string name = "=load", Table environment = null)
        {
            return Load(Text.Bytes(code), name, environment);
        }

        /// <summary>Compiles a chunk of bytes.</summary>
        /// <param name="binary">Whether it may be a precompiled one, which can crash the process
        /// if somebody tampered with it.</param>
        public Function Load(byte[] chunk, string name, Table environment = null,
                             bool binary = false)
        {
            using (var frame = new Frame(this))
            {
                LoadChunk(frame.L, chunk, name, binary, environment);
                return new Function(this, frame.L, -1);
            }
        }

        /// <summary>Compiles a file of source, as a function.</summary>
        /// <exception cref="ScriptFileException">It cannot be read.</exception>
        public Function LoadFile(string path, Table environment = null)
        {
            using (var frame = new Frame(this))
            {
                fixed (byte* file = Text.Terminated(path), mode = TextMode)
                    Check(frame.L, Native.rlua_loadfile(frame.L, file, mode));
                SetEnvironment(frame.L, environment);
                return new Function(this, frame.L, -1);
            }
        }

        private static readonly byte[] TextMode = { (byte)'t', 0 };

        private void LoadChunk(IntPtr L, byte[] chunk, string name, bool binary, Table environment)
        {
            Required(chunk, "chunk");
            byte nothing = 0;
            fixed (byte* code = chunk, label = Text.Terminated(name), mode = TextMode)
                Check(L, Native.rlua_loadbuffer(L, code == null ? &nothing : code,
                                                (UIntPtr)(uint)chunk.Length, label,
                                                binary ? null : mode));
            SetEnvironment(L, environment);
        }

        private void SetEnvironment(IntPtr L, Table environment)
        {
            if (environment == null)
                return;
            Push(L, environment);
            Native.lua_setupvalue(L, -2, 1);    // takes it: a chunk has that one upvalue
        }

        // Libraries

        /// <summary>Opens standard libraries in the globals.</summary>
        public void OpenLibs(Libs libs)
        {
            using (var frame = new Frame(this))
                Check(frame.L, Native.rlua_openlibs(frame.L, (uint)libs));
        }

        /// <summary>A table of globals of its own, with libraries that it may change; for one of
        /// several mods. docs/SANDBOX.md tells how.</summary>
        public Table NewEnvironment(Libs libs = Libs.Sandbox)
        {
            using (var frame = new Frame(this))
            {
                Check(frame.L, Native.rlua_newenv(frame.L, (uint)libs));
                return new Table(this, frame.L, -1);
            }
        }

        // Names: "game.player.hp" is the field hp of the table player in the global game.

        /// <summary>A global, or what is at a path through tables. An absent one is null, and null
        /// removes it. Setting makes the tables on the way that are not there.</summary>
        public object this[string path]
        {
            get { return Get<object>(path); }
            set { Set(path, value); }
        }

        /// <summary>A global, or what is at a path, as a T: a number, a string, a Table, a Func.
        /// Nil is the null of a type that has one.</summary>
        /// <exception cref="InvalidCastException">It is something else.</exception>
        public T Get<T>(string path)
        {
            using (var frame = new Frame(this))
            {
                PushPath(frame.L, path);
                return Converter<T>.Instance.Read(this, frame.L, -1, path);
            }
        }

        /// <summary>Copies the bytes of the string at a path into an array that the host has
        /// already.</summary>
        /// <returns>Its length in bytes; what did not fit was not copied.</returns>
        public int CopyBytes(string path, byte[] target, int offset = 0)
        {
            Required(target, "target");
            if (offset < 0 || offset > target.Length)
                throw new ArgumentOutOfRangeException("offset");
            using (var frame = new Frame(this))
            {
                PushPath(frame.L, path);
                if (Native.lua_type(frame.L, -1) != Native.String)
                    throw new InvalidCastException(path + ": string expected, got "
                                                   + TypeName(frame.L, -1));
                return Text.CopyAt(frame.L, -1, target, offset);
            }
        }

        /// <summary>Sets a global, or what is at a path. A delegate becomes a function that lives
        /// as long as the Lua.</summary>
        public void Set<T>(string path, T value)
        {
            Delegate function = Converter<T>.Instance.AsDelegate(value);
            if (function != null)
            {
                SetHost(path, Shapes.Make(function), false);
                return;
            }
            using (var frame = new Frame(this))
            {
                byte[][] names = Names.Path(path);
                PushParent(frame.L, names);
                PushOne(frame.L, value);
                SetLast(frame.L, names);
            }
        }

        /// <summary>What SetFunction does: the path is the function's name for good.</summary>
        private void SetHost(string path, HostFunction function)
        {
            SetHost(path, function, true);
        }

        private void SetHost(string path, HostFunction function, bool forGood)
        {
            using (var frame = new Frame(this))
            {
                byte[][] names = Names.Path(path);
                PushParent(frame.L, names);
                if (forGood)
                    Check(frame.L, PushHost(frame.L, Named(path, function), path));
                else
                    PushNew(frame.L, function, path);
                SetLast(frame.L, names);
            }
        }

        internal static T Required<T>(T argument, string name) where T : class
        {
            if (argument == null)
                throw new ArgumentNullException(name);
            return argument;
        }

        /// <summary>Calls the function at a path; returns all results.</summary>
        /// <exception cref="ScriptException">It raised an error.</exception>
        public object[] Call(string path, params object[] arguments)
        {
            using (var frame = new Frame(this))
            {
                int handler = PushHandler(frame);
                PushCallee(frame.L, path);
                return CallPushed(frame.L, handler, arguments ?? new object[] { null });
            }
        }

        /// <summary>Calls the function at a path; returns the first result as a T, or several as a
        /// tuple. For one that is called often, Get a Func of it once.</summary>
        public T Call<T>(string path, params object[] arguments)
        {
            using (var frame = new Frame(this))
            {
                int handler = PushHandler(frame);
                PushCallee(frame.L, path);
                arguments = arguments ?? new object[] { null };
                PushAll(frame.L, arguments);
                return EndCall<T>(frame, arguments.Length, handler);
            }
        }

        private void PushPath(IntPtr L, string path)
        {
            byte[][] names = Names.Path(path);
            fixed (byte* name = names[0])
                Check(L, Native.rlua_getglobal(L, name));
            for (int i = 1; i < names.Length; i++)
            {
                PushField(L, names, i);
                Native.lua_rotate(L, -2, 1);
                Native.lua_settop(L, -2);
            }
        }

        private void PushCallee(IntPtr L, string path)
        {
            PushPath(L, path);
            if (Native.lua_type(L, -1) == Native.Nil)
                throw Nameless(path + " is nil");
        }

        /// <summary>Pushes the field of what is on top that has the i-th name of a path.</summary>
        private void PushField(IntPtr L, byte[][] names, int i)
        {
            int owner = Native.lua_type(L, -1);
            fixed (byte* name = names[i])
                CheckField(L, Native.rlua_getfield(L, -1, name), names, i, owner);
        }

        /// <summary>What Lua says of a value without fields does not tell which.</summary>
        private void CheckField(IntPtr L, Status status, byte[][] names, int i, int owner)
        {
            if (status == Status.ErrRun && owner != Native.Table && owner != Native.UserData)
                throw Nameless(Way(names, names.Length) + ": " + Way(names, i) + " is a "
                               + Text.FromC(Native.lua_typename(L, owner)) + " value");
            Check(L, status);
        }

        private static string Way(byte[][] names, int count)
        {
            return string.Join(".", names.Take(count).Select(
                name => System.Text.Encoding.UTF8.GetString(name, 0, name.Length - 1)));
        }

        private static ScriptException Nameless(string text)
        {
            return new ScriptException(Status.ErrRun, text, text, null, null);
        }

        /// <summary>Pushes what has the last name of a path; nothing where that is a global.
        /// </summary>
        private void PushParent(IntPtr L, byte[][] names)
        {
            for (int i = 0; i + 1 < names.Length; i++)
            {
                fixed (byte* name = names[i])
                {
                    if (i == 0)
                        Check(L, Native.rlua_getglobal(L, name));
                    else
                        PushField(L, names, i);
                    if (Native.lua_type(L, -1) != Native.Nil)
                        continue;
                    Native.lua_settop(L, -2);
                    Check(L, Native.rlua_createtable(L, 0, 0));
                    Native.lua_pushvalue(L, -1);
                    Check(L, i == 0 ? Native.rlua_setglobal(L, name)
                                    : Native.rlua_setfield(L, -3, name));
                }
            }
        }

        private void SetLast(IntPtr L, byte[][] names)
        {
            int last = names.Length - 1;
            fixed (byte* name = names[last])
                if (last == 0)
                    Check(L, Native.rlua_setglobal(L, name));
                else
                    CheckField(L, Native.rlua_setfield(L, -2, name), names, last,
                               Native.lua_type(L, -2));
        }

        // Values

        /// <summary>The table of globals.</summary>
        public Table Globals { get { return Get<Table>("_G"); } }

        /// <summary>A new table, empty.</summary>
        public Table NewTable()
        {
            using (var frame = new Frame(this))
            {
                Check(frame.L, Native.rlua_createtable(frame.L, 0, 0));
                return new Table(this, frame.L, -1);
            }
        }

        /// <summary>A function of Lua that calls a delegate. To be given to Lua more than once as
        /// one value: a bare delegate is a new function each time. It lives as long as it can be
        /// reached, from Lua, a snapshot, or here.</summary>
        public Function NewFunction(Delegate function)
        {
            Required(function, "function");
            using (var frame = new Frame(this))
            {
                PushAnonymous(frame.L, Shapes.Make(function));
                return new Function(this, frame.L, -1);
            }
        }

        // Calls

        private int PushHandler(Frame frame)
        {
            if (depth == 1)
                return Bottom;
            PushReference(frame.L, handler);
            return frame.Top + 1;
        }

        /// <summary>Pushes the function, above a message handler, whose place it returns.</summary>
        internal int BeginCall(Frame frame, Function function)
        {
            int handlerAt = PushHandler(frame);
            function.Push(frame.L);
            return handlerAt;
        }

        internal void PushAll(IntPtr L, object[] values)
        {
            if (values.Length > 8)
                Reserve(L, values.Length + Room);
            foreach (object value in values)
                Push(L, value);
        }

        internal object[] CallPushed(IntPtr L, int handlerAt, object[] arguments)
        {
            PushAll(L, arguments);
            Check(L, Native.rlua_call(L, arguments.Length, Native.MultipleResults, handlerAt));
            return ReadAll(L, handlerAt);
        }

        internal T EndCall<T>(Frame frame, int arguments, int handlerAt)
        {
            return EndCall(frame, arguments, handlerAt, Converter<T>.Instance);
        }

        internal T EndCall<T>(Frame frame, int arguments, int handlerAt, Converter<T> converter)
        {
            Status status = Native.rlua_call(frame.L, arguments, converter.Count, handlerAt);
            if (status != Status.Ok)
                throw Error(frame.L, status);
            return converter.Read(this, frame.L, handlerAt + 1, "the result");
        }

        // Coroutines

        internal IntPtr PushThread(IntPtr L)
        {
            IntPtr thread;
            Check(L, Native.rlua_newthread(L, &thread));
            return thread;
        }

        private void ResumePushed(IntPtr L, IntPtr thread, int bottom, object[] arguments,
                                  out Status status, out int results)
        {
            // At the start the function and its first arguments are there.
            int there = Native.lua_status(thread) == 0 && bottom > 0 ? bottom - 1 : 0;
            int count;
            try
            {
                if (arguments.Length > 0)
                    Reserve(thread, Room);
                PushAll(thread, arguments);
            }
            catch
            {
                Native.lua_settop(thread, bottom);
                throw;
            }
            status = Native.rlua_resume(thread, L, there + arguments.Length, &count);
            results = count;
            if (status == Status.Ok || status == Status.Yield)
                return;
            if (status < Status.ErrRun)
            {
                RluaException failure = Failure(thread, status);
                Native.lua_settop(thread, bottom);
                throw failure;
            }
            if (Native.rlua_traceback(L, thread, null, 0) == Status.Ok)
                traceback = Text.LenientAt(L, -1);
            Plain(L, Native.rlua_xmove(thread, L, 1));
            throw Error(L, status);
        }

        /// <summary>Resumes; returns whether it yielded.</summary>
        internal bool Resume(IntPtr L, IntPtr thread, object[] arguments, out object[] values)
        {
            int bottom = Native.lua_gettop(thread);
            ResumePushed(L, thread, bottom, arguments, out Status status, out int results);
            try { values = ReadAll(thread, Native.lua_gettop(thread) - results); }
            finally { Native.lua_settop(thread, -results - 1); }
            return status == Status.Yield;
        }

        /// <summary>The same, with what it yielded as a T. One that is dead has ended.</summary>
        internal bool Resume<T>(IntPtr L, IntPtr thread, out T value, out object[] returned)
        {
            const int yielded = 1;
            value = default(T);
            returned = null;
            int bottom = Native.lua_gettop(thread), state = Native.lua_status(thread);
            if (state != yielded && (state != 0 || bottom == 0))
                return false;
            ResumePushed(L, thread, bottom, None, out Status status, out int results);
            if (status == Status.Yield)
            {
                Converter<T> converter = Converter<T>.Instance;
                int first = converter.Count <= results
                    ? -results : Native.lua_gettop(thread) - results + 1;
                try { value = converter.Read(this, thread, first, "what was yielded"); }
                finally { Native.lua_settop(thread, -results - 1); }
                return true;
            }
            try { returned = ReadAll(thread, Native.lua_gettop(thread) - results); }
            finally { Native.lua_settop(thread, -results - 1); }
            return false;
        }

        internal static string StateOf(IntPtr L, IntPtr thread)
        {
            const int yielded = 1;
            byte* frame = stackalloc byte[512];     // a lua_Debug
            if (thread == L)
                return "running";
            int status = Native.lua_status(thread);
            if (status == yielded)
                return "suspended";
            if (status != 0)
                return "dead";
            if (Native.lua_getstack(thread, 0, (IntPtr)frame) != 0)
                return "normal";
            return Native.lua_gettop(thread) == 0 ? "dead" : "suspended";
        }

        internal void CloseThread(IntPtr L, IntPtr thread)
        {
            const int outOfMemory = 4, budget = 7;      // of lua.h and rlua.h
            int status = Native.lua_closethread(thread, L);
            if (status == 0)
                return;
            Plain(L, Native.rlua_xmove(thread, L, 1));
            throw Error(L, status == outOfMemory ? Status.ErrMem
                           : status == budget ? Status.Budget : Status.ErrRun);
        }
    }

    /// <summary>Names as C has them, kept: the same ones come again and again.</summary>
    internal static class Names
    {
        private const int Most = 1024;

        [ThreadStatic] private static Dictionary<string, byte[]> names;
        [ThreadStatic] private static Dictionary<string, byte[][]> paths;

        internal static byte[] Of(string name)
        {
            if (names == null || names.Count >= Most)
                names = new Dictionary<string, byte[]>();
            if (!names.TryGetValue(name, out byte[] text))
                names[name] = text = Text.Terminated(name);
            return text;
        }

        internal static byte[][] Path(string path)
        {
            if (path == null)
                throw new ArgumentNullException("path");
            if (paths == null || paths.Count >= Most)
                paths = new Dictionary<string, byte[][]>();
            if (!paths.TryGetValue(path, out byte[][] parts))
                paths[path] = parts = Array.ConvertAll(path.Split('.'), Text.Terminated);
            return parts;
        }
    }
}
