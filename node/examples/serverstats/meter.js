// The figures of this process.

'use strict';

/** Measures from reading to reading. */
class Meter {
  #cpu = process.cpuUsage();
  #readAt = performance.now();

  /** Bytes, and the share of one core since the last reading: two busy cores are 200. */
  read() {
    const [cpu, readAt] = [process.cpuUsage(), performance.now()];
    const busyMs = (cpu.user + cpu.system - this.#cpu.user - this.#cpu.system) / 1000;
    const cpuPercent = (100 * busyMs) / (readAt - this.#readAt);
    [this.#cpu, this.#readAt] = [cpu, readAt];
    const { rss, heapUsed } = process.memoryUsage();
    return { resident: rss, heap: heapUsed, cpu_percent: cpuPercent };
  }
}

module.exports = { Meter };
