/* global uPlot */

const WINDOW_SECONDS = 300

/** All charts show the same moment under the pointer. */
const moment = uPlot.sync('figures')

/** A small chart of the last five minutes in `box`. It follows the box's width and the color scheme. */
export class Chart {
  #box
  #options
  #plot
  #data = [[], []]

  /**
   * `color` is the name of a custom property; `smallestSpan` is how much the height shows at least,
   * so that noise does not look like news; `fromZero` has the height begin there. `onPoint` is told
   * the index of the value under the pointer, or `null`.
   */
  constructor(box, options) {
    this.#box = box
    this.#options = options
    this.#build()
    new ResizeObserver(() => this.#plot.setSize(size(box))).observe(box)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#build())
  }

  /** Draws the values of the five minutes before `now`, in seconds. `null` is a break in the line. */
  draw(times, values, now) {
    this.#data = [times, values]
    this.#plot.setData(this.#data, false)
    this.#plot.setScale('x', { min: now - WINDOW_SECONDS, max: now })
  }

  #build() {
    const { min, max } = this.#plot?.scales.x ?? { min: 0, max: WINDOW_SECONDS }
    this.#plot?.destroy()
    this.#plot = new uPlot(this.#settings(), this.#data, this.#box)
    this.#plot.setScale('x', { min, max })
  }

  #settings() {
    const { color, smallestSpan, fromZero, onPoint } = this.#options
    const style = getComputedStyle(document.documentElement)
    const stroke = style.getPropertyValue(color).trim()
    return {
      ...size(this.#box),
      legend: { show: false },
      padding: [4, 0, 2, 0],
      cursor: {
        y: false,
        drag: { x: false, y: false },
        points: { size: 7, width: 2, stroke, fill: style.getPropertyValue('--surface').trim() },
        sync: { key: moment.key },
      },
      scales: {
        x: { time: false, auto: false },
        y: { range: (_, least, most) => heights(least ?? 0, most ?? 0, smallestSpan, fromZero) },
      },
      axes: [{ show: false }, { show: false }],
      series: [
        {},
        { stroke, width: 1.75, fill: plot => fade(plot, stroke), points: { show: false } },
      ],
      hooks: { setCursor: [plot => onPoint(plot.cursor.idx ?? null)] },
    }
  }
}

function size(box) {
  return { width: box.clientWidth, height: box.clientHeight }
}

function heights(least, most, smallestSpan, fromZero) {
  const spare = fromZero ? most * 0.08 : Math.max(smallestSpan - (most - least), (most - least) * 0.2) / 2
  const low = fromZero ? 0 : Math.max(0, least - spare)
  const high = Math.max(most + spare, low + smallestSpan)
  // A line at zero is seen whole.
  return [low === 0 ? -0.04 * high : low, high]
}

/** `color` is `#rrggbb`. */
function fade(plot, color) {
  const { top, height } = plot.bbox
  const gradient = plot.ctx.createLinearGradient(0, top, 0, top + height)
  gradient.addColorStop(0, `${color}48`)
  gradient.addColorStop(1, `${color}06`)
  return gradient
}
