// A run folder that one process writes at a time, and what is left in it by those that died while they wrote.
import { platform } from '#platform'
import { localFiles } from '../io/local-files.ts'
import { InputError } from '../platform/errors.ts'
import type { Lock, LockHolder } from '../platform/platform.ts'

const lockName = 'run.lock'

function refuse(out: string, { path, who, known }: LockHolder): never {
  throw new InputError(
    known
      ? `out: ${out} is being written by ${who}; wait for its end or stop it, or choose another folder`
      : `out: ${out} is locked by ${who}, which cannot be seen from here; remove ${path} if nothing writes there`,
  )
}

/** Throws an InputError while another process writes this run. */
export async function checkFree(out: string): Promise<void> {
  const holder = await platform.lockHolder(localFiles(out).join(out, lockName))
  if (holder) refuse(out, holder)
}

/** Removes the temporary files of writes that never ended; only who has the lock may. */
async function sweep(out: string): Promise<void> {
  const disk = localFiles(out)
  for (const name of await disk.list(out)) {
    if (/^\..+\.[0-9a-f]{12}\.tmp$/.test(name)) await disk.remove(disk.join(out, name))
  }
}

/** A run folder, for this process alone once it is taken. */
export interface RunHold {
  /** Makes the folder where there is none and takes it; false where it was taken before. Throws an InputError while another has it. */
  take(): Promise<boolean>
  release(): Promise<void>
}

/** The folder of a run that may be written. */
export function holdRun(out: string): RunHold {
  const disk = localFiles(out)
  let lock: Lock | undefined
  return {
    async take() {
      if (lock) return false
      await disk.makeFolder(out)
      const taken = await platform.takeLock(disk.join(out, lockName))
      if (!('release' in taken)) return refuse(out, taken)
      lock = taken
      await sweep(out)
      return true
    },
    async release() {
      await lock?.release()
      lock = undefined
    },
  }
}
