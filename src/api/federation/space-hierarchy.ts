/** Server-server module "Spaces": a space and its children, as far as the asking server may know of them. */
import { answering } from '../../contracts/answering.ts';
import { FEDERATION } from '../../contracts/federation/index.ts';
import type { Endpoint } from '../../http/endpoint.ts';
import type { ResidentSpaces } from '../../services/resident-spaces.ts';

export const spaceHierarchyEndpoints = ({ residentSpaces }: { residentSpaces: ResidentSpaces }): Endpoint[] => [
  answering(FEDERATION.getSpaceHierarchy, {
    async handler({ origin, params, query }) {
      const suggestedOnly = query.suggested_only ?? false;
      const { room, children, inaccessible } = await residentSpaces.hierarchy(origin, params.roomId, { suggestedOnly });
      return { room, children: [...children], inaccessible_children: [...inaccessible] };
    },
  }),
];
