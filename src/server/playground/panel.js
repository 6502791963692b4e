/** One transport's side of the page: its connection, what state that is in, and what arrived over it. */
import { copyOnClick } from './clipboard.js'
import { Feed } from './feed.js'
import { RateHistory } from './history.js'
import { codeOf } from './transports.js'

const NO_VALUE = '–'
/** States in which a connection exists or is being made. */
const JOINED = ['connecting', 'open', 'reconnecting']
/** The only states that are worth interrupting a screen reader for. */
const ANNOUNCED = ['open', 'reconnecting', 'refused']

const EMPTY_LEAD = {
  closed: 'Nothing here yet. Choose a group above and join it.',
  connecting: 'Connecting.',
  open: 'Listening. Messages will appear here.',
  reconnecting: 'The connection was lost; trying again.',
  refused: 'The server refused the connection.',
}

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

  /**
   * @param transport an entry of `transports.js`
   * @param page what the panel needs of the rest: `groups()`, `commandOptions()`, `announce(text)`, `onStateChange()`
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
    this.#connection = this.#transport.connection(groups, this.#isEnvelope, this.#handlers())
    this.#connection.open()
  }

  leave() {
    if (!this.isJoined) return
    this.#disconnect()
    this.#setState('closed')
    this.#feed.add({ kind: 'note', text: 'Left.' })
  }

  /** Comes back with other groups or in another format, if it is there at all. */
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
    const code = codeOf(this.#transport, groups, this.#isEnvelope)
    this.#part('.snippet').textContent = code.short
    this.#part('.snippet').title = code.full
    this.#part('.command code').textContent = this.#transport.command(groups, this.#page.commandOptions())
    this.#part('.toggle').disabled = groups.length === 0 && !this.isJoined
  }

  /** Shows how many arrived in the last second, as it is to be read. */
  showRate(rate) {
    this.#part('.rate').textContent = rate
  }

  get #isEnvelope() {
    return this.#part('input[value=envelope]').checked
  }

  #part(selector) {
    return this.#root.querySelector(selector)
  }

  #label() {
    const { transport, title, emptyText } = this.#transport
    this.#part('.panel-title').textContent = title
    this.#part('.panel-title').id = `${transport}-title`
    this.#part('legend').textContent = `Format over ${title}`
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
    this.#part('.clear').addEventListener('click', () => this.#clear())
    this.#part('.panel-code fieldset').addEventListener('change', () => this.rejoin())
    const { announce } = this.#page
    copyOnClick(this.#part('.copy-code'), () => this.#part('.snippet').title, announce)
    copyOnClick(this.#part('.copy-command'), () => this.#part('.command code').textContent, announce)
  }

  #handlers() {
    return {
      onState: (state, detail) => this.#stateChanged(state, detail),
      onOpen: (open) => this.#showConnection(open),
      onMessage: (text) => this.#messageArrived(text),
      onControl: (text, name) => this.#feed.add({ kind: 'control', text, name }),
    }
  }

  #messageArrived(text) {
    this.#received++
    this.rate.record()
    this.#feed.add({ kind: 'message', text })
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#showReceived())
  }

  #showReceived() {
    this.#frame = 0
    this.#part('.received').textContent = this.#received.toLocaleString('en')
    this.#part('.empty').hidden = this.#received > 0
  }

  #stateChanged(state, detail) {
    if (state === 'refused') this.#connection = null
    this.#setState(state)
    if (state === 'open')
      this.#feed.add({ kind: 'note', text: `Open, in ${this.#page.groups().join(', ')}.` })
    // An EventSource says the same at each of its attempts: once is enough.
    if (detail && detail !== this.#detail) this.#feed.add({ kind: 'note', text: detail })
    this.#detail = detail
    if (ANNOUNCED.includes(state)) this.#page.announce(`${this.#transport.title}: ${state}`)
  }

  #setState(state) {
    this.#state = state
    this.#root.dataset.state = state
    this.#part('.state-text').textContent = state
    this.#part('.empty-lead').textContent = EMPTY_LEAD[state]
    const toggle = this.#part('.toggle')
    toggle.textContent = this.isJoined ? 'Leave' : 'Join'
    toggle.setAttribute('aria-label', `${toggle.textContent} over ${this.#transport.title}`)
    const id = this.#part('.connection')
    if (state !== 'open' || id.dataset.known !== 'true') this.#showNoConnection(state)
    this.#page.onStateChange()
  }

  /** The id arrives before or after the state `open`, as the transport has it: neither may wipe out the other. */
  #showConnection({ connection }) {
    const id = this.#part('.connection')
    id.dataset.known = 'true'
    id.textContent = connection
    id.title = connection
  }

  #showNoConnection(state) {
    const id = this.#part('.connection')
    delete id.dataset.known
    id.textContent = state === 'open' ? this.#transport.noConnectionId : NO_VALUE
    id.removeAttribute('title')
  }

  #disconnect() {
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
