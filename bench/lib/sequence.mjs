// @ts-check
/** Whether numbered messages come once each and in order. */
export class Sequence {
  /** The number that must come next: one more than the last that came. */
  next = 0
  /** How often another one came. */
  wrong = 0

  /** @param {number} n */
  take(n) {
    if (n !== this.next) this.wrong++
    this.next = n + 1
  }

  /** What is wrong when all up to here were sent, or `null`. @param {number} end one more than the last that was sent */
  fault(end) {
    if (this.wrong > 0) return `messages were lost, doubled or out of order, ${this.wrong} times`
    return this.next === end ? null : `the last message is ${this.next - 1} instead of ${end - 1}`
  }
}
