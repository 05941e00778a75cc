// lua.hpp: Lua's headers for C++, whose functions have C linkage.
extern "C" {
#include "lua.h"
#include "lualib.h"
#include "lauxlib.h"
}
