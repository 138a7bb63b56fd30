// The classes of models that configurations of OTX 2.6 and getitune 0.4 name, and the fine-tuning method that their arguments say.
import { choice, either, emptyText, flag, text } from '../../schema/rules.ts'
import { modelNames, notHere } from './model-names.ts'
import {
  type ClassOf,
  type Draft,
  type Entry,
  fixed,
  idle,
  inputSize,
  native,
  note,
  type Path,
  problem,
  type Reader,
  type Table,
  walk,
  walkClass,
} from './reading.ts'

type Entries = Readonly<Record<string, Entry>>
type TaskName = Draft['tasks'][number]['task']

/** Labels come from the data there too: OTX puts those of the data in the place of label_info. */
const labelInfo: Reader = (value, _, draft) => {
  if (value !== null) note(draft, 'label_info gives way to the labels of the data')
}

export const device: Reader = (value, path, draft) => {
  if (value === null) return
  const found = ({ auto: 'auto', cpu: 'wasm', gpu: 'webgpu', cuda: 'webgpu', xpu: 'webgpu' } as const)[
    String(value).replace(/:\d+$/, '')
  ]
  if (!found) return problem(draft, path, `must be one of auto, cpu, gpu, cuda, xpu, got ${JSON.stringify(value)}`)
  draft.settings.device = found
}

const dataInput: Reader = (value, path, draft) => {
  walk(value, { input_size: inputSize, ...idle('mean', 'std', 'intensity_config') }, path, draft)
}

/** What a method is there: rank 8, a scaling of 1 (alpha itself in OTX, alpha / rank in PEFT), q and v; DoRA's norm passes gradients. */
const asThere = { rank: 8, alpha: 8, targets: ['query', 'value'] }
const methods: Readonly<Record<string, Partial<Draft['settings']>>> = {
  lora: { peft: 'lora', ...asThere },
  dora: { peft: 'dora', ...asThere, lora: { doraNormGradient: true } },
}

/** The fine-tuning method that `peft` and `freeze_backbone` say; both are off by default. */
function method(args: Table, draft: Draft, path: Path): void {
  const chosen = args.peft || (args.lora === true ? 'lora' : '')
  if (chosen && args.freeze_backbone === true) {
    problem(
      draft,
      [...path, 'init_args', 'freeze_backbone'],
      `contradicts peft ${chosen}, whose adapter it would freeze too; leave one of them out`,
    )
  } else if (chosen) Object.assign(draft.settings, methods[String(chosen)])
  else if (args.freeze_backbone === true) draft.settings.peft = 'linear'
  else if (draft.model || args.peft === '' || args.freeze_backbone === false) draft.settings.peft = 'full'
}

function namedModel(name: unknown, draft: Draft): void {
  const stand = modelNames[String(name)]
  if (!stand) return
  draft.settings.model = stand.name
  note(draft, `${name} is ${stand.name}: ${stand.differs}`)
}

const vitArgs: Entries = {
  label_info: labelInfo,
  model_name: choice(Object.keys(modelNames)),
  freeze_backbone: flag,
  // OTX's command line makes None of an empty text.
  peft: either(choice(['lora', 'dora']), emptyText),
  // What peft was before it was a word.
  lora: flag,
  optimizer: (value, path, draft) => walkClass(value, 'optimizer', path, draft),
  scheduler: (value, path, draft) => walkClass(value, 'scheduler', path, draft),
  data_input_params: dataInput,
  pretrained: fixed(true),
  pretrained_weights: fixed(null),
  ...idle('metric', 'torch_compile'),
}

/** A ViT of Lightning's engine in either package; the model that is named where none is, is its default. */
const vit = (task: TaskName, settings: Partial<Draft['settings']> = {}): ClassOf => ({
  role: 'model',
  args: vitArgs,
  apply(args, draft, path) {
    Object.assign(draft.settings, { task, ...settings })
    draft.tasks.push({ path: [...path, 'class_path'], task })
    namedModel(args.model_name ?? 'vit-tiny', draft)
    method(args, draft, path)
  },
})

/** A model of an override that stands alone: what it says, and nothing of what it leaves out. */
export const modelAlone: ClassOf = {
  role: 'model',
  args: vitArgs,
  apply(args, draft, path) {
    namedModel(args.model_name, draft)
    if (args.peft !== undefined || args.lora !== undefined || args.freeze_backbone !== undefined)
      method(args, draft, path)
  },
}

/** A model of getitune's Hugging Face backend, from a repository. */
const repository = (task: TaskName, settings: Partial<Draft['settings']> = {}): ClassOf => ({
  role: 'model',
  trainer: true,
  args: {
    label_info: labelInfo,
    checkpoint: text('the name of a repository or a folder'),
    input_size: inputSize,
    data_input_params: dataInput,
    pretrained: fixed(true),
    pretrained_weights: text('a folder'),
    extra_overrides: (value, path, draft) => {
      const { freeze_backbone } = walk(value, { freeze_backbone: flag, problem_type: 'idle' }, path, draft)
      if (freeze_backbone === true) draft.settings.peft = 'linear'
    },
    resize_mode: fixed('standard'),
    onnx_dynamo: 'idle',
  },
  apply(args, draft, path) {
    Object.assign(draft.settings, { task, peft: draft.settings.peft ?? 'full', ...settings })
    draft.tasks.push({ path: [...path, 'class_path'], task })
    const model = args.pretrained_weights ?? args.checkpoint
    if (typeof model !== 'string') return problem(draft, path, 'must name its checkpoint in init_args')
    draft.settings.model = model
    const why = notHere(model)
    if (why) draft.missing = { path: [...path, 'init_args', 'checkpoint'], text: `${model}: ${why}` }
  },
})

const huggingface = 'getitune.backend.huggingface.models'
const vits = 'models.classification'

/** Models by their full names. */
export const models: Readonly<Record<string, ClassOf>> = {
  ...native(`${vits}.multiclass_models.vit.VisionTransformerMulticlassCls`, vit('multiclass')),
  // The loss and the threshold are those of both packages' multi-label ViT.
  ...native(
    `${vits}.multilabel_models.vit.VisionTransformerMultilabelCls`,
    vit('multilabel', { loss: 'aal', threshold: 0.5 }),
  ),
  // OTX 2.6 alone has it. A tree is gone down level by level there.
  [`otx.backend.native.${vits}.hlabel_models.vit.VisionTransformerHLabelCls`]: vit('hierarchical', {
    decoding: 'threshold',
  }),
  [`${huggingface}.classification.HFMulticlassClsModel`]: repository('multiclass'),
  [`${huggingface}.classification.HFMultilabelClsModel`]: repository('multilabel', { loss: 'bce', threshold: 0.5 }),
  [`${huggingface}.dinov3_classification.HFDinov3MulticlassClsModel`]: repository('multiclass'),
  [`${huggingface}.dinov3_classification.HFDinov3MultilabelClsModel`]: repository('multilabel', {
    loss: 'bce',
    threshold: 0.5,
  }),
}
