import { expect, test } from "vitest";
import { parseMountTable, readMountTable } from "../../src/mount/mount-table.ts";

test("a line with optional fields is read", () => {
  const line =
    "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n";
  expect(parseMountTable(line)).toEqual([
    {
      id: 36,
      parentId: 35,
      root: "/mnt1",
      mountPoint: "/mnt2",
      options: ["rw", "noatime"],
      filesystem: "ext3",
      source: "/dev/root",
      superOptions: ["rw", "errors=continue"],
    },
  ]);
});

test("octal escapes in paths are the characters they stand for, a dash is no end of fields", () => {
  const line = "1 2 0:1 /a\\040b/- /c\\011\\012\\134\\043/- ro - fuse.x a\\040b ro\n";
  expect(parseMountTable(line)).toMatchObject([
    { root: "/a b/-", mountPoint: "/c\t\n\\#/-", options: ["ro"], source: "a b" },
  ]);
});

test.each([[""], ["\n"], ["1 2 3"], ["1 2 0:1 / / rw shared:1"], ["1 2 0:1 / / rw - ext4"]])(
  "%j is no line",
  (line) => {
    expect(parseMountTable(line)).toEqual([]);
  },
);

test.skipIf(process.platform !== "linux")("this process sees a root", async () => {
  expect(await readMountTable()).toContainEqual(expect.objectContaining({ mountPoint: "/" }));
});
