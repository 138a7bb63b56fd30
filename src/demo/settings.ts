// How to train: the method in plain sight, everything else behind "More settings" with defaults that suit the pictures.
import { type Method, methodOf } from '../adapters/methods.ts'
import type { Device } from '../backend/devices.ts'
import { augmentationNames } from '../data/augmentations.ts'
import type { TrainSettings } from '../run/train.ts'
import { shapeOf } from '../schema/rules.ts'
import type { Setting } from '../schema/setting.ts'
import { readAugment } from '../settings/augment.ts'
import { defaults, settings } from '../settings/schema.ts'
import { defined, type RecipeName, recipeNames } from '../settings/settings.ts'
import { tasks } from '../tasks/registry.ts'
import { createAllSettings, titleOf } from './all-settings.ts'
import { type App, currentDataset, type State } from './app.ts'
import { field, fill, h } from './dom.ts'
import { metricTitle } from './metrics.ts'

/** What the page says of each, in its order. */
const hints: Readonly<Record<Method, string>> = {
  lora: 'Adds small matrices to the attention layers and trains those. A good start; the adapter is small.',
  dora: 'LoRA that also learns the length of each weight row. Often a little better, a little slower.',
  linear: 'Trains the last layer only. The fastest, for classes that the model nearly knows.',
  full: 'Trains every weight. Needs the most memory and pictures; the download is a whole model.',
}

export interface SettingsForm {
  readonly element: HTMLElement
  /** What was chosen; rejects by a sentence thrown where a number is out of range. */
  read(): Partial<TrainSettings> & { peft: Method }
  setDisabled(disabled: boolean): void
  /** Another model was chosen. */
  refresh(): void
}

/** What the page asks for in its own words, and what it has by other ways or no path for. */
const own = [
  ...['data', 'model', 'out', 'val', 'adapter', 'format', 'from', 'distill', 'distillTemperature'],
  ...['unlabelled', 'unlabelledThreshold', 'unlabelledWeight', 'unlabelledRatio', 'strict', 'saveEvery', 'threads'],
  ...['peft', 'recipe', 'epochs', 'batchSize', 'lr', 'rank', 'loss', 'monitor', 'seed', 'device', 'patience'],
  ...['augment', 'sampler', 'task'],
] as (keyof typeof settings)[]

const recipeTitles: Readonly<Record<string, string>> = {
  default: 'The usual one',
  otx: 'As OTX',
  getitune: 'As Geti Tune',
  fast: 'Fast',
  accurate: 'Accurate',
}

/** What the page calls each change of the pictures. */
const changeTitles: Readonly<Record<string, string>> = {
  affine: 'Turns and shifts',
  colorJiggle: 'Colour jiggle',
  colorJitter: 'Colour jitter',
  crop: 'Random crops',
  flip: 'Mirror images',
  photometric: 'Distorted colours',
  randAugment: 'RandAugment',
  verticalFlip: 'Upside down',
}

/** `someName` as `Some name`. */
const inWords = (name: string) =>
  name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).replace(/^./, (letter) => letter.toUpperCase())

/** Epochs and batch size that give a few hundred steps at most. */
export function defaultsFor(pictures: number): { epochs: number; batchSize: number } {
  const batchSize = pictures >= 64 ? 16 : pictures >= 24 ? 8 : 4
  const epochs = Math.min(20, Math.max(3, Math.round(3000 / Math.max(1, pictures))))
  return { epochs, batchSize }
}

type Name = keyof typeof settings

/** Where a setting's number is typed, with its limits, and what holds without it as far as that is one number. */
function numberOf(name: Name): HTMLInputElement {
  const { value, default: otherwise }: Setting = settings[name]
  const { least, most, whole } = shapeOf(value)
  const limits = { ...(least !== undefined && { min: least }), ...(most !== undefined && { max: most }) }
  const placeholder = otherwise === undefined ? '' : String(otherwise)
  return h('input', { type: 'number', inputmode: 'decimal', ...limits, step: whole ? 1 : 'any', placeholder })
}

