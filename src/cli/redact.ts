import type { Environment } from "./terminal.ts";

const secretVariables = ["BALLAST_PASSWORD", "BALLAST_TOKEN"];

/**
 * Takes credentials out of text that is to be shown: values of the secret variables, users and
 * queries in URLs, authorization headers, anything that looks like a token in JSON.
 */
export function redact(text: string, environment: Environment): string {
  const secrets = secretVariables.flatMap((name) => environment[name] || []);
  return secrets
    .reduce((rest, secret) => rest.replaceAll(secret, "***"), text)
    .replace(/\/\/[^/\s@"']+@/g, "//***@")
    .replace(/(\bhttps?:\/\/[^\s?"'`<>]*)\?[^\s"'`<>)]*/gi, "$1?***")
    .replace(/\b(basic|bearer)\s+[\w.~+/=-]{4,}/gi, "$1 ***")
    .replace(
      /("?\b(?:\w*_)?(?:authorization|password|passwd|secret|token|identitytoken)"?\s*[:=]\s*"?)[^\s",;}]+/gi,
      "$1***",
    );
}
