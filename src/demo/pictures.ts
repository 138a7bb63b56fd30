// Section 1: pictures by class, from folders, loose files, the camera or the samples that come with the page.
import { labelledFiles } from '../data/labelled-files.ts'
import { passedOverText } from '../data/passed-over.ts'
import type { Labelling } from '../labels/labelling.ts'
import { listed } from '../platform/listed.ts'
import { type App, currentDataset, ownPictures, type State } from './app.ts'
import { createClassList } from './class-list.ts'
import { createClassTree } from './class-tree.ts'
import { announce, button, createNote, field, fill, h, icon, setText } from './dom.ts'
import { acceptDrops, type PlacedFile, pickFiles } from './drop.ts'
import { bytes, plural } from './format.ts'
import { createLabelBoard } from './label-board.ts'
import { createLabellingChoice, labellingWords } from './labellings.ts'
import { createBar } from './progress.ts'
import { createRecorder } from './recorder.ts'
import { type Sample, samples } from './samples.ts'

/** A picture on its way into the storage. */
export interface NewPicture {
  source: Blob | ImageBitmap
  class?: string
  labels?: readonly string[]
  unknown?: readonly string[]
  name?: string
}

/** What shows one class as pictures that may have several. */
const fitting = (pictures: readonly NewPicture[], labelling: Labelling): readonly NewPicture[] =>
  labelling !== 'labels'
    ? pictures
    : pictures.map(({ class: label, labels = label === undefined ? [] : [label], ...rest }) => ({ ...rest, labels }))

const pictureTypes = 'image/*,.jfif,.bmp,.avif,.tif,.tiff'
const another = '+'

