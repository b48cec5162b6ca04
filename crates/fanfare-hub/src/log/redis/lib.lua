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
--   erased   list: what is to be moved to `dead`, as `first last NAME`
--   keys     hash: idempotency keys, with their time and answer
--   keyed    sorted set: idempotency keys by age
--   hubs     sorted set: hubs by the time of their newest report
--   reports  hash: what they reported
--
-- A script may fail half-way. What it changes counts when it has written `meta`, and until then `undo` there says
-- how to take it back, which the next script does first.
--
-- Nobody else is served while a script runs. So none looks at more than a few hundred things; who asks for more asks
-- again.

local NS = string.sub(KEYS[1], 1, -5)
local META, TOPICS, OLDEST = KEYS[1], NS .. 'topics', NS .. 'oldest'
local TOPIC, EVENTS, ORDER, DEAD, ERASED = NS .. 't:', NS .. 'e:', NS .. 'order', NS .. 'dead', NS .. 'erased'
local KEYS_USED, KEYED = NS .. 'keys', NS .. 'keyed'
local HUBS, REPORTS = NS .. 'hubs', NS .. 'reports'

-- What is there although it is no longer kept, for hubs that are behind, while Redis has memory: entries, and bytes
-- of data.
local KEPT_DEAD, KEPT_DEAD_BYTES = 16384, 16777216
-- Of these, how many are forgotten together.
local PRUNED_TOGETHER = 64
-- Topics, entries and bytes of data that a script looks at.
local MOST_TOPICS, MOST_ENTRIES, MOST_BYTES = 200, 300, 1048576
-- Steps of work that may as well be done later.
local STEPS = 100
-- Hubs that may report.
local MOST_HUBS = 1000

