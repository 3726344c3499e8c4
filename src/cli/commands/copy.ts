import type { Command } from "commander";
import { ModelError } from "../../core/errors.ts";
import type { ConnectionOptions } from "../../model/connection.ts";
import type { CopyResult } from "../../model/copy.ts";
import { formatBytes, formatCount, formatSeconds } from "../amounts.ts";
import { addJsonFlag, addQuietFlag, type OutputFlags } from "../common-flags.ts";
import { readConnection, readLogin } from "../connection-flags.ts";
import { collect } from "../flag-values.ts";
import { refuseMistake } from "../mistakes.ts";
import type { Output } from "../output.ts";
import { openReport } from "../report.ts";
import type { Terminal } from "../terminal.ts";
import { readTransfer, type TransferFlags } from "../transfer-flags.ts";

interface SideFlags {
  readonly username: string | undefined;
  readonly passwordStdin: boolean | undefined;
  readonly plainHttp: boolean | undefined;
}

interface CopyFlags extends OutputFlags, Pick<TransferFlags, "connections"> {
  readonly allTags?: boolean | undefined;
  readonly referrers: boolean;
  readonly platform?: string | undefined;
  readonly overwrite: boolean;
  readonly dryRun?: boolean | undefined;
  readonly caFile?: readonly string[] | undefined;
  readonly fromUsername?: string | undefined;
  readonly fromPasswordStdin?: boolean | undefined;
  readonly fromPlainHttp?: boolean | undefined;
  readonly toUsername?: string | undefined;
  readonly toPasswordStdin?: boolean | undefined;
  readonly toPlainHttp?: boolean | undefined;
  readonly toRegistryProfile?: string | undefined;
}

const examples = `
Examples:
  ballast copy registry.example.com/team/llama:v1 mirror.example.com/team/llama
  ballast copy registry.example.com/team/llama oci:./carried --all-tags
  ballast copy oci:./carried:v1 lab.example.com/team/llama:v1

A killed copy loses nothing: run it again and it moves only what is missing.`;

/** Adds `ballast copy`. */
export function addCopy(program: Command, terminal: Terminal, output: Output): void {
  const command = program
    .command("copy")
    .summary("copy a model, image or any artifact with its signatures to another place")
    .description(
      "Copies what SOURCE names to TARGET as it is, every platform of it and all that refers to it: signatures, indexes, SBOMs. Only what is missing moves, every byte is verified, digests stay. Prints the names at the target with their digests.",
    )
    .argument(
      "<SOURCE>",
      "what to copy: HOST/REPOSITORY:TAG, HOST/REPOSITORY@DIGEST or oci:DIR:TAG",
    )
    .argument(
      "<TARGET>",
      "where to: HOST/REPOSITORY[:TAG] or oci:DIR[:TAG]; default the source's tag",
    )
    .addHelpText("after", examples);
  addCopyFlags(command);
  addQuietFlag(addJsonFlag(command));
  command.action(async (source: string, target: string, flags: CopyFlags) => {
    refuseMistake("copy", [source, target]);
    const { allTags, referrers, platform, dryRun } = flags;
    const choices = { allTags, referrers, platform, dryRun, noOverwrite: !flags.overwrite };
    const access = await readAccess(flags, terminal);
    const transfer = readTransfer(flags);
    const { copy } = await import("../../model/copy.ts");
    using report = openReport(terminal, flags);
    const result = await copy({
      source,
      target,
      ...choices,
      ...access,
      transfer,
      ...report.options,
    });
    report.end();
    report.note(...describeCopy(result, report.seconds()));
    const names = result.copies.map(({ name }) => name);
    await (flags.json === true ? output.printJson(result) : output.print(...new Set(names)));
  });
}

