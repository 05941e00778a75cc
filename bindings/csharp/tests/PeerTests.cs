// PeerTests.cs: what the package remembers outside the VM leaves no trace in the state.
//
// Two Luas run the same frames, which call delegates, methods and makers of objects from the main
// thread and from coroutines. One of them guesses wrong on the way, and goes back. Behind each
// frame both have the same checksum.

using System;
using System.Linq;
using Rlua;
using static Expect;

internal static class PeerTests
{
    private const string World = @"
        n, kept, cos = 0, {}, {}
        local acts = {
            function(i) value(i) end,
            function(i) named(i) end,
            function(i) kept[i] = texture(i) kept[i]:bind(3) end,
            function(i) kept[i] = sound(i) pcall(kept[i].play, kept[i]) end,
            function(i) return kept[i] and tostring(kept[i]) end,
            function(i) calls(function() named(i) end) end,
            function(i) pcall(calls, function() error('wrong') end) end,
            function(i) pcall(first, {}) end,
            function(i) return first({i}) end,
            function(i) kept = {} collectgarbage() end,
        }
        for i = 1, 3 do
            cos[i] = coroutine.wrap(function(act)
                while true do pcall(acts[act], i) act = coroutine.yield() end
            end)
        end
        function step(act)
            n = n + 1
            cos[n % 3 + 1](act)
            pcall(acts[n % 7 + 1], act)
        end";

    private sealed class Thing { }

    private static readonly ResourceType<Thing> Texture =
        new ResourceType<Thing>("texture", save: t => new byte[0], load: bytes => new Thing())
            .Method("bind", (Thing texture, int unit) => { })
            .Method("__tostring", t => "a texture");
    private static readonly ResourceType<Thing> Sound =
        new ResourceType<Thing>("sound").Method("play", t => throw new Exception("silence"));

    private static Lua Peer()
    {
        // What the runtime's collector finds is chance.
        var lua = new Lua(new Config { MemorySize = 4 * Mib, MaxSnapshots = 2 }) {
            ReleasesForgotten = false };
        lua.SetFunction("named", (long value) => value);
        lua.SetFunction("texture", (long width) => Texture.Wrap(new Thing()));
        lua.SetFunction("sound", (long width) => Sound.Wrap(new Thing()));
        lua.SetFunction("calls", (Action function) => function());
        lua.SetFunction("first", (Table table) => table[1]);
        lua["value"] = new Action<long>(value => { });
        lua.Execute(World);
        return lua;
    }

    private static void Run(Lua lua, int way, int[] acts)
    {
        foreach (int act in acts)
        {
            if (way == 0)
                using (Function step = lua.Get<Function>("step"))
                    step.Call(act);
            else if (way == 1)
                lua.Execute("step(" + act + ")");
            else
                lua.Eval<object>("step(" + act + ")");
        }
    }

    public static void PeersThatGuessDifferentlyHaveTheSameState()
    {
        for (int seed = 0; seed < 20; seed++)
        {
            var random = new Random(seed);
            Func<int[]> chosen = () => Enumerable.Range(0, 3).Select(i => random.Next(1, 11))
                .ToArray();
            using (Lua right = Peer(), wrong = Peer())
            {
                for (int frame = 0; frame < 30; frame++)
                {
                    right.Snap(frame);
                    wrong.Snap(frame);
                    if (random.Next(2) == 0)
                    {
                        Run(wrong, random.Next(3), chosen());
                        wrong.Rollback(1);
                    }
                    int way = random.Next(3);
                    int[] acts = chosen();
                    Run(right, way, acts);
                    Run(wrong, way, acts);
                    Equal(right.Checksum(), wrong.Checksum());
                }
            }
        }
    }
}
