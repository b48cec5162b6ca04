-- What is known of topics, by name.
local has_after, after, most = number(), text(), number()
if has_after == 0 then
  after = nil
end
local found = {}
for _, selector in ipairs(selection()) do
  for _, known in ipairs(topics_of(selector, after, most)) do
    found[#found + 1] = known
  end
end
table.sort(found, function(one, other)
  return one.name < other.name
end)
local page = {}
for index = 1, math.min(most, #found) do
  local known = found[index]
  page[#page + 1] = known.name
  for _, field in ipairs({ 'events', 'bytes', 'oldest', 'newest', 'ended' }) do
    page[#page + 1] = known[field] and digits(known[field]) or ''
  end
end
return answer(page)
