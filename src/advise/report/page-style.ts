/** The style of the page: part of it, so that the page needs nothing else. */

export const PAGE_STYLE = `
:root { color-scheme: light; --ink: #1a1d21; --quiet: #50565e; --line: #c9ced6; --soft: #f3f5f8; --link: #17478f; }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0 auto; padding: 1.5rem; max-width: 76rem; background: #fff; color: var(--ink); font: 1rem/1.5 system-ui, "Segoe UI", "Liberation Sans", Arial, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; border-bottom: 2px solid var(--line); padding-bottom: .25rem; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .25rem; }
p { margin: .4rem 0; max-width: 60rem; }
a { color: var(--link); }
a:focus-visible, [tabindex]:focus-visible { outline: 3px solid #b45309; outline-offset: 2px; }
.skip { position: absolute; left: -100rem; }
.skip:focus { position: static; }
.quiet { color: var(--quiet); }
.notice { border: 2px solid #9a3412; background: #fff7ed; padding: .6rem .9rem; margin: 1rem 0; }
.facts { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; padding: 0; }
.facts div { border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .9rem; min-width: 9rem; }
.facts dt { color: var(--quiet); font-size: .875rem; }
.facts dd { margin: 0; font-size: 1.3rem; font-weight: 600; }
figure { margin: 1rem 0; }
figcaption { color: var(--quiet); font-size: .9rem; }
svg { width: 100%; max-width: 50rem; height: auto; display: block; font: 13px system-ui, "Segoe UI", "Liberation Sans", Arial, sans-serif; }
svg text { fill: var(--ink); }
svg .group { font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; margin: .5rem 0; }
caption { text-align: left; color: var(--quiet); padding: .25rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); overflow-wrap: break-word; }
th { max-width: 20rem; }
tbody th { min-width: 9rem; }
thead th { background: var(--soft); border-bottom: 2px solid var(--line); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
th a { display: inline-block; min-height: 1.5rem; min-width: 1.5rem; }
.flag { font-weight: 600; color: #8f1d1d; }
ul { margin: .25rem 0; padding-left: 1.25rem; }
@media print {
  @page { margin: 14mm; }
  body { padding: 0; max-width: none; font-size: 9pt; line-height: 1.35; }
  article ul { columns: 2; column-gap: 1.5rem; }
  p, li { orphans: 2; widows: 2; }
  h2 { margin-top: 1.2rem; }
  h3 { margin-top: .8rem; }
  .skip { display: none; }
  .scroll { overflow: visible; }
  table { font-size: 8pt; }
  tbody th { min-width: 0; }
  th, td { padding: .15rem .35rem; overflow-wrap: anywhere; }
  thead { display: table-header-group; }
  tr, figure, .facts div, .notice { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  a { color: inherit; text-decoration: none; }
  svg, thead th, .notice { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;
