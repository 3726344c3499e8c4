import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { toolPath } from "./programs.ts";

/** `bundle` is what cosign 3 writes, a referrer; `tag` what all before it wrote, under a tag. */
export type SignatureForm = "bundle" | "tag";

/** The real cosign with a key pair of its own, without a network. */
export interface Cosign {
  /** Signs `repository@digest`, without a transparency log. */
  sign(name: string, form: SignatureForm): Promise<void>;
  /** Rejects unless a signature of the key is there; resolves to what it says it signs. */
  verify(name: string, form: SignatureForm): Promise<readonly SignedClaim[]>;
}

interface SignedClaim {
  readonly critical: { readonly image: { readonly "docker-manifest-digest": string } };
}

/** Makes a key pair in `folder`, which is cosign's home too. */
export async function openCosign(folder: string): Promise<Cosign> {
  const run = async (...args: readonly string[]): Promise<string> => {
    // Without proxies, logins and whatever else the surroundings have.
    const env = { PATH: process.env["PATH"] ?? "", HOME: folder, COSIGN_PASSWORD: "" };
    const { stdout } = await promisify(execFile)(toolPath("cosign"), [...args], {
      cwd: folder,
      env,
      timeout: 60_000,
    });
    return stdout;
  };
  const format = (form: SignatureForm) => `--new-bundle-format=${form === "bundle"}`;
  await run("generate-key-pair");
  return {
    async sign(name, form) {
      const offline = ["--tlog-upload=false", "--use-signing-config=false"];
      await run("sign", "--yes", "--key", "cosign.key", ...offline, format(form), name);
    },
    async verify(name, form) {
      const offline = ["--insecure-ignore-tlog=true"];
      const found = await run("verify", "--key", "cosign.pub", ...offline, format(form), name);
      const claims: SignedClaim[] = JSON.parse(found);
      return claims;
    },
  };
}
