// dropped.cpp: an error that nobody looks at is a compiler's warning.
// Method: never run. run.sh compiles it and wants a warning on each line that is marked as
// dropped, and on no other.
#include "rlua.hpp"

void drops(rlua::state &lua, int &object);

void drops(rlua::state &lua, int &object) {
    rlua::state::open(0, 4);            // dropped
    lua.run("n = 1");                   // dropped
    lua.eval<int>("return 1");          // dropped
    lua.call("f");                      // dropped
    lua.get<int>("n");                  // dropped
    lua.set("n", 1);                    // dropped
    lua.set_function("f", [] {});       // dropped
    lua.ref("f");                       // dropped
    lua.collect();                      // dropped
    lua.follow(object);                 // dropped
    lua.unfollow(object);               // dropped
    lua.snap();                         // dropped
    lua.snap_frame(1);                  // dropped
    lua.rollback();                     // dropped
    lua.rollback_to(1);                 // dropped
    lua.discard_before(1);              // dropped
    lua.set_max_snapshots(2);           // dropped
    lua.snapshot_count();               // dropped
    lua.newest_frame();                 // dropped
    lua.recover();                      // dropped
    lua.info();                         // dropped
    lua.check();                        // dropped
    lua.close();                        // dropped

    lua.run("n = 1").value();
    (void)lua.rollback();
    if (!lua.snap())
        return;
    auto opened = rlua::state::open(0, 4);
    if (opened)
        (void)opened->close();
}
