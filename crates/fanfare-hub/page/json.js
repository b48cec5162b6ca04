const WIDTH = 80
/** Beyond these, JSON stays as it is written. */
const LONGEST = 256 * 1024
const DEEPEST = 100

const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g

/**
 * JSON in lines that can be read; any other text as it is.
 *
 * Only the space between the tokens changes: numbers with more digits than JavaScript has, and names
 * that are there twice, are shown as they came.
 */
export function pretty(text) {
  if (!isJson(text)) return text
  const tokens = text.match(TOKENS)
  return depth(tokens) > DEEPEST ? text : layOut(tree(tokens), '')
}

function isJson(text) {
  if (text.length > LONGEST || !/^\s*[[{]/.test(text)) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function depth(tokens) {
  let [now, most] = [0, 0]
  for (const token of tokens) {
    if (token === '{' || token === '[') most = Math.max(most, ++now)
    if (token === '}' || token === ']') now--
  }
  return most
}

/** A text, or what stands between two brackets. */
function tree(tokens) {
  let at = 0
  const next = () => tokens[at++]

  function value() {
    const open = next()
    if (open !== '{' && open !== '[') return open
    const items = []
    while (tokens[at] !== '}' && tokens[at] !== ']') items.push(item(open))
    return { open, items, close: next() }
  }

  function item(open) {
    const name = open === '{' ? `${next()}${next()} ` : ''
    const item = { name, value: value() }
    if (tokens[at] === ',') at++
    return item
  }

  return value()
}

function layOut(node, indent) {
  const line = inOneLine(node)
  if (typeof node === 'string' || indent.length + line.length <= WIDTH) return line
  const deeper = `${indent}  `
  const lines = node.items.map(({ name, value }) => `${deeper}${name}${layOut(value, deeper)}`)
  return `${node.open}\n${lines.join(',\n')}\n${indent}${node.close}`
}

function inOneLine(node) {
  if (typeof node === 'string') return node
  const items = node.items.map(({ name, value }) => `${name}${inOneLine(value)}`).join(', ')
  return node.open === '{' && items ? `{ ${items} }` : `${node.open}${items}${node.close}`
}
