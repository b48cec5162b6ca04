'use strict';

const { randomInt } = require('node:crypto');

/** Crockford's base 32 in lower case: safe in a header without a CORS preflight. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const EPOCH_LENGTH = 8;

/** The order of the events of all channels of an SSE, and how a place in it is written. */
class Log {
  constructor() {
    /** An id of another process's log is recognised by it, and not mistaken for a place in this one. */
    this.epoch = Array.from({ length: EPOCH_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
    this.newest = 0;
  }

  id(position) {
    return `${this.epoch}-${position}`;
  }

  /** The position that an id of this log means; `undefined` for any other text. */
  position(id) {
    const [, epoch, digits] = /^(.*)-(0|[1-9][0-9]*)$/.exec(id) ?? [];
    return epoch === this.epoch ? Number(digits) : undefined;
  }
}

module.exports = { Log };
