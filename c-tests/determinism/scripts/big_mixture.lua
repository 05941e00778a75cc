-- Everything in one frame: objects as keys, texts of numbers, patterns, packs, closures.
registry, tags, archive = {}, setmetatable({}, { __mode = "k" }), {}
local sinks = { print, tostring, math.sin, string.format, table.concat }
function frame(n, input)
  local x = input * 2.0 ^ -40
  for i = 1, 25 do
    local kind = (input >> i) % 6
    local key = kind == 0 and { i } or kind == 1 and "k" .. i or kind == 2 and x * i
      or kind == 3 and i - 12 or kind == 4 and function() return x end or sinks[i % #sinks + 1]
    registry[key] = ("%s:%.6g:%d"):format(type(key), math.sin(x * i), i)
    if type(key) == "table" then tags[key] = string.pack("<dI2z", x, i, "tag") end
  end
  local parts, count = {}, 0
  for k, v in pairs(registry) do
    count = count + 1
    parts[count] = v:gsub("%a+", string.upper)
    if count > 120 then registry[k] = nil end
  end
  local packed = {}
  for _, bytes in pairs(tags) do packed[#packed + 1] = select(2, string.unpack("<dI2z", bytes)) end
  table.sort(parts)
  archive[n % 10 + 1] = { table.concat(parts, "|"):sub(1, 400), table.concat(packed, " ") }
  emit(count, #packed, parts[1], parts[#parts], collectgarbage "count", tostring(registry))
end