const lossTitles: Readonly<Record<string, string>> = {
  aal: 'Angular (AAL)',
  asl: 'Asymmetric (ASL)',
  bce: 'Cross-entropy (BCE)',
}

/** Options of a select, the default first; another that was chosen stays where it is still one of them. */
function choices(select: HTMLSelectElement, names: readonly string[], title: (name: string) => string): void {
  if (select.dataset.names === names.join(' ')) return
  select.dataset.names = names.join(' ')
  const was = select.selectedIndex > 0 ? select.value : ''
  fill(select, ...names.map((value) => h('option', { value }, title(value))))
  select.value = names.includes(was) ? was : names[0]!
}

/** The form; `onDevice` is called when another device is wanted, `rateOf` says what suits the chosen model. */
export function createSettings(
  app: App,
  { onDevice, rateOf }: { onDevice(device: Device): void; rateOf(method: Method): number | undefined },
): SettingsForm {
  const radios = (Object.entries(hints) as [Method, string][]).map(([value, hint]) => {
    const input = h('input', {
      type: 'radio',
      name: 'method',
      value,
      checked: value === defaults.peft,
      onchange: () => showMethod(),
    })
    const label = h(
      'label',
      { class: 'method' },
      input,
      h('span', { class: 'method-name' }, methodOf(value).title),
      h('span', { class: 'hint' }, hint),
    )
    return { value, input, label }
  })
  const method = () => radios.find(({ input }) => input.checked)?.value ?? defaults.peft

  const [epochs, batch, rate] = [numberOf('epochs'), numberOf('batchSize'), numberOf('lr')]
  const [rank, seed] = [numberOf('rank'), numberOf('seed')]
  const patience = numberOf('patience')
  const recipe = h(
    'select',
    { onchange: () => showRecipe() },
    ...recipeNames.map((value) => h('option', { value }, recipeTitles[value] ?? inWords(value))),
  )
  const test = h('input', { type: 'checkbox', onchange: () => showRate() })
  const augment = h(
    'select',
    { onchange: () => showChanges() },
    ...[
      ['recipe', 'As the recipe says'],
      ['chosen', 'By choice'],
      ['none', 'Not at all'],
    ].map(([value, title]) => h('option', { value }, title)),
  )
  const changes = augmentationNames.map((value) => {
    const input = h('input', { type: 'checkbox', value, checked: value === 'flip' })
    return { input, label: h('label', { class: 'check' }, input, h('span', {}, changeTitles[value] ?? inWords(value))) }
  })
  const changeList = h('div', { class: 'checks', role: 'group', hidden: true }, ...changes.map(({ label }) => label))
  changeList.setAttribute('aria-label', 'Changes of the pictures')
  const others = createAllSettings(own)
  const rankField = field(titleOf('rank'), rank, 'Size of the added matrices.')
  const loss = h('select', {})
  const monitor = h('select', {})
  const balanced = h('input', { type: 'checkbox' })
  const lossField = field(titleOf('loss'), loss)
  const monitorField = field('Best epoch by', monitor, 'Measured on pictures set aside.')
  const device = h(
    'select',
    { onchange: () => onDevice(device.value as Device) },
    ...[
      ['auto', 'The fastest that works'],
      ['webgpu', 'WebGPU'],
      ['wasm', 'The processor (WebAssembly)'],
    ].map(([value, title]) => h('option', { value }, title)),
  )
  const more = h(
    'details',
    { class: 'more' },
    h('summary', {}, 'More settings'),
    h(
      'div',
      { class: 'grid' },
      field('Recipe', recipe, 'How training goes where nothing else is said.'),
      field(titleOf('epochs'), epochs, 'Times that every picture is seen.'),
      field(titleOf('batchSize'), batch, 'Pictures in one step.'),
      field(titleOf('lr'), rate),
      field(titleOf('patience'), patience, 'Epochs without a better one; 0 is never.'),
      rankField,
      lossField,
      monitorField,
      field(titleOf('seed'), seed),
      field(titleOf('device'), device),
    ),
    h('label', { class: 'check' }, test, h('span', {}, 'Find the learning rate by a short test before training')),
    field('Vary the pictures', augment),
    changeList,
    h('label', { class: 'check' }, balanced, h('span', {}, 'Draw rare classes as often as others')),
    others.element,
  )
  const fieldset = h(
    'fieldset',
    { class: 'bare' },
    h('legend', {}, 'Method'),
    h('div', { class: 'methods' }, ...radios.map(({ label }) => label)),
    more,
  )

  function showRate(): void {
    rate.disabled = test.checked
    if (test.checked) rate.value = ''
  }
  function showChanges(): void {
    changeList.hidden = augment.value !== 'chosen'
  }
  /** What varies the pictures, as the setting says it. */
  function varied(): NonNullable<TrainSettings['augment']> {
    if (augment.value === 'recipe') return true
    const chosen = changes.filter(({ input }) => input.checked).map(({ input }) => input.value)
    return augment.value === 'none' || chosen.length === 0 ? false : readAugment(chosen.join(','))
  }
  const isUsual = () => recipe.selectedIndex === 0
  /** What holds where nothing is typed; another recipe than the usual one decides that itself. */
  function showRecipe(): void {
    const shown = defaultsFor(currentDataset(app.state).images)
    const usual = [shown.epochs, shown.batchSize, rateOf(method()) ?? methodOf(method()).defaultRate]
    const others = [defaults.patience, settings.rank.default]
    for (const [i, input] of [epochs, batch, rate, patience, rank].entries())
      input.placeholder = isUsual() ? String([...usual, ...others][i]) : 'by the recipe'
  }
  function showMethod(): void {
    showRecipe()
    rankField.hidden = !methodOf(method()).adapter
  }
  function render(state: State): void {
    showRecipe()
    const { labelling, task } = currentDataset(state)
    const { losses, monitors } = tasks[task]
    choices(loss, losses, (name) => lossTitles[name] ?? name)
    choices(monitor, Object.keys(monitors), metricTitle)
    // In a tree of folders it would be that of classes without any beside them.
    lossField.hidden = labelling !== 'labels'
  }
  app.onChange(render)
  render(app.state)
  showMethod()

  return {
    element: fieldset,
    refresh: showMethod,
    read() {
      for (const input of [epochs, batch, rate, rank, seed, patience]) {
        if (input.checkValidity()) continue
        more.open = true
        input.focus()
        throw new Error(`${input.labels?.[0]?.textContent}: ${input.validationMessage}`)
      }
      const given = (input: HTMLInputElement) => (input.value === '' ? undefined : Number(input.value))
      const defaults = defaultsFor(currentDataset(app.state).images)
      const chosen = method()
      const usual = isUsual()
      const adapts = methodOf(chosen).adapter !== undefined
      return {
        peft: chosen,
        augment: varied(),
        ...(recipe.selectedIndex > 0 ? { recipe: recipe.value as RecipeName } : {}),
        ...(balanced.checked ? { sampler: 'balanced' as const } : {}),
        ...(loss.selectedIndex > 0 && !lossField.hidden ? { loss: loss.value } : {}),
        ...(monitor.selectedIndex > 0 ? { monitor: monitor.value } : {}),
        ...others.read(),
        ...defined({
          lr: test.checked ? 'auto' : (given(rate) ?? (usual ? rateOf(chosen) : undefined)),
          // Another recipe than the usual one has its own.
          epochs: given(epochs) ?? (usual ? defaults.epochs : undefined),
          batchSize: given(batch) ?? (usual ? defaults.batchSize : undefined),
          seed: given(seed),
          patience: given(patience),
          rank: adapts ? given(rank) : undefined,
        }),
      }
    },
    setDisabled(disabled) {
      fieldset.disabled = disabled
    },
  }
}
