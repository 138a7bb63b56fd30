// What train() is given: the settings of a run, and how it is run this time.
import type { Backend } from '../backend/backend.ts'
import type { ResolveOptions } from '../io/hub.ts'
import { flag, func, object, type RulesOf } from '../schema/rules.ts'
import { settingRules } from '../settings/schema.ts'
import type { TrainSettings } from '../settings/settings.ts'

export interface TrainOptions extends Omit<TrainSettings, 'model'> {
  /** A folder in Hugging Face layout, or a hub name; that of the run where `from` is given or a run goes on. */
  model?: string
  /** Continue the run in `out`; its own settings apply, only epochs, device, threads, strict, onDeviceLost and saveEvery may be given anew. */
  resume?: boolean
  /** Go on with a run although its images, its model or its preprocessor are not as they were; run.json keeps what changed. */
  acceptChanges?: boolean
  /** Starts the backend, also a new one after a loss; default: what `device` and `threads` say. The run disposes it. */
  startBackend?: () => Promise<Backend>
  signal?: AbortSignal
  hub?: ResolveOptions
}

/** What each option must be. */
export const optionRules: RulesOf<TrainOptions> = {
  ...settingRules,
  resume: flag,
  acceptChanges: flag,
  startBackend: func,
  signal: object,
  hub: object,
}
