// WebGPU under Node, by the package webgpu (Dawn). Dawn and the drivers it loads write to the terminal by themselves, past
// Node: so whether there is a GPU at all is asked in a process of its own, whose words are kept.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, statOrNothing } from './files-node.ts'
import type { GpuLook } from './platform.ts'

const missing = 'the optional package webgpu is not installed: npm install webgpu'

/** Whether the system's loader finds Vulkan; without it there is no need to look. */
async function hasVulkan(): Promise<boolean> {
  const name = 'libvulkan.so.1'
  const known = await readFile('/etc/ld.so.cache', 'latin1').catch(() => '')
  if (known.includes(name)) return true
  const searched = (process.env.LD_LIBRARY_PATH ?? '').split(':').filter((folder) => folder !== '')
  const places = [...searched, '/usr/lib', '/usr/lib64', '/usr/local/lib', '/lib', '/run/opengl-driver/lib']
  return (await Promise.all(places.map((folder) => statOrNothing(join(folder, name))))).some(
    (found) => found !== undefined,
  )
}

/** What gives WebGPU adapters, or one sentence why there is none. */
export async function gpu(): Promise<GPU | string> {
  try {
    const { create } = await import('webgpu')
    return create([])
  } catch (error) {
    if (codeOf(error) === 'ERR_MODULE_NOT_FOUND') return missing
    return `the package webgpu does not load here, ${error instanceof Error ? error.message : error}`
  }
}

/** Longer than a driver needs to start, and far shorter than one that hangs. */
const patience = 10_000
const mostWords = 50

// The last line is the answer; whatever stands before it, and on standard error, are the drivers' words.
const script = (address: string) => `
const { create } = await import(${JSON.stringify(address)})
const adapter = await create([]).requestAdapter({ powerPreference: 'high-performance' })
const { vendor = '', architecture = '', description = '', isFallbackAdapter = adapter?.isFallbackAdapter ?? false } = adapter?.info ?? {}
process.stdout.write('\\n' + JSON.stringify(adapter ? { vendor, architecture, description, isFallbackAdapter } : null), () => process.exit())`

async function look(): Promise<GpuLook | undefined> {
  // Elsewhere drivers keep quiet, and other programs than Node take other flags.
  const { bun, deno, electron } = process.versions
  if (process.platform !== 'linux' || bun || deno || electron) return undefined
  let address: string
  try {
    address = import.meta.resolve('webgpu')
  } catch {
    return { reason: missing, words: [] }
  }
  if (!(await hasVulkan())) {
    return { reason: "Vulkan's loader (libvulkan.so.1) is not there: install the GPU's driver", words: [] }
  }
  return new Promise((resolve) => {
    const args = ['--input-type=module', '--eval', script(address)]
    execFile(process.execPath, args, { timeout: patience, killSignal: 'SIGKILL' }, (error, out, err) => {
      const lines = out.split('\n')
      const answer = error ? undefined : lines.pop()
      const words = [...lines, ...err.split('\n')].filter((line) => line.trim() !== '').slice(0, mostWords)
      if (answer !== undefined) return resolve({ adapter: JSON.parse(answer) ?? undefined, words })
      const how = error?.killed
        ? `did not answer in ${patience / 1000} s`
        : `ended the process that asked it (${error?.signal ?? error?.code})`
      resolve({ reason: `the GPU's driver ${how}`, words })
    })
  })
}

let looked: Promise<GpuLook | undefined> | undefined

/** Looks once in the life of this process. */
export function lookForGpu(): Promise<GpuLook | undefined> {
  looked ??= look()
  return looked
}
