/** One transport's side of the page: its connection, what state that is in, and what arrived over it. */
import { copyOnClick } from './clipboard.js'
import { Feed } from './feed.js'
import { RateHistory } from './history.js'
import { Resumption } from './resumption.js'
import { codeOf, LIBRARY, NAMES } from './transports.js'

const NO_VALUE = '–'
/** States in which a connection exists or is being made. */
const JOINED = ['connecting', 'open', 'waiting']
/** The only states that are worth interrupting a screen reader for. */
const ANNOUNCED = ['open', 'waiting', 'ended']
/** Of a cursor so much is shown: its end is what changes. */
const CURSOR_CHARACTERS = 10

const EMPTY_LEAD = {
  closed: 'Nothing here yet. Choose a group above and join it.',
  connecting: 'Connecting.',
  open: 'Listening. Messages will appear here.',
  waiting: 'The connection was lost; trying again.',
  ended: 'The connection is closed.',
}
/** How states are called where that is not their name. */
const STATE_TEXT = { ended: 'closed for good' }

const NO_HISTORY =
  'No history here: what is sent while this connection is away is missed. To keep it, start the server with\n' +
  'GROUPCAST_GROUPS=\'[{"match":"*","history":{}}]\''

export class Panel {
  rate = new RateHistory()
  #root
  #transport
  #page
  #feed
  #connection = null
  #state = 'closed'
  #detail
  #received = 0
  #frame = 0
  /** When the next attempt is due, while that is known. */
  #nextAttemptAt = null
  /** The id of the connection that is open, where it is told. */
  #id = null
  /** The last position; `null`: none was told. */
  #cursor = null
  /** What it speaks, where the library says so. */
  #speaks = null
  /** Whether the connection was open before, since it was joined. */
  #isBack = false
  #hasTold = false
  /** Whether it was told of a reset since it is back. */
  #isReset = false
  #resumption = new Resumption((count) => this.#resumed(count))

