import { Chart } from '/chart.js'
import { showConnection } from '/connection.js'

const KEPT_SECONDS = 61
const MIB = 1024 * 1024

const byId = id => document.getElementById(id)

const METRICS = [
  {
    title: 'CPU, share of one core',
    unit: '%',
    digits: 1,
    value: report => report.cpu_percent,
    chart: { color: '--cpu', smallestSpan: 4, fromZero: true },
  },
  {
    title: 'Resident memory',
    unit: 'MiB',
    digits: 1,
    value: report => (report.resident === null ? null : report.resident / MIB),
    chart: { color: '--resident', smallestSpan: 4 },
  },
  {
    title: 'Heap in use',
    unit: 'MiB',
    digits: 2,
    value: report => report.heap / MIB,
    chart: { color: '--heap', smallestSpan: 0.4 },
  },
  {
    title: 'Events sent, all streams',
    unit: 'per second',
    digits: 0,
    value: eventsPerSecond,
    chart: { color: '--rate', smallestSpan: 8, fromZero: true },
  },
]

const times = []
const series = METRICS.map(metric => ({ ...metric, values: [], card: addCard(metric) }))
/** The reports of the last second, with their times. */
let recent = []

const source = new EventSource('/sse')
showConnection(source, byId('connection'))

source.addEventListener('message', event => {
  const report = JSON.parse(event.data)
  const now = performance.now() / 1000
  byId('streams').textContent = inEnglish(report.streams)
  byId('events').textContent = inEnglish(report.events)
  add(now, report)
})

source.addEventListener('open', () => document.body.classList.remove('lost'))

source.addEventListener('error', () => {
  if (document.body.classList.contains('lost')) return
  document.body.classList.add('lost')
  recent = []
  add(performance.now() / 1000, null)
})

byId('work').addEventListener('click', async ({ currentTarget: button }) => {
  button.disabled = true
  await fetch('/work', { method: 'POST' }).catch(() => {})
  setTimeout(() => (button.disabled = false), 6000)
})

function addCard({ title, unit, chart }) {
  const card = byId('chart').content.firstElementChild.cloneNode(true)
  const part = selector => card.querySelector(selector)
  card.style.setProperty('--color', `var(${chart.color})`)
  part('h2').textContent = title
  part('.unit').textContent = unit
  byId('charts').append(card)
  return {
    now: part('output'),
    least: part('.least'),
    most: part('.most'),
    chart: new Chart(part('.plot'), chart),
  }
}

/** Adds a report to all charts; `null` breaks their lines. */
function add(now, report) {
  while (times[0] < now - KEPT_SECONDS) {
    times.shift()
    for (const { values } of series) values.shift()
  }
  times.push(now)
  for (const { values, value, digits, card } of series) {
    values.push(report && value(report, now))
    card.chart.draw(times, values, now)
    showFigures(card, values, digits)
  }
}

function showFigures(card, values, digits) {
  const known = values.filter(value => value !== null)
  if (values.at(-1) === null || known.length === 0) return
  const text = value => inEnglish(value, digits)
  card.now.textContent = text(known.at(-1))
  card.least.textContent = text(Math.min(...known))
  card.most.textContent = text(Math.max(...known))
}

/** As the rest of the page, whatever the browser's language. */
function inEnglish(number, digits = 0) {
  return number.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

/** Over the last second; not known before that. */
function eventsPerSecond({ events }, now) {
  recent.push({ now, events })
  while (recent.length > 2 && recent[1].now <= now - 1) recent.shift()
  const [first] = recent
  return now - first.now < 0.9 ? null : (events - first.events) / (now - first.now)
}
