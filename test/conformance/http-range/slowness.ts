import { describe, expect, test } from "vitest";
import {
  askedFor,
  cutAt,
  partialHead,
  type RawAnswer,
  type RawReply,
} from "../../support/raw-answers.ts";
import { mostRequests, type Stage } from "./stage.ts";
import type { HttpRangeSuite } from "./suite.ts";

const quick = { attempts: 2, baseDelayMs: 1 };
const short = { connectMs: 5000, headersMs: 300, bodyMs: 300 };
/** A body may take ten times its part for 4 KiB. */
const tiny = { connectMs: 5000, headersMs: 5000, bodyMs: 100 };

/** One byte after the other, each a moment after the one before. */
async function drip(reply: RawReply, bytes: Buffer, everyMs: number): Promise<void> {
  for (const byte of bytes) {
    if (!(await reply.send(Buffer.of(byte)))) return;
    await new Promise((next) => setTimeout(next, everyMs));
  }
}

/** The same at once for several servers, because each takes its time. */
async function atOnce<Each>(
  all: readonly Each[],
  one: (each: Each) => Promise<void>,
): Promise<void> {
  await Promise.all(all.map(one));
}

const silences: [string, RawAnswer][] = [
  ["in its head", cutAt((head) => head - 5, "stall")],
  ["after its head", cutAt((head) => head, "stall")],
  ["in the middle", cutAt((head, body) => head + Math.floor(body / 2), "stall")],
  ["before the last byte", cutAt((head, body) => head + body - 1, "stall")],
];

/** Servers that are never heard to the end of a range, and what is said of them. */
const hopeless: [string, string, RawAnswer][] = [
  ["that says nothing", "did not answer in time", () => undefined],
  [
    "whose head never ends, however steadily it comes",
    "did not answer in time",
    (reply, request) => drip(reply, Buffer.from(partialHead(request).padEnd(3000)), 20),
  ],
  [
    "that sends empty lines in front of its head",
    "did not answer in time",
    async (reply) => {
      while (await reply.send("\r\n".repeat(1000))) await new Promise(setImmediate);
    },
  ],
  [
    "that falls silent always at the same byte",
    "stalled",
    (reply, request) =>
      cutAt((head) => head + Math.max(0, 50_000 - request.first), "stall")(reply, request),
  ],
];

/** Servers that take their time. */
export function describeSlowness(suite: HttpRangeSuite): void {
  describe("a slow server", () => {
    test("that falls silent, wherever it does, is asked for the rest", async () => {
      await atOnce(silences, async ([where, answer]) => {
        const secured = where === "in the middle";
        await using stage = await (secured ? suite.openSecured : suite.open)({
          setup: { timeouts: short },
        });
        stage.server.answers.push(answer);
        await stage.read();
        expect([where, stage.server.requests.length <= 3]).toEqual([where, true]);
      });
    });

    test("that gets nowhere is given up on", async () => {
      await atOnce(hopeless, async ([which, why, answer]) => {
        await using stage = await suite.open({ setup: { retry: quick, timeouts: short } });
        stage.server.otherwise = answer;
        const { code, message, retryable } = await stage.refused();
        const few = stage.server.requests.length <= 2 * mostRequests;
        expect({ which, code, message, retryable, few }).toEqual({
          which,
          code: "REGISTRY_UNAVAILABLE",
          message: expect.stringContaining(why) as string,
          retryable: true,
          few: true,
        });
      });
    });

    test("that sends byte by byte is waited for, unless it would take for ever", async () => {
      const dripping = (stage: Stage, everyMs: number) => {
        stage.server.otherwise = async (reply, request) => {
          await reply.send(partialHead(request));
          await drip(reply, askedFor(request), everyMs);
        };
      };
      await using patient = await suite.open({ setup: { timeouts: short } });
      dripping(patient, 20);
      await using hasty = await suite.open({ setup: { retry: quick, timeouts: tiny } });
      dripping(hasty, 10);
      const [failure] = await Promise.all([
        hasty.refused({ offset: 0, length: 20_000 }),
        patient.read({ offset: 5000, length: 40 }),
      ]);
      expect(failure).toMatchObject({
        code: "REGISTRY_UNAVAILABLE",
        message: expect.stringContaining("too slowly"),
      });
      expect(hasty.server.requests.length).toBeLessThanOrEqual(mostRequests);
      expect(patient.server.requests.length).toBeLessThanOrEqual(3);
    });
  });
}
