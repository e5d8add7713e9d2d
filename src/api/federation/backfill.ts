/** Server-server module "Backfill": the history that we have of a room. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import { type Endpoint, JsonText } from '../../http/endpoint.ts';
import type { ResidentHistory } from '../../services/resident-history.ts';
import { type Transactions, transactionText } from './shapes.ts';

export const backfillEndpoints = (services: Transactions & { residentHistory: ResidentHistory }): Endpoint[] => {
  const { residentHistory } = services;
  return [
    answering(FEDERATION.backfillRoom, {
      async handler({ origin, params, query }) {
        const { v: from, limit } = query;
        const texts = await residentHistory.backfill(origin, params.roomId, { from, limit });
        return new JsonText(transactionText(services, texts));
      },
    }),
    answering(FEDERATION.getMissingPreviousEvents, {
      async handler({ origin, params, body }) {
        const texts = await residentHistory.missingEvents(origin, {
          roomId: params.roomId,
          earliest: body.earliest_events,
          latest: body.latest_events,
          limit: body.limit ?? null,
          depthMin: body.min_depth ?? null,
        });
        return new JsonText(`{"events":[${texts.join(',')}]}`);
      },
    }),
  ];
};
