import type { Command } from "commander";
import { ModelError } from "../../core/errors.ts";
import { helpTopics } from "../help-topics.ts";
import type { Output } from "../output.ts";

/** Adds `ballast help`, for commands and topics alike. */
export function addHelp(program: Command, output: Output): void {
  program
    .command("help")
    .summary("explain a command or a topic")
    .description("Explains a command or a topic.")
    .argument("[WORD...]", "a command, such as `store gc`, or a topic")
    .addHelpText("after", `\n${describeTopics()}`)
    .action(async (words: readonly string[]) => {
      await output.print(findHelp(program, words));
    });
}

/** The topics, as a section of the help. */
export function describeTopics(): string {
  const lines = helpTopics.map(({ name, summary }) => `  ${name.padEnd(13)} ${summary}`);
  return ["Topics (ballast help TOPIC):", ...lines].join("\n");
}

function findHelp(program: Command, words: readonly string[]): string {
  const [first] = words;
  const topic = words.length === 1 ? helpTopics.find(({ name }) => name === first) : undefined;
  if (topic !== undefined) return topic.text;
  let command = program;
  for (const word of words) {
    const next = command.commands.find((each) => each.name() === word);
    if (next === undefined) throw noSuchHelp(program, words.join(" "));
    command = next;
  }
  let text = "";
  command.configureOutput({ writeOut: (part) => void (text += part) });
  command.outputHelp();
  return text.trimEnd();
}

function noSuchHelp(program: Command, words: string): ModelError {
  const names = [
    ...program.commands.map((command) => command.name()),
    ...helpTopics.map((topic) => topic.name),
  ];
  return new ModelError("INVALID_ARGUMENT", `there is no help on ${JSON.stringify(words)}`, {
    hint: `there is on: ${names.join(", ")}`,
  });
}
