/** What the URL of `groupcast bench` means. */
import { expect, test } from 'vitest'
import { benchTarget } from '../../src/cli/bench-target.ts'

const EVENTS = '/events'

test.each([
  ['http://h:8000', EVENTS, '/events', 'http://h:8000/'],
  ['http://h:8000/', EVENTS, '/events', 'http://h:8000/'],
  ['http://h/events', EVENTS, '/events', 'http://h/'],
  ['https://h/base', EVENTS, '/base/events', 'https://h/base'],
  ['https://h/base///', EVENTS, '/base/events', 'https://h/base'],
  ['https://h/base/events', EVENTS, '/base/events', 'https://h/base'],
  ['https://h/base/events/#top', EVENTS, '/base/events', 'https://h/base'],
  // Ends in the same letters, and is another path.
  ['https://h/my-events', EVENTS, '/my-events/events', 'https://h/my-events'],
  ['https://h/events/more', EVENTS, '/events/more/events', 'https://h/events/more'],
  // A hub below `/events`.
  ['https://h/events/events', EVENTS, '/events/events', 'https://h/events'],
  ['https://h/base/push/now', '/push/now', '/base/push/now', 'https://h/base'],
  ['https://h/base/events', '/events/', '/base/events/', 'https://h/base'],
  ['https://h/base/events', '/events?token=a/b', '/base/events?token=a/b', 'https://h/base'],
  ['https://h/base/%C3%A4', '/ä', '/base/ä', 'https://h/base'],
  ['https://h/base', '/', '/base/', 'https://h/base'],
])('%s with the streams at %s', (given, path, streams, apiUrl) => {
  const { origin } = new URL(given)
  expect(benchTarget(new URL(given), path, null)).toEqual({ url: origin, path: streams, apiUrl })
})

test('an API elsewhere does not move the streams', () => {
  expect(
    benchTarget(new URL('https://h/base/events'), EVENTS, new URL('http://127.0.0.1:9000/hub/')),
  ).toEqual({
    url: 'https://h',
    path: '/base/events',
    apiUrl: 'http://127.0.0.1:9000/hub',
  })
})
