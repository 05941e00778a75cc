-- closures: makes and calls many closures: counters, composition, upvalues.
-- kind: alloc
local function counter(start)
  local value = start
  return function(step) value = value + step return value end, function() return value end
end

local function compose(f, g)
  return function(x) return f(g(x)) end
end

local function adder(n)
  return function(x) return x + n end
end

local total = 0
for i = 1, 480000 do
  local bump, get = counter(i)
  bump(1)
  bump(2)
  local f = compose(adder(i), compose(adder(1), adder(-i)))
  total = total + get() + f(i)
end
assert(total == 230402400000, total)
