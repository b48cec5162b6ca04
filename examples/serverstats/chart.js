/* global uPlot */

const WINDOW_SECONDS = 60
const LABELS_AT_SECONDS = [60, 45, 30, 15, 0]
const FONT = '12px Inter, system-ui, sans-serif'

/** A chart of the last minute in `box`. It follows the width of the box and the color scheme. */
export class Chart {
  #box
  #options
  #plot
  #data = [[], []]

  /**
   * `color` is the name of a custom property; `smallestSpan` is how much the axis shows at least,
   * so that noise does not look like news; `fromZero` has the axis begin there.
   */
  constructor(box, options) {
    this.#box = box
    this.#options = options
    this.#build()
    new ResizeObserver(() => this.#plot.setSize(size(box))).observe(box)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#build())
  }

  /** Draws the values of the last minute before `now`, in seconds. `null` is a break in the line. */
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
    const { color, smallestSpan, fromZero } = this.#options
    const style = getComputedStyle(document.documentElement)
    const colorOf = name => style.getPropertyValue(name).trim()
    const stroke = colorOf(color)
    const axis = { font: FONT, stroke: colorOf('--muted'), ticks: { show: false } }
    const grid = { stroke: colorOf('--line'), width: 1 }
    return {
      ...size(this.#box),
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 14, 0, 0],
      scales: {
        x: { time: false, auto: false },
        y: { range: (_, least, most) => niceRange(fromZero ? 0 : least ?? 0, most ?? 0, smallestSpan) },
      },
      axes: [
        { ...axis, size: 30, gap: 10, grid: { show: false }, splits: timesOfLabels, values: ages },
        { ...axis, size: 42, gap: 8, grid, splits: (_, __, low, high) => steps(low, high) },
      ],
      series: [
        {},
        { stroke, width: 2, fill: plot => fade(plot, stroke), points: { show: false } },
      ],
    }
  }
}

function size(box) {
  return { width: box.clientWidth, height: box.clientHeight }
}

/** They stay where they are while the line moves. */
function timesOfLabels(plot) {
  return LABELS_AT_SECONDS.map(age => plot.scales.x.max - age)
}

function ages(_, times) {
  const now = times.at(-1)
  return times.map(time => (time === now ? 'now' : `−${Math.round(now - time)} s`))
}

/** From one label to another, so that the axis does not move with every value. */
function niceRange(least, most, smallestSpan) {
  const spare = Math.max(smallestSpan - (most - least), (most - least) * 0.04) / 2
  const wide = roundOut(Math.max(0, least - spare), Math.max(most + spare, smallestSpan))
  // A wider range may have fewer labels.
  return roundOut(...wide)
}

function roundOut(low, high) {
  const step = roundStep(high - low)
  return [Math.floor(low / step + 0.001) * step, Math.ceil(high / step - 0.001) * step]
}

function steps(low, high) {
  const step = roundStep(high - low)
  const first = Math.ceil(low / step - 0.001)
  const count = Math.floor(high / step + 0.001) - first + 1
  return Array.from({ length: count }, (_, index) => (first + index) * step)
}

/** About a quarter of `span`: 1, 2 or 5 times a power of ten. */
function roundStep(span) {
  const quarter = span / 4
  const power = 10 ** Math.floor(Math.log10(quarter))
  return power * ([1, 2, 5].find(factor => factor * power >= quarter * 0.99) ?? 10)
}

/** `color` is `#rrggbb`. */
function fade(plot, color) {
  const { top, height } = plot.bbox
  const gradient = plot.ctx.createLinearGradient(0, top, 0, top + height)
  gradient.addColorStop(0, `${color}50`)
  gradient.addColorStop(1, `${color}05`)
  return gradient
}
