import type { Answer } from "../http/answer.ts";

/** One way a server asks for credentials (RFC 9110 11.6.1). */
export interface Challenge {
  /** Lowercase: `bearer`, `basic`. */
  readonly scheme: string;
  /** Parameter names are lowercase. */
  readonly parameters: ReadonlyMap<string, string>;
}

const maxHeaderLength = 16_384;
const space = /[\t ]*/y;
const separators = /[\t ,]*/y;
const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const token68 = /[A-Za-z0-9\-._~+/]+=*(?=[\t ]*(?:,|$))/y;
const equals = /[\t ]*=[\t ]*/y;
const boundary = /[\t ]*(?=,|$)/y;
const quoted = /"((?:[^"\\]|\\[\s\S])*)"/y;
const bareValue = /[^\s",]+/y;

/**
 * Reads WWW-Authenticate values: several challenges in one or more headers, commas in quoted
 * strings, any casing. What is malformed ends the reading; challenges before it are kept.
 */
export function parseChallenges(values: string | readonly string[] | undefined): Challenge[] {
  return [values ?? []].flat().flatMap((value) => parseHeader(value.slice(0, maxHeaderLength)));
}

/** Tells whether a token was good, but not for what was asked (RFC 6750 3.1). */
export function isTooNarrow(answer: Pick<Answer, "headers">): boolean {
  return parseChallenges(answer.headers["www-authenticate"]).some(
    ({ parameters }) => parameters.get("error") === "insufficient_scope",
  );
}

function parseHeader(text: string): Challenge[] {
  const challenges: Challenge[] = [];
  const cursor = createCursor(text);
  for (;;) {
    cursor.take(separators);
    const scheme = cursor.take(token)?.[0];
    if (scheme === undefined) return challenges;
    const parameters = new Map<string, string>();
    challenges.push({ scheme: scheme.toLowerCase(), parameters });
    if (cursor.take(space)?.[0] !== "" && cursor.take(token68) !== undefined) continue;
    let more = true;
    while (more) more = takeParameter(cursor, parameters);
    if (cursor.take(boundary) === undefined) return challenges;
  }
}

/** Takes one `name=value`; leaves the cursor alone when what follows is the next scheme. */
function takeParameter(cursor: Cursor, parameters: Map<string, string>): boolean {
  const start = cursor.at;
  cursor.take(separators);
  const name = cursor.take(token)?.[0];
  const value =
    name !== undefined && cursor.take(equals) !== undefined
      ? (cursor.take(quoted)?.[1]?.replace(/\\([\s\S])/g, "$1") ?? cursor.take(bareValue)?.[0])
      : undefined;
  if (name === undefined || value === undefined) {
    cursor.at = start;
    return false;
  }
  const key = name.toLowerCase();
  if (!parameters.has(key)) parameters.set(key, value);
  return true;
}

/** A place in a text that moves on with each sticky pattern that fits there. */
interface Cursor {
  at: number;
  take(pattern: RegExp): RegExpExecArray | undefined;
}

function createCursor(text: string): Cursor {
  return {
    at: 0,
    take(pattern) {
      pattern.lastIndex = this.at;
      const match = pattern.exec(text);
      if (match === null) return undefined;
      this.at = pattern.lastIndex;
      return match;
    },
  };
}
