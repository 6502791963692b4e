/** Starts examples, and listens to them with the `eventsource` package: an EventSource that is not ours. */
import { EventSource } from 'eventsource'
import { onTestFinished } from 'vitest'
import { within } from '../support/until.ts'

/** What every example exports. */
export type Start = (options: { readonly port: number }) => Promise<RunningExample>

export interface RunningExample {
  /** Without a slash at its end. */
  readonly url: string
  close(): Promise<void>
}

/** Starts an example on a free port; it is closed with the test. */
export async function startExample(start: Start): Promise<RunningExample> {
  const example = await start({ port: 0 })
  onTestFinished(() => example.close())
  return example
}

/** An EventSource and what it has heard. */
export interface Listener {
  /** The `data` of its messages, in order. */
  readonly texts: string[]
  /** The id in `groupcast.open`. */
  readonly id: string
  /** Resolves when the stream has ended: the EventSource is about to come back. */
  readonly lost: Promise<void>
}

/** Opens an EventSource and waits until the hub has let it in. It is closed with the test. */
export async function listen(url: string): Promise<Listener> {
  const source = new EventSource(url)
  onTestFinished(() => source.close())
  const texts: string[] = []
  source.onmessage = ({ data }) => texts.push(data)
  const opened = new Promise<string>((resolve, reject) => {
    source.addEventListener('groupcast.open', ({ data }) => resolve(JSON.parse(data).connection))
    source.onerror = ({ code }) => reject(new Error(`${url} answered ${code}`))
  })
  const id = await within(`the open event of ${url}`, opened)
  const lost = new Promise<void>((resolve) => {
    source.onerror = () => resolve()
  })
  return { texts, id, lost }
}
