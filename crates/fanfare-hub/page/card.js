import { Chart } from './chart.js'
import { element, say } from './dom.js'
import { duration, joined, short } from './text.js'

/** One figure: how much it is now, its last five minutes, and its least and most in them. */
export class Card {
  box = element('section', 'figure card')
  #figure
  #now = element('span', 'value', '–')
  #unit = element('span', 'unit')
  #aside = element('p', 'aside')
  #chart
  #times = []
  #values = []
  #pointed = null

  /** `figure` has a title, a color, and how its values become text; see figures.js. */
  constructor(figure) {
    this.#figure = figure
    this.box.style.setProperty('--color', `var(${figure.color})`)
    const now = element('p', 'now')
    now.append(this.#now, ' ', this.#unit)
    const plot = element('div', 'plot')
    plot.ariaHidden = 'true'
    this.box.append(element('h2', '', figure.title), this.#aside, now, plot)
  }

  /** To be called when the card is part of the page, and has a size. */
  start() {
    const { color, smallestSpan, fromZero } = this.#figure
    const onPoint = index => {
      this.#pointed = index
      this.#say()
    }
    const plot = this.box.querySelector('.plot')
    this.#chart = new Chart(plot, { color, smallestSpan, fromZero, onPoint })
  }

  /** Shows values with their times, in seconds; `null` where nothing is known. */
  show(times, values) {
    this.#times = times
    this.#values = values
    this.#chart.draw(times, values, times.at(-1))
    this.#say()
  }

  #say() {
    const isPointed = this.#pointed !== null && this.#pointed < this.#values.length
    const value = isPointed ? this.#values[this.#pointed] : this.#values.findLast(isKnown)
    this.#sayValue(value)
    say(this.#aside, isPointed ? this.#age() : this.#extremes())
  }

  #sayValue(value) {
    const { text = short, unit = '' } = this.#figure
    if (!isKnown(value)) return say(this.#now, '–')
    const { figure, unit: own } = text(value)
    say(this.#now, figure)
    say(this.#unit, `${own}${unit}`)
  }

  #age() {
    const seconds = Math.round(this.#times.at(-1) - this.#times[this.#pointed])
    return seconds === 0 ? 'now' : `${duration(seconds)} ago`
  }

  #extremes() {
    const { text = short } = this.#figure
    const known = this.#values.filter(isKnown)
    if (known.length === 0) return ''
    const [least, most] = [Math.min(...known), Math.max(...known)].map(value => joined(text(value)))
    return least === most ? '' : `${least} – ${most}`
  }
}

function isKnown(value) {
  return value !== null && value !== undefined
}
