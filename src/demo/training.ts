// Section 2: choose a model and a method, train, watch, stop and go on, also after the page was closed.

import { methodOf } from '../adapters/methods.ts'
import type { Labelling } from '../labels/labelling.ts'
import { ChangedError } from '../platform/errors.ts'
import type { DuplicatesEvent, TrainEvent } from '../run/train.ts'
import type { HistoryEntry, StoredDataset, StoredRun } from '../web/types.ts'
import { downloadLabel, saveAdapter } from './adapter-files.ts'
import { type App, currentDataset, type State } from './app.ts'
import { createBeginning } from './beginning.ts'
import { announce, button, createNote, fill, h, setText } from './dom.ts'
import { plural } from './format.ts'
import { metricTitle, reached } from './metrics.ts'
import { createModelChoice, modelTitle } from './models.ts'
import { createMonitor, type Followed } from './monitor.ts'
import { createSettings, type SettingsForm } from './settings.ts'

/** A run in one line: `LoRA on Small ViT, Clothes`. */
export const runTitle = (run: Pick<StoredRun, 'method' | 'model' | 'dataset'>): string =>
  `${methodOf(run.method).title} on ${modelTitle(run.model)}, ${run.dataset}`

const withPictures = ({ classes }: StoredDataset) => classes.filter(({ images }) => images > 0)
const parentOf = (path: string) => path.slice(0, Math.max(0, path.lastIndexOf('/')))

/** What a set lacks to be trained on, in a sentence; empty where it lacks nothing. */
const lacking: Readonly<Record<Labelling, (dataset: StoredDataset) => string>> = {
  classes(dataset) {
    const classes = withPictures(dataset)
    const few = classes.find(({ images }) => images < 2)
    if (classes.length < 2) return 'Training needs pictures of at least two classes.'
    return few ? `“${few.name}” needs at least two pictures.` : ''
  },
  labels(dataset) {
    const some = withPictures(dataset).some(({ images }) => images > 1 && images < dataset.images)
    return some ? '' : 'Training needs a label that two pictures have and another has not.'
  },
  tree(dataset) {
    const classes = withPictures(dataset)
    const beside = classes.some((one) =>
      classes.some((other) => other !== one && parentOf(other.name) === parentOf(one.name)),
    )
    if (!beside) return 'Training needs pictures of two classes beside each other.'
    const few = classes.find(({ images }) => images < 2)
    return few ? `“${few.name}” needs at least two pictures.` : ''
  },
}

/** What is not as it was, without what a command line would do about it. */
const changedText = ({ message }: ChangedError): string => message.replace(/^resume: s/, 'S').replace(/;[^;]*$/, '')

