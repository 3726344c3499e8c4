const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\ufe0f/u;
const invisible = /^[\p{M}\p{Cf}]+$/u;
// Control characters, and the marks that turn the direction of what follows.
const dangerous = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
let segmenter: Intl.Segmenter | undefined;

/** Text from elsewhere as it may be shown: what would steer a terminal is written as an escape. */
export function printable(text: string): string {
  return text.replace(dangerous, (char) => {
    const hex = char.charCodeAt(0).toString(16);
    return hex.length > 2 ? `\\u${hex.padStart(4, "0")}` : `\\x${hex.padStart(2, "0")}`;
  });
}

/** The same for text of several lines, which stay lines. */
export function printableLines(text: string): string[] {
  return text.split("\n").map(printable);
}

/** Columns that text without control characters takes on a terminal. */
export function textWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  return graphemes(text).reduce((sum, grapheme) => sum + graphemeWidth(grapheme), 0);
}

/** Shortens text to at most `columns`, from its beginning: the end of a path tells more. */
export function keepEnd(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text;
  if (columns <= 3) return "...".slice(0, Math.max(0, columns));
  const kept: string[] = [];
  let width = 3;
  for (const grapheme of graphemes(text).reverse()) {
    width += graphemeWidth(grapheme);
    if (width > columns) break;
    kept.unshift(grapheme);
  }
  return `...${kept.join("")}`;
}

/** Fills text with spaces up to `columns`, on its right or on its left. */
export function pad(text: string, columns: number, side: "right" | "left" = "right"): string {
  const space = " ".repeat(Math.max(0, columns - textWidth(text)));
  return side === "right" ? text + space : space + text;
}

/** What a reader sees as one character each. */
function graphemes(text: string): string[] {
  // Made when it is needed: it takes 10 ms, a tenth of the start of a command.
  segmenter ??= new Intl.Segmenter("en", { granularity: "grapheme" });
  return [...segmenter.segment(text)].map(({ segment }) => segment);
}

function graphemeWidth(grapheme: string): number {
  if (invisible.test(grapheme)) return 0;
  return wide.test(grapheme) ? 2 : 1;
}
