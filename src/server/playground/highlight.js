/** JSON text as coloured spans. Text goes in as text nodes only: messages come from strangers. */

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b/g
/** A row shows no more than this; a megabyte in one text node would cost more than it tells. */
const MOST_CHARACTERS = 2_000

/** @returns a fragment with the text, shortened when it is long */
export function highlightJson(text) {
  const shown = text.length > MOST_CHARACTERS ? text.slice(0, MOST_CHARACTERS) : text
  const fragment = document.createDocumentFragment()
  let end = 0
  let key = ''
  for (const match of shown.matchAll(TOKEN)) {
    if (match.index > end) fragment.append(shown.slice(end, match.index))
    // Lines break after a comma rather than within a number.
    if (shown[match.index - 1] === ',') fragment.append(document.createElement('wbr'))
    const isType = key === '"type"'
    key = match[2] ? match[1] : ''
    fragment.append(span(isType ? 'type' : kindOf(match), match[1] ?? match[0]))
    if (match[2]) fragment.append(match[2])
    end = match.index + match[0].length
  }
  fragment.append(shown.slice(end))
  const left = text.length - shown.length
  if (left > 0) fragment.append(span('more', ` … and ${left.toLocaleString('en')} more characters`))
  return fragment
}

function kindOf([, string, colon]) {
  if (colon) return 'key'
  return string ? 'string' : 'literal'
}

function span(className, text) {
  const element = document.createElement('span')
  element.className = className
  element.textContent = text
  return element
}
