-- Leak: the first seed of math.random, and randomseed() without arguments, are clock and address.
first = { math.random(0), math.random(), math.random(100) }
history = {}
function frame(n, input)
  history[n % 20 + 1] = { math.random(), math.random(6), math.random(-n, n), math.random(0) }
  if n % 10 == 0 then emit(math.randomseed(n, input)) end
  if n % 10 == 3 then emit(pcall(math.randomseed, n + 0.5), math.randomseed(n * 4.0)) end
  if n % 10 == 7 then emit(math.randomseed()) end
  emit(math.random(math.mininteger, math.maxinteger), math.random(3, 3), pcall(math.random, 2, 1))
  emit(pcall(math.random, 1, 2, 3), pcall(math.random, 0.5), math.random(1 << 62))
  local deck = {}
  for i = 1, 20 do deck[i] = i end
  for i = 20, 2, -1 do
    local j = math.random(i)
    deck[i], deck[j] = deck[j], deck[i]
  end
  shuffled = table.concat(deck, " ")
end
