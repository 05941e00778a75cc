// ModuleTests.cs: modules in C: their functions have names, and their userdata go with images and
// clones.
//
// A module that calls the C API counts its meters. To the VM it is one in C, whose functions are
// addresses. Functions of a type fail, answer what they must not, and try what they must not.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Threading;
using Rlua;
using static Expect;

internal static class ModuleTests
{
    private static readonly Config Proved = new Config {
        MemorySize = Mib, MaxSnapshots = 4, Trust = Trust.Proved };

    private static Lua Open(ObjectType type, IDictionary<string, IntPtr> names = null)
    {
        var lua = new Lua(Proved, types: type == null ? null : new[] { type });
        foreach (KeyValuePair<string, IntPtr> each in names ?? Meters.Names)
            lua.NameFunction(each.Key, each.Value);
        lua["meter"] = lua.OpenModule("meter", Meters.OpenPointer);
        return lua;
    }

    private static Lua From(byte[] image, params ObjectType[] types)
    {
        return Lua.Load(image, Proved, types: types, cFunctions: Meters.Names);
    }

    /// <summary>A type, and a state that has one userdata of it.</summary>
    private static Lua WithOne(Func<IntPtr, byte[]> save, Func<byte[], IntPtr> load)
    {
        Lua lua = Open(new UserdataType<IntPtr>("Meter", save, load));
        lua.Execute("m = meter.new(1)");
        return lua;
    }

    public static void UserdataGoWithAnImage()
    {
        using (Lua lua = Open(Meters.Type))
        {
            lua.Execute("m, n, closed = meter.new(1), meter.new(10), meter.new(100)"
                        + " meter.close(closed) debug.setuservalue(m, n) both = {m, n}");
            byte[] image = lua.Save();
            Equal((long)image.Length, lua.SaveBound());
            using (Lua other = From(image, Meters.Type))
            {
                Equal(4, Meters.Living());
                Equal(lua.Checksum(), other.Checksum());
                foreach (Lua each in new[] { lua, other })
                    Equal("2 11 -1 true", each.Eval<string>("table.concat({meter.read(m),"
                        + " meter.read(both[2]), meter.read(closed),"
                        + " tostring(debug.getuservalue(m) == n)}, ' ')"));
                other.Execute("m, both = nil");
                other.CollectGarbage();
                Equal(3, Meters.Living());
                True(other["n"] is Userdata);
                other.Check();
            }
        }
        Equal(0, Meters.Living());
    }

    public static void UserdataThatWereLoadedRollBackAsThoseThatWereMade()
    {
        byte[] image;
        using (Lua lua = Open(Meters.Type))
        {
            lua.Execute("m = meter.new(1)");
            image = lua.Save();
        }
        Equal(0, Meters.Living());
        using (Lua lua = From(image, Meters.Type))
        {
            lua.Snap();
            lua.Execute("m = nil");
            lua.CollectGarbage();
            Equal(1, Meters.Living());
            lua.Rollback();
            Equal(2L, lua.Eval<long>("meter.read(m)"));
        }
        Equal(0, Meters.Living());
    }

    public static void CloneHasUserdataOfItsOwn()
    {
        using (Lua lua = Open(Meters.Type))
        {
            lua.Execute("m = meter.new(1)");
            using (Lua clone = lua.Clone())
            using (Lua another = clone.Clone())
            {
                Equal(3, Meters.Living());
                another.Execute("meter.close(m)");
                Equal(2L, clone.Eval<long>("meter.read(m)"));
                Equal(5L, another.Eval<long>("meter.read(meter.new(4))"));
            }
        }
        Equal(0, Meters.Living());
    }

    public static void WhatIsMissingOfAModuleIsNamed()
    {
        byte[] image;
        using (Lua lua = Open(Meters.Type))
        {
            lua.Execute("m = meter.new(1)");
            image = lua.Save();
        }
        var other = new UserdataType<IntPtr>("Other", Meters.Save, Meters.Load);
        var resource = new ResourceType<Version>("Meter", null, v => null, data => null);
        foreach (Action act in new Action[] {
            () => From(image), () => From(image, other), () => From(image, resource),
            () => Lua.Load(image, Proved, types: new[] { Meters.Type }),
            () => Lua.Load(image, Proved, types: new[] { Meters.Type }, pointers: Meters.Names) })
        {
            var error = Throws<RluaException>(act);
            True(error.Status == Status.Unsavable && error.Message.ToLower().Contains("meter"),
                 error.Message);
        }
        using (Lua lua = Open(null))
        {
            lua.Execute("world = {m = meter.new(1)}");
            True(Throws<RluaException>(() => lua.Save()).Message.Contains("_G.world.m"));
        }
        using (Lua lua = Open(Meters.Type, new Dictionary<string, IntPtr>()))
            True(Throws<RluaException>(() => lua.Save()).Message.Contains("C function"));
        Equal(0, Meters.Living());
    }

