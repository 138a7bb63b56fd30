// What the page knows, in one place: the session, what it keeps, what is chosen. Sections read it and are told of changes.
import type { Device } from '../backend/devices.ts'
import { type Labelling, taskOfLabelling } from '../labels/labelling.ts'
import { openSession, type Session } from '../web/session.ts'
import type { StoredDataset, StoredModel, StoredRun } from '../web/types.ts'
import { createLeaving, type Leaving } from './leaving.ts'
import { recall, remember } from './remember.ts'

/** Everything that more than one section shows. */
export interface State {
  readonly datasets: readonly StoredDataset[]
  readonly models: readonly StoredModel[]
  readonly runs: readonly StoredRun[]
  /** The set of pictures that is shown and trained on; it need not be stored yet. */
  readonly dataset: string
  /** How its pictures are to be labelled, where that was chosen while it had none. */
  readonly labelling: Labelling | undefined
  /** The run that the page trains, or none. */
  readonly training: string | undefined
}

export interface App {
  readonly session: Session
  readonly state: State
  set(changes: Partial<State>): void
  onChange(listener: (state: State) => void): void
  /** Reads again what is stored. */
  refresh(): Promise<void>
  /** Computes on another device from now on. */
  setDevice(device: Device): Promise<void>
  readonly leaving: Leaving
}

const chosen = 'vitune.dataset'
export const ownPictures = 'My pictures'

/** Starts a session and reads what is stored; rejects where no device works. */
export async function createApp(): Promise<App> {
  const session = await openSession()
  const listeners: ((state: State) => void)[] = []
  let state: State = {
    datasets: [],
    models: [],
    runs: [],
    dataset: ownPictures,
    labelling: undefined,
    training: undefined,
  }
  const stored = async () => {
    const [datasets, models, runs] = await Promise.all([session.datasets(), session.models(), session.runs()])
    return { datasets, models, runs }
  }
  const app: App = {
    session,
    leaving: createLeaving(session),
    get state() {
      return state
    },
    set(changes) {
      const other = changes.dataset !== undefined && changes.dataset !== state.dataset
      state = { ...state, ...(other ? { labelling: undefined } : {}), ...changes }
      if (changes.dataset !== undefined) remember(chosen, changes.dataset)
      for (const listener of listeners) listener(state)
    },
    onChange(listener) {
      listeners.push(listener)
    },
    async refresh() {
      app.set(await stored())
    },
    async setDevice(device) {
      await session.setDevice(device)
      app.set({})
    },
  }
  state = { ...state, ...(await stored()) }
  const last = recall(chosen)
  const known = state.datasets.some(({ name }) => name === last)
  state = { ...state, dataset: known ? last! : (state.datasets[0]?.name ?? ownPictures) }
  return app
}

/** The chosen set of pictures as it is stored, or an empty one. */
export function currentDataset({ datasets, dataset, labelling = 'classes' }: State): StoredDataset {
  const stored = datasets.find(({ name }) => name === dataset)
  const task = taskOfLabelling[labelling]
  return stored ?? { name: dataset, labelling, task, classes: [], images: 0, bytes: 0 }
}
