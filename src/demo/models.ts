// Which model to start from: the one that comes with the page, one kept from before, one by address, one in a folder.
import type { Method } from '../adapters/methods.ts'
import type { StoredModel } from '../web/types.ts'
import type { App, State } from './app.ts'
import { button, field, fill, h, setText } from './dom.ts'
import { acceptDrops, type PlacedFile, pickFiles } from './drop.ts'
import { bytes } from './format.ts'
import { createBar } from './progress.ts'

interface Known {
  /** Its name once it is stored. */
  readonly name: string
  readonly title: string
  readonly source: string
  readonly hint: string
  /** Learning rates that suit it better than those of the methods. */
  readonly rates?: Partial<Record<Method, number>>
}

const hub = (repository: string) => `https://huggingface.co/${repository}/resolve/main/`
/** Offered although not stored yet. The first comes with the page. */
const known: readonly Known[] = [
  {
    name: 'vit-cifar100',
    title: 'Small ViT, comes with this page',
    source: 'models/vit-cifar100/',
    hint: '1.2 million weights, looks at 32 x 32 pixels. Quick, good for a first try.',
    // As `npm start` found them on sets such as the samples.
    rates: { linear: 1e-2, lora: 5e-3, dora: 5e-3, full: 5e-4 },
  },
  {
    name: 'dinov2-small',
    title: 'DINOv2 small, from Hugging Face',
    source: hub('facebook/dinov2-small'),
    hint: '22 million weights, looks at 224 x 224 pixels. Good results with few photos; 88 MB are downloaded once.',
  },
  {
    name: 'deit-tiny',
    title: 'DeiT tiny, from Hugging Face',
    source: hub('facebook/deit-tiny-patch16-224'),
    hint: '5.7 million weights, looks at 224 x 224 pixels; 23 MB are downloaded once.',
  },
]
/** The model that comes with the page, as it is called once stored. */
export const embedded = known[0]!.name

const weights = (count: number) => (count < 1e5 ? count.toLocaleString('en') : `${(count / 1e6).toFixed(1)} million`)

const describe = (model: StoredModel): string =>
  `${weights(model.parameters)} weights, looks at ${model.imageSize.join(' x ')} pixels, ${bytes(model.bytes)}. Kept in this browser.`

/** Title of a model by its stored name. */
export const modelTitle = (name: string): string => known.find((k) => k.name === name)?.title.split(',')[0] ?? name

export interface ModelChoice {
  readonly element: HTMLElement
  /** Stores the chosen model where it is not yet, with a bar; resolves to its name. Rejects with one sentence. */
  ready(): Promise<string>
  /** The learning rate that suits the chosen model; undefined where that is the method's. */
  rate(method: Method): number | undefined
  setDisabled(disabled: boolean): void
}

/** Stores one of the known models where it is not yet. */
export async function storeKnown(
  app: App,
  name: string,
  onProgress?: (p: { file: string; done: number; total: number }) => void,
  signal?: AbortSignal,
): Promise<string> {
  const one = known.find((k) => k.name === name)
  if (!one || app.state.models.some((m) => m.name === name)) return name
  const source = new URL(one.source, document.baseURI)
  await app.session.addModel(name, source, { ...(onProgress ? { onProgress } : {}), ...(signal ? { signal } : {}) })
  await app.refresh()
  return name
}

/** A name for a model from an address: `.../OWNER/NAME/resolve/main/` is NAME. */
export function nameOfAddress(address: string): string {
  const parts = new URL(address).pathname.split('/').filter(Boolean)
  const end = parts.indexOf('resolve')
  return (end > 0 ? parts[end - 1] : parts.at(-1)) ?? 'model'
}

