// The newest events as a list.

import { element } from './dom.js'
import { pretty } from './json.js'
import { bytes, clock, joined, whole } from './text.js'

/** More rows, or more characters in them, are not kept. */
const MOST_ROWS = 500
const MOST_CHARACTERS = 8 * 1024 * 1024
/** The list is changed at most so often, and for at most this share of the time. */
const INTERVAL_MS = 100
const SHARE = 0.1
/** Longer data is folded. */
const FOLDED_LINES = 12
const FOLDED_CHARACTERS = 1200
/** Longer JSON is laid out when it is unfolded. */
const EAGER_CHARACTERS = 8 * 1024

/** Rows in `list`, the newest on top. */
export class EventList {
  #list
  /** What is shown, and what is not yet; the oldest first. */
  #rows = new Bounded()
  #waiting = new Bounded()
  #isPaused = false
  /** When the list may be changed again. */
  #dueAt = 0
  #timer

  constructor(list) {
    this.#list = list
  }

  /** How many events, and remarks between them, are not on the page. */
  get waiting() {
    return this.#waiting.added
  }

  /** An event: `time` (a Date), `topic` where there may be several, `name`, `id`, `data`. */
  add(event) {
    this.#enter({ size: event.data.length, make: () => eventRow(event) })
  }

  /** A line between events, which says something about them. */
  remark(text, tone) {
    this.#enter({ size: 0, make: () => element('li', `remark ${tone}`, text) })
  }

  pause(isPaused) {
    this.#isPaused = isPaused
    if (!isPaused) this.#schedule()
  }

  clear() {
    this.#rows.take()
    this.#waiting.take()
    this.#list.replaceChildren()
  }

  #enter(entry) {
    this.#waiting.add(entry)
    this.#schedule()
  }

  #schedule() {
    if (this.#isPaused || this.#timer !== undefined) return
    const delay = Math.max(0, this.#dueAt - performance.now())
    // No frames are asked for while nobody sees the page.
    this.#timer = setTimeout(() => requestAnimationFrame(() => this.#show()), delay)
  }

  #show() {
    this.#timer = undefined
    if (this.#isPaused) return
    const begun = performance.now()
    const entries = this.#waiting.take()
    for (const entry of entries) {
      entry.row = entry.make()
      for (const old of this.#rows.add(entry)) old.row.remove()
    }
    // Some of the first may have had to go already.
    const rows = entries.slice(-this.#rows.length).map(({ row }) => row)
    this.#list.prepend(...rows.reverse())
    this.#dueAt = begun + Math.max(INTERVAL_MS, (performance.now() - begun) / SHARE)
  }
}

/** The newest entries, within bounds of number and size. */
class Bounded {
  /** How many were added since they were taken. */
  added = 0
  #entries = []
  #size = 0

  get length() {
    return this.#entries.length
  }

  /** Adds one, and gives those that have to go. */
  add(entry) {
    this.added++
    this.#entries.push(entry)
    this.#size += entry.size
    let going = 0
    while (this.#isOver(going)) this.#size -= this.#entries[going++].size
    return this.#entries.splice(0, going)
  }

  #isOver(going) {
    const left = this.#entries.length - going
    return left > MOST_ROWS || (left > 1 && this.#size > MOST_CHARACTERS)
  }

  take() {
    this.added = 0
    this.#size = 0
    return this.#entries.splice(0)
  }
}

function eventRow({ time, topic, name, id, data }) {
  const row = element('li')
  const meta = element('p', 'meta')
  const at = element('time', '', clock(time))
  at.dateTime = time.toISOString()
  at.title = time.toLocaleString()
  meta.append(at)
  if (topic !== undefined) meta.append(element('span', 'topic', topic))
  meta.append(element('span', name === 'message' ? 'name usual' : 'name', name), element('span', 'id', id))
  row.append(meta, ...dataParts(data))
  return row
}

function dataParts(data) {
  if (data === '') return [element('p', 'data none', 'no data')]
  const text = data.length <= EAGER_CHARACTERS ? pretty(data) : data
  const start = beginning(text)
  const shown = element('pre', 'data', start)
  return start.length === text.length ? [shown] : [shown, unfolder(shown, start, data)]
}

function unfolder(shown, start, data) {
  const button = element('button', 'unfold')
  const size = sizeOf(data)
  const fold = isFolded => {
    shown.textContent = isFolded ? `${start}…` : pretty(data)
    button.textContent = isFolded ? `Show all of ${size}` : 'Show less'
    button.ariaExpanded = `${!isFolded}`
  }
  button.type = 'button'
  button.addEventListener('click', () => fold(button.ariaExpanded === 'true'))
  fold(true)
  return button
}

function sizeOf(data) {
  const size = joined(bytes(data.length))
  const lines = data.split('\n').length
  return lines === 1 ? size : `${size}, ${whole(lines)} lines`
}

/** As much as a row has room for. */
function beginning(text) {
  const lines = text.slice(0, FOLDED_CHARACTERS + 1).split('\n')
  const start = lines.slice(0, FOLDED_LINES).join('\n')
  // A little more is not worth a button.
  const isAlmostAll = lines.length <= FOLDED_LINES + 2 && text.length <= FOLDED_CHARACTERS
  return isAlmostAll ? text : start.slice(0, FOLDED_CHARACTERS)
}
