// What has come so far, and waiting for more, with a bound.

const PATIENCE_MS = 10_000

export class Received {
  text = ''
  hasEnded = false
  #waiting = new Set()
  #end
  /** Fulfilled when nothing will come any more. */
  ended = new Promise(done => (this.#end = done))

  take(text) {
    this.text += text
    this.#look()
  }

  finish() {
    this.hasEnded = true
    this.#end()
    this.#look()
  }

  /** Waits until the text contains `what`, or fits the pattern `what`; gives all that came. */
  async until(what) {
    const isThere = () => (typeof what === 'string' ? this.text.includes(what) : what.test(this.text))
    await within(done => this.#wait(done, isThere), () => `waited for ${what}, and was given ${shown(this.text)}`)
    if (!isThere()) throw new Error(`ended before ${what}: ${shown(this.text)}`)
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
