#!/usr/bin/env node
'use strict';

// Builds the addon from the sources that stand beside this package, for `npm install` and the repository's
// tests. With `--optional`, what is missing is no failure: the package then writes by Node alone.

const { execFileSync } = require('node:child_process');
const { copyFileSync, existsSync, renameSync } = require('node:fs');
const { join } = require('node:path');

const WORKSPACE = join(__dirname, '..');
const CRATE = join(WORKSPACE, 'crates', 'fanfare-node', 'Cargo.toml');
const ADDON = join(__dirname, 'lib', 'sse.node');

function build() {
  if (process.platform !== 'linux') throw new Error(`there is none for ${process.platform} yet`);
  if (!existsSync(CRATE)) {
    // A packed package may bring it along.
    if (existsSync(ADDON)) return;
    throw new Error('its sources are not there');
  }
  const target = cargo(['metadata', '--format-version=1', '--no-deps'], 'pipe');
  cargo(['build', '--release', '--package', 'fanfare-node', '--locked'], 'inherit');
  install(join(JSON.parse(target).target_directory, 'release', 'libfanfare_node.so'));
}

function cargo(args, stdout) {
  try {
    return execFileSync('cargo', args, { cwd: WORKSPACE, stdio: ['ignore', stdout, 'inherit'], encoding: 'utf8' });
  } catch (error) {
    throw new Error(error.code === 'ENOENT' ? 'cargo is not installed: see https://rustup.rs' : 'cargo could not build it');
  }
}

/** In one step, because a process may have the old one loaded. */
function install(library) {
  const next = `${ADDON}.${process.pid}`;
  copyFileSync(library, next);
  renameSync(next, ADDON);
}

try {
  build();
} catch (error) {
  console.error(`sse: without its addon, everything is written by Node: ${error.message}`);
  process.exitCode = process.argv.includes('--optional') ? 0 : 1;
}
