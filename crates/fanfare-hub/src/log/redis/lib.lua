-- What all scripts begin with: words for the keys, and for what they hold.
--
-- All keys begin alike, with a hash tag, so that a cluster keeps them together:
--
--   meta     hash: what is counted over all topics
--   topics   sorted set: the names of topics, by name
--   oldest   sorted set: topics by the position of the oldest event that they keep
--   t:NAME   hash: what is known of a topic
--   e:NAME   stream: the events of a topic; the first part of an id is the position. Those up to `dropped` of
--            the topic are no longer kept, but there for a while, for hubs that have not been told of them
--   order    stream: what has happened, in order: `e` for an event, `end` and `erased`, each with its topic.
--            What has no position of its own has a second part of the id that is not zero
--   dead     list: what of `order` and of events is no longer kept, as `id bytes NAME`
--   keys     hash: idempotency keys, with their time and answer
--   keyed    sorted set: idempotency keys by age

local NS = string.sub(KEYS[1], 1, -5)
local META, TOPICS, OLDEST = KEYS[1], NS .. 'topics', NS .. 'oldest'
local TOPIC, EVENTS, ORDER, DEAD = NS .. 't:', NS .. 'e:', NS .. 'order', NS .. 'dead'
local KEYS_USED, KEYED = NS .. 'keys', NS .. 'keyed'

-- What is there although it is no longer kept, for hubs that are behind: entries, and bytes of data.
local KEPT_DEAD, KEPT_DEAD_BYTES = 16384, 16777216
-- Steps of work that may as well be done later.
local STEPS = 1000

local COUNTS = {
  'newest', 'sub', 'time', 'events', 'bytes', 'forgotten', 'drops', 'forgotten_drops', 'uses', 'pruned',
  'dead_bytes'
}
local STATE = { 'events', 'bytes', 'newest', 'dropped', 'drops', 'oldest', 'ended' }

local argument = 0
local function text()
  argument = argument + 1
  return ARGV[argument]
end

-- An empty text is no number.
local function number()
  return tonumber(text())
end

local function limits()
  return { events = number(), age = number(), bytes = number() }
end

-- In full, however large.
local function digits(value)
  return string.format('%.0f', value)
end

local log = {}
for index, value in ipairs(redis.call('HMGET', META, unpack(COUNTS))) do
  log[COUNTS[index]] = tonumber(value) or 0
end

-- What names the log. Another one means that positions may have been given out twice.
local seed = redis.call('HGET', META, 'seed')

