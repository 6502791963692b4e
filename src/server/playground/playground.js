/** The playground: puts the groups, the two panels, the forms and the plots together. */
import { Api, failureText, ProblemError } from './api.js'
import { BurstForm } from './burst.js'
import { copyOnClick } from './clipboard.js'
import { CountsPoll } from './counts.js'
import { GroupPicker } from './groups.js'
import { GaugeHistory } from './history.js'
import { Panel } from './panel.js'
import { MirrorPlot } from './plot.js'
import { PublishForm } from './publish.js'
import { SSE, WEBSOCKET } from './transports.js'

const TICK_MS = 250
/** Published while a connection is away that was dropped: enough to see that none is missing. */
const WHILE_AWAY = 3

const byId = (id) => document.getElementById(id)
const show = (id, text) => {
  byId(id).textContent = text
}

const api = new Api()
const groups = new GroupPicker({ onChange: groupsChanged })
const publishForm = new PublishForm({ api, onRefused: refused })
new BurstForm({ api, group: () => publishForm.group, onRefused: refused })

const page = {
  groups: () => groups.names,
  commandOptions: () => ({ needsKey: api.key !== '' }),
  announce: (text) => show('announcer', text),
  onStateChange: showJoinAll,
  drop,
}
const panels = []
for (const transport of [WEBSOCKET, SSE]) panels.push(new Panel(byId(transport.transport), transport, page))

/** Has the server close a connection, and publishes what it then misses. @returns what went wrong, or `null` */
async function drop(id) {
  const [group] = groups.names
  const publications = Array.from({ length: WHILE_AWAY }, (_, i) => ({
    groups: [group],
    message: { type: 'playground.while-away', number: i + 1, of: WHILE_AWAY },
  }))
  try {
    await api.dropConnection(id)
    await api.publishMany(publications)
    return null
  } catch (error) {
    refused(error)
    return failureText(error)
  }
}

function groupsChanged() {
  for (const panel of panels) panel.move()
  publishForm.suggestGroup(groups.names[0] ?? '')
  countsPoll.start()
  showJoinAll()
}

function showJoinAll() {
  const areAllJoined = panels.length > 0 && panels.every((panel) => panel.isJoined)
  show('join-all', areAllJoined ? 'Leave both' : 'Join both')
  byId('join-all').disabled = groups.names.length === 0
}

byId('join-all').addEventListener('click', () => {
  if (!groups.commit()) return
  if (panels.every((panel) => panel.isJoined)) for (const panel of panels) panel.leave()
  else for (const panel of panels) panel.join()
})
copyOnClick(byId('copy-link'), () => location.href, page.announce)
show('origin', location.host)

/** An answer that asks for a key shows where to enter it. */
function refused(error) {
  if (error instanceof ProblemError && error.status === 401) byId('key-details').open = true
}

byId('api-key').addEventListener('input', () => {
  api.key = byId('api-key').value.trim()
  for (const panel of panels) panel.refresh()
})
byId('api-key').addEventListener('change', () => countsPoll.start())

const ratesPlot = new MirrorPlot(byId('rates-plot'), { title: 'Message rate', least: 10, unit: '/s' })
const countsPlot = new MirrorPlot(byId('counts-plot'), { title: 'Connections', least: 2, isStepped: true })
const countHistory = { websocket: new GaugeHistory(), sse: new GaugeHistory() }

/** Adds up the chosen groups; `counts` has no entry for groups that nobody is in. */
function totals(counts) {
  const total = { websocket: 0, sse: 0, ndjson: 0 }
  for (const name of groups.names) {
    for (const transport of Object.keys(total)) total[transport] += counts.get(name)?.[transport] ?? 0
  }
  return total
}

const countsPoll = new CountsPoll({
  api,
  onCounts(counts) {
    const total = totals(counts)
    for (const [transport, count] of Object.entries(total))
      show(`count-${transport}`, count.toLocaleString('en'))
    countHistory.websocket.record(total.websocket)
    countHistory.sse.record(total.sse)
    groups.showCounts(counts)
    byId('counts-failure').hidden = true
  },
  onFailure(text, error) {
    for (const transport of ['websocket', 'sse', 'ndjson']) show(`count-${transport}`, '–')
    show('counts-failure', text)
    byId('counts-failure').hidden = false
    refused(error)
  },
})

function tick() {
  if (document.hidden) return
  const rates = panels.map((panel) => panel.rate.points())
  for (const [i, points] of rates.entries()) {
    const rate = `${points.at(-1).toLocaleString('en')}/s`
    panels[i].tick(rate)
    show(`rate-${panels[i].transport}`, rate)
  }
  ratesPlot.draw(...rates)
  countsPlot.draw(countHistory.websocket.points(), countHistory.sse.points())
}

publishForm.suggestGroup(groups.names[0])
showJoinAll()
countsPoll.start()
tick()
setInterval(tick, TICK_MS)
