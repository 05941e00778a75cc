#include "rlua.hpp"
#include <iostream>

int main() {
    auto lua = rlua::state::open(1 << 20, 20).value(); // up to 1 MiB of state, 20 snapshots
    lua.set_function("show", [](int n) { std::cout << n << '\n'; }).value();
    lua.run("n = 1; show(n)").value(); // value() throws what Lua raised
    lua.snap().value();
    lua.run("n = 2; show(n)").value();
    lua.rollback().value();
    std::cout << lua.get<int>("n").value() << '\n'; // 1 again
}
