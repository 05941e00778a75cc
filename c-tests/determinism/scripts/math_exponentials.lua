-- Leak: exp, log with every kind of base, and ^ (pow).
sum, product = 0, 1
function frame(n, input)
  local exp, log = math.exp, math.log
  for i = 1, 40 do
    local x = (input * i % 1000000007) / 1000003
    local y = (input * (i + 3) % 2000003 - 1000001) / 40009
    sum = sum + log(x + 1) + log(x + 1, 2) + log(x + 1, 10) + log(x + 2, 3) + exp(-x / 100)
    sum = sum * 0.5 + (x + 0.1) ^ (y / 20) % 1000
    product = product * (1 + exp(y) % 1) % 1e9 + 1
  end
  emit(exp(n), exp(-n), exp(n / 7), log(n), log(n, 2), log(n, 10), log(n / 1000), log(0), log(-1))
  emit(2 ^ n, 2 ^ -n, n ^ 0.5, n ^ 2, n ^ -1, (-n) ^ 3, (-n) ^ 0.5, 0.0 ^ -1, (-0.0) ^ -3,
    1.0000001 ^ n)
  emit((0 / 0) ^ 0, 1 ^ (0 / 0), math.huge ^ 0, 10 ^ (n - 500), 5e-324 ^ 0.5, log(8, 0), log(8, 1))
end
