// Test files as plain JavaScript, all in one go of a tenth of a second each: a process that has to start a TypeScript loader
// first needs twice as long, and there is one for every file.
import { mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Where a file lies is where its source does, whatever it is bundled into. */
const ownAddress = {
  name: 'own-address',
  setup({ onLoad }) {
    onLoad({ filter: /\.(ts|mjs)$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8')
      const contents = text.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href))
      return { contents, loader: path.endsWith('.ts') ? 'ts' : 'js' }
    })
  },
}

/**
 * Bundles files of test/ with what they import by path; packages, this one among them, stay imports. A map from each file to
 * what to run in its place, in a new folder inside the package, whose imports resolve as theirs do; `folder` is to be removed.
 */
export async function bundle(files) {
  mkdirSync(join(root, '.tmp'), { recursive: true })
  const folder = mkdtempSync(join(root, '.tmp/tests-'))
  await build({
    entryPoints: files,
    outdir: folder,
    entryNames: '[name]',
    bundle: true,
    packages: 'external',
    external: ['#platform'],
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    sourcesContent: false,
    ignoreAnnotations: true, // package.json says that nothing here has side effects; lists of cases do
    tsconfigRaw: {}, // the package by its name is dist/, not src/
    plugins: [ownAddress],
    logLevel: 'silent',
  })
  const made = new Map(files.map((file) => [file, join(folder, basename(file).replace(/\.ts$/, '.js'))]))
  return { folder, made }
}
