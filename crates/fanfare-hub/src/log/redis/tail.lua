-- What has happened behind an id. Says whether events, and whether anything else of it, is no longer known; and how far
-- the log is, if that was all.
local position, sub, count, most_bytes = number(), number(), number(), number()
local behind = digits(position) .. '-' .. digits(sub)
local happened, bytes = {}, 0
for _, entry in ipairs(redis.call('XRANGE', ORDER, '(' .. behind, '+', 'COUNT', count)) do
  local kind, name = entry[2][1], entry[2][2]
  local found = kind == 'e' and at(name, entry[1])
  if found then
    bytes = bytes + #found.data
    happened[#happened + 1] =
      { entry[1], 'e', name, found.time, found.name or '', found.retry or '', found.data, entry[2][4] }
  else
    happened[#happened + 1] = { entry[1], kind == 'e' and 'dropped' or kind, name }
  end
  if bytes > most_bytes then
    break
  end
end
local has_missed_end = position < log.pruned_end or (position == log.pruned_end and sub < log.pruned_sub)
return answer(position < log.pruned and 1 or 0, has_missed_end and 1 or 0, digits(log.newest), digits(log.sub), happened)
