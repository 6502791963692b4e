// @ts-check
/**
 * Progress on stderr: one line that changes on a terminal, a line each elsewhere.
 *
 * @param {number} startMs of the run @param {string} place how far the run is
 */
export function progressLine(startMs, place) {
  const { stderr } = process
  return {
    /** @param {string} text */
    show(text) {
      const seconds = ((performance.now() - startMs) / 1000).toFixed(0).padStart(3)
      const line = `${seconds} s  ${place}: ${text}`
      stderr.write(stderr.isTTY ? `\r\x1b[2K${line.slice(0, (stderr.columns ?? 80) - 1)}` : `${line}\n`)
    },
    clear() {
      if (stderr.isTTY) stderr.write('\r\x1b[2K')
    },
  }
}

/** A time as people say it: `48 s`, `2 min 5 s`. @param {number} ms */
export function timeText(ms) {
  const seconds = Math.round(ms / 1000)
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}
