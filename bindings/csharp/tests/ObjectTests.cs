// ObjectTests.cs: objects of the host go with images and clones, by the functions of their type.
//
// Each object is counted: how often it is made, and that it is released once. Functions fail at
// each object in turn; images are damaged, come to another process, or to one that lacks the type.

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using Rlua;
using static Expect;

internal static class ObjectTests
{
    private static readonly Config Proved = new Config {
        MemorySize = Mib, MaxSnapshots = 4, Trust = Trust.Proved };

    private sealed class Texture
    {
        internal readonly string Path;
        internal int Released;

        internal Texture(string path) { Path = path; }
    }

    /// <summary>A type whose objects are counted, and whose functions fail where they are told to.
    /// </summary>
    private sealed class Loader
    {
        internal readonly List<Texture> Made = new List<Texture>();
        internal readonly Exception Mistake = new KeyNotFoundException("no");
        internal readonly ResourceType<Texture> Type;
        internal int Saves, Loads, FailAt;

        internal Loader(string name = "texture")
        {
            Type = new ResourceType<Texture>(name, t => t.Released++, Save, Load)
                .Method("path", t => t.Path)
                .Method("same", (Texture t, Texture other) => ReferenceEquals(t, other))
                .Method("__tostring", t => "<" + t.Path + ">");
        }

        internal Texture New(string path)
        {
            Made.Add(new Texture(path));
            return Made.Last();
        }

        internal void Give(Lua lua, string name, string path) { lua[name] = Type.Wrap(New(path)); }

        private byte[] Save(Texture texture)
        {
            if (++Saves == FailAt)
                throw Mistake;
            return Encoding.UTF8.GetBytes(texture.Path);
        }

        private Texture Load(byte[] data)
        {
            if (++Loads == FailAt)
                throw Mistake;
            return New(Encoding.UTF8.GetString(data));
        }

        internal int Living()
        {
            True(Made.All(each => each.Released < 2), "one was released twice");
            return Made.Count(each => each.Released == 0);
        }

        internal Lua Open() { return new Lua(Proved); }

        internal Lua From(byte[] image) { return Lua.Load(image, Proved, types: new[] { Type }); }
    }

    public static void ObjectsGoWithAnImage()
    {
        var loader = new Loader();
        using (Lua lua = loader.Open())
        {
            loader.Give(lua, "a", "wall");
            loader.Give(lua, "b", "");
            loader.Give(lua, "c", "sky");
            lua.Execute("t = {a, b, a, method = a.path} c = nil");
            lua.CollectGarbage();
            byte[] image = lua.Save();
            Equal((long)image.Length, lua.SaveBound());
            Equal("4 2", loader.Saves + " " + loader.Living());
            using (Lua other = loader.From(image))
            {
                Equal("2 4", loader.Loads + " " + loader.Living());
                Equal(lua.Checksum(), other.Checksum());
                foreach (Lua each in new[] { lua, other })
                    Equal("wall  <wall> true true true", each.Eval<string>(
                        "table.concat({a:path(), b:path(), tostring(a), tostring(t[3] == a),"
                        + " tostring(t.method == a.path), tostring(a:same(t[1]))}, ' ')"));
                Equal(lua.Checksum(), other.Checksum());
                True(!ReferenceEquals(lua.Get<Texture>("a"), other.Get<Texture>("a")));
                loader.Give(other, "d", "new");
                Equal("new", other.Eval<string>("d:path()"));
                Equal(0, Lua.Diff(image, image, types: new[] { loader.Type }).Count);
                Equal(Status.Unsavable,
                      Throws<RluaException>(() => Lua.Diff(image, image)).Status);
                lua.Dispose();
                Equal(3, loader.Living());
                other.Check();
            }
        }
        Equal(0, loader.Living());
    }

    public static void SnapshotsAndRollbacksAreAsForObjectsThatWereMade()
    {
        var loader = new Loader();
        using (Lua lua = loader.Open())
        {
            loader.Give(lua, "a", "wall");
            lua.Snap(7);
            using (Resource handle = lua.Get<Resource>("a"))
                handle.Close();
            var image = new MemoryStream();
            lua.SaveSnapshot(7, image);
            using (Lua later = loader.From(lua.Save()))
            using (Lua other = loader.From(image.ToArray()))
            {
                True(later.Get<Resource>("a").IsClosed);
                lua.Dispose();
                Equal(1, loader.Living());
                other.Snap();
                other.Execute("a = nil");
                other.CollectGarbage();
                loader.Give(other, "b", "newer");
                Equal(2, loader.Living());
                other.Rollback();
                Equal(1, loader.Living());
                Equal("wall", other.Eval<string>("a:path()"));
                other.Execute("a = nil");
                other.History.Limit = 0;
                other.CollectGarbage();
                Equal(0, loader.Living());
            }
        }
    }

