// Files on their way under Node: each is named after the process that writes it, so that two at once do not share one, and
// what a killed process left is known for what it is and taken up by the next.
import { lstat, readdir, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { isRunning } from './locks-node.ts'

const host = hostname().replaceAll(/[^A-Za-z0-9-]/g, '-')
const ending = '.incomplete'
/** Whoever has not written for so long is taken for dead, whatever runs under its number. */
const deadAfter = 15 * 60 * 1000

/** The name that this process writes under until `path` is whole. */
export const partialName = (path: string): string => `${path}.${host}-${process.pid}${ending}`

/** Names of others on the way to `path` who write no more, the longest file first. */
async function orphansOf(path: string): Promise<string[]> {
  const found: { name: string; size: number }[] = []
  const start = `${basename(path)}.`
  for (const name of await readdir(dirname(path))) {
    const whole = join(dirname(path), name)
    if (!name.startsWith(start) || !name.endsWith(ending) || whole === partialName(path)) continue
    const [, at, pid] = /^(.*)-(\d+)$/.exec(name.slice(start.length, -ending.length)) ?? []
    const there = await lstat(whole).catch(() => undefined)
    const silent = Date.now() - (there?.mtimeMs ?? 0) > deadAfter
    if (silent || (at === host && !isRunning(Number(pid)))) found.push({ name: whole, size: there?.size ?? 0 })
  }
  return found.sort((a, b) => b.size - a.size).map(({ name }) => name)
}

/** Removes what others have left on the way to `path`. */
export async function removeOrphans(path: string): Promise<void> {
  for (const name of await orphansOf(path)) await rm(name, { force: true })
}

/** Takes the longest of what others have left under this process's own name, and removes the rest. */
export async function takeOrphan(path: string): Promise<void> {
  const [longest] = await orphansOf(path)
  // Of two that take one at the same time, the later finds it gone and begins anew.
  if (longest) await rename(longest, partialName(path)).catch(() => {})
  await removeOrphans(path)
}
