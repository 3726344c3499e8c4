import { writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** Writes `config.json` into `folder` (the value of DOCKER_CONFIG), with a login for each host. */
export async function writeDockerConfig(
  folder: string,
  logins: Readonly<Record<string, Credentials>>,
): Promise<void> {
  const auths = Object.entries(logins).map(([host, { username, password }]) => {
    const auth = Buffer.from(`${username}:${password}`).toString("base64");
    return [host, { auth }];
  });
  const text = JSON.stringify({ auths: Object.fromEntries(auths) });
  await writeFile(join(folder, "config.json"), text);
}