    public static void CloneHasObjectsOfItsOwn()
    {
        var loader = new Loader();
        var calls = new List<string>();
        using (Lua lua = loader.Open())
        {
            lua.SetFunction("note", (string path) => calls.Add(path));
            lua.NamePointer("game.p", (IntPtr)0x7654321);
            lua["p"] = (IntPtr)0x7654321;
            loader.Give(lua, "a", "wall");
            lua.Snap();
            using (Lua clone = lua.Clone())
            using (Lua another = clone.Clone())
            {
                Equal(3, loader.Living());
                Equal(lua.Checksum(), clone.Checksum());
                Equal("0 4", clone.History.Count + " " + clone.History.Limit);
                another.Execute("note(a:path()) a = nil");
                another.CollectGarbage();
                Equal("wall 2", calls.Single() + " " + loader.Living());
                Equal("wall", clone.Eval<string>("a:path()"));
                Equal((IntPtr)0x7654321, another["p"]);
                loader.Give(clone, "b", "sky");
                Apart(() =>
                {
                    clone.MoveToThisThread();
                    clone.Execute("note(b:path())");
                });
                clone.MoveToThisThread();
            }
            Equal(1, loader.Living());
            Equal("wall,sky", string.Join(",", calls));
            lua.SetFunction("clone", () => { lua.Clone(); });
            Equal(typeof(BusyException), Throws<ScriptException>(
                () => lua.Execute("clone()")).InnerException.GetType());
            lua.Execute("t = {}");
            using (var t = lua.Get<Table>("t"))
                t["f"] = (Func<int>)(() => 5);
            Equal(Status.Unsavable, Throws<RluaException>(() => lua.Clone()).Status);
        }
    }

    /// <summary>What the other process does.</summary>
    internal static int LoadFile(string path)
    {
        var type = new ResourceType<StringBuilder>("texture", t => Console.WriteLine("ends " + t),
                t => Encoding.UTF8.GetBytes(t.ToString()),
                data => new StringBuilder(Encoding.UTF8.GetString(data)))
            .Method("path", t => t.ToString())
            .Method("same", t => true).Method("__tostring", t => "");
        Action<string> note = text => Console.WriteLine("note " + text);
        using (Lua lua = Lua.Load(File.ReadAllBytes(path), Proved,
                                  new Dictionary<string, Delegate> { { "note", note } },
                                  types: new[] { type }))
            lua.Execute("note(a:path())");
        return 0;
    }

    public static void AnotherProcessLoadsIt()
    {
        var loader = new Loader();
        string file = Path.GetTempFileName();
        using (Lua lua = loader.Open())
        {
            lua.SetFunction("note", (string text) => { });
            loader.Give(lua, "a", "wall");
            File.WriteAllBytes(file, lua.Save());
        }
        var start = new ProcessStartInfo(
            Process.GetCurrentProcess().MainModule.FileName,
            "\"" + typeof(ObjectTests).Assembly.Location + "\" load \"" + file + "\"")
            { UseShellExecute = false, RedirectStandardOutput = true };
        using (Process other = Process.Start(start))
        {
            string printed = other.StandardOutput.ReadToEnd();
            other.WaitForExit();
            Equal("note wall\nends wall\n0", printed.Replace("\r", "") + other.ExitCode);
        }
        File.Delete(file);
    }

    public static void FunctionThatThrowsFailsTheCallAndLeavesNothing()
    {
        var loader = new Loader();
        using (Lua lua = loader.Open())
        {
            foreach (string name in new[] { "a", "b", "c" })
                loader.Give(lua, name, name);
            byte[] image = lua.Save();
            for (int at = 1; at <= 3; at++)
            {
                loader.FailAt = at;
                foreach (Action act in new Action[] { () => lua.Save(), () => lua.SaveBound(),
                                                      () => lua.Clone() })
                {
                    loader.Saves = loader.Loads = 0;
                    Failed(loader, "save", act);
                }
                loader.Loads = 0;
                Failed(loader, "load", () => loader.From(image));
                loader.Loads = 0;
                loader.Saves = -100;
                Failed(loader, "load", () => lua.Clone());
                Equal(3, loader.Living());
            }
            loader.FailAt = 0;
            Equal("a", lua.Eval<string>("a:path()"));
            lua.Check();
            lua.Save();
        }
        Equal(0, loader.Living());
    }