/** The section's content. */
export function createPictures(app: App): HTMLElement {
  const note = createNote()
  let stop: AbortController | undefined
  const bar = createBar(() => stop?.abort())

  /** Stores pictures in the chosen set, with the bar; false when that failed. What cannot be read is told after `said`. */
  async function add(
    pictures: readonly NewPicture[],
    dataset = app.state.dataset,
    said: readonly string[] = [],
  ): Promise<boolean> {
    if (pictures.length === 0) return true
    note.clear()
    stop = new AbortController()
    const broken: string[] = []
    try {
      bar.show(`Adding ${plural(pictures.length, 'picture')}`, 0)
      await app.session.addImages(dataset, fitting(pictures, currentDataset(app.state).labelling), {
        onProgress: (done, total) => bar.show(`Adding ${plural(total, 'picture')}: ${done} done`, done / total),
        signal: stop.signal,
        onBroken: (file, reason) => broken.push(`${file} (${reason})`),
      })
      announce(`Added ${plural(pictures.length - broken.length, 'picture')}`)
      const words = [...said, ...(broken.length > 0 ? [`Not read: ${listed(broken)}`] : [])]
      if (words.length > 0) note.show(words.join('. '))
      return true
    } catch (error) {
      if ((error as Error).name !== 'AbortError') note.show(error)
      return false
    } finally {
      bar.hide()
      await app.refresh().catch(note.show)
    }
  }

  async function take(files: readonly PlacedFile[], label?: string): Promise<void> {
    if (files.length === 0) return
    const { labelling: own, images: already } = currentDataset(app.state)
    const found = await labelledFiles(files, label, already > 0 ? own : app.state.labelling)
    const { images, loose, passedOver, notes, labelling } = found
    if (already === 0 && images.length > 0) app.set({ labelling })
    const said = [...notes, ...passedOver.map(passedOverText)].map((line) => line[0]!.toUpperCase() + line.slice(1))
    if (images.length + loose.length === 0) return note.show([`No pictures that can be read`, ...said].join('. '))
    if (images.length > 0) await add(images, undefined, said)
    else if (said.length > 0) note.show(said.join('. '))
    if (loose.length > 0) askClass(loose)
  }
  const takeOrTell = (files: readonly PlacedFile[], label?: string) => take(files, label).catch(note.show)

  // Loose pictures belong to no folder: which class do they show?
  const looseName = h('input', { type: 'text', autocomplete: 'off', maxlength: 100, required: true })
  const looseText = h('p', {})
  let loosePictures: readonly File[] = []
  const looseForm = h(
    'form',
    {
      class: 'panel',
      hidden: true,
      onsubmit: (event: Event) => {
        event.preventDefault()
        looseForm.hidden = true
        void add(loosePictures.map((source) => ({ source, class: looseName.value.trim() })))
        looseName.value = ''
      },
    },
    looseText,
    field('Class that they show', looseName),
    h(
      'div',
      { class: 'row' },
      h('button', { type: 'submit', class: 'button main' }, 'Add them'),
      button('Leave them out', () => {
        looseForm.hidden = true
      }),
    ),
  )
  function askClass(pictures: readonly File[]): void {
    loosePictures = pictures
    setText(looseText, `${plural(pictures.length, 'picture')} without a folder.`)
    looseForm.hidden = false
    looseName.focus()
  }

  const recorder = createRecorder({ add, onError: note.show })
  const acts = {
    app,
    onError: note.show,
    pick: async (label: string) => takeOrTell(await pickFiles({ accept: pictureTypes }), label),
    drop: (files: PlacedFile[], label: string) => void takeOrTell(files, label),
    record: (label: string) => void recorder.open(label),
  }
  const list = createClassList(acts)
  const tree = createClassTree(acts)
  const board = createLabelBoard(app, note.show)
  const kind = createLabellingChoice(app)

  async function useSample(sample: Sample): Promise<void> {
    if (app.state.datasets.some(({ name }) => name === sample.name)) return app.set({ dataset: sample.name })
    note.clear()
    try {
      bar.show('Reading the sample pictures')
      const pictures = await sample.cut('train')
      app.set({ dataset: sample.name })
      await add(pictures, sample.name)
    } catch (error) {
      note.show(error)
    } finally {
      bar.hide()
    }
  }

  const big = h('span', { class: 'drop-title' })
  const hint = h('span', { class: 'drop-hint' })
  const zone = h(
    'button',
    { type: 'button', class: 'drop', onclick: async () => takeOrTell(await pickFiles({ folder: true })) },
    icon('pictures'),
    big,
    hint,
  )
  const sampleRow = h(
    'p',
    { class: 'samples' },
    'No pictures at hand? Try ',
    ...samples.flatMap((sample, i) => [
      i > 0 && (i === samples.length - 1 ? ' or ' : ', '),
      button(sample.title, () => void useSample(sample), { kind: 'link' }),
    ]),
    '.',
  )
  const choice = h('select', {
    'aria-label': 'Set of pictures',
    onchange: () => {
      if (choice.value !== another) return app.set({ dataset: choice.value })
      const taken = new Set(app.state.datasets.map(({ name }) => name))
      let name = ownPictures
      for (let n = 2; taken.has(name); n++) name = `${ownPictures} ${n}`
      app.set({ dataset: name })
      zone.focus()
    },
  })
  const remove = button(
    'Remove this set',
    async () => {
      const { dataset } = app.state
      if (!confirm(`Remove all pictures of “${dataset}” from this browser?`)) return
      await app.session.removeDataset(dataset).catch(note.show)
      app.set({ dataset: app.state.datasets.find(({ name }) => name !== dataset)?.name ?? ownPictures })
      await app.refresh().catch(note.show)
    },
    { kind: 'icon', icon: 'remove' },
  )
  const setRow = h('div', { class: 'row tight' }, choice, remove)
  const sum = h('p', { class: 'quiet' })

  const newClass = h('input', {
    type: 'text',
    placeholder: 'New class',
    'aria-label': 'Name of a new class',
    maxlength: 100,
  })
  const addClass = h(
    'form',
    {
      class: 'row tight',
      onsubmit: (event: Event) => {
        event.preventDefault()
        const name = newClass.value.trim()
        if (name === '') return newClass.focus()
        newClass.value = ''
        if (currentDataset(app.state).labelling === 'tree') tree.draft(name)
        else list.draft(name)
      },
    },
    newClass,
    h('button', { type: 'submit', class: 'button plain' }, icon('add'), 'Add class'),
  )

  const section = h(
    'section',
    { class: 'step', id: 'pictures', 'aria-labelledby': 'pictures-title' },
    h(
      'div',
      { class: 'head' },
      h('h2', { id: 'pictures-title' }, h('span', { class: 'number' }, '1'), 'Pictures'),
      sum,
    ),
    setRow,
    kind.element,
    zone,
    h(
      'div',
      { class: 'row' },
      button('Choose pictures', async () => takeOrTell(await pickFiles({ accept: pictureTypes })), { icon: 'add' }),
      button('Camera', () => void recorder.open(), { icon: 'camera' }),
    ),
    bar.element,
    note.element,
    looseForm,
    recorder.element,
    sampleRow,
    list.element,
    tree.element,
    board.element,
    addClass,
  )
  acceptDrops(section, (files) => void takeOrTell(files))

  function render(state: State): void {
    const dataset = currentDataset(state)
    const { images: count, labelling } = dataset
    const words = labellingWords[labelling]
    section.classList.toggle('empty', count === 0)
    setText(big, count === 0 ? 'Drop folders of pictures here, or choose one' : 'Drop more, or choose a folder')
    setText(hint, words.hint)
    const parts = [
      plural(count, 'picture'),
      `${plural(dataset.classes.length, words.one, words.many)}${words.where}`,
      bytes(dataset.bytes),
    ]
    setText(sum, count === 0 ? '' : parts.join(', '))
    sampleRow.hidden = count > 0
    setRow.hidden = state.datasets.length === 0
    remove.hidden = !state.datasets.some(({ name }) => name === state.dataset)
    const names = new Set([...state.datasets.map(({ name }) => name), state.dataset])
    fill(
      choice,
      ...[...names].map((name) => h('option', { value: name, selected: name === state.dataset }, name)),
      h('option', { value: another }, 'A new set'),
    )
    choice.value = state.dataset
    recorder.setClasses(dataset.classes.map(({ name }) => name))
    addClass.hidden = labelling === 'labels'
    kind.render(state)
    list.render(state)
    tree.render(state)
    board.render(state)
  }
  app.onChange(render)
  render(app.state)
  return section
}
