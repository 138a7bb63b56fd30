// The addresses of the package: which names each has. Not here: that they install and type-check (package.test.ts).
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { InputError, openModel } from 'vitune'
import { injectAdapter, LoraAdapter, loraConfig } from 'vitune/adapters'
import { openSafetensors } from 'vitune/io'
import { Vit } from 'vitune/models'
import { disposeModule, Linear, LinearAdapter, Module, namedParameters } from 'vitune/nn'
import { createReference, Parameter, Tensor } from 'vitune/tensor'
import { openPage } from './chromium.mjs'

const root = new URL('../', import.meta.url)
const textOf = (path: string) => readFileSync(new URL(path, root), 'utf8')
const files = ['index.ts', ...readdirSync(new URL('src/public/', root)).map((name) => `public/${name}`)]
const { exports } = JSON.parse(textOf('package.json')) as { exports: Record<string, string | Record<string, string>> }
const addresses = Object.keys(exports).filter((address) => address !== './package.json')

/** The names that a file of addresses exports, types too. */
function namesOf(file: string): string[] {
  const code = textOf(`src/${file}`).replace(/\/\/.*|\/\*[\s\S]*?\*\//g, '')
  const statements = [...code.matchAll(/export (?:type )?\{([^}]*)\} from '[^']+'\s*/g)]
  // Nothing but lists of names, which is what makes them countable.
  assert.is(
    statements
      .map(([text]) => text)
      .join('')
      .trim(),
    code.trim(),
    file,
  )
  return statements.flatMap(([, list]) => list!.split(',').flatMap((name) => /(\w+)\s*$/.exec(name)?.[1] ?? []))
}

test('every public name stands at one address', () => {
  const places = new Map<string, string[]>()
  for (const file of files) for (const name of namesOf(file)) places.set(name, [...(places.get(name) ?? []), file])
  assert.ok(places.size > 300)
  assert.equal(
    [...places].filter(([, at]) => at.length > 1),
    [],
  )
})

test('package.json has an address for each of the files, with types, for a browser and for Node', () => {
  const wanted = files.map((file) => {
    const name = file.replace('public/', '').replace('.ts', '')
    const browser = name === 'index' ? 'browser' : `browser-${name}`
    const types = `./dist/types/${file.replace('.ts', '.d.ts')}`
    return [
      name === 'index' ? '.' : `./${name}`,
      { types, browser: `./dist/${browser}.js`, default: `./dist/${name}.js` },
    ] as const
  })
  assert.equal(exports, { ...Object.fromEntries(wanted), './package.json': './package.json' })
})

test('what one address makes is of the classes that the others name', async () => {
  const backend = createReference()
  const { model } = await openModel(backend, 'test/fixtures/checkpoints/vit')
  assert.ok(model instanceof Vit && model instanceof Module)
  injectAdapter(model, loraConfig({ r: 2 }), 1)
  const layer = model.blocks[0]!.attention.query
  assert.ok(layer instanceof Linear)
  assert.ok(layer.adapter instanceof LoraAdapter && layer.adapter instanceof LinearAdapter)
  for (const [, parameter] of namedParameters(model)) assert.ok(parameter instanceof Parameter)
  assert.ok(layer.weight instanceof Tensor)
  disposeModule(model)
  const error: unknown = await openSafetensors('test/nothing.safetensors').catch((reason: unknown) => reason)
  assert.ok(error instanceof InputError)
})

test('in a page the addresses have the same names as in Node, out of one file', async () => {
  const { page, errors, close } = await openPage()
  try {
    for (const address of addresses) {
      const { browser } = exports[address] as { browser: string }
      const url = browser.replace('./', '/')
      const [there, apart] = await page.evaluate(
        async ([own, main]) => {
          const [names, all] = [await import(own!), await import(main!)]
          const known = new Set(Object.values(all))
          return [Object.keys(names), Object.keys(names).filter((name) => !known.has(names[name]))] as const
        },
        [url, '/dist/browser.js'] as const,
      )
      const here = Object.keys(await import(address.replace('.', 'vitune')))
      // browser.js hands the others their names under short ones.
      const own = there.filter((name) => address !== '.' || name.length > 2 || here.includes(name))
      assert.equal(own.sort(), here.sort(), address)
      // What most pages do without stands in a file of its own.
      if (['./configurations', './report'].includes(address)) assert.ok(apart.length > 0, address)
      else assert.equal(apart, address === './tensor' ? ['createReference'] : [], address)
    }
    assert.equal(errors, [])
  } finally {
    await close()
  }
})

test.run()
