/** Speaking to somebody at a terminal, or to a script through pipes. */
import { createInterface, type Interface } from 'node:readline';
import { Writable } from 'node:stream';

const COLORS = { red: 31, green: 32, yellow: 33 } as const;

/** The text in a color, where standard output is a terminal that wants colors. */
export function colored(
  text: string,
  color: keyof typeof COLORS,
  stream: { isTTY?: boolean } = process.stdout,
): string {
  if (!stream.isTTY || process.env['NO_COLOR']) return text;
  return `\u001b[1;${COLORS[color]}m${text}\u001b[m`;
}

/** Prints a line for people. */
export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Prints a line on what went wrong. */
export function complain(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Whether somebody sits there who can be asked. */
export function isInteractive(): boolean {
  return process.stdin.isTTY === true && process.stdout.isTTY === true;
}

/** Asks questions on standard input. Close it, or the process stays. */
export class Prompt {
  readonly #lines: Interface;
  readonly #output: Writable;
  /** Lines that came before they were asked for, as from a pipe. */
  readonly #early: string[] = [];
  #waiting: ((line: string | null) => void) | null = null;
  #isEnded = false;
  #isMuted = false;

  constructor() {
    this.#output = new Writable({
      write: (chunk, _encoding, done) => {
        if (!this.#isMuted) process.stdout.write(chunk);
        done();
      },
    });
    this.#lines = createInterface({
      input: process.stdin,
      output: this.#output,
      terminal: process.stdin.isTTY === true,
      historySize: 0,
    });
    this.#lines.on('line', (line) => {
      if (this.#waiting === null) this.#early.push(line);
      else this.#answer(line);
    });
    this.#lines.on('close', () => {
      this.#isEnded = true;
      this.#answer(null);
    });
    this.#lines.on('SIGINT', () => {
      process.stdout.write('\n');
      process.exit(130);
    });
  }

  #answer(line: string | null): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.(line);
  }

  /** What was answered; null where the input has ended. */
  async ask(question: string): Promise<string | null> {
    const early = this.#early.shift();
    if (early !== undefined || this.#isEnded) {
      process.stdout.write(question);
      return early ?? null;
    }
    const answer = new Promise<string | null>((resolve) => {
      this.#waiting = resolve;
    });
    this.#lines.setPrompt(question);
    this.#lines.prompt();
    return answer;
  }

  /** Like `ask`, but what is typed is not shown. */
  async askSecret(question: string): Promise<string | null> {
    process.stdout.write(question);
    this.#isMuted = true;
    try {
      return this.#early.shift() ?? (await this.ask(''));
    } finally {
      this.#isMuted = false;
      process.stdout.write('\n');
    }
  }

  close(): void {
    this.#lines.close();
  }
}
