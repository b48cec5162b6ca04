-- Drops what is beyond the limits, of some topics behind a name. Answers the last of these, or nothing when
-- all have been looked at.
local now, window, most_keys, after = number(), number(), number(), text()
local total, rules = limits(), {}
for _ = 1, number() do
  rules[#rules + 1] = { selector = { kind = text(), text = text() }, limits = limits() }
end
local function limits_of(name)
  for _, rule in ipairs(rules) do
    if is_selected({ rule.selector }, name) then
      return rule.limits
    end
  end
  return {}
end

local steps = STEPS
local first = after == '' and '-' or '(' .. after
local names = redis.call('ZRANGEBYLEX', TOPICS, first, '+', 'LIMIT', 0, 100)
local last = ''
for _, name in ipairs(names) do
  local known = topic(name)
  steps = trim_topic(known, limits_of(name), now, steps)
  if steps == 0 then
    break
  end
  last = name
end
local goes_on = #names == 100 or steps == 0
if not goes_on then
  goes_on = trim_total(total, now, steps) == 0
end
trim_keys(now, window, most_keys)
for _, name in ipairs(names) do
  local known = topic(name)
  if known.events == 0 then
    log.forgotten = math.max(log.forgotten, known.dropped)
    log.forgotten_drops = math.max(log.forgotten_drops, known.drops)
    redis.call('ZREM', TOPICS, name)
    redis.call('DEL', TOPIC .. name)
  end
end
prune()
save()
return answer(goes_on and 1 or 0, last)
