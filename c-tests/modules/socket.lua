-- LuaSocket over the loopback: servers, clients, datagrams; made, used, leaked, closed.
local socket = require 'socket'
local mime = require 'mime'

local function pair()
    local server = assert(socket.bind('127.0.0.1', 0))
    local _, port = server:getsockname()
    local client = assert(socket.connect('127.0.0.1', port))
    local peer = assert(server:accept())
    return server, client, peer
end

function frame(n)
    local server, client, peer = pair()
    client:settimeout(1)
    peer:settimeout(1)
    assert(client:send('frame ' .. n .. '\n'))
    collect()
    trace[#trace + 1] = peer:receive '*l'
    state[n] = client
    if n % 2 == 0 then server:close() peer:close() end
    local old = state[n - 2]
    if old then
        pcall(old.send, old, 'late')
        if n % 3 == 0 then old:close() end
        pcall(old.getstats, old)
        state[n - 2] = nil
    end
    collect()
    local udp = socket.udp()
    udp:setsockname('127.0.0.1', 0)
    socket.select({udp}, nil, 0)
    if n % 4 == 0 then udp:close() end
    state.udp = state.udp or udp
    pcall(state.udp.getsockname, state.udp)
    if n == 6 then state.udp = nil end
    local tcp = socket.tcp()
    tcp:settimeout(0)
    trace[#trace + 1] = mime.b64('frame' .. n)
    socket.protect(function() end)()
end
