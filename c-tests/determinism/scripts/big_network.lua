-- A small neural network that learns: exp, sums in one order, random weights.
math.randomseed(7, 9)
local I, Hn = 4, 8
w1, w2, loss = {}, {}, 0
for h = 1, Hn do
  w1[h] = {}
  for i = 1, I do w1[h][i] = math.random() - 0.5 end
  w2[h] = math.random() - 0.5
end
local function sigmoid(x) return 1 / (1 + math.exp(-x)) end
function frame(n, input)
  loss = 0
  for sample = 0, 7 do
    local x = { 1, sample & 1, sample >> 1 & 1, sample >> 2 & 1 }
    local wanted = (x[2] ~ x[3] ~ x[4]) == 1 and 0.9 or 0.1
    local hidden, out = {}, 0
    for h = 1, Hn do
      local sum = 0
      for i = 1, I do sum = sum + w1[h][i] * x[i] end
      hidden[h] = sigmoid(sum)
      out = out + hidden[h] * w2[h]
    end
    out = sigmoid(out)
    local delta = (wanted - out) * out * (1 - out)
    loss = loss + (wanted - out) ^ 2
    for h = 1, Hn do
      local back = delta * w2[h] * hidden[h] * (1 - hidden[h])
      w2[h] = w2[h] + 0.7 * delta * hidden[h]
      for i = 1, I do w1[h][i] = w1[h][i] + 0.7 * back * x[i] end
    end
  end
  if n % 250 == 0 then w2[input % Hn + 1] = math.random() end
  emit(loss, tostring(loss), ("%a"):format(loss))
end
