/** What turns the bytes of a transport into messages, without decoding them. */

/** Hears of the messages that a scanner finds. */
export interface MessageSink {
  /**
   * A message. Its text, or the first {@link WINDOW_BYTES} of it with whatever the transport puts before, lies in
   * `bytes` from `start` to `end`, and only until this returns.
   *
   * @param isWhole whether all of the text is there
   */
  message(bytes: Buffer, start: number, end: number, isWhole: boolean): void
  /** Asked once about each message that is longer than the window: whether all of it is to be shown, which costs a copy where it comes in pieces. */
  wantsWhole?(): boolean
  /** An event of an event stream that is no message, as far as it is shown. */
  event?(text: string): void
}

/** Incremental: any cut of the stream gives the same messages. */
export interface Scanner {
  /** Reads `bytes` from `start` to `end`; they may be overwritten afterwards. */
  scan(bytes: Buffer, start: number, end: number): unknown
}

/** A stream that is not what it should be: `message` says what was found, for whoever runs the load. */
export class ScanError extends Error {
  override readonly name = 'ScanError'
}
