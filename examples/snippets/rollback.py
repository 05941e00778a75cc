import rlua     # bindings/python

with rlua.State(memory=1 << 20, snapshots=20) as lua:
    lua.globals["show"] = lambda n: print(n)
    lua.execute("n = 1; show(n)")
    lua.snap()
    lua.execute("n = 2; show(n)")
    lua.rollback()
    print(lua.globals["n"])     # 1 again
