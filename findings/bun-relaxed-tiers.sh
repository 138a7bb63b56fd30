#!/bin/sh
# Bun answers relaxed SIMD instructions one way in its interpreter and another way once the function is compiled; for
# numbers from 2^31 on the interpreter's float to unsigned conversion is wrong.
#
# Version: Bun 1.4.5 (JavaScriptCore), Linux on x86-64. Deno 2.9.6 (V8) is run beside it.
# Valid input: i32x4.relaxed_trunc_f32x4_u of 3e9, which unsigned 32 bits hold, so that the proposal leaves no choice;
# and i8x16.relaxed_laneselect of bytes 255 and 0 under the mask 0x81, where it leaves two (255, or bit by bit 129), of
# which an engine has to keep one.
# Seen: Bun begins with 2147483648 and 255, and after some calls (10 to some thousand, it varies) goes on with
# 3000000000 and 129. Deno stays with 3000000000 and 255. The plain i32x4.trunc_sat_f32x4_u is right in both.
#
# For those who fine-tune: a self-test of kernels at start-up meets the interpreter, not the code that will train; and a
# run may change its arithmetic on the way. Use the plain conversions, and repeat a self-test until it has been compiled.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y > /dev/null
npm install --silent --no-audit --no-fund @oven/bun-linux-x64@1.4.5 @deno/linux-x64-glibc@2.9.6

cat > tiers.mjs << 'PROGRAM'
// (func): loads `count` vectors from 0, 16, 32, applies one SIMD instruction, stores the result at 64
function instance(opcode, count) {
  const loads = [0, 16, 32].slice(0, count).flatMap(at => [0x41, at, 0xfd, 0, 4, 0])
  const body = [0, 0x41, 0xc0, 0, ...loads, 0xfd, ...opcode, 0xfd, 11, 4, 0, 0x0b]
  const section = (id, bytes) => [id, bytes.length, ...bytes]
  const bytes = [
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 0, 0]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0, 1]),
    ...section(7, [2, 1, 0x66, 0, 0, 1, 0x6d, 2, 0]),
    ...section(10, [1, body.length, ...body])
  ]
  return new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes))).exports
}
function answers({ f, m }, fill, read) {
  const seen = []
  for (let call = 0; call < 1000000; call++) {
    fill(m.buffer)
    f()
    const answer = read(m.buffer)
    if (seen.at(-1) !== answer) seen.push(answer)
  }
  return seen.join(' then ')
}
const floats = buffer => new Float32Array(buffer, 0, 4).fill(3e9)
const word = buffer => new Uint32Array(buffer, 64, 1)[0]
const masked = buffer => {
  new Uint8Array(buffer, 0, 16).fill(255)
  new Uint8Array(buffer, 16, 16).fill(0)
  new Uint8Array(buffer, 32, 16).fill(0x81)
}
const byte = buffer => new Uint8Array(buffer, 64, 1)[0]
console.log('plain trunc:', answers(instance([0xf9, 1], 1), floats, word))
console.log('relaxed trunc:', answers(instance([0x82, 2], 1), floats, word))
console.log('relaxed laneselect:', answers(instance([0x89, 2], 3), masked, byte))
PROGRAM

expect() {
  echo "$1"
  echo "$2"
  [ "$2" = "$3" ] || {
    echo "$1 no longer behaves as described"
    exit 1
  }
}
expect Deno "$(node_modules/@deno/linux-x64-glibc/deno run tiers.mjs)" 'plain trunc: 3000000000
relaxed trunc: 3000000000
relaxed laneselect: 255'
expect Bun "$(node_modules/@oven/bun-linux-x64/bin/bun tiers.mjs)" 'plain trunc: 3000000000
relaxed trunc: 2147483648 then 3000000000
relaxed laneselect: 255 then 129'
