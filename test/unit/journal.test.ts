import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { journalHeader, journalRecord, parseJournal } from "../../src/store/journal.ts";

const boot = "6cfd38e2-9d3a-4c1e-8a57-0f6f2a2ce0aa";
const chunkNumbers = fc.array(fc.nat({ max: 999_999_999 }), { maxLength: 30 });

function write(chunks: readonly number[], bootId: string | undefined = boot): string {
  return journalHeader(bootId) + chunks.map(journalRecord).join("");
}

describe("a journal", () => {
  test("gives back what was recorded, in order", () => {
    fc.assert(
      fc.property(chunkNumbers, fc.constantFrom(boot, undefined), (chunks, bootId) => {
        const journal = journalHeader(bootId) + chunks.map(journalRecord).join("");
        expect(parseJournal(journal)).toEqual({ bootId, chunks, intact: true, torn: false });
      }),
    );
  });

  test("that was cut off anywhere gives a beginning of what was recorded", () => {
    fc.assert(
      fc.property(chunkNumbers, fc.nat(), (chunks, cut) => {
        const whole = write(chunks);
        const parsed = parseJournal(whole.slice(0, cut % whole.length));
        if (parsed === undefined) return;
        expect(parsed.intact).toBe(true);
        expect(parsed.chunks).toEqual(chunks.slice(0, parsed.chunks.length));
      }),
    );
  });

  test("whose last line is torn says so and leaves that line out", () => {
    const parsed = parseJournal(write([1, 2, 3]).slice(0, -4));
    expect(parsed).toEqual({ bootId: boot, chunks: [1, 2], intact: true, torn: true });
  });

  test("with flipped bits never gives a chunk that was not recorded", () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 7 })), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(chunkNumbers, flips, (chunks, bits) => {
        const bytes = Buffer.from(write(chunks));
        for (const [at, bit] of bits) {
          const place = at % bytes.byteLength;
          bytes.writeUInt8(bytes.readUInt8(place) ^ (1 << bit), place);
        }
        const parsed = parseJournal(bytes.toString("utf8"));
        for (const chunk of parsed?.chunks ?? []) expect(chunks).toContain(chunk);
        if (parsed !== undefined && parsed.bootId !== undefined) expect(parsed.bootId).toBe(boot);
      }),
      { numRuns: 2000 },
    );
  });

  test("says that it is damaged when a line in the middle is", () => {
    const text = write([1, 2, 3]).replace("\n2 ", "\n7 ");
    expect(parseJournal(text)).toEqual({ bootId: boot, chunks: [1], intact: false, torn: false });
  });

  test.each([
    ["nothing", ""],
    ["zeros", "\0".repeat(200)],
    ["another program's file", "hello 12345678\n"],
    ["a later format", write([]).replace(" 1 ", " 2 ")],
  ])("that holds %s is none", (_, text) => {
    expect(parseJournal(text)).toBeUndefined();
  });
});
