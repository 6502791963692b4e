/** Contrast as WCAG 2.2 computes it (success criterion 1.4.3), of tokens and of what a page really shows. */
import type { Page } from 'playwright-core'

type Rgb = readonly [red: number, green: number, blue: number]

/** The least ratio for text of ordinary size, level AA. */
export const LEAST_FOR_TEXT = 4.5
/** The least ratio for the edges of controls and for graphics (success criterion 1.4.11). */
export const LEAST_FOR_GRAPHICS = 3

/** The ratio of two colours, from 1 to 21. */
export function contrastOf(one: string, other: string): number {
  const [lighter, darker] = [luminance(parseColor(one)), luminance(parseColor(other))].sort((a, b) => b - a)
  return ((lighter ?? 0) + 0.05) / ((darker ?? 0) + 0.05)
}

/** `#rrggbb`, and what `getComputedStyle` makes of colours: `rgb(…)`, or `color(srgb …)` for mixed ones. */
function parseColor(color: string): Rgb {
  if (/^#[0-9a-f]{6}$/i.test(color)) {
    return [1, 3, 5].map((start) => Number.parseInt(color.slice(start, start + 2), 16)) as unknown as Rgb
  }
  const numbers = color.match(/[\d.]+/g)?.map(Number) ?? []
  const scale = color.startsWith('color(srgb') ? 255 : 1
  const [red, green, blue, alpha = 1] = numbers
  if (red === undefined || green === undefined || blue === undefined || alpha !== 1) {
    throw new Error(`Not an opaque colour: ${color}`)
  }
  return [red * scale, green * scale, blue * scale]
}

function luminance(rgb: Rgb): number {
  const [red, green, blue] = rgb.map((value) => {
    const channel = value / 255
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4
  }) as unknown as Rgb
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/** A text on the page, with the colours it is shown in. */
export interface ShownText {
  readonly text: string
  readonly color: string
  readonly background: string
}

// An expression rather than a function: this project's types know no document.
const SHOWN_TEXTS = `
  [...document.querySelectorAll('body *')]
    .filter((element) => element.checkVisibility() && !element.matches(':disabled, .visually-hidden, option'))
    .map((element) => {
      const own = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE)
      const text = own.map((node) => node.data.trim()).join('')
      let behind = element
      while (behind.parentElement && /^rgba\\(.*, 0\\)$/.test(getComputedStyle(behind).backgroundColor)) {
        behind = behind.parentElement
      }
      return {
        text,
        color: getComputedStyle(element).color,
        background: getComputedStyle(behind).backgroundColor,
      }
    })
    .filter(({ text }) => text !== '')
`

/** Every text that the page shows at the moment. Opacity is not taken into account: the page uses none on text. */
export function shownTexts(page: Page): Promise<ShownText[]> {
  return page.evaluate<ShownText[]>(SHOWN_TEXTS)
}
