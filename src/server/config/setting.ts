/** What the configuration's schema says of a key beside its type: the words that problems, `--help` and the docs share. */
import { z } from 'zod'

/** The words of one key, or of the elements of a list. */
export interface SettingInfo {
  /** Which values are allowed, as the end of "it must be …". */
  readonly allowed: string
  /** The flag of `groupcast serve`, as commander writes it; none for keys that only a file or a variable sets. */
  readonly flag?: string
  /** What `--help` says of the flag, where the meaning of the key would not fit. */
  readonly flagMeaning?: string
  /** Whether values may never be shown. */
  readonly isSecret?: boolean
}

/** The words by schema. */
export const settingInfo = z.registry<SettingInfo>()
