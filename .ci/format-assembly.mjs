// Formats assembly/ (`--write`) or names the files that are not. The formatter's parser refuses decorators on functions,
// so it sees each as a comment; a decorator stands on a line of its own.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
mkdirSync(join(root, '.tmp'), { recursive: true })
const copy = mkdtempSync(join(root, '.tmp/assembly-'))
const names = readdirSync(join(root, 'assembly'), { recursive: true }).filter((name) => name.endsWith('.ts'))
let bad = 0
try {
  cpSync(join(root, 'assembly'), copy, { recursive: true })
  for (const name of names) {
    const text = readFileSync(join(copy, name), 'utf8')
    writeFileSync(join(copy, name), text.replace(/^([ \t]*)(@\w+(\(.*\))?)[ \t]*$/gm, '$1//@@$2'))
  }
  const biome = join(root, 'node_modules/@biomejs/biome/bin/biome')
  const args = ['format', '--write', '--vcs-enabled=false', copy]
  const { status, stdout, stderr } = names.length
    ? spawnSync(process.execPath, [biome, ...args], { encoding: 'utf8', cwd: root })
    : { status: 0 }
  if (status !== 0) {
    console.error(`${stdout}${stderr}`.replaceAll(copy, 'assembly'))
    bad++
  }
  for (const name of names) {
    const path = join(root, 'assembly', name)
    const formatted = readFileSync(join(copy, name), 'utf8').replaceAll('//@@@', '@')
    if (formatted === readFileSync(path, 'utf8')) continue
    if (process.argv.includes('--write')) writeFileSync(path, formatted)
    else {
      console.error(`assembly/${name}: not formatted (npm run format)`)
      bad++
    }
  }
} finally {
  rmSync(copy, { recursive: true, force: true })
}
process.exitCode = bad ? 1 : 0
