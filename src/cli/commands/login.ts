import { type Command, Option } from "commander";
import { ModelError } from "../../core/errors.ts";
import type { LoginResult, LogoutResult } from "../../model/login.ts";
import { addJsonFlag, addQuietFlag, type OutputFlags } from "../common-flags.ts";
import {
  addConnectionFlags,
  type ConnectionFlags,
  readConnection,
  readPassword,
} from "../connection-flags.ts";
import type { Output } from "../output.ts";
import { askLine, askSecret, canAsk } from "../prompt.ts";
import { openReport } from "../report.ts";
import type { Environment, Terminal } from "../terminal.ts";

interface LoginFlags extends OutputFlags, ConnectionFlags {
  readonly password?: true | undefined;
}

const examples = `
Examples:
  ballast login registry.example.com
  ballast login registry.example.com --username me --password-stdin < password.txt

The login is kept where docker, podman, crane and others look for it: in config.json in
DOCKER_CONFIG, else ~/.docker, or in the credential helper that it names for the host.`;

/** Adds `ballast login`. */
export function addLogin(program: Command, terminal: Terminal, output: Output): void {
  const command = program
    .command("login")
    .summary("log in to a registry")
    .description(
      "Tries a user name and password at a registry and keeps them for next time, as docker does. Asks on a terminal for what is not given.",
    )
    .argument("<HOST>", "the registry, as references name it: host or host:port")
    .addOption(new Option("-p, --password [PASSWORD]", "refused").argParser(() => true).hideHelp())
    .addHelpText("after", examples);
  addConnectionFlags(command);
  const name = command.options.find(({ long }) => long === "--username");
  if (name !== undefined) name.description = "who logs in; asked for on a terminal";
  addQuietFlag(addJsonFlag(command));
  command.action(async (host: string, flags: LoginFlags) => {
    if (flags.password !== undefined) throw visiblePassword();
    const asked = await readAsked(host, flags, terminal);
    const nobody = { username: undefined, passwordStdin: undefined };
    const connection = await readConnection({ ...flags, ...nobody }, terminal);
    const { login } = await import("../../model/login.ts");
    using report = openReport(terminal, flags);
    const result = await login({ host, ...connection, ...asked, ...report.options });
    report.end();
    report.note(...describeLogin(result, terminal.environment));
    if (flags.json === true) await output.printJson(result);
  });
}

/** Adds `ballast logout`. */
export function addLogout(program: Command, terminal: Terminal, output: Output): void {
  const command = program
    .command("logout")
    .summary("forget the login to a registry")
    .description(
      "Takes a login out of docker's config.json, or has the credential helper forget it. None there is fine.",
    )
    .argument("<HOST>", "the registry, as it was logged in to");
  addQuietFlag(addJsonFlag(command));
  command.action(async (host: string, flags: OutputFlags) => {
    const { logout } = await import("../../model/login.ts");
    using report = openReport(terminal, flags);
    const { environment } = terminal;
    const result = await logout({ host, environment, ...report.options });
    report.end();
    report.note(...describeLogout(result));
    if (flags.json === true) await output.printJson(result);
  });
}

async function readAsked(
  host: string,
  { username, passwordStdin = false }: LoginFlags,
  terminal: Terminal,
): Promise<{ readonly username: string; readonly password: string }> {
  if (username !== undefined && passwordStdin)
    return { username, password: await readPassword(terminal) };
  if (passwordStdin)
    throw new ModelError("INVALID_ARGUMENT", "--password-stdin needs --username, too");
  if (!canAsk(terminal))
    throw new ModelError("INVALID_ARGUMENT", "nobody can be asked for the login", {
      hint: `for example: ballast login ${host} --username me --password-stdin < password.txt`,
    });
  const name = username ?? (await askLine(`User name at ${host}: `, terminal));
  const password = await askSecret(`Password of ${name}, not shown: `, terminal);
  return { username: name, password };
}

/** What is an argument is seen by everybody on the machine, and kept by shells. */
function visiblePassword(): ModelError {
  return new ModelError("INVALID_ARGUMENT", "a password is never an argument: others see those", {
    hint: "take this one for known and change it; say --password-stdin, or type it when asked",
  });
}

function describeLogin(result: LoginResult, environment: Environment): string[] {
  const { host, username, verified, file, program } = result;
  const first = ["BALLAST_USERNAME", "BALLAST_TOKEN"].find((name) => environment[name]);
  return [
    verified
      ? `logged in to ${host} as ${username}`
      : `${host} asks for no login, and did not refuse this one; it may not have looked at it: ${username}`,
    program === undefined
      ? `kept in ${file}, where whoever may read that file can read the password`
      : `kept by ${program}, as ${file} says`,
    ...(first === undefined ? [] : [`${first} is set and goes before it`]),
  ];
}

function describeLogout({ host, file, removed, program, remaining }: LogoutResult): string[] {
  const where = program === undefined ? file : `${program} and ${file}`;
  return [
    removed || program !== undefined
      ? `logged out of ${host}: ${where}`
      : `${file} has no login for ${host}`,
    ...(remaining === undefined ? [] : [`a login for ${host} is still found ${remaining}`]),
  ];
}
