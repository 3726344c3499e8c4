import { ModelError } from "./errors.ts";

const sizeUnits: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  tb: 1000 ** 4,
};

/** Parses `10GiB`, `500MB` or plain bytes; throws INVALID_ARGUMENT. */
export function parseSize(text: string): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const factor = sizeUnits[unit.toLowerCase()];
  const bytes = Math.round(Number(number) * (factor ?? 1));
  if (number !== "" && factor !== undefined && Number.isSafeInteger(bytes)) return bytes;
  throw new ModelError("INVALID_ARGUMENT", `${JSON.stringify(text)} is no size`, {
    hint: "say for example 10GiB (1024s), 500MB (1000s) or a number of bytes",
  });
}
