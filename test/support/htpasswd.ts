import { writeFile } from "node:fs/promises";
import { hash } from "bcryptjs";

/** Writes an htpasswd file as `htpasswd -B` does, with the lowest cost. */
export async function writeHtpasswd(
  path: string,
  passwords: Readonly<Record<string, string>>,
): Promise<void> {
  const lines = Object.entries(passwords).map(
    async ([user, password]) => `${user}:${(await hash(password, 4)).replace("$2b$", "$2y$")}\n`,
  );
  await writeFile(path, (await Promise.all(lines)).join(""));
}

/** The header of a login. */
export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}
