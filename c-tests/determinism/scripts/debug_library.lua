-- debug: getinfo, locals, upvalues and their identities, hooks that count.
counted = 0
function frame(n, input)
  local up1, up2 = n, input
  local function f(a, b, ...)
    local c = a + up1
    return debug.getlocal(1, 3), debug.getlocal(1, -1), up2, c
  end
  emit(f(1, 2, 3))
  local info = debug.getinfo(f, "SlnutfL")
  emit(info.short_src, info.linedefined, info.nups, info.nparams, info.isvararg, info.what,
    info.func == f)
  lines = info.activelines
  id = debug.upvalueid(f, 1)
  emit(debug.getupvalue(f, 1), debug.getupvalue(f, 2), id, tostring(id), debug.upvalueid(f,
    1) == id)
  local ids = { [id] = 1, [debug.upvalueid(f, 2)] = 2 }
  for _, v in pairs(ids) do emit(v) end
  emit(debug.getinfo(print).what, debug.getinfo(1, "l").currentline, debug.getinfo(99))
  debug.sethook(function(event) counted = counted + 1 end, "", 100)
  local x = 0
  for i = 1, 1000 do x = x + i end
  debug.sethook()
  local called = {}
  debug.sethook(function(event, line) called[#called + 1] = event .. tostring(line) end, "crl")
  math.abs(-1)
  debug.sethook()
  events = table.concat(called, " ")
  emit(counted, events, debug.gethook(), type(debug.getregistry()),
    debug.getmetatable("").__index == string)
  local b = box(4)
  emit(debug.setuservalue(b, n, 1) == b, debug.getuservalue(b, 1), debug.getuservalue(b, 9))
end
