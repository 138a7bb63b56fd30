// Half a minute of bent files through every reader. VITUNE_FUZZ_SEED repeats a run; the seed is told.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { fuzz } from '../fuzzing.ts'
import { openReaders } from '../readers.ts'

const seed = Number(process.env.VITUNE_FUZZ_SEED ?? Date.now() % 1e9)

test('every reader ends with a value or a sentence, within two seconds and 300 MB, whatever the file holds', async () => {
  const { readers, close } = await openReaders()
  const { cases, read, refused, failures } = await fuzz(readers, seed, 30_000).finally(close)
  console.log(`seed ${seed}: ${cases} cases of ${readers.length} readers, ${read} read, ${refused} refused`)
  assert.equal(failures, [])
  assert.ok(read > 0 && refused > read / 100)
})

test.run()
