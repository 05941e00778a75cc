-- Keys of every type in one table: collisions between them, the free pointer, removals.
bag, kept = {}, {}
local makers = {
  function(n) return n end,
  function(n) return n + 0.25 end,
  function(n) return "s" .. n end,
  function(n) return n % 2 == 0 end,
  function() return {} end,
  function(n) return function() return n end end,
  function(n) return coroutine.create(function() return n end) end,
  function(n) return box(8, n % 256) end,
  function(n) return light(n % 64 + 1) end,
  function(n) return ({ print, tostring, math.sin, string.rep, emit })[n % 5 + 1] end,
  function(n) return ("long"):rep(20) .. n end,
}
function frame(n, input)
  for i = 1, 3 do
    local key = makers[(input >> i * 4) % #makers + 1](n * 3 + i)
    bag[key] = n
    kept[n * 3 + i] = key
  end
  local gone = kept[(n - 30) * 3 + 1]
  if gone ~= nil then bag[gone] = nil end
  local types, ages = {}, 0
  for k, v in pairs(bag) do
    types[#types + 1] = type(k):sub(1, 2)
    ages = (ages * 5 + v) % 99991
  end
  order, sum = table.concat(types), ages
  if n % 120 == 0 then bag, kept = {}, {} end
end
