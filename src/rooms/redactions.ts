/** When a redaction takes effect. Spec v1.19: https://spec.matrix.org/v1.19/rooms/v3/#handling-redactions */
import { serverNameOf } from '../core/ids.ts';
import { readPowerLevels } from '../core/power-levels.ts';
import type { RoomWork } from './room-work.ts';
import type { StoredEvent } from './stored-event.ts';

/** Whether a valid redaction may redact the event: both of one server, or its sender has the level for it. */
export async function mayRedact(work: RoomWork, redaction: StoredEvent, target: StoredEvent): Promise<boolean> {
  if (target.pdu.type === 'm.room.create') return false;
  if (redaction.rules.hasRedactionAuthRule) return true;
  if (serverNameOf(redaction.pdu.sender) === serverNameOf(target.pdu.sender)) return true;
  const { live } = work;
  const createNo = live.currentNo('m.room.create', '');
  if (createNo === null) return false;
  const levelsNo = live.currentNo('m.room.power_levels', '');
  const [create, powerLevels] = await work.events(levelsNo === null ? [createNo] : [createNo, levelsNo]);
  const levels = readPowerLevels(live.rules, create!.pdu, powerLevels?.pdu);
  return levels.levelOf(redaction.pdu.sender) >= levels.named('redact');
}
