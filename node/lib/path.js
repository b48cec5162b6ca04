'use strict';

/** An authority may stand before the path in a request to a proxy. */
const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i;

/** The path of a request's URL, whose leading slashes count as one, and its query, `null` if it has none. */
function split(url) {
  const target = url.replace(ORIGIN, '').split('#', 1)[0];
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  return {
    path: path.replace(/^\/{2,}/, '/') || '/',
    query: mark < 0 ? null : target.slice(mark + 1),
  };
}

/** A pattern as `matches` takes it: it begins with one slash, or a star. */
function toPattern(text) {
  return text.startsWith('*') ? text : text.replace(/^\/*/, '/');
}

/**
 * Whether a path is one of a pattern, in which each `*` stands for any text. It goes back to the newest star
 * only, so a hostile path costs no more than its length times the pattern's.
 */
function matches(path, pattern) {
  let inPath = 0;
  let inPattern = 0;
  let star = -1;
  let taken = 0;
  while (inPath < path.length) {
    if (pattern[inPattern] === '*') {
      star = inPattern++;
      taken = inPath;
    } else if (pattern[inPattern] === path[inPath]) {
      inPattern++;
      inPath++;
    } else if (star >= 0) {
      inPattern = star + 1;
      inPath = ++taken;
    } else {
      return false;
    }
  }
  return /^\**$/.test(pattern.slice(inPattern));
}

module.exports = { split, toPattern, matches };
