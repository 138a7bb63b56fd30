// Names of tensors without the parts that PyTorch's wrappers put into them when a wrapped model is saved.
import { InputError } from '../platform/errors.ts'

/** Parts of a name by the wrapper that leaves them there. No vision transformer has a module of such a name. */
const wrappers: Readonly<Record<string, string>> = {
  module: 'DataParallel',
  _orig_mod: 'torch.compile',
  _forward_module: 'Fabric',
  _fsdp_wrapped_module: 'FSDP',
  _checkpoint_wrapped_module: 'activation checkpointing',
}

/**
 * Each stored name by what it is without wrappers, and a sentence on what was taken off. Throws an InputError where two
 * tensors would then have one name.
 */
export function unwrapNames(
  names: Iterable<string>,
  label: string,
): { stored: Map<string, string>; note: string | undefined } {
  const stored = new Map<string, string>()
  const off = new Set<string>()
  for (const name of names) {
    const parts = name.split('.')
    const wrapping = parts.filter((part) => Object.hasOwn(wrappers, part))
    for (const part of wrapping) off.add(part)
    const plain = wrapping.length > 0 ? parts.filter((part) => !wrapping.includes(part)).join('.') : name
    const other = stored.get(plain)
    if (other !== undefined) {
      throw new InputError(`${label}: holds ${plain} twice, as ${other} and as ${name}; keep the one that is meant`)
    }
    stored.set(plain, name)
  }
  if (off.size === 0) return { stored, note: undefined }
  const taken = [...off].map((part) => `"${part}." (of ${wrappers[part]})`)
  return { stored, note: `taken off the names of tensors: ${taken.join(', ')}` }
}
