import { Problem, ask } from './ask.js'
import { withToken } from './token.js'

const RETRY_MS = 3000

/**
 * An EventSource that knows why it ended.
 *
 * A browser reconnects by itself, and says in `Last-Event-ID` where to go on. But it gives up on
 * any answer that is no stream, and does not say which it was. Then this asks the hub, and goes on
 * later if that is worth it.
 */
export class Stream {
  #address
  #handlers
  #onState
  #source
  #asking
  #timer
  #lastEventId
  #lostAt

  /**
   * `address` makes the URL, behind a last event id if it is given one. `handlers` are those of
   * events, by name. `onState` is told a state and a text: `waiting`, `open`, `lost`, `ended` or
   * `closed`, which is for good.
   */
  constructor(address, handlers, onState) {
    this.#address = address
    this.#handlers = Object.entries(handlers)
    this.#onState = onState
  }

  /** Begins anew, or goes on after the last event there was. */
  open({ goOn = false } = {}) {
    this.close()
    if (!goOn) this.#lastEventId = ''
    this.#onState('waiting', 'Connecting…')
    this.#connect()
  }

  close() {
    this.#source?.close()
    this.#asking?.abort()
    clearTimeout(this.#timer)
    this.#lostAt = undefined
  }

  #connect() {
    const source = new EventSource(this.#url())
    this.#source = source
    source.addEventListener('open', () => this.#found())
    source.addEventListener('error', () => {
      if (source.readyState === EventSource.CLOSED) this.#findOut()
      else this.#lose()
    })
    for (const [name, handler] of this.#handlers) {
      source.addEventListener(name, event => {
        this.#lastEventId = event.lastEventId
        handler(event)
      })
    }
  }

  #url() {
    return withToken(this.#address(this.#lastEventId))
  }

  #found() {
    if (this.#lostAt === undefined) return this.#onState('open', 'Connected')
    const seconds = ((performance.now() - this.#lostAt) / 1000).toFixed(1)
    this.#lostAt = undefined
    this.#onState('open', `Connected again after ${seconds} s`)
  }

  #lose() {
    this.#lostAt ??= performance.now()
    this.#onState('lost', 'Connection lost, trying again…')
  }

  /** Asks the same as the stream that was refused, for the answer's head only. */
  async #findOut() {
    this.#asking = new AbortController()
    const { signal } = this.#asking
    const outcome = await headOf(this.#url(), signal)
    if (signal.aborted) return
    this.#asking.abort()
    if (outcome === 'over') return this.#onState('ended', 'Ended')
    if (outcome instanceof Problem && !outcome.mayPass) return this.#onState('closed', outcome.message)
    this.#lose()
    this.#timer = setTimeout(() => this.#connect(), outcome.retryAfter * 1000 || RETRY_MS)
  }
}

/** `over` if there is nothing left to come, `stream` if there is, or a problem. */
async function headOf(url, signal) {
  try {
    const answer = await ask(url, { headers: { Accept: 'text/event-stream' }, signal })
    return answer.status === 204 ? 'over' : 'stream'
  } catch (problem) {
    return problem
  }
}
