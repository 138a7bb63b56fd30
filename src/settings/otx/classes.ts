// The one table of classes that configurations of OTX 2.6 and getitune 0.4 name, and what each is here. Where a file leaves an
// argument out, the default of the class holds; its source stands beside it. Transforms of images are in transforms.ts.
import { above, atLeast, between, choice, flag, part, share, text, whole } from '../../schema/rules.ts'
import { models } from './models.ts'
import {
  type ClassOf,
  type Draft,
  type Entry,
  fixed,
  idle,
  native,
  note,
  type Path,
  type Table,
  walkClass,
} from './reading.ts'
import { transforms } from './transforms.ts'

type Entries = Readonly<Record<string, Entry>>

const count = whole(0)

/** Under any of these names. */
const under = (paths: readonly string[], kind: ClassOf): Record<string, ClassOf> =>
  Object.fromEntries(paths.map((path) => [path, kind]))
const lightning = (path: string) => [`lightning.pytorch.${path}`, `pytorch_lightning.${path}`]

const optimizerArgs: Entries = {
  lr: above(0),
  weight_decay: atLeast(0),
  maximize: fixed(false),
  ...idle('params', 'foreach', 'fused', 'capturable', 'differentiable'),
}
const adam: Entries = { ...optimizerArgs, betas: fixed([0.9, 0.999]), eps: fixed(1e-8), amsgrad: fixed(false) }

/** With torch.optim's defaults (2.x): AdamW 1e-3 and a decay of .01; Adam no decay. */
const adamw = (decay: number): ClassOf => ({
  role: 'optimizer',
  args: adam,
  apply: ({ lr = 1e-3, weight_decay = decay }, { settings }) =>
    Object.assign(settings, { optimizer: 'adamw', lr, weightDecay: weight_decay }),
})

/** The momentum of SGD here. */
const momentumHere = 0.9

/** SGD's rate for the momentum that there is here: the same steps once momentum has built up. */
export function sgd(lr: number, momentum: number, decay: number, draft: Draft): void {
  const rate = momentum === momentumHere ? lr : Number(((lr * (1 - momentumHere)) / (1 - momentum)).toPrecision(6))
  Object.assign(draft.settings, { optimizer: 'sgd', lr: rate, weightDecay: decay })
  if (rate !== lr)
    note(
      draft,
      `SGD has momentum ${momentumHere} here, not ${momentum}: a rate of ${rate} makes the same steps as ${lr} there`,
    )
}

const optimizers: Record<string, ClassOf> = {
  'torch.optim.AdamW': adamw(0.01),
  'torch.optim.Adam': {
    role: 'optimizer',
    args: { ...adam, weight_decay: fixed(0) },
    apply: adamw(0).apply!,
  },
  'torch.optim.SGD': {
    role: 'optimizer',
    args: { ...optimizerArgs, momentum: part, dampening: fixed(0), nesterov: fixed(false) },
    apply: ({ lr = 1e-3, momentum = 0, weight_decay = 0 }, draft) =>
      sgd(lr as number, momentum as number, weight_decay as number, draft),
  },
}

const monitored = (args: Table, draft: Draft, path: Path, name = 'monitor'): void => {
  if (args[name] !== undefined) draft.monitors.push({ path: [...path, 'init_args', name], name: String(args[name]) })
}
/** Which way a metric is better is the metric's own to say here. */
const modeOf: Entries = { mode: choice(['min', 'max']), monitor: text('the name of a metric') }
const sayMode = (args: Table, draft: Draft, path: Path): void => {
  monitored(args, draft, path)
  if (args.mode !== undefined)
    draft.modes.push({
      path: [...path, 'init_args', 'mode'],
      mode: String(args.mode),
      ...(args.monitor === undefined ? {} : { metric: String(args.monitor) }),
    })
}

