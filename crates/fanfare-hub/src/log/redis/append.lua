-- Appends a batch, all of it or nothing.
local now, window, most_keys, key, nonce = number(), number(), number(), text(), text()
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
trim_keys(log.time, window, most_keys)
local used = key ~= '' and redis.call('HGET', KEYS_USED, key)
if used then
  save()
  return answer('repeated', string.match(used, ' (%d+)$'))
end
local names = {}
for _, new in ipairs(events) do
  names[#names + 1] = new.topic
end
for _, name in ipairs(ends) do
  names[#names + 1] = name
end
for _, name in ipairs(names) do
  if redis.call('HEXISTS', TOPIC .. name, 'ended') == 1 then
    save()
    return answer('ended', name)
  end
end

for _, new in ipairs(events) do
  local known = known_or_new(new.topic)
  log.newest, log.sub = log.newest + 1, 0
  local id = digits(log.newest) .. '-0'
  local fields = { 'time', digits(log.time), 'data', new.data }
  if new.name ~= '' then
    fields[#fields + 1], fields[#fields + 2] = 'name', new.name
  end
  if new.retry ~= '' then
    fields[#fields + 1], fields[#fields + 2] = 'retry', new.retry
  end
  redis.call('XADD', EVENTS .. new.topic, id, unpack(fields))
  redis.call('XADD', ORDER, id, 'e', new.topic, 'nonce', nonce)
  known.events, known.bytes = known.events + 1, known.bytes + #new.data
  known.newest, known.oldest = log.newest, known.oldest or log.newest
  log.events, log.bytes = log.events + 1, log.bytes + #new.data
  save_topic(known)
  trim_topic(known, new.limits, log.time, STEPS)
end
for _, name in ipairs(ends) do
  local known = known_or_new(name)
  known.ended = log.newest
  save_topic(known)
  happened('end', name)
end
if key ~= '' then
  log.uses = log.uses + 1
  redis.call('HSET', KEYS_USED, key, digits(log.time) .. ' ' .. digits(log.newest))
  redis.call('ZADD', KEYED, digits(log.uses), key)
end
trim_total(total, log.time, STEPS)
trim_keys(log.time, window, most_keys)
prune()
save()
return answer('appended', digits(log.newest))
