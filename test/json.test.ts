import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseJson } from '../src/json.ts'

describe('parseJson', () => {
  test('parses what JSON.parse parses', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 8 }), (text) => {
        expect(parseJson(text, 64)).toEqual(JSON.parse(text))
      }),
    )
  })

  test.each([
    ['[', ']'],
    ['{"a":', '}'],
  ])('allows 64 levels of %s and refuses 65', (open, close) => {
    const nested = (depth: number) => `${open.repeat(depth)}${open === '[' ? '' : '1'}${close.repeat(depth)}`
    expect(() => parseJson(nested(64), 64)).not.toThrow()
    expect(() => parseJson(nested(65), 64)).toThrow(expect.objectContaining({ code: 'json-too-deep' }))
  })

  test('counts the depth as a recursive walk does, brackets in strings and escapes included', () => {
    const depthOf = (value: unknown): number =>
      typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0
    const text = fc
      .constantFrom('[', ']', '{', '}', '"', '\\', '\\"', 'x')
      .chain((part) => fc.array(fc.constant(part), { maxLength: 5 }))
      .map((parts) => parts.join(''))
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small' },
        text,
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(text, tie('tree'), { maxKeys: 3 }),
      ),
    }))
    fc.assert(
      fc.property(tree, fc.integer({ min: 1, max: 6 }), (value, maxDepth) => {
        const parse = () => parseJson(JSON.stringify(value), maxDepth)
        if (depthOf(value) <= maxDepth) expect(parse()).toEqual(value)
        else expect(parse).toThrow(expect.objectContaining({ code: 'json-too-deep' }))
      }),
    )
  })

  test('refuses a hundred thousand brackets without recursing', () => {
    expect(() => parseJson('['.repeat(100_000), 64)).toThrow(
      expect.objectContaining({ code: 'json-too-deep' }),
    )
  })

  test.each(['', '{', '{"a":1,}', 'undefined', '"', "{'a':1}"])('refuses %j', (text) => {
    expect(() => parseJson(text, 64)).toThrow(expect.objectContaining({ code: 'invalid-json' }))
  })

  test('does not let __proto__ reach a prototype', () => {
    expect(Object.hasOwn(parseJson('{"__proto__":{"x":1}}', 64) as object, '__proto__')).toBe(true)
    expect(({} as { x?: number }).x).toBeUndefined()
  })
})
