// @ts-check
/**
 * Hostile clients of all kinds beside honest ones, for a minute: what the honest notice of it, whether they lose anything, and what it leaves
 * in memory. Phases without and with the hostile take turns in one server process with the same honest clients.
 */
import { createHmac } from 'node:crypto'
import { Crew } from '../lib/crew.mjs'
import { EXEMPT_ADDRESSES } from '../lib/hostile/swarm.mjs'
import { Measured } from '../lib/interleave.mjs'
import { startProcess } from '../lib/node-subject.mjs'
import { plainTarget, target } from '../lib/statistics.mjs'

/** @typedef {import('../types.d.ts').Context} Context */
/** @typedef {import('../lib/hostile/swarm.mjs').Account} Account */
/** @typedef {{ clients: number, rate: number, size: number, phaseMs: number, repeats: number, settleMs: number }} Load */

/** @type {Record<import('../types.d.ts').Options['pace'], Load>} */
const LOADS = {
  smoke: { clients: 20, rate: 50, size: 256, phaseMs: 2_000, repeats: 1, settleMs: 15_000 },
  quick: { clients: 100, rate: 50, size: 512, phaseMs: 4_000, repeats: 1, settleMs: 15_000 },
  full: { clients: 500, rate: 50, size: 512, phaseMs: 20_000, repeats: 3, settleMs: 30_000 },
}
const GROUP = 'g0'
const KEY = 'the-key-of-the-soak-alone'
const SECRET = 'vR8mQ2xLp0aZk7WcT4bY9nHe3sJd6fGu'
/**
 * By address and identity, of which the honest have none that counts: so little that it is spent within the shortest phase. What a connection may
 * spend is the default.
 */
const RATES = {
  'rates.exemptAddresses': EXEMPT_ADDRESSES,
  'rates.handshakesPerAddress': 5,
  'rates.handshakesPerAddressBurst': 10,
  'rates.failedAuthenticationsPerAddressBurst': 10,
  'rates.messagesPerIdentity': 50,
  'rates.messagesPerIdentityBurst': 100,
}
const MIB = 2 ** 20
/**
 * Of objects that are alive. Tens of thousands of clients come and go in a minute, and one that is left costs some ten kilobytes: a leak of one in
 * a hundred would be more than this.
 */
const HEAP_MIB = 2
/** Of the process: how the allocator is left by the clients that come and go differs by so much between two phases of the same. */
const RSS_SHARE = 1.1
const ALONE = 'hub, honest alone'
const BESIDE = 'hub, beside hostile'

/** @type {import('../types.d.ts').Scenario} */
export const scenario = {
  name: 'soak',
  title: 'Soak: hostile clients of all kinds beside honest ones',
  isByNameOnly: true,
  async run(context) {
    const { options } = context
    const given = LOADS[options.pace]
    const load = {
      ...given,
      clients: Math.min(given.clients, options.subscribers),
      repeats: Math.min(given.repeats, options.repeats),
    }
    const subjects = await context.choose(options.subjects === null ? ['hub'] : ['hub', 'hub-uws'])
    const rows = []
    const targets = []
    for (const subject of subjects) {
      const { measured, accounts, memory } = await soak(context, subject, load)
      const name = `${subject.name}, ${load.clients} honest`
      const shown = ['p50', 'p999', 'max', 'rssMiB', 'heapMiB', 'serverBusy', 'generatorBusy']
      rows.push(...measured.rows(name, 'p99', 'ms p99', shown), ...accountRows(subject.name, accounts))
      targets.push(...targetsOf(name, measured, memory))
    }
    return { settings: load, rows, targets }
  },
}

/** @param {Context} context @param {import('../types.d.ts').Subject} subject @param {Load} load */
async function soak(context, subject, load) {
  const measured = new Measured()
  /** @type {Record<string, Account>} */
  const accounts = {}
  const hostile = await startProcess('hostile.mjs', context.pinning.load)
  const crew = await Crew.start(context, subject, {
    transport: 'mixed',
    subscribers: load.clients,
    size: load.size,
    // Tokens and keys are there to be guessed; honest clients need none to listen.
    extra: { apiKeys: [KEY], 'auth.secret': SECRET, ...RATES },
  })
  try {
    const memory = { before: NO_MEMORY, after: NO_MEMORY }
    for (let repeat = 0; repeat <= load.repeats; repeat++) {
      // The first of each brings compiled code and a grown heap, and is not counted.
      const isWarmUp = repeat === 0
      if (isWarmUp && context.options.pace === 'smoke') continue
      const phaseMs = isWarmUp ? load.phaseMs / 2 : load.phaseMs
      for (const label of [ALONE, BESIDE]) {
        context.progress(`${subject.name}, ${label} (${repeat} of ${load.repeats})`)
        const isBeside = label === BESIDE
        const { port } = new URL(crew.running.url)
        if (isBeside) await hostile('begin', { port: Number(port), group: GROUP, token: newToken() })
        const latency = await crew.openLoop({ rate: load.rate, durationMs: phaseMs })
        const said = isBeside ? /** @type {Record<string, Account>} */ (await hostile('end', null)) : {}
        const settled = await settle(context, crew, load)
        if (isWarmUp || memory.before === NO_MEMORY) memory.before = settled
        memory.after = settled
        if (isWarmUp) continue
        addAccounts(accounts, said)
        const figures = { ...latency, ...settled }
        measured.add({ label, kind: subject.kind, measure: async () => figures }, figures)
      }
    }
    await crew.check()
    if (context.options.pace !== 'smoke') checkMet(context, accounts)
    return { measured, accounts, memory }
  } finally {
    await hostile.stop()
    await crew.stop()
  }
}

