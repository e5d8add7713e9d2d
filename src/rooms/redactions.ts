/** When a redaction takes effect. Spec v1.19: https://spec.matrix.org/v1.19/rooms/v3/#handling-redactions */
import { serverNameOf } from '../core/ids.ts';
import { PowerLevels } from '../core/power-levels.ts';
import type { RoomWork } from './room-work.ts';
import type { StoredEvent } from './stored-event.ts';

/** Whether a valid redaction may redact the event: both of one server, or its sender has the level for it. */
export async function mayRedact(work: RoomWork, redaction: StoredEvent, target: StoredEvent): Promise<boolean> {
  if (target.pdu.type === 'm.room.create') return false;
  if (redaction.rules.hasRedactionAuthRule) return true;
  if (serverNameOf(redaction.pdu.sender) === serverNameOf(target.pdu.sender)) return true;
  const levels = await powerLevelsNow(work);
  return levels.of(redaction.pdu.sender) >= levels.redact;
}

async function powerLevelsNow(work: RoomWork): Promise<PowerLevels> {
  const { live } = work;
  const createNo = live.currentNo('m.room.create', '');
  const levelsNo = live.currentNo('m.room.power_levels', '');
  const [create, levels] = await work.events([createNo, levelsNo].filter((eventNo) => eventNo !== null));
  return PowerLevels.read(live.rules, levels?.pdu, create?.pdu);
}