    public static void FunctionsOfAUserdataTypeThatThrowLeaveNothing()
    {
        var mistake = new KeyNotFoundException("no");
        int calls = 0, failAt = 0;
        Action count = () =>
        {
            if (++calls == failAt)
                throw mistake;
        };
        var type = new UserdataType<IntPtr>(
            "Meter", number => { count(); return Meters.Save(number); },
            data => { count(); return Meters.Load(data); });
        using (Lua lua = Open(type))
        {
            lua.Execute("a, b, c = meter.new(1), meter.new(2), meter.new(3)");
            byte[] image = lua.Save();
            for (failAt = 1; failAt <= 3; failAt++)
                foreach (Action act in new Action[] { () => lua.Save(), () => lua.SaveBound(),
                                                      () => lua.Clone(), () => From(image, type) })
                {
                    calls = 0;
                    var error = Throws<RluaException>(act);
                    True(ReferenceEquals(mistake, error.InnerException));
                    Equal(Status.Stream, error.Status);
                    Equal(3, Meters.Living());
                }
            failAt = 0;
            Equal(2L, lua.Eval<long>("meter.read(a)"));
            lua.Check();
        }
        Equal(0, Meters.Living());
    }

    private struct Wide
    {
#pragma warning disable 649
        internal long First, Second;
#pragma warning restore 649
    }

    public static void WhatAUserdataTypeReturnsIsLookedAt()
    {
        using (Lua lua = WithOne(number => null, Meters.Load))
            True(Throws<RluaException>(() => lua.Save()).InnerException.Message
                 .Contains("save of Meter returned null"));
        using (Lua lua = WithOne(number => new byte[2 * Mib], Meters.Load))
            Equal(Status.NoMemory, Throws<MemoryLimitException>(() => lua.Save()).Status);
        var wide = new UserdataType<Wide>("Meter", w => new byte[0], data => new Wide());
        byte[] image;
        using (Lua lua = WithOne(Meters.Save, Meters.Load))
            image = lua.Save();
        using (Lua lua = Open(wide))
        {
            lua.Execute("m = meter.new(1)");
            string expected = "the block of a Meter has 8 bytes, and a Wide has 16";
            Equal(expected, Throws<RluaException>(() => lua.Save()).InnerException.Message);
            Equal(expected, Throws<RluaException>(() => From(image, wide)).InnerException.Message);
        }
        Equal(0, Meters.Living());
    }

    public static void NobodyEntersWhileAUserdataIsSavedOrLoaded()
    {
        Lua lua = null;
        Function made = null;
        int busy = 0, elsewhere = 0;
        using (lua = WithOne(number =>
        {
            foreach (Action act in new Action[] {
                () => lua.Snap(), () => lua.Save(), () => lua.Dispose(), () => lua.Clone(),
                () => lua.Execute("x = 1"), () => made.Call(1), () => made.Address.ToString(),
                () => lua.OpenModule("other", Meters.OpenPointer),
                () => lua.NameFunction("other", Meters.OpenPointer) })
            {
                Throws<BusyException>(act);
                busy++;
            }
            Apart(() =>
            {
                try { lua.Execute("x = 1"); }
                catch (Exception) { elsewhere++; }
            });
            GC.Collect();
            return Meters.Save(number);
        }, data =>
        {
            GC.Collect();
            using (Lua own = Open(Meters.Type))     // another one may be used
                own.Execute("meter.read(meter.new(1))");
            return Meters.Load(data);
        }))
        {
            made = lua.Get<Function>("meter.new");
            lua.Save();
            Equal("9 1", busy + " " + elsewhere);
            Equal(null, lua["x"]);
            lua.Check();
            using (Lua clone = lua.Clone())
                Equal(2L, clone.Eval<long>("meter.read(m)"));
        }
        Equal(0, Meters.Living());
    }

    public static void NameIsOfOneTypeOfASort()
    {
        var other = new UserdataType<IntPtr>("Meter", Meters.Save, Meters.Load);
        foreach (ObjectType[] types in new[] {
            new ObjectType[] { Meters.Type, other },
            new ObjectType[] { new UserdataType<int>("", i => null, data => 0) },
            new ObjectType[] { new UserdataType<int>(new string('n', 256), i => null,
                                                     data => 0) } })
            Equal(Status.BadArg,
                  Throws<RluaException>(() => new Lua(Proved, types: types)).Status);
        Throws<ArgumentNullException>(() => new Lua(types: new ObjectType[] { null }));
        var resource = new ResourceType<Version>("Meter", null,
            v => Encoding.UTF8.GetBytes(v.ToString()),
            data => new Version(Encoding.UTF8.GetString(data))).Method("major", v => v.Major);
        using (var lua = new Lua(Proved, types: new ObjectType[] { Meters.Type, resource,
                                                                   Meters.Type }))
        {
            foreach (KeyValuePair<string, IntPtr> each in Meters.Names)
                lua.NameFunction(each.Key, each.Value);
            lua["meter"] = lua.OpenModule("meter", Meters.OpenPointer);
            lua["r"] = resource.Wrap(new Version(3, 0));
            lua.Execute("m = meter.new(1)");
            using (Lua clone = lua.Clone())
            {
                Equal(5L, clone.Eval<long>("r:major() + meter.read(m)"));
                True(clone["r"] is Resource && clone["m"] is Userdata);
            }
        }
        Equal(0, Meters.Living());
    }

