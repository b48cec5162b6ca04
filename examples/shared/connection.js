/**
 * Says in `badge` how the connection of an event stream is: made, lost, found again, or refused.
 *
 * The browser reconnects by itself; there is nothing to do but to say so.
 */
export function showConnection(source, badge) {
  let lostAt

  const show = (state, text) => {
    badge.dataset.state = state
    badge.textContent = text
  }

  show('waiting', 'Connecting…')

  source.addEventListener('open', () => {
    if (lostAt === undefined) return show('open', 'Connected')
    const seconds = ((performance.now() - lostAt) / 1000).toFixed(1)
    show('open', `Connected again after ${seconds} s`)
    lostAt = undefined
  })

  source.addEventListener('error', () => {
    if (source.readyState === EventSource.CLOSED) {
      return show('closed', 'Refused by the server. Reload to try again.')
    }
    lostAt ??= performance.now()
    show('lost', 'Connection lost, trying again…')
  })
}
