/**
 * The list of what arrived, newest last, at most {@link MOST_ROWS}. Entries are queued and drawn once per animation
 * frame. When more arrive than anyone could read, only those at the end of the list are drawn until it calms down, and
 * drawing takes at most a quarter of the time: thousands of messages a second leave the page usable. While the reader
 * has scrolled up the list stands still and counts what is new.
 */
import { highlightJson } from './highlight.js'

export const MOST_ROWS = 500
/** How near to the end still counts as "at the end": fractional pixels differ when the page is zoomed. */
const NEAR_END_PX = 12
/** The least that a row takes; bounds how many can be seen at once. */
const ROW_PX = 18
/** After this long without a flood the rows above the visible ones are drawn too. */
const CALM_MS = 250
/** The pause after a drawing, in units of how long it took. */
const REST = 3
/** The least pause in a flood: painting costs as much again, where the page cannot measure it. */
const FLOOD_REST_MS = 80

export class Feed {
  #scroller
  #rows
  #newest
  /** What the list shows, at rest: the last entries, whether drawn yet or not. */
  #entries = []
  #pending = []
  #hasMessages = false
  #newWhileAway = 0
  #isAway = false
  /** Rows that fill the visible part. */
  #tail = MOST_ROWS
  /** Whether rows above the visible part were left out. */
  #isPartial = false
  #calm = 0
  #frame = 0
  #drawAfter = 0

  /** @param elements `scroller` around the list `rows`, and the button `newest` that leads back to the end */
  constructor({ scroller, rows, newest }) {
    this.#scroller = scroller
    this.#rows = rows
    this.#newest = newest
    // So that the keyboard can scroll it in every browser.
    scroller.tabIndex = 0
    scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true })
    newest.addEventListener('click', () => this.#returnToEnd())
    new ResizeObserver(() => this.#resized()).observe(scroller)
  }

  /** Adds `{ kind: 'message' | 'control' | 'note' | 'note resumed' | 'note reset', text, name? }` with the time of its arrival. */
  add(entry) {
    this.#pending.push({ ...entry, at: Date.now() })
    // Trimmed at twice the bound, so that a trim is paid for by as many entries as it moves.
    if (this.#pending.length > 2 * MOST_ROWS) this.#pending.splice(0, this.#pending.length - MOST_ROWS)
    if (entry.kind === 'message') {
      this.#hasMessages = true
      if (this.#isAway) this.#newWhileAway++
    }
    this.#schedule()
  }

  clear() {
    this.#pending.length = 0
    this.#entries.length = 0
    this.#hasMessages = false
    this.#rows.replaceChildren()
    this.#returnToEnd()
  }

  #schedule() {
    if (this.#frame === 0) this.#frame = requestAnimationFrame((now) => this.#draw(now))
  }

  #draw(now) {
    this.#frame = 0
    if (now < this.#drawAfter) {
      this.#schedule()
      return
    }
    const startedAt = performance.now()
    if (this.#isAway) this.#showNew()
    else this.#drawPending()
    const endedAt = performance.now()
    this.#drawAfter = endedAt + Math.max((endedAt - startedAt) * REST, this.#isPartial ? FLOOD_REST_MS : 0)
  }

  #drawPending() {
    const arrived = this.#pending.length
    this.#entries = [...this.#entries, ...this.#pending].slice(-MOST_ROWS)
    this.#pending.length = 0
    if (arrived > this.#tail) this.#isPartial = true
    const kept = Math.min(this.#isPartial ? this.#tail : MOST_ROWS, this.#entries.length)
    this.#append(Math.min(arrived, kept), kept)
    this.#scrollToEnd()
    if (this.#isPartial) this.#completeWhenCalm()
  }

  /** Draws the last `count` entries, and keeps `kept` rows in all. */
  #append(count, kept) {
    if (count === kept) {
      this.#rows.replaceChildren(...this.#entries.slice(-count).map(row))
      return
    }
    const surplus = this.#rows.childElementCount + count - kept
    for (let i = 0; i < surplus; i++) this.#rows.firstElementChild?.remove()
    if (count > 0) this.#rows.append(...this.#entries.slice(-count).map(row))
  }

  #completeWhenCalm() {
    clearTimeout(this.#calm)
    this.#calm = setTimeout(() => this.#complete(), CALM_MS)
  }

  /** Draws what was left out, without moving what is visible. */
  #complete() {
    clearTimeout(this.#calm)
    if (!this.#isPartial) return
    this.#isPartial = false
    const fromEnd = this.#scroller.scrollHeight - this.#scroller.scrollTop
    const missing = this.#entries.length - this.#rows.childElementCount
    this.#rows.prepend(...this.#entries.slice(0, missing).map(row))
    this.#scroller.scrollTop = this.#scroller.scrollHeight - fromEnd
  }

  #showNew() {
    this.#newest.hidden = false
    const count = this.#newWhileAway
    this.#newest.textContent = count > 0 ? `${count.toLocaleString('en')} new ↓` : 'Newest ↓'
  }

  #resized() {
    this.#tail = Math.min(MOST_ROWS, Math.ceil(this.#scroller.clientHeight / ROW_PX) + 1)
    if (!this.#isAway) this.#scrollToEnd()
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller
    // Before the first message there is an end to nothing: what stands there is read from its top.
    const isAway = this.#hasMessages && scrollHeight - scrollTop - clientHeight > NEAR_END_PX
    if (isAway === this.#isAway) return
    if (!isAway) {
      this.#returnToEnd()
      return
    }
    this.#isAway = true
    this.#complete()
    this.#showNew()
  }

  #returnToEnd() {
    this.#isAway = false
    this.#newWhileAway = 0
    // A hidden button loses the focus to the body: hand it to the list that it stood for.
    if (document.activeElement === this.#newest) this.#scroller.focus({ preventScroll: true })
    this.#newest.hidden = true
    this.#drawPending()
  }

  #scrollToEnd() {
    if (this.#hasMessages) this.#scroller.scrollTop = this.#scroller.scrollHeight
  }
}

function row({ kind, text, name, at }) {
  const item = document.createElement('li')
  item.className = `row ${kind}`
  const time = document.createElement('span')
  time.className = 'time'
  time.textContent = timeOfDay(at)
  const body = document.createElement('span')
  body.className = 'body'
  if (name) body.append(eventName(name))
  body.append(kind.startsWith('note') ? text : highlightJson(text))
  item.append(time, body)
  return item
}

function eventName(name) {
  const element = document.createElement('span')
  element.className = 'event-name'
  element.textContent = `${name} `
  return element
}

function timeOfDay(at) {
  const date = new Date(at)
  const two = (number) => String(number).padStart(2, '0')
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  return `${clock}.${String(date.getMilliseconds()).padStart(3, '0')}`
}