local function save()
  local values = {}
  for _, name in ipairs(COUNTS) do
    values[#values + 1] = name
    values[#values + 1] = digits(log[name])
  end
  redis.call('HSET', META, unpack(values))
end

local function answer(...)
  return { digits(log.newest), digits(log.sub), seed, ... }
end

-- What is known of a topic, or nil.
local function topic(name)
  local values = redis.call('HMGET', TOPIC .. name, unpack(STATE))
  if not values[1] then
    return nil
  end
  local known = { name = name }
  for index, field in ipairs(STATE) do
    known[field] = tonumber(values[index] or nil)
  end
  return known
end

local function save_topic(known)
  local values = {}
  for _, field in ipairs(STATE) do
    if known[field] then
      values[#values + 1] = field
      values[#values + 1] = digits(known[field])
    else
      redis.call('HDEL', TOPIC .. known.name, field)
    end
  end
  redis.call('HSET', TOPIC .. known.name, unpack(values))
  if known.oldest then
    redis.call('ZADD', OLDEST, digits(known.oldest), known.name)
  else
    redis.call('ZREM', OLDEST, known.name)
  end
end

-- It may be one that is forgotten, and then it has dropped events.
local function known_or_new(name)
  local known = topic(name)
  if not known then
    known = { name = name, events = 0, bytes = 0, newest = 0 }
    known.dropped, known.drops = log.forgotten, log.forgotten_drops
    redis.call('ZADD', TOPICS, 0, name)
  end
  return known
end

local function event(entry)
  local found = { id = entry[1], position = tonumber(string.match(entry[1], '^%d+')) }
  local fields = entry[2]
  for index = 1, #fields, 2 do
    found[fields[index]] = fields[index + 1]
  end
  return found
end

local function oldest_of(known)
  local first = digits(known.dropped + 1) .. '-0'
  local entries = redis.call('XRANGE', EVENTS .. known.name, first, '+', 'COUNT', 1)
  return entries[1] and event(entries[1])
end

local function bury(id, bytes, name)
  redis.call('RPUSH', DEAD, id .. ' ' .. digits(bytes) .. ' ' .. name)
  log.dead_bytes = log.dead_bytes + bytes
end

-- The event of a topic with an id.
local function at(name, id)
  local entries = redis.call('XRANGE', EVENTS .. name, id, id)
  return entries[1] and event(entries[1])
end

-- Something that happened to a topic and is no event.
local function happened(kind, name)
  log.sub = log.sub + 1
  local id = digits(log.newest) .. '-' .. digits(log.sub)
  redis.call('XADD', ORDER, id, kind, name)
  bury(id, 0, name)
end

-- Drops the oldest event of a topic if what it is counted with is beyond the limits; tells whether it was.
-- The topic is looked for only if it may be.
local function drop_beyond(limits, events, bytes, now, find)
  local over = (limits.events and events > limits.events) or (limits.bytes and bytes > limits.bytes)
  if not over and not limits.age then
    return false
  end
  local known = find()
  local first = oldest_of(known)
  if not over and now - tonumber(first.time) <= limits.age then
    return false
  end
  bury(first.id, #first.data, known.name)
  known.events, known.bytes = known.events - 1, known.bytes - #first.data
  log.events, log.bytes = log.events - 1, log.bytes - #first.data
  log.drops = log.drops + 1
  known.dropped, known.drops = first.position, log.drops
  local oldest = oldest_of(known)
  known.oldest = oldest and oldest.position
  save_topic(known)
  return true
end

-- Drops what is beyond a topic's limits, within so many steps. Returns how many are left.
local function trim_topic(known, limits, now, steps)
  local function find()
    return known
  end
  while known.events > 0 and steps > 0 and drop_beyond(limits, known.events, known.bytes, now, find) do
    steps = steps - 1
  end
  return steps
end

-- Drops the oldest of all that is beyond the limits.
local function trim_total(limits, now, steps)
  local function find()
    return topic(redis.call('ZRANGE', OLDEST, 0, 0)[1])
  end
  while log.events > 0 and steps > 0 and drop_beyond(limits, log.events, log.bytes, now, find) do
    steps = steps - 1
  end
  return steps
end

-- Forgets what is no longer kept, where no hub can be expected to need it.
local function prune()
  for _ = 1, STEPS do
    local first = redis.call('LINDEX', DEAD, 0)
    if not first or (redis.call('LLEN', DEAD) <= KEPT_DEAD and log.dead_bytes <= KEPT_DEAD_BYTES) then
      return
    end
    redis.call('LPOP', DEAD)
    local id, bytes, name = string.match(first, '^(%S+) (%d+) (.*)$')
    redis.call('XDEL', ORDER, id)
    if redis.call('XDEL', EVENTS .. name, id) == 1 and redis.call('XLEN', EVENTS .. name) == 0 then
      redis.call('DEL', EVENTS .. name)
    end
    log.dead_bytes = log.dead_bytes - bytes
    log.pruned = math.max(log.pruned, tonumber(string.match(id, '^%d+')))
  end
end

-- Forgets keys that are too many, or older than the window.
local function trim_keys(now, window, most)
  for _ = 1, STEPS do
    local first = redis.call('ZRANGE', KEYED, 0, 0)[1]
    if not first then
      return
    end
    local used = tonumber(string.match(redis.call('HGET', KEYS_USED, first), '^%d+'))
    if redis.call('ZCARD', KEYED) <= most and now - used <= window then
      return
    end
    redis.call('ZREM', KEYED, first)
    redis.call('HDEL', KEYS_USED, first)
  end
end

local function selection()
  local selectors = {}
  for _ = 1, number() do
    selectors[#selectors + 1] = { kind = text(), text = text() }
  end
  return selectors
end

local function begins_with(name, prefix)
  return string.sub(name, 1, #prefix) == prefix
end

-- The hub's own topics are selected by what names their `$` only.
local function is_selected(selectors, name)
  for _, selector in ipairs(selectors) do
    if selector.kind == 'topic' then
      if selector.text == name then
        return true
      end
    elseif begins_with(name, selector.text) and (not begins_with(name, '$') or begins_with(selector.text, '$')) then
      return true
    end
  end
  return false
end

-- The topics of a selector, behind a name if there is one, by name.
local function topics_of(selector, after, most)
  if selector.kind == 'topic' then
    local is_there = redis.call('EXISTS', TOPIC .. selector.text) == 1
    return is_there and (not after or selector.text > after) and { topic(selector.text) } or {}
  end
  local first = '[' .. selector.text
  if after and after >= selector.text then
    first = '(' .. after
  end
  local found = {}
  local last = selector.text == '' and '+' or '[' .. selector.text .. '\255'
  while #found < most do
    local names = redis.call('ZRANGEBYLEX', TOPICS, first, last, 'LIMIT', 0, STEPS)
    if #names == 0 then
      return found
    end
    for _, name in ipairs(names) do
      if #found < most and is_selected({ selector }, name) then
        found[#found + 1] = topic(name)
      end
    end
    first = '(' .. names[#names]
  end
  return found
end

-- Calls a function for each topic that is selected; tells whether all are selected by name, and known.
local function each_selected(selectors, call)
  local has_all = true
  for _, selector in ipairs(selectors) do
    local known = topics_of(selector, nil, math.huge)
    if selector.kind ~= 'topic' or #known == 0 then
      has_all = false
    end
    for _, one in ipairs(known) do
      call(one)
    end
  end
  return has_all
end

-- A hub that knows the log by another name is told so, and nothing is done for it.
local expected = text()
if expected ~= '' and expected ~= seed then
  return answer()
end
