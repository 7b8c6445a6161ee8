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
@media (max-width: 640px) {
  main { padding: 24px 12px 40px; }
  h1 { font-size: 25px; margin-bottom: 20px; }
  .lead { font-size: 16px; margin: -8px 0 18px; }
  section { padding: 16px; margin-bottom: 14px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 10px; margin-bottom: 14px; }
  .tile { padding: 12px 14px; }
  .tile b { font-size: 22px; }
  .images { grid-template-columns: repeat(min(3, var(--columns)), 1fr); }
  .match { grid-template-columns: 1fr 1fr; }
  .match > :first-child { grid-column: 1 / -1; }
  tr { display: grid; grid-template-columns: 1fr auto; border-top: 1px solid var(--line);
    padding: 9px 0; }
  th, td { border: 0; padding: 0; min-width: 0; font-size: 15px; }
  td.value { padding-left: 14px; text-align: right; white-space: normal; }
  td.words { grid-column: 1 / -1; }
  thead { display: none; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 8px; }
}
@media print { body { background: none; } section { break-inside: avoid; } }
"""
