-- A grammar that grows plants (an L-system), and a turtle that draws them: strings and angles.
rules = { F = "F[+F]F[-F]F", X = "F[+X][-X]FX" }
plant, bounds = "X", {}
function frame(n, input)
  if #plant > 2500 then plant = ({ "X", "F", "FX" })[input % 3 + 1] end
  if n % 3 == 0 then plant = plant:gsub("[FX]", rules) end
  local x, y, angle, stack, turn = 0, 0, 90, {}, 20 + input % 15
  local left, right, top = 0, 0, 0
  for c in plant:gmatch "." do
    if c == "F" then
      x, y = x + math.cos(math.rad(angle)), y + math.sin(math.rad(angle))
      left, right, top = math.min(left, x), math.max(right, x), math.max(top, y)
    elseif c == "+" then angle = angle + turn
    elseif c == "-" then angle = angle - turn
    elseif c == "[" then stack[#stack + 1] = { x, y, angle }
    elseif c == "]" then x, y, angle = table.unpack(table.remove(stack)) end
  end
  bounds = { left, right, top, math.deg(math.atan(top, right - left)) }
  emit(#plant, table.unpack(bounds))
end