    private struct Textual
    {
#pragma warning disable 649
        internal string Text;
#pragma warning restore 649
    }

    public static void UserdataTypesAreCheckedWhereTheyAreMade()
    {
        Throws<ArgumentNullException>(() => new UserdataType<int>("x", null, data => 0));
        Throws<ArgumentNullException>(() => new UserdataType<int>("x", i => null, null));
        Throws<ArgumentException>(() => new UserdataType<int>("a\0b", i => null, data => 0));
        Throws<ArgumentNullException>(() => new UserdataType<int>(null, i => null, data => 0));
        Throws<ArgumentException>(() => new UserdataType<Textual>("x", t => null,
                                                                  data => new Textual()));
        Throws<ArgumentException>(() => new UserdataType<bool>("x", b => null, data => true));
        Equal("Meter", Meters.Type.Name);
    }

    public static void NamesOfCFunctionsAreChecked()
    {
        using (Lua lua = Open(Meters.Type))
        {
            IntPtr make = lua.Get<Function>("meter.new").Address;
            Equal(Meters.Names["meter.new"], make);
            Equal(IntPtr.Zero, lua.Eval<Function>("function() end").Address);
            True(lua.Get<Function>("print").Address != IntPtr.Zero);
            lua.NameFunction("meter.new", make);
            IntPtr free = Meters.OpenPointer;
            foreach (Action act in new Action[] {
                () => lua.NameFunction("meter.new", free), () => lua.NameFunction("other", make),
                () => lua.NameFunction("", free), () => lua.NameFunction("a b", free),
                () => lua.NameFunction(new string('n', 65), free),
                () => lua.NameFunction("print", free) })
                Equal(Status.BadArg, Throws<RluaException>(act).Status);
            Throws<ArgumentException>(() => lua.NameFunction("x", IntPtr.Zero));
            Throws<ArgumentNullException>(() => lua.NameFunction(null, free));
            Throws<ArgumentException>(() => lua.OpenModule("x", IntPtr.Zero));
            Throws<ArgumentNullException>(() => lua.OpenModule(null, free));
            byte[] image = lua.Save();
            Throws<ArgumentException>(() => Lua.Load(
                image, Proved, cFunctions: new Dictionary<string, IntPtr> {
                    { "meter.new", IntPtr.Zero } }));
            True(lua.Eval<bool>("require 'meter' == meter"));
            lua.SetFunction("inside", () => lua.OpenModule("second", free));
            Equal("function", lua.Eval<string>("type(inside().new)"));
            lua.Check();
        }
    }

    public static void DeltasAndDifferencesTakeNamesOfCFunctions()
    {
        using (var lua = new Lua(Proved))
        using (var image = new System.IO.MemoryStream())
        using (var delta = new System.IO.MemoryStream())
        {
            lua.Snap(0);
            lua.SaveSnapshot(0, image);
            byte[] before = lua.Save();
            foreach (KeyValuePair<string, IntPtr> each in Meters.Names)
                lua.NameFunction(each.Key, each.Value);
            lua["meter"] = lua.OpenModule("meter", Meters.OpenPointer);
            lua.Snap(1);
            lua.SaveDelta(0, 1, delta);
            using (Lua late = Lua.Load(image.ToArray(), Proved))
            {
                delta.Position = 0;
                Equal(Status.Unsavable,
                      Throws<RluaException>(() => late.ApplyDelta(delta)).Status);
                delta.Position = 0;
                late.ApplyDelta(delta, cFunctions: Meters.Names);
                Equal(lua.Checksum(), late.Checksum());
                late.Clone().Dispose();
            }
            byte[] after = lua.Save();
            Equal(Status.Unsavable, Throws<RluaException>(() => Lua.Diff(before, after)).Status);
            True(Lua.Diff(before, after, functions: Meters.Names.Keys)
                 .Any(each => each.Path == "_G.meter"));
        }
    }

    public static void ThreadsLoadUserdataAtTheSameTime()
    {
        byte[] image;
        using (Lua lua = WithOne(Meters.Save, Meters.Load))
            image = lua.Save();
        int right = 0;
        var threads = Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            for (int round = 0; round < 10; round++)
                using (Lua lua = From(image, Meters.Type))
                using (Lua clone = lua.Clone())
                    if (clone.Eval<long>("meter.read(m)") == 2)
                        Interlocked.Increment(ref right);
        })).ToList();
        threads.ForEach(each => each.Start());
        threads.ForEach(each => each.Join());
        Equal("40 0", right + " " + Meters.Living());
    }
}
