-- LuaSQL over SQLite in memory: environments, connections, cursors that are kept, left, closed.
local sqlite = require 'luasql.sqlite3'

function frame(n)
    local env = sqlite.sqlite3()
    local con = env:connect ':memory:'
    con:execute 'create table t (n integer, name text)'
    for i = 1, 5 do con:execute(('insert into t values (%d, "name %d")'):format(i * n, i)) end
    collect()
    local cursor = con:execute 'select n, name from t order by n'
    trace[#trace + 1] = (cursor:fetch())
    if n % 2 == 0 then cursor:close() con:close() env:close() end
    state[n] = {env = env, con = con, cursor = cursor}
    local old = state[n - 2]
    if old then
        pcall(old.cursor.fetch, old.cursor)
        pcall(old.con.execute, old.con, 'insert into t values (1, "late")')
        if n % 3 == 0 then pcall(old.cursor.close, old.cursor) pcall(old.con.close, old.con) end
        state[n - 2] = nil
    end
    collect()
    local left = sqlite.sqlite3():connect ':memory:'
    left:setautocommit(false)
    left:execute 'create table u (x)'
    state.con = state.con or sqlite.sqlite3():connect ':memory:'
    pcall(state.con.execute, state.con, 'create table if not exists k (x)')
    pcall(state.con.execute, state.con, 'insert into k values (1)')
    if n == 7 then state.con = nil end
    collect()
end
