/** Copying, also where the browser has no clipboard for pages: plain http to another machine. */

const SHOWN_MS = 1_500

/**
 * Makes `button` copy what `text()` gives, and say so for a moment: in its label where it has one, and in `data-copied`,
 * `yes` or `no`, for the style. `announce` tells those who cannot see it.
 */
export function copyOnClick(button, text, announce) {
  const label = button.querySelector('.label')
  const rest = label?.textContent
  let timer = 0
  button.addEventListener('click', async () => {
    const isCopied = await copy(text())
    button.dataset.copied = isCopied ? 'yes' : 'no'
    if (label) label.textContent = isCopied ? 'Copied' : 'Failed'
    announce(isCopied ? 'Copied' : 'Copying failed')
    clearTimeout(timer)
    timer = setTimeout(() => {
      delete button.dataset.copied
      if (label) label.textContent = rest
    }, SHOWN_MS)
  })
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    // No secure context, or no permission: the old way needs neither.
    return copySelection(text)
  }
}

function copySelection(text) {
  const focused = document.activeElement
  const area = document.createElement('textarea')
  area.className = 'visually-hidden'
  area.value = text
  document.body.append(area)
  area.select()
  const isCopied = document.execCommand('copy')
  area.remove()
  focused?.focus?.()
  return isCopied
}
