-- Leak: tostring and %p show addresses; scripts use them as keys and sort by them.
named = {}
function frame(n, input)
  local things = { {}, function() return n end, coroutine.create(print), box(4), light(n % 64 + 1),
    print, string.format, ipairs {}, string.gmatch("", ""), io.stdout, emit, select(2,
      pcall(error)) }
  local list = {}
  for i = 1, 11 do
    local name = tostring(things[i])
    list[i] = name
    named[name] = n
  end
  table.sort(list)
  names = table.concat(list, "\n")
  pointers = ("%p %20p %-20p|%p"):format(things[1], things[2], things[4], things[6])
  short_string, long_string = ("%p"):format("abc"), ("%p"):format(("x"):rep(100))
  no_pointer = ("%p %p %p"):format(1, nil, true)
  emit(names, pointers, short_string, long_string, no_pointer)
  if n % 40 == 0 then named = {} end
end