    private static void Failed(Loader loader, string what, Action act)
    {
        var error = Throws<RluaException>(act);
        Equal(Status.Stream, error.Status);
        Contains("texture", error.Message);
        Contains(what, error.Message);
        True(ReferenceEquals(loader.Mistake, error.InnerException));
    }

    public static void WhatFunctionsReturnIsLookedAt()
    {
        foreach (bool saves in new[] { false, true })
        {
            var type = new ResourceType<Version>("odd", save: v => saves ? new byte[0] : null,
                                                 load: data => null);
            using (var lua = new Lua(Proved))
            {
                lua["a"] = type.Wrap(new Version(1, 0));
                var error = Throws<RluaException>(
                    () => Lua.Load(lua.Save(), Proved, types: new[] { type }));
                Contains("of odd returned null", error.InnerException.Message);
                Contains(saves ? "load" : "save", error.InnerException.Message);
            }
        }
        Throws<ArgumentException>(() => new ResourceType<Version>("x", save: v => null));
        Throws<ArgumentException>(() => new ResourceType<Version>("x", load: data => null));
        Throws<ArgumentNullException>(() => Lua.Load(new byte[0], types: new ResourceType[1]));
    }

    public static void TypeThatIsMissingIsNamed()
    {
        var loader = new Loader();
        var plain = new ResourceType<Version>("texture").Method("path", v => "")
            .Method("same", v => "").Method("__tostring", v => "");
        using (Lua lua = loader.Open())
        {
            loader.Give(lua, "a", "wall");
            byte[] image = lua.Save();
            foreach (var types in new[] { new ResourceType[0], new[] { plain },
                                          new ResourceType[] { new Loader("other").Type } })
            {
                var error = Throws<RluaException>(() => Lua.Load(image, Proved, types: types));
                Equal(Status.Unsavable, error.Status);
                Contains("texture", error.Message);
            }
            Equal("0 1", loader.Loads + " " + loader.Living());
        }
        using (Lua lua = loader.Open())
        {
            lua["world.a"] = plain.Wrap(new Version(1, 0));
            var error = Throws<RluaException>(() => lua.Save());
            Equal(Status.Unsavable, error.Status);
            Contains("_G.world.a", error.Message);
            lua.Get<Resource>("world.a").Close();
            using (Lua other = Lua.Load(lua.Save(), Proved, types: new[] { plain }))
                True(other.Get<Resource>("world.a").IsClosed);
        }
    }

    public static void DeltaBringsWhatIsNewAndEndsWhatIsGone()
    {
        var loader = new Loader();
        using (Lua lua = loader.Open())
        {
            MemoryStream image = new MemoryStream(), delta = new MemoryStream();
            loader.Give(lua, "a", "wall");
            loader.Give(lua, "b", "sky");
            lua.Snap(0);
            lua.SaveSnapshot(0, image);
            lua.Execute("a = nil");
            lua.CollectGarbage();
            loader.Give(lua, "c", "sea");
            lua.Snap(1);
            lua.SaveDelta(0, 1, delta);
            using (Lua late = loader.From(image.ToArray()))
            {
                loader.FailAt = 3;
                delta.Position = 0;
                True(ReferenceEquals(loader.Mistake, Throws<RluaException>(
                    () => late.ApplyDelta(delta)).InnerException));
                Equal(5, loader.Living());
                delta.Position = 0;
                late.ApplyDelta(delta);
                Equal(lua.Checksum(), late.Checksum());
                Equal(5, loader.Living());
                Equal("skysea", late.Eval<string>("a == nil and b:path() .. c:path()"));
            }
            Equal(3, loader.Living());
        }
    }

    public static void DamagedImagesMakeNothing()
    {
        var loader = new Loader();
        using (Lua lua = loader.Open())
        {
            loader.Give(lua, "a", "wall");
            byte[] image = lua.Save();
            for (int at = 0; at < image.Length; at += at > image.Length - 80 ? 1 : 997)
            {
                byte[] damaged = (byte[])image.Clone();
                damaged[at] ^= 0x55;
                Throws<RluaException>(() => loader.From(damaged));
            }
            Equal("0 1", loader.Loads + " " + loader.Living());
        }
    }

