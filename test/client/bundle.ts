/** The client as an application's build tool would ship it. */
import { rolldown } from 'rolldown'

export interface Bundle {
  readonly code: string
  /** Files that went into it. */
  readonly modules: readonly string[]
}

/** Bundles an entry point for browsers into one minified ES module. */
export async function bundle(entry: string): Promise<Bundle> {
  const build = await rolldown({ input: entry, platform: 'browser' })
  const { output } = await build.generate({ format: 'esm', minify: true })
  await build.close()
  const [chunk, ...others] = output
  if (others.length > 0) throw new Error(`One file was expected: there are ${others.length} more.`)
  return { code: chunk.code, modules: chunk.moduleIds }
}
