-- Assigning nil during a traversal is allowed; what next finds then depends on the layout alone.
field = {}
function frame(n, input)
  for i = 1, 10 do field["f" .. (input + i * n) % 200] = i end
  local seen, removed = 0, {}
  for k, v in pairs(field) do
    seen = seen + 1
    if (v + n) % 4 == 0 then
      field[k] = nil
      removed[#removed + 1] = k
    end
  end
  collectgarbage "step"
  local after = {}
  for k in next, field do after[#after + 1] = k end
  count, gone, left = seen, table.concat(removed, " "), table.concat(after, " ")
  emit(pcall(next, field, "no such key"))
end
