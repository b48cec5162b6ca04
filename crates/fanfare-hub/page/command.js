import { element, say } from './dom.js'

const COPIED_MS = 2000

/** A line for a terminal, with a button that copies it. */
export class Command {
  #code = element('code')
  #copied = element('span', 'visually-hidden')

  /** `what` says to those who do not see it which line it is. */
  constructor(box, what) {
    const button = element('button', 'quiet', 'Copy')
    button.type = 'button'
    button.ariaLabel = `Copy the line that ${what}`
    this.#copied.role = 'status'
    this.#code.tabIndex = 0
    button.addEventListener('click', () => this.#copy(button))
    box.append(this.#code, button, this.#copied)
  }

  show(text) {
    say(this.#code, text)
  }

  async #copy(button) {
    const isCopied = await copy(this.#code)
    button.textContent = isCopied ? 'Copied' : 'Selected'
    say(this.#copied, isCopied ? 'Copied' : 'The line is selected')
    setTimeout(() => {
      button.textContent = 'Copy'
      say(this.#copied, '')
    }, COPIED_MS)
  }
}

/** Without HTTPS there is no clipboard: then the line is selected, to be copied by hand. */
async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent)
    return true
  } catch {
    getSelection().selectAllChildren(code)
    return false
  }
}
