import { byId, say } from './dom.js'
import { duration } from './text.js'

const known = {}

/** Says what is known: `epoch`, `version`, `uptime` in seconds, `hubs` of the log. What is undefined is left as it is. */
export function learn(facts) {
  for (const [name, value] of Object.entries(facts)) if (value !== undefined) known[name] = value
  const { epoch, hubs, uptime, version } = known
  const parts = [
    epoch !== undefined && `log ${epoch}`,
    hubs > 1 && `one of ${hubs} hubs`,
    Number.isFinite(uptime) && `up ${duration(uptime)}`,
    version !== undefined && `version ${version}`,
  ]
  // A part is not torn at the end of a line.
  const text = parts.filter(Boolean).map(part => part.replaceAll(' ', '\u00a0')).join('\u00a0· ')
  if (text) say(byId('about'), text)
}

/** The epoch of an id: what stands before its position. */
export function epochOf(id) {
  return id?.match(/^(.+)-\d+$/)?.[1]
}
