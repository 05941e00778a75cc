// dropped.cpp: an error that nobody looks at is a compiler's warning.
// Method: never run. checks.py compiles it and wants a warning on each line that is marked as
// dropped, and on no other.
#include "rlua.hpp"

void drops(rlua::state &lua, rlua::function &f, rlua::table &t, rlua::coroutine &co, int &object);

void drops(rlua::state &lua, rlua::function &f, rlua::table &t, rlua::coroutine &co, int &object) {
    rlua::state::open(0, 4);            // dropped
    lua.run("n = 1");                   // dropped
    lua.run_file("a.lua");              // dropped
    lua.load("n = 1");                  // dropped
    lua.load_file("a.lua");             // dropped
    lua.eval<int>("return 1");          // dropped
    lua.call("f");                      // dropped
    lua.get<int>("n");                  // dropped
    lua.set("n", 1);                    // dropped
    lua["n"];                           // dropped
    lua["n"].get<int>();                // dropped
    lua["n"].set(1);                    // dropped
    lua["n"]();                         // dropped
    lua.set_function("f", [] {});       // dropped
    lua.new_table();                    // dropped
    lua.environment();                  // dropped
    lua.new_block<int>();               // dropped
    lua.collect();                      // dropped
    lua.follow(object);                 // dropped
    lua.unfollow(object);               // dropped
    lua.snap();                         // dropped
    lua.snap(1);                        // dropped
    lua.rollback();                     // dropped
    lua.rollback_to(1);                 // dropped
    lua.discard_before(1);              // dropped
    lua.set_max_snapshots(2);           // dropped
    lua.set_time(1);                    // dropped
    lua.history();                      // dropped
    lua.recover();                      // dropped
    lua.info();                         // dropped
    lua.check();                        // dropped
    lua.close();                        // dropped
    f();                                // dropped
    f.call<int>(1);                     // dropped
    f.start();                          // dropped
    f.set_environment(t);               // dropped
    t.get<int>("n");                    // dropped
    t.set("n", 1);                      // dropped
    t.size();                           // dropped
    t.pairs<int, int>();                // dropped
    t.call_method("m");                 // dropped
    co.resume();                        // dropped
    co.close();                         // dropped

    lua.run("n = 1").value();
    (void)lua.rollback();
    if (!lua.snap())
        return;
    auto opened = rlua::state::open(0, 4);
    if (opened)
        (void)opened->close();
}
