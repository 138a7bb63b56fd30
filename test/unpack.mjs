// Unpacks what @sparticuz/chromium carries, a browser and a GPU in software, once, into node_modules/.cache.
// Plain Node, no system package. Linux on x64 only: elsewhere `carried()` says so.
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { brotliDecompressSync, createBrotliDecompress } from 'node:zlib'

const home = fileURLToPath(new URL('../node_modules/@sparticuz/chromium', import.meta.url))
const cache = fileURLToPath(new URL('../node_modules/.cache/vitune', import.meta.url))

/** True, or why this machine cannot run what the package carries. */
export function carried() {
  const { platform, arch } = process
  if (platform !== 'linux' || arch !== 'x64') return `@sparticuz/chromium is for linux x64, not ${platform} ${arch}`
  return existsSync(join(home, 'bin/chromium.br')) || '@sparticuz/chromium is not installed'
}

/** The files of a packed tar archive by their base name. */
function* filesOf(archive) {
  const tar = brotliDecompressSync(readFileSync(join(home, 'bin', archive)))
  const field = (start, length) => tar.toString('latin1', start, start + length).replace(/\0.*$/s, '')
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(field(at + 124, 12), 8)
    const type = field(at + 156, 1)
    if (type === '' || type === '0') yield [basename(field(at, 100)), tar.subarray(at + 512, at + 512 + size)]
    at += 512 + Math.ceil(size / 512) * 512
  }
}

/** Unpacks the archives and the program into the folder `name` of the cache, unless that was done; returns the folder. */
async function unpack(name, archives, program) {
  const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))
  const folder = join(cache, `${name}-${version}`)
  if (existsSync(folder)) return folder
  mkdirSync(cache, { recursive: true })
  const fresh = mkdtempSync(join(cache, `${name}-`))
  for (const archive of archives) for (const [file, data] of filesOf(archive)) writeFileSync(join(fresh, file), data)
  if (program) {
    const from = createReadStream(join(home, 'bin', `${program}.br`))
    await pipeline(from, createBrotliDecompress(), createWriteStream(join(fresh, program), { mode: 0o755 }))
  }
  try {
    renameSync(fresh, folder)
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true })
    if (!existsSync(folder)) throw error // else another run was first
  }
  return folder
}

/** The folder of SwiftShader, a Vulkan driver in software. */
export const unpackDriver = () => unpack('swiftshader', ['swiftshader.tar.br'])

/** The folder of the browser, of the driver, which it looks for beside itself, of NSS and of a font. */
export const unpackBrowser = () =>
  unpack('chromium', ['swiftshader.tar.br', 'al2023.tar.br', 'fonts.tar.br'], 'chromium')
