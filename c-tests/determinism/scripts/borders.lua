-- The length of a table with holes depends on its layout alone.
holes = {}
function frame(n, input)
  local t = {}
  for i = 1, 20 + n % 30 do t[i] = i end
  for i = 1, 8 do t[(input >> i * 3) % 50 + 1] = nil end
  local u = { n, nil, 3, nil, input % 2 == 0 and 5 or nil }
  holes[input % 40 + 1] = n
  holes[n % 40 + 1] = nil
  lengths = { #t, #u, #holes, #table.pack(nil, nil, 3), #{ n = 1, nil, 2 } }
  emit(table.unpack(lengths))
  for _ = 1, 5 do t[#t + 1] = 0 emit(#t) end
  while #t > 0 do t[#t] = nil end
  emit(#t, next(t))
end
