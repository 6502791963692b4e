/** Something with a weight, in bytes. */
interface Weighty {
  /** Its weight now. It may change without a word, since what several wait for is shared out among them. */
  readonly share: number
}

/** So many levels for each power of two: what is found weighs at least 84 % of the heaviest. */
const LEVELS = 4

/**
 * Finds about the heaviest of many without looking at all of them. They lie on levels, by the most that they can weigh; whoever is looked at
 * and found to be lighter is put where it belongs. So each change of a weight pays for one look at most, however many there are.
 */
export class Heaviest<T extends Weighty> {
  /** Those that have been on a level longest come first. */
  readonly #levels: Set<T>[] = []
  readonly #levelOf = new Map<T, number>()

  /** Its weight has changed, and is no more than this; 0 takes it out. */
  file(item: T, most: number): void {
    this.#put(item, levelOf(most))
  }

  /** One of the heaviest; `null` when nothing weighs anything. */
  pick(): T | null {
    for (let level = this.#levels.length - 1; level > 0; level--) {
      for (const item of this.#levels[level] as Set<T>) {
        // However light, it stays until it is taken out.
        const actual = Math.max(1, levelOf(item.share))
        if (actual >= level) return item
        this.#put(item, actual)
      }
    }
    return null
  }

  #put(item: T, level: number): void {
    const previous = this.#levelOf.get(item) ?? 0
    if (level === previous) return
    this.#levels[previous]?.delete(item)
    if (level === 0) {
      this.#levelOf.delete(item)
      return
    }
    this.#levelOf.set(item, level)
    while (this.#levels.length <= level) this.#levels.push(new Set())
    this.#levels[level]?.add(item)
  }
}

/** 0 for nothing, then 1 up. */
function levelOf(bytes: number): number {
  return bytes <= 0 ? 0 : Math.floor(Math.log2(Math.max(1, bytes)) * LEVELS) + 1
}
