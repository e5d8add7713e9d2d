/** What a doctor found, and how it is told. */
import { colored, say } from './terminal.ts';

export type Finding = { readonly what: string; readonly standing: 'good' | 'poor' | 'bad'; readonly fix?: string };

/** Prints a finding. */
export function tell({ what, standing, fix }: Finding): void {
  const mark = { good: colored('ok  ', 'green'), poor: colored('mind', 'yellow'), bad: colored('bad ', 'red') }[
    standing
  ];
  say(`${mark}  ${what}${fix === undefined ? '' : `\n      Fix: ${fix}`}`);
}
