// Chromium, and what tests ask of a page.

import { after, before } from 'node:test'
import { chromium } from 'playwright-core'

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

let browser

/** Call once in each test file: one browser for all its tests. */
export function useBrowser() {
  before(async () => {
    const executablePath = process.env.CHROMIUM || '/usr/bin/chromium'
    browser = await chromium.launch({ executablePath, args: FLAGS })
  })
  after(() => browser.close())
}

/** A page of a browser profile of its own. An error in one of its scripts fails the test. */
export async function open(test, url, { ignoreErrors = false } = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true })
  const errors = []
  const page = await context.newPage()
  page.on('pageerror', error => errors.push(error))
  test.after(async () => {
    await context.close()
    if (errors.length > 0 && !ignoreErrors) throw errors[0]
  })
  await page.goto(url)
  return page
}

/** Waits until the page says so about its connection. */
export async function connection(page, state, text = /./) {
  await page.locator(`#connection[data-state="${state}"]`).filter({ hasText: text }).waitFor()
}

/** Waits until `condition`, which runs in the page, gives something, and returns that. */
export async function until(page, condition, argument) {
  const handle = await page.waitForFunction(condition, argument)
  return handle.jsonValue()
}
