/** Words of one simple command of a shell; variables stay as they are written. */
export type Words = readonly string[];

/**
 * The simple commands of a script, as far as a line-based reading goes: continued lines are joined,
 * comments left out, and lists, pipes and substitutions end a command.
 */
export function splitCommands(script: string): Words[] {
  return script
    .replaceAll(/\\\n\s*/g, " ")
    .split("\n")
    .flatMap(splitLine)
    .filter((words) => words.length > 0);
}

const endsWord = /[\s|&;()<>`]/;

function splitLine(line: string): string[][] {
  const commands: string[][] = [[]];
  let word: string | undefined;
  let quote = "";
  let skipsTarget = false;
  const endWord = () => {
    // What follows < and > is a file, no argument.
    if (word !== undefined && !skipsTarget) commands.at(-1)?.push(word);
    if (word !== undefined) skipsTarget = false;
    word = undefined;
  };
  for (const [index, letter] of line.split("").entries()) {
    if (quote !== "") {
      if (letter === quote) quote = "";
      else word = `${word ?? ""}${letter}`;
    } else if (letter === '"' || letter === "'") {
      quote = letter;
      word ??= "";
    } else if (letter === "#" && word === undefined) break;
    else if (endsWord.test(letter)) {
      endWord();
      if (letter === "<" || letter === ">") skipsTarget = true;
      else if (!/\s/.test(letter)) commands.push([]);
    } else if (letter === "$" && line[index + 1] === "(") endWord();
    else word = `${word ?? ""}${letter}`;
  }
  endWord();
  return commands;
}
