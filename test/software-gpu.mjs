// SwiftShader, a Vulkan driver in software, out of @sparticuz/chromium, so that WebGPU runs on a machine without a GPU.
// For tests: correct, and slow. Linux on x64 only; elsewhere WebGPU uses what the system has.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliDecompressSync } from 'node:zlib'

const root = fileURLToPath(new URL('..', import.meta.url))
const packed = join(root, 'node_modules/@sparticuz/chromium/bin/swiftshader.tar.br')
const cache = join(root, 'node_modules/.cache/vitune')
const folder = join(cache, 'swiftshader')
const names = ['libvk_swiftshader.so', 'libvulkan.so.1', 'vk_swiftshader_icd.json']

/** The files of a tar archive by their base name. */
function* filesOf(tar) {
  const field = (start, length) => tar.toString('latin1', start, start + length).replace(/\0.*$/s, '')
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(field(at + 124, 12), 8)
    const type = field(at + 156, 1)
    if (type === '' || type === '0') yield [basename(field(at, 100)), tar.subarray(at + 512, at + 512 + size)]
    at += 512 + Math.ceil(size / 512) * 512
  }
}

function unpack() {
  mkdirSync(cache, { recursive: true })
  const fresh = mkdtempSync(join(cache, 'swiftshader-'))
  for (const [name, data] of filesOf(brotliDecompressSync(readFileSync(packed)))) {
    if (names.includes(name)) writeFileSync(join(fresh, name), data)
  }
  try {
    renameSync(fresh, folder)
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true })
    if (!existsSync(folder)) throw error // else another run was first
  }
}

/**
 * Environment variables with which a new Node process finds SwiftShader, and no other Vulkan driver; they have to be set
 * before it starts. None where the package does not fit, or with VITUNE_TEST_GPU=system.
 */
export function softwareGpu() {
  if (process.env.VITUNE_TEST_GPU === 'system') return {}
  if (process.platform !== 'linux' || process.arch !== 'x64' || !existsSync(packed)) return {}
  if (!existsSync(folder)) unpack()
  const libraries = [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':')
  const driver = join(folder, 'vk_swiftshader_icd.json')
  return { LD_LIBRARY_PATH: libraries, VK_ICD_FILENAMES: driver, VK_DRIVER_FILES: driver }
}
