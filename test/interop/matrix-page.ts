/** The page that says what was tried between Myelin and Synapse, and how it went. */
import type { Scene } from './scene.ts';

export type Outcome = {
  readonly scene: string;
  readonly home: string;
  readonly roomVersion: string;
  /** null where all went well. */
  readonly fault: string | null;
};

const HEAD = `# Myelin and Synapse, side by side

Written by \`npm run test:interop -- --write\`: a real Synapse, installed from PyPI, and Myelin as an operator runs it speak TLS to each
other, and each scene is played with either as the home of the room. The numbers are room versions in which it went well; a scene
in which the version changes nothing is played in the newest one. \`npm run test:interop -- --scene ban --home synapse\` plays some.

`;

/** The page for what was played. */
export function matrixPage(outcomes: readonly Outcome[], scenes: readonly Scene[]): string {
  const homes = [...new Set(outcomes.map(({ home }) => home))];
  const cell = (scene: Scene, home: string): string => {
    const played = outcomes.filter((outcome) => outcome.scene === scene.name && outcome.home === home);
    if (played.length === 0 && scene.away === home) return 'Synapse does not do it';
    const good = played.filter(({ fault }) => fault === null).map(({ roomVersion }) => roomVersion);
    const bad = played.filter(({ fault }) => fault !== null).map(({ roomVersion }) => roomVersion);
    return (
      [good.join(', '), bad.length === 0 ? '' : `**fails in ${bad.join(', ')}**`].filter(Boolean).join('; ') ||
      'not played'
    );
  };
  const rows = scenes.map((scene) => `| ${[scene.name, ...homes.map((home) => cell(scene, home))].join(' | ')} |`);
  const title = `| scene | ${homes.map((home) => `${home} at home`).join(' | ')} |`;
  return `${HEAD}${[title, `|${' --- |'.repeat(homes.length + 1)}`, ...rows].join('\n')}\n`;
}
