/** Obligations 16 and 17: all of a group's rest or the word that it is lost; and what comes without a cursor. */
import { FEW } from '../../kept-groups.ts'
import { type CaseSpec, range } from '../../trial.ts'
import { assertLost, assertWhole, type Kept, publishInTurn, publishKept } from './log.ts'
import { publishSized } from './sized.ts'

export const lostCases: readonly CaseSpec[] = [
  {
    title: '16.1 after whatever is no cursor everything is lost',
    needs: 'history',
    async run(trial) {
      const [, { cursor }] = (await publishInTurn(trial, 'kept.a', 3)) as [Kept, Kept, Kept]
      for (const text of [...NO_CURSORS, ...spoiled(cursor)]) {
        const replay = await trial.last.replay(text, 'kept.a', 'kept.b')
        assertLost(replay, ['kept.a', 'kept.b'], `after ${JSON.stringify(text.slice(0, 60))}`)
      }
      assertWhole(await trial.last.replay(cursor, 'kept.b'), [], 'it goes on')
    },
  },
  {
    title: '16.2 after a cursor of another epoch everything is lost, whether it was ahead or behind',
    needs: 'history',
    async run(trial) {
      const other = await trial.another()
      const strange: (string | null)[] = [other.first.layer.position]
      for (const { cursor } of await publishInTurn(other, 'kept.a', 9)) strange.push(cursor)
      await publishInTurn(trial, 'kept.a', 4)
      for (const cursor of strange) {
        if (cursor === null) continue
        assertLost(await trial.last.replay(cursor, 'kept.a'), ['kept.a'], `after ${cursor} of other layers`)
        assertLost(await trial.last.replay(cursor, 'kept.b'), ['kept.b'], `after ${cursor} of other layers`)
      }
    },
  },
  {
    title: '16.3 what was dropped for the count is lost, and what was not is given whole',
    needs: 'history',
    async run(trial) {
      const sent = await publishInTurn(trial, 'kept.few.a', FEW + 4)
      for (const [index, { cursor }] of sent.entries()) {
        const replay = await trial.last.replay(cursor, 'kept.few.a')
        // Those after the fourth are all there; after the third the fourth is missing.
        if (index < 3) assertLost(replay, ['kept.few.a'], `after ${index}`)
        else assertWhole(replay, sent.slice(index + 1), `after ${index}`)
      }
    },
  },
  {
    title: '16.4 what was dropped for its bytes is lost, and what was not is given whole',
    needs: 'history',
    async run(trial) {
      const sent: Kept[] = []
      for (const n of range(0, 6)) sent.push(await publishSized(trial.first, 'kept.small.a', n, 300))
      for (const [index, { cursor }] of sent.entries()) {
        const replay = await trial.last.replay(cursor, 'kept.small.a')
        if (index < 2) assertLost(replay, ['kept.small.a'], `after ${index}`)
        else assertWhole(replay, sent.slice(index + 1), `after ${index}`)
      }
    },
  },
  {
    title: '16.5 what was dropped for its age is lost, and what was not is given whole',
    needs: 'history',
    async run(trial) {
      const before = await publishKept(trial.first, 'kept.a', 0)
      const old = await publishKept(trial.first, 'kept.brief.a', 1)
      await trial.advance(trial.expiryMs * 0.7)
      const young = await publishKept(trial.first, 'kept.brief.a', 2)
      await trial.advance(trial.expiryMs * 0.5)
      assertWhole(await trial.last.replay(old.cursor, 'kept.brief.a'), [young], 'after what was dropped')
      assertLost(await trial.last.replay(before.cursor, 'kept.brief.a'), ['kept.brief.a'], 'before that')
      await trial.advance(trial.expiryMs * 0.7)
      assertWhole(await trial.last.replay(young.cursor, 'kept.brief.a'), [], 'when all are too old')
      assertLost(
        await trial.last.replay(old.cursor, 'kept.brief.a'),
        ['kept.brief.a'],
        'when all are too old',
      )
    },
  },
  {
    title: '16.6 a group that is lost gives nothing, and others of the same request all that they have',
    needs: 'history',
    async run(trial) {
      const before = await publishKept(trial.first, 'kept.a', -1)
      const whole: Kept[] = []
      for (const n of range(0, FEW + 1)) {
        await publishKept(trial.first, 'kept.few.a', n)
        whole.push(await publishKept(trial.first, 'kept.a', n))
        if (n > 0) whole.push(await publishKept(trial.first, 'kept.few.b', n))
      }
      const replay = await trial.last.replay(before.cursor, 'kept.few.a', 'kept.few.b', 'kept.a')
      assertWhole({ ...replay, lost: [] }, whole, 'the groups that are not lost')
      assertLost({ ...replay, publications: [] }, ['kept.few.a'], 'one group of three')
    },
  },
  {
    title: '16.7 groups that keep no history are in neither',
    needs: 'history',
    async run(trial) {
      const { cursor } = await publishKept(trial.first, 'kept.a', 1)
      await trial.first.publish('a', 2)
      assertLost(await trial.last.replay('no cursor', 'a', 'kept.a'), ['kept.a'], 'after no cursor')
      for (const after of ['no cursor', cursor, null]) {
        assertWhole(await trial.last.replay(after, 'a', 'kept'), [], `after ${after}`)
        assertWhole(await trial.last.replay(after), [], `no groups, after ${after}`)
      }
    },
  },
  {
    title: '16.8 a group that had nothing yet has lost nothing',
    needs: 'history',
    async run(trial) {
      const sent = await publishInTurn(trial, 'kept.few.a', FEW + 2)
      for (const { cursor } of sent) {
        assertWhole(
          await trial.last.replay(cursor, 'kept.few.b', 'kept.b'),
          [],
          'groups without publications',
        )
      }
    },
  },
  {
    title: '17.1 without a cursor replay gives what each group keeps, in one order',
    needs: 'history',
    async run(trial) {
      const sent: Kept[] = []
      for (const n of range(0, 12)) sent.push(await publishKept(trial.node(n), `kept.${n % 3}`, n))
      for (const node of trial.nodes) {
        assertWhole(await node.replay(null, 'kept.2', 'kept.0', 'kept.1', 'kept.3'), sent, 'all groups')
        const some = sent.filter(({ group }) => group !== 'kept.1')
        assertWhole(await node.replay(null, 'kept.0', 'kept.2'), some, 'some groups')
      }
    },
  },
  {
    title: '17.2 without a cursor nothing is lost, whatever was dropped',
    needs: 'history',
    async run(trial) {
      assertWhole(await trial.last.replay(null, 'kept.few.a', 'kept.b'), [], 'before anything was sent')
      const sent = await publishInTurn(trial, 'kept.few.a', FEW * 3)
      assertWhole(await trial.last.replay(null, 'kept.few.a', 'kept.b'), sent.slice(-FEW), 'the newest')
    },
  },
]

