import { header } from "../../client/http/answer.ts";
import type { Content, Ground } from "../ground.ts";
import { type Finding, type Probe, Unmet, yes } from "../probe.ts";
import { type Said, want } from "../said.ts";
import { askBlob } from "./blobs.ts";

/** Smaller blobs have no room for the ranges that are asked for. */
const leastBytes = 200;

/** Which parts of a blob can be had. */
export const rangeProbes: readonly Probe[] = [
  {
    id: "range",
    title: "GET of a range in a blob",
    needed: "fast",
    run: (ground) => askRange(ground, "100-149", (size) => [100, Math.min(149, size - 1)]),
  },
  {
    id: "range-open",
    title: "GET from somewhere to the end",
    needed: "fast",
    run: (ground) => askRange(ground, "100-", (size) => [100, size - 1]),
  },
  {
    id: "range-suffix",
    title: "GET of the last bytes",
    needed: "extra",
    run: (ground) => askRange(ground, "-50", (size) => [size - 50, size - 1]),
  },
  {
    id: "range-long",
    title: "a range that ends behind the blob ends with it",
    needed: "extra",
    run: (ground) => askRange(ground, "100-99999999", (size) => [100, size - 1]),
  },
  {
    id: "range-beyond",
    title: "a range behind the blob is 416",
    needed: "extra",
    async run(ground) {
      const blob = longEnough(ground);
      const size = blob.bytes.byteLength;
      const said = await sendRange(ground, blob, `${size}-${size + 9}`);
      refuseWhole(said);
      want(said, 416);
      return yes;
    },
  },
  {
    id: "range-several",
    title: "GET of two ranges at once",
    needed: "extra",
    async run(ground) {
      const blob = longEnough(ground);
      const said = await sendRange(ground, blob, "0-19,100-119");
      if (said.status === 200) return { result: "partly", said: "200 with the whole blob" };
      want(said, 206);
      const type = header(said, "content-type") ?? "";
      if (!/^multipart\/byteranges/i.test(type))
        return { result: "partly", said: "206 with one range" };
      const parts = [blob.bytes.subarray(0, 20), blob.bytes.subarray(100, 120)];
      return parts.every((part) => said.body.includes(part))
        ? yes
        : { result: "wrong", said: "206 with other bytes" };
    },
  },
];

/** Asks for a range and compares it with the blob; `bounds` are its first and last byte. */
async function askRange(
  ground: Ground,
  range: string,
  bounds: (size: number) => readonly [number, number],
): Promise<Finding> {
  const blob = longEnough(ground);
  const size = blob.bytes.byteLength;
  const [first, last] = bounds(size);
  const said = await sendRange(ground, blob, range);
  refuseWhole(said);
  want(said, 206);
  const stated = header(said, "content-range");
  if (stated === undefined) return { result: "wrong", said: "206 without Content-Range" };
  if (stated !== `bytes ${first}-${last}/${size}` && stated !== `bytes ${first}-${last}/*`)
    return { result: "wrong", said: "206 with another Content-Range" };
  if (!said.body.equals(blob.bytes.subarray(first, last + 1)))
    return { result: "wrong", said: "206 with other bytes" };
  return yes;
}

function sendRange(ground: Ground, { digest }: Content, range: string): Promise<Said> {
  return askBlob(ground, digest, "GET", { headers: { range: `bytes=${range}` } });
}

function refuseWhole({ status }: Said): void {
  if (status === 200) throw new Unmet("no", "200 with the whole blob");
}

function longEnough(ground: Ground): Content {
  const blob = ground.wantBlob();
  if (blob.bytes.byteLength < leastBytes) throw new Unmet("skipped", "no blob is long enough");
  return blob;
}
