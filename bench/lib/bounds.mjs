// @ts-check
/**
 * What bounds the hub where it misses a target, as far as that is known from counted system calls and profiles: without figures, which are those of
 * a machine. `docs/benchmarks.md` has them, under "What bounds it".
 */

/** @typedef {import('../types.d.ts').Result} Result */
/** @typedef {import('../types.d.ts').Target} Target */

const ONE_WRITE =
  'a delivery is one write for each connection and turn, whoever makes it; what is above the C loop is Node’s own stream and handle, which a bare socket.write has as well.'
const BEFORE_THE_WRITE =
  'what a message costs before it is written, shared by the subscribers: a line of ndjson, checks, the way through the layer, the answer.'
const TWO_FORMATS =
  'each format is framed, concatenated and sealed for half of the members; the rest of the profile is that of one format, most of it writes.'
const COMBINATIONS =
  'members do not have the same run: it is concatenated and sealed anew for each combination of groups; in the profile that is what the hub has more of than with one group.'
const HANDSHAKE =
  'what a bare handshake has not: routing, origin and host, the consumer’s connect, joining; on SSE also an open event.'
const KEPT =
  'identity, request, memberships and outbox of each connection; resident memory also has gaps where the garbage of the handshakes was.'

/** The first that fits. @type {readonly { scenario: string, cases?: readonly string[], target?: string, bound: string }[]} */
export const BOUNDS = [
  {
    ...{ scenario: 'fan-out', target: '× ws-send websocket' },
    bound: 'both make one write for each connection and turn, so that there is little to save.',
  },
  { scenario: 'fan-out', target: '× c-loop websocket', cases: ['1 a turn', '10 a turn'], bound: ONE_WRITE },
  { scenario: 'fan-out', target: '× c-loop websocket', cases: ['100 a turn'], bound: BEFORE_THE_WRITE },
  { scenario: 'mixed', bound: TWO_FORMATS },
  {
    ...{ scenario: 'many-groups', cases: ['1 a turn'] },
    bound:
      'ten deliveries share the price of a turn: JSON, a promise, a timer phase. The C loop has none of it, and its ten connections are in the cache.',
  },
  { scenario: 'overlapping', cases: ['10 for each write'], bound: COMBINATIONS },
  { scenario: 'connect-storm', bound: HANDSHAKE },
  { scenario: 'idle-memory', bound: KEPT },
]

/** @param {string} scenario @param {Target} target @returns {string | null} `null`: not known */
function boundOf(scenario, { case: name, text }) {
  const known = BOUNDS.find(
    (entry) =>
      entry.scenario === scenario &&
      (entry.cases?.includes(name) ?? true) &&
      (entry.target === undefined || text.includes(entry.target)),
  )
  return known?.bound ?? null
}

/** The targets that a result misses, a line each, with what bounds them. @param {Result} result @returns {string[]} */
export function missedTexts({ scenario, targets }) {
  return targets
    .filter(({ isMet }) => !isMet)
    .map((target) => {
      const bound = boundOf(scenario, target) ?? 'what bounds it is not known.'
      return `missed, ${target.case}, ${target.text}: ${bound}`
    })
}

/**
 * What to do about targets that a quick pass misses; `null` for another run, and where it misses none.
 *
 * @param {readonly Result[]} results @param {import('../types.d.ts').Options['pace']} pace
 */
export function quickText(results, pace) {
  const names = results
    .filter(({ targets }) => targets.some(({ isMet }) => !isMet))
    .map((result) => result.scenario)
  if (pace !== 'quick' || names.length === 0) return null
  return `Targets were missed. A quick pass is short, and its many processes disturb each other: see npm run bench -- ${names.join(' ')}`
}
