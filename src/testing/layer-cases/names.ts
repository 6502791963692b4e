/** Obligation 11: names. */
import assert from 'node:assert/strict'
import { errorCodeOf } from '../../errors.ts'
import { MAX_NAME_LENGTH } from '../../names.ts'
import type { TestNode } from '../test-node.ts'
import { type CaseSpec, range, type Trial } from '../trial.ts'

// Names that are special to JavaScript objects.
const JUST_NAMES = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'null', '0']

// Names that the hub lets through and that may be special to a broker: a driver may refuse them.
const ODD_NAMES = [
  '.',
  '..',
  '-',
  '/',
  '$SYS',
  '#',
  'a.b.c',
  'a:b',
  'a/b',
  'a@b',
  'a~b',
  '.a.',
  'x'.repeat(MAX_NAME_LENGTH),
]

export const nameCases: readonly CaseSpec[] = [
  {
    title: '11.1 __proto__ and constructor are group names like others',
    async run(trial) {
      await trial.addAll(...JUST_NAMES)
      for (const [n, name] of JUST_NAMES.entries()) await trial.first.publish(name, n)
      await trial.fence(trial.first)
      await trial.first.discard('__proto__')
      await trial.first.publish('__proto__', 99)
      await trial.fence(trial.first)
      for (const [n, name] of JUST_NAMES.entries()) {
        const isDiscarded = name === '__proto__'
        for (const node of trial.nodes) {
          const expected = isDiscarded && node !== trial.first ? [n, 99] : [n]
          assert.deepEqual(node.numbers(name), expected, `publications of ${name}`)
        }
      }
    },
  },
  {
    title: '11.2 __proto__ and constructor are channel names like others',
    needs: 'queues',
    async run(trial) {
      for (const [n, name] of JUST_NAMES.entries()) await trial.first.send(name, n)
      for (const [n, name] of JUST_NAMES.entries()) assert.equal(await trial.last.take(name), n)
      for (const [n, name] of JUST_NAMES.entries()) {
        const reading = trial.last.read(name)
        await trial.first.send(name, n)
        assert.equal(await trial.patience.within(reading, `the reader of ${name}`), n)
      }
    },
  },
  {
    title: '11.3 a group name works, or is refused with a TypeError',
    async run(trial) {
      const allowed: string[] = []
      for (const name of ODD_NAMES) {
        const isAllowed = await allows(trial, (node) => node.add(name))
        const canSend = await allows(trial, (node) => node.publish(name, 0), trial.first)
        assert.equal(canSend, isAllowed, `groupSend and groupAdd must agree about ${name}`)
        if (isAllowed) allowed.push(name)
      }
      await trial.addAll(...allowed)
      for (const [n, name] of allowed.entries()) await trial.first.publish(name, n + 1)
      await trial.fence(trial.first)
      for (const [n, name] of allowed.entries()) {
        assert.deepEqual(trial.last.numbers(name), [0, n + 1], `publications of ${name}`)
      }
    },
  },
  {
    title: '11.4 a channel name works, or is refused with a TypeError',
    needs: 'queues',
    async run(trial) {
      const allowed: string[] = []
      for (const name of ODD_NAMES) {
        if (await allows(trial, (node) => node.send(name, 0))) allowed.push(name)
        else await allows(trial, (node) => node.layer.receive(name))
      }
      for (const name of allowed) {
        const numbers = await trial.last.takeMany(name, trial.nodes.length)
        assert.deepEqual(numbers, range(0, trial.nodes.length).fill(0), `messages of ${name}`)
        await trial.assertEmpty(name, `each node sent one message to ${name}`)
      }
    },
  },
]

/**
 * Whether nodes (all unless one is given) take a name; fails when they refuse it otherwise than with an
 * `invalid-name`.
 */
async function allows(
  trial: Trial,
  call: (node: TestNode) => Promise<unknown>,
  only?: TestNode,
): Promise<boolean> {
  const nodes = only === undefined ? trial.nodes : [only]
  const results = await trial.patience.within(Promise.allSettled(nodes.map(call)), 'the call to settle')
  for (const result of results) {
    if (result.status === 'fulfilled') continue
    assert.ok(
      result.reason instanceof TypeError,
      `a name is refused with a TypeError, not with ${result.reason}`,
    )
    assert.equal(errorCodeOf(result.reason), 'invalid-name')
  }
  const refusals = results.filter(({ status }) => status === 'rejected').length
  assert.ok(refusals === 0 || refusals === results.length, 'all nodes must agree about a name')
  return refusals === 0
}
