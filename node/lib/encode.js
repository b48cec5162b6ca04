'use strict';

const { TextDecoder } = require('node:util');

const LINE_END = /\r\n|\r|\n/;
const LINE_ENDS = /\r\n|\r|\n/g;

const FIELDS = ['event', 'data', 'id', 'retry'];

/** Whether an argument is an event, and not the data of one. */
function isEvent(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

/** What one argument means: an event, or the data of one. */
function toEvent(value) {
  if (!isEvent(value)) return { data: value };
  if (!FIELDS.some((name) => name in value)) throw new TypeError(`an event has ${FIELDS.join(', ')}: an object that is data is sent as { data }`);
  return value;
}

/** One event as it goes over the wire. A `TypeError` if that would be another event than was meant. */
function encode(event, data, id, retry) {
  let text = '';
  if (event) text += `event: ${oneLine('name', event)}\n`;
  if (isSet(retry)) text += `retry: ${milliseconds(retry)}\n`;
  if (isSet(id)) text += `id: ${withoutNul(oneLine('id', id))}\n`;
  return `${text}data: ${lines(toText(data))}\n\n`;
}

/** What a client resumes from, without an event. */
function encodeId(id) {
  return `id: ${id}\n\n`;
}

function encodeRetry(retry) {
  return `retry: ${milliseconds(retry)}\n\n`;
}

/** sse.js left out what is falsy; a zero is meant. */
function isSet(value) {
  return Boolean(value) || value === 0 || value === 0n;
}

function oneLine(field, value) {
  const text = String(value);
  if (LINE_END.test(text)) throw new TypeError(`an event's ${field} cannot hold a line end: it would begin another field`);
  return text;
}

function withoutNul(id) {
  if (id.includes('\0')) throw new TypeError("an event's id cannot hold a NUL: clients would ignore it");
  return id;
}

function milliseconds(retry) {
  const number = /^\d+$/.test(String(retry)) ? Number(retry) : NaN;
  if (!Number.isSafeInteger(number)) throw new TypeError(`an event's retry is a whole number of milliseconds, not ${String(retry)}`);
  return number;
}

function toText(data) {
  if (typeof data === 'string') return data;
  if (data === null || data === undefined) return '';
  if (typeof data !== 'object') return String(data);
  if (data instanceof Uint8Array) return new TextDecoder('utf-8', { ignoreBOM: true }).decode(data);
  const hasText = typeof data.toString === 'function' && data.toString !== Object.prototype.toString;
  return hasText && !Array.isArray(data) ? String(data) : JSON.stringify(data) ?? '';
}

function lines(text) {
  return text.includes('\n') || text.includes('\r') ? text.replace(LINE_ENDS, '\ndata: ') : text;
}

const last = { event: undefined, data: undefined, id: undefined, retry: undefined, text: undefined };

/**
 * As `encode`, but the same event as the time before gives the same text, so that a loop that sends it to
 * many encodes once. An object may have been changed in between.
 */
function encodeOnce(event, data, id, retry) {
  const isSame = last.data === data && last.event === event && last.id === id && last.retry === retry;
  if (isSame && last.text !== undefined && [event, data, id, retry].every(isPrimitive)) return last.text;
  const text = encode(event, data, id, retry);
  Object.assign(last, { event, data, id, retry, text });
  return text;
}

function isPrimitive(value) {
  return (typeof value !== 'object' && typeof value !== 'function') || value === null;
}

module.exports = { encode, encodeId, encodeOnce, encodeRetry, isEvent, isSet, toEvent, toText };
