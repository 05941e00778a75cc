"""peers: what the package remembers outside the VM leaves no trace in the state.

Method: two States run the same frames, which call Python's functions, methods and makers of
objects from the main thread and from coroutines. One of them guesses wrong on the way, and goes
back. Behind each frame both have the same checksum.
"""

import random
import unittest

import rlua

WORLD = """
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
end
"""

TEXTURE = rlua.ResourceType("texture", None, {"bind": lambda texture, unit: None,
                                              "__tostring": lambda texture: "a texture"},
                            save=lambda texture: b"", load=lambda data: object())
SOUND = rlua.ResourceType("sound", None, {"play": lambda sound: 1 / 0})


def peer():
    lua = rlua.State(config=rlua.Config(memory_size=4 << 20, max_snapshots=2))
    lua.set_function("named", lambda value: value)
    lua.set_function("texture", lambda width: lua.resource(TEXTURE, [width]))
    lua.set_function("sound", lambda width: lua.resource(SOUND, [width]))
    lua.set_function("calls", lambda function: function())
    lua.set_function("first", lambda table: table[1])
    lua.globals["value"] = lambda value: None
    lua.execute(WORLD)
    return lua


def run(lua, way, acts):
    for act in acts:
        if way == 0:
            lua.globals["step"](act)
        elif way == 1:
            lua.execute(f"step({act})")
        else:
            lua.eval(f"step({act})")


class Peers(unittest.TestCase):
    def test_peers_that_guess_differently_have_the_same_state(self):
        for seed in range(40):
            chance = random.Random(seed)

            def chosen():
                return [chance.randrange(1, 11) for _ in range(3)]

            with peer() as right, peer() as wrong:
                for frame in range(30):
                    right.snap(frame)
                    wrong.snap(frame)
                    if chance.randrange(2):
                        run(wrong, chance.randrange(3), chosen())
                        wrong.rollback(1)
                    way, acts = chance.randrange(3), chosen()
                    run(right, way, acts)
                    run(wrong, way, acts)
                    self.assertEqual(right.checksum(), wrong.checksum(), (seed, frame))


if __name__ == "__main__":
    unittest.main()
