// Files in memory, for browsers that keep none: the answers of the browser's own, and a limit.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createMemoryFiles } from '../src/platform/memory-files.ts'
import { expected, useFiles } from './files-cases.ts'

const failure = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => new Error('nothing thrown'),
    (error) => error,
  )

test('files in memory behave as a browser keeps them: whole or as they were, with error codes', async () => {
  assert.equal(await useFiles(createMemoryFiles()), expected)
})

test('what was given or read may be changed without changing the file', async () => {
  const files = createMemoryFiles()
  const bytes = Uint8Array.of(1, 2, 3)
  await files.writeAtomic('/a', bytes)
  bytes.fill(9)
  ;(await files.read('/a')).fill(8)
  ;(await files.readRange('/a', 1, 2)).fill(7)
  assert.equal([...(await files.read('/a'))], [1, 2, 3])
})

test('ranges reach over what was appended in parts', async () => {
  const files = createMemoryFiles()
  for (const text of ['ab', '', 'cde', 'f']) await files.append('/lines', text)
  const range = async (at: number, n: number) => new TextDecoder().decode(await files.readRange('/lines', at, n))
  assert.equal(
    [await range(0, 6), await range(1, 3), await range(2, 3), await range(5, 1), await range(3, 0)],
    ['abcdef', 'bcd', 'cde', 'f', ''],
  )
})

test('beyond its limit a write is one sentence, the file is as it was, and what is removed or replaced makes room', async () => {
  const files = createMemoryFiles(1000)
  await files.writeAtomic('/a', new Uint8Array(400))
  async function* parts() {
    for (let i = 0; i < 7; i++) yield new Uint8Array(100)
  }
  const errors = [
    await failure(files.writeAtomic('/a', new Uint8Array(601))),
    await failure(files.writeAtomic('/b', parts())),
    await failure(files.append('/a', 'x'.repeat(601))),
  ]
  for (const error of errors) {
    assert.is(error.name, 'InputError')
    assert.match(error.message, /^\/[ab]: the memory that stands in for this browser's storage is full \(/)
  }
  assert.equal([await files.size('/a'), await files.kind('/b')], [400, undefined])
  // Nothing that was refused is counted: all the rest is free, a replaced file's bytes too.
  await files.writeAtomic('/a', new Uint8Array(600))
  await files.writeAtomic('/b', new Uint8Array(400))
  await files.makeFolder('/folder')
  await files.remove('/a')
  await files.writeAtomic('/folder/c', new Uint8Array(600))
  await files.remove('/folder')
  await files.writeAtomic('/d', new Uint8Array(600))
})

test.run()
