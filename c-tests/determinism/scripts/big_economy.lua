-- Traders, goods and contracts: closures, weak caches, sorting by computed keys, texts of money.
goods = { "iron", "corn", "silk", "salt" }
traders, ledger, prices = {}, {}, {}
cache = setmetatable({}, { __mode = "k" })
for i = 1, 25 do
  traders[i] = { name = "trader " .. i, gold = 100.0, stock = {}, greed = 1 + math.sin(i) / 10 }
  for j, g in ipairs(goods) do traders[i].stock[g] = (i * j) % 9 end
end
function frame(n, input)
  for i, g in ipairs(goods) do
    local stock = 0
    for _, t in ipairs(traders) do stock = stock + t.stock[g] end
    prices[g] = 10 * math.exp(-stock / 100) + i + math.log(n + 1) / 10
  end
  local contracts = {}
  for i, t in ipairs(traders) do
    local g = goods[(input >> i) % #goods + 1]
    local price = prices[g] * t.greed
    contracts[#contracts + 1] = { seller = t, good = g, price = price, run = function(buyer)
      if buyer.gold < price or t.stock[g] == 0 or buyer == t then return false end
      buyer.gold, t.gold = buyer.gold - price, t.gold + price
      t.stock[g], buyer.stock[g] = t.stock[g] - 1, buyer.stock[g] + 1
      return true
    end }
  end
  table.sort(contracts, function(a, b) return a.price < b.price end)
  for i, c in ipairs(contracts) do
    local buyer = traders[(n + i * 7) % #traders + 1]
    if c.run(buyer) then
      ledger[#ledger % 50 + 1] = ("%s buys %s from %s for %.2f"):format(buyer.name, c.good,
        c.seller.name, c.price)
      cache[c] = { c.good, n }
    end
  end
  local cached, total = 0, 0
  for _, entry in pairs(cache) do cached = cached + entry[2] end
  local good = goods[n % 4 + 1]
  for _, t in ipairs(traders) do
    total = total + t.gold
    t.stock[good] = (t.stock[good] + 1) % 20
  end
  emit(cached, total, ledger[#ledger], ("%.10f"):format(prices.silk))
end
