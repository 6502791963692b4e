/** What tests of the Django layer share: real Redis servers, and layers of one prefix. */
import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { type DjangoLayerOptions, djangoLayer } from '../../../src/layers/django/index.ts'
import type { ConformanceSetup } from '../../../src/testing/index.ts'

/** A prefix that no other case has. */
export function freshPrefix(): string {
  return `t${randomBytes(6).toString('hex')}`
}

/** Layers of one prefix, each with clients of its own that it was given. */
export function djangoNodes(
  count: number,
  { hosts: urls, ...options }: Omit<DjangoLayerOptions, 'hosts'> & { readonly hosts: readonly string[] },
  setup?: Partial<ConformanceSetup>,
) {
  const { clock: _, ...limits } = setup ?? {}
  const clients: Redis[] = []
  const layers = Array.from({ length: count }, () => {
    const hosts = urls.map((url) => {
      const client = new Redis(url)
      clients.push(client)
      return client
    })
    return djangoLayer({ ...options, ...limits, hosts })
  })
  return { layers, clients }
}
