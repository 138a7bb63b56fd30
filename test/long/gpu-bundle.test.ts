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

interface Row {
  readonly who: string
  readonly spread: { readonly median: number }
}

if (process.env.VITUNE_TEST_WEBGPU) {
  const folder = mkdtempSync(join(tmpdir(), 'vitune-gpu-bundle-'))
  const run = (env: Record<string, string>, ...args: string[]) =>
    spawnSync('sh', ['gpu.sh', '--out', 'out', ...args], {
      cwd: folder,
      env: { PATH: '/usr/bin:/bin', TMPDIR: folder, ...env },
      encoding: 'utf8',
    })
  const results = () => JSON.parse(readFileSync(join(folder, 'out/results.json'), 'utf8'))

  test('the bundle has at most 60 MB', () => {
    const file = join(folder, 'gpu.sh')
    const made = spawnSync(process.execPath, [join(root, 'benchmarks/bundle-for-gpu.mjs'), file], { encoding: 'utf8' })
    assert.is(made.status, 0, made.stderr)
    assert.ok(statSync(file).size <= 60e6, made.stdout)
  })

  test('where no adapter is found it says so, with what the machine has, and ends with code 1', () => {
    const none = join(folder, 'no-such-driver.json')
    const { status, stdout } = run({ VK_ICD_FILENAMES: none, VK_DRIVER_FILES: none })
    assert.is(status, 1)
    assert.match(stdout, 'No adapter was found.')
    const { adapter, machine } = results()
    assert.is(adapter, null)
    assert.match(machine.node, /^24\./)
  })

  test('by itself it runs both suites and the timed steps, and leaves its results and nothing else', () => {
    const { status, stdout, stderr } = run(driver, '--small', '--software')
    assert.is(status, 0, `${stdout}\n${stderr}`)
    const { adapter, created, suites, sections } = results()
    assert.match(adapter.description, 'SwiftShader')
    assert.ok(Date.now() - Date.parse(created) < 600_000)
    assert.equal([suites.kernels.failed, suites.losses.failed], [0, 0])
    assert.ok(suites.kernels.passed > 20 && suites.losses.passed === 5)
    const rows: Row[] = sections[0].rows
    assert.equal(
      rows.map(({ who }) => who),
      ['vitune f32', 'vitune int8', 'vitune NF4'],
    )
    assert.ok(rows.every(({ spread }) => spread.median > 0))
    const text = readFileSync(join(folder, 'out/results.txt'), 'utf8')
    for (const part of ['description: SwiftShader', 'LoRA step of tiny ViT']) assert.match(text, part)
    assert.equal(readdirSync(folder).sort(), ['gpu.sh', 'out'])
  })

  test.after(() => rmSync(folder, { recursive: true }))
}

test.run()
