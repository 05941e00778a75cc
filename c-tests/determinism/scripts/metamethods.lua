-- Every metamethod, on tables and through basic types.
trace = {}
local M = {}
for _, event in ipairs { "add", "sub", "mul", "div", "mod", "pow", "unm", "idiv", "band", "bor",
  "bxor", "shl",
  "shr", "bnot", "concat", "len", "eq", "lt", "le", "call" } do
  M["__" .. event] = function(a, b)
    trace[#trace + 1] = event
    return event == "eq" or event == "lt" or event == "len" and 3 or event
  end
end
M.__index = function(_, k) return "no " .. tostring(k) end
M.__newindex = function(t, k, v) rawset(t, k, { v }) end
M.__tostring = function() return "an M" end
M.__metatable = "locked"
M.__pairs = function(t) return function(_, k) if (k or 0) < 3 then return (k or 0) + 1,
  "p" end end, t, nil end
function frame(n, input)
  trace = {}
  local a, b = setmetatable({}, M), setmetatable({ n }, M)
  emit(a + 1, 1 - a, a * b, a / b, a % 2, a ^ 2, -a, a // 1, a & 1, 1 | a, a ~ b, a << 1, 1 >> a,
    ~a)
  emit(a .. "x", "x" .. a, #a, a == b, a < b, a <= b, a > 1, a(n), a.field, a[input], rawequal(a,
    b), rawlen(b))
  a.new = n
  emit(a.new[1], tostring(a), getmetatable(a), pcall(setmetatable, a, nil))
  for k, v in pairs(a) do emit(k, v) end
  emit(("x").len, pcall(function() return ("x") < 1 end), pcall(function() return (1).x end))
  history = table.concat(trace, " ")
end
