// Where things are at the hub, and the same as lines for a terminal.

/** The page may lie behind a path of a proxy. */
const ROOT = new URL('.', document.baseURI)

export function topicsAddress(query) {
  return address('topics', query)
}

/** Where a page follows a topic: in the query, where a name may be anything, even `..`. */
export function followAddress({ topic, ...begin }, lastEventId) {
  const resumed = lastEventId ? { lastEventId } : beginning(begin)
  return address('sse', { topic, envelope: 'json', ...resumed })
}

/** The stream of the hub's own figures. */
export function statsAddress() {
  return address('sse', { topic: '$stats', from: 'earliest' })
}

export function publishAddress({ topic, event }) {
  return address(`sse/${pathOf(topic)}`, event ? { event } : {})
}

/** What follows the same in a terminal. Many topics are told apart by an envelope. */
export function followCommand({ topic, ...begin }, hasToken) {
  const envelope = topic.endsWith('*') ? { envelope: 'json' } : {}
  const url = address(`sse/${pathOf(topic)}`, { ...beginning(begin), ...envelope })
  return ['curl -N', ...authorization(hasToken), quoted(url)].join(' ')
}

/** What publishes the same in a terminal. */
export function publishCommand({ topic, event, data }, hasToken) {
  // For `-d`, an @ at the beginning names a file.
  const option = data.startsWith('@') ? '--data-raw' : '-d'
  const url = publishAddress({ topic, event })
  return ['curl', ...authorization(hasToken), option, quoted(data), quoted(url)].join(' ')
}

function address(path, query) {
  const pairs = Object.entries(query).map(([name, value]) => `${name}=${encode(value)}`)
  return new URL(pairs.length > 0 ? `${path}?${pairs.join('&')}` : path, ROOT).href
}

function beginning({ from, last }) {
  if (from === 'last') return { last }
  return from === 'earliest' ? { from } : {}
}

/** Slashes stay what they are, unless what lies between them would lead elsewhere. */
function pathOf(topic) {
  const parts = topic.split('/')
  const leads = parts.some(part => part === '.' || part === '..')
  return leads ? encode(topic) : parts.map(encode).join('/')
}

/** As readable as it can be in an address that stands between single quotes. */
function encode(text) {
  return encodeURIComponent(text).replaceAll("'", '%27').replaceAll('%24', '$')
}

/** The token itself is not for the screen, nor for a shell's history. */
function authorization(hasToken) {
  return hasToken ? ['-H "Authorization: Bearer $TOKEN"'] : []
}

function quoted(text) {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}
