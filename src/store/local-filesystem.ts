import { readFile, stat, statfs } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";

/** Filesystems whose files are on other machines, by statfs(2)'s f_type: statfs(2), linux/magic.h. */
const networkTypes = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB"],
  [0x01021997, "9p"],
  [0x00c36400, "Ceph"],
  [0x5346414f, "AFS"],
  [0x6b414653, "AFS"],
  [0x73757245, "Coda"],
  [0x564c, "NCP"],
  [0x0bd00bd0, "Lustre"],
  [0x47504653, "GPFS"],
  [0x19830326, "BeeGFS"],
  [0x20030528, "OrangeFS"],
  [0xaad7aaea, "PanFS"],
  [0x013111a8, "IBRIX"],
  [0x01161970, "GFS2"],
  [0x7461636f, "OCFS2"],
  [0x786f4256, "VirtualBox shared folders"],
  [0xbacbacbc, "VMware shared folders"],
]);

const fuseType = 0x65735546;

/** Programs that show what is on other machines through FUSE, as they name themselves. */
const networkPrograms: ReadonlySet<string> = new Set(
  `
  sshfs s3fs gcsfuse mountpoint-s3 goofys geesefs rclone juicefs blobfuse blobfuse2 ossfs ossfs2 cosfs obsfs
  s3ql davfs davfs2 webdavfs curlftpfs smbnetfs fuse-nfs ceph-fuse glusterfs mfs moosefs lizardfs saunafs
  seaweedfs weed alluxio alluxio-fuse curvefs cubefs hdfs fuse_dfs beegfs cvmfs cvmfs2 xrootdfs wekafs
  google-drive-ocamlfuse onedriver hf-mount
  `
    .trim()
    .split(/\s+/),
);

/**
 * Names the network filesystem that holds `path`, or will: the folder above it that is there is
 * asked. Undefined for local ones, and for FUSE programs that nobody here knows.
 */
export async function findNetworkFilesystem(path: string): Promise<string | undefined> {
  const found = await statfs(path).catch(undefinedIfMissing);
  if (found === undefined) return findNetworkFilesystem(dirname(path));
  if (found.type !== fuseType) return networkOfType(found.type);
  const mounts = await readFile("/proc/self/mountinfo", "utf8").catch(undefinedIfMissing);
  return networkProgram(mounts ?? "", (await stat(path)).dev);
}

/** The name of a network filesystem by statfs(2)'s f_type. */
export function networkOfType(type: number): string | undefined {
  return networkTypes.get(type);
}

/** The network program behind the FUSE mount with device number `dev`; see proc_pid_mountinfo(5). */
export function networkProgram(mountInfo: string, dev: number): string | undefined {
  for (const line of mountInfo.split("\n")) {
    const [mount = "", filesystem = ""] = line.split(" - ");
    if (mount.split(" ")[2] !== deviceName(dev)) continue;
    const [type = "", source = ""] = filesystem.split(" ");
    const [kind, ...subtype] = type.split(".");
    // Without a subtype (`fuse.sshfs`) the source is the program's name.
    const program = subtype.length > 0 ? subtype.join(".") : basename(source);
    if (kind === "fuse" && networkPrograms.has(program.toLowerCase())) return program;
  }
  return undefined;
}

/** `major:minor` of a device number as stat(2) gives it. */
function deviceName(dev: number): string {
  const [low, high] = [dev % 2 ** 32, Math.floor(dev / 2 ** 32)];
  const major = ((low >>> 8) & 0xfff) + (high >>> 12) * 4096;
  const minor = (low & 0xff) + ((low >>> 12) & 0xf_ff00);
  return `${major}:${minor}`;
}