function addCopyFlags(command: Command): void {
  command
    .optionsGroup("What is copied:")
    .option("--all-tags", "every tag of SOURCE; neither side names one")
    .option("--no-referrers", "leave signatures and all else that refers to it behind")
    .option(
      "--platform <OS/ARCH>",
      "of an image index only this platform; its digest is another one",
    )
    .option("--no-overwrite", "fail when a tag of TARGET names other content already")
    .option("--dry-run", "ask both sides, but send nothing")
    .optionsGroup("Reaching the registries:")
    .option("--from-username <NAME>", "log in to the source; needs --from-password-stdin")
    .option("--from-password-stdin", "read the source's password from standard input")
    .option("--from-plain-http", "speak HTTP without TLS to the source")
    .option("--no-from-plain-http", "speak TLS to the source on a loopback host too")
    .option("--to-username <NAME>", "log in to the target; needs --to-password-stdin")
    .option("--to-password-stdin", "read the target's password from standard input")
    .option("--to-plain-http", "speak HTTP without TLS to the target")
    .option("--no-to-plain-http", "speak TLS to the target on a loopback host too")
    .option(
      "--to-registry-profile <NAME>",
      "what the target takes, where its host does not tell: ecr, acr-premium, harbor, ...",
    )
    .option(
      "--ca-file <FILE>",
      "trust the CA certificates in this PEM file too; repeatable",
      collect,
    )
    .optionsGroup("How fast, at what cost:")
    .option("--connections <N>", "most blobs under way at once (default: 4)");
}

async function readAccess(
  flags: CopyFlags,
  terminal: Terminal,
): Promise<ConnectionOptions & { from: ConnectionOptions; to: ConnectionOptions }> {
  const { caFile, toRegistryProfile } = flags;
  const named = { caFile, registryProfile: toRegistryProfile };
  const { ca, environment, registryProfile } = await readConnection(named, terminal);
  if (flags.fromPasswordStdin === true && flags.toPasswordStdin === true)
    throw new ModelError("INVALID_ARGUMENT", "standard input holds one password, not two", {
      hint: "log in to one of them before: ballast login",
    });
  const from = {
    username: flags.fromUsername,
    passwordStdin: flags.fromPasswordStdin,
    plainHttp: flags.fromPlainHttp,
  };
  const to = {
    username: flags.toUsername,
    passwordStdin: flags.toPasswordStdin,
    plainHttp: flags.toPlainHttp,
  };
  return {
    ca,
    environment,
    from: await readSide("from", from, terminal),
    to: { ...(await readSide("to", to, terminal)), registryProfile },
  };
}

async function readSide(
  side: "from" | "to",
  { username, passwordStdin, plainHttp }: SideFlags,
  terminal: Terminal,
): Promise<ConnectionOptions> {
  if ((username === undefined) !== (passwordStdin === undefined)) {
    const message = `a login needs both --${side}-username and --${side}-password-stdin`;
    throw new ModelError("INVALID_ARGUMENT", message, {
      hint: `for example: ballast copy --${side}-username me --${side}-password-stdin SOURCE TARGET < password.txt`,
    });
  }
  const credentials = await readLogin({ username, passwordStdin }, terminal);
  return { ...(credentials === undefined ? {} : { credentials }), plainHttp };
}

/** The summary of a copy, in lines. */
function describeCopy(result: CopyResult, seconds: number): string[] {
  const { copies, manifests, referrers, blobs, bytes, bounds, dryRun } = result;
  const [done, sent] = dryRun ? ["would copy", "to send"] : ["copied", "sent"];
  const moved = copies.flatMap(({ tag, previousDigest, digest }) =>
    previousDigest === undefined
      ? []
      : [`${tag} ${dryRun ? "would move" : "moved"}: ${previousDigest} -> ${digest}`],
  );
  const attached = formatCount(referrers.total, "referrer");
  const parts = [
    `${sent}: ${formatBytes(bytes.moved)} in ${blobs.moved} of ${formatCount(blobs.total, "blob")}`,
    ...(blobs.mounted > 0 ? [`without sending: ${formatBytes(bytes.mounted)}`] : []),
    `there already: ${formatBytes(bytes.there)}`,
    ...(blobs.leftOut > 0 ? [`left out: ${formatCount(blobs.leftOut, "blob")}`] : []),
    `manifests: ${manifests.moved + referrers.moved} of ${manifests.total + referrers.total}`,
  ];
  return [
    ...moved,
    `${done} ${formatCount(manifests.total, "manifest")} and ${attached} in ${formatSeconds(seconds)}`,
    `  ${parts.join("; ")}`,
    ...bounds.map((bound) => `  ${bound}`),
  ];
}
