import { crc32 } from 'node:zlib'

/** Which of several Redis hosts has a group or a channel, exactly as channels_redis says it. */
export function shardOf(name: string, hosts: number): number {
  // The division in floating point: a shift would give another host for some numbers of hosts (186 and 198 of those below 200).
  return hosts === 1 ? 0 : Math.trunc((crc32(name) & 0xfff) / (4096 / hosts))
}
