/** The bytes of messages and tokens beside those of Python's own libraries, which channels_redis uses. */
import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Fernet } from '../../src/layers/django/fernet.ts'
import { msgpackFormat } from '../../src/layers/django/formats.ts'

/** Runs a program of Python on lines of text. @returns its lines */
function python(program: string, lines: readonly string[]): string[] {
  const output = execFileSync('/usr/bin/python3', ['-c', program], {
    input: lines.join('\n'),
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  })
  return output.split('\n').slice(0, -1)
}

const message = fc
  .dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ stringUnit: 'binary' }), { maxKeys: 20 })
  .map((fields) => JSON.stringify({ ...fields, type: 'x' }))

test('any message is packed as Python packs it, and what Python packs is read', () => {
  const isCarried = (json: string) => {
    try {
      return msgpackFormat.encode(json) !== null
    } catch {
      return false
    }
  }
  const messages = fc.sample(message, 400).filter(isCarried)
  expect(messages.length).toBeGreaterThan(300)
  const pack =
    'import sys, json, msgpack\nfor line in sys.stdin: print(msgpack.packb(json.loads(line)).hex())'
  const packed = python(pack, messages)
  expect(packed).toHaveLength(messages.length)
  for (const [index, json] of messages.entries()) {
    expect(msgpackFormat.encode(json).toString('hex'), json).toBe(packed[index])
    const read = msgpackFormat.decode(Buffer.from(packed[index] as string, 'hex'))
    expect(JSON.parse(read.json)).toEqual(JSON.parse(json))
  }
})

test('a message is refused for its depth where Python cannot pack it, and no sooner', () => {
  const nested = (depth: number) => `{"type":"x","a":${'['.repeat(depth - 1)}1${']'.repeat(depth - 1)}}`
  const pack = `
import sys, json, msgpack
for line in sys.stdin:
    try: print(len(msgpack.unpackb(msgpack.packb(json.loads(line)))))
    except ValueError as error: print(error)`
  expect(python(pack, [nested(511), nested(512)])).toEqual(['2', 'recursion limit exceeded.'])
  msgpackFormat.encode(nested(511))
  expect(() => msgpackFormat.encode(nested(512))).toThrow(/deeper/)
})

test('Python decrypts what we encrypt, and we what Python does', () => {
  const program = `
import sys, base64, hashlib
from cryptography.fernet import Fernet
fernet = Fernet(base64.urlsafe_b64encode(hashlib.sha256('schlüssel'.encode()).digest()))
for line in sys.stdin:
    plain = fernet.decrypt(line.strip().encode(), ttl=70)
    print(plain.hex())
    print(fernet.encrypt(plain).decode())`
  const fernet = new Fernet(['schlüssel'])
  const plains = [0, 1, 15, 16, 17, 1000].map((size) => Buffer.alloc(size, 'x'))
  const lines = python(
    program,
    plains.map((plain) => fernet.encrypt(plain).toString()),
  )
  for (const [index, plain] of plains.entries()) {
    expect(lines[2 * index]).toBe(plain.toString('hex'))
    expect(fernet.decrypt(Buffer.from(lines[2 * index + 1] as string), 70)).toEqual(plain)
  }
})

// A message of type "dispatch" or "scope" ended each consumer that got it, and "websocket.disconnect" made it leave: they are found as handlers.
test('no type is sent that is found among what consumers of Channels have themselves', () => {
  const program = `
import inspect, re
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.generic import http, websocket
bases = [AsyncConsumer, SyncConsumer, http.AsyncHttpConsumer, websocket.WebsocketConsumer, websocket.JsonWebsocketConsumer,
         websocket.AsyncWebsocketConsumer, websocket.AsyncJsonWebsocketConsumer]
for base in bases:
    print(*dir(base), sep='\\n')
    for parent in base.__mro__[:-1]:
        print(*re.findall(r'self\\.(\\w+) = ', inspect.getsource(parent)), sep='\\n')`
  const names = new Set(python(program, []).filter((name) => name !== ''))
  expect([...names]).toEqual(
    expect.arrayContaining(['dispatch', 'scope', 'send_json', 'http_request', 'body']),
  )
  for (const name of names) {
    for (const type of [name, name.replaceAll('_', '.')]) {
      expect(() => msgpackFormat.encode(JSON.stringify({ type })), type).toThrow(/its type/)
    }
  }
})
