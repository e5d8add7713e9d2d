/** Runs our commands in tests as somebody at a shell does. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

export type Outcome = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

const binaries = new URL('../../bin/', import.meta.url);

/** The launcher of a command. */
export function binaryOf(command: string): string {
  return fileURLToPath(new URL(`${command}.js`, binaries));
}

/** A directory that goes with the test. */
export function scratchDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'myelin-cli-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Runs a command to its end, with `input` piped in. */
export async function tryCommand(
  command: string,
  args: readonly string[],
  options: { cwd: string; input?: string; env?: Record<string, string> },
): Promise<Outcome> {
  const child = spawn(process.execPath, [binaryOf(command), ...args], {
    cwd: options.cwd,
    env: { ...process.env, NO_COLOR: '1', ...options.env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}

// Waits for each text, types what belongs to it, and prints what the terminal showed. Ends with the command's code.
const TERMINAL = `
import json, os, pty, sys
steps = json.loads(sys.argv[1])
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
seen, shown = '', ''
while True:
    try:
        chunk = os.read(fd, 4096).decode('utf8', 'replace')
    except OSError:
        break
    if not chunk:
        break
    seen += chunk
    shown += chunk
    if steps and steps[0][0] in seen:
        seen = ''
        os.write(fd, steps.pop(0)[1].encode())
_, status = os.waitpid(pid, 0)
sys.stdout.write(shown)
sys.exit(os.waitstatus_to_exitcode(status))
`;

/** Whether commands can be tried at a terminal here. */
export const hasTerminal = spawnSync('python3', ['-c', 'import pty']).status === 0;

type AtTerminal = { cwd: string; steps: readonly (readonly [string, string])[]; env?: Record<string, string> };

/** Runs a command of ours at a terminal: at each text that shows up, types the answer that belongs to it. */
export function tryAtTerminal(command: string, args: readonly string[], options: AtTerminal) {
  return typeAtTerminal([process.execPath, binaryOf(command), ...args], options);
}

/** The same for any program, named by its path. */
export async function typeAtTerminal(
  argv: readonly string[],
  { cwd, steps, env }: AtTerminal,
): Promise<{ code: number | null; shown: string }> {
  const child = spawn('python3', ['-c', TERMINAL, JSON.stringify(steps), ...argv], {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NO_COLOR: '1', ...env },
  });
  let shown = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    shown += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  // Control sequences of the line editor are not what people read.
  return { code, shown: stripVTControlCharacters(shown).replaceAll('\r', '') };
}
