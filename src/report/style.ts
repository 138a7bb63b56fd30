// The report's style sheet. Charts take their colours from the variables here, so one drawing serves light and dark.

// Method colours keep at least 4.5:1 against their card and differ in lightness for colour-blind readers.
const light = `
  --bg: #f4f6f8; --card: #ffffff; --ink: #16191d; --muted: #5a6470; --line: #cfd6dd; --grid: #e6eaee; --soft: #eef2f6;
  --accent: #005f9e; --m0: #5a6470; --m1: #0067a8; --m2: #b84300; --m3: #007a5a; --m4: #8e2f86; --m5: #806000;
  --m6: #0d7a8c; --m7: #a3214c;`
const dark = `
  --bg: #0e1114; --card: #171b20; --ink: #e8ebee; --muted: #9da7b3; --line: #39414b; --grid: #262c34; --soft: #1e242b;
  --accent: #6cb8f2; --m0: #a8b2bd; --m1: #5fb2f2; --m2: #ff9a57; --m3: #45cf9f; --m4: #e394da; --m5: #dfbc45;
  --m6: #5fd3e0; --m7: #ff8aa6;`

/** CSS for the page. No fonts, images or rules are loaded from anywhere. */
export const style = `
:root { color-scheme: light dark;${light} }
@media (prefers-color-scheme: dark) { :root {${dark} } }
@media print { :root {${light} --bg: #ffffff; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--bg); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif; }
main { max-width: 908px; margin: 0 auto; padding: 40px 16px 64px; }
h1 { font-size: clamp(1.5rem, 4.5vw, 2.1rem); line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 8px; text-wrap: balance; }
h2 { font-size: 1.15rem; line-height: 1.3; margin: 0 0 4px; }
h3 { font-size: 0.95rem; margin: 24px 0 8px; }
p { margin: 0 0 8px; }
.facts { color: var(--muted); margin: 0 0 24px; }
section, figure { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 24px; margin: 0 0 20px; }
.lead { font-size: 1.15rem; line-height: 1.5; margin: 8px 0 12px; }
.words { margin: 0; padding-left: 1.1em; }
.words li { margin: 0 0 6px; }
.words li::marker { color: var(--accent); }
figcaption { margin: 0 0 16px; }
.note { color: var(--muted); font-size: 0.9rem; margin: 0; }
svg { display: block; max-width: 100%; height: auto; overflow: visible; }
svg text { font-family: inherit; font-variant-numeric: tabular-nums;
  paint-order: stroke; stroke: var(--card); stroke-width: 3px; stroke-linejoin: round; }
figure > svg.narrow, .legend.narrow { display: none; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; list-style: none; margin: 12px 0; padding: 0; font-size: 0.9rem; }
.legend li { display: flex; align-items: center; gap: 8px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 280px), 1fr)); gap: 16px; }
.scroll { overflow-x: auto; margin: 12px -24px 0; padding: 0 24px; }
table { border-collapse: collapse; width: 100%; font-size: 0.93rem; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 0 7px 20px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--grid); font-weight: 400; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { color: var(--muted); font-size: 0.85rem; }
thead th, thead td { border-bottom-color: var(--line); }
th.group { font-weight: 600; padding-top: 20px; white-space: normal; overflow-wrap: anywhere; }
th[scope="row"] { max-width: 16em; overflow: hidden; text-overflow: ellipsis; }
.swatch { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 9px; print-color-adjust: exact; }
.best td, .best th { font-weight: 650; }
.share { color: var(--muted); font-weight: 400; }
dl { display: grid; grid-template-columns: minmax(6em, max-content) 1fr; gap: 6px 24px; margin: 12px 0 0; font-size: 0.93rem; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
table.words td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
table.words th:not(:first-child) { text-align: left; }
details.below { margin-top: 16px; }
h2.run { font-size: 1.3rem; margin: 36px 0 12px; }
pre { background: var(--soft); border-radius: 8px; padding: 12px 14px; margin: 8px 0 0; font-size: 0.87rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
summary { cursor: pointer; font-weight: 600; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media (max-width: 640px) {
  main { padding: 24px 12px 40px; }
  section, figure { padding: 18px 16px; border-radius: 10px; }
  .scroll { margin: 12px -16px 0; padding: 0 16px; }
  figure > svg.wide { display: none; }
  figure > svg.narrow { display: block; }
  .legend.narrow { display: flex; }
  table { font-size: 0.84rem; }
  th, td { padding-left: 9px; }
  th[scope="row"] { max-width: 8.5em; }
  thead th { white-space: normal; vertical-align: bottom; }
  .share { display: none; }
  .swatch { margin-right: 6px; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 10px; }
}
@media (max-width: 430px) {
  table, thead th { font-size: 0.77rem; }
  th, td { padding-left: 6px; }
  .swatch { width: 8px; height: 8px; margin-right: 5px; }
}
@media print {
  main { max-width: none; padding: 0; }
  section, figure { break-inside: avoid; border-color: #cccccc; }
  figure { padding: 14px 18px; }
  svg.wide { max-height: 82mm; margin: 0 auto; }
  body { font-size: 11pt; }
}
`
