-- __name and __tostring in names, and in the texts of errors.
Vector = { __name = "Vector" }
Vector.__index = Vector
Loud = setmetatable({}, { __tostring = function() return "loud" end })
function frame(n)
  local v = setmetatable({ x = n }, Vector)
  emit(tostring(v), tostring(Loud), ("%s %s"):format(Loud, v), #tostring(v))
  emit(pcall(function() return v + 1 end))
  emit(pcall(function() return v < v end))
  emit(pcall(function() return v .. "x" end))
  emit(pcall(string.rep, v))
  emit(pcall(ipairs))
  emit(pcall(tostring, setmetatable({}, { __tostring = function() return n end })))
  emit(pcall(setmetatable, 1, {}))
  text = tostring(v)
end
