// The page of the chat. Only the two `open…` functions know which transport it is: both give `send` and `close`, and call
//   opened()           connected, or connected again
//   received(message)  the same messages over both
//   waiting()          the connection was lost and will be tried again
//   refused(reason)    the server does not want us: trying again would change nothing

/** A WebSocket: messages both ways over one connection. */
function openWebSocket(url, { opened, received, waiting, refused }) {
  let socket
  let retry
  connect()

  function connect() {
    socket = new WebSocket(url)
    socket.onopen = opened
    socket.onmessage = ({ data }) => received(JSON.parse(data))
    socket.onclose = ({ code, reason }) => {
      if (code >= 4500) {
        refused(reason)
        return
      }
      waiting()
      // A WebSocket does not come back by itself. The wait is random: a server that has just restarted should not have to
      // greet all its clients at once.
      retry = setTimeout(connect, 500 + 2000 * Math.random())
    }
  }

  return {
    async send(message) {
      // Once it is closed, `send` drops messages without a word.
      if (socket.readyState !== WebSocket.OPEN) throw new Error('not connected')
      socket.send(JSON.stringify(message))
    },
    close() {
      clearTimeout(retry)
      socket.onclose = null
      socket.close()
    },
  }
}

/** Server-Sent Events: messages from the server; ours are posted to the same URL in the name of the connection. */
function openEventSource(url, { opened, received, waiting, refused }) {
  const source = new EventSource(url)
  let connection = ''
  source.addEventListener('groupcast.open', ({ data }) => {
    // A new id each time: an EventSource comes back by itself, as a new connection.
    connection = JSON.parse(data).connection
    opened()
  })
  source.onmessage = ({ data }) => received(JSON.parse(data))
  source.onerror = () => {
    // It gives up for good on an error status, whose reason pages cannot see.
    if (source.readyState === EventSource.CLOSED) refused('The server refused the connection.')
    else waiting()
  }

  return {
    async send(message) {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'Groupcast-Connection': connection },
        body: JSON.stringify(message),
      })
      if (!response.ok) throw new Error(`The server answered ${response.status}`)
    },
    close() {
      source.close()
    },
  }
}

const TRANSPORTS = {
  websocket: { name: 'WebSocket', open: openWebSocket },
  sse: { name: 'SSE', open: openEventSource },
  // Nobody joins over it from this page; scripts may.
  ndjson: { name: 'ndjson' },
}

const door = document.querySelector('#door')
const room = document.querySelector('#room')
const status = document.querySelector('#status')
const log = document.querySelector('#log')
const composer = document.querySelector('#composer')

let me = ''
let chat = null

door.addEventListener('submit', (event) => {
  event.preventDefault()
  const form = Object.fromEntries(new FormData(door))
  const transport = TRANSPORTS[form.transport]
  me = form.name.trim()
  document.querySelector('#title').textContent = form.room
  document.querySelector('#refusal').textContent = ''
  document.querySelector('#unsent').textContent = ''
  log.replaceChildren()
  showStatus('waiting', 'Connecting …')
  door.hidden = true
  room.hidden = false

  chat = transport.open(`/chat/${encodeURIComponent(form.room)}?${new URLSearchParams({ name: me })}`, {
    opened: () => showStatus('open', `${me}, over ${transport.name}`),
    received: show,
    waiting: () => showStatus('waiting', 'Connecting again …'),
    refused: leave,
  })
  composer.elements.text.focus()
})

composer.addEventListener('submit', async (event) => {
  event.preventDefault()
  const text = composer.elements.text.value.trim()
  if (text === '') return
  const unsent = document.querySelector('#unsent')
  unsent.textContent = ''
  try {
    await chat.send({ type: 'chat.say', text })
    composer.reset()
  } catch {
    // It stays in the field.
    unsent.textContent = 'Not sent. Try again when you are connected.'
  }
})

document.querySelector('#leave').addEventListener('click', () => leave(''))

function leave(reason) {
  chat.close()
  document.querySelector('#refusal').textContent = reason
  room.hidden = true
  door.hidden = false
}

function showStatus(state, text) {
  status.dataset.state = state
  status.textContent = text
}

const SHOW = new Map([
  ['chat.message', ({ name, text }) => bubble(name, text)],
  ['chat.joined', ({ name, transport }) => notice(`${name} joined over ${TRANSPORTS[transport].name}`)],
  ['chat.left', ({ name }) => notice(`${name} left`)],
])

function show(message) {
  // Types that this page does not know are for a newer one.
  const item = SHOW.get(message.type)?.(message)
  if (item === undefined) return
  const wasAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40
  log.append(item)
  // Whoever has scrolled up is reading: do not pull the page away.
  if (wasAtEnd) log.scrollTop = log.scrollHeight
}

function notice(text) {
  return element('li', 'notice', text)
}

function bubble(name, text) {
  const item = element('li', name === me ? 'message mine' : 'message')
  // One colour for each name, from the name itself.
  const hue = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7)
  item.style.setProperty('--hue', hue)
  const isSameAuthor = log.lastElementChild?.dataset.author === name
  item.dataset.author = name
  if (!isSameAuthor) item.append(element('p', 'author', name))
  item.append(element('p', 'text', text))
  return item
}

/** `textContent` throughout: what people write is text, and never becomes a part of the page. */
function element(tag, className, text = '') {
  const made = document.createElement(tag)
  made.className = className
  made.textContent = text
  return made
}
