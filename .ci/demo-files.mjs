// Everything of the page in dist/demo/ that is no script: a rollup plugin. The script's imports of packages are its too.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'

/** Columns of the sheets that the page takes, of 28 px (src/demo/samples.ts). */
const COLUMNS = 40

/** Packages that are bundled into the page. */
export const demoPackages = { uplot: 'uplot/dist/uPlot.esm.js', fflate: 'fflate/esm/browser.js' }

/** The plugin; `root` is the repository, `to` the folder of the page. */
export function demoFiles(root, to) {
  const source = (name) => join(root, 'src/demo', name)
  const files = {
    'index.html': source('index.html'),
    'icon.svg': source('icon.svg'),
    'samples/NOTICE.md': join(root, 'benchmarks/data/NOTICE.md'),
  }
  for (const name of [
    'emoji-noto.png',
    'emoji-fluent.png',
    'emoji-twemoji.png',
    'emoji.json',
    'LICENSE-Apache-2.0.txt',
  ]) {
    files[`samples/${name}`] = join(root, 'benchmarks/data', name)
  }
  for (const name of ['config.json', 'preprocessor_config.json', 'model.safetensors']) {
    files[`models/vit-cifar100/${name}`] = join(root, 'benchmarks/vit-cifar100', name)
  }
  const styles = [join(root, 'node_modules/uplot/dist/uPlot.min.css'), source('style.css')]
  return {
    name: 'demo-files',
    resolveId: (id) => (Object.hasOwn(demoPackages, id) ? join(root, 'node_modules', demoPackages[id]) : undefined),
    // uPlot formats numbers for `navigator.language`, which Chromium under LANG=C gives as no language that exists.
    transform(code, id) {
      if (!id.endsWith('uPlot.esm.js')) return undefined
      const wanted = "domEnv ? nav.language : 'en-US'"
      if (!code.includes(wanted)) this.error(`uPlot: the line with ${wanted} is gone; look at how it formats numbers`)
      return { code: code.replace(wanted, "'en-US'"), map: null }
    },
    buildStart() {
      for (const file of [...Object.values(files), ...styles]) this.addWatchFile(file)
    },
    async writeBundle() {
      for (const name of ['models/vit-cifar100', 'samples']) mkdirSync(join(to, name), { recursive: true })
      for (const [name, from] of Object.entries(files)) copyFileSync(from, join(to, name))
      writeFileSync(join(to, 'style.css'), styles.map((file) => readFileSync(file, 'utf8')).join('\n'))
      for (const name of ['digits', 'fashion']) {
        await sharp(join(root, `benchmarks/data/${name}-train.png`))
          .extract({ left: 0, top: 0, width: COLUMNS * 28, height: 280 })
          .png({ compressionLevel: 9 })
          .toFile(join(to, `samples/${name}.png`))
      }
    },
  }
}
