/** What an event stream tells, as far as a client of envelopes needs it: they carry their own type and cursor. */
export interface EventStreamSink {
  /** The data of one event. */
  text(data: string): void
  /** How long to wait before coming back, in milliseconds. */
  retry(ms: number): void
}

/**
 * A parser of event streams (WHATWG HTML, section 9.2.6): takes text in whatever pieces it comes. Time is linear in the length of the
 * text; what is kept is at most one event.
 */
export function eventStreamParser(sink: EventStreamSink): (text: string) => void {
  let rest = ''
  let endedWithCr = false
  let data: string[] = []

  const line = (text: string) => {
    if (!text) {
      if (data.length) sink.text(data.join('\n'))
      data = []
    } else {
      // `s`: JSON may hold U+2028, at which `.` would stop.
      const [, field, value = ''] = /^([^:]*):? ?(.*)/s.exec(text) ?? []
      if (field === 'data') data.push(value)
      if (field === 'retry' && /^\d+$/.test(value)) sink.retry(Number(value))
    }
  }

  return (text) => {
    // The LF of a CRLF that was cut in two ends no other line.
    const fresh = endedWithCr && text.startsWith('\n') ? text.slice(1) : text
    if (text) endedWithCr = text.endsWith('\r')
    const lines = fresh.split(/\r\n?|\n/)
    // Not searched again: a long event may come in many pieces.
    lines[0] = rest + lines[0]
    rest = lines.pop() ?? ''
    for (const each of lines) line(each)
  }
}
