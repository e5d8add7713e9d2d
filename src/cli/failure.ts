/** How commands end when something is wrong: a sentence and an exit code, no stack trace. */
import { ConfigError } from '../config/config.ts';
import { complain } from './terminal.ts';

/** A command cannot go on; the message is for whoever typed it. */
export class Failure extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.name = 'Failure';
    this.exitCode = exitCode;
  }
}

/** What to tell of an error: sentences for those that we expect, the stack for bugs. */
export function explain(error: unknown): string {
  if (error instanceof Failure) return error.message;
  if (error instanceof ConfigError) return `The configuration cannot be used:\n${error.message}`;
  if (!(error instanceof Error)) return String(error);
  // By its name: importing its class would load the whole server for every command.
  if (error.name === 'StartError') return error.message;
  const code = 'code' in error ? error.code : undefined;
  const address = 'port' in error ? ` (port ${String(error.port)})` : '';
  if (code === 'EADDRINUSE') {
    return `An address is in use already${address}: is a server running, or something else on that port? ${error.message}`;
  }
  if (code === 'EACCES' && 'port' in error) {
    return `This user may not listen there${address}; ports below 1024 are for root. ${error.message}`;
  }
  if ((code === 'EACCES' || code === 'EROFS' || code === 'ENOSPC' || code === 'ENOENT') && 'path' in error) {
    return error.message;
  }
  return error.stack ?? error.message;
}

/** Runs a command; a failure is printed and becomes the exit code. */
export async function runCommand(command: () => Promise<void>): Promise<void> {
  try {
    await command();
  } catch (error) {
    complain(explain(error));
    process.exitCode = error instanceof Failure ? error.exitCode : 1;
  }
}
