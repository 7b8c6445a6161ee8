"""The look of a report: one calm column, light or dark as the reader's system asks."""

CSS = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #ffffff; --ink: #1d2329;
  --muted: #5b6570; --line: #e2e6ea; --accent: #2b6cb0; }
@media (prefers-color-scheme: dark) { :root { --page: #14171b; --card: #1c2126; --ink: #e6e9ec;
  --muted: #9aa4ae; --line: #2e353c; --accent: #7db4ea; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui,
  -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 30px; line-height: 1.2; font-weight: 650; letter-spacing: -.015em;
  margin: 0 0 28px; overflow-wrap: anywhere; }
h2 { font-size: 20px; line-height: 1.3; font-weight: 650; margin: 0 0 6px; }
h3 { font-size: 14px; font-weight: 600; margin: 0 0 6px; overflow-wrap: anywhere; }
p { margin: 0 0 12px; max-width: 70ch; }
section > :last-child { margin-bottom: 0; }
.lead { font-size: 17px; color: var(--muted); margin: -16px 0 24px; }
.note, figcaption { color: var(--muted); font-size: 14px; line-height: 1.5; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 24px; margin: 0 0 20px; }
figure { margin: 0; min-width: 0; }
img { display: block; width: 100%; height: auto; border-radius: 4px; }
img.pixels { image-rendering: pixelated; }
.figure img { width: auto; max-width: 100%; }
figcaption { margin-top: 6px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 12px;
  margin: 0 0 20px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 16px 18px; }
.tile b { display: block; font-size: 26px; line-height: 1.2; font-weight: 650;
  letter-spacing: -.01em; color: var(--accent); font-variant-numeric: tabular-nums; }
.tile span { display: block; font-size: 14px; font-weight: 600; margin-top: 4px; }
.tile small { display: block; color: var(--muted); font-size: 13px; line-height: 1.4; }
table { border-collapse: collapse; width: 100%; margin-top: 12px; }
th, td { text-align: left; vertical-align: top; padding: 10px 16px 10px 0;
  border-top: 1px solid var(--line); }
th { font-weight: 600; font-size: 15px; min-width: 16em; overflow-wrap: anywhere; }
td.value { font-variant-numeric: tabular-nums; white-space: nowrap; }
td.words { color: var(--muted); font-size: 14px; }
.row { border-top: 1px solid var(--line); padding-top: 12px; margin-top: 16px; }
.images { display: grid; gap: 10px; grid-template-columns: repeat(var(--columns), 1fr); }
.images figcaption { font-size: 13px; margin-top: 4px; }
.match { display: grid; gap: 16px; grid-template-columns: 2.12fr 1fr 1fr; }
.panels { display: grid; gap: 20px 24px; margin-top: 14px;
  grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)); }
.legend { display: flex; flex-wrap: wrap; gap: 6px 18px; list-style: none; padding: 0;
  margin: 12px 0 0; font-size: 14px; }
.legend i { display: inline-block; width: 14px; height: 14px; border-radius: 3px;
  margin-right: 7px; vertical-align: -2px; border: 1px solid rgba(128, 128, 128, .45); }
dl { display: grid; grid-template-columns: minmax(9em, auto) 1fr; gap: 6px 20px; margin: 12px 0 0;
  font-size: 15px; }
dt { color: var(--muted); }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
pre { margin: 8px 0 0; padding: 12px; overflow-x: auto; font-size: 13px; line-height: 1.45;
  background: var(--page); border-radius: 8px; }
summary { cursor: pointer; color: var(--accent); }
td details { margin-top: 4px; }
td dl { font-size: 13px; margin-top: 6px; gap: 2px 14px; }
.bars { display: grid; gap: 8px; margin-top: 14px; }
.bar { display: grid; grid-template-columns: minmax(7em, 14em) 1fr minmax(11em, auto);
  gap: 4px 14px; align-items: center; font-size: 14px; }
.bar span { overflow-wrap: anywhere; }
.bar i { display: block; height: 16px; border-radius: 4px; background: var(--page);
  border: 1px solid var(--line); overflow: hidden; }
.bar b { display: block; height: 100%; min-width: 1px;
  border-right: 1px solid rgba(128, 128, 128, .6); }
.bar small { color: var(--muted); font-size: 13px; font-variant-numeric: tabular-nums; }
.inspectors { margin-top: 14px; }
.inspector + .inspector { margin-top: 20px; }
.inspectors.live .inspector { margin-top: 0; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 14px; max-width: 860px;
  align-items: start; }
.stage { position: relative; border-radius: 4px; overflow: hidden; }
.stage img { border-radius: 0; }
.stage.pale img { filter: saturate(.35) brightness(.72); }
.stage canvas { position: absolute; inset: 0; width: 100%; height: 100%; cursor: crosshair;
  touch-action: pan-y; }
.stage canvas:focus-visible { outline: 3px solid var(--accent); outline-offset: -3px; }
.says { font-size: 15px; margin: 10px 0 4px; min-height: 3em; }
.choices { display: flex; flex-wrap: wrap; gap: 8px; margin: 0 0 14px; }
.choices button { padding: 3px; border: 2px solid var(--line); border-radius: 8px;
  background: none; cursor: pointer; }
.choices button[aria-pressed=true] { border-color: var(--accent); }
.choices img { width: 52px; height: 52px; object-fit: cover; }
.wide { overflow-x: auto; }
.images.fit { grid-template-columns: repeat(auto-fill, minmax(130px, 1fr)); }
.plain th { min-width: 7em; }
.plain th, .plain td { overflow-wrap: normal; }
.plain thead th { font-size: 14px; border-top: 0; }
.plain td.best { font-weight: 700; color: var(--accent); }
.plain td.set { font-size: 13px; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 640px) {
  main { padding: 24px 12px 40px; }
  h1 { font-size: 25px; margin-bottom: 20px; }
  .lead { font-size: 16px; margin: -8px 0 18px; }
  section { padding: 16px; margin-bottom: 14px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 10px; margin-bottom: 14px; }
  .tile { padding: 12px 14px; }
  .tile b { font-size: 22px; }
  .images { grid-template-columns: repeat(min(3, var(--columns)), 1fr); }
  .images.fit { grid-template-columns: repeat(3, 1fr); }
  .plain :is(th, td) { font-size: 14px; padding-right: 12px; white-space: normal; }
  .match { grid-template-columns: 1fr 1fr; }
  .match > :first-child { grid-column: 1 / -1; }
  table:not(.plain) tr { display: grid; grid-template-columns: 1fr auto; padding: 9px 0;
    border-top: 1px solid var(--line); }
  table:not(.plain) :is(th, td) { border: 0; padding: 0; min-width: 0; font-size: 15px; }
  table:not(.plain) td.value { padding-left: 14px; text-align: right; white-space: normal; }
  td.words { grid-column: 1 / -1; }
  table:not(.plain) thead { display: none; }
  .bar { grid-template-columns: 1fr auto; }
  .bar i { grid-column: 1 / -1; grid-row: 2; }
  .pair { gap: 10px; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 8px; }
}
@media print { body { background: none; } section { break-inside: avoid; } }
"""
