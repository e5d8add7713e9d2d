/**
 * Plays every scene between Myelin and a real Synapse, with either as the home of the room: `npm run test:interop`.
 *
 *   --scene TEXT      only scenes whose names hold the text
 *   --versions 6,12   only these room versions
 *   --home KIND       only with this program (myelin or synapse) as the home
 *   --peers A,B       other pairs: synapse,synapse shows what Synapse does with its own kind
 *   --write           writes what was tried into docs/interop.md
 *   --keep            leaves the servers' directories with their logs
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Wire, wires } from '../support/wire.ts';
import { matrixPage, type Outcome } from './matrix-page.ts';
import { MyelinSide } from './myelin.ts';
import type { Scene } from './scene.ts';
import { SCENES } from './scenes.ts';
import { newUser, type Side } from './side.ts';
import { SynapseSide, synapsePython } from './synapse.ts';

const VERSIONS = ['6', '10', '11', '12'];

const { values } = parseArgs({
  options: {
    scene: { type: 'string' },
    versions: { type: 'string' },
    home: { type: 'string' },
    peers: { type: 'string', default: 'myelin,synapse' },
    write: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});

const tell = (line: string): void => console.log(line);

async function sideOf(kind: string, wire: Wire): Promise<Side> {
  if (kind === 'myelin') return MyelinSide.prepare(wire);
  if (kind === 'synapse') return new SynapseSide(await synapsePython(tell), wire);
  throw new Error(`There is no program called ${kind}: say myelin or synapse.`);
}

async function play(scene: Scene, home: Side, away: Side, roomVersion: string): Promise<Outcome> {
  const startMs = performance.now();
  let fault: string | null = null;
  try {
    const [alice, bob] = await Promise.all([newUser(home, 'alice'), newUser(away, 'bob')]);
    await scene.play({ home, away, roomVersion, alice, bob, third: () => thirdOf(home.kind.toLowerCase()) });
  } catch (error) {
    fault = error instanceof Error ? error.message : String(error);
    // What the next scene needs is servers that run.
    for (const side of [home, away]) {
      const isUp = await fetch(`${side.url}/_matrix/client/versions`).then(
        (reply) => reply.ok,
        () => false,
      );
      if (!isUp) await side.start();
    }
  }
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  tell(
    `${fault === null ? 'ok    ' : 'FAILED'} ${home.kind} at home, version ${roomVersion.padStart(2)}: ${scene.name} (${seconds} s)`,
  );
  if (fault !== null) tell(`       ${fault.replaceAll('\n', '\n       ')}`);
  return { scene: scene.name, home: home.kind, roomVersion, fault };
}

const directory = mkdtempSync(join(tmpdir(), 'myelin-interop-'));
const kinds = values.peers.split(',');
const sides: Side[] = [];
const [oneWire, otherWire, ...furtherWires] = await wires(directory, 4);
for (const [index, wire] of [oneWire!, otherWire!].entries()) sides.push(await sideOf(kinds[index] ?? '', wire));
const thirds = new Map<string, Side>();

/** A further server of a kind. */
async function thirdOf(kind: string): Promise<Side> {
  const known = thirds.get(kind);
  if (known !== undefined) return known;
  const side = await sideOf(kind, furtherWires[thirds.size]!);
  thirds.set(kind, side);
  await side.start();
  return side;
}

const outcomes: Outcome[] = [];
try {
  await Promise.all(sides.map((side) => side.start()));
  const versions = values.versions?.split(',') ?? VERSIONS;
  const [one, other] = sides as [Side, Side];
  for (const [home, away] of [
    [one, other],
    [other, one],
  ] as const) {
    if (values.home !== undefined && home.kind.toLowerCase() !== values.home) continue;
    for (const scene of SCENES) {
      if (scene.away !== undefined && scene.away !== away.kind) continue;
      if (values.scene !== undefined && !scene.name.includes(values.scene)) continue;
      const fitting = versions.filter((version) => scene.versions?.includes(version) ?? true);
      for (const version of scene.once === true ? fitting.slice(-1) : fitting) {
        outcomes.push(await play(scene, home, away, version));
      }
    }
  }
} finally {
  for (const side of [...sides, ...thirds.values()]) {
    if (values.keep) {
      await side.kill();
      tell(`${side.kind}: ${side.logPath}`);
    } else await side.remove();
  }
  rmSync(directory, { recursive: true, force: true });
}
if (values.write) writeFileSync(new URL('../../docs/interop.md', import.meta.url), matrixPage(outcomes, SCENES));
const failed = outcomes.filter(({ fault }) => fault !== null).length;
tell(`${outcomes.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 && outcomes.length > 0 ? 0 : 1;
