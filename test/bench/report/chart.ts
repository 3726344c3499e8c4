import { medianSeconds } from "../measure/statistics.ts";
import type { RowResult } from "../results.ts";

interface Bar {
  readonly client: string;
  readonly speed: number;
  readonly style: string;
}

const mebi = 2 ** 20;
const width = 760;
const labels = 104;
const values = 64;
const barHeight = 16;
const barGap = 3;
const groupGap = 34;
const top = 34;

/** Class of a bar, by client; whoever is not here is drawn as a limit. */
const styles: Readonly<Record<string, string>> = {
  ballast: "ours",
  crane: "peer",
  regctl: "peer",
  skopeo: "peer",
};

/** Draws the speed of each client in each row that moves bytes, as an SVG for light and dark pages. */
export function drawChart(rows: readonly RowResult[]): string {
  const groups = rows.flatMap((row) => {
    const bars = barsOf(row);
    return bars.length === 0 ? [] : [{ title: row.title, bars }];
  });
  const most = Math.max(1, ...groups.flatMap(({ bars }) => bars.map(({ speed }) => speed)));
  const scale = (width - labels - values) / most;
  const parts: string[] = [];
  let y = top;
  for (const { title, bars } of groups) {
    parts.push(text({ x: 0, y, style: "title" }, title));
    y += 8;
    for (const bar of bars) {
      parts.push(drawBar(bar, y, scale));
      y += barHeight + barGap;
    }
    y += groupGap;
  }
  const height = Math.max(top, y - groupGap + barGap);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="MiB/s of each program, by row">`,
    style,
    text({ x: width, y: 14, style: "unit" }, "MiB/s, more is better; dashed: checks nothing"),
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function barsOf({ entries, workBytes }: RowResult): Bar[] {
  if (workBytes === undefined) return [];
  return entries
    .filter(({ runs }) => runs.length > 0)
    .map((entry) => ({
      client: entry.client,
      speed: workBytes / mebi / medianSeconds(entry),
      style: styles[entry.client] ?? "limit",
    }));
}

function drawBar({ client, speed, style: name }: Bar, y: number, scale: number): string {
  const length = Math.max(1, speed * scale);
  const middle = y + barHeight - 4;
  return [
    text({ x: labels - 8, y: middle, style: "client" }, client),
    `<rect class="${name}" x="${labels}" y="${y}" width="${length.toFixed(1)}" height="${barHeight}" rx="2"/>`,
    text({ x: labels + length + 6, y: middle, style: "value" }, speed.toFixed(0)),
  ].join("\n");
}

function text(at: { x: number; y: number; style: string }, content: string): string {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text class="${at.style}" x="${at.x.toFixed(1)}" y="${at.y}">${escaped}</text>`;
}

const style = `<style>
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 13px; }
  .client, .unit { text-anchor: end; }
  .unit { fill: #59636e; }
  .ours { fill: #0969da; }
  .peer { fill: #8c959f; }
  .limit { fill: none; stroke: #8c959f; stroke-dasharray: 3 2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .unit { fill: #9198a1; }
    .ours { fill: #4493f8; }
    .peer { fill: #656c76; }
    .limit { stroke: #656c76; }
  }
</style>`;
