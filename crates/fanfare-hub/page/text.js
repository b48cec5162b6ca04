// Figures and times as text, in English as the rest of the page, whatever the browser's language.

const DIGITS = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** All digits: `1,234,567`. */
export function whole(number) {
  return DIGITS.format(number)
}

/** A figure and its unit: `12,345`, `1.23` `M`, `0.4`. */
export function short(number) {
  if (number >= 1e9) return { figure: digits(number / 1e9), unit: 'G' }
  if (number >= 1e6) return { figure: digits(number / 1e6), unit: 'M' }
  return { figure: number < 10 ? `${Number(number.toFixed(1))}` : whole(number), unit: '' }
}

/** `1.5 MiB`, in two parts. */
export function bytes(number) {
  let [scaled, unit] = [number, 0]
  while (scaled >= 999.5 && unit < UNITS.length - 1) {
    scaled /= 1024
    unit++
  }
  return { figure: unit === 0 ? whole(scaled) : digits(scaled), unit: UNITS[unit] }
}

/** The two parts as one text. */
export function joined({ figure, unit }) {
  return unit ? `${figure} ${unit}` : figure
}

/** Three digits are enough to compare by. */
function digits(number) {
  if (number >= 99.95) return number.toFixed(0)
  return number.toFixed(number >= 9.995 ? 1 : 2)
}

/** `14:03:59.123`, in the time zone of the browser. */
export function clock(date) {
  const two = number => `${number}`.padStart(2, '0')
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two)
  return `${parts.join(':')}.${`${date.getMilliseconds()}`.padStart(3, '0')}`
}

/** `3 d 4 h`, `5 min`, `12 s`: the two largest units. */
export function duration(seconds) {
  const days = Math.floor(seconds / 86400)
  const hours = Math.floor(seconds / 3600) % 24
  const minutes = Math.floor(seconds / 60) % 60
  if (days > 0) return `${days} d ${hours} h`
  if (hours > 0) return `${hours} h ${minutes} min`
  return minutes > 0 ? `${minutes} min` : `${Math.floor(seconds)} s`
}
