-- fannkuch: permutations and flips; integer arrays, swaps.
-- kind: cpu
local function fannkuch(n)
  local p, q, s = {}, {}, {}
  local sign, max_flips, checksum = 1, 0, 0
  for i = 1, n do p[i], q[i], s[i] = i, i, i end
  while true do
    local first = p[1]
    if first ~= 1 then
      for i = 2, n do q[i] = p[i] end
      local flips = 1
      while true do
        local qq = q[first]
        if qq == 1 then break end
        q[first] = first
        if first >= 4 then
          local i, j = 2, first - 1
          repeat
            q[i], q[j] = q[j], q[i]
            i, j = i + 1, j - 1
          until i >= j
        end
        first = qq
        flips = flips + 1
      end
      checksum = checksum + sign * flips
      if flips > max_flips then max_flips = flips end
    end
    if sign == 1 then
      p[1], p[2] = p[2], p[1]
      sign = -1
    else
      p[2], p[3] = p[3], p[2]
      sign = 1
      for i = 3, n do
        local left = s[i]
        if left ~= 1 then
          s[i] = left - 1
          break
        end
        if i == n then return checksum, max_flips end
        s[i] = i
        local head = p[1]
        for j = 1, i do p[j] = p[j + 1] end
        p[i + 1] = head
      end
    end
  end
end

for _ = 1, 3 do
  local checksum, flips = fannkuch(9)
  assert(checksum == 8629 and flips == 30)
end
