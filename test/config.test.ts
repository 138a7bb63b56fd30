// vitune train --config and --print-config: settings as YAML, read by their names and written with all that hold; and
// docs/settings.md, which is made of the same table.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { configText, parseConfig } from '../src/cli/config-file.ts'
import { InputError } from '../src/platform/errors.ts'
import { recipeSettings } from '../src/settings/recipe.ts'
import { settings } from '../src/settings/schema.ts'
import { complete } from '../src/settings/setting-rules.ts'
import { images, model, output, program, refusal, temporary, vitune } from './cli-tools.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const { folder, clean } = temporary()
test.after(clean)
const data = await images(join(folder, 'data'), 4)
const file = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

/** What a text is refused with; its own words where it is read. */
function said(text: string): string {
  try {
    return JSON.stringify(parseConfig(text, 's.yaml'))
  } catch (error) {
    assert.instance(error, InputError, String(error))
    const { message } = error as Error
    assert.ok(message.length <= 300 && !/\n/.test(message), message)
    return message
  }
}

test('a file of settings trains, flags win over it, and run.json has all settings that hold', async () => {
  const config = file('run.yaml', `# a run\ndata: ${data}\nmodel: ${model}\nepochs: 7\nthreads: 1\nlora: { r: 3 }\n`)
  const out = join(folder, 'run')
  await output('train', '--config', config, '--epochs', '1', '--out', out, '--no-augment')
  const run = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'))
  assert.equal(
    [run.settings.epochs, run.settings.lora, run.settings.augment, run.settings.data],
    [1, { r: 3 }, false, data],
  )
  assert.equal([run.settings.optimizer, run.settings.weightDecay, run.settings.rank], ['adamw', 0.05, undefined])
  assert.is(run.lora.r, 3)
  // The settings that it kept are those that it can go on with.
  assert.match(await output('train', '--resume', '--out', out, '--epochs', '2', '--optimizer', 'adamw'), /of 2/)
})

