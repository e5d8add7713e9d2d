/** `myelin stats show`: how much the server holds, also while it runs. */
import { loadConfig } from '../config/config.ts';
import { databaseOptions } from '../main/database-options.ts';
import { openToRead } from '../storage/open-to-read.ts';
import { readStatistics } from '../storage/statistics.ts';
import { Failure } from './failure.ts';
import { say } from './terminal.ts';

/** Prints the figures for people, or as JSON. Nothing is sent anywhere, whatever `report_stats` says. */
export async function showStats(paths: readonly string[], asJson: boolean): Promise<void> {
  const { config } = loadConfig(paths);
  let statistics: Awaited<ReturnType<typeof readStatistics>>;
  try {
    const db = await openToRead(databaseOptions(config.database, true));
    try {
      statistics = await readStatistics(db);
    } finally {
      await db.close();
    }
  } catch (error) {
    throw new Failure(`The database cannot be read; has the server been started once? (${(error as Error).message})`);
  }
  const { manyTips, ...figures } = statistics;
  if (asJson) {
    say(JSON.stringify({ serverName: config.server.serverName, ...figures, manyTips }, null, 2));
    return;
  }
  const lines: [what: string, value: string][] = [
    ['server', config.server.serverName],
    ['database', `${(figures.databaseBytes / 1e6).toFixed(1)} MB`],
    ['users', `${figures.users}`],
    ['rooms', `${figures.rooms}`],
    ['events', `${figures.events}`],
    ['of these, state events', `${figures.stateEvents}`],
    ['forward extremities', `${figures.forwardExtremities}`],
    ...manyTips.map(({ roomId, extremities }): [string, string] => ['', `${extremities} in ${roomId}`]),
    ['servers that lag', `${figures.laggingServers}`],
    ['of these, not answering', `${figures.failingServers}`],
    ['events that some lack', `${figures.outgoingEvents}`],
  ];
  for (const [what, value] of lines) say(`${what.padEnd(24)}${value}`);
}
