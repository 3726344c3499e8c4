import type { Command } from "commander";
import { type AgentFlags, addRunFlag, openAgent } from "../agent-flags.ts";
import { formatBytes, formatSeconds } from "../amounts.ts";
import {
  addJsonFlag,
  addQuietFlag,
  addSelectionFlags,
  type OutputFlags,
  type SelectionFlags,
} from "../common-flags.ts";
import { followDelivery } from "../delivery-bar.ts";
import type { Output } from "../output.ts";
import { openReport } from "../report.ts";
import type { Terminal } from "../terminal.ts";

interface MountFlags extends AgentFlags, OutputFlags, SelectionFlags {
  readonly warm?: boolean | undefined;
}

const mountExamples = `
Examples:
  sudo ballast mount registry.example.com/team/llama:v1 /mnt/llama
  sudo ballast unmount /mnt/llama

The agent of this node brings the model and keeps it while it is mounted. The mount is
read-only for everybody; it stays when the agent is restarted.`;

/** Adds `ballast mount` and `ballast unmount`. */
export function addMount(program: Command, terminal: Terminal, output: Output): void {
  const mount = program
    .command("mount")
    .summary("show a model in a folder, read-only (root)")
    .description("Has the agent bring a model and mounts it, as a pod's volume is.")
    .argument("<REF>", "the model: HOST/REPOSITORY[:TAG][@DIGEST]")
    .argument("<DIR>", "an empty folder; made where missing")
    .option("--warm", "then read it into the page cache, in load order")
    .addHelpText("after", mountExamples);
  addSelectionFlags(mount);
  addRunFlag(mount);
  addQuietFlag(addJsonFlag(mount));
  mount.action(async (reference: string, directory: string, flags: MountFlags) => {
    const { mountModel } = await import("../mounting.ts");
    const agent = await openAgent(flags, terminal.environment);
    using report = openReport(terminal, flags);
    const { include, exclude, warm } = flags;
    const wanted = { reference, include, exclude, warm };
    const { signal, onProgress } = report.options;
    const listener = followDelivery(onProgress);
    const mounted = await mountModel(agent, directory, wanted, { signal, onProgress: listener });
    report.end();
    const { bytes, moved } = mounted;
    const how = moved === 0 ? "all here already" : `${formatBytes(moved)} fetched`;
    report.note(`mounted ${formatBytes(bytes)} in ${formatSeconds(report.seconds())}: ${how}`);
    await (flags.json === true ? output.printJson(mounted) : output.print(mounted.target));
  });
  const unmount = program
    .command("unmount")
    .summary("end a mount (root)")
    .description("Takes a mount away and tells the agent. Nothing happens where none is.")
    .argument("<DIR>", "the folder");
  addRunFlag(unmount);
  addQuietFlag(addJsonFlag(unmount));
  unmount.action(async (directory: string, flags: MountFlags) => {
    const { unmountModel } = await import("../mounting.ts");
    const agent = await openAgent(flags, terminal.environment);
    using report = openReport(terminal, flags);
    const done = await unmountModel(agent, directory, report.options);
    report.end();
    report.note(done.mounts === 0 ? "nothing was mounted there" : `unmounted ${done.target}`);
    if (flags.json === true) await output.printJson(done);
  });
}
