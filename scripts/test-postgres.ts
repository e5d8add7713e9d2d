/**
 * Holds one PostgreSQL for a whole run of `npm test`: prints its URL on one line, and stops it when standard input ends,
 * which also happens when the run is killed.
 */
import { startPostgres } from '../test/support/postgres.ts';

const server = await startPostgres();
process.stdout.write(`${server.url}\n`);
process.stdin.resume();
process.stdin.once('end', async () => {
  await server.stop();
});
