'use strict';

/** What one event may take at most, in characters. */
const MAX_EVENT = 16 * 1024 * 1024;

/** Reads an event stream, however it is cut, by the standard. */
class Decoder {
  constructor(lastEventId = '') {
    this.lastEventId = lastEventId;
    this.retry = undefined;
    this._text = new TextDecoder();
    this._line = '';
    this._endsWithCr = false;
    this._size = 0;
    this._begin();
  }

  /** The events that end in this part of the stream. */
  *push(bytes) {
    let text = this._text.decode(bytes, { stream: true });
    if (text === '') return;
    if (this._endsWithCr && text.startsWith('\n')) text = text.slice(1);
    this._endsWithCr = text.endsWith('\r');
    const lines = text.split(/\r\n|\r|\n/);
    lines[0] = this._line + lines[0];
    this._line = lines.pop();
    for (const line of lines) {
      const event = this._take(line);
      if (event) yield event;
    }
    if (this._size + this._line.length > MAX_EVENT) throw tooLarge();
  }

  _take(line) {
    if (line === '') return this._dispatch();
    this._size += line.length;
    if (this._size > MAX_EVENT) throw tooLarge();
    const [, name, value] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line);
    if (name === 'event') this._event = value;
    else if (name === 'data') this._data.push(value);
    else if (name === 'id' && !value.includes('\0')) this._id = value;
    else if (name === 'retry' && /^\d+$/.test(value)) this.retry = Number(value);
    return undefined;
  }

  _dispatch() {
    this.lastEventId = this._id;
    const { _event: event, _data: data } = this;
    this._begin();
    if (data.length === 0) return undefined;
    return { event: event || undefined, data: data.join('\n'), id: this.lastEventId || undefined };
  }

  _begin() {
    this._event = '';
    this._data = [];
    this._id = this.lastEventId;
    this._size = 0;
  }
}

function tooLarge() {
  return new Error(`an event of more than ${MAX_EVENT} characters was not read on`);
}

module.exports = { Decoder };
