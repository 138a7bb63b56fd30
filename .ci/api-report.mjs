// The public names with their signatures, one file an address in docs/api/, so that a diff shows whatever changes in them.
// `--write` makes the files anew; without it those that are not as src/ has it are named. Types that have no address but stand in
// a signature are in it too, without `export`. Not here: reading declarations, which API Extractor does.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CompilerState, Extractor, ExtractorConfig } from '@microsoft/api-extractor'

const root = fileURLToPath(new URL('..', import.meta.url))
const docs = join(root, 'docs/api')
const write = process.argv.includes('--write')

/** Each address: its name and its file without ending. */
const addresses = [
  ['vitune', 'index'],
  ...readdirSync(join(root, 'src/public')).map((file) => [
    file.replace('.ts', ''),
    `public/${file.replace('.ts', '')}`,
  ]),
]
const none = { default: { logLevel: 'none' } }

/** What API Extractor says of each address, out of declarations in `folder`. */
function extract(folder) {
  const fileOf = (file) => join(folder, 'types', `${file}.d.ts`)
  const compilerOptions = {
    target: 'es2022',
    module: 'nodenext',
    lib: ['ES2023', 'DOM', 'DOM.Iterable', 'ESNext.Disposable'],
    types: ['@webgpu/types'],
    strict: true,
    skipLibCheck: true,
    paths: { '#platform': [fileOf('platform/node')] },
    noEmit: true,
  }
  const configs = addresses.map(([name, file]) =>
    ExtractorConfig.prepare({
      configObject: {
        projectFolder: root,
        newlineKind: 'lf',
        mainEntryPointFilePath: fileOf(file),
        compiler: { overrideTsconfig: { compilerOptions, include: [fileOf('index')] } },
        apiReport: {
          enabled: true,
          includeForgottenExports: true,
          reportFileName: `${name}.api.md`,
          reportFolder: folder,
          reportTempFolder: join(folder, 'again'),
        },
        docModel: { enabled: false },
        dtsRollup: { enabled: false },
        tsdocMetadata: { enabled: false },
        messages: {
          extractorMessageReporting: none,
          tsdocMessageReporting: none,
          compilerMessageReporting: { default: { logLevel: 'error' } },
        },
      },
      packageJsonFullPath: join(root, 'package.json'),
    }),
  )
  const additionalEntryPoints = addresses.map(([, file]) => fileOf(file))
  const compilerState = CompilerState.create(configs[0], { additionalEntryPoints })
  const messageCallback = (message) => {
    if (message.logLevel === 'error') console.error(message.text)
    message.handled = true
  }
  for (const config of configs) {
    if (Extractor.invoke(config, { localBuild: true, compilerState, messageCallback }).errorCount > 0)
      throw new Error('the declarations have errors')
  }
  return addresses.map(([name]) => declarationsOf(readFileSync(join(folder, `${name}.api.md`), 'utf8')))
}

/** The declarations of a report by name, without what the tool remarks on them. */
function declarationsOf(report) {
  const code = /```ts\n([\s\S]*?)\n```/.exec(report)[1].replace(/^ *\/\/ \(undocumented\)\n/gm, '')
  return code
    .split(/\n*^\/\/ @.*\n/m)
    .map((text) => text.trim())
    .filter((text) => /\b(class|function|interface|type|const|enum)\b/.test(text) && !text.startsWith('///'))
    .map((text) => text.replace(/\n\/\/ \(No @packageDocumentation[^\n]*/, '').trim())
}

const nameOf = (text) =>
  /^(?:export )?(?:declare )?(?:abstract )?(?:class|function|interface|type|const|enum) (\w+)/.exec(text)?.[1]

/** The texts of the files, by name. */
function reports() {
  mkdirSync(join(root, '.tmp'), { recursive: true })
  const folder = mkdtempSync(join(root, '.tmp/api-'))
  try {
    const args = ['-p', '.ci/tsconfig.types.json', '--outDir', join(folder, 'types')]
    const { status, stdout } = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', ...args], { cwd: root })
    if (status !== 0) throw new Error(`npm run check first\n${stdout}`)
    const all = extract(folder)
    const exported = new Set(all.flat().flatMap((text) => (text.startsWith('export ') ? [nameOf(text)] : [])))
    return addresses.map(([name], i) => {
      // What stands at another address is in that one's file.
      const own = all[i].filter((text) => text.startsWith('export ') || !exported.has(nameOf(text)))
      const address = name === 'vitune' ? name : `vitune/${name}`
      const head = `# ${address}\n\nWritten by \`npm run api\`: every public name, and below those each type without an address that they need.`
      const body = [true, false].flatMap((is) => own.filter((text) => text.startsWith('export ') === is))
      return [`${name}.md`, `${head}\n\n\`\`\`ts\n${body.join('\n\n')}\n\`\`\`\n`]
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

try {
  const made = new Map(reports())
  mkdirSync(docs, { recursive: true })
  const there = new Map(readdirSync(docs).map((file) => [file, readFileSync(join(docs, file), 'utf8')]))
  const stale = [...new Set([...made.keys(), ...there.keys()])].filter((file) => made.get(file) !== there.get(file))
  for (const file of write ? stale : []) {
    if (made.has(file)) writeFileSync(join(docs, file), made.get(file))
    else rmSync(join(docs, file))
  }
  if (!write && stale.length > 0) {
    const files = stale.map((file) => `docs/api/${file}`).join(', ')
    console.error(`${files}: must be what src/ declares; run \`npm run api\` and commit the change with its reason`)
    process.exitCode = 1
  }
} catch (error) {
  console.error(`api: ${error.message}`)
  process.exitCode = 1
}
