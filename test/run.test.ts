// The runner itself, on a machine without a GPU adapter or a browser: it says what it left out and why, and can be told to fail.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Output and exit code of the runner on test/rooms.test.ts, test/webgpu-lost.test.ts and test/chromium.test.ts. */
function run(variables: Record<string, string>): Promise<{ code: number; lines: string[] }> {
  const args = ['test/run.mjs', 'test/rooms.', 'test/webgpu-lost.', 'test/chromium.']
  const env = { ...process.env, VITUNE_WITHOUT: '', VITUNE_REQUIRE: '', ...variables }
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: root, env }, (error, stdout) => {
      resolve({ code: error ? Number(error.code) : 0, lines: stdout.trim().split('\n') })
    })
  })
}

test('without an adapter and a browser their tests are left out, which is said above the last line', async () => {
  const { code, lines } = await run({ VITUNE_WITHOUT: 'webgpu,chromium' })
  assert.is(code, 0)
  assert.match(lines[0]!, /^rooms\.test\.ts +\d+ passed/)
  assert.equal(lines.slice(1, 3), [
    'skipped: WebGPU in Node (VITUNE_WITHOUT hides it): webgpu-lost.test.ts, and WebGPU in every other file',
    'skipped: Chromium (VITUNE_WITHOUT hides it): chromium.test.ts',
  ])
  assert.match(lines[3]!, /^\d+ passed, 0 failed$/)
  assert.is(lines.length, 4)
})

test('what is required and missing makes the run fail', async () => {
  const { code, lines } = await run({ VITUNE_WITHOUT: 'webgpu,chromium', VITUNE_REQUIRE: 'chromium,webgpu' })
  assert.is(code, 1)
  assert.match(lines.at(-3)!, /^skipped: WebGPU in Node .+; VITUNE_REQUIRE does not allow this$/)
  assert.match(lines.at(-2)!, /^skipped: Chromium .+; VITUNE_REQUIRE does not allow this$/)
  assert.match(lines.at(-1)!, /^\d+ passed, 2 failed$/)
})

test('what is required and there is no failure', async () => {
  const { code, lines } = await run({ VITUNE_WITHOUT: 'chromium', VITUNE_REQUIRE: 'webgpu' })
  const there = !lines.some((line) => line.startsWith('skipped: WebGPU'))
  assert.is(code, there ? 0 : 1)
  assert.is(there, process.env.VITUNE_TEST_WEBGPU === '1')
})

test.run()
