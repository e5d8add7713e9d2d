/** `myelin hash-password`: the hash of a password, as the database keeps it. */
import { hash } from '@node-rs/bcrypt';
import { loadConfig } from '../config/config.ts';
import { Failure } from './failure.ts';
import { Prompt, say } from './terminal.ts';

/** Prints the bcrypt hash, with the pepper of the configuration where one is named. */
export async function hashPassword(flags: {
  password?: string;
  rounds?: string;
  configPath?: string[];
}): Promise<void> {
  const sessions = flags.configPath === undefined ? null : loadConfig(flags.configPath).config.sessions;
  const rounds = Number(flags.rounds ?? sessions?.bcryptRounds ?? 12);
  if (!Number.isInteger(rounds) || rounds < 4 || rounds > 31) throw new Failure('Rounds are a number from 4 to 31.', 2);
  const password = flags.password ?? (await askTwice());
  if (password === '') throw new Failure('Password cannot be blank.');
  say(await hash(password.normalize('NFKC') + (sessions?.passwordPepper ?? ''), rounds));
}

async function askTwice(): Promise<string> {
  const prompt = new Prompt();
  try {
    const password = await prompt.askSecret('Password: ');
    if (password !== (await prompt.askSecret('Confirm password: '))) throw new Failure('Passwords do not match.');
    return password ?? '';
  } finally {
    prompt.close();
  }
}
