import { repositoryScope } from "../../client/auth/scope.ts";
import { cancelUpload, putBlob, readBack, takeUpload } from "../deeds.ts";
import { type Ground, makeContent } from "../ground.ts";
import { type Finding, type Probe, Unmet, yes } from "../probe.ts";
import { type Said, want } from "../said.ts";

const mountedBytes = 1024;

/** How a blob gets in from another repository of the registry. */
export const mountProbes: readonly Probe[] = [
  {
    id: "mount",
    title: "mount of a blob from another repository",
    needed: "fast",
    writes: { blobBytes: 2 * mountedBytes },
    run: (ground) => mount(ground, true),
  },
  {
    id: "mount-anywhere",
    title: "mount of a blob without saying from where",
    needed: "extra",
    writes: { blobBytes: 2 * mountedBytes },
    run: (ground) => mount(ground, false),
  },
  {
    id: "mount-missing",
    title: "mount of a blob that is not there goes on as an upload",
    needed: "push",
    writes: {},
    async run(ground) {
      const { digest } = makeContent(mountedBytes);
      const { repository } = ground.site.way.session;
      const said = await askMount(
        ground,
        digest,
        ground.site.other?.session.repository ?? repository,
      );
      if (said.status === 201) return { result: "wrong", said: "201 for what is not there" };
      want(said, 202);
      await cancelUpload(ground, takeUpload(ground, said));
      return yes;
    },
  },
];

async function mount(ground: Ground, withSource: boolean): Promise<Finding> {
  const { other, ledger } = ground.site;
  if (other === undefined) throw new Unmet("skipped", "no second repository was named");
  const content = makeContent(mountedBytes);
  await putBlob(ground, content, "other");
  const { digest, bytes } = content;
  ledger.noteBlob({ digest, size: bytes.byteLength, where: "here" });
  const said = await askMount(ground, digest, withSource ? other.session.repository : undefined);
  if (said.status === 202) {
    await cancelUpload(ground, takeUpload(ground, said));
    return { result: "no", said: "202: wants it to be uploaded" };
  }
  want(said, 201);
  await readBack(ground, content);
  return yes;
}

function askMount(ground: Ground, digest: string, from: string | undefined): Promise<Said> {
  const { session } = ground.site.way;
  const url = session.url("blobs/uploads/");
  url.searchParams.set("mount", digest);
  if (from !== undefined) url.searchParams.set("from", from);
  const scopes = from === undefined ? [] : [repositoryScope(from, false)];
  return ground.ask({ method: "POST", at: url, scopes: [...session.scopes, ...scopes] });
}