    public static void NameIsOfOneType()
    {
        Loader loader = new Loader(), other = new Loader();
        using (Lua lua = loader.Open())
        {
            loader.Give(lua, "a", "wall");
            byte[] image = lua.Save();
            foreach (Action act in new Action[] {
                () => lua.NewResource(other.Type, other.New("x")),
                () => lua["x"] = new ResourceType<Version>("texture").Wrap(new Version(1, 0)),
                () => lua.NewResource(new Loader(new string('n', 256)).Type, other.New("y")),
                () => lua.NewResource(new Loader("").Type, other.New("z")),
                () => lua.SetFunction("texture.path", () => 1),
                () => Lua.Load(image, Proved, types: new[] { loader.Type, other.Type }) })
                Equal(Status.BadArg, Throws<RluaException>(act).Status);
            Equal("wall", lua.Eval<string>("a:path()"));
            Equal(3, other.Living());
            using (Lua copy = Lua.Load(image, Proved, types: new[] { loader.Type, loader.Type }))
            {
                copy.SetFunction("other.path", () => 1);
                Equal(Status.BadArg, Throws<RluaException>(
                    () => copy.NewResource(new Loader("other").Type, other.New("v"))).Status);
                copy.Check();
            }
            lua.Check();
        }
        Equal("0 4", loader.Living() + " " + other.Living());
    }

    public static void NobodyEntersWhileAnObjectIsSavedOrLoaded()
    {
        int busy = 0, elsewhere = 0, released = 0;
        Lua lua = null;
        ResourceType<Version> type = null;
        type = new ResourceType<Version>("nosy", v => released++, v =>
        {
            foreach (Action act in new Action[] {
                () => lua.Snap(), () => lua.Save(), () => lua.Execute("x = 1"), () => lua.Dispose(),
                () => lua.MoveToThisThread(), () => lua.NewResource(type, v), () => lua.Clone(),
                () => lua["a"].ToString(), () => lua.CollectGarbage() })
            {
                Throws<BusyException>(act);
                busy++;
            }
            Apart(() =>
            {
                try { lua.Execute("x = 1"); }
                catch (Exception) { elsewhere++; }
            });
            return new byte[0];
        }, data =>
        {
            using (var own = new Lua(Proved))       // another one may be used
            {
                own["a"] = type.Wrap(new Version(2, 0));
                Equal(2L, own.Eval<long>("1 + 1"));
            }
            return new Version(3, 0);
        });
        using (lua = new Lua(Proved))
        {
            lua["a"] = type.Wrap(new Version(1, 0));
            byte[] image = lua.Save();
            Equal("9 1", busy + " " + elsewhere);
            Equal(null, lua["x"]);
            lua.Check();
            using (Lua other = Lua.Load(image, Proved, types: new[] { type }))
                Equal(3, other.Get<Version>("a").Major);
            Equal(2, released);
        }
        Equal(3, released);
    }

