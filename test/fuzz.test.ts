// The fuzzer of test/long/, for two seconds and with one seed: it finds what a reader does wrong, and the readers here do not.
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { InputError } from 'vitune'
import { caseOf, fuzz, type Reader } from './fuzzing.ts'
import { openReaders } from './readers.ts'

test('bent files of a fixed seed end with a value or a sentence, and good ones are read', async () => {
  const { readers, close } = await openReaders()
  try {
    for (const reader of readers) {
      for (const good of reader.good) {
        // Up to the images of the run, which are not there.
        const said = await reader.read(Uint8Array.from(good)).then(() => undefined, String)
        if (said !== undefined) assert.match(said, /^InputError: data: must be a folder/, reader.name)
      }
      assert.equal(caseOf(reader, 7, 11), caseOf(reader, 7, 11))
    }
    const { cases, read, refused, failures } = await fuzz(readers, 1, 2000)
    assert.equal(failures, [])
    assert.ok(cases >= readers.length && read > 0 && refused > 0)
  } finally {
    close()
  }
})

test('an exception, a long message and a slow reader are found and their inputs kept', async () => {
  const good = [new TextEncoder().encode('{"a":1}')]
  const saying = (message: string) => Object.assign(new InputError('a'), { message })
  const throwing = (error: () => Error): Reader => ({
    name: 'bad',
    kind: 'json',
    good,
    read: () => Promise.reject(error()),
  })
  for (const [error, word] of [
    [() => new TypeError('x is undefined'), /TypeError/],
    [() => saying('a'.repeat(301)), /message of 301/],
    [() => saying('a\nb'), /several lines/],
  ] as const) {
    const { failures } = await fuzz([throwing(error)], 3, 50)
    assert.match(failures[0]!, word)
    for (let i = 0; i < 10; i++) rmSync(join(tmpdir(), `vitune-fuzz-3-${i}`), { force: true })
  }
})

test.run()
