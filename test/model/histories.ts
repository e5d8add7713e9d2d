/** Many histories after each other, some on one database. */
import { handClock } from '../../src/kit/clock.ts';
import { openDatabase } from '../../src/storage/open.ts';
import { runHistory } from './unread-history.ts';
import { startWorld, type World } from './world.ts';

/** So many histories share a database: more of them would only fill memory. */
const ON_ONE_DATABASE = 100;

/** Runs histories with seeds from one on. Throws at the first one that is counted wrong; its message names the seed. */
export async function runHistories(firstSeed: number, count: number, isOver = () => false): Promise<number> {
  let done = 0;
  while (done < count && !isOver()) {
    const db = await openDatabase({ kind: 'sqlite', path: ':memory:' }, { info() {} });
    const clock = handClock();
    let starts = 0;
    const start = (): Promise<World> => startWorld(db, clock, ++starts);
    let world = await start();
    try {
      for (let i = 0; i < ON_ONE_DATABASE && done < count && !isOver(); i++, done++) {
        world = await runHistory(world, firstSeed + done, start);
      }
    } catch (error) {
      throw new Error(`Seed ${firstSeed + done}: ${(error as Error).message}`, { cause: error });
    } finally {
      await db.close();
    }
  }
  return done;
}
