// The table of topics.

import { epochOf, learn } from './about.js'
import { topicsAddress } from './address.js'
import { ask } from './ask.js'
import { byId, element, say } from './dom.js'
import { follow, onFollow } from './follow.js'
import { bytes, joined, whole } from './text.js'
import { onToken } from './token.js'

const REFRESH_MS = 3000
/** A refresh takes at most this share of the time. */
const SHARE = 0.1
const PAGE_ROWS = 100
/** Where it filters, it looks at so many topics for one page. */
const LOOK_ROWS = 1000
const MOST_LOOKS = 10
const SETTLE_MS = 200

const filter = byId('filter')
const rows = new Map()

/** Behind which topics the pages up to the one on display begin. */
let begins = ['']
let next
let followed = null
let timer
let asking = new AbortController()

export function start() {
  filter.addEventListener('input', () => {
    begins = ['']
    schedule(SETTLE_MS)
  })
  byId('next').addEventListener('click', () => turn([...begins, next]))
  byId('previous').addEventListener('click', () => turn(begins.slice(0, -1)))
  document.addEventListener('visibilitychange', () => schedule(0))
  onToken(() => schedule(0))
  onFollow(topic => {
    followed = topic
    for (const [name, row] of rows) markFollowed(name, row)
    schedule(0)
  })
  schedule(0)
}

function turn(pages) {
  begins = pages
  byId('topics').querySelector('.scroll').scrollTop = 0
  schedule(0)
}

/** Asks again, when the page is seen; whatever is being asked is not waited for. */
function schedule(delay) {
  clearTimeout(timer)
  asking.abort()
  if (!document.hidden) timer = setTimeout(refresh, delay)
}

async function refresh() {
  asking = new AbortController()
  const { signal } = asking
  const begun = performance.now()
  try {
    const page = await load(begins.at(-1), filter.value.toLowerCase(), signal)
    if (!signal.aborted) show(page)
  } catch (problem) {
    // Whoever cannot be reached is said at the top of the page.
    if (!signal.aborted && problem.status > 0) say(byId('topics-note'), problem.message)
  }
  if (signal.aborted) return
  schedule(Math.max(REFRESH_MS, (performance.now() - begun) / SHARE))
}

/** A page of topics whose names have `text` in them, behind a name. */
async function load(after, text, signal) {
  const topics = []
  const limit = text ? LOOK_ROWS : PAGE_ROWS
  let more = after
  for (let look = 0; look < MOST_LOOKS && topics.length < PAGE_ROWS; look++) {
    const query = more ? { after: more, limit } : { limit }
    const page = await (await ask(topicsAddress(query), { signal })).json()
    topics.push(...page.topics.filter(({ topic }) => topic.toLowerCase().includes(text)))
    more = page.next
    if (more === undefined) break
  }
  const isCut = topics.length > PAGE_ROWS
  return { topics: topics.slice(0, PAGE_ROWS), next: isCut ? topics[PAGE_ROWS - 1].topic : more }
}

function show(page) {
  next = page.next
  const names = new Set(page.topics.map(({ topic }) => topic))
  for (const [name, row] of rows) if (!names.has(name)) remove(name, row)
  page.topics.forEach((topic, index) => place(rowOf(topic), index))
  showAround(page.topics)
  byId('known-topics').replaceChildren(...[...names].map(name => new Option('', name)))
  learn({ epoch: epochOf(page.topics[0]?.newest) })
}

function showAround(topics) {
  const none = filter.value ? 'No topic has that in its name.' : 'No topics yet. Publish to one: that makes it.'
  say(byId('topics-note'), topics.length > 0 ? '' : none)
  byId('pages').hidden = begins.length === 1 && next === undefined
  byId('previous').disabled = begins.length === 1
  byId('next').disabled = next === undefined
  say(byId('page-number'), `Page ${begins.length}`)
}

function remove(name, row) {
  rows.delete(name)
  row.remove()
}

/** A row that is where it belongs is not touched: it may have the focus. */
function place(row, index) {
  const body = byId('topic-rows')
  if (body.children[index] !== row) body.insertBefore(row, body.children[index] ?? null)
}

function rowOf({ topic, events, bytes: size, subscribers, all_subscribers: allSubscribers, ended }) {
  const row = rows.get(topic) ?? newRow(topic)
  const [, count, kept, streams] = row.cells
  // Without the log, only who follows is known.
  say(count, events === undefined ? '–' : whole(events))
  say(kept, size === undefined ? '–' : joined(bytes(size)))
  say(streams, whole(allSubscribers ?? subscribers))
  row.querySelector('.tag').hidden = !ended
  return row
}

function newRow(topic) {
  const row = element('tr')
  const button = element('button', 'link', topic)
  button.type = 'button'
  button.addEventListener('click', () => follow(topic))
  const tag = element('span', 'tag', 'ended')
  const name = element('th')
  name.scope = 'row'
  name.append(button, tag)
  row.append(name, element('td'), element('td'), element('td'))
  rows.set(topic, row)
  markFollowed(topic, row)
  return row
}

function markFollowed(name, row) {
  row.querySelector('button').ariaCurrent = name === followed ? 'true' : null
}
