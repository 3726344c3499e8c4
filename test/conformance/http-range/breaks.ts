import { describe, expect, test } from "vitest";
import { type Break, cutAt, type RawAnswer, status, whole } from "../../support/raw-answers.ts";
import { middle, mostRequests } from "./stage.ts";
import { type HttpRangeSuite, overBoth } from "./suite.ts";

type Place = (headBytes: number, bodyBytes: number) => number;

const places: [string, Place][] = [
  ["before the first byte", () => 0],
  ["after one byte", () => 1],
  ["in the middle of the head", (head) => Math.floor(head / 2)],
  ["after the head", (head) => head],
  ["after the first byte of the body", (head) => head + 1],
  ["in the middle of the body", (head, body) => head + Math.floor(body / 2)],
  ["before the last byte", (head, body) => head + body - 1],
  ["after the last byte", (head, body) => head + body],
];

const half: Place = (head, body) => head + Math.floor(body / 2);

/** Statuses and what they mean, for good. */
const refusals: [number, string][] = [
  [400, "REGISTRY_PROTOCOL"],
  [401, "UNAUTHORIZED"],
  [403, "FORBIDDEN"],
  [404, "NOT_FOUND"],
  [405, "REGISTRY_PROTOCOL"],
  [410, "NOT_FOUND"],
  [416, "REGISTRY_PROTOCOL"],
  [418, "REGISTRY_PROTOCOL"],
];

/** Statuses that pass. */
const troubles: [number, string][] = [
  [408, "REGISTRY_UNAVAILABLE"],
  [429, "RATE_LIMITED"],
  [500, "REGISTRY_UNAVAILABLE"],
  [502, "REGISTRY_UNAVAILABLE"],
  [503, "REGISTRY_UNAVAILABLE"],
  [504, "REGISTRY_UNAVAILABLE"],
];

/** Connections that break, and servers that have trouble. */
export function describeBreaks(suite: HttpRangeSuite): void {
  overBoth(suite, "an answer", (open) => {
    describe.each<Break>(["reset", "fin"])("that ends by %s", (how) => {
      test.each(places)("%s is gone on with", async (_, place) => {
        await using stage = await open();
        stage.server.answers.push(cutAt(place, how));
        await stage.read();
        const { requests } = stage.server;
        expect(requests.length).toBeLessThanOrEqual(3);
        const ranges = requests.filter(({ first, last }) => first < last);
        const firsts = ranges.map(({ first }) => first);
        expect(firsts).toEqual(firsts.toSorted((a, b) => a - b));
        const end = middle.offset + middle.length;
        expect(requests.every(({ last }) => last === end - 1 || last === 0)).toBe(true);
      });

      test("again and again, but each time later, is gone on with", async () => {
        await using stage = await open();
        const some = cutAt((head) => head + 200_000, "fin");
        stage.server.answers.push(...Array.from({ length: 5 }, () => some), cutAt(half, how));
        await stage.read();
        expect(stage.server.requests.length).toBeLessThanOrEqual(12);
      });

      test("always before it starts is REGISTRY_UNAVAILABLE", async () => {
        await using stage = await open();
        stage.server.otherwise = cutAt(() => 0, how);
        expect(await stage.refused()).toMatchObject({
          code: "REGISTRY_UNAVAILABLE",
          retryable: true,
        });
        expect(stage.server.requests.length).toBeLessThanOrEqual(mostRequests);
      });

      test("always at the same byte is REGISTRY_UNAVAILABLE", async () => {
        await using stage = await open();
        stage.server.otherwise = async (reply, request) => {
          const { first } = request;
          await cutAt((head) => head + Math.max(0, 50_000 - first), how)(reply, request);
        };
        expect((await stage.refused()).code).toBe("REGISTRY_UNAVAILABLE");
        expect(stage.server.requests.length).toBeLessThanOrEqual(2 * mostRequests);
      });
    });
  });

  test("a whole content that breaks off is gone on with", async () => {
    await using stage = await suite.open();
    const cut: RawAnswer = async (reply, request) => {
      await whole({ body: request.content.subarray(0, 100_000) })(reply, request);
      reply.end();
    };
    stage.server.answers.push(cut);
    await stage.read();
    expect(stage.server.requests.length).toBeLessThanOrEqual(3);
  });

  describe.each([
    ["at once", []],
    ["for the rest of a range that broke", [cutAt(half, "fin")]],
  ])("a server that answers %s", (_, before) => {
    test.each(refusals)("%d is asked few times: %s", async (code, expected) => {
      await using stage = await suite.open();
      stage.server.answers.push(...before);
      stage.server.otherwise = status(
        code,
        {},
        '{"errors":[{"code":"X","message":"?sig=presigned"}]}',
      );
      expect(await stage.refused()).toMatchObject({ code: expected, retryable: false });
      expect(stage.server.requests.length).toBeLessThanOrEqual(before.length + 4);
    });

    test.each(troubles)("%d for a moment is asked again", async (code) => {
      // With its own waits of an hour, only the Retry-After lets the test end.
      const retry = { attempts: 4, baseDelayMs: 3_600_000, maxDelayMs: 3_600_000 };
      await using stage = await suite.open({ setup: { retry } });
      const soon = { "Retry-After": "0" };
      stage.server.answers.push(status(code, soon), status(code, soon));
      await stage.read();
      expect(stage.server.requests.length).toBeLessThanOrEqual(5);
    });

    test.each(troubles)("%d for good ends as %s", async (code, expected) => {
      await using stage = await suite.open();
      stage.server.answers.push(...before);
      stage.server.otherwise = status(code);
      expect(await stage.refused()).toMatchObject({ code: expected, retryable: true });
      expect(stage.server.requests.length).toBeLessThanOrEqual(before.length + mostRequests);
    });
  });

  test("a date in Retry-After is obeyed", async () => {
    const retry = { attempts: 2, baseDelayMs: 3_600_000, maxDelayMs: 3_600_000 };
    await using stage = await suite.open({ setup: { retry } });
    const past = new Date(Date.now() - 60_000).toUTCString();
    stage.server.answers.push(status(429, { "Retry-After": past }));
    await stage.read();
    expect(stage.server.requests.length).toBeLessThanOrEqual(3);
  });
}
