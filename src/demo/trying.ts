// Section 3: a trained run, the model as it is or a loaded adapter on pictures or the camera, with scores, thresholds and a heat map.

import { pictureFiles } from '../data/labelled-files.ts'
import { checkPicture } from '../platform/image-header.ts'
import { downloadLabel, readAdapter, saveAdapter } from './adapter-files.ts'
import type { App, State } from './app.ts'
import { type Camera, openCamera } from './camera.ts'
import { announce, button, createNote, field, fill, h, icon, setText } from './dom.ts'
import { acceptDrops, type PlacedFile, pickFiles } from './drop.ts'
import { heatLayer, whereIn } from './heat.ts'
import { reached } from './metrics.ts'
import { embedded, modelTitle, storeKnown } from './models.ts'
import { createBar } from './progress.ts'
import { createReading, type Reading } from './reading.ts'
import { samples, unseenPictures } from './samples.ts'
import { createScores } from './scores.ts'
import { runTitle } from './training.ts'

/** Pictures kept to go back to. */
const KEPT = 12

interface LoadedAdapter {
  name: string
  base: string
  files: File[]
}
interface Tried {
  source: Blob | ImageBitmap
  /** The labels that it is known to have. */
  truth?: readonly string[]
  thumb: HTMLButtonElement
  caption: HTMLElement
  /** Its outputs, and of which model. */
  logits?: { readonly of: Reading; readonly values: readonly number[] }
}

export interface Trying {
  readonly element: HTMLElement
  /** Chooses a run to try. */
  use(run: string): void
}

