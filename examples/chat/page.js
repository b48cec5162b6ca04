import { showConnection } from '/connection.js'

const byId = id => document.getElementById(id)
const messages = byId('messages')
const name = byId('name')
const links = byId('rooms').children
const guest = `Guest ${Math.floor(Math.random() * 1000)}`

let room
let source
/** The id of the newest message on the page. */
let newest

name.value = localStorage.getItem('name')

const overview = await (await fetch('/rooms')).json()
for (const title of overview.rooms) {
  const link = element('a', '', title)
  link.href = `#${title}`
  byId('rooms').append(link)
}
addEventListener('hashchange', enterRoom)
name.addEventListener('change', enterRoom)
enterRoom()

/** The link to the room that the address names, or to the first. */
function currentLink() {
  return [...links].find(link => link.hash === location.hash) ?? links[0]
}

/** Leaves the room before, and listens to the one that the address names. */
function enterRoom() {
  source?.close()
  messages.replaceChildren()
  newest = 0

  const current = currentLink()
  for (const link of links) link.ariaCurrent = link === current ? 'page' : null
  room = current.textContent
  byId('room').textContent = room

  name.value = name.value.trim() || guest
  localStorage.setItem('name', name.value)
  source = new EventSource(`${path()}/events?name=${encodeURIComponent(name.value)}`)
  showConnection(source, byId('connection'))
  source.addEventListener('message', showMessage)
  source.addEventListener('people', showPeople)
  source.addEventListener('gap', showGap)
}

/** The event's id is the time at which the message was said, and no two have the same. */
function showMessage(event) {
  const id = Number(event.lastEventId)
  // After a gap the server sends what it still has, which may be here already.
  if (id <= newest) return
  newest = id
  const { name, text } = JSON.parse(event.data)
  append(message(name, text, new Date(id)))
}

function showPeople(event) {
  byId('people').textContent = `Here: ${JSON.parse(event.data).join(', ')}`
}

/** The server does not know, or no longer has, what came after the last message here. */
function showGap() {
  if (messages.childElementCount === 0) return
  const why = overview.in_memory_only ? ': the server keeps messages in memory only' : ''
  append(element('li', 'gap', `Some messages may be missing here${why}.`))
}

function message(name, text, time) {
  const item = element('li')
  const face = element('span', 'face', [...name][0].toUpperCase())
  face.style.setProperty('--hue', hue(name))
  face.ariaHidden = 'true'
  const clock = element('time', '', time.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }))
  clock.dateTime = time.toISOString()
  const who = element('span', 'who', name)
  who.append(clock)
  item.append(face, who, element('p', 'text', text))
  return item
}

/** What people say is text, never HTML. */
function element(tag, className = '', text = '') {
  const created = document.createElement(tag)
  created.className = className
  created.textContent = text
  return created
}

function append(item) {
  const isAtEnd = messages.scrollHeight - messages.scrollTop - messages.clientHeight < 40
  messages.append(item)
  if (isAtEnd) messages.scrollTop = messages.scrollHeight
}

function hue(name) {
  return [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7)
}

function path() {
  return `/rooms/${encodeURIComponent(room)}`
}

byId('say').addEventListener('submit', async event => {
  event.preventDefault()
  const text = byId('text')
  const said = { name: name.value, text: text.value }
  text.value = ''
  byId('problem').textContent = ''
  try {
    await post(`${path()}/messages`, said)
  } catch (error) {
    byId('problem').textContent = `Not sent: ${error.message}`
    text.value ||= said.text
  }
})

async function post(url, said) {
  const headers = { 'Content-Type': 'application/json' }
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(said) })
  if (!response.ok) throw new Error(await response.text())
}
