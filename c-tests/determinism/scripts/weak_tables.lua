-- Weak tables: what is still in them tells when the collector ran; ephemerons, resurrected keys.
values = setmetatable({}, { __mode = "v" })
keys = setmetatable({}, { __mode = "k" })
both = setmetatable({}, { __mode = "kv" })
strong = {}
function frame(n, input)
  for i = 1, 8 do
    local object = { n, i }
    values[(n * 8 + i) % 100] = object
    keys[object] = { object, n }
    both[object] = n % 2 == 0 and object or n
    keys[function() return object end] = n
    values["s" .. i] = "string " .. n
    if i == input % 8 then strong[n % 20] = object end
  end
  local a, b, c = 0, 0, 0
  for _ in pairs(values) do a = a + 1 end
  for _, v in pairs(keys) do b = b + (type(v) == "table" and v[2] or v) end
  for _ in pairs(both) do c = c + 1 end
  alive = { a, b, c }
  emit(a, b, c)
  if n % 50 == 0 then collectgarbage() end
end
