'use strict';

const NONE = -1;

module.exports = { NONE, isLoaded: false, adopt() {} };
