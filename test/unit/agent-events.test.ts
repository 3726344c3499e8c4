import fc from "fast-check";
import { expect, test } from "vitest";
import { readEvents } from "../../src/agent/client/event-stream.ts";

async function* pieces(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  const places = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])];
  const sorted = places.sort((a, b) => a - b);
  for (const [at, start] of sorted.entries()) yield bytes.subarray(start, sorted[at + 1]);
}

async function collect(text: string, cuts: readonly number[] = []) {
  const events = [];
  for await (const event of readEvents(pieces(Buffer.from(text), cuts))) events.push(event);
  return events;
}

test("events are read whole, wherever the stream is cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ text: fc.string({ unit: "grapheme" }) }), { maxLength: 5 }),
      fc.array(fc.nat(), { maxLength: 10 }),
      async (contents, cuts) => {
        const text = contents
          .map((content) => `event: progress\ndata: ${JSON.stringify(content)}\n\n`)
          .join("");
        const events = await collect(text, cuts);
        expect(events).toEqual(contents.map((content) => ({ name: "progress", content })));
      },
    ),
  );
});

test("comments and events of unknown names are passed over", async () => {
  const text = ': ping\n\nevent: later\ndata: 1\n\nevent: ready\ndata: {"a":1}\n\nevent: ready\nda';
  expect(await collect(text)).toEqual([{ name: "ready", content: { a: 1 } }]);
});

test("an event that is no JSON is an error", async () => {
  await expect(collect("event: ready\ndata: {\n\n")).rejects.toMatchObject({
    code: "AGENT_FAILED",
  });
});
