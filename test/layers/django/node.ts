/** A layer without a hub, and what its sink was called with. */
import { randomBytes } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { type DjangoLayerOptions, djangoLayer } from '../../../src/layers/django/index.ts'
import type { ChannelLayer, LayerStatus } from '../../../src/layers/layer.ts'
import { until } from '../../support/until.ts'

export interface DjangoNode {
  readonly id: string
  readonly layer: ChannelLayer
  readonly statuses: LayerStatus[]
  readonly reports: unknown[]
  /** The numbers that came in groups, in order. */
  readonly numbers: number[]
  /** JSON texts that were pushed, by channel. */
  readonly pushed: [channel: string, json: string][]
  ready(): Promise<void>
}

/** A message that has a number. */
export const json = (n: number) => JSON.stringify({ type: 'test', n })

/** Starts a layer that is closed with the test. */
export async function startNode(options: DjangoLayerOptions): Promise<DjangoNode> {
  const layer = djangoLayer(options)
  const node: Omit<DjangoNode, 'ready'> = {
    id: randomBytes(6).toString('hex'),
    layer,
    statuses: [],
    reports: [],
    numbers: [],
    pushed: [],
  }
  onTestFinished(() => layer.close())
  await layer.start({
    nodeId: node.id,
    historyOf: () => null,
    sink: {
      deliver: (_, publication) => void node.numbers.push((JSON.parse(publication.json) as { n: number }).n),
      receive: (channel, text) => {
        node.pushed.push([channel, text])
        return true
      },
      status: (status) => void node.statuses.push(status),
      report: (error) => void node.reports.push(error),
    },
  })
  return {
    ...node,
    ready: () => until('the layer is ready', () => node.statuses.at(-1)?.state === 'ready', 20_000),
  }
}
