/**
 * Many clients in a process of their own: `crowd.mjs <url> <path> <clients of each transport> <messages>`. Tells its parent when all
 * are in, and what they got: numbers `n` of the messages, which must be 0, 1, 2, … on each client. One more message than are counted ends
 * them: a connection is ordered, so whatever was doubled has come before it.
 */
import { request } from 'node:http'
import { WebSocket } from 'ws'

const [url, path, clientsText, messagesText] = process.argv.slice(2)
const clients = Number(clientsText)
const messages = Number(messagesText)

/** Clients that have the last message. */
let ended = 0
const report = { complete: 0, lost: 0, doubled: 0, outOfOrder: 0 }
const sockets = []

/** Counts what one client gets. */
function counter() {
  let next = 0
  return (text) => {
    const { n } = JSON.parse(text)
    if (n === messages) {
      if (next === messages) report.complete++
      if (++ended === clients * 2) process.send(report)
    } else if (n < next) report.doubled++
    else if (n > next) report.outOfOrder++
    else next++
  }
}

function openWebSocket() {
  return new Promise((resolve, reject) => {
    const count = counter()
    const socket = new WebSocket(url.replace('http', 'ws') + path)
    sockets.push(() => socket.terminate())
    socket.on('open', resolve)
    socket.on('error', reject)
    socket.on('message', (data) => count(String(data)))
    socket.on('close', () => report.lost++)
  })
}

function openEventStream() {
  return new Promise((resolve, reject) => {
    const count = counter()
    const opening = request(
      url + path,
      { agent: false, headers: { accept: 'text/event-stream' } },
      (response) => {
        let rest = ''
        response.setEncoding('utf8')
        response.on('data', (chunk) => {
          const lines = (rest + chunk).split('\n')
          rest = lines.pop()
          for (const line of lines) if (line.startsWith('data: {"type"')) count(line.slice(6))
        })
        response.on('error', () => {})
        response.on('close', () => report.lost++)
        resolve()
      },
    )
    sockets.push(() => opening.destroy())
    opening.on('error', reject)
    opening.end()
  })
}

for (let opened = 0; opened < clients; opened += 100) {
  const wave = []
  for (let i = 0; i < Math.min(100, clients - opened); i++) wave.push(openWebSocket(), openEventStream())
  await Promise.all(wave)
}
process.send('in')
process.on('message', () => {
  for (const leave of sockets) leave()
  process.disconnect()
})
