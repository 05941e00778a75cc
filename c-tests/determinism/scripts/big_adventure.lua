-- A generator of stories: grammars in tables of strings, chosen by math.random and by pairs.
math.randomseed(2024)
grammar = {
  story = { "{hero} goes to the {place}. {event}",
    "In the {place} {hero} meets {monster}. {event}" },
  hero = { "Ada", "the old {animal}", "a {adjective} knight" },
  place = { "forest", "{adjective} castle", "cave of the {monster}" },
  monster = { "dragon", "{adjective} {animal}" },
  animal = { "wolf", "owl", "toad" },
  adjective = { "dark", "silver", "sleepy", "very {adjective}" },
  event = { "A fight begins: {fight}", "They talk about {animal}s. {story}", "Night falls." },
  fight = { "the {monster} wins.", "{hero} wins {gold} coins.", "nobody wins. {event}" },
}
log, counts, gold = {}, {}, 0
local function expand(text, depth)
  return (text:gsub("{(%w+)}", function(rule)
    if depth > 6 then return "..." end
    if rule == "gold" then
      gold = gold + math.random(100)
      return tostring(gold)
    end
    local choices = grammar[rule]
    return expand(choices[math.random(#choices)], depth + 1)
  end))
end
function frame(n, input)
  for i = 1, 5 do
    local story = expand("{story}", 0)
    log[(n * 5 + i) % 30 + 1] = story
    for word in story:gmatch "%a+" do counts[word:lower()] = (counts[word:lower()] or 0) + 1 end
  end
  local best, most = nil, 0
  for word, count in pairs(counts) do
    if count >= most then best, most = word, count end
  end
  favourite = best
  if n % 25 == 0 then table.insert(grammar.animal, 1, best) end
  if n % 200 == 0 then counts = {} end
  emit(favourite, most, log[n % 30 + 1])
end
