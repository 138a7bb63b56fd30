// The bundle for a GPU, made and run as on a bare machine: in an empty folder, with an environment that names a shell's own
// programs and the GPU in software, and nothing else. Its times mean nothing here.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

/** The variables by which run.mjs tells where the GPU in software is. */
const driver = Object.fromEntries(
  ['LD_LIBRARY_PATH', 'VK_ICD_FILENAMES', 'VK_DRIVER_FILES'].flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value]]
  }),
)
const root = fileURLToPath(new URL('../..', import.meta.url))

if (process.env.VITUNE_TEST_WEBGPU) {
  test('the bundle has at most 60 MB, runs every suite and the timed steps by itself, and leaves its results and nothing else', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vitune-gpu-bundle-'))
    const file = join(folder, 'vitune-gpu.sh')
    const made = spawnSync(process.execPath, [join(root, 'benchmarks/bundle-for-gpu.mjs'), file], { encoding: 'utf8' })
    assert.is(made.status, 0, made.stderr)
    assert.ok(statSync(file).size <= 60e6, made.stdout)
    const env = { PATH: '/usr/bin:/bin', TMPDIR: folder, ...driver }
    const run = spawnSync('sh', [file, '--out', 'out', '--small', '--software'], { cwd: folder, env, encoding: 'utf8' })
    assert.is(run.status, 0, `${run.stdout}\n${run.stderr}`)
    const { machine, adapter, created, suites, sections } = JSON.parse(
      readFileSync(join(folder, 'out/results.json'), 'utf8'),
    )
    assert.match(adapter.description, 'SwiftShader')
    assert.match(machine.node, /^24\./)
    assert.ok(Date.now() - Date.parse(created) < 600_000)
    assert.equal([suites.kernels.failed, suites.losses.failed], [0, 0])
    assert.ok(suites.kernels.passed > 20 && suites.losses.passed === 5)
    const rows = sections[0].rows.map(({ who, spread }: { who: string; spread: { median: number } }) => {
      assert.ok(spread.median > 0)
      return who
    })
    assert.equal(rows, ['vitune f32', 'vitune int8', 'vitune NF4'])
    const text = readFileSync(join(folder, 'out/results.txt'), 'utf8')
    assert.match(text, 'description: SwiftShader')
    assert.match(text, 'LoRA step of tiny ViT')
    assert.equal(readdirSync(folder).sort(), ['out', 'vitune-gpu.sh'])
    rmSync(folder, { recursive: true })
  })

  test('where no adapter is found it says so, with what the machine has, and ends with code 1', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vitune-gpu-bundle-'))
    const program = join(root, 'benchmarks/bundle-for-gpu.mjs')
    assert.is(spawnSync(process.execPath, [program, join(folder, 'gpu.sh')], { encoding: 'utf8' }).status, 0)
    const driver = join(folder, 'no-such-driver.json')
    const env = { PATH: '/usr/bin:/bin', TMPDIR: folder, VK_ICD_FILENAMES: driver, VK_DRIVER_FILES: driver }
    const run = spawnSync('sh', ['gpu.sh', '--out', 'out'], { cwd: folder, env, encoding: 'utf8' })
    assert.is(run.status, 1)
    assert.match(run.stdout, 'No adapter was found.')
    assert.is(JSON.parse(readFileSync(join(folder, 'out/results.json'), 'utf8')).adapter, null)
    rmSync(folder, { recursive: true })
  })
}

test.run()
