/** Removes the last build, so that files which are gone from `src` do not live on in `dist`. */
import { rmSync } from 'node:fs'

rmSync(new URL('../dist', import.meta.url), { recursive: true, force: true })
