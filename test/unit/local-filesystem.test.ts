import { expect, test } from "vitest";
import { networkOfType, networkProgram } from "../../src/store/local-filesystem.ts";

const mountInfo = `22 27 0:21 / /proc rw,relatime - proc proc rw
40 27 0:39 / /mnt/remote rw,nosuid,nodev,relatime shared:5 - fuse.sshfs me@host:/a rw,user_id=0,group_id=0
41 27 0:40 / /mnt/pool rw,relatime - fuse.mergerfs a:b rw,user_id=0
42 27 259:300 / /mnt/ntfs rw,relatime - fuseblk /dev/nvme0n1p3 rw,user_id=0
43 27 0:41 / /mnt/bucket rw,relatime - fuse mountpoint-s3 rw,user_id=0
44 27 0:42 / /mnt/with\\040space rw,relatime master:1 propagate_from:2 - fuse.JuiceFS JuiceFS:data rw
45 27 0:43 / /mnt/glue rw,relatime - fuse.glusterfs server:/v rw
46 27 0:44 / /mnt/own rw,relatime - fuse /usr/bin/my-own-fs rw
47 27 0:700 / /mnt/far rw,relatime - fuse.rclone remote: rw
`;

/** As stat(2) numbers devices. */
function device(major: number, minor: number): number {
  const low = (minor & 0xff) + ((major & 0xfff) << 8) + (minor >>> 8) * 2 ** 20;
  return low + (major >>> 12) * 2 ** 44;
}

test.each([
  [0x6969, "NFS"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB"],
  [0x01021997, "9p"],
  [0x00c36400, "Ceph"],
  [0x0bd00bd0, "Lustre"],
  [0x47504653, "GPFS"],
])("statfs type 0x%s is %s", (type, name) => {
  expect(networkOfType(type)).toBe(name);
});

test.each([
  ["ext4", 0xef53],
  ["XFS", 0x58465342],
  ["btrfs", 0x9123683e],
  ["tmpfs", 0x01021994],
  ["overlay", 0x794c7630],
  ["ZFS", 0x2fc12fc1],
])("%s is local", (_, type) => {
  expect(networkOfType(type)).toBeUndefined();
});

test.each([
  ["a subtype", 0, 39, "sshfs"],
  ["a local program", 0, 40, undefined],
  ["a local disk through FUSE", 259, 300, undefined],
  ["a source without a subtype", 0, 41, "mountpoint-s3"],
  ["capitals and optional fields", 0, 42, "JuiceFS"],
  ["another subtype", 0, 43, "glusterfs"],
  ["a program nobody knows", 0, 44, undefined],
  ["a minor number above 255", 0, 700, "rclone"],
  ["a mount that is not listed", 0, 99, undefined],
])("finds the program behind a FUSE mount: %s", (_, major, minor, program) => {
  expect(networkProgram(mountInfo, device(major, minor))).toBe(program);
});

test("finds none where the system does not list its mounts", () => {
  expect(networkProgram("", device(0, 39))).toBeUndefined();
});
