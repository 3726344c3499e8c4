import { header } from "../../client/http/answer.ts";
import {
  cancelUpload,
  finishUpload,
  moveUpload,
  openUpload,
  readBack,
  sendChunk,
  takeUpload,
} from "../deeds.ts";
import { type Ground, makeContent } from "../ground.ts";
import type { OpenUpload } from "../ledger.ts";
import { type Probe, Unmet, yes } from "../probe.ts";
import { describe, type Said, want } from "../said.ts";

const chunkBytes = 4096;
const largeChunkBytes = 5_242_880;

/** How a blob gets in piece by piece. */
export const chunkProbes: readonly Probe[] = [
  {
    id: "chunks",
    title: "push of a blob in chunks",
    needed: "extra",
    writes: { blobBytes: 2 * chunkBytes },
    async run(ground) {
      const content = makeContent(2 * chunkBytes);
      const upload = await openSmallChunks(ground);
      await sendChunk(ground, upload, content.bytes.subarray(0, chunkBytes), 0);
      await sendChunk(ground, upload, content.bytes.subarray(chunkBytes), chunkBytes);
      await finishUpload(ground, upload, content);
      await readBack(ground, content);
      return yes;
    },
  },
  {
    id: "chunk-last",
    title: "the last chunk comes with the PUT",
    needed: "extra",
    writes: { blobBytes: 2 * chunkBytes },
    async run(ground) {
      const content = makeContent(2 * chunkBytes);
      const upload = await openSmallChunks(ground);
      await sendChunk(ground, upload, content.bytes.subarray(0, chunkBytes), 0);
      await finishUpload(ground, upload, content, {
        body: content.bytes.subarray(chunkBytes),
        headers: { "content-range": `${chunkBytes}-${2 * chunkBytes - 1}` },
      });
      await readBack(ground, content);
      return yes;
    },
  },
  {
    id: "chunk-progress",
    title: "each chunk is answered with how far the upload got",
    needed: "extra",
    writes: {},
    async run(ground) {
      const upload = await openSmallChunks(ground);
      const said = await sendChunk(ground, upload, makeContent(chunkBytes).bytes, 0);
      wantProgress(said);
      await cancelUpload(ground, upload);
      return yes;
    },
  },
  {
    id: "chunk-resume",
    title: "an upload that broke off goes on where GET says",
    needed: "extra",
    writes: { blobBytes: 2 * chunkBytes },
    async run(ground) {
      const content = makeContent(2 * chunkBytes);
      const upload = await openSmallChunks(ground);
      await sendChunk(ground, upload, content.bytes.subarray(0, chunkBytes), 0);
      const said = await ground.ask({ method: "GET", at: upload.url });
      want(said, 204);
      wantProgress(said);
      if (header(said, "location") !== undefined) moveUpload(ground, upload, said);
      await sendChunk(ground, upload, content.bytes.subarray(chunkBytes), chunkBytes);
      await finishUpload(ground, upload, content);
      await readBack(ground, content);
      return yes;
    },
  },
  {
    id: "chunk-order",
    title: "a chunk out of order is 416",
    needed: "extra",
    writes: {},
    async run(ground) {
      const upload = await openSmallChunks(ground);
      const said = await ground.ask({
        method: "PATCH",
        at: upload.url,
        headers: { "content-type": "application/octet-stream", "content-range": "100-199" },
        body: makeContent(100).bytes,
      });
      if (said.status === 202) moveUpload(ground, upload, said);
      await cancelUpload(ground, upload);
      want(said, 416);
      return yes;
    },
  },
  {
    id: "chunk-stream",
    title: "push of a blob as a stream, without a length",
    needed: "extra",
    writes: { blobBytes: chunkBytes },
    async run(ground) {
      const content = makeContent(chunkBytes);
      const upload = await openUpload(ground);
      const said = await ground.ask({
        method: "PATCH",
        at: upload.url,
        headers: { "content-type": "application/octet-stream" },
        async *body() {
          yield content.bytes.subarray(0, 1000);
          yield content.bytes.subarray(1000);
        },
      });
      want(said, 202);
      moveUpload(ground, upload, said);
      await finishUpload(ground, upload, content);
      await readBack(ground, content);
      return yes;
    },
  },
  {
    id: "chunk-large",
    title: "a chunk of 5 MiB",
    needed: "extra",
    writes: { blobBytes: largeChunkBytes },
    async run(ground) {
      const content = makeContent(largeChunkBytes);
      const upload = await openUpload(ground);
      await sendChunk(ground, upload, content.bytes, 0);
      await finishUpload(ground, upload, content);
      await readBack(ground, content);
      return yes;
    },
  },
];

/** Opens an upload in small chunks; ends the probe where the registry wants larger ones. */
async function openSmallChunks(ground: Ground): Promise<OpenUpload> {
  const said = await ground.ask({ method: "POST", at: "blobs/uploads/" });
  want(said, 202);
  const upload = takeUpload(ground, said);
  const least = Number(header(said, "oci-chunk-min-length") ?? 0);
  if (least <= chunkBytes) return upload;
  await cancelUpload(ground, upload);
  throw new Unmet("partly", "wants larger chunks than 4 KiB");
}

function wantProgress(said: Said): void {
  const range = header(said, "range")?.replace(/^bytes=/, "");
  if (range === undefined) throw new Unmet("no", `${describe(said)} without Range`);
  if (range !== `0-${chunkBytes - 1}`)
    throw new Unmet("wrong", `${said.status} with another Range`);
}
