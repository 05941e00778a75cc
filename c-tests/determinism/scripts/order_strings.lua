-- Leak: the seed of string hashes (luai_makeseed) decides the order of pairs.
words = {}
order = ""
function frame(n, input)
  words["key" .. input % 97] = n
  words[("%x"):format(input)] = n
  if n % 7 == 0 then words["key" .. n % 97] = nil end
  local keys = {}
  for k in pairs(words) do
    keys[#keys + 1] = k
    if #keys > 60 then break end
  end
  order = table.concat(keys, " ")
  if n % 50 == 0 then words = {} end
  emit(#keys, order)
end
