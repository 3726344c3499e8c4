import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toolPath } from "../../support/programs.ts";
import type { Command } from "../measure/measured-process.ts";
import { makeCommand, type PullJob } from "./client.ts";

/** As many connections as it opens to one server. */
const connections = 16;
/** Smaller files are not worth a second connection. */
const splitFromBytes = 1_048_576;

/** Downloads the same bytes by URL, over 16 connections in all, and hashes nothing. */
export async function downloadWithAria2c(job: PullJob): Promise<Command> {
  const { server, name, output, home, files } = job;
  const scheme = server.authorityFile === undefined ? "http" : "https";
  const repository = name.split(":")[0];
  const urls = files.map(({ hex, path }) =>
    [`${scheme}://${server.host}/v2/${repository}/blobs/sha256:${hex}`, `  out=${path}`].join("\n"),
  );
  const list = join(home, "urls");
  await writeFile(list, `${urls.join("\n")}\n`);
  const large = files.filter(({ size }) => size > splitFromBytes).length;
  const each = Math.ceil(connections / Math.max(1, large));
  const args = [
    "--quiet",
    "--no-conf",
    `--input-file=${list}`,
    `--dir=${output}`,
    `--max-concurrent-downloads=${files.length}`,
    `--max-connection-per-server=${each}`,
    `--split=${each}`,
    `--min-split-size=${splitFromBytes}`,
    "--file-allocation=none",
    ...(server.authorityFile === undefined ? [] : [`--ca-certificate=${server.authorityFile}`]),
  ];
  return makeCommand(toolPath("aria2c"), args, { home });
}
