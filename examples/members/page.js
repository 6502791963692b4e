// @ts-nocheck: it runs in browsers, and this repository is compiled without their globals.
const byId = (id) => document.getElementById(id)
const show = (state, isMember) => {
  byId('state').textContent = state
  byId('login').hidden = isMember
  byId('chat').hidden = !isMember
}

// The browser sends the cookie along; the page never sees it.
const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/members`)

socket.addEventListener('open', () => show('You are in.', true))
socket.addEventListener('message', ({ data }) => {
  const { type, name, text } = JSON.parse(data)
  if (type !== 'said') return
  const item = document.createElement('li')
  item.textContent = `${name}: ${text}`
  byId('log').append(item)
})
// 4501: not logged in. 4508: removed. Both come as a close, for a refused WebSocket is opened first.
socket.addEventListener('close', ({ code, reason }) =>
  show(code === 4508 ? 'You were removed.' : reason || 'Connection lost.', false),
)

byId('say').addEventListener('submit', (event) => {
  event.preventDefault()
  const { text } = event.target.elements
  socket.send(JSON.stringify({ type: 'say', text: text.value }))
  text.value = ''
})
