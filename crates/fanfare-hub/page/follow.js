// Following a topic, or all that begin alike.

import { epochOf, learn } from './about.js'
import { followAddress, followCommand } from './address.js'
import { Command } from './command.js'
import { byId, say } from './dom.js'
import { EventList } from './events.js'
import { Stream } from './stream.js'
import { joined, short, whole } from './text.js'
import { onToken, token } from './token.js'

/** The rate is that of the last seconds. */
const RATE_SECONDS = 5
const EXAMPLE = 'news'

const topic = byId('follow-topic')
const from = byId('follow-from')
const last = byId('follow-last')
const pause = byId('pause')

const command = new Command(byId('follow-command'), 'follows the topic in a terminal')
const list = new EventList(byId('events'))
const stream = new Stream(id => followAddress(followed, id), { message: showEvent, gap: showGap, expired: showExpired }, showState)
const listeners = []

/** What is followed: `topic`, `from`, `last`. */
let followed = null
let count = 0
let newestId = ''
let counting
/** The counts of the last seconds. */
let counts = [0]

export function start() {
  byId('follow-form').addEventListener('submit', event => {
    event.preventDefault()
    begin()
  })
  byId('follow-form').addEventListener('input', showForm)
  byId('stop').addEventListener('click', stop)
  byId('clear').addEventListener('click', clear)
  pause.addEventListener('click', () => setPaused(pause.ariaPressed !== 'true'))
  addEventListener('hashchange', readHash)
  onToken(() => {
    showForm()
    if (followed) stream.open({ goOn: true })
  })
  setInterval(showRate, 1000)
  showForm()
  readHash()
}

/** Follows a topic from where the form says. */
export function follow(name) {
  topic.value = name
  showForm()
  begin()
}

/** Calls `listener` with each topic or pattern that is followed from now on, or `null` at the end. */
export function onFollow(listener) {
  listeners.push(listener)
}

function begin() {
  followed = form()
  clear()
  setPaused(false)
  history.replaceState(null, '', hashOf(followed))
  stream.open()
  tell()
}

function stop() {
  stream.close()
  showState('stopped', 'Stopped')
  history.replaceState(null, '', location.pathname + location.search)
  end()
}

function end() {
  followed = null
  setPaused(false)
  tell()
}

function tell() {
  byId('stop').disabled = !followed
  pause.disabled = !followed
  for (const listener of listeners) listener(followed?.topic ?? null)
}

function form() {
  return { topic: topic.value, from: from.value, last: last.value }
}

function showForm() {
  const isLast = from.value === 'last'
  byId('follow-last-field').hidden = !isLast
  last.disabled = !isLast
  command.show(followCommand({ ...form(), topic: topic.value || EXAMPLE }, token() !== ''))
}

/** The address of the page says what it follows, so that it can be reloaded, kept and shared. */
function hashOf({ topic, from, last }) {
  const begin = from === 'last' ? { last } : { from }
  return `#${new URLSearchParams({ follow: topic, ...begin })}`
}

function readHash() {
  const hash = new URLSearchParams(location.hash.slice(1))
  if (!hash.get('follow')) return
  from.value = ['earliest', 'latest'].find(name => name === hash.get('from')) ?? 'last'
  if (/^[1-9]\d{0,8}$/.test(hash.get('last'))) last.value = hash.get('last')
  follow(hash.get('follow'))
}

function showState(state, text) {
  const badge = byId('follow-state')
  badge.hidden = false
  badge.dataset.state = state
  say(badge, text)
  say(byId('events-note'), state === 'open' ? 'No events yet. What is published shows up here.' : '')
  if (state === 'ended') {
    list.remark('The topic has ended. Nothing comes after this.', 'over')
    end()
  }
}

function showEvent(event) {
  const { topic, event: name, data, time } = opened(event)
  const isPattern = followed?.topic.endsWith('*')
  list.add({ time: new Date(time), topic: isPattern ? topic : undefined, name, id: event.lastEventId, data })
  newestId = event.lastEventId
  count++
  counting ??= requestAnimationFrame(showCount)
}

/** What is in the envelope; of an event without one, what there is. */
function opened({ data, type }) {
  try {
    const envelope = JSON.parse(data)
    const isOne = ['topic', 'event', 'data'].every(part => typeof envelope[part] === 'string')
    if (isOne && Number.isFinite(envelope.time)) return envelope
  } catch {
    // It is no JSON.
  }
  return { topic: followed?.topic, event: type, data, time: Date.now() }
}

function showGap({ data }) {
  list.remark(gapText(JSON.parse(data)), 'gap')
}

function showExpired() {
  list.remark('The token has expired here. With another one it goes on where it was.', 'over')
}

function gapText({ reason, missed, resumed_from: resumedFrom }) {
  const after = resumedFrom ? ` It goes on after ${resumedFrom}.` : ''
  if (reason === 'lagged') {
    const what = missed > 0 ? `${whole(missed)} events are` : 'Events are'
    return `${what} missing here: this page was too slow.${after}`
  }
  if (reason === 'expired') return `Events are missing here: they are no longer kept.${after}`
  if (reason === 'lost') return 'Events may be missing here: the hub could not have them from its upstream.'
  return `Events may be missing here: the hub has another log than before.${after}`
}

function clear() {
  list.clear()
  count = 0
  counts = [0]
  showCount()
  showRate()
}

function setPaused(isPaused) {
  pause.ariaPressed = `${isPaused}`
  list.pause(isPaused)
  showCount()
}

function showCount() {
  counting = undefined
  learn({ epoch: epochOf(newestId) })
  say(byId('event-count'), whole(count))
  byId('clear').disabled = count === 0
  const isPaused = pause.ariaPressed === 'true'
  say(pause, isPaused ? `Resume${list.waiting > 0 ? ` (${whole(list.waiting)})` : ''}` : 'Pause')
}

function showRate() {
  counts = [...counts, count].slice(-RATE_SECONDS - 1)
  const rate = (count - counts[0]) / (counts.length - 1)
  say(byId('event-rate'), count > 0 ? `, ${joined(short(rate))}/s` : '')
}
