/** Which groups a client joins, and so which numbers it must get: message `n` goes to group `n` modulo the count of groups. */
export class Membership {
  readonly #groups: number
  readonly #each: number
  readonly #start: number

  /**
   * @param groups how many groups there are
   * @param each how many of them each client joins, side by side and round the end
   * @param start the first of them
   */
  constructor(groups: number, each: number, start: number) {
    this.#groups = groups
    this.#each = each
    this.#start = start
  }

  /** The membership of one client of many, which spreads all evenly over the groups. */
  static of(client: number, clients: number, groups: number, each: number): Membership {
    return new Membership(groups, each, Math.floor((client * groups) / clients) % groups)
  }

  /** Indexes of the groups joined. */
  indexes(): number[] {
    return Array.from({ length: this.#each }, (_, i) => (this.#start + i) % this.#groups)
  }

  /** The lowest number from `n` up that this client gets. */
  from(n: number): number {
    const place = this.#place(n)
    return place < this.#each ? n : n + this.#groups - place
  }

  /** The number that this client gets next after `n`, which it gets too. */
  after(n: number): number {
    if (this.#each === this.#groups) return n + 1
    return this.#place(n) + 1 < this.#each ? n + 1 : n + 1 + this.#groups - this.#each
  }

  /** How many of the numbers from `first` up to but not `end` this client gets. */
  count(first: number, end: number): number {
    return Math.max(0, this.#below(end) - this.#below(first))
  }

  #place(n: number): number {
    return (n - this.#start + this.#groups) % this.#groups
  }

  #below(n: number): number {
    const shifted = n - this.#start + this.#groups
    return Math.floor(shifted / this.#groups) * this.#each + Math.min(shifted % this.#groups, this.#each)
  }
}
