// @ts-check
/** Progress on stderr: one line that changes on a terminal, a line each elsewhere. @param {number} startMs */
export function progressLine(startMs) {
  const { stderr } = process
  return {
    /** @param {string} text */
    show(text) {
      const seconds = ((performance.now() - startMs) / 1000).toFixed(0).padStart(3)
      const line = `${seconds} s  ${text}`
      stderr.write(stderr.isTTY ? `\r\x1b[2K${line.slice(0, (stderr.columns ?? 80) - 1)}` : `${line}\n`)
    },
    clear() {
      if (stderr.isTTY) stderr.write('\r\x1b[2K')
    },
  }
}
