// @ts-check
/** The results as one HTML page that opens from disk: tables, charts, targets, and all that they depend on. */
import { missedTexts } from './bounds.mjs'
import { chartsOf, escaped } from './chart.mjs'
import { figure, moreFigure, moreName } from './table.mjs'

/** @typedef {import('../types.d.ts').Result} Result */

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; border-top: 1px solid #ddd; padding-top: 1.5rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #e5e5e5; text-align: left; white-space: nowrap; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.met { color: #11703c; } .missed { color: #b42318; font-weight: 600; } .fault { color: #b42318; }
svg { display: block; margin: 1rem 0; max-width: 100%; height: auto; }
dt { font-weight: 600; } dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; } dd { margin: 0; }
`

/** @param {import('../types.d.ts').Run} run */
export function reportHtml(run) {
  const facts = { at: run.at, seconds: Math.round(run.tookMs / 1000), pinning: run.pinning, ...run.machine }
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>groupcast benchmark</title><style>${STYLE}</style></head>
<body>
<h1>groupcast benchmark</h1>
${definitions({ ...facts, ...settingsOf(run.options) })}
<p>Medians of interleaved repeats; lines in the bars go from the lowest to the highest repeat. Blue: the hub. Grey: controls. Orange: others.</p>
${run.results.map(section).join('\n')}
</body>
</html>
`
}

/** @param {object} options */
function settingsOf(options) {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null))
}

/** @param {Readonly<Record<string, unknown>>} facts */
function definitions(facts) {
  const items = Object.entries(facts).map(
    ([name, value]) => `<dt>${escaped(name)}</dt><dd>${escaped(String(value))}</dd>`,
  )
  return `<dl>${items.join('')}</dl>`
}

/** @param {Result} result */
function section(result) {
  const remarks = [...missedTexts(result), ...result.notes]
  const notes = remarks.map((note) => `<li>${escaped(note)}</li>`).join('')
  return `<h2 id="${result.scenario}">${escaped(result.title)}</h2>
${definitions(result.settings)}
${result.isFaulty ? '<p class="fault">Something went wrong in this scenario: see the notes.</p>' : ''}
${targetTable(result.targets)}
${chartsOf(result)
  .map(({ svg }) => svg)
  .join('\n')}
${rowTable(result.rows)}
${notes === '' ? '' : `<ul>${notes}</ul>`}`
}

/** @param {Result['targets']} targets */
function targetTable(targets) {
  if (targets.length === 0) return ''
  const lines = targets.map(({ case: name, text, value, isMet }) => {
    const verdict = isMet ? 'met' : 'missed'
    return `<tr><td>${escaped(name)}</td><td>${escaped(text)}</td><td class="n">${figure(value)}</td><td class="${verdict}">${verdict}</td></tr>`
  })
  return `<table><tr><th>case</th><th>target</th><th class="n">is</th><th></th></tr>${lines.join('')}</table>`
}

/** @param {Result['rows']} rows */
function rowTable(rows) {
  const keys = [...new Set(rows.flatMap(({ more }) => Object.keys(more ?? {})))]
  const heads = ['median', 'low', 'high', 'unit', ...keys.map(moreName)].map(
    (head) => `<th class="n">${escaped(head)}</th>`,
  )
  const lines = rows.map((row) => {
    const cells = [
      ...[row.median, row.low, row.high].map(figure),
      row.unit,
      ...keys.map((key) => moreFigure(key, row.more?.[key])),
    ]
    const numbers = cells.map((cell) => `<td class="n">${escaped(cell)}</td>`).join('')
    return `<tr><td>${escaped(row.case)}</td><td>${escaped(row.subject)}</td>${numbers}</tr>`
  })
  return `<table><tr><th>case</th><th>subject</th>${heads.join('')}</tr>${lines.join('')}</table>`
}