/** torch.optim.lr_scheduler.ReduceLROnPlateau's defaults: factor .1, patience 10, relative threshold 1e-4. */
const plateau: ClassOf = {
  role: 'scheduler',
  args: {
    ...modeOf,
    factor: between,
    patience: count,
    threshold: fixed(1e-4),
    threshold_mode: fixed('rel'),
    cooldown: fixed(0),
    min_lr: fixed(0),
    eps: fixed(1e-8),
    ...idle('optimizer', 'verbose'),
  },
  apply(args, draft, path) {
    const { factor = 0.1, patience = 10 } = args
    Object.assign(draft.settings, { schedule: 'plateau', plateauFactor: factor, plateauPatience: patience })
    sayMode(args, draft, path)
  },
}

const stepOrEpoch = choice(['step', 'epoch'])
const warmup = (steps: unknown, unit: unknown, draft: Draft): void => {
  if (unit === 'epoch') draft.warmupEpochs = steps as number
  else draft.settings.warmup = steps as number
}

const schedulers: Record<string, ClassOf> = {
  ...Object.assign(
    {},
    ...['schedulers', 'schedulers.warmup_schedulers'].map((path) => ({
      ...native(`${path}.LinearWarmupSchedulerCallable`, {
        role: 'scheduler',
        args: {
          num_warmup_steps: count,
          warmup_interval: stepOrEpoch,
          monitor: text('the name of a metric'),
          main_scheduler_callable: (value, at, draft) => walkClass(value, 'scheduler', at, draft),
        },
        apply(args, draft, at) {
          warmup(args.num_warmup_steps ?? 0, args.warmup_interval, draft)
          monitored(args, draft, at)
        },
      }),
      ...native(`${path}.LinearWarmupScheduler`, {
        role: 'scheduler',
        args: { num_warmup_steps: count, interval: stepOrEpoch, optimizer: 'idle' },
        apply: ({ num_warmup_steps = 1000, interval }, draft) => warmup(num_warmup_steps, interval, draft),
      }),
    })),
  ),
  ...under(['lightning.pytorch.cli.ReduceLROnPlateau', 'torch.optim.lr_scheduler.ReduceLROnPlateau'], plateau),
  'torch.optim.lr_scheduler.CosineAnnealingLR': {
    role: 'scheduler',
    args: { T_max: whole(1), eta_min: fixed(0), ...idle('optimizer', 'last_epoch', 'verbose') },
    apply({ T_max }, draft) {
      draft.settings.schedule = 'cosine'
      draft.cosineEpochs = T_max as number
    },
  },
  'torch.optim.lr_scheduler.ConstantLR': {
    role: 'scheduler',
    args: { factor: share, total_iters: count, ...idle('optimizer', 'last_epoch', 'verbose', 'interval') },
    // torch's defaults: a third of the rate in the first five epochs.
    apply: ({ factor = 1 / 3, total_iters = 5 }, draft) => constant(factor as number, total_iters as number, draft),
  },
}

/** A constant rate; what it would be at first is named. */
export function constant(factor: number, epochs: number, draft: Draft): void {
  draft.settings.schedule = 'constant'
  if (factor === 1 || epochs === 0) return
  const there = factor === 1 / 3 ? 'a third' : String(factor)
  note(
    draft,
    `ConstantLR begins with ${there} of the rate for ${epochs} epochs; here it is the whole rate from the start`,
  )
}

const stopping: Entries = {
  ...modeOf,
  min_delta: atLeast(0),
  patience: count,
  strict: 'idle',
  check_finite: fixed(true),
  stopping_threshold: fixed(null),
  divergence_threshold: fixed(null),
  check_on_train_epoch_end: fixed(false),
  ...idle('verbose', 'log_rank_zero_only'),
}
const adaptive = { interval: 5, decay: -0.025 }

