// The set-up says what is missing, in the words of somebody who can install it.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const SETUP = join(import.meta.dirname, 'setup.sh')
const HINT = 'install the packages nodejs and npm (Debian 13 or later), or take both from https://nodejs.org\n'

/** Runs the set-up where there are no other programs than these, which print what is given. */
async function setup(t, programs) {
  const folder = await mkdtemp(join(tmpdir(), 'setup-'))
  t.after(() => rm(folder, { recursive: true }))
  await symlink('/usr/bin/dirname', join(folder, 'dirname'))
  for (const [name, prints] of Object.entries(programs)) {
    const path = join(folder, name)
    await writeFile(path, `#!/bin/sh\necho ${prints}\n`)
    await chmod(path, 0o755)
  }
  const { status, stderr } = spawnSync('/bin/sh', [SETUP], { env: { PATH: folder, CHROMIUM: '/none' }, encoding: 'utf8' })
  assert.equal(status, 1)
  return stderr
}

const needsNode = but => `the browser tests need Node.js 20.11 or later with npm, but ${but}\n${HINT}`

test('without Node.js', async t => {
  assert.equal(await setup(t, {}), needsNode('there is no node'))
})

for (const version of ['v9.99.0', 'v18.20.4', 'v20.10.0']) {
  test(`with Node.js ${version}`, async t => {
    assert.equal(await setup(t, { node: version, npm: '10' }), needsNode(`node is ${version}`))
  })
}

test('without npm', async t => {
  assert.equal(await setup(t, { node: 'v20.11.0' }), needsNode('there is no npm'))
})

for (const version of ['v20.11.0', 'v22.0.0', 'v100.1.0']) {
  test(`with Node.js ${version} it looks for a browser`, async t => {
    const programs = { node: version, npm: '10' }
    assert.equal(await setup(t, programs), 'CHROMIUM is /none, which is no program that can be run\n')
  })
}
