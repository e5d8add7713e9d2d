/** How files are called: kebab-case, and endpoints after the module of the specification that they serve. */
import type { Operation } from './operations.ts';
import type { Problem } from './sources.ts';

/** The specification's APIs whose modules have a folder of their own in `src/api`. */
const API_OF_FOLDER: Readonly<Record<string, string>> = {
  client: 'client-server',
  federation: 'server-server',
};

/** Files of `src/api` that hold no endpoints of one module, each with what it is for. */
const OTHER_FILES: Readonly<Record<string, readonly string[]>> = {
  // Shapes and guards that several modules share; what the text requires though its data lists no module for it.
  // And what Synapse has besides.
  client: [
    'index',
    'paths',
    'shapes',
    'user-interactive-auth',
    'fallback-pages',
    'static-login',
    'federation-whitelist',
  ],
  federation: ['index', 'shapes', 'room-complexity'],
};

const KEBAB = /^[a-z0-9]+(-[a-z0-9]+)*$/;

/** The file name of a module: `room_send` is served by `room-send.ts`. */
function fileOfModule(module: string): string {
  return module.replaceAll('_', '-');
}

/** What is wrong with the names of these files. */
export function checkNames(paths: readonly string[], operations: readonly Operation[]): Problem[] {
  return paths.flatMap((path) => {
    const parts = path.split('/');
    const base = (parts.at(-1) ?? '').replace(/(\.test|\.e2e|\.d)?\.(ts|js)$/, '');
    const odd = [...parts.slice(0, -1), base].find((part) => !KEBAB.test(part));
    if (odd !== undefined) return [{ path, line: 1, message: `"${odd}" is not kebab-case` }];

    const [, api, folder = ''] = parts;
    const specApi = API_OF_FOLDER[folder];
    if (parts[0] !== 'src' || api !== 'api' || parts.length !== 4 || specApi === undefined) return [];
    const modules = new Set(
      operations.filter((each) => each.api === specApi).map(({ module }) => fileOfModule(module)),
    );
    if (modules.has(base) || OTHER_FILES[folder]?.includes(base)) return [];
    const message = `no module of the ${specApi} API is called "${base}"; a file bears its module's name, so that who knows the specification finds it (modules: spec/endpoints.tsv; a helper is listed in test/house/names.ts)`;
    return [{ path, line: 1, message }];
  });
}
