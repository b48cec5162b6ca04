-- Drops what is beyond the limits, of some topics behind a name. Says whether there may be more to do, and the last of
-- these topics.
local now, window, most_keys, after = time(), number(), number(), text()
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

-- The part of the memory of Redis from which on nothing is spared for hubs that are behind.
local SCARCE = 0.9

-- Topics that have nothing left.
local empty = {}
local function forget()
  begin(empty)
  for _, known in ipairs(empty) do
    log.forgotten = math.max(log.forgotten, known.dropped)
    log.forgotten_drops = math.max(log.forgotten_drops, known.drops)
    redis.call('ZREM', TOPICS, known.name)
    redis.call('ZREM', OLDEST, known.name)
    redis.call('DEL', TOPIC .. known.name)
  end
  save()
end

-- Whether Redis refuses what needs memory, or is near to it. Who may not ask does not know.
local function is_scarce()
  local told = redis.pcall('INFO', 'memory')
  local memory = type(told) == 'string' and told or ''
  local used, most = string.match(memory, 'used_memory:(%d+)'), string.match(memory, 'maxmemory:(%d+)')
  return used and most and tonumber(most) > 0 and tonumber(used) > SCARCE * most
end

local steps, last = STEPS, ''
local names = redis.call('ZRANGEBYLEX', TOPICS, after == '' and '-' or '(' .. after, '+', 'LIMIT', 0, MOST_TOPICS)
for _, name in ipairs(names) do
  local known = topic(name) or known_or_new(name)
  steps = trim_topic(known, limits_of(name), now, steps)
  if steps == 0 then
    break
  end
  if known.events == 0 then
    empty[#empty + 1] = known
  end
  last = name
end
local goes_on = #names == MOST_TOPICS or steps == 0
if not goes_on then
  steps = trim_total(total, now, steps, empty)
  goes_on = steps == 0
end
if #empty > 0 then
  forget()
end
local has_erased = bury_erased(steps) == 0
local has_keys = trim_keys(now, window, most_keys)
local has_dead
if is_scarce() then
  has_dead = prune(MOST_ENTRIES, 0, 0)
else
  has_dead = prune(MOST_ENTRIES, KEPT_DEAD, KEPT_DEAD_BYTES)
end
return answer((goes_on or has_erased or has_keys or has_dead) and 1 or 0, last)