const callbacks: Record<string, ClassOf> = {
  // Its own defaults: patience 10, a warm-up of 3 epochs or 100 steps, whichever is longer.
  ...native('callbacks.adaptive_early_stopping.EarlyStoppingWithWarmup', {
    role: 'callback',
    args: { ...stopping, warmup_iters: count, warmup_epochs: count },
    apply(args, draft, path) {
      const { patience = 10, min_delta = 0, warmup_epochs = 3, warmup_iters = 100 } = args
      Object.assign(draft.settings, {
        patience,
        minDelta: min_delta,
        patienceWarmup: warmup_epochs,
        patienceWarmupSteps: warmup_iters,
      })
      sayMode(args, draft, path)
    },
  }),
  // Lightning's defaults: patience 3.
  ...under([...lightning('callbacks.EarlyStopping'), ...lightning('callbacks.early_stopping.EarlyStopping')], {
    role: 'callback',
    args: stopping,
    apply(args, draft, path) {
      const { patience = 3, min_delta = 0 } = args
      Object.assign(draft.settings, { patience, minDelta: min_delta })
      sayMode(args, draft, path)
    },
  }),
  // The best and the last state are kept in any case.
  ...under([...lightning('callbacks.ModelCheckpoint'), ...lightning('callbacks.model_checkpoint.ModelCheckpoint')], {
    role: 'callback',
    args: {
      ...modeOf,
      ...idle(
        'dirpath',
        'filename',
        'verbose',
        'save_last',
        'save_top_k',
        'save_weights_only',
        'auto_insert_metric_name',
      ),
      ...idle(
        'every_n_train_steps',
        'train_time_interval',
        'every_n_epochs',
        'save_on_train_epoch_end',
        'enable_version_counter',
      ),
    },
    apply: sayMode,
  }),
  // Every engine adds it: an interval of up to 5 epochs, exp(-0.025 steps an epoch) * 5.
  ...native('callbacks.adaptive_train_scheduling.AdaptiveTrainScheduling', {
    role: 'callback',
    args: {
      max_interval: whole(1),
      decay: (value, _, draft) => {
        draft.decay = Number(value)
      },
      ...idle('min_earlystop_patience', 'min_lrschedule_patience'),
    },
    apply({ max_interval = adaptive.interval }, draft) {
      draft.settings.valEvery = max_interval === 1 ? 1 : 'adaptive'
      if (
        max_interval !== 1 &&
        (max_interval !== adaptive.interval || (draft.decay ?? adaptive.decay) !== adaptive.decay)
      ) {
        note(
          draft,
          `the interval of validation follows max_interval ${adaptive.interval} and decay ${adaptive.decay} here`,
        )
      }
    },
  }),
  ...Object.assign(
    {},
    ...[
      'iteration_timer.IterationTimer',
      'gpu_mem_monitor.GPUMemMonitor',
      'epoch_summary.EpochSummary',
      'lr_monitor.LearningRateMonitor',
      'batchsize_finder.BatchSizeFinder',
      'gpu_augmentation.GPUAugmentationCallback',
    ].map((path) => native(`callbacks.${path}`, { role: 'callback', args: 'idle' })),
  ),
  ...under(
    [
      'RichProgressBar',
      'TQDMProgressBar',
      'RichModelSummary',
      'ModelSummary',
      'LearningRateMonitor',
      'DeviceStatsMonitor',
      'Timer',
    ].flatMap((name) => lightning(`callbacks.${name}`)),
    { role: 'callback', args: 'idle' },
  ),
}

const replicas: Entries = idle('dataset', 'data_source', 'num_replicas', 'rank', 'generator', 'num_samples')
const samplers: Record<string, ClassOf> = {
  ...under(
    ['otx', 'getitune'].map((name) => `${name}.data.samplers.balanced_sampler.BalancedSampler`),
    {
      role: 'sampler',
      args: { efficient_mode: flag, drop_last: fixed(false), n_repeats: fixed(1), ...replicas },
      apply({ efficient_mode = false }, { settings }) {
        Object.assign(settings, { sampler: efficient_mode ? 'balanced-efficient' : 'balanced' })
      },
    },
  ),
  'torch.utils.data.RandomSampler': {
    role: 'sampler',
    args: { replacement: fixed(false), ...replicas },
    apply: (_, { settings }) => Object.assign(settings, { sampler: 'shuffle' }),
  },
  'torch.utils.data.SequentialSampler': {
    role: 'sampler',
    args: replicas,
    apply: (_, { settings }) => Object.assign(settings, { shuffle: false }),
  },
}

/** All classes by their full names. */
export const classes: Readonly<Record<string, ClassOf>> = {
  ...models,
  ...optimizers,
  ...schedulers,
  ...callbacks,
  ...samplers,
  ...transforms,
}