/** The section's content. */
export function createTrying(app: App): Trying {
  const note = createNote()
  const bar = createBar()
  const scores = createScores((label, value) => {
    reading?.move(label, value)
    tellAgain()
  })
  let adapter: LoadedAdapter | undefined
  /** How outputs of what is open are read. */
  let reading: Reading | undefined
  /** The outputs that are shown. */
  let logits: readonly number[] = []
  let truthShown: readonly string[] | undefined
  /** What the session has open: the value of the choice. */
  let opened = ''
  let tried: Tried[] = []
  let current: Tried | undefined
  let camera: Camera | undefined

  const target = h('select', { onchange: () => void changed() })
  const title = h('div', { class: 'verdict' })
  const tuned = button(
    'Back to the thresholds as trained',
    () => {
      reading?.reset()
      tellAgain()
    },
    { kind: 'link' },
  )
  const thresholdHint = h(
    'p',
    { class: 'hint' },
    'A label is there from its handle on. Move a handle: all pictures here follow.',
  )
  const where = h('p', { class: 'hint' })
  const stage = h('div', { class: 'stage' })
  const strip = h('div', { class: 'strip', role: 'group', 'aria-label': 'Pictures tried' })
  const looked = h('input', { type: 'checkbox', checked: true, onchange: () => void again() })
  const heatSwitch = h('label', { class: 'check' }, looked, h('span', {}, 'Show where the model looked'))
  const scale = h(
    'p',
    { class: 'scale', 'aria-hidden': 'true' },
    h('span', {}, 'least'),
    h('i', {}),
    h('span', {}, 'most'),
  )
  const result = h(
    'div',
    { class: 'result', hidden: true },
    stage,
    title,
    heatSwitch,
    scale,
    where,
    scores.element,
    thresholdHint,
    tuned,
    strip,
  )

  /** Opens what is chosen, once. Runs one after the other: the session holds one model. */
  let queue: Promise<unknown> = Promise.resolve()
  function inTurn<T>(task: () => Promise<T>): Promise<T> {
    const next = queue.then(task, task)
    queue = next.catch(() => {})
    return next
  }
  async function ensureOpen(): Promise<void> {
    const value = target.value
    if (opened === value) return
    bar.show('Opening the model')
    try {
      const what =
        value === 'adapter'
          ? { model: await storeKnown(app, base.value), adapter: adapter!.files }
          : value.startsWith('run:')
            ? { run: value.slice('run:'.length) }
            : { model: await storeKnown(app, value.slice('model:'.length)) }
      const model = await app.session.open(what)
      reading = createReading(model)
      opened = value
      if (model.notes.length > 0) note.show(`Opened. Note: ${model.notes.join('; ')}`)
    } finally {
      bar.hide()
    }
  }
  /** Predicts one picture and shows it. */
  async function predict(
    source: Blob | ImageBitmap,
    picture: HTMLElement,
    truth?: readonly string[],
  ): Promise<readonly number[]> {
    await ensureOpen()
    const [prediction] = await app.session.predict([source])
    if (!prediction || !reading) throw new Error('This picture could not be read')
    const map = looked.checked ? await app.session.explain(source) : undefined
    fill(stage, h('div', { class: 'frame' }, picture, map && heatLayer(map)))
    logits = prediction.logits
    truthShown = truth
    setText(where, map ? `It looked most at ${whereIn(map)}.` : '')
    scale.hidden = !map
    scores.show(reading.scores(logits))
    tell()
    result.hidden = false
    return logits
  }
  /** What the outputs that are shown say. */
  function tell(): void {
    if (!reading) return
    fill(title, ...reading.verdict(logits, truthShown))
    thresholdHint.hidden = !reading.hasThresholds
    tuned.hidden = !reading.moved
  }
  /** The same with other thresholds, of all pictures at once. */
  function tellAgain(): void {
    if (!reading) return
    scores.update(reading.scores(logits))
    tell()
    for (const one of tried) caption(one)
  }
  /** What a picture was found to show, under it. */
  function caption(one: Tried): void {
    const known = reading && one.logits?.of === reading ? one.logits.values : undefined
    const text = known && reading!.text(known)
    setText(one.caption, known ? reading!.short(known) : '')
    const number = tried.indexOf(one) + 1
    const words = [
      `Picture ${number}`,
      one.truth && `it shows ${one.truth.join(', ') || 'nothing'}`,
      text && `found: ${text}`,
    ]
    one.thumb.setAttribute('aria-label', words.filter(Boolean).join(', '))
    one.thumb.title = text ?? ''
  }
  /** Predicts the other pictures too, for what stands under them. */
  async function predictRest(): Promise<void> {
    const open = reading
    for (const one of tried) {
      if (!open || reading !== open) return
      if (one.logits?.of === open) continue
      await inTurn(async () => {
        if (reading !== open) return
        const [prediction] = await app.session.predict([one.source])
        if (prediction) one.logits = { of: open, values: prediction.logits }
      })
      caption(one)
    }
  }
  async function show(one: Tried): Promise<void> {
    note.clear()
    current = one
    result.setAttribute('aria-busy', 'true')
    for (const { thumb } of tried) thumb.setAttribute('aria-pressed', String(thumb === one.thumb))
    try {
      const picture = await inTurn(async () => {
        const drawn = await draw(one.source, 640)
        drawn.setAttribute('role', 'img')
        drawn.setAttribute('aria-label', 'The picture that was tried')
        const values = await predict(one.source, drawn, one.truth)
        one.logits = { of: reading!, values }
        return drawn
      })
      if (picture) announce(`${reading!.told(logits)}. ${where.textContent}`)
      caption(one)
      void predictRest().catch(note.show)
    } catch (error) {
      note.show(error)
    } finally {
      result.setAttribute('aria-busy', 'false')
    }
  }
  const again = () => (current ? show(current) : Promise.resolve())
  async function changed(): Promise<void> {
    render(app.state)
    if (current && target.value !== '') await again()
  }

  async function draw(source: Blob | ImageBitmap, largest: number): Promise<HTMLCanvasElement> {
    const bitmap = source instanceof Blob ? await createImageBitmap(source) : source
    const part = Math.min(1, largest / Math.max(bitmap.width, bitmap.height))
    const canvas = h('canvas', {
      width: Math.max(1, Math.round(bitmap.width * part)),
      height: Math.max(1, Math.round(bitmap.height * part)),
    })
    // Tiny pictures keep their pixels, as the model sees them.
    if (Math.max(bitmap.width, bitmap.height) < 100) canvas.classList.add('tiny')
    canvas.getContext('2d')!.drawImage(bitmap, 0, 0, canvas.width, canvas.height)
    if (source instanceof Blob) bitmap.close()
    return canvas
  }
  async function add(pictures: readonly { source: Blob | ImageBitmap; truth?: readonly string[] }[]): Promise<void> {
    const fresh: Tried[] = []
    for (const { source, truth } of pictures.slice(0, KEPT)) {
      let small: HTMLCanvasElement
      try {
        if (source instanceof Blob) await checkPicture(source)
        small = await draw(source, 96)
      } catch (error) {
        const name = source instanceof File ? source.name : 'A picture'
        note.show(`${name} cannot be read: ${(error as Error).message}`)
        continue
      }
      const thumb = button('', () => void show(one), { class: 'thumb' })
      const text = h('span', { class: 'caption' })
      thumb.append(small, text)
      const one: Tried = { source, thumb, caption: text, ...(truth === undefined ? {} : { truth }) }
      fresh.push(one)
    }
    if (fresh.length === 0) return
    tried = [...fresh, ...tried].slice(0, KEPT)
    fill(strip, ...tried.map(({ thumb }) => thumb))
    for (const one of tried) caption(one)
    strip.hidden = tried.length < 2
    await show(fresh[0]!)
  }
  async function take(files: readonly PlacedFile[]): Promise<void> {
    const given = files.map(({ file }) => file)
    const { images, unread } = await pictureFiles(given)
    const [odd] = unread
    if (images.length > 0) return add(images.map(({ file }) => ({ source: file })))
    if (odd && !given.some(({ name }) => /\.(zip|json|safetensors)$/i.test(name))) {
      return note.show(`${odd.file.name}: ${odd.reason}`)
    }
    if (files.length > 0) await loadAdapter(given)
  }

  // The camera, live.
  const live = button('Camera', () => void (camera ? endCamera() : startCamera()), { icon: 'camera' })
  async function startCamera(): Promise<void> {
    note.clear()
    try {
      camera = await openCamera()
    } catch (error) {
      return note.show(error)
    }
    fill(live, icon('stop'), 'Stop the camera')
    current = undefined
    while (camera) {
      const frame = await camera.frame().catch(() => undefined)
      if (!frame) break
      const picture = await draw(frame, 480)
      try {
        await inTurn(() => predict(frame, picture))
      } catch (error) {
        note.show(error)
        endCamera()
      }
      frame.close()
      await new Promise(requestAnimationFrame)
    }
  }
  function endCamera(): void {
    camera?.stop()
    camera = undefined
    fill(live, icon('camera'), 'Camera')
  }

  // Adapters.
  const base = h('select', {
    onchange: () => {
      opened = ''
      void changed()
    },
  })
  const baseField = field('Model under the adapter', base)
  async function loadAdapter(files: readonly File[]): Promise<void> {
    if (files.length === 0) return
    note.clear()
    try {
      adapter = await readAdapter(files)
      opened = ''
      result.setAttribute('aria-busy', 'true')
      render(app.state)
      target.value = 'adapter'
      const wanted = adapter.base.replace(/\/+$/, '').split('/').at(-1)!
      if (![...base.options].some(({ value }) => value === wanted)) {
        throw new Error(
          `This adapter goes on ${adapter.base || 'a model that it does not name'}: choose the model under it`,
        )
      }
      base.value = wanted
      await inTurn(ensureOpen)
      announce(`The adapter ${adapter.name} is open`)
      await changed()
    } catch (error) {
      note.show(error)
    } finally {
      result.setAttribute('aria-busy', 'false')
    }
  }

  async function trySamples(): Promise<void> {
    const sample = samples.find(({ name }) => name === app.state.dataset) ?? samples[0]!
    try {
      const pictures = await unseenPictures(sample, 6)
      await add(pictures.map(({ source, class: one, labels }) => ({ source, truth: labels ?? [one!] })))
    } catch (error) {
      note.show(error)
    }
  }
  const sampleButton = button('Try sample pictures', () => void trySamples(), { kind: 'link' })
  const zone = h(
    'button',
    { type: 'button', class: 'drop small', onclick: async () => take(await pickFiles({ accept: 'image/*' })) },
    icon('pictures'),
    h('span', { class: 'drop-title' }, 'Drop a picture here, or choose one'),
  )
  const save = button(
    'Download the adapter',
    () => void saveAdapter(app, target.value.slice('run:'.length)).catch(note.show),
    { icon: 'download' },
  )
  const load = button(
    'Load an adapter',
    async () => loadAdapter((await pickFiles({ accept: '.zip,.json,.safetensors' })).map(({ file }) => file)),
    { icon: 'upload' },
  )
  const busy = h('p', { class: 'hint' }, 'Pictures can be tried when training has stopped.')
  const inputs = h('div', { class: 'tries' }, zone, h('div', { class: 'row' }, live, sampleButton))

  const section = h(
    'section',
    { class: 'step', id: 'trying', 'aria-labelledby': 'trying-title' },
    h('div', { class: 'head' }, h('h2', { id: 'trying-title' }, h('span', { class: 'number' }, '3'), 'Try it')),
    field('What to try', target),
    baseField,
    busy,
    inputs,
    bar.element,
    note.element,
    result,
    h('div', { class: 'row end' }, save, load),
  )
  acceptDrops(section, (files) => void take(files))

  function render(state: State): void {
    const was = target.value
    const runs = state.runs.filter((run) => run.accuracy !== undefined || run.finished)
    const option = (value: string, text: string) => h('option', { value }, text)
    fill(
      target,
      ...[...runs]
        .reverse()
        .map((run) =>
          option(`run:${run.name}`, `${runTitle(run)}${reached(run) === undefined ? '' : ` (${reached(run)})`}`),
        ),
      adapter ? option('adapter', `Loaded: ${adapter.name}`) : undefined,
      option(`model:${embedded}`, `${modelTitle(embedded)}, untrained on your pictures`),
    )
    target.value = was
    if (target.selectedIndex < 0) target.selectedIndex = 0
    const names = new Set([embedded, ...state.models.map(({ name }) => name)])
    const chosenBase = base.value
    fill(base, ...[...names].map((name) => option(name, modelTitle(name))))
    if (names.has(chosenBase)) base.value = chosenBase
    baseField.hidden = target.value !== 'adapter'
    const running = state.training !== undefined
    busy.hidden = !running
    for (const control of [zone, live, sampleButton, load, save, target]) control.disabled = running
    const chosen = runs.find(({ name }) => target.value === `run:${name}`)
    save.hidden = !chosen
    if (chosen) setText(save.lastChild!, downloadLabel(chosen.method))
    if (running) {
      opened = ''
      endCamera()
    }
  }
  app.onChange(render)
  render(app.state)
  return {
    element: section,
    use(run) {
      render(app.state)
      target.value = `run:${run}`
      opened = ''
      void changed()
    },
  }
}
