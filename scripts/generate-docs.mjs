/** Writes the pages of `docs/` that are made from the code. Needs a build: `npm run build && node scripts/generate-docs.mjs`. */
import { writeFileSync } from 'node:fs'
import { errorsMarkdown } from '../dist/errors-document.js'
import { configurationMarkdown } from '../dist/server/config/document.js'

const PAGES = { 'configuration.md': configurationMarkdown(), 'errors.md': errorsMarkdown() }

for (const [name, text] of Object.entries(PAGES)) {
  writeFileSync(new URL(`../docs/${name}`, import.meta.url), text)
}