/** The section's content. `onTrained` is told of every run that can be tried. */
export function createTraining(app: App, onTrained: (run: string) => void): HTMLElement {
  const note = createNote()
  const beginning = createBeginning(app, () => render(app.state))
  const models = createModelChoice(app, { onError: note.show, onChoice: () => settings.refresh() })
  const settings: SettingsForm = createSettings(app, {
    rateOf: models.rate,
    async onDevice(device) {
      note.clear()
      await app.setDevice(device).catch(note.show)
    },
  })
  const monitor = createMonitor()
  let stopping = false
  /** The run that the monitor shows. */
  let shown: string | undefined

  /** Feeds a run's events to the monitor until it ends or is stopped. */
  async function follow(
    run: string,
    followed: Followed,
    events: () => AsyncGenerator<TrainEvent>,
    past: readonly HistoryEntry[] = [],
  ) {
    note.clear()
    stopping = false
    shown = run
    monitor.begin(followed, past)
    app.set({ training: run })
    app.leaving.trained(run)
    stop.focus()
    const skipped: string[] = []
    let twins: DuplicatesEvent | undefined
    let changed = false
    try {
      for await (const event of events()) {
        if (event.kind === 'skip') skipped.push(event.file)
        if (event.kind === 'duplicates') twins = event
        monitor.event(event)
        if (stopping) break
      }
    } catch (error) {
      changed = error instanceof ChangedError
      if (!changed) note.show(error)
      else note.show(changedText(error as ChangedError), accept(run))
      monitor.say(changed ? 'It has not gone on.' : 'Training ended early.')
    }
    if (twins) {
      const some = plural(twins.count, 'picture')
      note.show(`${some} set aside to test on are trained on too, so the accuracy looks better than it is`)
    }
    if (skipped.length > 0) note.show(`Left out because they cannot be decoded: ${skipped.join(', ')}`)
    await app.refresh().catch(note.show)
    const hadFocus = document.activeElement === stop
    app.set({ training: undefined })
    const stored = app.state.runs.find(({ name }) => name === run)
    if (stopping && stored) {
      monitor.say(`Stopped at step ${stored.step} of ${stored.steps}. It can go on from here.`)
      announce('Training has stopped')
    }
    stopping = false
    if (stored?.accuracy !== undefined || stored?.finished) onTrained(run)
    if (hadFocus) (stored?.finished ? download : goOn).focus()
  }

  async function begin(): Promise<void> {
    note.clear()
    try {
      const chosen = settings.read()
      const dataset = currentDataset(app.state)
      train.disabled = true
      const from = beginning.run()
      const model = from?.model ?? (await models.ready())
      const taken = new Set(app.state.runs.map(({ name }) => name))
      let n = 1
      while (taken.has(`${dataset.name} ${chosen.peft} ${n}`)) n++
      const run = `${dataset.name} ${chosen.peft} ${n}`
      const title = runTitle({ method: chosen.peft, model, dataset: dataset.name })
      await follow(run, { title, loss: chosen.loss }, () =>
        app.session.train({ run, ...(from ? { from: from.name } : { model }), dataset: dataset.name, ...chosen }),
      )
    } catch (error) {
      if ((error as Error).name !== 'AbortError') note.show(error)
    } finally {
      render(app.state)
    }
  }
  /** The button that goes on although pictures or model are others. */
  const accept = (name: string): HTMLElement =>
    button('Go on with what is there now', () => {
      const run = app.state.runs.find((stored) => stored.name === name)
      if (run) void resume(run, true)
    })
  async function resume(run: StoredRun, acceptChanges = false): Promise<void> {
    const entries = await app.session.history(run.name).catch(() => [])
    const before = entries.filter(({ step }) => step <= run.step)
    const go = () => app.session.resume(run.name, { acceptChanges })
    await follow(run.name, { title: runTitle(run), ...run }, go, before)
  }

  const why = h('p', { class: 'hint', id: 'train-why' })
  const train = button('Train', () => void begin(), { kind: 'main', icon: 'play' })
  train.setAttribute('aria-describedby', why.id)
  const stop = button(
    'Stop',
    () => {
      stopping = true
      stop.setAttribute('aria-disabled', 'true') // not `disabled`, which would take the focus from it
      monitor.say('Stopping after this step, and saving')
    },
    { icon: 'stop' },
  )
  const unfinished = () => app.state.runs.find(({ name, finished }) => name === shown && !finished)
  const goOn = button(
    'Continue',
    () => {
      const run = unfinished()
      if (run) void resume(run)
    },
    { kind: 'main', icon: 'play' },
  )
  const download = button(
    'Download the adapter',
    () => {
      if (shown !== undefined) void saveAdapter(app, shown).catch(note.show)
    },
    { icon: 'download' },
  )

  const offer = h('div', { class: 'offer', hidden: true })
  function soFar(run: StoredRun): string {
    const value = reached(run)
    if (value === undefined) return ''
    return run.monitor === 'accuracy' ? `, ${value} right so far` : `, ${metricTitle(run.monitor)} ${value} so far`
  }
  /** Runs that ended before their time, on the last visit or on this one. */
  function renderOffer(state: State): void {
    const open = state.runs.filter(({ name, finished }) => !finished && name !== shown)
    offer.hidden = open.length === 0 || state.training !== undefined
    const key = JSON.stringify(open)
    if (offer.dataset.key === key) return
    offer.dataset.key = key
    fill(
      offer,
      ...open.map((run) =>
        h(
          'div',
          { class: 'offer-row' },
          h(
            'p',
            {},
            h('strong', {}, 'Not finished: '),
            `${runTitle(run)}, step ${run.step} of ${run.steps}${soFar(run)}.`,
          ),
          h(
            'div',
            { class: 'row tight' },
            button('Continue', () => void resume(run), { kind: 'main', icon: 'play' }),
            button('Discard', () => void discard(run)),
          ),
        ),
      ),
    )
  }
  async function discard(run: StoredRun): Promise<void> {
    await app.session.removeRun(run.name).then(() => app.leaving.done(run.name), note.show)
    await app.refresh().catch(note.show)
    train.focus()
  }

  const controls = h('div', { class: 'row' }, train, stop, goOn, download)
  const section = h(
    'section',
    { class: 'step', id: 'training', 'aria-labelledby': 'training-title' },
    h('div', { class: 'head' }, h('h2', { id: 'training-title' }, h('span', { class: 'number' }, '2'), 'Training')),
    offer,
    h('div', { class: 'settings' }, h('div', {}, beginning.element, models.element), settings.element),
    controls,
    why,
    note.element,
    monitor.element,
  )

  function render(state: State): void {
    const dataset = currentDataset(state)
    const running = state.training !== undefined
    const reason = lacking[dataset.labelling](dataset)
    setText(why, running ? '' : reason)
    why.hidden = why.textContent === ''
    const run = state.runs.find(({ name }) => name === shown)
    train.hidden = running
    train.disabled = reason !== ''
    setText(train.lastChild!, shown === undefined ? 'Train' : 'Train anew')
    stop.hidden = !running
    stop.setAttribute('aria-disabled', String(stopping))
    goOn.hidden = running || !run || run.finished
    download.hidden = running || !run || run.accuracy === undefined
    if (run) setText(download.lastChild!, downloadLabel(run.method))
    train.classList.toggle('main', goOn.hidden)
    beginning.setDisabled(running)
    models.setDisabled(running || beginning.run() !== undefined)
    settings.setDisabled(running)
    section.classList.toggle('running', running)
    renderOffer(state)
  }
  app.onChange(render)
  render(app.state)
  return section
}
