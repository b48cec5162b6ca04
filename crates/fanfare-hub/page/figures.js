// The hub's own figures, from its topic `$stats`: JSON, once a second. Counters only rise, from the
// hub's start on; this page makes rates of them. A figure that is missing has no card.
//
//   time               milliseconds since 1970
//   subscribers        open streams
//   gaps               told to subscribers, since the start
//   published_events   counters
//   delivered_events
//   delivered_bytes
//   topics             in the log
//   log_events
//   log_bytes          of data
//   log_disk_bytes     on disk, where there is one
//   memory             bytes, resident
//   hubs               that share the log
//   epoch, version     texts
//   uptime             seconds

import { learn } from './about.js'
import { statsAddress } from './address.js'
import { Card } from './card.js'
import { byId } from './dom.js'
import { Stream } from './stream.js'
import { bytes } from './text.js'
import { onToken } from './token.js'

const KEPT_SECONDS = 301
/** For so long a page that nobody sees goes on drawing. */
const HIDDEN_MS = 60_000

// `value` is shown as it is, of `counter` the rate; `text` makes a figure and its unit of it, to which
// `unit` is added. `smallestSpan` and `fromZero` are the chart's.
const PEOPLE = { color: '--people', smallestSpan: 4, fromZero: true }
const EVENTS = { color: '--events', smallestSpan: 4, fromZero: true, unit: '/s' }
const FIGURES = [
  { title: 'Subscribers', value: stats => stats.subscribers, ...PEOPLE },
  { title: 'Published', counter: stats => stats.published_events, ...EVENTS },
  { title: 'Delivered', counter: stats => stats.delivered_events, ...EVENTS },
  { title: 'Sent', counter: stats => stats.delivered_bytes, text: bytes, ...EVENTS, smallestSpan: 1024 },
  { title: 'Topics', value: stats => stats.topics, ...PEOPLE },
  { title: 'Events in the log', value: stats => stats.log_events, color: '--log', smallestSpan: 10 },
  { title: 'Size of the log', value: sizeOfLog, text: bytes, color: '--log', smallestSpan: 4096 },
  { title: 'Memory', value: stats => stats.memory, text: bytes, color: '--other', smallestSpan: 4 * 1024 * 1024 },
  // In the place of the memory, which not every hub can tell.
  { title: 'Gaps', value: gapsIfRoom, color: '--other', smallestSpan: 4, fromZero: true },
]

const series = FIGURES.map(figure => ({ ...figure, card: new Card(figure), values: [] }))
const times = []
/** The report before, if the next may be compared with it. */
let before = null
let hiding
let drawing

const stream = new Stream(statsAddress, { message: take }, showState)

export function start() {
  byId('figures').append(...series.map(({ card }) => card.box))
  for (const { card, title } of series) {
    card.start()
    card.box.hidden = title === 'Memory'
  }
  onToken(() => stream.open())
  document.addEventListener('visibilitychange', rest)
  stream.open()
}

/** A stream keeps one of the few connections that a browser opens to a server: not for nobody. */
function rest() {
  if (document.hidden) {
    hiding = setTimeout(() => {
      stream.close()
      hiding = undefined
      breakLines()
    }, HIDDEN_MS)
  } else if (hiding === undefined) {
    stream.open()
  } else {
    clearTimeout(hiding)
  }
}

function sizeOfLog(stats) {
  return stats.log_disk_bytes ?? stats.log_bytes
}

function gapsIfRoom(stats) {
  return stats.memory === undefined ? stats.gaps : undefined
}

function showState(state, text) {
  const badge = byId('connection')
  badge.dataset.state = state
  badge.textContent = text
  document.body.classList.toggle('lost', state !== 'open')
  if (state === 'lost') breakLines()
}

function take({ data }) {
  const stats = JSON.parse(data)
  const now = Number.isFinite(stats.time) ? stats.time / 1000 : Date.now() / 1000
  // The hub begins with the last five minutes, whenever it is asked. Or its clock went back.
  if (now <= times.at(-1)) forget()
  add(now, figure => valueOf(figure, stats, now))
  before = { stats, now }
  learn({ epoch: stats.epoch, hubs: stats.hubs, uptime: stats.uptime, version: stats.version })
}

function forget() {
  before = null
  times.length = 0
  for (const { values } of series) values.length = 0
}

function breakLines() {
  before = null
  if (times.length > 0) add(times.at(-1) + 0.001, () => null)
}

function add(now, valueOf) {
  while (times[0] < now - KEPT_SECONDS) {
    times.shift()
    for (const { values } of series) values.shift()
  }
  times.push(now)
  for (const figure of series) {
    figure.values.push(valueOf(figure) ?? null)
  }
  drawing ??= requestAnimationFrame(draw)
}

/** Many reports may come at once. */
function draw() {
  drawing = undefined
  for (const { card, values } of series) if (values.length > 0) card.show(times, values)
}

function valueOf(figure, stats, now) {
  const { value, counter, card } = figure
  const current = (value ?? counter)(stats)
  card.box.hidden = !Number.isFinite(current)
  if (card.box.hidden) return null
  if (value) return current
  const earlier = before && counter(before.stats)
  if (!Number.isFinite(earlier)) return null
  // A counter that fell has begun anew.
  return earlier > current ? null : (current - earlier) / (now - before.now)
}