local COUNTS = {
  'newest', 'sub', 'time', 'events', 'bytes', 'forgotten', 'drops', 'forgotten_drops', 'uses', 'pruned',
  'pruned_end', 'pruned_sub', 'dead_bytes'
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

-- Milliseconds since 1970, by the clock that all hubs share.
local function shared_time()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- The same, where none is told.
local function time()
  return number() or shared_time()
end

local function limits()
  return { events = number(), age = number(), bytes = number() }
end

-- In full, however large.
local function digits(value)
  return string.format('%.0f', value)
end

local function id_of(position)
  return digits(position) .. '-0'
end

local function position_of(id)
  return tonumber(string.match(id, '^%d+'))
end

local log = {}
for index, value in ipairs(redis.call('HMGET', META, unpack(COUNTS))) do
  log[COUNTS[index]] = tonumber(value) or 0
end

-- What names the log. Another one means that positions may have been given out twice.
local seed = redis.call('HGET', META, 'seed')

-- Takes note of how things are before they are changed: topics, and an idempotency key if one is used.
local function begin(topics, key)
  local before = { topics = {}, dead = redis.call('LLEN', DEAD), erased = redis.call('LLEN', ERASED) }
  for _, known in ipairs(topics) do
    before.topics[#before.topics + 1] = { known.name, known.stored or false }
  end
  if key then
    before.key = { key, redis.call('HGET', KEYS_USED, key), redis.call('ZSCORE', KEYED, key) }
  end
  redis.call('HSET', META, 'undo', cmsgpack.pack(before))
end

-- Writes what is counted. From here on all that was changed counts.
local function save()
  local values = { 'undo', '' }
  for _, name in ipairs(COUNTS) do
    values[#values + 1] = name
    values[#values + 1] = digits(log[name])
  end
  redis.call('HSET', META, unpack(values))
end

-- Leaves so many entries of a list.
local function shorten(list, length)
  if length == 0 then
    redis.call('DEL', list)
  else
    redis.call('LTRIM', list, 0, length - 1)
  end
end

-- Takes the entries of a stream behind an id out, so that these ids may be given again.
local function cut(stream, last)
  while true do
    local entries = redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', STEPS)
    if #entries == 0 then
      break
    end
    for _, entry in ipairs(entries) do
      redis.call('XDEL', stream, entry[1])
    end
  end
  if redis.call('XLEN', stream) == 0 then
    redis.call('DEL', stream)
  else
    redis.call('XSETID', stream, last)
  end
end

local function take_back_topic(name, stored)
  cut(EVENTS .. name, id_of(log.newest))
  redis.call('DEL', TOPIC .. name)
  redis.call('ZREM', OLDEST, name)
  if not stored then
    redis.call('ZREM', TOPICS, name)
    return
  end
  local values = {}
  for index, field in ipairs(STATE) do
    values[#values + 1] = field
    values[#values + 1] = stored[index] or ''
    if field == 'oldest' and tonumber(stored[index] or '') then
      redis.call('ZADD', OLDEST, stored[index], name)
    end
  end
  redis.call('ZADD', TOPICS, 0, name)
  redis.call('HSET', TOPIC .. name, unpack(values))
end

local function take_back_key(key, used, score)
  if used then
    redis.call('HSET', KEYS_USED, key, used)
    redis.call('ZADD', KEYED, score, key)
  else
    redis.call('HDEL', KEYS_USED, key)
    redis.call('ZREM', KEYED, key)
  end
end

-- Takes back what a script has left half-done.
local function take_back(before)
  for _, one in ipairs(before.topics) do
    take_back_topic(unpack(one))
  end
  cut(ORDER, digits(log.newest) .. '-' .. digits(log.sub))
  shorten(DEAD, before.dead)
  shorten(ERASED, before.erased)
  if before.key then
    take_back_key(unpack(before.key))
  end
  save()
end

local undo = redis.call('HGET', META, 'undo')
if undo and undo ~= '' then
  take_back(cmsgpack.unpack(undo))
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
  local known = { name = name, stored = values }
  for index, field in ipairs(STATE) do
    known[field] = tonumber(values[index] or '')
  end
  return known
end

local function save_topic(known)
  local values, stored = {}, {}
  for index, field in ipairs(STATE) do
    stored[index] = known[field] and digits(known[field]) or ''
    values[#values + 1] = field
    values[#values + 1] = stored[index]
  end
  if not known.stored then
    redis.call('ZADD', TOPICS, 0, known.name)
  end
  known.stored = stored
  redis.call('HSET', TOPIC .. known.name, unpack(values))
  if known.oldest then
    redis.call('ZADD', OLDEST, digits(known.oldest), known.name)
  else
    redis.call('ZREM', OLDEST, known.name)
  end
end

-- It may be one that is forgotten, and then it has dropped events.
local function known_or_new(name)
  return topic(name)
    or { name = name, events = 0, bytes = 0, newest = 0, dropped = log.forgotten, drops = log.forgotten_drops }
end

local function event(entry)
  local found = { id = entry[1], position = position_of(entry[1]), data = '', time = '0' }
  local fields = entry[2]
  for index = 1, #fields, 2 do
    found[fields[index]] = fields[index + 1]
  end
  return found
end

-- How many events of a topic to ask for, when most are as large as the others.
local function count_of(known, most, most_bytes)
  local size = known.events > 0 and known.bytes / known.events or 0
  return math.max(1, math.min(most, math.floor(most_bytes / math.max(size, 1))))
end

local function bury(found, name)
  redis.call('RPUSH', DEAD, found.id .. ' ' .. digits(#found.data) .. ' ' .. name)
  log.dead_bytes = log.dead_bytes + #found.data
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
  bury({ id = id, data = '' }, name)
end

-- Takes the oldest event out of what is counted.
local function uncount(known, found)
  known.events, known.bytes = known.events - 1, known.bytes - #found.data
  log.events, log.bytes = log.events - 1, log.bytes - #found.data
  log.drops = log.drops + 1
  known.dropped, known.drops = found.position, log.drops
end

-- What a topic is said to have is not there: somebody else has taken it away.
local function uncount_lost(known)
  log.events, log.bytes = log.events - known.events, log.bytes - known.bytes
  log.drops = log.drops + 1
  known.dropped, known.drops = math.max(known.newest, known.dropped), log.drops
  known.events, known.bytes, known.oldest = 0, 0, nil
end

-- Drops the oldest events of a topic, so many at most and none behind an id, while what they are counted with is
-- beyond the limits. Returns how many.
local function drop_oldest(known, counted, limits, now, last, most)
  local function is_over()
    return (limits.events and counted.events > limits.events) or (limits.bytes and counted.bytes > limits.bytes)
  end
  if known.events == 0 or not (is_over() or limits.age) then
    return 0
  end
  local entries = redis.call('XRANGE', EVENTS .. known.name, id_of(known.dropped + 1), '+', 'COUNT', most + 1)
  local dropped = {}
  for index = 1, math.min(most, #entries) do
    local found = event(entries[index])
    local is_old = limits.age and now - tonumber(found.time) > limits.age
    if found.position > last or not (is_over() or is_old) then
      break
    end
    uncount(known, found)
    dropped[#dropped + 1] = found
  end
  if #entries == 0 then
    uncount_lost(known)
  elseif #dropped == 0 then
    return 0
  else
    local left = entries[#dropped + 1]
    known.oldest = left and position_of(left[1])
  end
  begin({ known })
  for _, found in ipairs(dropped) do
    bury(found, known.name)
  end
  save_topic(known)
  save()
  return #dropped
end

-- Drops what is beyond a topic's limits, within so many steps. Returns how many are left.
local function trim_topic(known, limits, now, steps)
  local most = 1
  while steps > 0 do
    most = math.min(most, steps)
    local count = drop_oldest(known, known, limits, now, math.huge, count_of(known, most, MOST_BYTES))
    if count == 0 then
      break
    end
    steps, most = steps - count, most * 4
  end
  return steps
end

-- Drops the oldest of all that is beyond the limits. Topics of which nothing is left are put into a table.
local function trim_total(limits, now, steps, emptied)
  if not (limits.events or limits.bytes or limits.age) then
    return steps
  end
  while steps > 0 and log.events > 0 do
    local oldest = redis.call('ZRANGE', OLDEST, 0, 1, 'WITHSCORES')
    if not oldest[1] then
      return steps
    end
    local known, dropped = topic(oldest[1]), 1
    if known and known.events > 0 then
      local last = (tonumber(oldest[4]) or math.huge) - 1
      dropped = drop_oldest(known, log, limits, now, last, count_of(known, math.min(steps, 16), MOST_BYTES))
    else
      redis.call('ZREM', OLDEST, oldest[1])
    end
    if known and known.events == 0 then
      emptied[#emptied + 1] = known
    elseif dropped == 0 then
      return steps
    end
    steps = steps - math.max(dropped, 1)
  end
  return steps
end

-- Moves what was erased to what is no longer kept, within so many steps. Returns how many are left.
local function bury_erased(steps)
  while steps > 0 do
    local entry = redis.call('LINDEX', ERASED, 0)
    if not entry then
      break
    end
    local first, last, name = string.match(entry, '^(%d+) (%d+) (.*)$')
    local entries = redis.call('XRANGE', EVENTS .. name, first, last, 'COUNT', math.min(steps, 10))
    begin({})
    for _, one in ipairs(entries) do
      bury(event(one), name)
    end
    if #entries == 0 then
      redis.call('LPOP', ERASED)
    else
      local next = position_of(entries[#entries][1]) + 1
      redis.call('LSET', ERASED, 0, digits(next) .. ' ' .. last .. ' ' .. name)
    end
    save()
    steps = steps - math.max(#entries, 1)
  end
  return steps
end

-- Takes note that nobody can be told of an entry any more.
local function note_pruned(id)
  local position, sub = string.match(id, '^(%d+)-(%d+)$')
  position, sub = tonumber(position), tonumber(sub)
  log.pruned = math.max(log.pruned, position)
  if sub > 0 and (position > log.pruned_end or (position == log.pruned_end and sub > log.pruned_sub)) then
    log.pruned_end, log.pruned_sub = position, sub
  end
end

local function delete_events(name, ids)
  redis.call('XDEL', EVENTS .. name, unpack(ids))
  if redis.call('XLEN', EVENTS .. name) == 0 then
    redis.call('DEL', EVENTS .. name)
  end
end

-- Forgets what is no longer kept, but for so many entries and bytes of data, for hubs that are behind. Tells whether
-- there may be more.
local function prune(steps, kept, kept_bytes)
  local excess = redis.call('LLEN', DEAD) - kept
  if excess < PRUNED_TOGETHER and log.dead_bytes <= kept_bytes then
    return false
  end
  local ids, of_topics, bytes = {}, {}, 0
  for index, dead in ipairs(redis.call('LRANGE', DEAD, 0, steps - 1)) do
    if index > excess and log.dead_bytes - bytes <= kept_bytes then
      break
    end
    local id, size, name = string.match(dead, '^(%S+) (%d+) (.*)$')
    note_pruned(id)
    bytes, ids[index] = bytes + tonumber(size), id
    of_topics[name] = of_topics[name] or {}
    table.insert(of_topics[name], id)
  end
  if #ids == 0 then
    return false
  end
  -- First: who is behind is told so even if it is only begun.
  save()
  redis.call('XDEL', ORDER, unpack(ids))
  for name, of_topic in pairs(of_topics) do
    delete_events(name, of_topic)
  end
  redis.call('LTRIM', DEAD, #ids, -1)
  log.dead_bytes = log.dead_bytes - bytes
  save()
  return #ids == steps
end

-- The answer that was given to a key, if it is still known.
local function answer_to(key, now, window, most)
  local used = redis.call('HGET', KEYS_USED, key)
  local rank = used and redis.call('ZRANK', KEYED, key)
  local time, last = string.match(used or '', '^(%d+) (%d+)$')
  if rank and now - tonumber(time) <= window and redis.call('ZCARD', KEYED) - rank <= most then
    return last
  end
end

-- Forgets keys that are too many, or older than the window. Tells whether there may be more.
local function trim_keys(now, window, most)
  local excess = redis.call('ZCARD', KEYED) - most
  local oldest = redis.call('ZRANGE', KEYED, 0, STEPS - 1)
  for index, key in ipairs(oldest) do
    local used = position_of(redis.call('HGET', KEYS_USED, key) or '0')
    if index > excess and now - used <= window then
      return false
    end
    redis.call('HDEL', KEYS_USED, key)
    redis.call('ZREM', KEYED, key)
  end
  return #oldest == STEPS
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

-- By bytes, whatever the server's locale is.
local function is_before(one, other)
  for index = 1, math.min(#one, #other) do
    local a, b = string.byte(one, index), string.byte(other, index)
    if a ~= b then
      return a < b
    end
  end
  return #one < #other
end

-- Names of topics behind a name that may be of a selector, by name; and whether there may be more.
local function names_of(selector, after, most)
  local first = '[' .. selector.text
  if selector.kind == 'topic' then
    local is_there = redis.call('EXISTS', TOPIC .. selector.text) == 1
    return is_there and (not after or is_before(after, selector.text)) and { selector.text } or {}, false
  end
  if after and not is_before(after, selector.text) then
    first = '(' .. after
  end
  local last = selector.text == '' and '+' or '[' .. selector.text .. '\255'
  local names = redis.call('ZRANGEBYLEX', TOPICS, first, last, 'LIMIT', 0, most)
  return names, #names == most
end

-- The names of a page of the topics of a selection, behind a name if there is one, by name. Where there may be more,
-- up to which name this is.
local function page_of(selectors, after)
  local names, through = {}, nil
  for _, selector in ipairs(selectors) do
    local found, is_cut = names_of(selector, after, math.max(10, math.floor(MOST_TOPICS / #selectors)))
    local last = found[#found]
    if is_cut and (not through or is_before(last, through)) then
      through = last
    end
    for _, name in ipairs(found) do
      if is_selected({ selector }, name) then
        names[#names + 1] = name
      end
    end
  end
  if #selectors > 1 then
    table.sort(names, is_before)
  end
  local page = {}
  for _, name in ipairs(names) do
    if through and is_before(through, name) then
      break
    end
    page[#page + 1] = name
  end
  return page, through
end

-- A hub that knows the log by another name is told so, and nothing is done for it.
local expected = text()
if expected ~= '' and expected ~= seed then
  return answer()
end
