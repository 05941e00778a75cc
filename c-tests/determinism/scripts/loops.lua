-- Numeric loops with float steps: how often they run, and what adds up.
function frame(n, input)
  local count, sum = 0, 0.0
  for x = 0, 1, 1 / (n % 40 + 3) do count, sum = count + 1, sum + x end
  for x = 1, -1, -0.1 do count, sum = count + 1, sum * 0.9 + x end
  for x = input % 1000, input % 1000 + 3.7 do count, sum = count + 1, sum + x end
  for i = 10, 1, -(n % 4 + 1) do count, sum = count + i, sum - i end
  counted, summed = count, sum
  harmonic, alternating, squares = 0, 0, 0
  for i = 1, 200 do
    harmonic = harmonic + 1 / i
    alternating = alternating + (i % 2 == 0 and -1 or 1) / (2 * i - 1)
    squares = (squares + i * i * (n / 7)) % 1e6
  end
  fused = n / 3 * (input / 7) + n / 11
  emit(counted, summed, fused, harmonic * n / 3 - alternating * n / 7, 1e16 + n - 1e16)
end
