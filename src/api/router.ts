import type { Route } from './route.ts'

/** Everything that is served at one path. */
export interface Endpoint {
  readonly path: string
  readonly routes: ReadonlyMap<string, Route>
  /** For the `Allow` header. */
  readonly methods: string
}

/** An endpoint and the parameter in the path, still encoded; empty where it has none. */
export interface Found {
  readonly endpoint: Endpoint
  readonly parameter: string
}

/** A step of the paths: what may come next. */
interface Step {
  readonly next: Map<string, Step>
  parameter: Step | null
  endpoint: Endpoint | null
}

/** Finds the endpoint of a path. */
export class Router {
  readonly #root = newStep()

  constructor(routes: readonly Route[]) {
    for (const [path, group] of byPath(routes)) {
      let step = this.#root
      for (const segment of segments(path)) step = childOf(step, segment)
      step.endpoint = endpointOf(path, group)
    }
  }

  /** The endpoint at a path, or `null`. */
  find(path: string): Found | null {
    let step: Step | null = this.#root
    let parameter = ''
    for (const segment of segments(path)) {
      const next: Step | undefined = step.next.get(segment)
      if (next === undefined && segment !== '') parameter = segment
      step = next ?? (segment === '' ? null : step.parameter)
      if (step === null) return null
    }
    return step.endpoint === null ? null : { endpoint: step.endpoint, parameter }
  }
}

function segments(path: string): string[] {
  return path.slice(1).split('/')
}

function newStep(): Step {
  return { next: new Map(), parameter: null, endpoint: null }
}

function childOf(step: Step, segment: string): Step {
  if (segment.startsWith('{')) {
    step.parameter ??= newStep()
    return step.parameter
  }
  const child = step.next.get(segment) ?? newStep()
  step.next.set(segment, child)
  return child
}

function byPath(routes: readonly Route[]): Map<string, Route[]> {
  const paths = new Map<string, Route[]>()
  for (const route of routes) paths.set(route.path, [...(paths.get(route.path) ?? []), route])
  return paths
}

function endpointOf(path: string, routes: readonly Route[]): Endpoint {
  const methods = routes.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
  return {
    path,
    routes: new Map(routes.map((route) => [route.method, route])),
    methods: [...methods, 'OPTIONS'].join(', '),
  }
}
