import fc from "fast-check";
import { type ErrorCode, isModelError } from "../../src/core/errors.ts";

/** Runs of one property: `count`, times the number in BALLAST_FUZZ_RUNS. */
export function fuzzRuns(count: number): { readonly numRuns: number } {
  const factor = Number(process.env["BALLAST_FUZZ_RUNS"] ?? 1);
  return { numRuns: Math.ceil(count * factor) };
}

/** What `parse` returns, or undefined where it throws a ModelError with one of `codes`; else throws. */
export function parsedOrRefused<T>(parse: () => T, ...codes: ErrorCode[]): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (isModelError(error, ...codes)) return undefined;
    throw error;
  }
}

const kinds = ["flip", "set", "cut", "drop", "copy", "repeat", "insert", "number"] as const;

interface Change {
  readonly how: (typeof kinds)[number];
  readonly at: number;
  readonly from: number;
  readonly length: number;
  readonly byte: number;
}

const changes: fc.Arbitrary<Change[]> = fc.array(
  fc.record({
    how: fc.constantFrom(...kinds),
    at: fc.nat(),
    from: fc.nat(),
    length: fc.integer({ min: 1, max: 64 }),
    byte: fc.nat(255),
  }),
  { minLength: 1, maxLength: 6 },
);

type Original = Uint8Array | string;
type Pool = readonly [Buffer, ...Buffer[]];

/** The originals with bits flipped, slices dropped, doubled and mixed, and `tokens` put in. */
export function mutated(
  originals: readonly [Original, ...Original[]],
  tokens: readonly string[] = [],
): fc.Arbitrary<Buffer> {
  const pool = originals.map(bytesOf) as [Buffer, ...Buffer[]];
  const inserts = [...hostileTokens, ...tokens].map(bytesOf) as [Buffer, ...Buffer[]];
  return fc
    .tuple(fc.nat(pool.length - 1), changes)
    .map(([first, list]) =>
      list.reduce((bytes, change) => mutate(bytes, change, { pool, inserts }), at(pool, first)),
    );
}

function mutate(
  bytes: Buffer,
  change: Change,
  { pool, inserts }: { readonly pool: Pool; readonly inserts: Pool },
): Buffer {
  const start = change.at % (bytes.byteLength + 1);
  const end = start + change.length;
  const splice = (middle: Uint8Array, rest = start) =>
    Buffer.concat([bytes.subarray(0, start), middle, bytes.subarray(rest)]);
  switch (change.how) {
    case "flip":
      return splice(Buffer.of((bytes[start] ?? 0) ^ (1 << (change.byte % 8))), start + 1);
    case "set":
      return splice(Buffer.alloc(change.length, change.byte), end);
    case "cut":
      return bytes.subarray(0, start);
    case "drop":
      return splice(Buffer.alloc(0), end);
    case "copy": {
      const other = at(pool, change.byte);
      const from = change.from % (other.byteLength + 1);
      return splice(other.subarray(from, from + change.length));
    }
    case "repeat":
      return splice(Buffer.concat(Array(1 + (change.byte % 8)).fill(bytes.subarray(start, end))));
    case "insert":
      return splice(at(inserts, change.from));
    case "number":
      return splice(littleEndian(at(hostileNumbers, change.from)), start + 8);
  }
}

const hostileNumbers = [0n, 1n, 255n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n] as const;
const hostileTokens = [
  '"__proto__":',
  '{"__proto__":{"size":1}}',
  '"constructor":',
  "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
  "9007199254740993",
  "-1",
  "1e999",
  "0.1",
  '"\\ud800"',
  '"\\u0000"',
  "null",
  "\0",
  "\r\n",
  "\u00e9\u0301",
  "99999999999999999999999999",
];

function bytesOf(original: Original): Buffer {
  return typeof original === "string" ? Buffer.from(original) : Buffer.from(original);
}

function littleEndian(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

function at<Each>(pool: readonly [Each, ...Each[]], number: number): Each {
  return pool[number % pool.length] ?? pool[0];
}

/** JSON of `documents` in which values and names are replaced, removed and added. */
export function mutatedJson(documents: readonly unknown[]): fc.Arbitrary<Buffer> {
  const change = fc.record({
    at: fc.nat(),
    how: fc.constantFrom("replace", "replace", "remove", "add", "move"),
    value: fc.oneof(hostileValues, fc.jsonValue({ maxDepth: 2 })),
  });
  return fc
    .tuple(fc.constantFrom(...documents), fc.array(change, { minLength: 1, maxLength: 4 }))
    .map(([document, list]) => {
      const root = { root: structuredClone(document) };
      for (const each of list) changeValue(root, each);
      return Buffer.from(JSON.stringify(root.root) ?? "null");
    });
}

const hostileNumbersOfJson = [0, 1, 2, 10, -1, 0.5, 1e308, 2 ** 53 - 1, 2 ** 53];
const hostileTexts = [
  "",
  "sha256:",
  `sha256:${"A".repeat(64)}`,
  "__proto__",
  "../x",
  "/",
  "\0",
  "\ud800",
];
const hostileShapes: unknown[] = [
  null,
  true,
  [],
  [[]],
  {},
  { length: 1 },
  JSON.parse('{"__proto__":{}}'),
];
const hostileValues: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(...hostileNumbersOfJson),
  fc.constantFrom(...hostileTexts),
  fc.constantFrom(...hostileShapes),
);

interface ValueChange {
  readonly at: number;
  readonly how: string;
  readonly value: unknown;
}

function changeValue(root: object, { at: number, how, value }: ValueChange): void {
  const places = listPlaces(root);
  const place = places[number % places.length];
  if (place === undefined) return;
  const [holder, key] = place;
  const other = places[(number * 7 + 1) % places.length];
  if (how === "remove") delete holder[key];
  else if (how === "move" && other !== undefined)
    put(holder, key, structuredClone(other[0][other[1]]));
  else put(holder, how === "add" ? `${key}x` : key, structuredClone(value));
}

type Place = readonly [holder: Record<string, unknown>, key: string];

function listPlaces(value: unknown): Place[] {
  if (typeof value !== "object" || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((key) => [[holder, key] as const, ...listPlaces(holder[key])]);
}

function put(holder: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(holder, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}
