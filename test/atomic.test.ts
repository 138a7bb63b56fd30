import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openSafetensors, writeFileAtomic, writeSafetensors } from 'vitune/io'
import { errorOf } from './errors.ts'

const test = suite<{ folder: string }>('atomic')
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'vitune-atomic-'))
})
test.after.each(({ folder }) => rmSync(folder, { recursive: true }))

test('a file is written whole and replaced whole, with nothing left beside it', async ({ folder }) => {
  const path = join(folder, 'state.json')
  await writeFileAtomic(path, 'one')
  await writeFileAtomic(path, [new Uint8Array([116]), new Uint8Array(0), new Uint8Array([119, 111])])
  assert.is(readFileSync(path, 'utf8'), 'two')
  await writeFileAtomic(path, '')
  assert.is(readFileSync(path, 'utf8'), '')
  assert.equal(readdirSync(folder), ['state.json'])
})

test('a write that fails half way leaves the old file and no temporary one', async ({ folder }) => {
  const path = join(folder, 'model.safetensors')
  writeFileSync(path, 'old')
  function* broken() {
    yield new Uint8Array(100_000)
    throw new Error('no more')
  }
  assert.is((await errorOf(writeFileAtomic(path, broken()))).message, 'no more')
  assert.is(readFileSync(path, 'utf8'), 'old')
  assert.equal(readdirSync(folder), ['model.safetensors'])
})

test('a process that dies while it writes leaves the old file, and the next write succeeds', async ({ folder }) => {
  const path = join(folder, 'model.safetensors')
  await writeSafetensors(path, [{ name: 'a', shape: [1], data: new Float32Array([1]) }])
  const source = `
    import { writeFileAtomic } from 'vitune/io'
    function* dying() {
      yield new Uint8Array(1_000_000)
      process.kill(process.pid, 'SIGKILL')
      for (;;) yield new Uint8Array(1000)
    }
    await writeFileAtomic(process.argv[1], dying())`
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', source, path], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
  })
  assert.is(child.signal, 'SIGKILL', String(child.stderr))
  assert.equal([...(await (await openSafetensors(path)).read('a'))], [1])
  await writeSafetensors(path, [{ name: 'a', shape: [1], data: new Float32Array([2]) }])
  assert.equal([...(await (await openSafetensors(path)).read('a'))], [2])
})

test('a write into a folder that is not there fails and makes nothing', async ({ folder }) => {
  const error = await errorOf(writeFileAtomic(join(folder, 'none', 'x'), 'text'))
  assert.is((error as NodeJS.ErrnoException).code, 'ENOENT')
  assert.equal(readdirSync(folder), [])
})

test.run()
