import type { Command } from "commander";
import type { ModelLocations, NodeLocation } from "../../../kubernetes/cluster/model-locations.ts";
import { formatBytes, formatSeconds } from "../../amounts.ts";
import { addClusterFlags, type ClusterFlags, openCluster } from "../../cluster-flags.ts";
import { addJsonFlag, type OutputFlags } from "../../common-flags.ts";
import {
  addConnectionFlags,
  type ConnectionFlags,
  readConnection,
} from "../../connection-flags.ts";
import type { Output } from "../../output.ts";
import { formatTable } from "../../table.ts";
import type { Terminal } from "../../terminal.ts";
import { printable } from "../../text.ts";
import { addNamespaceFlag, type NamespaceFlag } from "./namespace-flag.ts";

interface LocateFlags extends OutputFlags, ClusterFlags, ConnectionFlags, NamespaceFlag {}

const examples = `
Examples:
  ballast cluster locate registry.example.com/team/llama:v1
  ballast cluster locate --json registry.example.com/team/llama:v1 | jq -r '.nodes[].node'

A tag is looked up in its registry, with your login. A model that is nowhere is an answer, and
no failure.`;

/** Adds `ballast cluster locate`. */
export function addLocate(cluster: Command, terminal: Terminal, output: Output): void {
  const command = cluster
    .command("locate")
    .summary("which nodes have a model, and who is fetching it")
    .description("Shows what each node of a cluster has of a model, as its reporter said last.")
    .argument("<REF>", "the model; with a digest no registry is asked")
    .addHelpText("after", examples);
  addClusterFlags(command);
  addNamespaceFlag(command);
  addConnectionFlags(command);
  addJsonFlag(command);
  command.action(async (reference: string, flags: LocateFlags) => {
    const { signal } = terminal;
    const connection = await readConnection(flags, terminal);
    const { resolveReference } = await import("../../../kubernetes/cluster/resolve-reference.ts");
    const digest = await resolveReference(reference, { ...connection, signal });
    using api = await openCluster(flags, "cluster");
    const { locateModel } = await import("../../../kubernetes/cluster/locate.ts");
    const { namespace } = flags;
    const found = await locateModel(api, { reference, digest, namespace, signal });
    if (flags.json === true) await output.printJson(found);
    else await output.print(...describeLocations(found));
  });
}

function describeLocations({ reference, digest, nodes, summary, next }: ModelLocations): string[] {
  const titles = ["NODE", "STATE", "HERE>", "RATE>", "SAID", "LABEL", "NODE IS", "USED BY>"];
  return [
    ...(nodes.length === 0 ? [] : [...formatTable(titles, nodes.map(describeNode)), ""]),
    printable(`${reference} is ${digest}`),
    summary,
    ...(next === undefined ? [] : [`next: ${printable(next)}`]),
  ];
}

function describeNode(location: NodeLocation): string[] {
  const { node, state, bytes, totalBytes, bytesPerSecond, pinned, mounts, labelled } = location;
  const share = totalBytes === undefined ? "" : ` of ${formatBytes(totalBytes)}`;
  return [
    printable(node),
    pinned ? `${state}, pinned` : state,
    `${formatBytes(bytes)}${share}`,
    bytesPerSecond === undefined ? "-" : `${formatBytes(bytesPerSecond)}/s`,
    `${formatSeconds(location.ageSeconds)} ago`,
    labelled === undefined ? "?" : labelled ? "yes" : "no",
    describeHealth(location),
    String(mounts),
  ];
}

function describeHealth({ nodeReady, reporterAlive }: NodeLocation): string {
  if (nodeReady === false) return "not ready";
  if (reporterAlive === false) return "silent: its reporter is dead";
  return nodeReady === undefined || reporterAlive === undefined ? "?" : "ready";
}
