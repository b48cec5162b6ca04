// Questions to the hub, and its problems.

import { askForToken, authorization } from './token.js'

const PATIENCE_MS = 15_000

/** What the hub, or the way to it, has against a request. */
export class Problem extends Error {
  constructor(status, detail, retryAfter) {
    super(detail)
    this.status = status
    /** Seconds. */
    this.retryAfter = retryAfter
  }

  /** Whether the same request may well be answered later. */
  get mayPass() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500
  }
}

/** The answer, which is a good one: all others are thrown, as a `Problem`. */
export async function ask(url, options = {}) {
  const headers = { ...authorization(), ...options.headers }
  const signal = options.signal ?? AbortSignal.timeout(PATIENCE_MS)
  const answer = await fetch(url, { ...options, headers, signal }).catch(error => {
    throw new Problem(0, why(error))
  })
  if (answer.ok) return answer
  const problem = await problemOf(answer)
  if (wantsToken(answer)) askForToken(problem.message)
  throw problem
}

/** Some things are forbidden whatever the token. */
function wantsToken({ status, headers }) {
  return status === 401 || (status === 403 && headers.has('WWW-Authenticate'))
}

async function problemOf(answer) {
  const body = await answer.json().catch(() => ({}))
  const detail = body?.detail || body?.title || `the hub answers ${answer.status}`
  return new Problem(answer.status, `${detail}`, Number(answer.headers.get('Retry-After')) || undefined)
}

function why(error) {
  if (error.name !== 'TimeoutError') return 'the hub cannot be reached'
  return (
    'the hub does not answer. Over HTTP/1.1 a browser opens six connections to a server, and each' +
    ' stream keeps one: other tabs may hold them all'
  )
}
