import { describe, expect, test } from "vitest";
import { type PartialChanges, partial, type RawRequest, whole } from "../../support/raw-answers.ts";
import { content, middle } from "./stage.ts";
import type { HttpRangeSuite } from "./suite.ts";

const end = middle.offset + middle.length - 1;
const size = content.byteLength;

/** Answers that are not what was asked for, however they call themselves. */
const others: [string, PartialChanges | ((request: RawRequest) => PartialChanges)][] = [
  ["without a Content-Range", { range: false }],
  ["from another byte on", { range: `bytes ${middle.offset + 1}-${end}/${size}` }],
  ["from the first byte on", { range: `bytes 0-${middle.length - 1}/${size}` }],
  ["to an earlier byte", { range: `bytes ${middle.offset}-${end - 1}/${size}` }],
  ["to a later byte", { range: `bytes ${middle.offset}-${end + 1}/${size}` }],
  ["of a size that does not hold it", { range: `bytes ${middle.offset}-${end}/${end}` }],
  ["of a range that could not be served", { range: `bytes */${size}` }],
  ["of another unit", { range: `items ${middle.offset}-${end}/${size}` }],
  [
    "with two Content-Ranges",
    (request) => ({ lines: [`Content-Range: bytes ${request.first}-${end}/${size}`] }),
  ],
  ["with a Content-Range that is none", { range: "nonsense" }],
  ["in parts", { range: false, lines: ["Content-Type: multipart/byteranges; boundary=x"] }],
  ["with gzip", { lines: ["Content-Encoding: gzip"] }],
  ["with gzip twice", { lines: ["Content-Encoding: identity, GZIP"] }],
  ["with an encoding nobody knows", { lines: ["Content-Encoding: xyz"] }],
];

/** Answers that arrive whole and are wrong. */
export function describeRefusals(suite: HttpRangeSuite): void {
  describe("an answer", () => {
    test.each(others)("%s is refused and not asked for again and again", async (_, changes) => {
      await using stage = await suite.open();
      stage.server.otherwise = (reply, request) =>
        partial(typeof changes === "function" ? changes(request) : changes)(reply, request);
      expect(await stage.refused()).toMatchObject({ code: "REGISTRY_PROTOCOL", retryable: false });
      expect(stage.server.requests.length).toBeLessThanOrEqual(3);
    });

    test("of all of the content with gzip is refused", async () => {
      await using stage = await suite.open();
      stage.server.otherwise = whole({ lines: ["Content-Encoding: gzip"] });
      expect((await stage.refused()).code).toBe("REGISTRY_PROTOCOL");
    });
  });
}
