// rlua.hpp: Lua whose whole state can go back in time, for C++17: header-only, over rlua.h.
//
//     auto lua = rlua::state::open(1 << 20, 20).value();
//     lua.run("n = 1").value();
//     lua.snap().value();
//     lua.run("n = 2").value();
//     lua.rollback().value();
//     int n = lua.get<int>("n").value();      // 1
//
// docs/CXX.md tells of it task by task. Each header below has one part, and compiles alone.
//
// Invariants:
// - Only functions that cannot raise a Lua error are called, so no longjmp crosses a C++ frame with
//   destructors. A lambda given to Lua must keep to the same: rlua_* and this header, never
//   luaL_error().
// - No C++ exception crosses Lua: one that leaves a lambda becomes a Lua error, with the script's
//   position in front. (An exception that leaves a lua_CFunction of yours does: see recover().)
// - Every failure is a result, and a result that nobody asks is a compiler's warning.
// - Nothing here throws by itself but result::value(); std::bad_alloc may come from strings and
//   containers. With -fno-exceptions value() prints the message and aborts.
// - A call leaves the Lua stack as it found it.
#ifndef RLUA_HPP
#define RLUA_HPP

#include "rlua/result.hpp"    // error, result<T>
#include "rlua/core.hpp"      // how a call enters a VM
#include "rlua/values.hpp"    // codec<T>
#include "rlua/handles.hpp"   // value, table, function, coroutine
#include "rlua/functions.hpp" // lambdas as functions of Lua
#include "rlua/usertypes.hpp" // objects of C++ in Lua
#include "rlua/bindings.hpp"  // functions and types for VMs that are opened or loaded
#include "rlua/state.hpp"     // state, state_view

#endif // RLUA_HPP
