-- spectral_norm: power iteration on an infinite matrix; float loops over arrays.
-- kind: cpu
local function entry(i, j)
  local ij = i + j - 1
  return 1.0 / (ij * (ij - 1) * 0.5 + i)
end

local function multiply(x, y, n)
  for i = 1, n do
    local a = 0.0
    for j = 1, n do a = a + x[j] * entry(i, j) end
    y[i] = a
  end
end

local function multiply_transposed(x, y, n)
  for i = 1, n do
    local a = 0.0
    for j = 1, n do a = a + x[j] * entry(j, i) end
    y[i] = a
  end
end

local n = 440
local u, v, t = {}, {}, {}
for i = 1, n do u[i] = 1.0 end
for _ = 1, 10 do
  multiply(u, t, n)
  multiply_transposed(t, v, n)
  multiply(v, t, n)
  multiply_transposed(t, u, n)
end
local vbv, vv = 0.0, 0.0
for i = 1, n do
  vbv, vv = vbv + u[i] * v[i], vv + v[i] * v[i]
end
assert(math.abs(math.sqrt(vbv / vv) - 1.2742) < 1e-4)
