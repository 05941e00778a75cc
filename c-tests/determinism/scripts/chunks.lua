-- load with readers, environments and modes; string.dump's bytes.
functions = {}
function frame(n, input)
  local pieces, at = { "local a = ", tostring(n), " return a * ", "2, ...", nil }, 0
  local f = load(function() at = at + 1 return pieces[at] end, "=pieces", "t", { n = n })
  emit(f(input), load("x = 1 return x", "=e", "t", {})(), x)
  local code = string.dump(f, n % 2 == 0)
  functions[n % 5 + 1] = f
  emit(#code, code, load(code, "b", "b") and load(code, "b", "b")(7), load(code, "b", "t"))
  emit(load("return ...", "t", "b"), pcall(load, function() return {} end),
    load(function() error "reader" end))
  emit(pcall(string.dump, print), load(code:sub(1, 30)), load("\27Lua" .. ("x"):rep(40)))
  local env = setmetatable({}, { __index = _G })
  local g = load("local _ENV = ... ; y = 5 ; return y, _ENV.y", "=g")
  emit(g(env), env.y, y, debug.setupvalue(f, 1, env))
end
