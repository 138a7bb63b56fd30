#!/bin/sh
# A 4-bit layer that trained on a CPU raises in its first evaluation if its outputs are no multiple of 32, or its inputs not whole
# blocks. load_in_4bit makes such a layer of ViT's classifier.
#
# Versions: bitsandbytes 0.50.2, transformers 5.24.0, accelerate 1.15.0, torch 2.15.0, on a CPU with AVX512-BF16; on
# another the script says that nothing can be seen.
# Valid input: a ViT with five labels loaded with load_in_4bit, a backward pass, then eval() and no_grad; the same of single
# layers of 64 x 64, 48 x 64 and 64 x 96 (outputs x inputs).
# Seen: the classifier is packed too. Backward runs; the evaluation raises AssertionError "N must be divisible by block_n", and
# with 96 inputs RuntimeError "shape '[64, 1]' is invalid for input of size 96". 64 x 64 evaluates, and so does
# the ViT with llm_int8_skip_modules=["classifier"].
#
# For those who fine-tune: a run can train through its first epoch and stop at the evaluation. Name the head (and layers of 96
# inputs, as Swin-T's first) in llm_int8_skip_modules, and try one evaluation in a model loaded for it before a long run.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
export UV_CACHE_DIR="${UV_CACHE_DIR:-$dir/cache}" VIRTUAL_ENV="$dir/env"
"$dir/env/bin/uv" pip install --quiet torch==2.15.0 bitsandbytes==0.50.2 transformers==5.24.0 accelerate==1.15.0

cd "$dir"
env/bin/python -W ignore - << 'PROGRAM'
import torch
from bitsandbytes.functional import has_avx512bf16
from bitsandbytes.nn import Linear4bit
from transformers import BitsAndBytesConfig, ViTConfig, ViTForImageClassification

torch.manual_seed(0)
sizes = dict(hidden_size=64, num_hidden_layers=1, num_attention_heads=2, intermediate_size=128)
ViTForImageClassification(ViTConfig(**sizes, image_size=32, patch_size=16, num_labels=5)).save_pretrained("plain")


def evaluation(module, inputs):
    """What an evaluation raises after a backward pass, or "runs"."""
    outputs = module.train()(inputs.requires_grad_())
    getattr(outputs, "logits", outputs).sum().backward()
    if inputs.grad.abs().max() == 0:
        raise SystemExit("no gradient came through the layer")
    try:
        with torch.no_grad():
            module.eval()(inputs.detach())
    except (AssertionError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return "runs"


def layer(rows, columns):
    return evaluation(Linear4bit(columns, rows, quant_type="nf4", compress_statistics=False).to("cpu"), torch.randn(4, columns))


def vit(skip):
    packing = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", llm_int8_skip_modules=skip)
    model = ViTForImageClassification.from_pretrained("plain", quantization_config=packing, device_map="cpu")
    return f"{type(model.classifier).__name__}, {evaluation(model, torch.randn(4, 3, 32, 32))}"


seen = {
    "layer of 64 x 64": layer(64, 64),
    "layer of 48 x 64": layer(48, 64),
    "layer of 64 x 96": layer(64, 96),
    "ViT": vit(None),
    "ViT, classifier skipped": vit(["classifier"]),
}
for name, result in seen.items():
    print(f"{name}: {result}")
rows = "AssertionError: N must be divisible by block_n"
columns = "RuntimeError: shape '[64, 1]' is invalid for input of size 96"
if not has_avx512bf16() and list(seen.values()) == ["runs", "runs", "runs", "Linear4bit, runs", "Linear, runs"]:
    print("This processor has no AVX512-BF16: every shape evaluates here, and the behaviour cannot be seen.")
    raise SystemExit(0)
if not (has_avx512bf16() and list(seen.values()) == ["runs", rows, columns, f"Linear4bit, {rows}", "Linear, runs"]):
    raise SystemExit("bitsandbytes no longer behaves as described")
PROGRAM