/** The choice of a model. */
export function createModelChoice(
  app: App,
  { onError, onChoice }: { onError(problem: unknown): void; onChoice(): void },
): ModelChoice {
  let stop: AbortController | undefined
  const bar = createBar(() => stop?.abort())
  const hint = h('p', { class: 'hint', id: 'model-hint' })
  const select = h('select', {
    'aria-describedby': hint.id,
    onchange: () => {
      show()
      onChoice()
    },
  })
  const address = h('input', {
    type: 'url',
    placeholder: hub('facebook/dinov2-base'),
    autocomplete: 'off',
    spellcheck: 'false',
  })
  const addressField = field('Address of the folder', address, 'It holds config.json and model.safetensors.')
  let folder: PlacedFile[] = []
  const folderButton = button('Choose a folder', async () => useFolder(await pickFiles({ folder: true })), {
    icon: 'upload',
  })
  const folderText = h(
    'p',
    { class: 'hint' },
    'A folder with config.json and model.safetensors, as Hugging Face keeps it.',
  )
  const folderField = h('div', { class: 'field' }, folderButton, folderText)
  function useFolder(files: PlacedFile[]): void {
    if (files.length === 0) return
    folder = files
    setText(folderText, `${folder[0]!.folders.at(-1) ?? 'Files'}: ${files.map(({ file }) => file.name).join(', ')}`)
  }
  const element = h('div', {}, field('Model', select), hint, addressField, folderField, bar.element)
  acceptDrops(element, (files) => {
    select.value = 'folder'
    show()
    useFolder(files)
  })

  function show(): void {
    const name = select.value.replace(/^stored:/, '')
    const stored = app.state.models.find((m) => `stored:${m.name}` === select.value)
    setText(hint, stored ? describe(stored) : (known.find((k) => k.name === name)?.hint ?? ''))
    hint.hidden = hint.textContent === ''
    addressField.hidden = select.value !== 'address'
    folderField.hidden = select.value !== 'folder'
  }
  function render({ models }: State): void {
    const was = select.value
    const own = models.filter((m) => !known.some((k) => k.name === m.name))
    const option = (value: string, title: string) => h('option', { value }, title)
    fill(
      select,
      ...known.map((k) => option(k.name, k.title)),
      ...own.map((m) => option(`stored:${m.name}`, m.name)),
      option('address', 'Another one, by its address'),
      option('folder', 'A folder on this device'),
    )
    select.value = was
    if (select.selectedIndex < 0) select.selectedIndex = 0
    show()
  }
  async function store(): Promise<string> {
    const taken = (name: string) => app.state.models.some((m) => m.name === name)
    const onProgress = ({ file, done, total }: { file: string; done: number; total: number }) =>
      bar.show(
        `Reading ${file}: ${bytes(done)}${total > 0 ? ` of ${bytes(total)}` : ''}`,
        total > 0 ? done / total : undefined,
      )
    const options = { onProgress, signal: stop!.signal }
    const { value } = select
    if (value.startsWith('stored:')) return value.slice('stored:'.length)
    if (value !== 'address' && value !== 'folder') return storeKnown(app, value, onProgress, stop!.signal)
    let name: string
    if (value === 'address') {
      const given = address.value.trim()
      if (!URL.canParse(given)) {
        address.focus()
        throw new Error('The model needs an address such as https://huggingface.co/facebook/dinov2-small/resolve/main/')
      }
      name = nameOfAddress(given)
      if (!taken(name)) await app.session.addModel(name, new URL(given), options)
    } else {
      if (folder.length === 0) {
        folderButton.focus()
        throw new Error('Choose the folder of the model first')
      }
      name = folder[0]!.folders.at(-1) ?? 'dropped model'
      if (!taken(name))
        await app.session.addModel(
          name,
          folder.map(({ file }) => file),
          options,
        )
    }
    await app.refresh()
    select.value = `stored:${name}`
    show()
    return name
  }

  app.onChange(render)
  render(app.state)
  return {
    element,
    async ready() {
      stop = new AbortController()
      try {
        return await store()
      } catch (error) {
        if (!(error instanceof Error)) onError(error)
        throw error
      } finally {
        bar.hide()
      }
    },
    rate: (method) => known.find(({ name }) => name === select.value)?.rates?.[method],
    setDisabled(disabled) {
      for (const control of [select, address, folderButton]) control.disabled = disabled
    },
  }
}
