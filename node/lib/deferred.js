'use strict';

/** A promise, and what fulfils it. */
function deferred() {
  let fulfil;
  const promise = new Promise((resolve) => (fulfil = resolve));
  return { promise, fulfil };
}

module.exports = { deferred };
