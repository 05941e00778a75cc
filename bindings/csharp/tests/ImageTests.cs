// ImageTests.cs: a Lua that was loaded does from then on what the saved one does.

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using Rlua;
using static Expect;

internal static class ImageTests
{
    private static readonly Config Own = new Config { Trust = Trust.Own, MaxSnapshots = 8 };

    private static Lua Game(Func<long, long> roll)
    {
        Lua lua = Open();
        lua.SetFunction("game.roll", roll);
        lua.Execute(@"state = {n = 0}
            function step() state.n = state.n + game.roll(state.n) return state.n end
            co = coroutine.wrap(function() while true do coroutine.yield(game.roll(10)) end end)
            co()");
        return lua;
    }

    private static Dictionary<string, Delegate> Names(Func<long, long> roll)
    {
        return new Dictionary<string, Delegate> { { "game.roll", roll } };
    }

    public static void DifferencesHaveTheirWay()
    {
        Func<long, long> roll = n => n + 1;
        using (Lua lua = Game(roll))
        using (Lua other = Lua.Load(lua.Save(), Own, Names(roll)))
        {
            Equal(0, lua.Diff(other).Count);
            other.Execute("state.n = 7; odd = {}");
            IList<Difference> found = lua.Diff(other);
            Equal("_G.odd: nil -> table | _G.state.n: 0 -> 7",
                  string.Join(" | ", found.Select(each => each.ToString()).OrderBy(each => each)));
            Equal(DiffKind.Value, found.Single(each => each.Path == "_G.state.n").Kind);
            Equal(1, lua.Diff(other, 1).Count);
            lua.SetFunction("peek", () => { lua.Diff(other); });
            var error = Throws<ScriptException>(() => lua.Execute("peek()"));
            True(error.InnerException is BusyException);
            Throws<ArgumentException>(() => lua.Diff(lua));
            Throws<ArgumentOutOfRangeException>(() => lua.Diff(other, -1));
            other.Dispose();
            Throws<ObjectDisposedException>(() => lua.Diff(other));
            lua.Snap();
        }
    }

    public static void LoadedLuaGoesOnWhereTheSavedOneWas()
    {
        Func<long, long> roll = n => n + 1;
        byte[] image;
        using (Lua lua = Game(roll))
        {
            Equal(1L, lua.Call<long>("step"));
            lua.Snap();
            image = lua.Save();
            Equal(3L, lua.Call<long>("step"));
        }
        using (Lua lua = Lua.Load(image, Own, Names(roll)))
        {
            Equal(0, lua.History.Count);
            Equal(3L, lua.Call<long>("step"));
            Equal(11L, lua.Call<long>("co"));       // a callback on a thread that was loaded
            lua.Snap();
            Equal(7L, lua.Call<long>("step"));
            lua.Rollback();
            Equal(7L, lua.Call<long>("step"));
            lua["f"] = (Func<int>)(() => 5);
            using (Table state = lua.Get<Table>("state"))
                state["g"] = (Func<int>)(() => 6);
            Equal(11, lua.Eval<int>("f() + state.g()"));
            lua.SetFunction("fail", () => { throw new InvalidOperationException("no"); });
            var error = Throws<ScriptException>(() => lua.Execute("fail()"));
            Equal("no", error.InnerException.Message);
            Contains("in function 'fail'", error.Traceback);
            lua.Check();
        }
    }

    public static void SpectatorFollowsByDeltas()
    {
        Func<long, long> roll = n => n + 1;
        using (Lua lua = Game(roll))
        {
            lua.Snap(0);
            var first = new MemoryStream();
            lua.SaveSnapshot(0, first);
            first.Position = 0;
            using (Lua spectator = Lua.Load(first, Own, Names(roll)))
            {
                spectator.Snap(0);
                for (long frame = 1; frame <= 5; frame++)
                {
                    long n = lua.Call<long>("step");
                    lua.Snap(frame);
                    var delta = new MemoryStream();
                    lua.SaveDelta(frame - 1, frame, delta);
                    delta.Position = 0;
                    spectator.ApplyDelta(delta);
                    spectator.Snap(frame);
                    Equal(n, spectator["state.n"]);
                    spectator.Rollback();
                    if (frame < 5)
                        continue;
                    delta.Position = 0;
                    Equal(Status.BadImage, Throws<RluaException>(
                        () => spectator.ApplyDelta(delta)).Status);
                    Equal(lua.Checksum(), spectator.Checksum());
                    Equal(lua.Call<long>("step"), spectator.Call<long>("step"));
                }
                Throws<NoSnapshotException>(() => lua.SaveSnapshot(77, first));
                Throws<NoSnapshotException>(() => lua.SaveDelta(0, 77, first));
                Throws<IOException>(() => spectator.ApplyDelta(new Broken()));
                Throws<ArgumentNullException>(() => spectator.ApplyDelta(null));
                spectator.Check();
            }
        }
    }

    [DllImport("librlua.so.0")]
    private static extern IntPtr rlua_new_rollback(UIntPtr memory, UIntPtr snapshots);
    [DllImport("librlua.so.0")]
    private static extern int rlua_save_buffer(IntPtr L, byte[] buffer, UIntPtr size,
                                               out UIntPtr length);
    [DllImport("librlua.so.0")]
    private static extern void lua_close(IntPtr L);

    public static void ImageOfAnotherHostIsRefused()
    {
        IntPtr other = rlua_new_rollback((UIntPtr)Mib, (UIntPtr)1u);
        var buffer = new byte[Mib];
        Equal(0, rlua_save_buffer(other, buffer, (UIntPtr)buffer.Length, out UIntPtr length));
        lua_close(other);
        byte[] image = buffer.Take((int)length).ToArray();
        var refused = Throws<RluaException>(() => Lua.Load(image, Own));
        Equal(Status.BadImage, refused.Status);
        Contains("binding", refused.Message);
        using (var lua = Open())
            Equal(2L, lua.Eval<long>("1 + 1"));
    }

    // The checksum is the same in Luas that differ in all that a script cannot see: other Luas in
    // the process, other delegates, another history of collections.
    public static void ChecksumIsTheStateAlone()
    {
        string first, second;
        using (Lua lua = Game(n => 1))
        {
            first = lua.Checksum();
            Equal(32, first.Length);
            Equal(first, lua.Checksum());
            lua.Snap();
            using (var step = lua.Get<Function>("step"))
                Equal("suspended", step.Start().State);
            lua.Rollback();
            Equal(first, lua.Checksum());
            lua.Call("step");
            True(lua.Checksum() != first);
            lua.Rollback();
            Equal(first, lua.Checksum());
        }
        var others = new List<Lua>();
        for (int i = 0; i < 5; i++)
            others.Add(Open());
        using (Lua lua = Game(n => 1))
            second = lua.Checksum();
        others.ForEach(each => each.Dispose());
        Equal(first, second);
        using (Lua lua = Game(n => 1))
        using (Lua copy = Lua.Load(lua.Save(), Own, Names(n => 1)))
        {
            Equal(first, copy.Checksum());
            lua.Call("step");
            copy.Call("step");
            Equal(lua.Checksum(), copy.Checksum());
        }
    }

    // Two peers: one rolls back all the time, and its runtime collects all the time; the other does
    // neither. What they make in a frame they dispose of in it; what they ask for between frames is
    // rolled back.
    public static void PeersThatRollBackDifferentlyAgree()
    {
        var sums = new List<string>[] { new List<string>(), new List<string>() };
        for (int peer = 0; peer < 2; peer++)
        {
            using (Lua lua = Open())
            {
                lua.ReleasesForgotten = false;
                lua.Execute(@"world, order = {}, {}
                    function frame(n, make)
                        local e = {n = n}
                        world[e] = make(n)
                        if n % 3 == 0 then world[next(world)] = nil end
                        order = {}
                        for k, v in pairs(world) do order[#order + 1] = k.n + v end
                        return e
                    end");
                lua.Snap(0);
                for (long n = 0; n < 60; n++)
                {
                    Frame(lua, n);
                    if (peer == 1 && n >= 3 && n % 2 == 0)
                    {
                        GC.Collect();
                        lua.RollbackTo(n - 3);
                        for (long again = n - 3; again <= n; again++)
                            Frame(lua, again);
                        GC.Collect();
                        GC.WaitForPendingFinalizers();
                    }
                    for (int asked = 0; asked <= peer; asked++)
                        Equal((long)lua.Get<long[]>("order").Length, lua.Eval<long>("#order"));
                    sums[peer].Add(string.Join(",", lua.Get<long[]>("order")));
                    lua.Rollback();
                    sums[peer].Add(lua.Checksum());
                }
                Equal(0L, lua.ForgottenCount);
                lua.Check();
            }
        }
        for (int i = 0; i < sums[0].Count; i++)
            Equal(i + ": " + sums[0][i], i + ": " + sums[1][i]);
    }

    private static void Frame(Lua lua, long n)
    {
        using (Function call = lua.Get<Function>("frame"))
        using (var e = (Table)call.Call(n, (Func<long, long>)(k => k * k))[0])
            e["seen"] = e.Get<long>("n") + 1;
        lua.Snap(n + 1);
    }

    public static void WhatHasNoNameIsNotSaved()
    {
        using (var lua = Open())
        {
            lua.Execute("t = {}");
            using (var t = lua.Get<Table>("t"))
                t["f"] = (Func<int>)(() => 5);
            Equal(Status.Unsavable, Throws<RluaException>(() => lua.Save()).Status);
            lua.Execute("t = nil");
            lua.CollectGarbage();       // finds it
            lua.CollectGarbage();       // frees it
            byte[] image = lua.Save();
            lua["p"] = (IntPtr)0x7654321;
            Equal(Status.Unsavable, Throws<RluaException>(() => lua.Save()).Status);
            lua.NamePointer("game.p", (IntPtr)0x7654321);
            byte[] named = lua.Save();
            Equal(Status.Unsavable, Throws<RluaException>(() => Lua.Load(named, Own)).Status);
            var pointers = new Dictionary<string, IntPtr> { { "game.p", (IntPtr)0x9999999 } };
            using (Lua copy = Lua.Load(named, Own, pointers: pointers))
                Equal((IntPtr)0x9999999, copy["p"]);
            lua.SetFunction("save", () => { lua.Save(); });
            Equal(typeof(BusyException), Throws<ScriptException>(
                () => lua.Execute("save()")).InnerException.GetType());
            Equal(typeof(BusyException), Throws<ScriptException>(() =>
            {
                lua.SetFunction("sum", () => lua.Checksum());
                lua.Execute("sum()");
            }).InnerException.GetType());
            Equal(Status.Unsavable, Throws<RluaException>(
                () => Lua.Load(lua.Save(), Own, pointers: pointers)).Status);
            True(image.Length > 0);
        }
    }

    public static void ImagesOfStrangersAreRefused()
    {
        var key = new byte[32];
        key[5] = 7;
        using (var lua = new Lua(new Config { MemorySize = Mib, ImageKey = key }))
        {
            lua["n"] = 5;
            byte[] image = lua.Save();
            using (Lua copy = Lua.Load(image, new Config { ImageKey = key }))
                Equal(5L, copy["n"]);
            key = new byte[32];
            True(Throws<RluaException>(() => Lua.Load(image, new Config { ImageKey = key })).Status
                 != Status.Ok);
            Throws<RluaException>(() => Lua.Load(image));
            Throws<ArgumentException>(() => Lua.Load(image, new Config { ImageKey = new byte[3] }));
            Throws<ArgumentException>(() => new Lua(new Config { ImageKey = new byte[33] }));
        }
        using (var lua = Open())
        {
            byte[] image = lua.Save();
            Equal(Status.Untrusted, Throws<RluaException>(() => Lua.Load(image)).Status);
            for (int i = 0; i < image.Length; i += 97)
            {
                byte[] damaged = (byte[])image.Clone();
                damaged[i] ^= 0x11;
                Equal(Status.BadImage,
                      Throws<RluaException>(() => Lua.Load(damaged, Own)).Status);
            }
            foreach (int length in new[] { 0, 1, 40, image.Length - 1 })
                Equal(Status.BadImage, Throws<RluaException>(
                    () => Lua.Load(image.Take(length).ToArray(), Own)).Status);
            Throws<ArgumentNullException>(() => Lua.Load((byte[])null));
            Throws<ArgumentNullException>(() => Lua.Load((Stream)null));
            Throws<ArgumentNullException>(() => lua.Save(null));
        }
    }

    private sealed class Broken : MemoryStream
    {
        public override void Write(byte[] buffer, int offset, int count)
        {
            throw new IOException("the disk is full");
        }
        public override int Read(byte[] buffer, int offset, int count)
        {
            throw new IOException("the disk is gone");
        }
    }

    public static void WhatAStreamThrowsComesOut()
    {
        using (var lua = Open())
        {
            Contains("full", Throws<IOException>(() => lua.Save(new Broken())).Message);
            Contains("gone", Throws<IOException>(() => Lua.Load(new Broken(), Own)).Message);
            var stream = new MemoryStream();
            lua["n"] = 1;
            lua.Save(stream);
            lua["n"] = 2;
            lua.Save(stream);
            stream.Position = 0;
            for (long n = 1; n <= 2; n++)       // one image is read, and no byte of the next
                using (Lua copy = Lua.Load(stream, Own))
                    Equal(n, copy["n"]);
            Equal(stream.Length, stream.Position);
            lua.Check();
        }
    }
}
