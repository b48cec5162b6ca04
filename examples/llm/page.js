import { showConnection } from '/connection.js'

const byId = id => document.getElementById(id)
const answer = byId('answer')

let source

const before = sessionStorage.getItem('conversation')
if (before) read(JSON.parse(before))

byId('ask').addEventListener('submit', event => {
  event.preventDefault()
  ask(byId('question').value)
})

byId('suggestions').addEventListener('click', ({ target }) => {
  if (target.matches('button')) ask(target.textContent)
})

function ask(question) {
  const conversation = { id: crypto.randomUUID(), question }
  // A page that is loaded again reads the same answer.
  sessionStorage.setItem('conversation', JSON.stringify(conversation))
  read(conversation)
}

/** Reads the answer from its first word on. After a cut the browser goes on where it was. */
function read({ id, question }) {
  source?.close()
  byId('conversation').hidden = false
  byId('asked').textContent = question
  begin()

  source = new EventSource(`/answers/${id}?question=${encodeURIComponent(question)}`)
  byId('connection').hidden = false
  showConnection(source, byId('connection'))
  source.addEventListener('message', addWord)
  source.addEventListener('gap', begin)
  source.addEventListener('done', finish)
}

/** The whole answer follows. */
function begin() {
  answer.replaceChildren()
  answer.ariaBusy = 'true'
  byId('progress').textContent = 'Thinking…'
}

function addWord({ data, lastEventId }) {
  answer.append(data)
  byId('progress').textContent = `${lastEventId} words`
}

/** Without this the browser would ask again when the stream ends. */
function finish() {
  source.close()
  answer.ariaBusy = 'false'
  byId('connection').hidden = true
  byId('progress').textContent += ', complete'
}
