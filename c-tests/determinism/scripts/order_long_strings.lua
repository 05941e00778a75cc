-- Long strings are keys by their contents; their hash is computed late, from the same seed.
texts = {}
function frame(n, input)
  local text = ("%d-"):format(input % 50):rep(20)
  texts[text] = (texts[text] or 0) + 1
  texts[text .. n % 13] = n
  if n % 80 == 0 then texts = {} end
  local list = {}
  for k, v in pairs(texts) do list[#list + 1] = k:sub(1, 4) .. v end
  order = table.concat(list, " ")
end
