/** Obligation 11: messages arrive as equal JSON, whichever way they take. */
import assert from 'node:assert/strict'
import { errorCodeOf } from '../../errors.ts'
import { type CaseSpec, rejection, type Trial } from '../trial.ts'

const LONE_SURROGATES = String.raw`{"type":"conformance.surrogates","high":"a\ud800b","low":"a\udc00b","swapped":"\udc00\ud800"}`

export const messageCases: readonly CaseSpec[] = [
  messageCase('11.5 values of all JSON types arrive equal', {
    type: 'conformance.values',
    a: true,
    b: null,
    c: { d: [] },
    e: [false, [[]], {}, ''],
    numbers: [0, -1, 1.5, 1e21, 5e-324, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
    '': 'an empty key',
  }),
  // Written as text: in a JavaScript literal `__proto__` is no property.
  messageCase(
    '11.6 keys such as __proto__ arrive',
    '{"type":"conformance.keys","__proto__":{"a":1},"constructor":null,"toString":"x","nested":{"__proto__":[]}}',
  ),
  messageCase('11.7 any Unicode text arrives', {
    type: 'conformance.ünïcödé.日本',
    ключ: 'значение',
    lines: '\u2028 \u2029 \r \n \u0085',
    controls: '\u0000 \u0001 \u001f \u007f \u009f',
    quotes: '" \\ / \' ` \\u0041 \\n',
    wide: '😀 👩‍👩‍👧‍👦 𝒳 e\u0301 \u{10ffff}',
    odd: '\ufeff \ufffe \uffff \u202e \u200d \ufffd',
  }),
  {
    title: '11.8 escapes of lone surrogates arrive, or are refused',
    async run(trial) {
      const refusal = await trial.last.publishJson('g', LONE_SURROGATES).catch((error: unknown) => error)
      if (refusal === null || typeof refusal === 'string') return everyWay(trial, LONE_SURROGATES)
      // No UTF-8 has them.
      for (const sending of [
        trial.first.publishJson('g', LONE_SURROGATES),
        trial.first.sendJson('c', LONE_SURROGATES),
        trial.first.sendJson(trial.last.channel('c'), LONE_SURROGATES),
      ])
        assert.equal(errorCodeOf(await rejection(sending)), 'invalid-message')
    },
  },
  messageCase(
    '11.9 JSON arrives equal as other programs write it',
    '\r\n{ "type" : "\\u0063onformance" ,\n\t"a" : [ 1.0 , 1E2 , -0.5e-3 ] , "b" : "\\/ \\u00e9 \\ud83d\\ude00" }\n',
  ),
  messageCase('11.10 a message of 1 MiB arrives', JSON.stringify(messageOfSize(1024 * 1024))),
]

function messageOfSize(bytes: number): object {
  const empty = JSON.stringify({ type: 'conformance.large', text: '' }).length
  return { type: 'conformance.large', text: 'abcdefgh'.repeat(bytes / 8).slice(0, bytes - empty) }
}

/** One message through a group, a channel and a node's channel. */
function messageCase(title: string, message: object | string): CaseSpec {
  const json = typeof message === 'string' ? message : JSON.stringify(message)
  return { title, run: (trial) => everyWay(trial, json) }
}

async function everyWay(trial: Trial, json: string): Promise<void> {
  await throughGroup(trial, json)
  if (trial.keepsQueues) await throughChannel(trial, json)
  await throughNodeChannel(trial, json)
}

async function throughGroup(trial: Trial, json: string): Promise<void> {
  await trial.addAll('g')
  await trial.last.publishJson('g', json)
  for (const node of trial.nodes) {
    await trial.patience.until(() => node.sink.delivered.length > 0, 'the publication')
    assertEqualJson(node.sink.delivered[0]?.json, json)
  }
}

async function throughChannel(trial: Trial, json: string): Promise<void> {
  await trial.first.sendJson('c', json)
  assertEqualJson(await trial.patience.within(trial.last.layer.receive('c'), 'the message'), json)
}

async function throughNodeChannel(trial: Trial, json: string): Promise<void> {
  await trial.last.sendJson(trial.first.channel('c'), json)
  await trial.patience.until(() => trial.first.sink.received.length > 0, 'the message that is pushed')
  assertEqualJson(trial.first.sink.received[0]?.json, json)
}

function assertEqualJson(got: string | undefined, sent: string): void {
  assert.equal(typeof got, 'string', 'a message is JSON text')
  assert.deepEqual(JSON.parse(got as string), JSON.parse(sent))
}
