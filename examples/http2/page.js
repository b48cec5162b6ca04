import { showConnection } from '/connection.js'

const STREAMS = 20
const WAVE = 10

const byId = id => document.getElementById(id)

byId('protocol').textContent = performance.getEntriesByType('navigation')[0].nextHopProtocol

for (let number = 1; number <= STREAMS; number++) {
  const source = new EventSource(`/sse?stream=${number}`)
  showStream(source, number)
  // They share a connection: one stands for all.
  if (number === 1) showConnection(source, byId('connection'))
}

function showStream(source, number) {
  const tile = document.createElement('li')
  const title = document.createElement('span')
  const count = document.createElement('output')
  tile.className = 'card'
  title.textContent = `Stream ${number}`
  count.textContent = '–'
  count.ariaLive = 'off'
  tile.append(title, count)
  byId('tiles').append(tile)

  const isOpen = open => {
    if (tile.classList.contains('open') === open) return
    tile.classList.toggle('open', open)
    showCounts()
  }
  source.addEventListener('open', () => isOpen(true))
  source.addEventListener('error', () => isOpen(false))
  source.addEventListener('message', ({ data }) => {
    count.textContent = Number(data).toLocaleString('en')
    const phase = (((Number(data) - number) % WAVE) + WAVE) % WAVE
    tile.style.setProperty('--level', 1 - phase / WAVE)
  })
}

async function showCounts() {
  byId('open').textContent = document.querySelectorAll('#tiles .open').length
  const response = await fetch('/counts').catch(() => null)
  if (response?.ok) byId('connections').textContent = (await response.json()).connections
}