/** What clients may take for a cursor. */
const NO_CURSORS: readonly string[] = [
  ...[
    '',
    ' ',
    '.',
    '..',
    '-',
    '~',
    '_',
    '0',
    '1',
    '-1',
    '00',
    '1.',
    '.1',
    '0.0',
    '-1.-1',
    '1e3',
    'Infinity',
    'NaN',
  ],
  ...[
    'null',
    'undefined',
    'true',
    '__proto__',
    'constructor',
    '__proto__.1',
    'a.b.c',
    'no cursor',
    '$',
    '*',
    '%00',
  ],
  ...[
    '\0',
    '\n',
    '\r\n',
    '\u2028',
    '\ud800',
    'é',
    '😀',
    '١',
    '９',
    '"',
    "'",
    '{}',
    '[]',
    '<>',
    '../..',
    '(',
    '+',
    '>',
  ],
  ...[
    '9007199254740993',
    '1.9007199254740993',
    '0'.repeat(128),
    '9'.repeat(128),
    'a'.repeat(129),
    'a.1'.repeat(99),
  ],
  'a'.repeat(1024 * 1024),
  '9'.repeat(1024 * 1024),
  '.'.repeat(1024 * 1024),
]

/** A cursor as it must not be. */
function spoiled(cursor: string): string[] {
  return [
    ...[
      `${cursor}\n`,
      `${cursor}\0`,
      ` ${cursor}`,
      `${cursor} `,
      `"${cursor}"`,
      `${cursor},${cursor}`,
      `${cursor}!`,
    ],
    cursor.repeat(2),
    `${cursor}${' '.repeat(1024)}`,
    `${cursor}é`,
  ]
}