    public static void ThreadsLoadAtTheSameTime()
    {
        var loader = new Loader();
        byte[] image;
        using (Lua lua = loader.Open())
        {
            lua["a"] = Simple.Wrap(new Version(1, 2));
            image = lua.Save();
        }
        int right = 0;
        var threads = Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            for (int round = 0; round < 10; round++)
                using (Lua lua = Lua.Load(image, Proved, types: new[] { Simple }))
                using (Lua clone = lua.Clone())
                    if (clone.Eval<int>("a:minor()") == 2)
                        Interlocked.Increment(ref right);
        })).ToList();
        threads.ForEach(each => each.Start());
        threads.ForEach(each => each.Join());
        Equal(40, right);
    }

    private static readonly ResourceType<Version> Simple =
        new ResourceType<Version>("version", null, v => Encoding.UTF8.GetBytes(v.ToString()),
                                  data => new Version(Encoding.UTF8.GetString(data)))
            .Method("minor", v => v.Minor);

    public static void WhatAReleaseThrowsWhereALoadFailsIsReported()
    {
        var seen = new List<string>();
        Action<Exception> listener = e => seen.Add(e.Message);
        int loads = 0;
        var type = new ResourceType<Version>("r", v => { throw new Exception("no " + v); },
            v => new byte[1], data => ++loads == 1 ? new Version(1, 0)
                                                   : throw new Exception("enough"));
        Lua.Unhandled += listener;
        try
        {
            using (var lua = new Lua(Proved))
            {
                lua["a"] = type.Wrap(new Version(2, 0));
                lua["b"] = type.Wrap(new Version(3, 0));
                byte[] image = lua.Save();
                Equal("enough", Throws<RluaException>(() => Lua.Load(
                    image, Proved, types: new[] { type })).InnerException.Message);
                Equal("no 1.0", string.Join(",", seen));
            }
        }
        finally { Lua.Unhandled -= listener; }
        Equal(3, seen.Count);
    }

    public static void HandleThatFindsNoMemoryLeavesItsObjectToTheHost()
    {
        var loader = new Loader(new string('m', 50));
        using (var lua = new Lua(memory: Mib, snapshots: 1))
        {
            lua.Execute("filler = {} local i = 0 while pcall(function() i = i + 1"
                        + " filler[i] = ('x'):rep(100) .. i end) do end");
            var handles = new List<Resource>();
            Throws<RluaException>(() =>
            {
                while (true)
                    handles.Add(lua.NewResource(loader.Type, loader.New("mine")));
            });
            lua.Execute("filler = nil");
            lua.CollectGarbage();
        }
        Equal("1 0", loader.Living() + " " + loader.Made.Last().Released);
    }

    public static void SyncTestMakesNoObject()
    {
        var loader = new Loader();
        using (Lua lua = loader.Open())
        {
            loader.Give(lua, "a", "wall");
            lua.Execute("n = 0 function step(k) n = n + k end");
            var step = lua.Get<Action<int>>("step");
            lua.SyncTest((frame, again) => step((int)frame), 2, 20);
            int count = 0;
            var error = Throws<DesyncException>(
                () => lua.SyncTest((frame, again) => step(++count), 2, 20));
            Equal("_G.n", error.Difference.Path);
            Equal("0 0 1", loader.Saves + " " + loader.Loads + " " + loader.Living());
        }
    }

    // A host in C: its threads lead to no Lua.

    [StructLayout(LayoutKind.Sequential)]
    private struct CResource
    {
        internal UIntPtr Size;
        internal IntPtr Name, Release, Ud, Methods;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct CObject
    {
        internal UIntPtr Size;
        internal IntPtr Name, Resource, Save, Load, Ud;
    }

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int CFunction(IntPtr a, IntPtr b, IntPtr c, IntPtr d, IntPtr e);

    [DllImport("librlua.so.0")]
    private static extern IntPtr rlua_new_rollback(UIntPtr memory, UIntPtr snapshots);
    [DllImport("librlua.so.0")]
    private static extern int rlua_pushresource(IntPtr L, IntPtr value, ref CResource type);
    [DllImport("librlua.so.0")]
    private static extern int rlua_setglobal(IntPtr L, string name);
    [DllImport("librlua.so.0")]
    private static extern int rlua_register_type(IntPtr L, ref CObject type);
    [DllImport("librlua.so.0")]
    private static extern int rlua_save_buffer(IntPtr L, byte[] buffer, UIntPtr size,
                                               out UIntPtr length);
    [DllImport("librlua.so.0")]
    private static extern void lua_close(IntPtr L);

    public static void ImageOfAnotherHostMakesNothingThatStays()
    {
        CFunction nothing = (a, b, c, d, e) => 0;
        IntPtr function = Marshal.GetFunctionPointerForDelegate(nothing);
        IntPtr name = Marshal.StringToHGlobalAnsi("texture");
        IntPtr place = Marshal.AllocHGlobal(Marshal.SizeOf(typeof(CResource)));
        var resource = new CResource { Size = (UIntPtr)(uint)Marshal.SizeOf(typeof(CResource)),
                                       Name = name, Release = function };
        Marshal.StructureToPtr(resource, place, false);
        var way = new CObject { Size = (UIntPtr)(uint)Marshal.SizeOf(typeof(CObject)), Name = name,
                                Resource = place, Save = function, Load = function };
        IntPtr other = rlua_new_rollback((UIntPtr)Mib, (UIntPtr)1u);
        Equal(0, rlua_register_type(other, ref way));
        for (int i = 1; i <= 2; i++)
        {
            Equal(0, rlua_pushresource(other, (IntPtr)i, ref resource));
            Equal(0, rlua_setglobal(other, "object" + i));
        }
        var buffer = new byte[Mib];
        Equal(0, rlua_save_buffer(other, buffer, (UIntPtr)buffer.Length, out UIntPtr length));
        lua_close(other);
        Marshal.FreeHGlobal(name);
        Marshal.FreeHGlobal(place);
        GC.KeepAlive(nothing);
        byte[] image = buffer.Take((int)length).ToArray();
        foreach (int at in new[] { 0, 2 })
        {
            var loader = new Loader { FailAt = at };
            var error = Throws<RluaException>(() => loader.From(image));
            Equal(at == 0 ? Status.BadImage : Status.Stream, error.Status);
            Equal(at == 0 ? "2 0" : "1 0", loader.Made.Count + " " + loader.Living());
        }
    }
}
