-- frames: 400
-- concat, move, insert, remove, pack, unpack: holes, ranges, metamethods, refusals.
list = {}
function frame(n, input)
  table.insert(list, n)
  table.insert(list, input % (#list + 1) + 1, "i" .. n)
  if #list > 60 then
    for _ = 1, 20 do emit(table.remove(list, input % #list + 1)) end
  end
  emit(table.concat(list, ",", 1, math.min(5, #list)), table.unpack(list, 1, 4))
  local moved = table.move(list, 1, #list, 3, { "a", "b" })
  emit(#moved, table.concat(table.move(moved, 2, 6, 1), " "), select("#", table.unpack({}, 1,
    n % 50)))
  local packed = table.pack(nil, n, nil)
  emit(packed.n, #packed, packed[2], select(-1, 1, 2, 3), pcall(select, -5, 1))
  local proxy = setmetatable({}, { __index = function(_, k) return k * n end,
    __len = function() return 5 end })
  emit(table.concat(proxy, " "), table.unpack(proxy))
  emit(pcall(table.insert, list, #list + 5, 1), pcall(table.insert, list), pcall(table.remove,
    list, -3))
  emit(pcall(table.unpack, {}, 1, 1e8), pcall(table.concat, { 1, 2 }, ",", 1, 3),
    pcall(table.move, {}, 1, math.maxinteger, 2))
  emit(pcall(table.unpack, {}, math.mininteger, math.maxinteger), pcall(table.concat, {}, "", 1, 2))
end
