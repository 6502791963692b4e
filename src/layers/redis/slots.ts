/** Slots of a Cluster: CRC-16/XMODEM of the key, or of its hash tag, modulo 16 384. */

export const SLOTS = 16_384

const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  return crc & 0xffff
})

/** The slot of a key or channel; names are ASCII. */
export function slotOf(key: string): number {
  const open = key.indexOf('{')
  const end = open === -1 ? -1 : key.indexOf('}', open + 1)
  const tag = end > open + 1 ? key.slice(open + 1, end) : key
  let crc = 0
  for (let index = 0; index < tag.length; index++) {
    crc = ((crc << 8) & 0xffff) ^ (TABLE[((crc >>> 8) ^ tag.charCodeAt(index)) & 0xff] as number)
  }
  return crc % SLOTS
}
