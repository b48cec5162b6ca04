-- Appends a batch, all of it or nothing.
local now, window, most_keys, key, nonce, most_topics = time(), number(), number(), text(), text(), number()
local total = limits()
local events, ends = {}, {}
for _ = 1, number() do
  events[#events + 1] =
    { topic = text(), name = text(), retry = text(), data = text(), limits = limits() }
end
for _ = 1, number() do
  ends[#ends + 1] = text()
end

log.time = math.max(log.time, now)
local given = key ~= '' and answer_to(key, log.time, window, most_keys)
if given then
  save()
  return answer('repeated', given)
end

local topics, by_name, new = {}, {}, 0
local function look_up(name, limits)
  local known = by_name[name]
  if not known then
    known = known_or_new(name)
    topics[#topics + 1], by_name[name] = known, known
    new = new + (known.stored and 0 or 1)
  end
  known.limits = known.limits or limits
end
for _, one in ipairs(events) do
  look_up(one.topic, one.limits)
end
for _, name in ipairs(ends) do
  look_up(name)
end
for _, known in ipairs(topics) do
  if known.ended then
    save()
    return answer('ended', known.name)
  end
end
if new > 0 and redis.call('ZCARD', TOPICS) + new > most_topics then
  save()
  return answer('full')
end

begin(topics, key ~= '' and key)
for _, one in ipairs(events) do
  local known = by_name[one.topic]
  log.newest, log.sub = log.newest + 1, 0
  local id = id_of(log.newest)
  local fields = { 'time', digits(log.time), 'data', one.data }
  if one.name ~= '' then
    fields[#fields + 1], fields[#fields + 2] = 'name', one.name
  end
  if one.retry ~= '' then
    fields[#fields + 1], fields[#fields + 2] = 'retry', one.retry
  end
  redis.call('XADD', EVENTS .. one.topic, id, unpack(fields))
  redis.call('XADD', ORDER, id, 'e', one.topic, 'nonce', nonce)
  known.events, known.bytes = known.events + 1, known.bytes + #one.data
  known.newest, known.oldest = log.newest, known.oldest or log.newest
  log.events, log.bytes = log.events + 1, log.bytes + #one.data
end
for _, name in ipairs(ends) do
  by_name[name].ended = log.newest
  happened('end', name)
end
for _, known in ipairs(topics) do
  save_topic(known)
end
if key ~= '' then
  log.uses = log.uses + 1
  redis.call('HSET', KEYS_USED, key, digits(log.time) .. ' ' .. digits(log.newest))
  redis.call('ZADD', KEYED, digits(log.uses), key)
end
save()

-- It is appended. What fails from here on is left to those who trim.
local appended = answer('appended', digits(log.newest))
pcall(function()
  local steps = STEPS + #events
  for _, known in ipairs(topics) do
    steps = trim_topic(known, known.limits or {}, log.time, steps)
  end
  bury_erased(trim_total(total, log.time, steps, {}))
  trim_keys(log.time, window, most_keys)
  -- At least as much as is dropped.
  for _ = 0, 2 * #events / MOST_ENTRIES do
    if not prune(MOST_ENTRIES, KEPT_DEAD, KEPT_DEAD_BYTES) then
      break
    end
  end
end)
return appended