/** A token of an identity that is let in. */
function newToken() {
  const part = (/** @type {object} */ value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { sub: 'mallory', exp: Math.floor(Date.now() / 1000) + 3_600 }
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`
}

/** What kinds must have met which are about a rate: clients of which nothing is counted once went unnoticed. In the moment of a smoke run not all get so far. */
const MEETS = /** @type {const} */ ([
  ['knocking from one address', 'status 429'],
  ['guessed tickets', 'status 429'],
  ['one identity on many connections', 'close 4028'],
  // uWebSockets.js cuts them without a word.
  ['compressed bombs', 'close 1002', 'cut'],
])

/** @param {Context} context @param {Record<string, Account>} accounts */
function checkMet(context, accounts) {
  for (const [kind, ...outcomes] of MEETS) {
    if (outcomes.every((outcome) => (accounts[kind]?.outcomes[outcome] ?? 0) === 0))
      context.fault(`Of the hostile, ${kind} never met ${outcomes.join(' or ')}.`)
  }
}

/** @type {{ readonly rssMiB: number, readonly heapMiB: number }} */
const NO_MEMORY = Object.freeze({ rssMiB: 0, heapMiB: 0 })

/** Waits until nobody but the honest is there any more, and says what is in use. @param {Context} context @param {Crew} crew @param {Load} load */
async function settle(context, crew, { clients, settleMs }) {
  const deadlineMs = performance.now() + settleMs
  let left = (await connections(crew.running.url)) - clients
  while (left > 0 && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, 250))
    left = (await connections(crew.running.url)) - clients
  }
  if (left > 0)
    context.fault(`${left} connections of hostile clients are left ${settleMs} ms after they went.`)
  const { rssBytes, heapBytes = 0 } = await crew.running.usage({ collect: true })
  return { rssMiB: rssBytes / MIB, heapMiB: heapBytes / MIB }
}

/** What the hub counts. @param {string} url @returns {Promise<number>} */
async function connections(url) {
  const answer = await fetch(`${url}/metrics`, { headers: { Authorization: `Bearer ${KEY}` } })
  const lines = (await answer.text()).matchAll(/^groupcast_connections\{.*\} (\d+)$/gm)
  return [...lines].reduce((sum, [, count]) => sum + Number(count), 0)
}

/** @param {Record<string, Account>} all @param {Record<string, Account>} more */
function addAccounts(all, more) {
  for (const [name, { attempts, bytes, outcomes }] of Object.entries(more)) {
    const account = all[name] ?? { attempts: 0, bytes: 0, open: 0, outcomes: {} }
    all[name] = account
    account.attempts += attempts
    account.bytes += bytes
    for (const [what, count] of Object.entries(outcomes))
      account.outcomes[what] = (account.outcomes[what] ?? 0) + count
  }
}

/** What became of each kind: a row for each outcome. @param {string} name @param {Record<string, Account>} accounts @returns {import('../types.d.ts').Row[]} */
function accountRows(name, accounts) {
  return Object.entries(accounts).flatMap(([kind, { outcomes }]) =>
    Object.entries(outcomes)
      .sort(([, a], [, b]) => b - a)
      .map(([what, count]) => ({
        case: `${name}: ${kind}`,
        subject: what,
        kind: /** @type {const} */ ('hub'),
        unit: 'clients',
        ...{ median: count, low: count, high: count },
      })),
  )
}

/** @param {string} name @param {Measured} measured @param {{ before: typeof NO_MEMORY, after: typeof NO_MEMORY }} memory */
function targetsOf(name, measured, { before, after }) {
  return [
    target({
      case: name,
      text: 'p99 beside hostile clients ≤ 2 × without',
      of: measured.values(BESIDE, 'p99'),
      against: measured.values(ALONE, 'p99'),
      limit: 2,
    }),
    plainTarget({
      case: name,
      text: `live heap afterwards ≤ ${HEAP_MIB} MiB over that before`,
      value: after.heapMiB - before.heapMiB,
      limit: HEAP_MIB,
    }),
    plainTarget({
      case: name,
      text: `resident memory afterwards ≤ ${RSS_SHARE} × that before`,
      value: after.rssMiB / before.rssMiB,
      limit: RSS_SHARE,
    }),
  ]
}
