// The look of a report: light, of one column, readable on a phone and on paper.
#pragma once

namespace settle::analysis {

inline constexpr const char* page_style = R"css(
:root { color-scheme: light; --ink: #1c2024; --soft: #55606b; --line: #d9dee3; --pale: #f5f7f9;
  --good: #17652c; --good-pale: #edf7ef; --caution: #7a4700; --caution-pale: #fff6e3;
  --bad: #9b1c1c; --bad-pale: #fdf0ef; --accent: #0b5f9c; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", Verdana, sans-serif; }
header, main, footer { max-width: 60rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 1.75rem; }
.kind { margin: 0; color: var(--accent); font-size: .875rem; font-weight: 600; }
h1 { margin: .1rem 0 .35rem; font-size: 1.75rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.25rem 0 .75rem; padding-top: .9rem; border-top: 1px solid var(--line);
  font-size: 1.3rem; line-height: 1.25; }
h3 { margin: 1.6rem 0 .35rem; font-size: 1.02rem; line-height: 1.3; }
p { margin: .35rem 0 .75rem; max-width: 44rem; overflow-wrap: anywhere; }
.origin, .about, figcaption, .notes { color: var(--soft); font-size: .9rem; }
.about { margin-bottom: .5rem; }
.notes { margin: .4rem 0; }
.verdict { margin: .75rem 0; padding: .7rem 1rem; border-left: .35rem solid var(--soft);
  background: var(--pale); }
.verdict p { margin: .15rem 0 0; max-width: none; }
.verdict .word { margin: 0; font-size: 1.15rem; font-weight: 700; }
.verdict .mark { display: inline-block; width: 1.4em; }
.verdict.good { border-color: var(--good); background: var(--good-pale); }
.verdict.caution { border-color: #c27a00; background: var(--caution-pale); }
.verdict.bad { border-color: var(--bad); background: var(--bad-pale); }
.good > .word, .tone-good { color: var(--good); }
.caution > .word, .tone-caution { color: var(--caution); }
.bad > .word, .tone-bad { color: var(--bad); }
.tone-good, .tone-caution, .tone-bad { font-weight: 600; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .6rem;
  margin: 1rem 0; }
.facts > div { padding: .55rem .8rem; border: 1px solid var(--line); border-radius: .3rem; }
.facts dt { color: var(--soft); font-size: .875rem; }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.facts .value { font-size: 1.2rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.facts .note { color: var(--soft); font-size: .825rem; line-height: 1.4; }
figure { margin: 1rem 0 1.5rem; }
.drawing, .table { overflow-x: auto; }
.drawing:focus-visible, .table:focus-visible, summary:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 2px; }
figure svg { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figure svg text, figure svg tspan { font-family: "DejaVu Sans", Verdana, sans-serif; }
figcaption { max-width: 44rem; margin-top: .4rem; }
.missing { padding: .6rem .9rem; background: var(--pale); color: var(--soft); }
table { border-collapse: collapse; font-size: .9rem; line-height: 1.35;
  font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; }
th:first-child, td:first-child { padding-left: 0; }
thead th { border-bottom: 2px solid #b9c1c9; vertical-align: bottom; font-weight: 600; }
tbody th { max-width: 30rem; font-weight: 400; }
tbody th.left { min-width: 11rem; }
th.part { padding-left: 1.2rem !important; }
tbody td { white-space: nowrap; }
td.left { white-space: normal; min-width: 4rem; }
td.wide { min-width: 14rem; overflow-wrap: anywhere; }
.left { text-align: left; }
.whole { white-space: nowrap; }
tbody tr:hover { background: var(--pale); }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
th code, td code { display: block; }
th code, td code, .about code { color: var(--soft); font-size: .78rem; }
td small, th small { display: block; color: var(--soft); font-size: .8rem; font-weight: 400; }
td small { white-space: normal; }
td small.lines { white-space: pre; }
.bar { display: block; width: 8rem; height: .55rem; margin-top: .25rem; background: var(--pale); }
.bar i { display: block; height: 100%; min-width: 1px; background: #7f9db5; }
.bar .tone-good { background: #3f9a59; }
.bar .tone-caution { background: #d99a2b; }
.bar .tone-bad { background: #c64a44; }
details { margin: .6rem 0; }
summary { cursor: pointer; color: var(--accent); font-weight: 600; }
pre { margin: .5rem 0; padding: .7rem .9rem; overflow-x: auto; background: var(--pale);
  font-size: .82rem; line-height: 1.45; tab-size: 2; }
footer { margin-top: 2rem; padding-bottom: 2rem; color: var(--soft); font-size: .85rem; }
footer p { padding-top: .7rem; border-top: 1px solid var(--line); max-width: none; }
@media (max-width: 40rem) {
  header, main, footer { padding-left: .9rem; padding-right: .9rem; }
  h1 { font-size: 1.4rem; }
  .facts { grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); }
  .drawing svg { max-width: none; width: min(34rem, var(--own-width)); }
  tbody th.left { min-width: 9.5rem; }
  th, td { padding-left: .45rem; padding-right: .45rem; }
}
@media print {
  body { font-size: 10pt; }
  header, main, footer { max-width: none; padding: 0; }
  figure, tr, .verdict, .facts > div { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .drawing, .table, pre { overflow: visible; }
  pre { white-space: pre-wrap; }
  details::details-content { content-visibility: visible; }
}
)css";

}  // namespace settle::analysis
