"""A late input, the way netcode meets it: predict, learn better, go back, run again.

Two players move by their inputs. The remote player's input for frame 3 arrives three frames
late: until then it was predicted to be the last one known.

    pip install ./bindings/python       in a virtual environment
    python examples/python/demo.py
"""

import rlua

GAME = """
    x = {0, 0}
    coins = coroutine.wrap(function()       -- suspended state rolls back like any other
        for n = 1, math.huge do coroutine.yield(n * n % 7) end
    end)
    score = 0
    function step(a, b)
        x[1], x[2] = x[1] + a, x[2] + b
        score = score + coins()
    end
    function show() return ("x = %3d %3d  score = %2d"):format(x[1], x[2], score) end
"""

LOCAL = [1, 1, 1, 2, 2, 2]
REMOTE = [1, 1, 1, -3, -3, -3]
FIRST_WRONG = 3     # the frame at which the remote player turned


def run(lua, frames, remote, label):
    for frame in frames:
        lua.call("step", LOCAL[frame], remote[frame])
        print(f"  frame {frame}  {label:9}  {lua.call('show')}")
        lua.snap()


with rlua.State(memory=1 << 20, snapshots=8) as lua:
    lua.execute(GAME, name="=game")
    lua.snap()      # frame 0: before any input
    run(lua, range(6), [1] * 6, "predicted")
    print(f"frame {FIRST_WRONG}: the remote input was {REMOTE[FIRST_WRONG]}, not 1; going back")
    lua.rollback_to(FIRST_WRONG)
    run(lua, range(FIRST_WRONG, 6), REMOTE, "corrected")
    corrected = lua.call("show")

with rlua.State(memory=1 << 20) as straight:
    straight.execute(GAME, name="=game")
    for a, b in zip(LOCAL, REMOTE):
        straight.call("step", a, b)
    print(f"  without prediction  {straight.call('show')}")
    assert straight.call("show") == corrected
