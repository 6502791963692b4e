import { describe, expect, test } from 'vitest'
import { Router } from '../../src/hub/router.ts'

function routerOf(...paths: string[]) {
  const router = new Router()
  for (const path of paths) router.add(path, {})
  return (path: string) => {
    const found = router.match(path)
    return found === null ? null : [found.route.path, { ...found.params }]
  }
}

describe('consumer paths', () => {
  test.each([
    ['/events', '/events', {}],
    ['/events', '/events/', {}],
    ['/chat/:room', '/chat/lobby', { room: 'lobby' }],
    ['/chat/:room', '/chat/a%20b%2Fc', { room: 'a b/c' }],
    ['/chat/:room', '/chat/__proto__', { room: '__proto__' }],
    ['/files/*path', '/files/a/b%20c', { path: 'a/b c' }],
  ])('%s matches %s', (pattern, path, params) => {
    expect(routerOf(pattern)(path)).toEqual([pattern, params])
  })

  test.each([
    ['/events', '/Events'],
    ['/events', '/events/x'],
    ['/events', '/event'],
    ['/chat/:room', '/chat/'],
    ['/chat/:room', '/chat/a/b'],
    // Not decodable: no consumer could get that parameter.
    ['/chat/:room', '/chat/%zz'],
    ['/chat/:room', '/chat/%ff'],
  ])('%s does not match %s', (pattern, path) => {
    expect(routerOf(pattern)(path)).toBeNull()
  })

  test('the first registered that matches wins', () => {
    expect(routerOf('/chat/lobby', '/chat/:room')('/chat/lobby')).toEqual(['/chat/lobby', {}])
    expect(routerOf('/chat/:room', '/chat/lobby')('/chat/lobby')).toEqual(['/chat/:room', { room: 'lobby' }])
  })

  test('a parameter called __proto__ changes no prototype', () => {
    const match = routerOf('/x/:__proto__')
    expect(match('/x/y')).not.toBeNull()
    expect(({} as { y?: unknown }).y).toBeUndefined()
  })

  test.each(['', 'chat', '/chat/:', '/{', '/a'])('%j cannot be registered twice, or at all', (path) => {
    const router = new Router()
    const add = () => {
      router.add(path, {})
      router.add(path, {})
    }
    expect(add).toThrow(expect.objectContaining({ name: 'MisuseError', code: 'invalid-option' }))
  })

  test('a handler that is no function is refused', () => {
    const broken = { handlers: { x: 'y' } } as never
    expect(() => new Router().add('/x', broken)).toThrow('The handler of "x" at "/x" is not a function.')
  })
})