  /**
   * @param transport an entry of `transports.js`
   * @param page what the panel needs of the rest: `groups()`, `commandOptions()`, `announce(text)`, `onStateChange()`, and `drop(id)`, which
   *   resolves when the connection was closed and messages were published after that
   */
  constructor(root, transport, page) {
    this.#root = root
    this.#transport = transport
    this.#page = page
    root.append(document.getElementById('panel-template').content.cloneNode(true))
    this.#feed = new Feed({
      scroller: this.#part('.feed'),
      rows: this.#part('.rows'),
      newest: this.#part('.newest'),
    })
    this.#label()
    this.#listen()
    this.#setState('closed')
    this.refresh()
  }

  get transport() {
    return this.#transport.transport
  }

  get isJoined() {
    return JOINED.includes(this.#state)
  }

  join() {
    const groups = this.#page.groups()
    if (this.isJoined || groups.length === 0) return
    this.#isBack = false
    this.#hasTold = false
    this.#cursor = null
    this.#connection = this.#transport.connection(groups, this.#format, this.#handlers())
    this.#connection.open()
  }

  leave() {
    if (!this.isJoined) return
    this.#disconnect()
    this.#setState('closed')
    this.#note('Left.')
  }

  /** The chosen groups have changed: goes there, if it is joined at all. Only the library does so without another connection. */
  move() {
    const groups = this.#page.groups()
    if (groups.length === 0) this.leave()
    this.refresh()
    if (this.isJoined && this.#connection.moveTo) this.#connection.moveTo(groups)
    else this.rejoin()
  }

  /** Comes back in another format, if it is there at all. */
  rejoin() {
    this.refresh()
    if (!this.isJoined) return
    this.#disconnect()
    this.#setState('closed')
    this.join()
  }

  /** Brings code and commands up to date with the chosen groups and format. */
  refresh() {
    const groups = this.#page.groups()
    const code = codeOf(this.#transport, groups, this.#format)
    this.#part('.snippet').textContent = code.short
    this.#part('.snippet').title = code.full
    this.#part('.command code').textContent = this.#transport.command(groups, this.#page.commandOptions())
    this.#part('.toggle').disabled = groups.length === 0 && !this.isJoined
  }

  /** Shows how many arrived in the last second, as it is to be read, and how long it still waits. */
  tick(rate) {
    this.#part('.rate').textContent = rate
    if (this.#nextAttemptAt !== null) this.#showState()
  }

  get #format() {
    return this.#part('.panel-code input:checked').value
  }

  #part(selector) {
    return this.#root.querySelector(selector)
  }

  #label() {
    const { transport, title, emptyText } = this.#transport
    this.#part('.panel-title').textContent = title
    this.#part('.panel-title').id = `${transport}-title`
    this.#part('legend').textContent = `How to listen over ${title}`
    this.#part('.drop').setAttribute('aria-label', `Drop the connection over ${title}`)
    this.#part('.feed').setAttribute('aria-label', `Messages over ${title}`)
    this.#part('.empty-text').textContent = emptyText
    for (const radio of this.#root.querySelectorAll('input[type=radio]')) radio.name = `${transport}-format`
    this.#part('.copy-code').setAttribute('aria-label', `Copy the code (${title})`)
    this.#part('.copy-code').title = 'Copy, with the full URL'
    this.#part('.copy-command').setAttribute('aria-label', `Copy the command (${title})`)
    this.#part('.clear').setAttribute('aria-label', `Clear ${title}`)
  }

  #listen() {
    this.#part('.toggle').addEventListener('click', () => (this.isJoined ? this.leave() : this.join()))
    this.#part('.drop').addEventListener('click', () => this.#drop())
    this.#part('.clear').addEventListener('click', () => this.#clear())
    this.#part('.panel-code fieldset').addEventListener('change', () => this.rejoin())
    const { announce } = this.#page
    copyOnClick(this.#part('.copy-code'), () => this.#part('.snippet').title, announce)
    copyOnClick(this.#part('.copy-command'), () => this.#part('.command code').textContent, announce)
  }

  #handlers() {
    return {
      onState: (state, told) => this.#stateChanged(state, told),
      onOpen: (open) => this.#opened(open),
      onMessage: (text, context) => this.#messageArrived(text, context),
      onCursor: (cursor) => this.#moved(cursor),
      onReset: (reset) => this.#wasReset(reset),
      onControl: (text, name) => this.#feed.add({ kind: 'control', text, name }),
      onNote: (text) => this.#note(text),
    }
  }

  #note(text) {
    this.#feed.add({ kind: 'note', text })
  }

  #messageArrived(text, { group, cursor }) {
    this.#received++
    this.rate.record()
    this.#resumption.record()
    if (cursor) this.#cursor = cursor
    // An envelope says it itself.
    const isTold = this.#format === LIBRARY && this.#page.groups().length > 1
    this.#feed.add({ kind: 'message', text, name: isTold ? group : undefined })
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#showReceived())
  }

  #showReceived() {
    this.#frame = 0
    this.#part('.received').textContent = this.#received.toLocaleString('en')
    this.#part('.empty').hidden = this.#received > 0
    this.#showCursor()
  }

  /** The hub has told about the connection, before or after the state `open`, as the transport has it. */
  #opened({ connection, cursor, transport }) {
    this.#id = connection
    this.#speaks = transport ?? null
    this.#cursor = cursor ?? this.#cursor
    this.#showConnection()
    if (this.#cursor === null && !this.#hasTold) this.#note(NO_HISTORY)
    this.#hasTold = true
  }

  #stateChanged(state, { detail, waitMs } = {}) {
    if (state === 'ended') this.#connection = null
    if (state !== 'open') this.#resumption.stop()
    this.#nextAttemptAt = state === 'waiting' && waitMs !== undefined ? performance.now() + waitMs : null
    const wasThere = this.#isBack
    if (state === 'open') this.#isBack = true
    this.#setState(state)
    // An EventSource says the same at each of its attempts: once is enough.
    if (detail && detail !== this.#detail) this.#note(detail)
    this.#detail = detail
    if (state === 'open') {
      this.#note(`${wasThere ? 'Back' : 'Open'}, in ${this.#page.groups().join(', ')}.`)
      this.#isReset = false
      if (wasThere) this.#resumption.begin()
    }
    if (ANNOUNCED.includes(state)) this.#page.announce(`${this.#transport.title}: ${state}`)
  }

  /** What was missed has come, as far as it was kept. */
  #resumed(count) {
    if (this.#cursor === null) {
      this.#note('What was sent meanwhile is missed: these groups keep no history.')
    } else if (count > 0 || !this.#isReset) {
      const messages = count === 1 ? '1 message' : `${count.toLocaleString('en')} messages`
      this.#feed.add({ kind: 'note resumed', text: `Resumed: ${messages}.` })
    }
  }

  #moved(cursor) {
    this.#cursor = cursor
    this.#showCursor()
  }

  #wasReset({ groups, cursor }) {
    this.#isReset = true
    if (cursor) this.#moved(cursor)
    const text = `Reset: messages of ${groups.join(', ')} may have been missed. An application loads its state anew now.`
    this.#feed.add({ kind: 'note reset', text })
  }

  async #drop() {
    this.#connection?.willBeDropped?.()
    const problem = await this.#page.drop(this.#id)
    if (problem !== null) this.#note(problem)
  }

  #setState(state) {
    this.#state = state
    this.#root.dataset.state = state
    this.#showState()
    this.#part('.empty-lead').textContent = EMPTY_LEAD[state]
    const toggle = this.#part('.toggle')
    toggle.textContent = this.isJoined ? 'Leave' : 'Join'
    toggle.setAttribute('aria-label', `${toggle.textContent} over ${this.#transport.title}`)
    if (state !== 'open') {
      this.#id = null
      this.#speaks = null
    }
    this.#showConnection()
    this.#page.onStateChange()
  }

  #showState() {
    const leftMs = (this.#nextAttemptAt ?? 0) - performance.now()
    const text =
      this.#state === 'waiting' && leftMs > 0
        ? `waiting ${Math.ceil(leftMs / 1000)} s`
        : (STATE_TEXT[this.#state] ?? this.#state)
    const element = this.#part('.state-text')
    if (element.textContent !== text) element.textContent = text
  }

  #showConnection() {
    const id = this.#part('.connection')
    id.dataset.known = String(this.#id !== null)
    id.textContent = this.#id ?? (this.#state === 'open' ? this.#transport.noConnectionId : NO_VALUE)
    id.title = this.#id ?? ''
    this.#part('.drop').hidden = !this.isJoined
    this.#part('.drop').disabled = this.#id === null
    this.#part('.transport-name').textContent = this.#speaks ? `over ${NAMES[this.#speaks]}` : ''
    this.#showCursor()
  }

  #showCursor() {
    const cursor = this.#part('.cursor')
    const text = this.#cursor ?? ''
    const isShort = text.length <= CURSOR_CHARACTERS
    cursor.textContent =
      (isShort ? text : `…${text.slice(1 - CURSOR_CHARACTERS)}`) || (this.#id === null ? NO_VALUE : 'none')
    cursor.title = text
  }

  #disconnect() {
    this.#resumption.stop()
    this.#nextAttemptAt = null
    this.#connection?.close()
    this.#connection = null
  }

  #clear() {
    this.#received = 0
    this.rate.clear()
    this.#feed.clear()
    this.#showReceived()
  }
}
