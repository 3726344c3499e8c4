import {
  cancelUpload,
  finishUpload,
  moveUpload,
  openUpload,
  putBlob,
  readBack,
  takeUpload,
  withDigest,
} from "../deeds.ts";
import { makeContent } from "../ground.ts";
import { type Probe, yes } from "../probe.ts";
import { describe, want } from "../said.ts";

const sampleBytes = 16_384;
const smallBytes = 1024;
const atOnce = 4;

/** How a blob gets in as a whole. */
export const uploadProbes: readonly Probe[] = [
  {
    id: "upload",
    title: "push of a blob by POST and PUT",
    needed: "push",
    writes: { blobBytes: sampleBytes },
    async run(ground) {
      const content = makeContent(sampleBytes);
      const said = await putBlob(ground, content);
      await readBack(ground, content);
      ground.site.blob = content;
      return said.status === 201 ? yes : { result: "partly", said: describe(said) };
    },
  },
  {
    id: "upload-verified",
    title: "bytes that are not those of their digest are refused",
    needed: "extra",
    writes: { blobBytes: smallBytes },
    async run(ground) {
      const { digest } = makeContent(smallBytes);
      const { bytes } = makeContent(smallBytes);
      const upload = await openUpload(ground);
      ground.site.ledger.noteBlob({ digest, size: smallBytes, where: "here" });
      // Bytes that came with a PATCH are known to the session, which can be given up then.
      const sent = await ground.ask({
        method: "PATCH",
        at: upload.url,
        headers: { "content-type": "application/octet-stream" },
        body: bytes,
      });
      if (sent.status === 202) moveUpload(ground, upload, sent);
      const said = await ground.ask({
        method: "PUT",
        at: withDigest(upload.url, digest),
        body: sent.status === 202 ? Buffer.alloc(0) : bytes,
      });
      if (said.status < 300) return { result: "wrong", said: `${said.status} for other bytes` };
      want(said, 400);
      return yes;
    },
  },
  {
    id: "upload-post",
    title: "push of a blob by one POST",
    needed: "extra",
    writes: { blobBytes: smallBytes },
    async run(ground) {
      const content = makeContent(smallBytes);
      const { digest, bytes } = content;
      const { ledger } = ground.site;
      ledger.noteBlob({ digest, size: smallBytes, where: "here" });
      const said = await ground.ask({
        method: "POST",
        at: `blobs/uploads/?digest=${digest}`,
        headers: { "content-type": "application/octet-stream" },
        body: bytes,
      });
      if (said.status === 202) {
        await cancelUpload(ground, takeUpload(ground, said));
        return { result: "no", said: "202: wants a PUT besides" };
      }
      want(said, 201);
      await readBack(ground, content);
      return yes;
    },
  },
  {
    id: "upload-at-once",
    title: "several pushes at once, two of them of the same blob",
    needed: "push",
    writes: { blobBytes: atOnce * smallBytes },
    async run(ground) {
      const contents = Array.from({ length: atOnce }, () => makeContent(smallBytes));
      const all = [...contents, ...contents.slice(0, 1)];
      const done = await Promise.allSettled(all.map((content) => putBlob(ground, content)));
      const failed = done.find((each) => each.status === "rejected");
      if (failed !== undefined) throw failed.reason;
      for (const content of contents) await readBack(ground, content);
      return yes;
    },
  },
  {
    id: "upload-cancel",
    title: "an upload can be given up",
    needed: "extra",
    writes: {},
    async run(ground) {
      const upload = await openUpload(ground);
      const said = await cancelUpload(ground, upload);
      want(said, 204, 202, 200);
      const after = await ground.ask({ method: "GET", at: upload.url });
      want(after, 404);
      return yes;
    },
  },
  {
    id: "upload-again",
    title: "a blob that is there can be pushed again",
    needed: "push",
    writes: {},
    async run(ground) {
      const blob = ground.wantBlob();
      const upload = await openUpload(ground);
      await finishUpload(ground, upload, blob, { body: blob.bytes });
      await readBack(ground, blob);
      return yes;
    },
  },
];
