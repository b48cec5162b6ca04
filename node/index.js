'use strict';

module.exports = require('./lib/sse');
