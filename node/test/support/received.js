// What has come so far, and waiting for more, with a bound.

export const PATIENCE_MS = 10_000
const LONGEST_WAITED_FOR = 1000

export class Received {
  text = ''
  hasEnded = false
  /** What came last, with a little before it: what is waited for may have come in parts. */
  #newest = ''
  #waiting = new Set()
  #end
  /** Fulfilled when nothing will come any more. */
  ended = new Promise(done => (this.#end = done))

  take(text) {
    this.text += text
    this.#newest = this.#newest.slice(-LONGEST_WAITED_FOR) + text
    this.#look()
  }

  finish() {
    this.hasEnded = true
    this.#end()
    this.#look()
  }

  /** Waits until the text contains `what`, or fits the pattern `what`; gives all that came. */
  async until(what) {
    const isIn = text => (typeof what === 'string' ? text.includes(what) : what.test(text))
    // All of a long text is not searched again with each part.
    const isThere = () => isIn(typeof what === 'string' ? this.#newest : this.text)
    if (isIn(this.text)) return this.text
    await within(done => this.#wait(done, isThere), () => `waited for ${what}, and was given ${shown(this.text)}`)
    if (!isIn(this.text)) throw new Error(`ended before ${what}: ${shown(this.text)}`)
    return this.text
  }

  /** Waits for the end; gives all that came. */
  async untilEnd() {
    await within(done => this.ended.then(done), () => `waited for the end, and was given ${shown(this.text)}`)
    return this.text
  }

  #wait(done, isThere) {
    const look = () => {
      if (!isThere() && !this.hasEnded) return
      this.#waiting.delete(look)
      done()
    }
    this.#waiting.add(look)
    look()
  }

  #look() {
    for (const look of this.#waiting) look()
  }
}

/** Waits until `begin` calls what it is given, but not for ever. */
export async function within(begin, complaint, patience = PATIENCE_MS) {
  let timer
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`${complaint()} (${patience} ms)`)), patience)
  })
  await Promise.race([new Promise(begin), late]).finally(() => clearTimeout(timer))
}

/** Waits until `condition` gives something, and returns that. */
export async function eventually(condition, complaint = `${condition}`) {
  let value
  let timer
  const look = async done => {
    value = await condition()
    if (value) done()
    else timer = setTimeout(look, 5, done)
  }
  await within(look, () => `waited for ${complaint}`).finally(() => clearTimeout(timer))
  return value
}

function shown(text) {
  return JSON.stringify(text.length > 500 ? `${text.slice(0, 200)} ... ${text.slice(-200)}` : text)
}
