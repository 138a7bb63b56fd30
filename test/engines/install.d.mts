// Types of install.mjs.

export interface Engine {
  readonly name: string
  readonly file: string
  readonly before: readonly string[]
}

export const packaged: readonly Engine[]
export const comes: boolean
export function install(say?: (text: string) => void): Promise<void>