test('what --print-config prints can be read back, and says what it cannot know', async () => {
  const flags = [
    '--peft',
    'dora',
    '--rank',
    '4',
    '--targets',
    '.*(query|key)',
    '--task',
    'multilabel',
    '--val',
    "it's: #1",
  ]
  const text = await output('train', '--data', '- x', ...flags, '--positive-weights', 'a=b=2,no=0.5', '--print-config')
  assert.match(text, /^# Training\n.*\n.*\n# epochs: as the recipe says\n/m)
  assert.match(text, /^# inputSize: the model's own$/m)
  const read = parseConfig(text, 'printed')
  const given = {
    peft: 'dora' as const,
    rank: 4,
    targets: '.*(query|key)',
    task: 'multilabel' as const,
    val: "it's: #1",
    data: '- x',
    positiveWeights: { 'a=b': 2, no: 0.5 },
  }
  assert.equal(read, complete(given, recipeSettings))
  assert.is(configText(read), text.trimEnd())
  // Through a pipe, and with a flag over it.
  const child = spawn(process.execPath, [program, 'train', '--config', '-', '--rank', '5', '--print-config'])
  child.stdin.end(text)
  let again = ''
  for await (const part of child.stdout) again += part
  assert.is(again, text.replace('rank: 4', 'rank: 5'))
})

test('settings with their defaults are settings that may be given, whatever the method and the task', () => {
  for (const peft of ['full', 'linear', 'lora', 'dora'] as const) {
    for (const task of [undefined, 'multiclass', 'multilabel', 'hierarchical'] as const) {
      const given = { peft, ...(task && { task }) }
      const text = configText(given)
      assert.equal(parseConfig(text, `${peft} ${task}`), complete(given, recipeSettings))
      assert.is(complete(complete(given)).lr, peft === 'full' ? 1e-4 : 1e-3)
      assert.is(/^threshold: tune$/m.test(text), task === 'multilabel' || task === 'hierarchical')
    }
  }
  assert.not.match(configText({ shuffle: false }), /^sampler/m)
  assert.not.match(configText({ adapter: 'a' }), /^(rank|targets|lr|peft):/m)
  assert.not.match(configText({ lora: { r: 2 } }), /^rank:/m)
})

const refused: [string, RegExp][] = [
  ['epochs: 3\nlr: 1e-3\nlearning_rate: 1\n', /^s\.yaml: line 3: learning_rate: is no option here; did you mean lr\?$/],
  ['\n\nepochs: 0', /^s\.yaml: line 3: epochs: must be a whole number from 1, got 0$/],
  ['lora:\n  r: 4\n  rank: 3', /^s\.yaml: line 3: lora\.rank: is no option here; did you mean r\?$/],
  ['strict: yes', /^s\.yaml: line 1: strict: must be true or false, got yes$/],
  ['val: ~', /^s\.yaml: line 1: val: must be a folder of class folders or a file of labels, got null$/],
  ['epochs: 3\nepochs: 4', /^s\.yaml: line 2: must be YAML; /],
  ['a: [1', /^s\.yaml: line 1: must be YAML; /],
  ['epochs: !!int x', /^s\.yaml: line 1: /],
  ['epochs: 3\naugment:\n  flip: 0.5\n  crop: 1', /^s\.yaml: line 4: augment\.crop: must be /],
  ['a: 1\n---\nb: 2', /^s\.yaml: line 2: must be one document, got another$/],
  ['- epochs', /^s\.yaml: must hold settings by their names, one a line$/],
  ['resume: true', /^s\.yaml: line 1: resume: is no option here/],
  ['__proto__: { epochs: 3 }', /^s\.yaml: line 1: __proto__: is no option here/],
  ['? [a]\n: 3', /^s\.yaml: must have texts as names/],
  ['rank: 4\nlora: { r: 8 }', /^s\.yaml: rank: must be what lora\.r is, got 4 and 8/],
  ['lora: &a { r: 4 }\nb: *a', /^s\.yaml: may have no aliases, got "\*a"/],
  [`lora: &a [${'*a,'.repeat(20_000)}]`, /^s\.yaml: may have no aliases/],
  ['['.repeat(90_000), /^s\.yaml: YAML may be nested 20 deep, got more$/],
  ['- '.repeat(40_000), /^s\.yaml: YAML may be nested 20 deep, got more$/],
  [`a: ${'{a: '.repeat(20_000)}`, /^s\.yaml: YAML may be nested 20 deep, got more$/],
  [Array.from({ length: 400 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'), /^s\.yaml: line 1: a: is no option here/],
]
test('files that cannot be meant are refused in a sentence with the line', () => {
  for (const [text, message] of refused) assert.match(said(text), message, text.slice(0, 60))
  for (const empty of ['', '# nothing', '---\n']) assert.is(said(empty), '{}', JSON.stringify(empty))
  assert.is(said('{"epochs": 3, "targets": ["query"]}'), '{"epochs":3,"targets":["query"]}')
  assert.is(said("targets: '*a'\nout: x*a\n"), '{"targets":"*a","out":"x*a"}')
})

test('a file that is none or too long is refused before anything is written', async () => {
  const out = join(folder, 'never')
  const with_ = (path: string) => refusal('train', '--config', path, '--out', out)
  assert.match(await with_(join(folder, 'none.yaml')), /^--config: must be a file, got .*none\.yaml$/)
  assert.match(await with_(folder), /^--config: must be a file, got the folder /)
  assert.match(await with_(file('long.yaml', ' '.repeat(100_001))), /may hold 100000 bytes of settings, got 100001$/)
  assert.match(await with_(file('latin.yaml', '')), /^--data: is needed/)
  writeFileSync(join(folder, 'bytes.yaml'), new Uint8Array([0x61, 0xff]))
  assert.match(await with_(join(folder, 'bytes.yaml')), /must hold YAML, got bytes that are no UTF-8$/)
  assert.match(await refusal('train', '--resume', '--out', out, '--print-config'), /^--print-config: is for a new run/)
  assert.not.ok(existsSync(out))
})

test('every setting has a flag but `lora`, in the help of train, and a line in docs/settings.md', async () => {
  const { out } = await vitune('train', '--help')
  const page = readFileSync(join(root, 'docs/settings.md'), 'utf8')
  for (const [name, setting] of Object.entries(settings)) {
    const flag = 'flag' in setting ? setting.flag : undefined
    assert.is(flag === undefined, name === 'lora', name)
    if (flag !== undefined) assert.ok(out.includes(`  ${flag} `), flag)
    assert.ok(page.includes(`| \`${name}\` |`), name)
  }
  const checked = spawnSync(process.execPath, ['--import', 'tsx', '.ci/settings-page.mjs'], {
    cwd: root,
    encoding: 'utf8',
  })
  assert.is(checked.status, 0, checked.stderr)
})

test.run()
