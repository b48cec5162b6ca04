-- What is known of a page of the topics of a selection, by name. Says up to which name that is, or nothing when these
-- were the last.
local has_after, after, most = number(), text(), number()
local names, through = page_of(selection(), has_after == 1 and after or nil)
local page = {}
for index = 1, math.min(most, #names) do
  local known = topic(names[index])
  if known then
    page[#page + 1] = known.name
    for _, field in ipairs({ 'events', 'bytes', 'oldest', 'newest', 'ended' }) do
      page[#page + 1] = known[field] and digits(known[field]) or ''
    end
  end
end
return answer(through or '', page)
