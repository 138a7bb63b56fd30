// What the page knows, in one place: the session, what it keeps, what is chosen. Sections read it and are told of changes.
import type { Device } from '../backend/create.ts'
import { openSession, type Session } from '../web/session.ts'
import type { StoredDataset, StoredModel, StoredRun } from '../web/types.ts'

/** Everything that more than one section shows. */
export interface State {
  readonly datasets: readonly StoredDataset[]
  readonly models: readonly StoredModel[]
  readonly runs: readonly StoredRun[]
  /** The set of pictures that is shown and trained on; it need not be stored yet. */
  readonly dataset: string
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
  /** Ends the session and starts one on another device. */
  restart(device: Device): Promise<void>
}

const chosen = 'vitune.dataset'
export const ownPictures = 'My pictures'

/** Starts a session and reads what is stored; rejects where no device works or nothing can be stored. */
export async function createApp(): Promise<App> {
  let session = await openSession()
  const listeners: ((state: State) => void)[] = []
  let state: State = { datasets: [], models: [], runs: [], dataset: ownPictures, training: undefined }
  const stored = async () => {
    const [datasets, models, runs] = await Promise.all([session.datasets(), session.models(), session.runs()])
    return { datasets, models, runs }
  }
  const app: App = {
    get session() {
      return session
    },
    get state() {
      return state
    },
    set(changes) {
      state = { ...state, ...changes }
      if (changes.dataset !== undefined) localStorage.setItem(chosen, changes.dataset)
      for (const listener of listeners) listener(state)
    },
    onChange(listener) {
      listeners.push(listener)
    },
    async refresh() {
      app.set(await stored())
    },
    async restart(device) {
      const next = await openSession({ device })
      await session.close()
      session = next
      app.set({})
    },
  }
  state = { ...state, ...(await stored()) }
  const last = localStorage.getItem(chosen)
  const known = state.datasets.some(({ name }) => name === last)
  state = { ...state, dataset: known ? last! : (state.datasets[0]?.name ?? ownPictures) }
  return app
}

/** The chosen set of pictures as it is stored, or an empty one. */
export function currentDataset({ datasets, dataset }: State): StoredDataset {
  return datasets.find(({ name }) => name === dataset) ?? { name: dataset, classes: [], bytes: 0 }
}

/** Pictures of a set. */
export const pictureCount = (dataset: StoredDataset): number => dataset.classes.reduce((sum, c) => sum + c.images, 0)
