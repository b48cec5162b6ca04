// Publishing an event.

import { publishAddress, publishCommand } from './address.js'
import { ask } from './ask.js'
import { Command } from './command.js'
import { byId, say } from './dom.js'
import { onFollow } from './follow.js'
import { onToken, token } from './token.js'

const EXAMPLE = { topic: 'news', data: 'hello' }

const form = byId('publish-form')
const topic = byId('publish-topic')
const data = byId('publish-data')
const outcome = byId('published')
const command = new Command(byId('publish-command'), 'publishes the event in a terminal')

/** The topic that the form was given because it is followed. */
let suggested = ''

export function start() {
  form.addEventListener('input', showForm)
  form.addEventListener('submit', event => {
    event.preventDefault()
    publish()
  })
  form.addEventListener('keydown', event => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return
    event.preventDefault()
    form.requestSubmit()
  })
  onToken(showForm)
  onFollow(suggest)
  showForm()
}

/** Who follows a topic is likely to publish to it, unless they have written another. */
function suggest(followed) {
  if (!followed || followed.endsWith('*') || followed.startsWith('$') || topic.value !== suggested) return
  suggested = followed
  topic.value = followed
  showForm()
}

function event() {
  return { topic: topic.value, event: byId('publish-event').value, data: data.value }
}

function showForm() {
  const shown = topic.value ? event() : { ...event(), topic: EXAMPLE.topic, data: data.value || EXAMPLE.data }
  command.show(publishCommand(shown, token() !== ''))
}

async function publish() {
  const button = form.querySelector('button')
  if (button.disabled) return
  button.disabled = true
  show('', 'Publishing…')
  try {
    const answer = await ask(publishAddress(event()), { method: 'POST', body: data.value })
    const { id } = await answer.json()
    show('good', `Published as ${id}`)
  } catch (problem) {
    show('bad', `Not published: ${problem.message}`)
  }
  button.disabled = false
}

function show(tone, text) {
  outcome.className = tone
  say(outcome, text)
}
