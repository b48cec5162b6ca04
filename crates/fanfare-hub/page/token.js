// The access token: asked for when the hub wants one, or when somebody opens the field.

import { byId, say } from './dom.js'

const KEY = 'fanfare access token'
const listeners = []

const form = byId('token')
const toggle = byId('token-toggle')
const field = byId('token-value')

/** Empty if there is none. */
export function token() {
  return sessionStorage.getItem(KEY) ?? ''
}

/** Calls `listener` whenever there is another token, or none any more. */
export function onToken(listener) {
  listeners.push(listener)
}

/** The hub lets nobody in, or not this token: `problem` says why. Who closes the field is left alone. */
export function askForToken(problem) {
  if (byId('token-problem').textContent === problem) return
  byId('token-problem').textContent = problem
  show(true)
}

/** An EventSource has no headers to send the token in. */
export function withToken(url) {
  if (!token()) return url
  const whole = new URL(url)
  whole.searchParams.append('access_token', token())
  return whole.href
}

export function authorization() {
  return token() ? { Authorization: `Bearer ${token()}` } : {}
}

function show(isShown) {
  form.hidden = !isShown
  toggle.ariaExpanded = `${isShown}`
}

function set(value) {
  if (value) sessionStorage.setItem(KEY, value)
  else sessionStorage.removeItem(KEY)
  field.value = value
  say(byId('token-problem'), '')
  show(false)
  toggle.focus()
  for (const listener of listeners) listener()
}

field.value = token()

toggle.addEventListener('click', () => {
  show(form.hidden)
  if (!form.hidden) field.focus()
})

form.addEventListener('submit', event => {
  event.preventDefault()
  set(field.value.trim())
})

byId('token-forget').addEventListener('click', () => set(''))
