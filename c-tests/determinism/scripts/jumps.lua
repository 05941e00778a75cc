-- goto, continue, nested breaks, closures that capture the variables of loops.
function frame(n, input)
  local closures, i = {}, 1
  ::top::
  do
    local captured = i * n
    closures[i] = function() captured = captured + 1 return captured end
  end
  i = i + 1
  if i <= 5 then goto top end
  local sum = 0
  for k = 1, 20 do
    if (input >> k) % 3 == 0 then goto continue end
    for j = 1, 10 do
      if j == k then goto out end
      sum = sum + j
    end
    ::out::
    sum = sum + closures[k % 5 + 1]()
    ::continue::
  end
  repeat
    local last = sum % 7
    sum = sum + 1
  until last == 3
  functions, total = closures, sum
  emit(sum)
end
