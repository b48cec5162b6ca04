-- Takes the report of a hub, unless there are too many, and says whether it did; and which others have reported within a
-- time, with the age of their reports, by the clock of Redis. What is the same as before is not written again: it
-- would go to the disk and to replicas each time.
local hub, within, report = text(), number(), text()
local now = shared_time()
local known, others = redis.call('ZRANGE', HUBS, 0, -1, 'WITHSCORES'), {}
for index = 1, #known, 2 do
  local other, age = known[index], now - known[index + 1]
  -- The clock may have been set back.
  if math.abs(age) > within then
    redis.call('ZREM', HUBS, other)
    redis.call('HDEL', REPORTS, other)
  elseif other ~= hub then
    others[#others + 1] = { other, digits(math.max(age, 0)), redis.call('HGET', REPORTS, other) or '' }
  end
end
if #others >= MOST_HUBS then
  return answer(0)
end
redis.call('ZADD', HUBS, digits(now), hub)
if redis.call('HGET', REPORTS, hub) ~= report then
  redis.call('HSET', REPORTS, hub, report)
end
for _, key in ipairs({ HUBS, REPORTS }) do
  redis.call('PEXPIRE', key, within)
end
return answer(1, others)
