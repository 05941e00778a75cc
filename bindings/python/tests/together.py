#!/usr/bin/env python3
"""The same frames on two machines, and each goes on with the image that the other made.

    together.py play IMAGE      runs all frames, each one twice; saves the state in the middle
    together.py go_on IMAGE     runs the second half, from there on

Prints the checksum behind each frame of the second half, so all four runs print the same. Callables
of Python and a resource are in the state. ../../../c-tests/packages.sh compares.
"""

import sys
from pathlib import Path

import rlua

FRAMES = 60
WORLD = """
world, hits = {}, 0
function step(n)
    wall = wall or texture("wall")
    world[n % 7 + 1] = {x = math.sin(n) * damage(n), name = ("%.14g"):format(n / 3), wall:path()}
    world["k" .. n % 5] = coroutine.wrap(function() hits = hits + n coroutine.yield() end)
    world["k" .. n % 5]()
    pcall(damage, {})
    collectgarbage("step")
end
"""
TEXTURE = rlua.ResourceType("texture", methods={"path": str}, save=str.encode, load=bytes.decode)
CONFIG = rlua.Config(memory_size=4 << 20, max_snapshots=2, trust=rlua.Trust.PROVED)


def functions(lua):
    return {"damage": lambda n: n * 0.1, "texture": lambda path: lua().resource(TEXTURE, path)}


def run(lua, frames):
    for frame in frames:
        lua.snap(frame)
        lua.call("step", frame + 1000)      # a wrong guess
        lua.rollback_to(frame)
        lua.call("step", frame)
        if frame >= FRAMES // 2:
            print(frame, lua.checksum().hex())


def play(image):
    with rlua.State(config=CONFIG) as lua:
        for name, function in functions(lambda: lua).items():
            lua.set_function(name, function)
        lua.execute(WORLD)
        run(lua, range(FRAMES // 2))
        image.write_bytes(lua.save())
        run(lua, range(FRAMES // 2, FRAMES))


def go_on(image):
    with rlua.State(config=CONFIG, image=image.read_bytes(), types=[TEXTURE],
                    functions=functions(lambda: lua)) as lua:
        run(lua, range(FRAMES // 2, FRAMES))


if __name__ == "__main__":
    {"play": play, "go_on": go_on}[sys.argv[1]](Path(sys.argv[2]))
