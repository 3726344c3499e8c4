import { buffer } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { extract } from "tar-stream";
import { describe, expect, test } from "vitest";
import { type ImageFile, textFile } from "../../../deploy/package/image-file.ts";
import { packLayer } from "../../../deploy/package/layer.ts";
import { digestOf } from "../../../src/core/digest.ts";

const program: ImageFile = {
  path: "usr/bin/run",
  kind: "file",
  bytes: Buffer.from("#!/bin/sh\n"),
  executable: true,
};
const files: readonly ImageFile[] = [
  program,
  { path: "bin/run", kind: "link", target: "/usr/bin/run" },
  { path: "usr", kind: "folder" },
  textFile("etc/long/" + "n".repeat(120), "a long name"),
];

/** What is in the archive, a line each. */
async function list(archive: Buffer): Promise<string[]> {
  const lines: string[] = [];
  const entries = extract();
  entries.end(gunzipSync(archive));
  for await (const entry of entries) {
    const { name, type, mode, uid, gid, mtime, linkname } = entry.header;
    const text = (await buffer(entry)).toString();
    const owner = `${uid}:${gid} ${mtime.getTime()}`;
    lines.push(`${type} ${name.slice(0, 12)} ${mode.toString(8)} ${owner} ${linkname ?? text}`);
  }
  return lines;
}

describe("a layer of the image", () => {
  test("holds files of root's and of no time, sorted, below the folders they are in", async () => {
    const { bytes, digest } = await packLayer(files);
    expect(digest).toBe(digestOf(bytes));
    expect(await list(bytes)).toEqual([
      "directory bin 755 0:0 0 ",
      "symlink bin/run 777 0:0 0 /usr/bin/run",
      "directory etc 755 0:0 0 ",
      "directory etc/long 755 0:0 0 ",
      "file etc/long/nnn 644 0:0 0 a long name",
      "directory usr 755 0:0 0 ",
      "directory usr/bin 755 0:0 0 ",
      "file usr/bin/run 755 0:0 0 #!/bin/sh\n",
    ]);
  });

  test("is the same, whatever order its files come in", async () => {
    const { digest, diffId, bytes } = await packLayer(files);
    expect(await packLayer(files.toReversed())).toMatchObject({ digest, diffId });
    expect(diffId).toBe(digestOf(gunzipSync(bytes)));
    expect((await packLayer(files.slice(1))).digest).not.toBe(digest);
  });

  test.each([
    ["a path that is there twice", [program, program]],
    ["a file where others need a folder", [program, textFile("usr/bin", "x")]],
  ])("is not made of %s", async (_, wrong) => {
    await expect(packLayer(wrong)).rejects.toThrow(/twice|is no folder/);
  });
});
