import type { Command } from "commander";
import { pathExists } from "../../core/absence.ts";
import type { AttachedManifest } from "../../model/attached.ts";
import type { InspectedFile, InspectResult } from "../../model/inspect.ts";
import { formatBytes, formatCount } from "../amounts.ts";
import { addJsonFlag, addStoreFlag, type OutputFlags, storeRoot } from "../common-flags.ts";
import { addConnectionFlags, type ConnectionFlags, readConnection } from "../connection-flags.ts";
import type { Output } from "../output.ts";
import { openReport } from "../report.ts";
import { formatTable } from "../table.ts";
import type { Terminal } from "../terminal.ts";
import { printable } from "../text.ts";

interface InspectFlags extends OutputFlags, ConnectionFlags {
  readonly tensors?: boolean | undefined;
  readonly store?: string | undefined;
}

const examples = `
Examples:
  ballast inspect registry.example.com/team/llama:v1
  ballast inspect --tensors oci:./exported:v1
  ballast inspect --json registry.example.com/team/llama:v1 | jq -r '.files[].path'`;

/** Adds `ballast inspect`. */
export function addInspect(program: Command, terminal: Terminal, output: Output): void {
  const command = program
    .command("inspect")
    .summary("show what a model consists of, without fetching it")
    .description(
      "Shows files, chunks, layers, license and base of a model, what is attached to it (signatures, SBOMs; not verified), and how much of it is in the store already. Fetches only manifests, the index and the headers of tensor files.",
    )
    .argument("<REF>", "the model")
    .option("--tensors", "list every tensor too")
    .addHelpText("after", examples);
  addStoreFlag(command, "the store to compare with; default: the usual one");
  addConnectionFlags(command);
  addJsonFlag(command);
  command.action(async (reference: string, flags: InspectFlags) => {
    const connection = await readConnection(flags, terminal);
    const root = storeRoot(flags.store, terminal.environment);
    const store = (await pathExists(root)) ? root : undefined;
    const { inspect } = await import("../../model/inspect.ts");
    using report = openReport(terminal, {});
    const result = await inspect({ reference, store, ...connection, ...report.options });
    report.end();
    if (flags.json === true) await output.printJson(result);
    else await output.print(...describeModel(result, flags.tensors === true));
  });
}

function describeModel(result: InspectResult, withTensors: boolean): string[] {
  const { files, annotations } = result;
  const keys = Object.keys(annotations).sort();
  const width = Math.max(0, ...keys.map((key) => key.length));
  return [
    result.name,
    ...describeFacts(result),
    ...(keys.length === 0 ? [] : ["", "ANNOTATIONS"]),
    ...keys.map((key) => printable(`${key.padEnd(width)}  ${annotations[key] ?? ""}`)),
    ...describeAttached(result.attached ?? []),
    "",
    ...formatTable(
      ["SIZE>", "CHUNKS>", "TENSORS>", "FILE"],
      files.map((file) => [
        formatBytes(file.size),
        String(file.chunks),
        file.tensors === undefined ? "-" : String(file.tensors.length),
        printable(file.path),
      ]),
    ),
    ...(withTensors ? files.flatMap(describeTensors) : []),
  ];
}

function describeFacts(result: InspectResult): string[] {
  const { files, chunks, layers, bytes, here } = result;
  const counts = [
    formatCount(files.length, "file"),
    formatCount(chunks, "chunk"),
    formatCount(layers.length, "layer"),
  ];
  const layerBytes = layers.reduce((sum, layer) => sum + layer.size, 0);
  const unused = layers.reduce((sum, layer) => sum + layer.size - layer.liveBytes, 0);
  const facts: (readonly [string, string | undefined])[] = [
    ["type", result.artifactType],
    ["tree", result.treeId],
    ["size", `${formatBytes(bytes)} in ${counts.join(", ")}`],
    ["layers", `${formatBytes(layerBytes)}, of which ${formatBytes(unused)} are of no use here`],
    ["license", result.license],
    ["base model", result.baseModel],
    [
      "here",
      here && (here.complete ? "all of it" : `${formatBytes(here.bytes)} of ${formatBytes(bytes)}`),
    ],
  ];
  return facts.flatMap(([name, value]) =>
    value === undefined ? [] : [`  ${name.padEnd(11)} ${printable(value)}`],
  );
}

/** Says what is there, and that this proves nothing. */
function describeAttached(attached: readonly AttachedManifest[]): string[] {
  if (attached.length === 0) return [];
  const rows = attached.map(({ size, created, kind, digest }) => [
    formatBytes(size),
    printable(created ?? "-"),
    digest,
    printable(kind),
  ]);
  return ["", ...formatTable(["SIZE>", "CREATED", "DIGEST", "ATTACHED (NOT VERIFIED)"], rows)];
}

function describeTensors(file: InspectedFile): string[] {
  if (file.tensors === undefined) return [];
  const rows = file.tensors.map(({ name, dtype, shape, size }) => [
    formatBytes(size),
    dtype,
    `[${shape.join(", ")}]`,
    printable(name),
  ]);
  return ["", printable(file.path), ...formatTable(["SIZE>", "TYPE", "SHAPE", "TENSOR"], rows)];
}
