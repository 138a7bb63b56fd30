// A lock file under Node: one process at a time has it, it says who, and the lock of a process that died is taken over.
//
// Node has no flock. A lock is a file that is linked into place whole, which only one can do. The lock of a dead process is
// not removed, since two who saw it dead could then remove each other's: whoever links a claim (the lock's name and the dead
// owner's token, which never comes again) has it, finds the dead lock still in place, and renames the claim over it. The
// claim of a process that died meanwhile is taken over in the same way.
import { randomBytes } from 'node:crypto'
import { readFileSync, readlinkSync, unlinkSync } from 'node:fs'
import { link, lstat, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { codeOf, readError, temporaryName, writeError } from './files-node.ts'
import type { Lock, LockHolder } from './platform.ts'

/** Who has a lock. What a system does not tell is an empty text. */
interface Owner {
  /** Of this taking of this lock. */
  readonly token: string
  readonly pid: number
  /** When the process began, in the kernel's clock: a number of a process comes again. */
  readonly started: string
  readonly host: string
  /** The machine, and its start: one that was started again has none of its old processes. */
  readonly machine: string
  readonly boot: string
  /** The space of process numbers, which containers have of their own. */
  readonly space: string
  readonly since: string
}

function textOf(read: () => string): string {
  try {
    return read().trim()
  } catch {
    return ''
  }
}

/** State and start of a process on Linux, from what follows its name, which may hold anything. */
function processOf(pid: number): { state: string; started: string } {
  const fields = textOf(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
    .split(') ')
    .at(-1)!
    .split(' ')
  return { state: fields[0] ?? '', started: fields[19] ?? '' }
}

const here = {
  host: hostname(),
  machine: textOf(() => readFileSync('/etc/machine-id', 'utf8')),
  boot: textOf(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')),
  space: textOf(() => readlinkSync('/proc/self/ns/pid')),
}

/** Whether a process of this number runs; another user's may not be asked, but is there. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

type Standing = 'alive' | 'dead' | 'out of sight'

function standingOf(owner: Owner): Standing {
  if (owner.host !== here.host) return 'out of sight'
  if (owner.boot !== here.boot) return owner.machine !== '' && owner.machine === here.machine ? 'dead' : 'out of sight'
  if (owner.space !== here.space) return 'out of sight'
  if (!isRunning(owner.pid)) return 'dead'
  const { state, started } = processOf(owner.pid)
  // Where /proc hides other users' processes there is nothing to compare.
  const another = started !== '' && started !== owner.started
  return another || state === 'Z' || state === 'X' ? 'dead' : 'alive'
}

/** What a lock file says: undefined where there is none, a text where it cannot be understood. */
async function readOwner(path: string): Promise<Owner | string | undefined> {
  let text: string
  try {
    // A pipe would be waited for, and a link to nowhere is a name that is taken all the same.
    if (!(await lstat(path)).isFile()) return ''
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
    throw readError(error, path)
  }
  try {
    const owner = JSON.parse(text) as Owner
    const texts = [owner.token, owner.started, owner.host, owner.machine, owner.boot, owner.space, owner.since]
    if (texts.every((part) => typeof part === 'string') && Number.isInteger(owner.pid)) return owner
  } catch {}
  return text
}

/** Makes a lock file; false where another was quicker. */
async function create(path: string, owner: Owner): Promise<boolean> {
  const text = `${JSON.stringify(owner)}\n`
  const temporary = temporaryName(path)
  try {
    await writeFile(temporary, text, { flag: 'wx' })
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw writeError(error, path)
  }
  try {
    await link(temporary, path)
    return true
  } catch (error) {
    const code = codeOf(error)
    // Who has the lock sweeps the folder, and may have swept this.
    if (code === 'EEXIST' || code === 'ENOENT') return false
    // Some file systems (FAT) know no links: there the file is empty for a moment, which readers wait for.
    if (!/^(EPERM|ENOSYS|ENOTSUP|EOPNOTSUPP|EMLINK)$/.test(code ?? '')) throw writeError(error, path)
  } finally {
    await rm(temporary, { force: true })
  }
  return createEmptyFirst(path, text)
}

async function createEmptyFirst(path: string, text: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx')
    await file.writeFile(text)
    await file.close()
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw writeError(error, path)
  }
}

const held = new Map<string, string>()
function releaseAll(): void {
  for (const [token, path] of held) {
    if (textOf(() => readFileSync(path, 'utf8')).includes(token)) textOf(() => `${unlinkSync(path)}`)
  }
}

function lockOf(path: string, token: string): Lock {
  if (held.size === 0) process.on('exit', releaseAll)
  held.set(token, path)
  return {
    async release() {
      if (!held.delete(token)) return
      if (held.size === 0) process.off('exit', releaseAll)
      const owner = await readOwner(path).catch(() => undefined)
      if (typeof owner === 'object' && owner.token === token) await rm(path, { force: true }).catch(() => {})
    },
  }
}

const holderOf = (path: string, owner: Owner | string, standing: Standing): LockHolder => ({
  path,
  who: typeof owner === 'string' ? 'someone unknown' : `process ${owner.pid} on ${owner.host} since ${owner.since}`,
  known: standing === 'alive',
})

/** The lock in force and whom it belongs to: the file itself, or the last claim where owners have died. */
async function inForce(
  path: string,
): Promise<{ first?: Owner; owner: Owner | string; standing: Standing } | undefined> {
  let owner = await readOwner(path)
  if (owner === undefined) return undefined
  const first = typeof owner === 'string' ? undefined : owner
  for (;;) {
    if (typeof owner === 'string') return { owner, standing: 'out of sight' }
    const standing = standingOf(owner)
    const claim: Owner | string | undefined =
      standing === 'dead' ? await readOwner(`${path}.${owner.token}`) : undefined
    if (claim === undefined) return { ...(first ? { first } : {}), owner, standing }
    owner = claim
  }
}

/** Who has the lock of this path, where somebody that lives, or that cannot be seen from here, has it. */
export async function lockHolder(path: string): Promise<LockHolder | undefined> {
  const found = await inForce(path)
  return found === undefined || found.standing === 'dead' ? undefined : holderOf(path, found.owner, found.standing)
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Takes the lock of a path in a folder that exists; the answer has `release` where that worked. It ends with the process. */
export async function takeLock(where: string): Promise<Lock | LockHolder> {
  const path = resolve(where)
  const token = randomBytes(8).toString('hex')
  const { started } = processOf(process.pid)
  const mine: Owner = { token, pid: process.pid, started, ...here, since: new Date().toISOString() }
  for (let unread = 0; ; ) {
    const found = await inForce(path)
    if (found === undefined) {
      if (!(await create(path, mine))) continue
    } else {
      const { first, owner, standing } = found
      if (typeof owner === 'string' && ++unread < 20) {
        await wait(50)
        continue
      }
      if (typeof owner === 'string' || standing !== 'dead') return holderOf(path, owner, standing)
      const claim = `${path}.${owner.token}`
      if (!(await create(claim, mine))) continue
      const now = await readOwner(path)
      if (typeof now !== 'object' || now.token !== first?.token) {
        await rm(claim, { force: true })
        continue
      }
      await rename(claim, path)
    }
    await sweep(path)
    return lockOf(path, token)
  }
}

/** Removes what dead processes left beside a lock. */
async function sweep(path: string): Promise<void> {
  const name = basename(path)
  for (const entry of await readdir(dirname(path))) {
    if (!entry.startsWith(`${name}.`) && !entry.startsWith(`.${name}.`)) continue
    const file = join(dirname(path), entry)
    const owner = await readOwner(file)
    if (typeof owner === 'object' && standingOf(owner) === 'dead') await rm(file, { force: true })
  }
}
